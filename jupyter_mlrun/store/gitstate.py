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

SECONDS = 1.0  # a repository that takes longer is not worth the wait
# a repository's own configuration must not run anything for a look at it
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
_STATUS = ("status", "--porcelain=v2", "--branch", "--untracked-files=no", "--ignore-submodules=all")
_PERSON = re.compile(r"(?<=://)[^/@]*@")
_HEAD = re.compile(r"[0-9a-f]{40,64}\Z")


def of(folder: Path) -> dict[str, Any] | None:
    """``{"commit", "branch", "dirty", "remote"}`` of the repository that *folder* is in; None where there is none.

    *branch* is None for a detached head; *remote* has neither user nor password.
    """
    if not _is_in_repository(folder):
        return None
    asked = [_start(folder, _STATUS), _start(folder, ("config", "--get", "remote.origin.url"))]
    status, remote = [_finish(one) for one in asked]
    heads = dict(line[2:].split(" ", 1) for line in status.splitlines() if line.startswith("# ") and " " in line[2:])
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
