"""The metrics of a run: series, last values, summaries, and the few points that a chart needs of a long series.

Reads ``<run_dir>/metrics`` while it grows, each byte once; writes nothing.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jupyter_mlrun.store.segments import Points, Segment, SideFile
from jupyter_mlrun.worker import segformat as form

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jupyter_mlrun.rundir import RunDir

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.uint8]

SECOND = 1e9
FORM = "$form"  # the mark of a row, a table, an image …: worker/logforms.py
SORTED_AT_ONCE = 1 << 16  # points; more would not stay in the processor's cache


@dataclass
class Series:
    """All points of one metric. Where no steps were given they count the points: 0, 1, 2 ….

    ``values`` has NaN for what is no number; ``objects`` has every value in its own kind.
    ``kinds`` holds the codes of ``segformat`` (FLOAT, INT, …), a number per point.
    """

    name: str
    steps: Ints
    times: Floats
    values: Floats
    kinds: Kinds
    stored: Ints
    texts: dict[int, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.steps)

    @cached_property
    def objects(self) -> list[Any]:
        """The values as they were logged; of a form (a row, a table, an image) what it holds."""
        return [_content(value) for value in self.raw] if self.has_forms else self.raw

    @property
    def has_forms(self) -> bool:
        """Whether it has rows, tables, images …"""
        return any(is_form(value) for value in self.texts.values())

    @cached_property
    def raw(self) -> list[Any]:
        """The values as they are stored: forms with their mark."""
        kinds = np.unique(self.kinds).tolist()
        found: list[Any] = (self.stored if kinds == [form.INT] else self.values).tolist()
        if kinds in ([], [form.FLOAT], [form.INT]):
            return found
        for place in np.flatnonzero(self.kinds != form.FLOAT).tolist():
            found[place] = self.texts.get(place, _object(int(self.kinds[place]), int(self.stored[place]), {}))
        return found


def is_form(value: Any) -> bool:
    """Whether a stored value is a row, a table, an image … with its mark."""
    return isinstance(value, dict) and FORM in value and "value" in value


def _content(value: Any) -> Any:
    return value["value"] if is_form(value) else value


def _object(kind: int, stored: int, texts: dict[int, Any]) -> Any:
    """The value that *stored* stands for."""
    if kind == form.FLOAT:
        return float(np.int64(stored).view(np.float64))
    if kind == form.INT:
        return stored
    if kind == form.BOOL:
        return bool(stored)
    return None if kind == form.NONE else texts.get(stored)


def _number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, (int, float)) else math.nan
    except OverflowError:
        return math.inf if value > 0 else -math.inf


@dataclass
class Summary:
    """A metric in five numbers; min and max are None where nothing was a number."""

    last: Any
    min: float | None
    max: float | None
    count: int
    last_step: int

    def to_bytes(self) -> bytes:
        """Five doubles, for ``last_table``; text becomes NaN."""
        lowest = math.nan if self.min is None else self.min
        highest = math.nan if self.max is None else self.max
        return np.array([_number(self.last), lowest, highest, self.count, self.last_step], "<f8").tobytes()


def pack_summaries(summaries: dict[str, Summary]) -> tuple[str, bytes]:
    """The names as JSON and the numbers as bytes: what an index keeps of a run's metrics."""
    return json.dumps(list(summaries)), b"".join(summary.to_bytes() for summary in summaries.values())


def last_table(rows: Iterable[tuple[str, bytes]]) -> dict[str, Floats]:
    """Of many runs' packed summaries the last values: per metric one number a run, NaN where it has none."""
    places: dict[str, list[int]] = {}
    parts: dict[str, list[bytes]] = {}
    total = 0
    for names, data in rows:
        # most runs of a listing have the same metrics
        places.setdefault(names, []).append(total)
        parts.setdefault(names, []).append(data)
        total += 1
    table: dict[str, Floats] = {}
    for names, where in places.items():
        numbers = np.frombuffer(b"".join(parts[names]), "<f8").reshape(len(where), -1, 5)
        for column, name in enumerate(json.loads(names)):
            if name not in table:
                table[name] = np.full(total, math.nan)
            table[name][where] = numbers[:, column, 0]
    return table


_NO_POINTS = (np.empty(0, "i8"), np.empty(0, "i8"), np.empty(0, "i8"), np.empty(0, "u1"))


