"""What stays out of a snapshot: defaults, secrets by name, and the ignore files of the folder.

Reads the beginning of ``*.pem`` and ``*.key`` files; is given the text of ``.amlignore`` and ``.gitignore``.
"""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pathspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NEVER = {".git", "__pycache__", ".venv", ".ipynb_checkpoints"}
ROOT_FOLDERS = {"outputs", "logs"}
SECRET_FOLDERS = {".aws", ".ssh"}
SECRET_NAMES = {".env", ".env.local", ".netrc", ".pypirc"} | {
    f"id_{kind}{tail}" for kind in ("rsa", "dsa", "ecdsa", "ed25519") for tail in ("", "_sk")
}
KEY_ENDINGS = (".pem", ".key")
IGNORE_FILES = (".amlignore", ".gitignore")
MAY_HOLD_SECRETS = "may hold secrets"
PRIVATE_KEY = "is a private key"
SECRET_REASONS = {MAY_HOLD_SECRETS, PRIVATE_KEY}
# certificates may stand before the key
_KEY_BYTES = 1 << 18


def default_reason(path: str, *, is_folder: bool, is_file: bool, root: Path) -> str | None:
    """Why *path* stays out by default, in words; None where it does not."""
    name = path.rpartition("/")[2]
    if name in NEVER or (is_folder and path in ROOT_FOLDERS):
        return "never part of the source"
    if name in SECRET_FOLDERS or name in SECRET_NAMES or (name.startswith(".env.") and name.endswith(".local")):
        return MAY_HOLD_SECRETS
    # only a regular file is opened: to open a FIFO or a device would do something
    if is_file and name.endswith(KEY_ENDINGS) and _is_private_key(root / path):
        return PRIVATE_KEY
    return None


def inside_secret_folder(path: str) -> bool:
    """Whether a folder on the way to *path* may hold secrets."""
    return not SECRET_FOLDERS.isdisjoint(path.split("/")[:-1])


