"""A log's lines by number: a sparse index that grows with the file, windows and search in bounded time and memory.

Reads one ``user_logs/std_log*.txt`` while it is written, each byte once for the index; writes nothing.
"""

from __future__ import annotations

import os
import re
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

from jupyter_mlrun.store import text

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_LINES = 1000  # an entry of the index is at most so many lines after the one before …
STEP_BYTES = 256 << 10  # … and begins the first line that is so many bytes after it
SLICE = 16 << 20  # read for the index in one call
PIECE = 1 << 20
SEARCHED = 8 << 20  # bytes looked through in one call
LONG = 2 * STEP_BYTES  # a block longer than this ends in a line that is looked at in parts
HEAD, TAIL = 16 << 10, 64 << 10  # bytes of such a line
NEWLINE = 10

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?")
COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_PIECES = re.compile(r"\x1b\[[0-9;:]*m|.", re.DOTALL)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x0d\x0e-\x1a\x1c-\x1f\x7f\x80-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_PLAIN = b"\t\n" + bytes(range(0x20, 0x7F))


class LogLines:
    """The lines of one log, from 0; ``refresh`` notes what came, bounded; the rest is by number."""

    def __init__(self, path: str | os.PathLike[str], gap: Callable[[], tuple[int, int] | None] = lambda: None) -> None:
        self.path = os.fspath(path)
        self._gap_now = gap
        self._forget()
        self._file: tuple[int, int] | None = None

    def _forget(self) -> None:
        self.size = 0  # bytes of the file, as last seen
        self.read = 0  # of them, those that the index knows
        self.ended = 0  # lines with their line end
        self.generation = getattr(self, "generation", -1) + 1
        self.gap: tuple[int, int] | None = None
        self._open = 0  # where the unfinished last line starts
        self._before = (0, 0)  # that line's number and start as they were before the last refresh
        self._window: tuple[tuple[int, int, int, int | None], list[str]] | None = None  # the last that was asked for
        self._numbers, self._starts = array("q", [0]), array("q", [0])

    @property
    def total(self) -> int:
        """Lines so far, an unfinished one included."""
        return self.ended + self.partial

    @property
    def partial(self) -> bool:
        """Whether the last line has no end yet."""
        return self.read > self._open

    @property
    def behind(self) -> bool:
        """Whether there is more that the index does not know yet."""
        return self.read < self.size

    @property
    def entries(self) -> int:
        """The index's size."""
        return len(self._starts)

    def refresh(self) -> bool:
        """Note what came, at most ``SLICE`` bytes of it; whether anything did.

        A log that was replaced or cut is read from its beginning (``generation`` rises).
        """
        try:
            info = os.stat(self.path)
        except FileNotFoundError:
            if self.size:
                self._forget()
                return True
            return False
        file = (info.st_dev, info.st_ino)
        if info.st_size == self.size and file == self._file and not self.behind:
            return False
        if file != self._file or info.st_size < self.read:
            if self._file is not None:
                self._forget()
            self._file = file
        self.size = info.st_size
        self._take()
        return True

    def _take(self) -> None:
        self.gap = self._gap_now()
        self._before = (self.ended, self._open)
        fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            until = min(self.size, self.read + SLICE)
            while self.read < until:
                if self.gap is not None and self.gap[0] <= self.read < self.gap[1]:
                    # given back to the file system: nothing is there
                    self.read = min(self.gap[1], self.size)
                    until = min(self.size, self.read + SLICE)
                    continue
                data = os.pread(fd, min(PIECE, until - self.read), self.read)
                if not data:
                    self.size = self.read
                    return
                self._note(data)
        finally:
            os.close(fd)

    def _note(self, data: bytes) -> None:
        ends = np.flatnonzero(np.frombuffer(data, np.uint8) == NEWLINE)
        base, at = self.read, 0
        while at < len(ends):
            # the next entry: the first line start that is far enough from the last one
            by_lines = at + STEP_LINES - 1 - (self.ended + at - self._numbers[-1])
            by_bytes = int(np.searchsorted(ends, self._starts[-1] + STEP_BYTES - base - 1))
            place = max(at, min(by_lines, by_bytes))
            if place >= len(ends):
                break
            self._numbers.append(self.ended + place + 1)
            self._starts.append(base + int(ends[place]) + 1)
            at = place + 1
        if len(ends):
            self._open = base + int(ends[-1]) + 1
            self.ended += len(ends)
        self.read += len(data)

    # ---- lines by number -----------------------------------------------------------------------------------

    def lines(self, start: int, end: int, limit: int | None = None) -> list[str]:
        """Lines *start* to before *end*, as a terminal would show them, colours kept; *limit*: bytes of all."""
        start, end = max(0, start), min(end, self.total)
        if start >= end:
            return []
        asked = (start, end, self.read, limit)
        if self._window is None or self._window[0] != asked:
            # all views of a run ask for the same
            self._window = (asked, self._read_lines(start, end, 1 << 62 if limit is None else limit))
        return list(self._window[1])

    def _read_lines(self, start: int, end: int, room: int) -> list[str]:
        found: list[str] = []
        fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            block = bisect_right(self._numbers, start) - 1
            while start < end and block < len(self._starts):
                first, lines = self._latest(fd, start) or (self._numbers[block], self._block(fd, block))
                for line in lines[start - first : end - first]:
                    room -= weight(line)
                    if room < 0 and found:
                        return found
                    found.append(line)
                    start += 1
                block += 1
        finally:
            os.close(fd)
        return found

    def _latest(self, fd: int, start: int) -> tuple[int, list[str]] | None:
        """What came with the last refresh, where *start* is in it and it is not much: most frames want no more."""
        first, at = self._before
        if start < first or self.read - at > STEP_BYTES or (self.gap is not None and self.gap[1] > at):
            return None
        lines = _parts(fd, at, self.read)
        return (first, lines) if len(lines) == self.total - first else None

    def _block(self, fd: int, block: int) -> list[str]:
        """The lines of one entry of the index: exactly as many as it says, whatever became of the file."""
        first, at = self._numbers[block], self._starts[block]
        is_last = block + 1 == len(self._starts)
        end = self.read if is_last else self._starts[block + 1]
        count = self.total - first if is_last else self._numbers[block + 1] - first
        if self.gap is not None and at < self.gap[1] and end > self.gap[0]:
            before, after = _around(fd, at, end, self.gap)
        else:
            before, after = _parts(fd, at, end), []
        # fewer lines than were counted: the file changed under us, or gave them back
        missing = [""] * (count - len(before) - len(after))
        return [*before, *missing, *after][:count]

    # ---- search --------------------------------------------------------------------------------------------

    def search(self, wanted: str, start: int, *, backward: bool = False) -> tuple[int | None, int | None]:
        """The next line from *start* on that shows *wanted* (case does not matter), looking at ``SEARCHED`` bytes.

        Returns its number, or None and the line to go on from (None: there is no more to look at).
        """
        wanted = wanted.lower()
        if not wanted or not self.total:
            return None, None
        start = min(max(start, 0), self.total - 1)
        block = bisect_right(self._numbers, start) - 1
        seen = 0
        fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while 0 <= block < len(self._starts):
                first = self._numbers[block]
                if seen >= SEARCHED:
                    last = self._numbers[block + 1] - 1 if block + 1 < len(self._starts) else self.total - 1
                    return None, (last if backward else first)
                found = self._find(fd, block, wanted, start, backward=backward)
                if found is not None:
                    return found, None
                seen += self._length(block)
                block += -1 if backward else 1
        finally:
            os.close(fd)
        return None, None

    def count(self, wanted: str, start: int, at: int) -> tuple[int, int, int | None]:
        """How many lines from *start* on show *wanted*, in ``SEARCHED`` bytes, and how many of them up to line *at*.

        The third is the line to go on from; None where that was all.
        """
        wanted = wanted.lower()
        if not wanted or start >= self.total:
            return 0, 0, None
        start = max(start, 0)
        block = bisect_right(self._numbers, start) - 1
        count = before = seen = 0
        fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while block < len(self._starts):
                if seen >= SEARCHED:
                    return count, before, self._numbers[block]
                found = [number for number in self._matches(fd, block, wanted) if number >= start]
                count += len(found)
                before += bisect_right(found, at)
                seen += self._length(block)
                block += 1
        finally:
            os.close(fd)
        return count, before, None

    def _length(self, block: int) -> int:
        end = self.read if block + 1 == len(self._starts) else self._starts[block + 1]
        return min(end - self._starts[block], LONG + HEAD + TAIL)

    def _find(self, fd: int, block: int, wanted: str, start: int, *, backward: bool) -> int | None:
        found = self._matches(fd, block, wanted)
        if backward:
            return next((number for number in reversed(found) if number <= start), None)
        return next((number for number in found if number >= start), None)

    def _matches(self, fd: int, block: int, wanted: str) -> list[int]:
        """The lines of a block that show *wanted*."""
        first, at = self._numbers[block], self._starts[block]
        length = self._length(block)
        if length <= LONG and wanted.isascii():
            data = os.pread(fd, length, at)
            if not _odd(data) and wanted.encode() not in data.lower():
                return []
        lines = [COLOUR.sub("", line).lower() for line in self._block(fd, block)]
        return [number for number, line in enumerate(lines, first) if wanted in line]


