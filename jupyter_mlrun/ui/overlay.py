"""The metrics of several runs in one plotly figure: a chart per metric, a colour per run.

Reads ``<run_dir>/metrics``.  Imports plotly when it is called.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_mlrun.errors import NotFound
from jupyter_mlrun.store.livemetrics import part
from jupyter_mlrun.store.series import MetricReader
from jupyter_mlrun.ui.plot import COLOURS, MOST_CHARTS, check, dress, fewer, grid, plotly, smooth
from jupyter_mlrun.ui.reader import words
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.store.series import Series

LEGEND_HEIGHT = 22


class Overlaid:
    """One run of a figure.  *origin*: Unix seconds at which its time begins."""

    def __init__(self, name: str, run: RunDir, origin: float) -> None:
        self.name, self.origin = name, origin
        self.reader = MetricReader(run.metrics)
        self.reader.refresh()

    def drawn(self) -> list[str]:
        """The metrics that have a finite number."""
        return [name for name in self.reader.names() if np.isfinite(self.reader.series(name).values).any()]


def overlay(
    runs: Sequence[Overlaid], metrics: Sequence[str] | str | None = None, x: str = "step", smoothing: float = 0.0
) -> Any:
    """A chart for each metric, with a line for each run that has it.

    Args:
        runs: which, in the order of their colours.
        metrics: names, or one; None: those that at least two of the runs have (the first 100), else all of the one.
        x: ``step``, or ``time``: seconds since each run began.
        smoothing: 0 (none) to below 1: how much of the average so far each point keeps.

    Raises ``BadInput`` for an axis or smoothing that cannot be, ``NotFound`` for a metric that no run has.
    """
    check(x, smoothing)
    subplots = plotly()
    having = {run: set(run.drawn()) for run in runs}
    chosen = _chosen(having, metrics)
    made, rows, columns = grid(subplots, [_plain(name) for name in chosen], "no metric in common")
    told: set[Overlaid] = set()
    for place, name in enumerate(chosen):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        lines = []
        for number, run in enumerate(runs):
            if name in having[run]:
                lines.append(_line(run, run.reader.series(name), x, smoothing, number, legend=run not in told))
                told.add(run)
        made.add_traces(lines, rows=at["row"], cols=at["col"])  # at once: plotly looks at all for each
        made.update_xaxes(title_text=_axis(x) if place + columns >= len(chosen) else None, **at)
    dress(made, rows, "")
    made.update_layout(
        showlegend=bool(told),
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0 + 0.2 / rows, "x": 0},
        margin={"t": 60 + LEGEND_HEIGHT * (1 + len(told) // 5)},
    )
    return made


def _chosen(having: dict[Overlaid, set[str]], wanted: Sequence[str] | str | None) -> list[str]:
    there = [name for names in having.values() for name in names]
    if wanted is None:
        least = min(2, len(having))
        return sorted({name for name in there if there.count(name) >= least})[:MOST_CHARTS]
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in there:
            hint = did_you_mean(str(name), sorted(set(there))) if there else "they logged no numbers"
            raise NotFound(f"none of the runs has a metric {str(name)[:80]!r} to draw", hint=hint)
    return names


def _line(run: Overlaid, series: Series, axis: str, smoothing: float, number: int, *, legend: bool) -> dict[str, Any]:
    table, _ = part(series, axis, -math.inf, math.inf, 1 << 62)
    x, y = table[:, 0], table[:, 3]
    few_x, few_y = fewer(x - run.origin if axis == "time" else x, smooth(y, smoothing) if smoothing else y)
    colour = COLOURS[number % len(COLOURS)]
    return {
        "type": "scatter",
        "x": few_x,
        "y": np.where(np.isfinite(few_y), few_y, math.nan),
        "mode": "markers" if len(few_x) == 1 else "lines",
        # with more runs than colours, what is dashed tells them apart
        "line": {"color": colour, "width": 1.6, "dash": "dash" if number >= len(COLOURS) else "solid"},
        "marker": {"color": colour},
        "name": _plain(run.name),
        "legendgroup": str(number),
        "showlegend": legend,
    }


def _axis(x: str) -> str:
    return "step" if x == "step" else "seconds"


def _plain(name: str) -> str:
    # plotly reads a few tags in texts; in an escaped one there are none
    return html.escape(words(name, 80), quote=False)
