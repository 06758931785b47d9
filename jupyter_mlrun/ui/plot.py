"""A run's metrics as a plotly figure, right on light and dark pages.

Reads ``<run_dir>/metrics``.  Imports plotly when it is called.
"""

from __future__ import annotations

import difflib
import html
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_mlrun.errors import BadInput, NotFound, RunEnvironmentError
from jupyter_mlrun.store.livemetrics import part
from jupyter_mlrun.store.series import MetricReader
from jupyter_mlrun.ui.reader import words
from jupyter_mlrun.worker import segformat as form

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.store.series import Floats, Series

MOST_CHARTS = 100
MOST_POINTS = 4000  # of a line; more become the lowest and highest of as many buckets
ROW_HEIGHT = 260
# in the middle between black and white, so that they are read on either
GREY, GRID = "#808080", "rgba(128,128,128,0.25)"
COLOURS = ("#3b82c4", "#d9822b", "#3a9d5d", "#c44e52", "#8b6fc0", "#8c6d53", "#c26aa8", "#7f7f7f", "#9c9a2e", "#2f9fb0")


def figure(
    run: RunDir, metrics: Sequence[str] | str | None = None, x: str = "step", smoothing: float = 0.0, title: str = ""
) -> Any:
    """A chart for each metric.

    Args:
        run: its directory.
        metrics: names, or one; None: all that have numbers (the first 100).
        x: ``step`` or ``time``.
        smoothing: 0 (none) to below 1: how much of the average so far each point of the line keeps.
        title: above all charts.

    Raises ``NotFound`` for a metric that is not there and ``BadInput`` for one without numbers.
    """
    check(x, smoothing)
    subplots = plotly()
    reader = MetricReader(run.metrics)
    reader.refresh()
    chosen = [reader.series(name) for name in _names(reader, metrics)]
    if metrics is None:
        chosen = [series for series in chosen if _drawn(series).any()][:MOST_CHARTS]
    made, rows, columns = grid(subplots, [_title(series) for series in chosen], "no metrics yet")
    for place, series in enumerate(chosen):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        for line in _lines(series, x, smoothing, COLOURS[place % len(COLOURS)]):
            made.add_trace(line, **at)
        made.update_xaxes(title_text=x if place + columns >= len(chosen) else None, **at)
    dress(made, rows, title)
    return made


def check(x: str, smoothing: object) -> None:
    """Refuse an axis or a smoothing that cannot be."""
    if x not in ("step", "time"):
        raise BadInput(f"x={x!r} is no axis", hint='x="step" or x="time"')
    if isinstance(smoothing, bool) or not isinstance(smoothing, (int, float)) or not 0 <= smoothing < 1:
        raise BadInput(f"smoothing={smoothing!r} is not from 0 to below 1", hint="for example smoothing=0.6")


def plotly() -> Any:
    """What makes figures of several charts.  Raises ``RunEnvironmentError`` where plotly is not installed."""
    try:
        from plotly import subplots
    except ImportError as problem:
        raise RunEnvironmentError(f"plot() needs plotly: {problem}", hint="pip install 'plotly>=6'") from problem
    return subplots


def grid(subplots: Any, titles: list[str], empty: str) -> tuple[Any, int, int]:
    """A figure with a place for each of *titles*, its rows and its columns; *empty*: the title where there is none."""
    columns = min(3, max(1, math.ceil(math.sqrt(len(titles)))))
    rows = max(1, -(-len(titles) // columns))
    made = subplots.make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=titles or [empty],
        vertical_spacing=min(0.12, 0.3 / rows),
        horizontal_spacing=0.07,
    )
    return made, rows, columns


def _names(reader: MetricReader, wanted: Sequence[str] | str | None) -> list[str]:
    there = reader.names()
    if wanted is None:
        return there
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in there:
            near = difflib.get_close_matches(str(name), there, 5) or there[:10]
            raise NotFound(f"the run has no metric {name!r}", hint=f"it has: {', '.join(near)}" if near else None)
        if not _drawn(reader.series(name)).any():
            raise BadInput(f"the metric {name!r} has no numbers to draw", hint="run.get_metrics() has its values")
    return names


def _drawn(series: Series) -> Any:
    return ~np.isnan(series.values) | (series.kinds == form.FLOAT)


def _title(series: Series) -> str:
    # plotly reads a few tags in texts; in an escaped one there are none
    odd = int(np.count_nonzero(~np.isfinite(series.values) & _drawn(series)))
    name = html.escape(words(series.name, 80), quote=False)
    return f"{name} ({odd:,} NaN or infinite)" if odd else name


def _lines(series: Series, axis: str, smoothing: float, colour: str) -> list[Any]:
    from plotly import graph_objects

    table, _ = part(series, axis, -math.inf, math.inf, 1 << 62)
    x, y = table[:, 0], table[:, 3]
    name = html.escape(words(series.name, 80), quote=False)
    shown = [(x, y, 0.3, 1.0, f"{name}, as logged"), (x, smooth(y, smoothing), 1.0, 1.8, name)]
    lines = []
    for places, values, opacity, width, label in shown if smoothing else [(x, y, 1.0, 1.5, name)]:
        few_x, few_y = fewer(places, values)
        alone = len(few_x) == 1
        lines.append(
            graph_objects.Scatter(
                x=few_x if axis == "step" else (few_x * 1000).astype("datetime64[ms]"),
                y=np.where(np.isfinite(few_y), few_y, math.nan),
                mode="markers" if alone else "lines",
                line={"color": colour, "width": width},
                marker={"color": colour},
                opacity=opacity,
                name=label,
                showlegend=False,
            )
        )
    return lines


def smooth(values: Floats, weight: float) -> Floats:
    """The exponential average so far, without its start's pull towards zero; what is not finite is passed over."""
    made = np.full(len(values), math.nan)
    average = total = 0.0
    for place, value in enumerate(values.tolist()):
        if math.isfinite(value):
            average = weight * average + (1 - weight) * value
            total = weight * total + (1 - weight)
            made[place] = average / total
    return made


def fewer(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """At most about ``MOST_POINTS``, peaks kept."""
    if len(x) <= MOST_POINTS:
        return x, y
    each = -(-len(x) // (MOST_POINTS // 2))
    starts = np.arange(0, len(x), each)
    finite = np.where(np.isfinite(y), y, math.nan)
    ends = np.column_stack((np.fmin.reduceat(finite, starts), np.fmax.reduceat(finite, starts)))
    return np.repeat(x[starts], 2), ends.ravel()


def dress(made: Any, rows: int, title: str) -> None:
    """Give a figure the colours and sizes that all of ours have."""
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "color": GREY}
    made.update_xaxes(**axis)
    made.update_yaxes(**axis)
    made.update_annotations(font={"color": GREY, "size": 13})
    made.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY},
        height=ROW_HEIGHT * rows + 60,
        margin={"l": 50, "r": 20, "t": 60, "b": 45},
        hovermode="x",
        title={"text": html.escape(words(title, 120), quote=False), "font": {"size": 15}} if title else None,
    )
