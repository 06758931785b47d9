"""The content store: objects named by their SHA-256, in append-only packs that describe themselves.

Reads and writes ``objects/packs/*.pack`` and ``*.idx`` (docs/format-objects.md).  Each writing process has a pack
of its own, so writing needs no lock; an object is there once the pack's index is.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import struct
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import Conflict, CorruptObject, StoreError
from jupyter_mlrun.rundir import FILE_MODE, make_folder, sync_folder, write_all, write_atomic
from jupyter_mlrun.worker.unpack import INDEX_ENTRY, INDEX_HEAD, INDEX_MAGIC, VERSION, PackReader, read_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

PACK_HEAD = struct.Struct("<8sII")  # magic, version, zero
PACK_MAGIC = b"JMLRPACK"
FRAME = struct.Struct("<4sQ32s")  # magic, number of bytes, their digest; the bytes follow
FRAME_MAGIC = b"OBJ1"
_BUFFER = 4 << 20
SMALL_PACK = 8 << 20
MANY_PACKS = 32

Entry = tuple[bytes, int, int]


class PackWriter:
    """One pack that is being written; nothing of it is visible before ``seal``."""

    def __init__(self, folder: Path) -> None:
        name = f"{int(time.time()):011d}-{os.getpid()}-{secrets.token_hex(4)}"
        self.path = folder / f"{name}.pack"
        self.entries: list[Entry] = []
        self._fd = -1
        self._offset = PACK_HEAD.size
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    def put(self, data: bytes, digest: bytes) -> None:
        """Append an object."""
        if self._fd < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(self.path, flags, FILE_MODE)
            # held while we live: tells fsck and gc that this pack is no leftover
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            write_all(self._fd, PACK_HEAD.pack(PACK_MAGIC, VERSION, 0))
        self._waiting += (FRAME.pack(FRAME_MAGIC, len(data), digest), data)
        self._waiting_bytes += FRAME.size + len(data)
        self.entries.append((digest, self._offset + FRAME.size, len(data)))
        self._offset += FRAME.size + len(data)
        if self._waiting_bytes >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        write_all(self._fd, b"".join(self._waiting))
        self._waiting, self._waiting_bytes = [], 0

    def seal(self) -> None:
        """Bring the bytes to the disk, then the index that makes them visible."""
        if self._fd < 0:
            return
        self._flush()
        os.fsync(self._fd)
        write_index(self.path, self.entries)
        os.close(self._fd)
        self._fd = -1

    def discard(self) -> None:
        """Forget everything that was written."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self.path.unlink(missing_ok=True)


def write_index(pack: Path, entries: Iterable[Entry]) -> None:
    """Write the sorted index beside a pack; from then on its objects are there."""
    sorted_entries = sorted(entries)
    body = INDEX_HEAD.pack(INDEX_MAGIC, VERSION, len(sorted_entries))
    body += b"".join(INDEX_ENTRY.pack(*entry) for entry in sorted_entries)
    write_atomic(pack.with_suffix(".idx"), body + hashlib.sha256(body).digest())


def frames(pack: Path) -> Iterator[tuple[Entry, bool]]:
    """Every whole object of a pack, in order, and whether its bytes fit its digest."""
    with pack.open("rb") as file:
        if file.read(PACK_HEAD.size)[:8] != PACK_MAGIC:
            return
        while len(head := file.read(FRAME.size)) == FRAME.size:
            magic, size, digest = FRAME.unpack(head)
            if magic != FRAME_MAGIC:
                return
            offset = file.tell()
            data = file.read(size)
            if len(data) < size:
                return
            yield (digest, offset, size), hashlib.sha256(data).digest() == digest


