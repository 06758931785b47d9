"""The metrics of a run for views that stay open: what came, and buckets of all that was, in memory that stays flat.

Reads ``<run_dir>/metrics`` while it grows, each byte once; writes nothing.
"""

from __future__ import annotations

import math
import os
from bisect import insort
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jupyter_mlrun.store.series import SECOND, Column, MetricReader, last_object, latest
from jupyter_mlrun.worker import segformat as form

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_mlrun.store.segments import Segment
    from jupyter_mlrun.store.series import Floats, Ints, Kinds, Series

MOST_BUCKETS = 4096  # of a series; twice as many points a bucket where it would be more
RECENT = 4096  # points of a series that are kept as they are
MOST_ODD = 50
LOOK_SECONDS = 1.0  # between two thorough looks; a quick one sees what is usual
MOST_OPEN = 64  # segments that a quick look keeps open
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
        if self._used and self._filled < self._width:
            take = rows[: self._width - self._filled]
            last = self._table[self._used - 1]
            last[LOW] = np.fmin.reduce(take[:, 2], initial=last[LOW])
            last[HIGH] = np.fmax.reduce(take[:, 2], initial=last[HIGH])
            last[STEP], last[TIME], last[LAST] = take[-1]
            self._filled += len(take)
            rows = rows[len(take) :]
        if len(rows):
            table = rows[:, _AS_BUCKETS]
            if self._width > 1:
                table = _grouped(table, np.arange(0, len(rows), self._width))
            self._extend(table)
            self._filled = (len(rows) - 1) % self._width + 1
        while self._used > MOST_BUCKETS:
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


def _grouped(table: Floats, starts: npt.NDArray[np.int64]) -> Floats:
    """Rows of buckets put together: from each of *starts* to the next."""
    if len(starts) == len(table):
        return table
    ends = np.append(starts[1:], len(table)) - 1
    made: Floats = table[ends]
    made[:, LOW] = np.fmin.reduceat(table[:, LOW], starts)
    made[:, HIGH] = np.fmax.reduceat(table[:, HIGH], starts)
    return made


class _Sink(Column):
    """Where the points of one metric from one process go to, and are not kept."""

    def __init__(self, texts: dict[int, Any], sketch: Sketch | None) -> None:
        super().__init__(texts)
        self.sketch = sketch

    def add(self, steps: Ints, times: Ints, stored: Ints, kinds: Kinds) -> None:
        self.count += len(steps)
        self.last = (int(steps[-1]), int(times[-1]), int(stored[-1]), int(kinds[-1]))
        if self.sketch is not None:
            self.sketch.add(steps, times, self.numbers(stored, kinds), kinds)


class _Sketcher(MetricReader):
    """Reads as ``MetricReader``, into sketches of the first *most* metrics by name."""

    def __init__(self, metrics_dir: str | os.PathLike[str], most: int) -> None:
        super().__init__(metrics_dir)
        self.most = most
        self.sketches: dict[str, Sketch] = {}
        self.shown: list[str] = []

    def _column(self, name: str, path: str, process: Any) -> Column:
        if name not in self._columns:
            self._columns[name] = {}
            self._show(name)
        columns = self._columns[name]
        if path not in columns:
            columns[path] = _Sink(process.texts.values, self.sketches.get(name))
        return columns[path]

    def _show(self, name: str) -> None:
        insort(self.shown, name)
        self.sketches[name] = Sketch()
        if len(self.shown) > self.most:
            # names only come, so what is displaced is never shown again
            displaced = self.shown.pop()
            del self.sketches[displaced]
            for sink in self._columns[displaced].values():
                sink.sketch = None  # type: ignore[attr-defined]  # all columns here are sinks

    def last_of(self, name: str) -> Any:
        return last_object(latest(self._columns[name]))

    @property
    def segments(self) -> Iterable[Segment]:
        return self._segments.values()