class Column:
    """The points of one metric from one process, in the order in which they were logged."""

    def __init__(self, texts: dict[int, Any]) -> None:
        self.texts = texts
        self.count = 0
        self.last = (0, 0, 0, 0)  # step, time, stored value, kind
        self.stepless = 0
        self.low, self.high = math.inf, -math.inf
        self._parts: list[tuple[Ints, Ints, Ints, Kinds]] = []
        self._unsummed: list[tuple[Ints, Ints, Ints, Kinds]] = []
        self._room: tuple[Any, ...] = _NO_POINTS
        self._filled = 0

    def add(self, steps: Ints, times: Ints, stored: Ints, kinds: Kinds) -> None:
        """More points."""
        part = (steps, times, stored, kinds)
        self._parts.append(part)
        self._unsummed.append(part)
        self.count += len(steps)
        self.last = (int(steps[-1]), int(times[-1]), int(stored[-1]), int(kinds[-1]))

    def arrays(self) -> tuple[Ints, Ints, Ints, Kinds]:
        """Steps, times, stored values, kinds, each in one piece."""
        if len(self._parts) == 1 and not self._filled:
            self._room, self._filled = self._parts.pop(), self.count
        if self._parts:
            if self.count > len(self._room[0]):
                # doubling, so that a growing series is not copied again and again
                room = self.count if not self._filled else max(self.count, 2 * len(self._room[0]))
                grown = tuple(np.empty(room, old.dtype) for old in self._room)
                for new, old in zip(grown, self._room, strict=True):
                    new[: self._filled] = old[: self._filled]
                self._room = grown
            for line, pieces in zip(self._room, zip(*self._parts, strict=True), strict=True):
                np.concatenate(pieces, out=line[self._filled : self.count])
            self._filled = self.count
            self._parts.clear()
        steps, times, stored, kinds = (line[: self.count] for line in self._room)
        return steps, times, stored, kinds

    def numbers(self, stored: Ints, kinds: Kinds) -> Floats:
        """The values as floats, NaN for what is no number."""
        if not len(kinds) or (kinds[0] == form.FLOAT and (kinds == form.FLOAT).all()):
            return stored.view(np.float64)
        whole = (kinds == form.INT) | (kinds == form.BOOL)
        found: Floats = np.where(whole, stored, stored.view(np.float64))
        found[kinds == form.NONE] = math.nan
        for place in np.flatnonzero((kinds == form.STR) | (kinds == form.JSON)).tolist():
            found[place] = _number(self.texts.get(int(stored[place])))
        return found

    def sum_up(self) -> None:
        """Bring ``low``, ``high`` and ``stepless`` up to date."""
        for steps, _, stored, kinds in self._unsummed:
            values = self.numbers(stored, kinds)
            self.low = float(np.fmin.reduce(values, initial=self.low))
            self.high = float(np.fmax.reduce(values, initial=self.high))
            self.stepless += int(np.count_nonzero(steps == form.NO_STEP))
        self._unsummed.clear()


class _Process:
    """The side files of one process, and points whose name has not come yet."""

    def __init__(self, base: str) -> None:
        self.names = SideFile(base + form.NAMES_END)
        self.texts = SideFile(base + form.TEXTS_END)
        self.nameless: list[tuple[str, Points]] = []