def _around(fd: int, at: int, end: int, gap: tuple[int, int]) -> tuple[list[str], list[str]]:
    """The lines before and after the bytes that a log gave back; the line that they cut says so."""
    words = f"[{gap[1] - gap[0]:,} bytes dropped here: the log grew over its limit]"
    before = _parts(fd, at, gap[0])[:-1] if at < gap[0] else []
    after = _parts(fd, gap[1], end)[1:] if end > gap[1] else []
    return [*before, words], after


def _parts(fd: int, at: int, end: int) -> list[str]:
    """The lines between two offsets; of a very long block, whose last line is a long one, that line's two ends."""
    data = os.pread(fd, min(end - at, LONG), at)
    if not data:
        return []
    found = shown(data)
    if not data.endswith(b"\n") and end - at > len(data):
        begun = data.rfind(b"\n") + 1
        found[-1] = _long_line(fd, at + begun, end)
    return found


def _long_line(fd: int, start: int, end: int) -> str:
    """A line that is too long to read whole: what a progress bar left, or its beginning."""
    head, tail = os.pread(fd, HEAD, start), os.pread(fd, TAIL, max(start, end - TAIL)).rstrip(b"\n")
    if b"\r" in tail:
        return clean(tail.decode("utf-8", "replace"))
    # the character that the cut went through is not damaged, only cut
    line = clean(head.decode("utf-8", "ignore"))[: text.LONGEST_LINE]
    return f"{line} … [{end - start - len(line.encode()):,} more bytes in this line]"


