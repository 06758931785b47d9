"""One metric for a view that stays open: its last points, and all of them in buckets, in memory that stays flat.

Pure: takes arrays, gives arrays.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from jupyter_mlrun.store.series import SECOND
from jupyter_mlrun.worker import segformat as form

if TYPE_CHECKING:
    from jupyter_mlrun.store.liveforms import FormSketch
    from jupyter_mlrun.store.series import Floats, Ints, Kinds

MOST_BUCKETS = 4096  # of a series; twice as many points a bucket where it would be more
RECENT = 4096  # points of a series that are kept as they are
MOST_ODD = 50
STEP, TIME, LOW, HIGH, LAST = range(5)
_AS_BUCKETS = [0, 1, 2, 2, 2]  # of a point: lowest, highest and last are its value


class Sketch:
    """One metric: its last points, and all of them in buckets of the same number of points, in the order they came."""

    def __init__(self) -> None:
        self.count = 0  # points of all kinds
        self.numbers = 0  # those that are numbers, and are drawn
        self.nonfinite = 0  # of them, NaN and infinities
        self.kinds = 0  # a bit per kind
        self.odd: deque[tuple[int, float, float, str]] = deque(
            maxlen=MOST_ODD
        )  # number of the point, step, time, value
        self.forms: FormSketch | None = None  # of a metric that has rows, tables, images …
        self._stepless = 0
        self._recent = np.empty((64, 3))
        self._kept = 0
        self._table = np.empty((64, 5))
        self._used = 0
        self._width = 1  # points in a bucket
        self._filled = 0  # points in the last one

    def add(self, steps: Ints, times: Ints, values: Floats, kinds: Kinds) -> None:
        """More points, in the order in which they were logged."""
        self.count += len(steps)
        alike = kinds.strides[0] == 0 or len(kinds) == 1  # a column of rows has one kind
        self.kinds |= 1 << int(kinds[0]) if alike else _bits(kinds)
        rows = np.empty((len(steps), 3))
        rows[:, 0], rows[:, 1], rows[:, 2] = steps, times, values
        rows[:, 1] /= SECOND
        missing = steps == form.NO_STEP
        if missing.any():
            rows[missing, 0] = np.cumsum(missing)[missing] - 1 + self._stepless
            self._stepless += int(np.count_nonzero(missing))
        finite = np.isfinite(values)
        if not finite.all():
            drawn = ~np.isnan(values) | (kinds == form.FLOAT)
            rows, finite = rows[drawn], finite[drawn]
            self._note_odd(rows, finite)
        if len(rows):
            self.numbers += len(rows)
            self._remember(rows)
            self._gather(rows)

    def _note_odd(self, rows: Floats, finite: npt.NDArray[np.bool_]) -> None:
        odd = np.flatnonzero(~finite)
        self.nonfinite += len(odd)
        for place in odd[-MOST_ODD:].tolist():
            step, time, value = rows[place].tolist()
            text = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            self.odd.append((self.numbers + place, step, time, text))

    def _remember(self, rows: Floats) -> None:
        rows = rows[-RECENT:]
        need = self._kept + len(rows)
        if need > len(self._recent):
            kept = self._recent[max(0, self._kept - RECENT) : self._kept]
            if need > 2 * RECENT:
                room = self._recent if len(self._recent) >= 2 * RECENT else np.empty((2 * RECENT, 3))
                kept = kept.copy()
            else:
                room = np.empty((min(2 * RECENT, max(need, 2 * len(self._recent))), 3))
            room[: len(kept)] = kept
            self._recent, self._kept = room, len(kept)
        self._recent[self._kept : self._kept + len(rows)] = rows
        self._kept += len(rows)

    def _gather(self, rows: Floats) -> None:
        self._make_room(len(rows))
        if self._used and self._filled < self._width:
            take = rows[: self._width - self._filled]
            last = self._table[self._used - 1]
            last[LOW] = np.fmin.reduce(take[:, 2], initial=last[LOW])
            last[HIGH] = np.fmax.reduce(take[:, 2], initial=last[HIGH])
            last[STEP], last[TIME], last[LAST] = take[-1]
            self._filled += len(take)
            rows = rows[len(take) :]
        if len(rows):
            self._extend(_bucketed(rows, self._width))
            self._filled = (len(rows) - 1) % self._width + 1

    def _make_room(self, more: int) -> None:
        """Make buckets as wide as *more* points need, before these are put into any: many at once are read once."""
        held = (self._used - 1) * self._width + self._filled if self._used else 0
        while -(-(held + more) // self._width) > MOST_BUCKETS:
            self._halve()

    def _extend(self, more: Floats) -> None:
        need = self._used + len(more)
        if need > len(self._table):
            grown = np.empty((max(need, min(2 * len(self._table), 2 * MOST_BUCKETS)), 5))
            grown[: self._used] = self._table[: self._used]
            self._table = grown
        self._table[self._used : need] = more
        self._used = need

    def _halve(self) -> None:
        """Twice as many points in a bucket."""
        if not self._used:
            self._width *= 2
            return
        pairs = _grouped(self._table[: self._used], np.arange(0, self._used, 2))
        if self._used % 2 == 0:
            self._filled += self._width
        self._width *= 2
        self._used = len(pairs)
        if len(self._table) > 2 * MOST_BUCKETS and len(pairs) <= MOST_BUCKETS:
            self._table = np.empty((2 * MOST_BUCKETS, 5))
        self._table[: self._used] = pairs

    def recent(self, since: int) -> Floats | None:
        """(step, time, value) of the points after the first *since* numbers; None where they are kept no more."""
        wanted = self.numbers - since
        if wanted > min(self._kept, RECENT):
            return None
        return self._recent[self._kept - wanted : self._kept]

    def buckets(self, most: int) -> Floats:
        """All points in the order of their steps: (step, time, value) of each where they are at most *most*,
        else as many buckets: (step, time, min, max, last), place and value those of a bucket's last point.
        """
        table = self._table[: self._used]
        if (table[1:, STEP] < table[:-1, STEP]).any():
            table = table[np.argsort(table[:, STEP], kind="stable")]
        if self._width == 1 and self._used <= most:
            return table[:, [STEP, TIME, LAST]]
        each = -(-self._used // max(1, most))
        return _grouped(table, np.arange(0, self._used, each)) if each > 1 else table.copy()


def _bits(kinds: Kinds) -> int:
    return sum(1 << kind for kind in np.unique(kinds).tolist())


def _bucketed(rows: Floats, width: int) -> Floats:
    """Points as buckets of so many."""
    if width == 1:
        return rows[:, _AS_BUCKETS]
    starts = np.arange(0, len(rows), width)
    made: Floats = rows[np.append(starts[1:], len(rows)) - 1][:, _AS_BUCKETS]
    values = np.ascontiguousarray(rows[:, 2])
    made[:, LOW] = np.fmin.reduceat(values, starts)
    made[:, HIGH] = np.fmax.reduceat(values, starts)
    return made


def _grouped(table: Floats, starts: npt.NDArray[np.int64]) -> Floats:
    """Rows of buckets put together: from each of *starts* to the next."""
    if len(starts) == len(table):
        return table
    ends = np.append(starts[1:], len(table)) - 1
    made: Floats = table[ends]
    made[:, LOW] = np.fmin.reduceat(table[:, LOW], starts)
    made[:, HIGH] = np.fmax.reduceat(table[:, HIGH], starts)
    return made