class MetricReader:
    """The metrics of one run, brought up to date by ``refresh`` (which reads only what came)."""

    def __init__(self, metrics_dir: str | os.PathLike[str]) -> None:
        self.metrics_dir = os.fspath(metrics_dir)
        self._segments: dict[str, Segment] = {}
        self._processes: dict[str, _Process] = {}
        self._columns: dict[str, dict[str, Column]] = {}  # by name, then by segment
        self._built: dict[str, tuple[int, Series]] = {}

    def refresh(self) -> bool:
        """Read what came since the last call; whether anything did."""
        before = (self.dropped, self.misused, self.skipped, len(self.problems))
        found: list[tuple[Segment, Points]] = []
        for segment in self._known_segments():
            found += [(segment, points) for points in segment.refresh()]
        # a name stands in its file before the first record that uses it: read after the records, it is there
        for process in self._processes.values():
            process.names.refresh()
            process.texts.refresh()
            waiting, process.nameless = process.nameless, []
            for path, points in waiting:
                self._take_scalars(path, process, points)
        for segment, points in found:
            self._take(segment, points)
        return bool(found) or before != (self.dropped, self.misused, self.skipped, len(self.problems))

    def names(self) -> list[str]:
        """The metrics, in the order in which they were first seen."""
        return list(self._columns)

    def series(self, name: str) -> Series:
        """All points of *name*, of all processes by time; ``KeyError`` where there is no such metric."""
        columns = self._columns[name]
        total = sum(column.count for column in columns.values())
        built = self._built.get(name)
        if built is None or built[0] != total:
            built = self._built[name] = (total, _series(name, list(columns.values())))
        return built[1]

    def last(self) -> dict[str, Any]:
        """The last value of each metric, in its kind."""
        return {name: last_object(latest(columns)) for name, columns in self._columns.items()}

    def summary(self) -> dict[str, Summary]:
        """Each metric in five numbers."""
        return {name: _summary(columns) for name, columns in self._columns.items()}

    @property
    def dropped(self) -> int:
        """Calls whose values could not be stored: the disk was full."""
        return sum(segment.dropped for segment in self._segments.values())

    @property
    def misused(self) -> int:
        """Calls that were not as they should be (a warning told the first of each kind)."""
        return sum(segment.misused for segment in self._segments.values())

    @property
    def skipped(self) -> int:
        """Records that are damaged, or belong to a name that is not known (yet)."""
        nameless = sum(p.steps.size for process in self._processes.values() for _, p in process.nameless)
        return sum(segment.skipped for segment in self._segments.values()) + nameless

    @property
    def problems(self) -> dict[str, str]:
        """Files that cannot be read at all, and why."""
        return {path: s.problem for path, s in self._segments.items() if s.problem is not None}

    def _known_segments(self) -> Iterable[Segment]:
        try:
            files = sorted(os.listdir(self.metrics_dir))
        except (FileNotFoundError, NotADirectoryError):
            files = []
        for file in files:
            path = os.path.join(self.metrics_dir, file)
            if file.endswith((form.SCALARS_END, form.ROWS_END)) and path not in self._segments:
                self._segments[path] = Segment(path)
                base = _base(path)
                self._processes.setdefault(base, _Process(base))
        return self._segments.values()

    def _take(self, segment: Segment, points: Points) -> None:
        process = self._processes[_base(segment.path)]
        if points.ids is not None:
            self._take_scalars(segment.path, process, points)
            return
        for (name, kind), stored in zip(segment.schema, points.values, strict=True):
            kinds = np.broadcast_to(np.uint8(kind), len(stored))
            self._column(name, segment.path, process).add(points.steps, points.times, stored, kinds)

    def _take_scalars(self, path: str, process: _Process, points: Points) -> None:
        for number, part in _by_name(points):
            name = process.names.values.get(number)
            assert part.kinds is not None
            if isinstance(name, str):
                self._column(name, path, process).add(part.steps, part.times, part.values[0], part.kinds)
            else:
                process.nameless.append((path, part))

    def _column(self, name: str, path: str, process: _Process) -> Column:
        columns = self._columns.setdefault(name, {})
        column = columns.get(path)
        if column is None:
            column = columns[path] = Column(process.texts.values)
        return column


def _base(path: str) -> str:
    """What the files of one process have in common: r0-12-ab.0.s.seg, r0-12-ab.names → r0-12-ab."""
    return path.rsplit(".", 3)[0]


def _by_name(points: Points) -> Iterator[tuple[int, Points]]:
    """*points* split by the number of their name, each part in order."""
    ids = points.ids
    assert ids is not None
    if (ids == ids[0]).all():
        yield int(ids[0]), points
        return
    if len(ids) > SORTED_AT_ONCE:
        for start in range(0, len(ids), SORTED_AT_ONCE):
            yield from _by_name(points.part(slice(start, start + SORTED_AT_ONCE)))
        return
    # sorting 16-bit numbers is ten times faster
    order = np.argsort(ids.astype(np.uint16) if ids.max() < 1 << 16 else ids, kind="stable")
    ids, points = ids[order], points.part(order)
    edges = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)]
    for start, end in pairwise(edges):
        yield int(ids[start]), points.part(slice(start, end))