def _is_private_key(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # what cannot be read is told when it is packaged
    try:
        return b"PRIVATE KEY" in os.read(fd, _KEY_BYTES)
    finally:
        os.close(fd)


# ---- one ignore file -------------------------------------------------------------------------------------

_STAR = "[^/]*"
_DEEP = "(?:/.+)?/"
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_PLAIN_NAME = re.compile(r"(!?)([\w.-]+)(/?)", re.ASCII)
# a regex with this many places to try again is at worst quadratic in one name
_FREE_STARS = 2


class IgnoreFile:
    """The lines of one ignore file; pathspec says what they mean, matching takes linear time."""

    def __init__(self, text: str) -> None:
        self._names: dict[tuple[str, bool], tuple[int, bool]] = {}
        rules: list[tuple[int, bool, bool, re.Pattern[str]]] = []
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n")):
            plain = _PLAIN_NAME.fullmatch(line.rstrip("\r"))
            if plain and plain[2] not in (".", ".."):
                self._names[plain[2], bool(plain[3])] = (number, not plain[1])
            else:
                rules += ((number, *rule) for rule in _rules_of(line.rstrip("\r")))
        self._rules = rules[::-1]

    def says(self, path: str, *, is_folder: bool) -> bool | None:
        """Whether *path* (relative to the file's folder) is ignored; None where no line speaks of it."""
        name = path.rpartition("/")[2]
        number, said = -1, None
        for dir_only in (False, True) if is_folder else (False,):
            found = self._names.get((name, dir_only))
            if found is not None and found[0] > number:
                number, said = found
        text = path + "/" if is_folder else path
        for place, include, inside, regex in self._rules:
            if place < number:
                break
            match = regex.match(text)
            # a line speaks of what it names; that a folder is ignored is seen at the folder
            if match is not None and (match.end() < len(text) if inside else match.end() == len(text)):
                return include
        return said


def _rules_of(line: str) -> Iterator[tuple[bool, bool, re.Pattern[str]]]:
    """(does it ignore, does it speak only of what is inside, regex) of one line; nothing for one without meaning."""
    if line.endswith("/**/"):
        line += "*/"  # to git the folders inside, to pathspec the folder itself
    try:
        patterns = list(pathspec.GitIgnoreSpec.from_lines([line]).patterns)
    except ValueError:
        return  # as git does
    for pattern in patterns:
        regex = getattr(pattern, "regex", None)
        if pattern.include is None or regex is None:
            continue
        if regex.pattern == ".":
            yield pattern.include, False, re.compile(r"(?s:.+)")
        elif not regex.pattern.startswith("^"):
            # "*/": pathspec searches where we match
            yield pattern.include, False, re.compile(rf"(?s:.*){regex.pattern}")
        else:
            yield pattern.include, regex.pattern.endswith("/"), re.compile(_linear(regex.pattern))


def _linear(regex: str) -> str:
    """The same regex without a choice that is ever tried again, where there are many.

    Between two stars the leftmost place is as good as any other, so it is taken once and for all.
    ``(?=(?P<x>…))(?P=x)`` is how to say so before Python 3.11.
    """
    if regex.count(_STAR) <= _FREE_STARS and regex.count(_DEEP) <= 1:
        return regex
    pieces = regex.split(_DEEP)
    steps = [_linear_stars(piece, f"s{i}_") for i, piece in enumerate(pieces)]
    text = steps[0]
    for i, step in enumerate(steps[1:], 1):
        if i == len(steps) - 1:
            text += _DEEP + step
        else:
            text += f"(?=(?P<d{i}>(?:/.+?)??/{step}(?=/)))(?P=d{i})"
    return text


def _linear_stars(regex: str, prefix: str) -> str:
    """Make each star but the last of a name take the leftmost place where what follows it fits."""
    parts = regex.split(_STAR)
    text = parts[0]
    for i, part in enumerate(parts[1:], 1):
        if i == len(parts) - 1 or "/" in _CLASS.sub("", part):
            text += _STAR + part
        elif part:
            text += f"(?=(?P<{prefix}{i}>[^/]*?{part}))(?P={prefix}{i})"
    return text


# ---- all of them -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """The ignore files on the way to a folder; the innermost that has an opinion decides."""

    chain: tuple[tuple[str, IgnoreFile], ...] = ()
    signature: str = ""

    def below(self, folder: str, text: str, name: str) -> Rules:
        """The rules inside *folder*, whose ignore file *name* has this text."""
        return Rules((*self.chain, (folder, IgnoreFile(text))), f"{self.signature}\0{folder}\0{name}\0{text}")

    def ignores(self, path: str, *, is_folder: bool) -> bool:
        """Whether an ignore file leaves *path* (relative to the root) out."""
        for folder, file in reversed(self.chain):
            said = file.says(path[len(folder) + 1 :] if folder else path, is_folder=is_folder)
            if said is not None:
                return said
        return False


class Includes:
    """``--include`` globs: what they match comes back, whatever left it out."""

    def __init__(self, globs: Sequence[str]) -> None:
        self.globs = tuple(glob.strip("/") for glob in globs)
        # a glob with a folder in it starts at the root, as in an ignore file
        self._file = IgnoreFile("\n".join(self.globs)) if globs else None

    def brings(self, path: str) -> bool:
        """Whether *path* itself, or a folder that it is in, is brought back."""
        if self._file is None:
            return False
        steps = path.split("/")
        folders = ("/".join(steps[:n]) for n in range(1, len(steps)))
        return bool(
            self._file.says(path, is_folder=False)
            or self._file.says(path, is_folder=True)
            or any(self._file.says(folder, is_folder=True) for folder in folders)
        )

    def may_lie_in(self, folder: str) -> bool:
        """Whether a glob names something below *folder*."""
        parts = folder.split("/")
        return any(
            len(steps) > len(parts) and all(fnmatch.fnmatchcase(a, b) for a, b in zip(parts, steps, strict=False))
            for steps in (glob.split("/") for glob in self.globs)
        )