class ObjectStore:
    """The objects of one workspace."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.packs = root / "packs"
        self.manifests = root / "manifests"
        self.lock = root / "lock"

    def make(self) -> ObjectStore:
        """Make its folders."""
        for folder in (self.packs, self.manifests, self.root / "cache"):
            make_folder(folder)
        return self

    def reader(self) -> PackReader:
        """A reader of what is there now."""
        return PackReader(str(self.root))

    @contextmanager
    def writer(self) -> Iterator[PackWriter]:
        """A pack to write to: sealed at the end, gone after an error.  ``gc`` waits meanwhile."""
        self.make()
        with self._locked(fcntl.LOCK_SH):
            writer = PackWriter(self.packs)
            try:
                yield writer
                writer.seal()
            except OSError as problem:
                writer.discard()
                raise StoreError(
                    f"the content store {self.root} cannot be written: {problem.strerror or problem}",
                    hint="nothing was left behind; free space there (jupyter mlrun gc) and try again",
                ) from problem
            except BaseException:
                writer.discard()
                raise

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        fd = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(fd, how)
            yield
        finally:
            os.close(fd)

    def get(self, digest: str) -> bytes:
        """The bytes of an object, checked."""
        reader = self.reader()
        try:
            return reader.read(bytes.fromhex(digest))
        finally:
            reader.close()

    def verify(self, progress: Callable[[str], None] | None = None) -> list[str]:
        """Read every byte; what is wrong, in words."""
        problems = []
        for pack in sorted(self.packs.glob("*.pack")):
            if progress is not None:
                progress(pack.name)
            index = pack.with_suffix(".idx")
            if not index.exists():
                if not _is_being_written(pack):
                    problems.append(f"{pack} has no index: it is left over, or waits for fsck --rebuild")
                continue
            try:
                wanted = set(read_index(str(index)))
            except CorruptObject as problem:
                problems.append(problem.message)
                continue
            seen = dict(frames(pack))
            bad = sorted(entry[0].hex() for entry in wanted if not seen.get(entry))
            problems += [f"object {digest} in {pack} is damaged" for digest in bad]
        return problems

    def recover(self) -> int:
        """Index what killed writers left whole; returns how many packs that were."""
        count = 0
        for pack in sorted(self.packs.glob("*.pack")):
            try:
                read_index(str(pack.with_suffix(".idx")))
            except (FileNotFoundError, CorruptObject):
                if not _is_being_written(pack):
                    write_index(pack, [entry for entry, fits in frames(pack) if fits])
                    count += 1
        return count

    def gc(
        self, live: set[str] | Callable[[], set[str]], *, grace: float = 86400.0, now: float | None = None
    ) -> dict[str, int]:
        """Remove objects that nothing needs; ``{"packs": removed, "bytes": freed}``.

        *live*, where it is a function, is asked when nobody else can write any more, so nothing comes in between.
        Young packs stay (*grace*, seconds).  Raises ``Conflict`` while something is being written.  Packs that
        are mostly dead, and small ones when there are many, are written anew first.
        """
        self.make()
        fd = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as problem:
                raise Conflict("the content store is being written to", hint="try again in a moment") from problem
            needed = live() if callable(live) else live
            return self._collect({bytes.fromhex(d) for d in needed}, grace, time.time() if now is None else now)
        finally:
            os.close(fd)

    def _collect(self, live: set[bytes], grace: float, now: float) -> dict[str, int]:
        old = [pack for pack in sorted(self.packs.glob("*.pack")) if now - pack.stat().st_mtime > grace]
        going: list[Path] = []
        moving = PackWriter(self.packs)
        reader = self.reader()
        before = sum(pack.stat().st_size for pack in self.packs.glob("*.pack"))
        try:
            for pack in old:
                entries = read_index(str(pack.with_suffix(".idx"))) if pack.with_suffix(".idx").exists() else []
                kept = [entry for entry in entries if entry[0] in live and reader.places[entry[0]][0] == str(pack)]
                size = pack.stat().st_size
                mostly_dead = sum(entry[2] for entry in kept) < size / 2
                if mostly_dead or (len(old) > MANY_PACKS and size < SMALL_PACK):
                    for digest, _, _ in kept:
                        moving.put(reader.read(digest), digest)
                    going.append(pack)
            moving.seal()
        except BaseException:
            moving.discard()
            raise
        finally:
            reader.close()
        for pack in going:
            # the index first: bytes without an index are garbage, an index without bytes would be damage
            pack.with_suffix(".idx").unlink(missing_ok=True)
            pack.unlink()
        sync_folder(self.packs)
        after = sum(pack.stat().st_size for pack in self.packs.glob("*.pack"))
        return {"packs": len(going), "bytes": max(0, before - after)}


def _is_being_written(pack: Path) -> bool:
    with pack.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