class LiveReader:
    """A run's metrics as sketches, brought up to date by ``follow``.

    Args:
        metrics_dir: the run's ``metrics`` folder.
        most: metrics that are kept, the first by name; the others are only counted.
    """

    def __init__(self, metrics_dir: str | os.PathLike[str], most: int = 200) -> None:
        self.version = 0  # rises when something came
        self._reader = _Sketcher(metrics_dir, most)
        self._looked = -math.inf
        self._folder_mark = -1
        self._open: dict[str, int] = {}

    def follow(self, now: float) -> bool:
        """Read what came, at little cost where nothing did; whether anything did.  *now*: seconds, monotonic."""
        if now - self._looked < LOOK_SECONDS and not self._moved():
            return False
        self._looked = now
        if not self._reader.refresh():
            return False
        self.version += 1
        return True

    def _moved(self) -> bool:
        """A quick look: another file, or a record where the next one is to come."""
        try:
            mark = os.stat(self._reader.metrics_dir).st_mtime_ns
        except OSError:
            return False
        if mark != self._folder_mark:
            self._folder_mark = mark
            return True
        return any(self._has_more(segment) for segment in self._reader.segments)

    def _has_more(self, segment: Segment) -> bool:
        place = segment.next_at
        fd = self._open.get(segment.path)
        if fd is None:
            if place is None or len(self._open) >= MOST_OPEN:
                return True
            try:
                fd = self._open[segment.path] = os.open(segment.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return True
        return place is None or any(os.pread(fd, 8, place))

    def close(self) -> None:
        """Let go of the files; the next look opens them again."""
        while self._open:
            os.close(self._open.popitem()[1])

    def __del__(self) -> None:
        self.close()

    @property
    def shown(self) -> list[str]:
        """The names of the metrics that are kept, sorted."""
        return self._reader.shown

    @property
    def sketches(self) -> dict[str, Sketch]:
        """By name."""
        return self._reader.sketches

    @property
    def more(self) -> int:
        """Metrics that are only counted."""
        return len(self._reader.names()) - len(self.shown)

    def last_of(self, name: str) -> Any:
        """The last value of one metric, in its kind."""
        return self._reader.last_of(name)

    def last(self) -> dict[str, Any]:
        """The last value of each metric that is kept, in the order in which they were first seen."""
        return {name: self.last_of(name) for name in self._reader.names() if name in self.sketches}

    def shape(self, name: str, most: int = 300) -> tuple[Floats, Floats]:
        """Steps and values that draw the metric: of each of at most *most* buckets the lowest and the highest."""
        table = self.sketches[name].buckets(most)
        if table.shape[1] == 3:
            return table[:, STEP], table[:, 2]
        return np.repeat(table[:, STEP], 2), table[:, LOW : HIGH + 1].ravel()

    @property
    def dropped(self) -> int:
        """As ``MetricReader.dropped``."""
        return self._reader.dropped

    @property
    def misused(self) -> int:
        """As ``MetricReader.misused``."""
        return self._reader.misused

    @property
    def skipped(self) -> int:
        """As ``MetricReader.skipped``."""
        return self._reader.skipped

    @property
    def problems(self) -> dict[str, str]:
        """As ``MetricReader.problems``."""
        return self._reader.problems


class OneMetric(MetricReader):
    """All points of one metric, for a look at a part of it; what else there is is not kept."""

    def __init__(self, metrics_dir: str | os.PathLike[str], name: str) -> None:
        super().__init__(metrics_dir)
        self.name = name
        self._others = _Sink({}, None)

    def _column(self, name: str, path: str, process: Any) -> Column:
        return super()._column(name, path, process) if name == self.name else self._others


def part(series: Series, axis: str, low: float, high: float, most: int) -> tuple[Floats, bool]:
    """The points of *series* between two places of its axis, ``step`` or ``time``, and one more on each side.

    Rows of (x, min, max, last) in the order of x, at most *most* and the two, and whether each is one point.
    """
    x = (series.steps if axis == "step" else series.times).astype(np.float64)
    drawn = ~np.isnan(series.values) | (series.kinds == form.FLOAT)
    x, values = x[drawn], series.values[drawn]
    if (x[1:] < x[:-1]).any():
        order = np.argsort(x, kind="stable")
        x, values = x[order], values[order]
    first = max(0, int(np.searchsorted(x, low, "left")) - 1)
    end = min(len(x), int(np.searchsorted(x, high, "right")) + 1)
    x, values = x[first:end], values[first:end]
    each = -(-len(x) // max(1, most))
    if each <= 1 or len(x) <= most + 2:
        return np.column_stack((x, values, values, values)), True
    starts = np.arange(0, len(x), each)
    ends = np.append(starts[1:], len(x)) - 1
    low_high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    return np.column_stack((x[ends], *low_high, values[ends])), False
