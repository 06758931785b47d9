"""Runs beside one another: a table of what differs, and their curves in one figure.

Reads specs, states and metrics of the runs; writes nothing.
"""

from __future__ import annotations

import html
import os
import time
from typing import TYPE_CHECKING, Any

from jupyter_mlrun import differences
from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.sdk.facts import became_of, facts_of
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.series import MetricReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jupyter_mlrun.differences import Row
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.sdk.run import Run

MOST_RUNS = 100
_TABLE = "border-collapse:collapse;font-size:13px"
_CELL = (
    "text-align:left;vertical-align:top;padding:4px 12px 4px 0;border-bottom:1px solid rgba(128,128,128,.3);"
    "max-width:340px;overflow-wrap:anywhere"
)


class Comparison:
    """Runs beside one another; a notebook shows its table.  Made by ``compare``."""

    def __init__(self, runs: Sequence[Run], metrics: Sequence[str] | None = None, smoothing: float = 0.0) -> None:
        self.runs = list(runs)
        self.metrics = None if metrics is None else list(metrics)
        self.smoothing = smoothing
        # read once: they are asked for often, and each time they are a file
        self._seen = [_Seen(run.directory) for run in self.runs]
        self.table: list[Row] = differences.table([seen.facts() for seen in self._seen])

    @property
    def differences(self) -> list[Row]:
        """The rows of ``table`` in which not all runs are the same."""
        return [row for row in self.table if row.differs]

    @property
    def names(self) -> list[str]:
        """What the runs are called: their names, with the end of the id where two have the same one."""
        given = [seen.spec.display_name or seen.spec.run_id for seen in self._seen]
        return [
            f"{name} ({run.id.rpartition('_')[2]})" if given.count(name) > 1 else name
            for name, run in zip(given, self.runs, strict=True)
        ]

    def figure(
        self, metrics: Sequence[str] | str | None = None, x: str = "step", smoothing: float | None = None
    ) -> Any:
        """A plotly figure: a chart per metric, a colour per run.

        Args:
            metrics: names, or one; default: those that ``compare`` was given, else those that two of the runs have.
            x: ``step``, or ``time``: seconds since each run began.
            smoothing: 0 (none) to below 1; default: what ``compare`` was given.

        Raises ``NotFound`` for a metric that no run has, ``BadInput`` for an axis or smoothing that cannot be.
        """
        from jupyter_mlrun.ui.overlay import Overlaid, overlay

        drawn = [
            # a run may have begun since
            Overlaid(name, seen.run, runs.observe(seen.run).started or seen.spec.created)
            for name, seen in zip(self.names, self._seen, strict=True)
        ]
        return overlay(drawn, self.metrics if metrics is None else metrics, x,
                       self.smoothing if smoothing is None else smoothing)  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """The table as plain data."""
        rows = [
            {"section": r.section, "name": r.name, "values": list(r.values), "differs": r.differs} for r in self.table
        ]
        return {"runs": [run.id for run in self.runs], "rows": rows}

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(self.names)}: {len(self.differences)} of {len(self.table)} differ>"

    def _repr_html_(self) -> str:
        return _as_html(self)


def compare(
    *runs: Run | str | Iterable[Run | str], metrics: Sequence[str] | str | None = None, smoothing: float = 0.0
) -> Comparison:
    """Runs beside one another.

    ``compare(a, b).figure()`` has their curves, ``.table`` and ``.differences`` what they were given and became.

    Args:
        runs: runs, or what names them (an id, the beginning of one, a name, ``@1``); lists of them, too.
        metrics: what ``figure`` draws; default: the metrics that at least two of the runs have.
        smoothing: of the figure's lines, 0 (none) to below 1.

    Raises ``BadInput`` for no run or more than 100, ``NotFound`` for one that is not there.
    """
    found = list({run.id: run for run in (_run(one) for one in _flat(runs))}.values())
    if not 1 <= len(found) <= MOST_RUNS:
        raise BadInput(f"{len(found)} runs cannot be compared", hint=f"give 1 to {MOST_RUNS}: compare(run, other)")
    chosen = [metrics] if isinstance(metrics, str) else metrics
    return Comparison(found, chosen, smoothing)


def _flat(runs: Iterable[Any]) -> Iterable[Any]:
    for one in runs:
        if isinstance(one, (list, tuple, set, frozenset)):
            yield from _flat(one)
        else:
            yield one


def _run(given: Any) -> Run:
    from jupyter_mlrun.sdk.run import Run

    if isinstance(given, Run):
        return given
    if isinstance(given, (str, os.PathLike)):
        from jupyter_mlrun.homepath import default_home
        from jupyter_mlrun.sdk.find import find

        return find(default_home(), str(given))
    raise BadInput(f"{type(given).__name__} is no run", hint="give runs, or their ids or names")


class _Seen:
    """What one of the runs was when it was compared."""

    def __init__(self, run: RunDir) -> None:
        self.run, self.spec, self.state = run, runs.read_spec(run), runs.observe(run)

    def facts(self) -> differences.Facts:
        """What is compared of it."""
        state, spec = self.state, self.spec
        seconds = -1.0 if state.started is None else (state.ended or time.time()) - state.started
        reader = MetricReader(self.run.metrics)
        reader.refresh()
        last = {name: one.last for name, one in reader.summary().items()}
        return facts_of(spec, became=became_of(str(state.status), spec.experiment, spec.target, seconds), metrics=last)


def _as_html(found: Comparison) -> str:
    """A table that needs no style sheet and has no script; everything in it is escaped."""
    table, cell = _TABLE, _CELL
    wide = len(found.runs) + 1
    heads = "".join(f'<th style="{cell}">{html.escape(name)}</th>' for name in ("", *found.names))
    lines = []
    section = ""
    for row in found.table:
        if row.section != section:
            section = row.section
            title = section.capitalize()
            lines.append(f'<tr><th style="{cell};padding-top:10px" colspan="{wide}">{title}</th></tr>')
        mark, weight = (" ≠", "600") if row.differs else ("", "400")
        values = "".join(f'<td style="{cell}">{html.escape("-" if v is None else v)}</td>' for v in row.values)
        lines.append(
            f'<tr><th style="{cell};font-weight:{weight}" scope="row">{html.escape(row.name)}{mark}</th>{values}</tr>'
        )
    return f'<table style="{table}"><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
