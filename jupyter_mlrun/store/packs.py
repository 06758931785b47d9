"""The content store: objects named by their SHA-256, in append-only packs that describe themselves.

Reads and writes ``objects/packs/*.pack`` and ``*.idx`` (docs/format-objects.md).  Each writing process has a pack
of its own, so writing needs no lock; an object is there once the pack's index is.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import Conflict, CorruptObject, StoreError
from jupyter_mlrun.rundir import FILE_MODE, make_folder, sync_folder, write_all
from jupyter_mlrun.store.packfile import (
    FRAME,
    FRAME_MAGIC,
    PACK_HEAD,
    PACK_MAGIC,
    Entry,
    Index,
    damaged,
    frames,
    write_index,
)  # fmt: skip
from jupyter_mlrun.worker import unpack
from jupyter_mlrun.worker.unpack import VERSION, PackReader, read_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor
    from pathlib import Path
    from typing import BinaryIO

CHUNK = unpack.CHUNK
FULL_PACK = 256 << 20
_BUFFER = 4 << 20
_BUFFERS = 8
SMALL_PACK = 8 << 20
MANY_PACKS = 32

# as many parts as one call writes
_PARTS = 1024

_FULL_DISK = "nothing was left behind; free space there (jupyter mlrun gc) and try again"

Buffer = bytes | memoryview


class PackWriter:
    """Packs that are being written; nothing of one is visible before it is sealed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []  # of every pack that it sealed
        self.fresh: set[bytes] = set()
        self.bytes = 0  # of the objects that were put
        self._pack: _Pack | None = None
        self._full: _Pack | None = None  # brought to the disk while the next one is written
        self._sealing: Future[None] | None = None
        self._threads: tuple[ThreadPoolExecutor, ThreadPoolExecutor] | None = None  # who writes, who seals
        self._busy: deque[Future[None]] = deque()

    def put(self, data: bytes, digest: bytes | None = None) -> str:
        """Append an object unless this writer has it already; returns its digest."""
        digest = digest or hashlib.sha256(data).digest()
        if digest not in self.fresh:
            pack = self._room()
            self._enter(pack, digest, len(data))
            pack.waiting += (FRAME.pack(FRAME_MAGIC, len(data), digest), data)
            pack.waiting_bytes += FRAME.size + len(data)
            if pack.waiting_bytes >= _BUFFER:
                self._flush(pack)
        return digest.hex()

    def put_frames(self, views: list[memoryview], objects: list[tuple[bytes, int]]) -> Future[None] | None:
        """Append whole frames, which together are *objects*: digests and numbers of bytes.

        What is under the views must stay as it is until the future is done; where it is None, it has been copied.
        """
        pack = self._room()
        for digest, size in objects:
            self._enter(pack, digest, size)
        pack.waiting_bytes += sum(map(len, views))
        if pack.waiting_bytes < _BUFFER and self._threads is None:
            pack.waiting += map(bytes, views)
            return None
        pack.waiting += views
        return self._flush(pack)

    def put_stream(self, stream: BinaryIO) -> list[str]:
        """Append everything that *stream* gives, in chunks; returns their digests."""
        return [self.put(data) for data in iter(lambda: stream.read(CHUNK), b"")]

    def _enter(self, pack: _Pack, digest: bytes, size: int) -> None:
        pack.entries.append((digest, pack.size + FRAME.size, size))
        pack.size += FRAME.size + size
        self.bytes += size
        self.fresh.add(digest)

    def _room(self) -> _Pack:
        """A pack that is not full."""
        if self._pack is not None and self._pack.size >= FULL_PACK:
            self._await_full()
            self._flush(self._pack)
            self._full, self._pack = self._pack, None
            self._sealing = self._workers()[1].submit(self._full.seal)
        if self._pack is None:
            self._pack = _Pack(self.folder)
        return self._pack

    def _await_full(self) -> None:
        if self._full is not None and self._sealing is not None:
            self._sealing.result()
            self.names.append(self._full.path.name)
            self._full.close()
            self._full = self._sealing = None

    def _workers(self) -> tuple[ThreadPoolExecutor, ThreadPoolExecutor]:
        from concurrent.futures import ThreadPoolExecutor

        if self._threads is None:
            self._threads = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        return self._threads

    def _flush(self, pack: _Pack) -> Future[None]:
        """Hand what waits to a thread, so that the disk works while we read and hash."""
        while len(self._busy) >= _BUFFERS:
            self._busy.popleft().result()
        done = self._workers()[0].submit(_append, pack.fd, pack.waiting)
        self._busy.append(done)
        pack.writes.append(done)
        pack.waiting, pack.waiting_bytes = [], 0
        return done

    def seal(self) -> None:
        """Bring the bytes to the disk, then the index that makes them visible."""
        self._await_full()
        if self._pack is not None:
            self._pack.seal()
            self.names.append(self._pack.path.name)
            self._pack.close()
            self._pack = None
        self._stop()

    def discard(self, *, keep: bool = False) -> None:
        """Forget what is not sealed, or with *keep* seal what is whole: somebody will try again.

        Sealed objects stay: somebody may have built on them.
        """
        self._stop(cancel=not keep)
        for pack in (self._full, self._pack):
            if pack is None:
                continue
            index = pack.path.with_suffix(".idx")
            if keep and not index.exists():
                with suppress(OSError):  # it goes then; what is under way already is what matters
                    pack.seal()
            if index.exists():
                self.names.append(pack.path.name)
            else:
                # while its lock is held nobody takes it for a leftover and makes an index
                pack.path.unlink(missing_ok=True)
            pack.close()
        self._full = self._pack = self._sealing = None

    def _stop(self, *, cancel: bool = False) -> None:
        for threads in self._threads or ():
            threads.shutdown(cancel_futures=cancel)
        self._threads = None
        self._busy.clear()


