"""Metric segments as a reader sees them: verified records, each given out once, whatever the file has been through.

Reads ``<run_dir>/metrics/*`` while it is being written; writes nothing.  A record that is not complete, or damaged,
is passed over, counted, and looked at again the next time; its neighbours are not harmed.
"""

from __future__ import annotations

import json
import os
import stat
import zlib
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jupyter_mlrun.worker import segformat as form

if TYPE_CHECKING:
    from collections.abc import Iterator

Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

CHUNK = 512 << 10  # read and verified at once: it stays in the processor's cache
BATCH = 64 << 20  # given out at once: bounds what a long history takes on the way
MOST_EMPTY = 4 << 20  # this much that nobody has written ends the search
MOST_PENDING = 4096  # records that are looked at again; older ones are given up
LARGEST_HEADER = 16 << 20
_HEAD_FACTOR, _STEP_FACTOR, _TIME_FACTOR = (
    np.uint64(n) for n in (form.HEAD_INVERSE, form.STEP_FACTOR, form.TIME_FACTOR)
)


@dataclass
class Points:
    """Points of one or several metrics, in the order in which they were logged.

    Scalars have an ``ids`` and a ``kinds`` entry per point and one line of ``values``;
    rows have neither, and a line of ``values`` per metric of ``Segment.schema``.
    """

    steps: Ints
    times: Ints
    values: Ints
    ids: npt.NDArray[np.uint32] | None = None
    kinds: npt.NDArray[np.uint8] | None = None

    def part(self, which: slice | Ints) -> Points:
        """Some of the points."""
        ids = None if self.ids is None else self.ids[which]
        kinds = None if self.kinds is None else self.kinds[which]
        return Points(self.steps[which], self.times[which], self.values[:, which], ids, kinds)