def _odd(data: bytes) -> bool:
    """Whether there is more in it than printed ASCII: ten times faster than a pattern."""
    return bool(data.translate(None, _PLAIN))


def shown(data: bytes) -> list[str]:
    """The lines of *data*, as a terminal would show them, colours kept; one that has no end counts."""
    whole = data.decode("utf-8", "replace")
    if _odd(data):
        if "\x1b" in whole:
            whole = _ESCAPES.sub(_kept, whole)
        found = [_overwritten(line) for line in whole.split("\n")]
    else:
        found = whole.split("\n")
    if not found[-1] and data.endswith(b"\n"):
        found.pop()
    return [line if len(line) <= text.LONGEST_LINE else _cut(line) for line in found]


def clean(line: str) -> str:
    """One line, as ``shown`` has it."""
    return _overwritten(_ESCAPES.sub(_kept, line.replace("\n", " ")))


def _kept(match: re.Match[str]) -> str:
    return match[0] if COLOUR.fullmatch(match[0]) else ""


def _overwritten(line: str) -> str:
    if "\r" in line:
        parts = [part for part in line.split("\r") if part]
        # a colour that was set before still holds
        colours = COLOUR.findall("".join(parts[-3:-1]))[-4:]
        line = "".join(colours) + parts[-1] if parts else ""
    if "\b" in line:
        kept: list[str] = []
        visible: list[int] = []  # places of characters; colours are passed over
        for piece in _PIECES.findall(line):
            if piece != "\b":
                if len(piece) == 1:
                    visible.append(len(kept))
                kept.append(piece)
            elif visible:
                kept[visible.pop()] = ""
        line = "".join(kept)
    return _CONTROLS.sub("", line)


def _cut(line: str) -> str:
    kept = line[: text.LONGEST_LINE]
    begun = kept.rfind("\x1b")
    if begun >= 0 and not COLOUR.match(kept, begun):
        kept = kept[:begun]  # never half a colour
    return f"{kept} … [{len(line) - len(kept):,} more characters in this line]"


def weight(line: str) -> int:
    """About how many bytes a line takes in a message."""
    return (len(line) if line.isascii() else len(line.encode("utf-8", "replace"))) + 5 * line.count("\x1b") + 4
