"""Which state of a git repository a folder is in: commit, branch, whether something is not committed, remote.

Reads the repository through ``git``, for a moment; writes nothing there.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

SECONDS = 1.0  # a repository that takes longer is not worth the wait
# a repository's own configuration must not run anything for a look at it
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
_STATUS = ("status", "--porcelain=v2", "--branch", "--untracked-files=no", "--ignore-submodules=all")
_PERSON = re.compile(r"(?<=://)[^/@]*@")
_HEAD = re.compile(r"[0-9a-f]{40,64}\Z")


class Asked:
    """The question to a repository, under way: ``answer`` waits for it; left without, nothing goes on."""

    def __init__(self, folder: Path) -> None:
        words = (_STATUS, ("config", "--get", "remote.origin.url")) if _is_in_repository(folder) else ()
        self._asked = [_start(folder, each) for each in words]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._asked:
            if one is not None and one.returncode is None:
                one.kill()
                one.communicate()

    def answer(self) -> dict[str, Any] | None:
        """``{"commit", "branch", "dirty", "remote"}`` of the repository; None where there is none.

        *branch* is None for a detached head; *remote* has neither user nor password.
        """
        if not self._asked:
            return None
        status, remote = [_finish(one) for one in self._asked]
        marked = [line[2:] for line in status.splitlines() if line.startswith("# ")]
        heads = dict(line.split(" ", 1) for line in marked if " " in line)
        commit = heads.get("branch.oid", "")
        if not _HEAD.match(commit):
            return None
        branch = heads.get("branch.head")
        return {
            "commit": commit,
            "branch": None if branch == "(detached)" else branch,
            "dirty": any(line and not line.startswith("# ") for line in status.splitlines()),
            "remote": _PERSON.sub("", remote.strip()) or None,
        }


def of(folder: Path) -> dict[str, Any] | None:
    """The state of the repository that *folder* is in; see ``Asked.answer``."""
    with Asked(folder) as asked:
        return asked.answer()


def _is_in_repository(folder: Path) -> bool:
    return any(os.path.exists(place / ".git") for place in (folder, *folder.parents))


def _start(folder: Path, words: tuple[str, ...]) -> subprocess.Popen[bytes] | None:
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        return subprocess.Popen(
            [*_GIT, *words],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:  # there is no git
        return None


def _finish(asked: subprocess.Popen[bytes] | None) -> str:
    if asked is None:
        return ""
    with asked:
        try:
            said, _ = asked.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            asked.kill()
            return ""
    return said.decode("utf-8", "replace") if asked.returncode == 0 else ""