class _Pack:
    """A pack that is being written."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{int(time.time()):011d}-{os.getpid()}-{secrets.token_hex(4)}.pack"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self.fd = os.open(self.path, flags, FILE_MODE)
        # held while we live: tells fsck and gc that this pack is no leftover.  Who looks holds it for a moment
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        self.entries: list[Entry] = []
        self.waiting: list[Buffer] = [PACK_HEAD.pack(PACK_MAGIC, VERSION, 0)]
        self.waiting_bytes = self.size = PACK_HEAD.size
        self.writes: list[Future[None]] = []

    def seal(self) -> None:
        for write in self.writes:
            write.result()
        _append(self.fd, self.waiting)
        os.fsync(self.fd)
        write_index(self.path, self.entries)

    def close(self) -> None:
        os.close(self.fd)


def _append(fd: int, parts: list[Buffer]) -> None:
    """Write every byte of *parts* without putting them together first."""
    for start in range(0, len(parts), _PARTS):
        some = parts[start : start + _PARTS]
        written, wanted = os.writev(fd, some), sum(map(len, some))
        if written < wanted:
            write_all(fd, b"".join(some)[written:])


class ObjectStore:
    """The objects of one workspace."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.packs = root / "packs"
        self.manifests = root / "manifests"
        self.lock = root / "lock"
        self._reader: PackReader | None = None
        self._indexes: dict[str, Index] = {}

    def make(self) -> ObjectStore:
        """Make its folders."""
        for folder in (self.packs, self.manifests, self.root / "cache"):
            make_folder(folder)
        return self

    def reader(self) -> PackReader:
        """A reader of what is there now."""
        return PackReader(str(self.root))

    @contextmanager
    def writer(self, *, keep: bool = False) -> Iterator[PackWriter]:
        """A pack to write to: sealed at the end, gone after an error.  ``gc`` waits meanwhile.

        With *keep*, what is whole stays after an error, for whoever tries again.  A full disk gets back what the
        pack under way took; ``withdraw`` gives back the rest.
        """
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
                    hint=_FULL_DISK,
                ) from problem
            except BaseException:
                writer.discard(keep=keep)
                raise

    @contextmanager
    def _locked(self, how: int) -> Iterator[int]:
        fd = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(fd, how)
            yield fd
        finally:
            os.close(fd)

    def find(self, digest: bytes) -> str | None:
        """The name of a pack that has this object, as of the last ``refresh``; None where there is none."""
        return next((name for name, index in self._indexes.items() if digest in index), None)

    def refresh(self) -> None:
        """Look which packs there are."""
        try:
            names = {name for name in os.listdir(self.packs) if not name.startswith(".")}
        except FileNotFoundError:
            names = set()
        whole = {name for name in names if name.endswith(".pack") and f"{name[:-5]}.idx" in names}
        for name in self._indexes.keys() - whole:
            del self._indexes[name]
        for name in sorted(whole - self._indexes.keys()):
            with suppress(FileNotFoundError):  # gc was quicker
                self._indexes[name] = Index((self.packs / name).with_suffix(".idx"))

    def has_packs(self, names: Iterable[str]) -> bool:
        """Whether all these packs are still there."""
        places = (self.packs / name for name in names)
        return all(place.exists() and place.with_suffix(".idx").exists() for place in places)

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Those of *digests* that are not in the store."""
        self.refresh()
        return [digest for digest in digests if self.find(bytes.fromhex(digest)) is None]

    def get(self, digest: str) -> bytes:
        """The bytes of an object, checked; ``CorruptObject`` names one that is damaged."""
        if self._reader is None:
            self._reader = self.reader()
        try:
            return self._reader.read(bytes.fromhex(digest))
        except FileNotFoundError:  # gc has moved it to another pack
            self.close()
            self._reader = self.reader()
            return self._reader.read(bytes.fromhex(digest))

    def close(self) -> None:
        """Let go of the packs that ``get`` opened."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

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
                bad = damaged(pack, read_index(str(index)))
            except CorruptObject as problem:
                problems.append(problem.message)
            else:
                problems += [f"object {digest} in {pack} is damaged" for digest in bad]
        return problems

    def adopt(self) -> int:
        """Make what killed writers left whole visible, as ``recover`` does, but with a look only at leftovers.

        The caller has a ``writer``, so that gc takes nothing away meanwhile.  Returns how many packs that were.
        """
        count = 0
        names = set(os.listdir(self.packs))
        for name in sorted(names):
            if name.endswith(".pack") and f"{name[:-5]}.idx" not in names:
                with suppress(FileNotFoundError):  # its writer was there, and has thrown it away
                    count += _adopt(self.packs / name)
        return count

    def withdraw(self, names: Iterable[str], live: Callable[[], set[str]]) -> bool:
        """Remove these packs, of which nothing is in *live*; False where somebody is writing and may need them."""
        with self._locked(fcntl.LOCK_SH) as fd:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            needed = {bytes.fromhex(digest) for digest in live()}
            packs = [self.packs / name for name in names if self.has_packs([name])]
            unused = [p for p in packs if needed.isdisjoint(e[0] for e in read_index(str(p.with_suffix(".idx"))))]
            self._remove(unused)
            return len(unused) == len(packs)

    def recover(self) -> int:
        """Index what killed writers left whole; returns how many packs that were."""
        count = 0
        for pack in sorted(self.packs.glob("*.pack")):
            try:
                read_index(str(pack.with_suffix(".idx")))
            except (FileNotFoundError, CorruptObject):
                if not _is_being_written(pack):
                    _sync(pack)
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
        before = self._size()
        self._sweep(now - grace)
        reader = self.reader()
        dead: list[Path] = []
        sparse: dict[Path, list[bytes]] = {}
        try:
            for pack in old:
                entries = read_index(str(pack.with_suffix(".idx"))) if pack.with_suffix(".idx").exists() else []
                kept = [e for e in entries if e[0] in live and reader.places[e[0]][0] == str(pack)]
                size = pack.stat().st_size
                if not kept:
                    dead.append(pack)
                elif sum(FRAME.size + e[2] for e in kept) < size / 2 or (len(old) > MANY_PACKS and size < SMALL_PACK):
                    sparse[pack] = [e[0] for e in kept]
            # these first: on a full disk they make the room that moving the others needs
            self._remove(dead)
            self._move(sparse, reader)
        finally:
            reader.close()
        return {"packs": len(dead) + len(sparse), "bytes": max(0, before - self._size())}

    def _sweep(self, before: float) -> None:
        """Remove files that killed processes were writing aside; nobody writes now."""
        for folder in (self.packs, self.manifests, self.root / "cache"):
            for path in folder.glob(".*.new"):
                with suppress(FileNotFoundError):  # the cache is written without the lock
                    if path.stat().st_mtime < before:
                        path.unlink()

    def _size(self) -> int:
        return sum(pack.stat().st_size for pack in self.packs.glob("*.pack"))

    def _move(self, sparse: dict[Path, list[bytes]], reader: PackReader) -> None:
        """Write what is needed of these packs anew; they go when that is on the disk."""
        moving = PackWriter(self.packs)
        try:
            for digests in sparse.values():
                for digest in digests:
                    moving.put(reader.read(digest), digest)
            moving.seal()
        except OSError as problem:
            moving.discard()
            raise StoreError(
                f"packs in {self.packs} cannot be written anew: {problem.strerror or problem}",
                hint="nothing is lost; free some space there and try again",
            ) from problem
        except BaseException:
            moving.discard()
            raise
        self._remove(sparse)

    def _remove(self, packs: Iterable[Path]) -> None:
        # the index first: bytes without an index are garbage, an index without bytes would be damage
        for pack in packs:
            pack.with_suffix(".idx").unlink(missing_ok=True)
            pack.unlink()
        sync_folder(self.packs)


def _adopt(pack: Path) -> bool:
    """Index what is whole in a pack without index; whether that was something.  One with nothing whole goes."""
    with pack.open("rb") as file:
        # one that was only just begun has no byte, and no lock yet
        if not os.fstat(file.fileno()).st_size:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        entries = [entry for entry, fits in frames(pack) if fits]
        # its writer may have sealed it, or thrown it away, before we had the lock
        if pack.with_suffix(".idx").exists() or not os.fstat(file.fileno()).st_nlink:
            return False
        if not entries:
            pack.unlink()
            return False
        os.fsync(file.fileno())
        write_index(pack, entries)
        return True


def _sync(pack: Path) -> None:
    with pack.open("rb") as file:
        os.fsync(file.fileno())


def _is_being_written(pack: Path) -> bool:
    with pack.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
