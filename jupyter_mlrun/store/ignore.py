"""What stays out of a snapshot: defaults, secrets by name, and the ignore files of the folder.

Reads ``.amlignore`` at the root, else every ``.gitignore``; and the beginning of ``*.pem`` and ``*.key`` files.
"""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pathspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FOLDERS = {".git", "__pycache__", ".venv", ".ipynb_checkpoints"}
ROOT_FOLDERS = {"outputs", "logs"}
SECRET_FOLDERS = {".aws", ".ssh"}
SECRET_NAMES = (
    ".env", ".env.local", ".env.*.local", ".netrc", ".pypirc",
    *(f"id_{kind}{tail}" for kind in ("rsa", "dsa", "ecdsa", "ed25519") for tail in ("", "_sk")),
)  # fmt: skip
KEY_ENDINGS = (".pem", ".key")
IGNORE_FILES = (".amlignore", ".gitignore")


def default_reason(path: str, *, is_folder: bool, root: Path) -> str | None:
    """Why *path* stays out by default, in words; None where it does not."""
    name = path.rpartition("/")[2]
    if is_folder:
        if name in FOLDERS or (path == name and name in ROOT_FOLDERS):
            return "never part of the source"
        return "may hold secrets" if name in SECRET_FOLDERS else None
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in SECRET_NAMES):
        return "may hold secrets"
    if name.endswith(KEY_ENDINGS) and _is_private_key(root / path):
        return "is a private key"
    return None


def _is_private_key(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # what cannot be read is told when it is packaged
    try:
        return b"PRIVATE KEY-----" in os.read(fd, 4096)
    finally:
        os.close(fd)


@dataclass(frozen=True)
class Rules:
    """The ignore files on the way to a folder; the innermost that has an opinion decides."""

    chain: tuple[tuple[str, pathspec.GitIgnoreSpec], ...] = ()
    signature: str = ""

    def below(self, folder: str, text: str, name: str) -> Rules:
        """The rules inside *folder*, whose ignore file has this text."""
        spec = pathspec.GitIgnoreSpec.from_lines(text.splitlines())
        return Rules((*self.chain, (folder, spec)), f"{self.signature}\0{folder}\0{name}\0{text}")

    def ignores(self, path: str, *, is_folder: bool) -> bool:
        """Whether an ignore file leaves *path* (relative to the root) out."""
        for folder, spec in reversed(self.chain):
            inside = path[len(folder) + 1 :] if folder else path
            said = spec.check_file(inside + "/" if is_folder else inside).include
            if said is not None:
                return said
        return False


class Includes:
    """``--include`` globs: what they match comes back, whatever left it out."""

    def __init__(self, globs: Sequence[str]) -> None:
        self.globs = tuple(glob.strip("/") for glob in globs)
        self._spec = pathspec.GitIgnoreSpec.from_lines(self.globs) if globs else None

    def brings(self, path: str) -> bool:
        """Whether *path* itself, or a folder that it is in, is brought back."""
        if self._spec is None:
            return False
        return bool(self._spec.match_file(path) or self._spec.match_file(path + "/"))

    def may_lie_in(self, folder: str) -> bool:
        """Whether a glob names something below *folder*."""
        parts = folder.split("/")
        return any(
            len(steps) > len(parts) and all(fnmatch.fnmatchcase(a, b) for a, b in zip(parts, steps, strict=False))
            for steps in (glob.split("/") for glob in self.globs)
        )
