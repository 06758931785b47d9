"""Looks at a source folder: what would be packaged, what stays out, and what has not changed since the last time.

Reads the folder and ``objects/cache/``.  An unchanged folder costs its ``stat`` calls and little more.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import stat
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import SnapshotError
from jupyter_mlrun.store.ignore import IGNORE_FILES, Includes, Rules, default_reason
from jupyter_mlrun.worker.unpack import link_stays_inside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAX_BYTES = 300_000_000
MAX_FILES = 20_000
# how long an oversized folder is looked at, to name its largest parts
GUARD_SECONDS = 1.5
_LARGEST = 8

Stat = tuple[str, int, int, int, int, int]  # name, size, mtime ns, ctime ns, inode, mode


@dataclass
class Folder:
    """One folder as it was found: what is in it, what of that is kept, and what was stored of it before."""

    path: str
    signature: bytes = b""
    files: list[Stat] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    chunks: dict[str, tuple[Stat, list[str]]] = field(default_factory=dict)
    bytes: int = 0


@dataclass(frozen=True)
class File:
    """One file of a plan; ``path`` is relative to the root, ``size`` in bytes."""

    path: str
    size: int


@dataclass
class Plan:
    """What a snapshot of *root* would hold."""

    root: Path
    folders: list[Folder]
    left_out: list[tuple[str, str]]
    count: int
    bytes: int
    began: float

    @property
    def files(self) -> list[File]:
        """Every file, in the order of the folders."""
        return [File(join(f.path, s[0]), s[1]) for f in self.folders for s in f.files]

    def paths(self) -> Iterator[str]:
        """Every path that the snapshot would hold."""
        for folder in self.folders:
            yield from (join(folder.path, entry[0]) for entry in folder.files)
            yield from (join(folder.path, name) for name, _ in folder.links)

    @property
    def signature(self) -> str:
        """Changes when anything that was looked at did."""
        digest = hashlib.sha256()
        for folder in self.folders:
            digest.update(os.fsencode(folder.path) + b"\0" + folder.signature)
        return digest.hexdigest()


def join(folder: str, name: str) -> str:
    """A path relative to the root."""
    return f"{folder}/{name}" if folder else name


class Scanner:
    """One look at one root."""

    def __init__(self, root: Path, include: Sequence[str], limits: tuple[int, int], known: dict[str, Folder]) -> None:
        self.root, self.includes, self.known = root, Includes(include), known
        self.max_bytes, self.max_files = limits
        self.base = os.fspath(root)
        self.seed = "\0".join(self.includes.globs)
        self.began = time.time()
        self.ignore_file = ".gitignore"
        self.count = self.bytes = 0
        self.found: list[Folder] = []

    def scan(self) -> Plan:
        """Walk the folder; raises ``SnapshotError`` for what cannot or should not be packaged."""
        clock = time.monotonic()
        stack: list[tuple[str, Rules, bool]] = [("", Rules(signature=self.seed), False)]
        while stack:
            path, rules, only_included = stack.pop()
            folder, rules = self._look(path, rules, only_included)
            self.found.append(folder)
            self.count += len(folder.files) + len(folder.links)
            self.bytes += folder.bytes
            for name in folder.folders:
                inner = join(path, name)
                partly = only_included or (self._reason(inner, True, rules) is not None)
                stack.append((inner, rules, partly and not self.includes.brings(inner)))
            too_much = self.count > self.max_files or self.bytes > self.max_bytes
            if too_much and (not stack or time.monotonic() - clock > GUARD_SECONDS):
                raise self._too_large(complete=not stack)
        left_out = [pair for folder in self.found for pair in folder.left_out]
        self.found.sort(key=lambda f: f.path)
        return Plan(self.root, self.found, left_out, self.count, self.bytes, self.began)

    def _look(self, path: str, rules: Rules, only_included: bool) -> tuple[Folder, Rules]:
        place = f"{self.base}/{path}" if path else self.base
        entries: list[Stat] = []
        try:
            with os.scandir(place) as listing:
                for item in listing:
                    s = item.stat(follow_symlinks=False)
                    entries.append((item.name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_mode))
        except OSError as problem:
            raise _unreadable(path or ".", problem) from problem
        entries.sort()
        rules = self._rules(path, rules, entries)
        text = f"{rules.signature}\0{only_included}".encode("utf-8", "surrogateescape")
        # version 2 of marshal writes equal values as equal bytes; names may be no UTF-8
        names = "\0".join(entry[0] for entry in entries).encode("utf-8", "surrogateescape")
        figures = marshal.dumps([entry[1:] if not stat.S_ISDIR(entry[5]) else entry[5] for entry in entries], 2)
        signature = hashlib.blake2b(names + b"\0\0" + figures, key=hashlib.sha256(text).digest()).digest()
        before = self.known.get(path)
        if before is not None and before.signature == signature:
            return before, rules
        folder = Folder(path, signature, chunks=before.chunks if before else {})
        for entry in entries:
            self._sort(folder, entry, rules, only_included)
        folder.bytes = sum(entry[1] for entry in folder.files)
        return folder, rules

    def _rules(self, path: str, rules: Rules, entries: list[Stat]) -> Rules:
        names = {entry[0] for entry in entries if stat.S_ISREG(entry[5])}
        if path == "" and ".amlignore" in names:
            self.ignore_file = ".amlignore"
        wanted = self.ignore_file
        if wanted not in names or (path and wanted == ".amlignore"):
            return rules
        try:
            text = (self.root / path / wanted).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as problem:
            raise _unreadable(join(path, wanted), problem) from problem
        return rules.below(path, text, wanted)

    def _reason(self, path: str, is_folder: bool, rules: Rules) -> str | None:
        """Why a path stays out; None where it does not."""
        if rules.ignores(path, is_folder=is_folder):
            return "ignored"
        return default_reason(path, is_folder=is_folder, root=self.root)

    def _sort(self, folder: Folder, entry: Stat, rules: Rules, only_included: bool) -> None:
        """Put one entry where it belongs."""
        name, mode = entry[0], entry[5]
        path = join(folder.path, name)
        is_folder = stat.S_ISDIR(mode)
        if not self.includes.brings(path):
            reason = "not included" if only_included else self._reason(path, is_folder, rules)
            if reason is not None:
                if is_folder and self.includes.may_lie_in(path):
                    folder.folders.append(name)
                elif reason not in ("ignored", "not included"):
                    folder.left_out.append((path, reason))
                return
        if is_folder:
            folder.folders.append(name)
        elif stat.S_ISREG(mode):
            folder.files.append(entry)
        elif stat.S_ISLNK(mode):
            folder.links.append((name, self._link(path)))
        else:
            kind = "a FIFO" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
            raise SnapshotError(f"{path!r} is {kind} and cannot be packaged", hint=_ignore_hint(path))

    def _link(self, path: str) -> str:
        target = os.readlink(f"{self.base}/{path}")
        if not link_stays_inside(path, target):
            raise SnapshotError(f"the link {path!r} leads out of the folder, to {target!r}", hint=_ignore_hint(path))
        return target

    def _too_large(self, *, complete: bool) -> SnapshotError:
        sizes: dict[str, list[int]] = {}
        for folder in self.found:
            top = folder.path.partition("/")[0]
            for entry in folder.files:
                total = sizes.setdefault(f"{top}/" if top else entry[0], [0, 0])
                total[0] += entry[1]
                total[1] += 1
        by_bytes = self.bytes > self.max_bytes
        largest = sorted(sizes.items(), key=lambda item: item[1][0 if by_bytes else 1], reverse=True)[:_LARGEST]
        shown = "\n".join(f"    {size / 1e6:>10,.1f} MB {count:>9,} files  {name}" for name, (size, count) in largest)
        cures = "\n".join(f"      /{name}" for name, _ in largest[:3])
        least = "" if complete else "at least "
        return SnapshotError(
            f"{self.base} has {least}{self.count:,} files of {self.bytes / 1e6:,.1f} MB; the limits are "
            f"{self.max_files:,} files and {self.max_bytes / 1e6:,.0f} MB. The largest:\n{shown}",
            hint=f"leave them out: put such lines into {' or '.join(IGNORE_FILES)}\n{cures}\n"
            f"    or allow it with --max-snapshot {max(self.bytes, 1) * 2 // 10**6 + 1}MB",
        )


def _unreadable(path: str, problem: OSError) -> SnapshotError:
    return SnapshotError(f"{path!r} cannot be read: {problem.strerror or problem}", hint=_ignore_hint(path))


def _ignore_hint(path: str) -> str:
    return f"leave it out: put this line into .gitignore (or .amlignore)\n      /{path}"