class Segment:
    """One segment file and how far it was read.  ``refresh`` gives what came since the last call."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.header: form.Header | None = None
        self.schema: list[tuple[str, int]] = []
        self.problem: str | None = None
        self.dropped = self.misused = 0
        self._next = 0
        self._pending: list[int] = []
        self._damaged: set[int] = set()
        self._given_up = 0

    @property
    def skipped(self) -> int:
        """Records that are damaged (or still being written)."""
        return len(self._damaged) + self._given_up

    @property
    def holes(self) -> int:
        """Places that were passed over unwritten: calls that were cut off, or are not over yet."""
        return len(self._pending) - len(self._damaged)

    @property
    def next_at(self) -> int | None:
        """The offset where the next record is to come; None while the header is not known."""
        return None if self.header is None else self.header.size + self._next * self.header.record_size

    def refresh(self) -> list[Points]:
        """The points that are complete and were not given out before."""
        self.problem = None
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as problem:
            self.problem = str(problem)
            return []
        try:
            return self._refresh(fd)
        except (ValueError, OSError) as problem:
            # a copy may be incomplete: the next call tries again
            self.problem = str(problem)
            return []
        finally:
            os.close(fd)

    def _refresh(self, fd: int) -> list[Points]:
        if not stat.S_ISREG(os.fstat(fd).st_mode) or not self._read_header(fd):
            return []
        found = [*self._again(fd), *self._fresh(fd)]
        return [points for points in found if points.steps.size]

    def _read_header(self, fd: int) -> bool:
        if self.header is None:
            start = os.pread(fd, form.PAGE, 0)
            size = int.from_bytes(start[12:16], "little")
            if form.PAGE < size <= LARGEST_HEADER:
                start += os.pread(fd, size - form.PAGE, form.PAGE)
            header = form.parse_header(start)
            if header is None:
                return False
            self.schema = _schema(header)
            self.header = header
        counters = os.pread(fd, 16, form.DROPPED_AT)
        self.dropped, self.misused = (int.from_bytes(counters[at : at + 8], "little") for at in (0, 8))
        return True

    def _fresh(self, fd: int) -> Iterator[Points]:
        """What lies behind the last record that was seen."""
        assert self.header is not None
        size = self.header.record_size
        rest = (os.fstat(fd).st_size - self.header.size) // size - self._next
        at_once = max(1, CHUNK // size)
        buffer = bytearray(min(rest, at_once) * size)
        place, empty = self._next, 0
        while rest > 0 and empty <= MOST_EMPTY:
            batch = _Batch(min(rest, max(at_once, BATCH // size)), size // 8)
            while batch.room and empty <= MOST_EMPTY:
                records = self._records(fd, place, memoryview(buffer)[: batch.room * size])
                seen = self._take(records, place, batch)
                empty = 0 if seen else empty + records.nbytes
                place += len(records)
                rest -= len(records)
                if not len(records):
                    rest = batch.room = 0
            yield batch.points(self.header.kind)

    def _take(self, records: Words, place: int, batch: _Batch) -> bool:
        """Put the good ones of *records* into *batch*; whether any was written at all."""
        batch.room -= len(records)
        written = records[:, 0] != 0
        if not written.any():
            return False
        count = len(written) - int(written[::-1].argmax())
        self._next = place + count
        good = self._verify(records[:count], batch)
        if good is not None:
            self._hold_back(np.flatnonzero(~good) + place, written[:count][~good])
        return True

    def _records(self, fd: int, place: int, buffer: memoryview) -> Words:
        """Whole records from *place* on, as many as there are and *buffer* takes."""
        assert self.header is not None
        size = self.header.record_size
        got = os.preadv(fd, [buffer], self.header.size + place * size)
        return np.frombuffer(buffer, "<u8", got // size * (size // 8)).reshape(-1, size // 8)

    def _again(self, fd: int) -> Iterator[Points]:
        """Records that were not complete when they were passed over, and are now."""
        assert self.header is not None
        places, self._pending = self._pending, []
        self._damaged.clear()
        batch = _Batch(len(places), self.header.record_size // 8)
        buffer = memoryview(bytearray(self.header.record_size))
        for place in places:
            records = self._records(fd, place, buffer)
            # where the file was cut, what is gone may be on its way
            if not len(records) or self._verify(records, batch) is not None:
                self._hold_back(np.array([place]), records[:1, 0] != 0)
        if places:
            yield batch.points(self.header.kind)

    def _hold_back(self, places: Ints, written: Bools) -> None:
        """Look at *places* again the next time; those *written* are damaged for now."""
        self._pending += places.tolist()
        self._damaged.update(places[written].tolist() if len(written) else [])
        for old in self._pending[:-MOST_PENDING]:
            self._given_up += old in self._damaged
            self._damaged.discard(old)
        del self._pending[:-MOST_PENDING]

    def _verify(self, records: Words, batch: _Batch) -> Bools | None:
        """Add the good ones of *records* to *batch*; which they are, or None where all are."""
        assert self.header is not None
        if self.header.kind == form.ROW:
            good = _rows_good(records, self.header.salt)
            heads = None
        else:
            heads = _heads(records, self.header.salt)
            # a head is 24 bits of name and 8 bits of kind; 0 is no kind
            good = (heads < 1 << 32) & ((heads & np.uint64(0xFF)) - np.uint64(1) < len(form.KINDS) - 1)
            good &= records[:, 0] != 0
        if good.all():
            batch.add(records, heads)
            return None
        batch.add(records[good], None if heads is None else heads[good])
        return good


class _Batch:
    """Room for verified records, a contiguous line per field: large arrays cost few page faults."""

    def __init__(self, room: int, width: int) -> None:
        self.room, self._count = room, 0
        self._lines = np.empty((width - 1, room), np.int64)
        self._heads = np.empty(room, np.uint32)

    def add(self, records: Words, heads: Words | None) -> None:
        start, end = self._count, self._count + len(records)
        self._lines[:, start:end] = records.view(np.int64).T[1:]
        if heads is not None:
            self._heads[start:end] = heads
        self._count = end

    def points(self, kind: int) -> Points:
        lines, heads = self._lines[:, : self._count], self._heads[: self._count]
        if self._count < self._lines.shape[1] // 2:
            # a few points must not keep the room for many alive
            lines = lines.copy()
        if kind == form.ROW:
            return Points(lines[0], lines[1], lines[2:])
        return Points(lines[0], lines[1], lines[2:], heads >> np.uint32(8), heads.astype(np.uint8))


def _heads(records: Words, salt: int) -> Words:
    """The heads of scalar records; numbers far over 32 bits where a record is damaged."""
    code: Words = records[:, 1] * _STEP_FACTOR
    code ^= records[:, 2] * _TIME_FACTOR
    code ^= records[:, 3]
    code ^= records[:, 0]
    code ^= np.uint64(salt)
    code *= _HEAD_FACTOR
    return code


def _rows_good(records: Words, salt: int) -> Bools:
    width = (records.shape[1] - 1) * 8
    rest = np.ascontiguousarray(records[:, 1:]).view(f"V{width}").ravel().tolist()
    checks = np.fromiter(map(zlib.crc32, rest, repeat(salt & 0xFFFFFFFF)), np.uint64, len(rest))
    good: Bools = records[:, 0] == (checks << np.uint64(32) | np.uint64(form.ROW_MARK))
    return good


def _schema(header: form.Header) -> list[tuple[str, int]]:
    """What a row segment's columns are; ``ValueError`` where header and records do not fit together."""
    if header.kind == form.SCALAR and header.record_size == form.SCALAR_SIZE:
        return []
    if header.kind != form.ROW:
        raise ValueError("a segment of unknown kind")
    try:
        schema = [(str(name), int(kind)) for name, kind in json.loads(header.meta)]
    except (TypeError, ValueError, RecursionError):
        raise ValueError("damaged header") from None
    fits = header.record_size == form.ROW_FIXED + 8 * len(schema)
    if not fits or not all(0 < kind < len(form.KINDS) for _, kind in schema):
        raise ValueError("damaged header")
    return schema


class SideFile:
    """A file of ``[id, value]`` lines that only grows; lines that are torn or none of ours are passed over."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.values: dict[int, Any] = {}
        self._offset = 0

    def refresh(self) -> None:
        """Read the whole lines that came since the last call."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            # most processes log no text: there is no such file
            return
        try:
            size = os.fstat(fd).st_size
            data = os.pread(fd, size - self._offset, self._offset) if size > self._offset else b""
        finally:
            os.close(fd)
        end = data.rfind(b"\n") + 1
        self._offset += end
        for line in data[:end].split(b"\n"):
            if line:
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], int):
            self.values[entry[0]] = entry[1]
