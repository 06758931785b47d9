"""The metrics of a run for views that stay open: what came, and buckets of all that was, in memory that stays flat.

Reads ``<run_dir>/metrics`` while it grows, each byte once; writes nothing.
"""

from __future__ import annotations

import math
import os
from bisect import insort
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_mlrun.store.liveforms import FormSketch
from jupyter_mlrun.store.series import Column, MetricReader, is_form, last_object, latest
from jupyter_mlrun.store.sketch import HIGH, LOW, STEP, Sketch
from jupyter_mlrun.worker import segformat as form

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_mlrun.store.segments import Segment
    from jupyter_mlrun.store.series import Floats, Ints, Kinds, Series

LOOK_SECONDS = 1.0  # between two thorough looks; a quick one sees what is usual
MOST_OPEN = 64  # segments that a quick look keeps open


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
            if form.JSON in kinds[:1] or (len(kinds) > 1 and kinds.strides[0] and (kinds == form.JSON).any()):
                self._add_forms(self.sketch, times, stored, kinds)

    def _add_forms(self, sketch: Sketch, times: Ints, stored: Ints, kinds: Kinds) -> None:
        places = np.flatnonzero(kinds == form.JSON).tolist()
        values = [(int(times[place]), self.texts.get(int(stored[place]))) for place in places]
        forms = [(at, value) for at, value in values if value is not None and is_form(value)]
        if forms:
            if sketch.forms is None:
                sketch.forms = FormSketch()
            sketch.forms.add(forms)


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
    x, values = (series.steps if axis == "step" else series.times), series.values
    missing = np.isnan(values)
    if missing.any():
        drawn = ~missing | (series.kinds == form.FLOAT)
        x, values = x[drawn], values[drawn]
    x = x.astype(np.float64)
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
