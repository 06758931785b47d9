"""Reads files for an upload: whole ones or chunk by chunk, straight into frames, as they were at one moment.

Reads the files.  What takes long (read, hash) leaves the interpreter to other threads.
"""

from __future__ import annotations

import errno
import hashlib
import os
import queue
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from jupyter_mlrun.errors import SnapshotError
from jupyter_mlrun.store import remembered
from jupyter_mlrun.store.manifests import file_entry, fragment
from jupyter_mlrun.store.packfile import FRAME, FRAME_MAGIC
from jupyter_mlrun.store.packs import CHUNK
from jupyter_mlrun.store.scan import Folder, join
from jupyter_mlrun.worker.deep import open_below

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jupyter_mlrun.store.scan import Stat

TRIES = 4
# a buffer takes one chunk, or small files until it is full
BUFFER = CHUNK + (64 << 10)
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Filling:
    """A folder whose files are being read, and as it will be remembered."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.found = Folder(folder.path, folder.signature)
        self.found.folders, self.found.left_out, self.found.count = folder.folders, folder.left_out, folder.count
        self.entries: dict[str, str] = {}

    def keep(self, said: Stat, text: str) -> None:
        """A file that is as it was, and its part of the manifest."""
        self.entries[said[0]] = text
        self.found.bytes += said[1]
        self.found.files.append(said)

    def add(self, said: Stat, chunks: Sequence[str], *, young: bool) -> None:
        """A file and its chunks; one that is young may change again without a trace, and is not remembered."""
        name, size = said[:2]
        self.entries[name] = file_entry(join(self.found.path, name), size, said[5], chunks)
        self.found.bytes += size
        if not young:
            self.found.files.append(said)

    def end(self) -> None:
        """Every file has been added."""
        self.found.files.sort()
        if self.found.files != self.folder.files:
            self.found.signature = b""  # looked at again next time
        self.found.fragment = fragment(self.entries)


class Source(NamedTuple):
    """A file that is to be read."""

    filling: Filling
    name: str
    path: str
    size: int  # as it was when its folder was looked at
    tries: int = TRIES
    seen: Sequence[str] = ()  # its chunks, when it was read before


class Read(NamedTuple):
    """A file that was read into a buffer, where its frame begins at ``start``."""

    source: Source
    said: Stat
    young: bool
    digest: bytes
    start: int


class Big:
    """A file of several chunks that is being read."""

    def __init__(self, source: Source, fd: int, before: os.stat_result) -> None:
        self.source, self.fd, self.before = source, fd, before
        self.young = _is_young(before)
        self.chunks = [""] * -(-before.st_size // CHUNK)
        self.waiting = 1  # until all of its chunks are asked for
        self.is_short = False


def _is_young(s: os.stat_result) -> bool:
    return max(s.st_mtime_ns, s.st_ctime_ns) >= time.time_ns() - remembered.RACY_NS


def stat_of(name: str, s: os.stat_result) -> Stat:
    """What is remembered of a file's ``stat``."""
    return (name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_mode)


def _cannot(path: str, why: str) -> SnapshotError:
    return SnapshotError(f"{path!r} cannot be uploaded: {why}", hint="upload again when nothing writes to it")


def moving(path: str) -> SnapshotError:
    """The error for a file that does not keep still."""
    return _cannot(path, "it changed while it was read")


def open_source(base: str, source: Source) -> tuple[int, os.stat_result]:
    """The file, and what it is now."""
    try:
        fd = open_below(base, source.path, _FLAGS)
    except OSError as problem:
        raise _cannot(source.path, problem.strerror or str(problem)) from problem
    said = os.fstat(fd)
    if not stat.S_ISREG(said.st_mode):
        os.close(fd)
        raise _cannot(source.path, "it is no regular file any more")
    return fd, said


def _fill(fd: int, view: memoryview, place: int, path: str) -> int:
    """Read into *view* what stands at *place* in the file; how many bytes that were."""
    total = 0
    try:
        while total < len(view) and (got := os.preadv(fd, [view[total:]], place + total)):
            total += got
    except OSError as problem:
        raise SnapshotError(f"{path!r} cannot be read: {problem.strerror or problem}") from problem
    return total


def read_small(base: str, sources: list[Source], buffer: memoryview) -> tuple[list[Read], list[Source]]:
    """Read whole files into frames, one behind the other; and those that have become too large for that."""
    found: list[Read] = []
    large: list[Source] = []
    place = 0
    for source in sources:
        last = b""
        for _ in range(TRIES):
            fd, before = open_source(base, source)
            try:
                start, size = place + FRAME.size, before.st_size
                if start + size > len(buffer) or size > CHUNK:
                    large.append(source._replace(size=size, tries=source.tries - 1))
                    break
                young, view = _is_young(before), buffer[start : start + size]
                is_whole = _fill(fd, view, 0, source.path) == size
                after = os.fstat(fd)
            finally:
                os.close(fd)
            said = stat_of(source.name, after)
            if not is_whole or said != stat_of(source.name, before):
                continue
            digest = hashlib.sha256(view).digest()
            # a young file may change without a new time: then it must be the same twice
            if not young or digest == last:
                FRAME.pack_into(buffer, place, FRAME_MAGIC, size, digest)
                found.append(Read(source, said, young, digest, place))
                place = start + size
                break
            last = digest
        else:
            raise moving(source.path)
    return found, large


def read_chunk(big: Big, number: int, buffer: memoryview) -> tuple[bytes, int]:
    """Read one chunk into a frame; its digest, and how many bytes it has."""
    place = number * CHUNK
    view = buffer[FRAME.size : FRAME.size + min(CHUNK, big.before.st_size - place)]
    got = _fill(big.fd, view, place, big.source.path)
    digest = hashlib.sha256(view[:got]).digest()
    FRAME.pack_into(buffer, 0, FRAME_MAGIC, got, digest)
    return digest, got


def chunks_with_data(fd: int, said: os.stat_result) -> Iterator[int]:
    """The numbers of the chunks that are no holes."""
    last = -(-said.st_size // CHUNK)
    if said.st_blocks * 512 >= said.st_size:
        yield from range(last)
        return
    number = 0
    while number < last:
        try:
            start = os.lseek(fd, number * CHUNK, os.SEEK_DATA)
            end = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError as problem:
            if problem.errno != errno.ENXIO:  # the file system knows no holes
                yield from range(number, last)
            return
        yield from range(start // CHUNK, -(-end // CHUNK))
        number = -(-end // CHUNK)


class Buffers:
    """So many buffers and no more; each is used again, because new memory costs as much as what is read into it."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()

    def take(self, *, wait: bool) -> memoryview | None:
        """A free buffer; where there is none, wait for one, or None."""
        try:
            return self._free.get_nowait()
        except queue.Empty:
            if self._left:
                self._left -= 1
                return memoryview(bytearray(BUFFER))
            return self._free.get() if wait else None

    def give(self, buffer: memoryview) -> None:
        """The buffer is not needed any more."""
        self._free.put(buffer)