def latest(columns: dict[str, Column]) -> Column:
    """The column that the metric's last point is in."""
    return max(columns.values(), key=lambda column: column.last[1])


def last_object(column: Column) -> Any:
    """The last value of a column, in its kind."""
    return _content(_object(column.last[3], column.last[2], column.texts))


def _summary(columns: dict[str, Column]) -> Summary:
    for column in columns.values():
        column.sum_up()
    newest = latest(columns)
    low = min(column.low for column in columns.values())
    high = max(column.high for column in columns.values())
    has_numbers = low <= high
    step = newest.last[0]
    if step == form.NO_STEP:
        step = sum(column.stepless for column in columns.values()) - 1
    count = sum(column.count for column in columns.values())
    return Summary(last_object(newest), low if has_numbers else None, high if has_numbers else None, count, step)


def _series(name: str, columns: list[Column]) -> Series:
    if len(columns) == 1:
        steps, times, stored, kinds = columns[0].arrays()
        values = columns[0].numbers(stored, kinds)
    else:
        found = [column.arrays() for column in columns]
        # within a process the order of logging holds, even where its clock was set back
        order = np.argsort(np.concatenate([np.maximum.accumulate(f[1]) for f in found]), kind="stable")
        steps, times, stored, kinds = (np.concatenate(lines)[order] for lines in zip(*found, strict=True))
        numbers = [column.numbers(f[2], f[3]) for column, f in zip(columns, found, strict=True)]
        values = np.concatenate(numbers)[order]
    texts: dict[int, Any] = {}
    if len(kinds) and kinds.max() >= form.STR:
        texts = _texts(columns)
        if len(columns) > 1:
            texts = {new: texts[old] for new, old in enumerate(order.tolist()) if old in texts}
    return Series(name, _counted(steps), times / SECOND, values, kinds, stored, texts)


def _texts(columns: list[Column]) -> dict[int, Any]:
    """The texts of a series by place, the columns one after the other."""
    found: dict[int, Any] = {}
    start = 0
    for column in columns:
        _, _, stored, kinds = column.arrays()
        for place in np.flatnonzero(kinds >= form.STR).tolist():
            found[start + place] = column.texts.get(int(stored[place]))
        start += column.count
    return found


def _counted(steps: Ints) -> Ints:
    """*steps*, where none was given the number of the point among those without."""
    missing = steps == form.NO_STEP
    if not missing.any():
        return steps
    counted: Ints = np.where(missing, np.cumsum(missing) - 1, steps)
    return counted


def summary_of(run: RunDir) -> dict[str, Any]:
    """The last value of each metric of *run*, as JSON can hold it: NaN and infinities are text."""
    reader = MetricReader(run.metrics)
    reader.refresh()
    last = reader.last()
    return {n: str(v) if isinstance(v, float) and not math.isfinite(v) else v for n, v in last.items()}


def buckets(x: npt.ArrayLike, values: npt.ArrayLike, n: int) -> tuple[npt.NDArray[Any], Floats, Floats]:
    """At most *n* buckets with the same number of points: where each starts, and its lowest and highest value.

    Sorted by *x*, peaks kept; NaN is left out, and is what a bucket of nothing else has: a gap.
    """
    places, heights = np.asarray(x), np.asarray(values, np.float64)
    if places.size > 1 and (places[1:] < places[:-1]).any():
        order = np.argsort(places, kind="stable")
        places, heights = places[order], heights[order]
    size = -(-heights.size // max(1, n))
    if size <= 1:
        return places.copy(), heights.copy(), heights.copy()
    whole = heights.size // size * size
    low, high = _extremes(heights[:whole].reshape(-1, size))
    if whole < heights.size:
        last_low, last_high = _extremes(heights[None, whole:])
        low, high = np.append(low, last_low), np.append(high, last_high)
    return places[::size].copy(), low, high


def _extremes(table: Floats) -> tuple[Floats, Floats]:
    low, high = table.min(axis=1), table.max(axis=1)
    # min and max carry NaN on and are fast; only what has NaN takes the slow way
    for place in np.flatnonzero(np.isnan(low)).tolist():
        low[place], high[place] = np.fmin.reduce(table[place]), np.fmax.reduce(table[place])
    return low, high
