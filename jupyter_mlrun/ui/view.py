"""A run as people see it: plain text, and static HTML with charts and the log's tail.

Reads the run directory.  Everything that comes from a run is escaped text; there is no script and no outside
resource, so the output is safe and whole wherever a notebook is shown.
"""

from __future__ import annotations

import html
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun import homepath
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import cells, runs, text
from jupyter_mlrun.store.livemetrics import LiveReader
from jupyter_mlrun.ui import chart, saved, system
from jupyter_mlrun.ui.contract import MOST_METRICS
from jupyter_mlrun.ui.reader import warnings
from jupyter_mlrun.ui.words import LOOKS, duration, number

if TYPE_CHECKING:
    from jupyter_mlrun.records import RunState, Spec
    from jupyter_mlrun.rundir import RunDir

MOST_CHARTS = 12
LOG_LINES = 60
# the view is sent once a second and saved in the notebook: long lines and logs are cut for it, never in the file
LINE_CHARS, LOG_CHARS = 1000, 16_000


@dataclass
class Look:
    """One look at a run."""

    run: RunDir
    spec: Spec
    state: RunState
    metrics: LiveReader
    log: str
    waiting: str | None

    @property
    def icon(self) -> str:
        """The status' sign."""
        return LOOKS.get(self.state.shown, ("•", "dim"))[0]

    @property
    def colour(self) -> str:
        """The status' class of colour."""
        return LOOKS.get(self.state.shown, ("•", "dim"))[1]

    @property
    def why(self) -> str | None:
        """Why it is as it is: the end's reason, or what it waits for."""
        if self.state.reason is not None and self.state.status is not Status.COMPLETED:
            return self.state.reason.text
        if self.state.is_over:
            return None
        return self.waiting or self.state.note

    @property
    def elapsed(self) -> float | None:
        """Seconds of user code so far; None before it began."""
        if self.state.started is None:
            return None
        return (self.state.ended or time.time()) - self.state.started

    def warnings(self) -> list[str]:
        """What was lost or misused while logging."""
        return warnings(self.metrics)


def look(run: RunDir, *, waiting: str | None = None, metrics: LiveReader | None = None) -> Look:
    """Read what the views need.  *metrics*: read already."""
    spec = runs.read_spec(run)
    if metrics is None:
        metrics = LiveReader(run.metrics, MOST_METRICS)
        metrics.follow(0.0)
    log = text.tail(run, 0, spec.resources.procs, lines=LOG_LINES)
    return Look(run, spec, runs.observe(run), metrics, _cut(log), waiting)


def _cut(log: str) -> str:
    lines, room = [], LOG_CHARS
    for line in reversed(log.splitlines()):
        short = line if len(line) <= LINE_CHARS else f"{line[:LINE_CHARS]} …"
        room -= len(short)
        if room < 0:
            break
        lines.append(short)
    return "\n".join(reversed(lines))


def bundle(run: RunDir, *, waiting: str | None = None, metrics: LiveReader | None = None) -> dict[str, Any]:
    """What a notebook displays: text, HTML, and the data of our own MIME type.  *metrics*: read already."""
    seen = look(run, waiting=waiting, metrics=metrics)
    return {saved.MIME: saved.data(seen), "text/plain": _text(seen), "text/html": _html(seen)}


def as_text(run: RunDir, *, waiting: str | None = None) -> str:
    """A run as plain text."""
    return _text(look(run, waiting=waiting))


def as_html(run: RunDir, *, waiting: str | None = None, metrics: LiveReader | None = None) -> str:
    """A run as an HTML fragment with its own style.  *metrics*: read already."""
    return _html(look(run, waiting=waiting, metrics=metrics))


