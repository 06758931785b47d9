"""Looks at a folder or file that is data: everything in it, wherever its links lead.

Reads the folder; is given what is remembered of it.  Nothing is ignored, and nothing is opened but folders.
"""

from __future__ import annotations

import errno
import hashlib
import marshal
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import SnapshotError
from jupyter_mlrun.store import remembered
from jupyter_mlrun.store.scan import Folder, Known, Plan, join
from jupyter_mlrun.worker.deep import LONG, Reach, open_below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_mlrun.store.packs import ObjectStore
    from jupyter_mlrun.store.scan import Stat

KIND = "data"
NO_LIMIT = 1 << 62
SHOWN = 20
# a folder that links lead to this often would be there without end
MOST_VISITS = 1000
_KIND = 0o170000
_FOR_ALL = 0o444

# why something is left out; the place in this list goes into the signature
NOWHERE, LOOP, ITSELF, FIFO, SOCKET, DEVICE = range(6)
WHY = (
    "a link that leads nowhere",
    "a link to itself or to a folder above it",
    "the content store itself",
    "a FIFO",
    "a socket",
    "a device",
)

Above = tuple[int, int, "Above | None"]  # device and inode of a folder, and of the one above it


def scan_data(root: Path, *, store: ObjectStore | None = None) -> Plan:
    """Look at everything in the folder *root*, or at the one file *root*, without reading or writing a byte of it.

    Links are followed; what cannot be stored (links that lead nowhere or round in a circle, FIFOs, sockets, devices)
    is left out and named in ``left_out``.  Empty folders are no part of a tree.  With *store*, folders that have not
    changed since the last upload of *root* are taken as they were.
    Raises ``SnapshotError`` that names what cannot be read.
    """
    absolute = Path(os.path.abspath(root))
    known = remembered.load(store, absolute, KIND) if store is not None else Known()
    return _Scanner(absolute, known, store).scan()


def base_of(plan: Plan) -> str:
    """The folder that the paths of a plan begin in."""
    single = len(plan.folders) == 1 and plan.folders[0].path == "" and not os.path.isdir(plan.root)
    return os.path.dirname(plan.root) if single else os.fspath(plan.root)


