"""Looks at a source folder: what would be packaged, what stays out, and what has not changed since the last time.

Reads the folder; is given what ``snapshot`` remembers of it.  An unchanged folder costs its ``stat`` calls and
little more.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import stat
import time
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_mlrun.errors import SnapshotError
from jupyter_mlrun.store.ignore import (
    IGNORE_FILES,
    MAY_HOLD_SECRETS,
    SECRET_REASONS,
    Includes,
    Rules,
    default_reason,
    inside_secret_folder,
)
from jupyter_mlrun.worker.unpack import link_stays_inside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAX_BYTES = 300_000_000
MAX_FILES = 20_000
# how long an oversized folder is looked at, to name its largest parts
GUARD_SECONDS = 1.5
_BATCH = 10_000
_LARGEST = 8
_KIND = 0o170000

Stat = tuple[str, int, int, int, int, int]  # name, size, mtime ns, ctime ns, inode, mode


class File(NamedTuple):
    """One entry of a plan; ``path`` is relative to the root, ``size`` in bytes, ``kind`` is file or link."""

    path: str
    size: int
    mode: int
    kind: str


class Folder:
    """One folder as it was found: what of it is kept, and what was stored of it before.

    ``fragment`` is the folder's part of the manifest; None until its files are stored.  Of a remembered folder
    ``files`` and ``links`` are unpacked only when somebody asks for them.
    """

    __slots__ = (
        "_body", "_files", "_links", "before", "bytes", "count", "folders", "fragment", "left_out", "path",
        "signature", "warnings",
    )  # fmt: skip

    def __init__(self, path: str, signature: bytes, before: Folder | None = None) -> None:
        self.path, self.signature, self.before = path, signature, before
        self.count = self.bytes = 0
        self.folders: list[tuple[str, bool]] = []  # name, and whether only included things in it are kept
        self.left_out: list[tuple[str, str]] = []
        self.warnings: list[str] = []
        self.fragment: bytes | None = None
        self._files: list[Stat] = []
        self._links: list[tuple[str, str]] = []
        self._body = b""

    @property
    def files(self) -> list[Stat]:
        """Regular files, in order."""
        self._unpack()
        return self._files

    @property
    def links(self) -> list[tuple[str, str]]:
        """Names and targets of links, in order."""
        self._unpack()
        return self._links

    def _unpack(self) -> None:
        if self._body:
            self._files, self._links = marshal.loads(self._body)  # noqa: S302 -- ours; the cache file is checked
            self._body = b""

    def dump(self) -> tuple[Any, ...]:
        """What is remembered of it."""
        body = self._body or marshal.dumps((self._files, self._links))
        return (
            self.path, self.signature, self.count, self.bytes, self.folders, self.left_out, self.warnings,
            self.fragment, body,
        )  # fmt: skip

    @classmethod
    def load(cls, values: tuple[Any, ...]) -> Folder:
        """The folder of which ``dump`` gave *values*."""
        folder = cls(values[0], values[1])
        folder.count, folder.bytes, folder.folders, folder.left_out, folder.warnings = values[2:7]
        folder.fragment, folder._body = values[7:]
        return folder


@dataclass
class Known:
    """What is remembered of a root: its folders, the packs that have their objects, and the last snapshot."""

    folders: dict[str, Folder] = field(default_factory=dict)
    packs: list[str] = field(default_factory=list)
    signature: str = ""
    snapshot: tuple[str, int, int] | None = None  # id, entries, bytes


@dataclass
class Plan:
    """What a snapshot of *root* would hold."""

    root: Path
    folders: list[Folder]
    left_out: list[tuple[str, str]]
    warnings: list[str]
    count: int
    bytes: int
    max_bytes: int
    known: Known
    kind: str = ""  # what it is a plan of, besides a snapshot: each kind is remembered for itself

    @property
    def files(self) -> list[File]:
        """Every file and link, in the order of the folders."""
        found = []
        for folder in self.folders:
            found += [File(join(folder.path, s[0]), s[1], s[5], "file") for s in folder.files]
            found += [File(join(folder.path, name), 0, stat.S_IFLNK, "link") for name, _ in folder.links]
        return found

    def paths(self) -> Iterator[str]:
        """Every path that the snapshot would hold."""
        for folder in self.folders:
            yield from (join(folder.path, entry[0]) for entry in folder.files)
            yield from (join(folder.path, name) for name, _ in folder.links)

    @cached_property
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

    def __init__(self, root: Path, include: Sequence[str], limits: tuple[int, int], known: Known) -> None:
        self.root, self.includes, self.known = root, Includes(include), known
        self.max_bytes, self.max_files = limits
        self.base = os.fspath(root)
        self.seed = "\0".join(self.includes.globs)
        self.ignore_file = ".gitignore"
        self.count = self.bytes = 0
        self.found: list[Folder] = []
        self.deadline = time.monotonic() + GUARD_SECONDS

    def scan(self) -> Plan:
        """Walk the folder; raises ``SnapshotError`` for what cannot or should not be packaged."""
        stack: list[tuple[str, Rules, bool]] = [("", Rules(signature=self.seed), False)]
        while stack:
            path, rules, only_included = stack.pop()
            folder, rules = self._look(path, rules, only_included)
            self._add(folder, more=bool(stack or folder.folders))
            stack += ((join(path, name), rules, partly) for name, partly in folder.folders)
        self.found.sort(key=lambda f: f.path)
        left_out = [pair for folder in self.found for pair in folder.left_out]
        warnings = [text for folder in self.found for text in folder.warnings]
        counts = (self.count, self.bytes, self.max_bytes)
        return Plan(self.root, self.found, left_out, warnings, *counts, self.known)

    def _add(self, folder: Folder, *, more: bool) -> None:
        """Count a folder; over the limits the rest is looked at for a while, to name the largest parts."""
        self.found.append(folder)
        self.count += folder.count
        self.bytes += folder.bytes
        too_much = self.count > self.max_files or self.bytes > self.max_bytes
        if too_much and (not more or time.monotonic() > self.deadline):
            raise too_large(self, complete=not more)

    def _look(self, path: str, rules: Rules, only_included: bool) -> tuple[Folder, Rules]:
        try:
            entries = self._list(path, rules, only_included)
        except OSError as problem:
            raise unreadable(path or ".", problem) from problem
        rules = self._rules(path, rules, {entry[0] for entry in entries})
        text = f"{rules.signature}\0{only_included}".encode("utf-8", "surrogateescape")
        # a name may be no UTF-8, which marshal stands; version 2 writes equal values as equal bytes
        signature = hashlib.blake2b(marshal.dumps(entries, 2), key=hashlib.sha256(text).digest()).digest()
        before = self.known.folders.get(path)
        if before is not None and before.signature == signature:
            return before, rules
        folder = Folder(path, signature, before)
        entries.sort()
        for entry in entries:
            self._sort(folder, entry, rules, only_included)
        return folder, rules

    def _list(self, path: str, rules: Rules, only_included: bool) -> list[Stat]:
        """What is in a folder, as the file system has it; of folders within only names and modes count."""
        entries: list[Stat] = []
        add = entries.append
        probe = Folder(path, b"")
        with os.scandir(f"{self.base}/{path}" if path else self.base) as listing:
            while batch := list(islice(listing, _BATCH)):
                for item in batch:
                    try:
                        s = item.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # it went since it was listed
                    mode = s.st_mode
                    if mode & _KIND == stat.S_IFDIR:
                        add((item.name, 0, 0, 0, 0, mode))
                    else:
                        add((item.name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, mode))
                if len(batch) == _BATCH and time.monotonic() > self.deadline:
                    self._give_up_early(probe, entries[len(entries) - _BATCH :], rules, only_included)
        return entries

    def _give_up_early(self, probe: Folder, entries: list[Stat], rules: Rules, only_included: bool) -> None:
        """One folder may have a million files: it is not read to its end when the limits are passed already."""
        present = {name for name in IGNORE_FILES if (self.root / probe.path / name).is_file()}
        rules = self._rules(probe.path, rules, present)
        for entry in entries:
            self._sort(probe, entry, rules, only_included)
        if self.count + probe.count > self.max_files or self.bytes + probe.bytes > self.max_bytes:
            self._add(probe, more=True)

    def _rules(self, path: str, rules: Rules, names: set[str]) -> Rules:
        present = names.intersection(IGNORE_FILES)
        if path == "" and ".amlignore" in present:
            self.ignore_file = ".amlignore"
        wanted = self.ignore_file
        if wanted not in present or (path and wanted == ".amlignore"):
            return rules
        try:
            return rules.below(path, _text_of(f"{self.base}/{join(path, wanted)}"), wanted)
        except OSError as problem:
            raise unreadable(join(path, wanted), problem) from problem

    def _sort(self, folder: Folder, entry: Stat, rules: Rules, only_included: bool) -> None:
        """Put one entry where it belongs."""
        name, mode = entry[0], entry[5]
        path = join(folder.path, name)
        is_folder = stat.S_ISDIR(mode)
        reason = default_reason(path, is_folder=is_folder, is_file=stat.S_ISREG(mode), root=self.root)
        ignored = rules.ignores(path, is_folder=is_folder)
        if self.includes.brings(path):
            if reason in SECRET_REASONS or inside_secret_folder(path):
                why = reason or MAY_HOLD_SECRETS
                folder.warnings.append(f"{path!r} {why}, and is packaged because --include names it")
            self._keep(folder, entry, path, partly=False)
        elif not (reason or ignored or only_included):
            self._keep(folder, entry, path, partly=False)
        elif is_folder and self.includes.may_lie_in(path):
            folder.folders.append((name, True))
        elif reason and (not ignored or reason in SECRET_REASONS):
            folder.left_out.append((path, reason))

    def _keep(self, folder: Folder, entry: Stat, path: str, *, partly: bool) -> None:
        name, mode = entry[0], entry[5]
        if stat.S_ISDIR(mode):
            folder.folders.append((name, partly))
            return
        if stat.S_ISREG(mode):
            folder.files.append(entry)
            folder.bytes += entry[1]
        elif stat.S_ISLNK(mode):
            folder.links.append((name, self._link(path)))
        else:
            kind = "a FIFO" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
            raise SnapshotError(f"{path!r} is {kind} and cannot be packaged", hint=ignore_hint(path))
        folder.count += 1

    def _link(self, path: str) -> str:
        try:
            target = os.readlink(f"{self.base}/{path}")
        except OSError as problem:
            raise unreadable(path, problem) from problem
        steps = [step for step in target.split("/") if step not in ("", ".")]
        climbs = len(steps) - len([*_after_climbing(steps)])
        # "folder/.." may be anywhere when the folder is itself a link
        if not link_stays_inside(path, target) or ".." in steps[climbs:]:
            raise SnapshotError(f"the link {path!r} leads out of the folder, to {target!r}", hint=ignore_hint(path))
        return target


def _after_climbing(steps: list[str]) -> Iterator[str]:
    climbing = True
    for step in steps:
        climbing = climbing and step == ".."
        if not climbing:
            yield step


def _text_of(path: str) -> str:
    """The text of an ignore file; what has its name and is no regular file says nothing, as in git."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return ""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        return file.read().decode("utf-8", "surrogateescape")


