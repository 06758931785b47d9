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

    def _records(self, fd: int, place: int, count: int) -> Words:
        """Up to *count* whole records from *place* on."""
        assert self.header is not None
        size = self.header.record_size
        data = bytearray(count * size)
        got = os.preadv(fd, [data], self.header.size + place * size)
        return np.frombuffer(data, "<u8", got // size * (size // 8)).reshape(-1, size // 8)

    def _fresh(self, fd: int) -> Iterator[Points]:
        """What lies behind the last record that was seen."""
        assert self.header is not None
        size = self.header.record_size
        at_once = max(1, CHUNK // size)
        place, empty = self._next, 0
        while empty <= max(MOST_EMPTY, 2 * at_once * size):
            records = self._records(fd, place, at_once)
            if not len(records):
                return
            written = records[:, 0] != 0
            count = len(written) - int(written[::-1].argmax()) if written.any() else 0
            if count:
                empty = 0
                self._next = place + count
                points, good = self._verify(records[:count])
                if not good.all():
                    self._hold_back(np.flatnonzero(~good) + place, written[:count][~good])
                yield points
            empty += (len(records) - count) * size
            place += len(records)

    def _again(self, fd: int) -> Iterator[Points]:
        """Records that were not complete when they were passed over, and are now."""
        places, self._pending = self._pending, []
        self._damaged.clear()
        for place in places:
            records = self._records(fd, place, 1)
            # where the file was cut, what is gone may be on its way
            points, good = self._verify(records) if len(records) else (None, np.array([False]))
            if points is not None and good[0]:
                yield points
            else:
                self._hold_back(np.array([place]), records[:1, 0] != 0)

    def _hold_back(self, places: Ints, written: Bools) -> None:
        """Look at *places* again the next time; those *written* are damaged for now."""
        self._pending += places.tolist()
        self._damaged.update(places[written].tolist() if len(written) else [])
        for old in self._pending[:-MOST_PENDING]:
            self._given_up += old in self._damaged
            self._damaged.discard(old)
        del self._pending[:-MOST_PENDING]

    def _verify(self, records: Words) -> tuple[Points, Bools]:
        """The good ones of *records*, and which they are."""
        assert self.header is not None
        # one copy, a contiguous line per field
        lines: Words = np.ascontiguousarray(records.T)
        if self.header.kind == form.ROW:
            good = _rows_good(records, self.header.salt)
            signed = (lines if good.all() else lines[:, good]).view(np.int64)
            return Points(signed[1], signed[2], signed[3:]), good
        heads = _heads(lines, self.header.salt)
        # a head is 24 bits of name and 8 bits of kind; 0 is no kind
        good = (heads < 1 << 32) & ((heads & np.uint64(0xFF)) - np.uint64(1) < len(form.KINDS) - 1) & (lines[0] != 0)
        if not good.all():
            lines, heads = lines[:, good], heads[good]
        signed = lines.view(np.int64)
        ids, kinds = (heads >> np.uint64(8)).astype(np.uint32), heads.astype(np.uint8)
        return Points(signed[1], signed[2], signed[3:], ids, kinds), good


def _heads(lines: Words, salt: int) -> Words:
    """The heads of scalar records; numbers far over 32 bits where a record is damaged."""
    code: Words = lines[1] * _STEP_FACTOR
    code ^= lines[2] * _TIME_FACTOR
    code ^= lines[3]
    code ^= lines[0]
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
    schema = [(str(name), int(kind)) for name, kind in json.loads(header.meta)]
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