class _Scanner:
    """One look at one root."""

    def __init__(self, root: Path, known: Known, store: ObjectStore | None) -> None:
        self.root, self.known = root, known
        self.base = os.fspath(root)
        self.found: list[Folder] = []
        self.unreadable: list[str] = []
        self.visits: dict[tuple[int, int], int] = {}
        self.itself: tuple[int, int] | None = None
        self.uid = os.geteuid()
        self.reach = Reach(self.base)
        if store is not None:
            with suppress(OSError):
                s = os.stat(store.root)
                self.itself = s.st_dev, s.st_ino

    def scan(self) -> Plan:
        try:
            s = os.stat(self.root)
        except OSError as problem:
            raise SnapshotError(f"{self.base} cannot be read: {problem.strerror or problem}") from problem
        if stat.S_ISREG(s.st_mode):
            self.base = os.path.dirname(self.base)
            name = os.path.basename(self.root)
            self.found.append(self._folder("", [(name, *_said(s))]))
        elif stat.S_ISDIR(s.st_mode):
            try:
                self._walk((s.st_dev, s.st_ino, None))
            finally:
                self.reach.close()
        else:
            raise SnapshotError(f"{self.base} is {WHY[_special(s.st_mode)]} and cannot be uploaded")
        if self.unreadable:
            raise self._cannot_read()
        self.found.sort(key=lambda folder: folder.path)
        left_out = [pair for folder in self.found for pair in folder.left_out]
        count, size = sum(f.count for f in self.found), sum(f.bytes for f in self.found)
        return Plan(self.root, self.found, left_out, [], count, size, NO_LIMIT, self.known, KIND)

    def _walk(self, top: Above) -> None:
        stack = [("", top)]
        while stack:
            path, here = stack.pop()
            below: dict[str, Above] = {}
            try:
                entries = self._list(path, here, below)
            except FileNotFoundError:
                continue  # it went since its name was read
            except OSError as problem:
                self._cannot(path or ".", problem)
                continue
            folder = self._folder(path, entries)
            self.found.append(folder)
            stack += ((join(path, name), below[name]) for name, _ in folder.folders)

    def _list(self, path: str, here: Above, below: dict[str, Above]) -> list[Stat]:
        """What is in a folder; into *below* goes who its folders are."""
        entries: list[Stat] = []
        add = entries.append
        for item in self._items(path):
            try:
                s = item.stat(follow_symlinks=False)
                kind = s.st_mode & _KIND
                if kind == stat.S_IFLNK:
                    s = item.stat()
                    kind = s.st_mode & _KIND
            except OSError as problem:
                self._no_stat(entries, join(path, item.name), item, problem)
                continue
            if kind == stat.S_IFREG:
                add((item.name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_mode))
            elif kind == stat.S_IFDIR:
                why = self._why_not(path, (s.st_dev, s.st_ino), here, linked=item.is_symlink())
                add((item.name, 0, 0, 0, 0, kind) if why is None else (item.name, why, 0, 0, 0, 0))
                below[item.name] = (s.st_dev, s.st_ino, here)
            else:
                add((item.name, _special(kind), 0, 0, 0, 0))
        entries.sort()
        return entries

    def _items(self, path: str) -> Iterator[os.DirEntry[str]]:
        text = f"{self.base}/{path}" if path else self.base
        if len(text) < LONG:
            with os.scandir(text) as listing:
                yield from listing
            return
        with os.scandir(self.reach.folder(path)) as listing:
            yield from listing

    def _no_stat(self, entries: list[Stat], path: str, item: os.DirEntry[str], problem: OSError) -> None:
        """Something that has no ``stat``: it went, or it is a link that leads nowhere."""
        if problem.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            if item.is_symlink():
                entries.append((item.name, LOOP if problem.errno == errno.ELOOP else NOWHERE, 0, 0, 0, 0))
        else:
            self._cannot(path, problem)

    def _why_not(self, path: str, who: tuple[int, int], here: Above | None, *, linked: bool) -> int | None:
        """Why this folder is left out, as a place in ``WHY``; None for one that is looked into."""
        if who == self.itself:
            return ITSELF
        while linked and here is not None:
            if here[:2] == who:
                return LOOP
            here = here[2]
        self.visits[who] = visits = self.visits.get(who, 0) + 1
        if visits > MOST_VISITS:
            raise SnapshotError(
                f"links in {self.root} lead to one folder over {MOST_VISITS:,} times; the last is in {path or '.'!r}",
                hint="remove some of these links, or upload the folder that they lead to by itself",
            )
        return None

    def _folder(self, path: str, entries: list[Stat]) -> Folder:
        # a name may be no UTF-8, which marshal stands; version 2 writes equal values as equal bytes
        signature = hashlib.blake2b(marshal.dumps(entries, 2)).digest()
        before = self.known.folders.get(path)
        if before is not None and before.signature == signature:
            return before
        folder = Folder(path, signature, before)
        for entry in entries:
            kind = entry[5] & _KIND
            if kind == stat.S_IFREG:
                folder.files.append(entry)
                folder.bytes += entry[1]
                folder.count += 1
                # root reads everything
                if self.uid and entry[5] & _FOR_ALL != _FOR_ALL:
                    self._try(join(path, entry[0]))
            elif kind == stat.S_IFDIR:
                folder.folders.append((entry[0], False))
            else:
                folder.left_out.append((join(path, entry[0]), WHY[entry[1]]))
        return folder

    def _try(self, path: str) -> None:
        """See whether the file can be opened: who may do that is more than its mode says."""
        try:
            os.close(open_below(self.base, path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except FileNotFoundError:
            return  # told when it is read
        except OSError as problem:
            self._cannot(path, problem)

    def _cannot(self, path: str, problem: OSError) -> None:
        self.unreadable.append(f"{path!r} ({problem.strerror or problem})")

    def _cannot_read(self) -> SnapshotError:
        shown = "\n".join(f"    {text}" for text in sorted(self.unreadable)[:SHOWN])
        more = len(self.unreadable) - SHOWN
        rest = f"\n    and {more:,} more" if more > 0 else ""
        return SnapshotError(
            f"{len(self.unreadable):,} of the files and folders in {self.root} cannot be read:\n{shown}{rest}",
            hint="nothing was uploaded; make them readable (chmod -R u+rX), or upload a folder without them",
        )


def _said(s: os.stat_result) -> tuple[int, int, int, int, int]:
    return (s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_mode)


def _special(mode: int) -> int:
    return FIFO if stat.S_ISFIFO(mode) else SOCKET if stat.S_ISSOCK(mode) else DEVICE