def too_large(scanner: Scanner, *, complete: bool) -> SnapshotError:
    """The error that names the largest parts and the lines that would leave them out."""
    sizes: dict[str, list[int]] = {}
    for folder in scanner.found:
        top = folder.path.partition("/")[0]
        for entry in folder.files:
            total = sizes.setdefault(f"{top}/" if top else entry[0], [0, 0])
            total[0] += entry[1]
            total[1] += 1
    by_bytes = scanner.bytes > scanner.max_bytes
    largest = sorted(sizes.items(), key=lambda item: item[1][0 if by_bytes else 1], reverse=True)[:_LARGEST]
    shown = "\n".join(f"    {size / 1e6:>10,.1f} MB {count:>9,} files  {name}" for name, (size, count) in largest)
    cures = "\n".join(f"      /{name}" for name, _ in largest[:3])
    least = "" if complete else "at least "
    return SnapshotError(
        f"{scanner.base} has {least}{scanner.count:,} files of {scanner.bytes / 1e6:,.1f} MB; the limits are "
        f"{scanner.max_files:,} files and {scanner.max_bytes / 1e6:,.0f} MB. The largest:\n{shown}",
        hint=f"leave them out: put such lines into {' or '.join(IGNORE_FILES)}\n{cures}\n"
        f"    or allow it with --max-snapshot {max(scanner.bytes, MAX_BYTES) * 2 // 10**6 + 1}MB",
    )


def unreadable(path: str, problem: OSError) -> SnapshotError:
    """The error for a path that cannot be read."""
    return SnapshotError(f"{path!r} cannot be read: {problem.strerror or problem}", hint=ignore_hint(path))


def ignore_hint(path: str) -> str:
    """The line that leaves *path* out."""
    return f"leave it out: put this line into .gitignore (or .amlignore)\n      /{path}"
