"""Pours the files of a plan into the content store: several are read and hashed at once, straight into frames.

Reads the files; writes objects and a manifest (docs/format-objects.md).  Memory is bounded, however large a file is.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_mlrun.errors import SnapshotError, StoreError
from jupyter_mlrun.store import remembered
from jupyter_mlrun.store.datascan import base_of
from jupyter_mlrun.store.manifests import (
    Snapshot,
    entries_of,
    file_entry,
    list_manifests,
    read_manifest,
    texts_of,
    write_manifest,
)  # fmt: skip
from jupyter_mlrun.store.packfile import FRAME
from jupyter_mlrun.store.packs import CHUNK
from jupyter_mlrun.store.reading import (
    BUFFER,
    TRIES,
    Big,
    Buffers,
    Filling,
    Read,
    Source,
    chunks_with_data,
    moving,
    open_source,
    read_chunk,
    read_small,
    stat_of,
)  # fmt: skip
from jupyter_mlrun.store.scan import join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from jupyter_mlrun.store.packs import ObjectStore, PackWriter
    from jupyter_mlrun.store.scan import Folder, Plan, Stat

    _Work = Callable[[memoryview], Any]
    _Done = Callable[[Any, memoryview], None]

THREADS = max(2, min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2))
BUFFERS = 2 * THREADS + 2
MOST_FILES = 256
# larger than any file system makes them but as holes
MOST_SIZE = 16 << 40
_STAYS = (
    "free space there and upload again: what was stored already is not stored again "
    "(without that, gc removes it when it is a day old)"
)


class Progress(NamedTuple):
    """How far an upload is: ``event`` is begin, part (of one with several chunks) or end of the file *path*.

    Files and bytes that did not change since the last upload count as done from the beginning; ``bytes_new`` are
    those that were not in the store.
    """

    event: str
    path: str
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    bytes_new: int


def take_data(store: ObjectStore, plan: Plan, *, progress: Callable[[Progress], None] | None = None) -> Snapshot:
    """Store what *plan* names; the manifest appears last, and what a killed upload left whole is not stored again.

    *progress* is called from this thread, at the begin and end of each file that is read and at each part of it.
    Raises ``SnapshotError`` for a file that cannot be read or does not keep still, ``StoreError`` for a full disk,
    which has its room back then.
    """
    store.make()
    same = remembered.unchanged(store, plan)
    if same is not None:
        return same
    _check_sizes(plan)
    names: list[str] = []
    try:
        # gc waits from the look at what is there until the manifest says what is needed of it
        with store.writer(keep=True) as writer:
            names = writer.names
            store.adopt()
            with closing(_Pour(store, writer, plan, progress)) as pour:
                folders = pour.folders()
            writer.seal()
            parts = {folder.path: folder.fragment or b"" for folder in folders}
            count, size = sum(f.count for f in folders), sum(f.bytes for f in folders)
            found = Snapshot(write_manifest(store, parts, size), count, size)
    except StoreError as problem:
        if not _gives_room_back(store, names):
            problem.hint = _STAYS
        raise
    with suppress(OSError):  # what is not remembered is only read again; the upload is there
        remembered.remember(store, plan, folders, pour.packs, found)
    return found


def _gives_room_back(store: ObjectStore, names: list[str]) -> bool:
    """Remove the packs that were full already; whether they are gone."""

    def live() -> set[str]:
        return {digest for one in list_manifests(store) for digest in read_manifest(store, one).digests()}

    try:
        return not names or store.withdraw(names, live)
    except (OSError, StoreError):  # the first problem is the one to tell
        return False


def _check_sizes(plan: Plan) -> None:
    for folder in plan.folders:
        if folder.bytes > MOST_SIZE:
            for name, size, *_ in folder.files:
                if size > MOST_SIZE:
                    raise SnapshotError(
                        f"{join(folder.path, name)!r} has {size:,} bytes; the most is {MOST_SIZE:,}",
                        hint="nothing was uploaded; a sparse file this large has little to upload: cut it",
                    )


class _Pour:
    """Reads the files of a plan with several threads; this one puts what they have read into the store, in order."""

    def __init__(
        self, store: ObjectStore, writer: PackWriter, plan: Plan, progress: Callable[[Progress], None] | None
    ) -> None:
        self.store, self.writer, self.plan, self.progress = store, writer, plan, progress
        self.base = base_of(plan)
        self.files_done = self.bytes_done = 0
        self._used: set[str] = set()
        # the objects of a remembered folder are in these packs; while these are there, so are they
        self._trusted = store.has_packs(plan.known.packs)
        if self._trusted:
            self._used.update(plan.known.packs)
        store.refresh()
        self._buffers = Buffers(BUFFERS)
        self._readers = ThreadPoolExecutor(THREADS)
        self._steps: deque[_Step] = deque()
        self._again: list[Source] = []
        self._bigs: set[int] = set()
        self._parts: dict[int, int] = {}  # bytes of large files that were read, by what these are open as

    def close(self) -> None:
        """Let go of the files and threads."""
        self._readers.shutdown(cancel_futures=True)
        for fd in self._bigs:
            os.close(fd)

    @property
    def packs(self) -> list[str]:
        """The packs that have all of it."""
        return sorted({*self._used, *self.writer.names})

    def folders(self) -> list[Folder]:
        """Every folder of the plan as it is stored."""
        found: list[Folder] = []
        sources: list[Source] = []
        fillings = []
        for folder in self.plan.folders:
            if folder.fragment is not None and self._has_all_of(folder.fragment):
                self.files_done += folder.count
                self.bytes_done += folder.bytes
                found.append(folder)
            else:
                filling = Filling(folder)
                fillings.append(filling)
                found.append(filling.found)
                sources += self._to_read(filling)
        while sources:
            self._read(sources)
            sources, self._again = self._again, []
        for filling in fillings:
            filling.end()
        return found

    # ---- what is there ---------------------------------------------------------------------------------

    def _has_all_of(self, part: bytes) -> bool:
        return self._trusted or all(self._has(entry.get("chunks", ())) for entry in entries_of(part))

    def _has(self, chunks: Sequence[str]) -> bool:
        return self._trusted or all(self._is_there(bytes.fromhex(chunk)) for chunk in chunks)

    def _is_there(self, digest: bytes) -> bool:
        name = self.store.find(digest)
        if name is not None:
            self._used.add(name)
        return name is not None

    def _to_read(self, filling: Filling) -> Iterator[Source]:
        """The files of a folder that are not remembered; the others are added."""
        folder = filling.folder
        before = folder if folder.fragment is not None else folder.before
        kept = self._kept(before) if before is not None and before.fragment else {}
        for said in folder.files:
            text = kept.get(said)
            if text is not None:
                filling.keep(said, text)
                self.files_done += 1
                self.bytes_done += said[1]
            else:
                yield Source(filling, said[0], join(folder.path, said[0]), said[1])

    def _kept(self, before: Folder) -> dict[Stat, str]:
        """The files of a folder as it was, whose objects are there, with their part of the manifest."""
        part = before.fragment or b""
        texts = texts_of(part)
        if not self._trusted or len(texts) != len(before.files):
            # of a file that was too young to be trusted there is an entry, but none in ``files``
            entries = {entry["path"].rpartition("/")[2]: entry["chunks"] for entry in entries_of(part)}
            files = [said for said in before.files if self._has(entries[said[0]])]
            return {s: file_entry(join(before.path, s[0]), s[1], s[5], entries[s[0]]) for s in files}
        return dict(zip(before.files, texts, strict=True))

    # ---- reading ---------------------------------------------------------------------------------------

    def _read(self, sources: list[Source]) -> None:
        for work, done in self._works(sources):
            buffer = self._buffer()
            self._steps.append(_Step(self._readers.submit(work, buffer), done, buffer))
        while self._steps:
            self._finish()

    def _works(self, sources: list[Source]) -> Iterator[tuple[_Work, _Done]]:
        """What a thread does with a buffer, and what is done then: each for many small files or for one chunk."""
        batch: list[Source] = []
        free = BUFFER
        for source in sources:
            if source.tries <= 0:
                raise moving(source.path)
            if source.tries == TRIES:
                self._say("begin", source.path)
            if source.size > CHUNK:
                yield from self._chunks(source)
                continue
            free -= FRAME.size + source.size
            if free < 0 or len(batch) >= MOST_FILES:
                yield partial(read_small, self.base, batch), self._add_small
                batch, free = [], BUFFER - FRAME.size - source.size
            batch.append(source)
        if batch:
            yield partial(read_small, self.base, batch), self._add_small

    def _chunks(self, source: Source) -> Iterator[tuple[_Work, _Done]]:
        fd, before = open_source(self.base, source)
        self._bigs.add(fd)
        big = Big(source, fd, before)
        place = 0
        for number in chunks_with_data(fd, before):
            self._add_hole(big, place, number)
            big.waiting += 1
            yield partial(read_chunk, big, number), partial(self._add_chunk, big, number)
            place = number + 1
        self._add_hole(big, place, len(big.chunks))
        self._asked(big)

    def _buffer(self) -> memoryview:
        """A free buffer; what was read into the others is stored first where that is needed."""
        while (buffer := self._buffers.take(wait=not self._steps)) is None:
            self._finish()
        return buffer

    def _finish(self) -> None:
        step = self._steps.popleft()
        step.done(step.future.result(), step.buffer)

    # ---- storing ---------------------------------------------------------------------------------------

    def _add_small(self, result: tuple[list[Read], list[Source]], buffer: memoryview) -> None:
        found, large = result
        self._again += large
        self._put(buffer, [(read.digest, read.start, read.said[1]) for read in found if read.said[1]])
        for read in found:
            chunks = [read.digest.hex()] if read.said[1] else []
            self._end(read.source, read.said, chunks, young=read.young)

    def _add_chunk(self, big: Big, number: int, result: tuple[bytes, int], buffer: memoryview) -> None:
        digest, size = result
        self._put(buffer, [(digest, 0, size)])
        big.chunks[number] = digest.hex()
        big.is_short |= size != min(CHUNK, big.before.st_size - number * CHUNK)
        self._parts[big.fd] = self._parts.get(big.fd, 0) + size
        self._say("part", big.source.path)
        self._asked(big)

    def _add_hole(self, big: Big, first: int, end: int) -> None:
        """Store the zeros of the chunks from *first* to *end*."""
        size = big.before.st_size
        if first < end and end * CHUNK > size:
            end -= 1
            big.chunks[end] = self._zeros(size - end * CHUNK)
        if first < end:
            big.chunks[first:end] = [self._zeros(CHUNK)] * (end - first)

    def _zeros(self, size: int) -> str:
        data = bytes(size)
        digest = hashlib.sha256(data).digest()
        return digest.hex() if self._is_there(digest) else self.writer.put(data, digest)

    def _asked(self, big: Big) -> None:
        """One chunk less to wait for; after the last one the file must still be what it was."""
        big.waiting -= 1
        if big.waiting:
            return
        after = os.fstat(big.fd)
        self._bigs.remove(big.fd)
        self._parts.pop(big.fd, None)
        os.close(big.fd)
        said = stat_of(big.source.name, after)
        again = big.source._replace(size=after.st_size, tries=big.source.tries - 1)
        if big.is_short or said != stat_of(big.source.name, big.before):
            self._again.append(again)
        elif big.young and big.chunks != big.source.seen:
            # it may have changed without a new time: it must be the same twice
            self._again.append(again._replace(seen=big.chunks))
        else:
            self._end(big.source, said, big.chunks, young=big.young)

    def _put(self, buffer: memoryview, objects: list[tuple[bytes, int, int]]) -> None:
        """Store those objects of a buffer that are new; the buffer is free when they are written."""
        views: list[tuple[int, int]] = []
        fresh: dict[bytes, int] = {}
        for digest, start, size in objects:
            if digest in self.writer.fresh or digest in fresh or self._is_there(digest):
                continue
            fresh[digest] = size
            end = start + FRAME.size + size
            if views and views[-1][1] == start:
                views[-1] = (views[-1][0], end)
            else:
                views.append((start, end))
        done = self.writer.put_frames([buffer[a:b] for a, b in views], list(fresh.items())) if fresh else None
        if done is None:
            self._buffers.give(buffer)
        else:
            done.add_done_callback(lambda _: self._buffers.give(buffer))

    def _end(self, source: Source, said: Stat, chunks: Sequence[str], *, young: bool) -> None:
        source.filling.add(said, chunks, young=young)
        self.files_done += 1
        self.bytes_done += said[1]
        self._say("end", source.path)

    def _say(self, event: str, path: str) -> None:
        if self.progress is not None:
            done = self.bytes_done + sum(self._parts.values())
            counts = (self.files_done, self.plan.count, done, self.plan.bytes, self.writer.bytes)
            self.progress(Progress(event, path, *counts))


class _Step(NamedTuple):
    """A buffer that a thread reads into."""

    future: Future[Any]
    done: _Done
    buffer: memoryview
