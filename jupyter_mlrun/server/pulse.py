"""A run's metrics as a list shows them: the last value of each, and a small curve of the one that tells best.

Reads ``<run_dir>/metrics`` while it grows, each byte once; writes nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_mlrun.server.api_runs import MOST_SPARK
from jupyter_mlrun.store.livemetrics import LiveReader, _Sink, _Sketcher
from jupyter_mlrun.ui.words import number
from jupyter_mlrun.worker import segformat as form

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from jupyter_mlrun.store.series import Column, Floats, Ints, Kinds

PREFERRED = ("loss", "val_loss", "accuracy", "acc")
PRIMARY_TAG = "primary_metric"
MOST_CURVES = 8  # of metrics that are not preferred
LONGEST = 20  # characters of a value


class Curve:
    """The shape of a series in a few numbers, in the order in which they were logged."""

    def __init__(self) -> None:
        self.values: list[float] = []  # the mean of each bucket; NaN where there is nothing finite
        self._width = 1  # points in a bucket
        self._rest = np.empty(0)

    def add(self, values: Floats) -> None:
        """More points."""
        values = np.concatenate((self._rest, values)) if len(self._rest) else values
        while len(values) // self._width + len(self.values) > 2 * MOST_SPARK:
            if len(self.values) % 2:
                # an odd one goes back to what is not in a bucket yet
                values = np.concatenate((np.full(self._width, self.values.pop()), values))
            self.values = _means(np.array(self.values), 2)
            self._width *= 2
        whole = len(values) // self._width * self._width
        self.values += _means(values[:whole], self._width)
        self._rest = values[whole:]

    def spark(self) -> list[float | None]:
        """At most ``MOST_SPARK`` values; the newest points are in the last."""
        found = [*self.values, *_means(self._rest, max(1, len(self._rest)))]
        each = -(-len(found) // MOST_SPARK)
        if each > 1:
            pad = -len(found) % each
            found = _means(np.array([*found, *[math.nan] * pad]), each)
        return [float(f"{value:.5g}") if math.isfinite(value) else None for value in found]


def _means(values: Floats, each: int) -> list[float]:
    """The mean of every *each* values, of those that are finite."""
    if not len(values):
        return []
    table = values.reshape(-1, each)
    finite = np.isfinite(table)
    counts = finite.sum(axis=1)
    with np.errstate(over="ignore"):
        sums = np.where(finite, table / each, 0.0).sum(axis=1) * (each / np.maximum(counts, 1))
    return [value if count else math.nan for value, count in zip(sums.tolist(), counts.tolist(), strict=True)]


class _CurveSink(_Sink):
    """Keeps the last value, and perhaps a curve."""

    def __init__(self, texts: dict[int, Any], curve: Curve | None) -> None:
        super().__init__(texts, None)
        self.curve = curve

    def add(self, steps: Ints, times: Ints, stored: Ints, kinds: Kinds) -> None:
        super().add(steps, times, stored, kinds)
        if self.curve is not None:
            values = self.numbers(stored, kinds)
            drawn = values[~np.isnan(values) | (kinds == form.FLOAT)]
            if len(drawn):
                self.curve.add(drawn)


class _Curves(_Sketcher):
    """Reads as ``MetricReader``, into curves of a few metrics."""

    def __init__(self, metrics_dir: str | os.PathLike[str], wanted: str | None) -> None:
        super().__init__(metrics_dir, 0)
        self.wanted = wanted
        self.curves: dict[str, Curve] = {}

    def _column(self, name: str, path: str, process: Any) -> Column:
        columns = self._columns.setdefault(name, {})
        if path not in columns:
            if name in PREFERRED or name == self.wanted or len(self.curves) < MOST_CURVES:
                self.curves.setdefault(name, Curve())
            columns[path] = _CurveSink(process.texts.values, self.curves.get(name))
        return columns[path]


class Pulse(LiveReader):
    """A run's metrics for a list.  *wanted*: the name of its primary metric, where somebody said it."""

    def __init__(self, metrics_dir: str | os.PathLike[str], wanted: str | None = None) -> None:
        super().__init__(metrics_dir, 0)
        self._curves = _Curves(metrics_dir, wanted)
        self._reader = self._curves

    def lasts(self) -> dict[str, Any]:
        """The last value of each metric, in the order in which they were first seen."""
        return self._curves.last()

    def spark(self, name: str) -> list[float | None]:
        """The curve of one metric; empty where none is kept."""
        curve = self._curves.curves.get(name)
        return curve.spark() if curve is not None else []


def primary_of(metrics: Mapping[str, Any], wanted: str | None) -> str | None:
    """The metric that tells best how a run goes: *wanted*, a usual one, or the first that is a number."""
    if wanted is not None and wanted in metrics:
        return wanted
    for name in PREFERRED:
        if name in metrics and _is_number(metrics[name]):
            return name
    return next((name for name, value in metrics.items() if _is_number(value)), None)


def _is_number(value: Any) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool)) or value in ("nan", "inf", "-inf")


def shown(value: Any) -> str:
    """A value for a list."""
    text = " ".join(number(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def shown_all(metrics: Mapping[str, Any], most: int) -> dict[str, str]:
    """The last values of the first metrics, for a list."""
    names: Iterable[str] = list(metrics)[:most]
    return {name: shown(metrics[name]) for name in names}