def _text(seen: Look) -> str:
    spec, state = seen.spec, seen.state
    name = f"  ({_t(spec.display_name)})" if spec.display_name else ""
    lines = [f"{seen.icon} {state.shown}  {spec.run_id}{name}"]
    if seen.why:
        lines.append(f"  {_t(seen.why)}")
    told = cells.words(cells.progress(seen.run.path))
    lines.append(f"  on {spec.target}, elapsed {duration(seen.elapsed)}{', ' if told else ''}{told}")
    if spec.parameters:
        lines.append("  parameters: " + _t(", ".join(f"{k}={p['text']}" for k, p in spec.parameters.items())))
    last = seen.metrics.last()
    if last:
        lines.append("  metrics: " + _t(", ".join(f"{k}={number(v)}" for k, v in list(last.items())[:MOST_CHARTS])))
    used = system.line(seen.run, over=seen.state.is_over)
    if used is not None:
        lines.append("  system: " + _t(used))
    start = runs.start_of(seen.run)
    if start:
        lines.append("  start: " + _t(start))
    lines += [f"  ! {warning}" for warning in seen.warnings()]
    if seen.log:
        lines += ["  last lines of the log:", *(f"    {line}" for line in seen.log.splitlines()[-10:])]
    lines.append(f"  {_t(homepath.shown(seen.run.path))}")
    return _whole("\n".join(lines))


def _t(value: str) -> str:
    """One line of text that does nothing to a terminal."""
    return text.plain(value.replace("\n", " "))


def _whole(value: str) -> str:
    # lone surrogates cannot be encoded, and a notebook must be
    return value.encode("utf-8", "replace").decode()


def _html(seen: Look) -> str:
    parts = [f"<style>{_style()}</style>", '<div class="mlr-run">', _head(seen)]
    if seen.why:
        colour = f"mlr-is-{seen.colour}" if seen.colour == "bad" else "mlr-dim"
        parts.append(f'<div class="mlr-why {colour}">{_e(seen.why)}</div>')
    parts += [f'<div class="mlr-why mlr-is-wait">{_e(warning)}</div>' for warning in seen.warnings()]
    parts += [_chips(seen), _charts(seen)]
    if seen.log:
        label = 'tabindex="0" role="region" aria-label="last lines of the log"'
        parts.append(f'<div class="mlr-log" {label}><pre>{_e(seen.log)}</pre></div>')
    parts.append(f'<div class="mlr-foot">{_e(homepath.shown(seen.run.path))}</div></div>')
    return "".join(parts)


def _e(value: str) -> str:
    return html.escape(_whole(value), quote=True)


@cache
def _style() -> str:
    return (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


# JupyterLab strips style and SVG from what it does not trust: these keep words apart there, and show nowhere else
def _sep(words: str) -> str:
    return f'<span class="mlr-sep">{words}</span>'


def _head(seen: Look) -> str:
    spec, state = seen.spec, seen.state
    name = spec.display_name or spec.run_id
    elapsed = f"{duration(seen.elapsed)}" if seen.elapsed is not None else "not started"
    parts = [
        f'<span class="mlr-pill mlr-is-{seen.colour}">{seen.icon} {state.shown}</span>',
        f'<span class="mlr-name">{_e(name)}</span>',
        f'<span class="mlr-dim">{_e(spec.experiment if name == spec.run_id else spec.run_id)}</span>',
        f'<span class="mlr-dim mlr-right">{_e(spec.target)} · {elapsed}</span>',
    ]
    return f'<div class="mlr-head">{_sep(" · ").join(parts)}</div>'


def _chips(seen: Look) -> str:
    chips = [f"{name} = {p['text']}" for name, p in seen.spec.parameters.items()]
    chips += [f"{name}: {value}" if value else name for name, value in seen.spec.tags.items()]
    if not chips:
        return ""
    shown = _sep(", ").join(f'<span class="mlr-chip">{_e(chip[:200])}</span>' for chip in chips[:40])
    return f'<div class="mlr-chips">{shown}</div>'


def _charts(seen: Look) -> str:
    last = seen.metrics.last()
    if not last:
        return ""
    parts = ['<div class="mlr-charts">']
    for name in list(last)[:MOST_CHARTS]:
        count = seen.metrics.sketches[name].count
        steps, values = seen.metrics.shape(name) if count > 1 else ((), ())
        # rows, tables and texts have no line
        drawn = chart.svg(steps, values, label=f"{name}: {count} points") if len(values) else ""
        value = number(last[name])
        value = f'{_sep(": ")}<span class="mlr-value">{_e(value)}</span>'
        title = f'<div class="mlr-title"><span class="mlr-metric">{_e(name)}</span>{value}</div>'
        parts.append(f'<div class="mlr-chart">{title}{drawn}</div>')
    more = len(last) + seen.metrics.more - MOST_CHARTS
    if more > 0:
        parts.append(f'<div class="mlr-chart mlr-dim">and {more:,} more metrics</div>')
    return "".join(parts) + "</div>"
