"""A run as data in a notebook: what an output of our own MIME type carries, so that a page can draw it without us.

Reads what a look at the run has read; writes nothing.  Plain values only: whoever draws it makes text of them.
"""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.store import text
from jupyter_mlrun.ui.contract import STATIC_CLASS
from jupyter_mlrun.ui.reader import words
from jupyter_mlrun.ui.words import number

if TYPE_CHECKING:
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.ui.view import Look

MIME = "application/vnd.jupyter-mlrun.run+json"
FORMAT = 1
VIEW_NAME = re.compile(r"[\w-]{1,100}\Z", re.ASCII)
# it is saved in the notebook, with each of its runs
MOST_METRICS, MOST_POINTS, MOST_PAIRS, LONGEST = 12, 60, 40, 500


def stand_in(run: RunDir) -> dict[str, Any]:
    """What the output beside the saved one says: it stands for the same run, and is drawn where nothing else is."""
    return {**_address(run), "part": "view"}


def data(seen: Look) -> dict[str, Any]:
    """The saved output's data: which run, and how it was when it was looked at."""
    return {**_address(seen.run), "part": "saved", "static": _static(seen)}


def named(bundle: dict[str, Any], view: str) -> dict[str, Any]:
    """A saved output's MIME bundle that knows the *view* which stands for it while it lives."""
    page = f'<div class="{STATIC_CLASS} {STATIC_CLASS}-{view}">{bundle["text/html"]}</div>'
    made = {**bundle, "text/html": page}
    if MIME in bundle:
        made[MIME] = {**bundle[MIME], "view": view}
    return made


def _address(run: RunDir) -> dict[str, Any]:
    # HOME/WORKSPACE/runs/EXPERIMENT/RUN
    return {"format": FORMAT, "run": run.path.name, "workspace": run.path.parents[2].name}


def _static(seen: Look) -> dict[str, Any]:
    spec, state = seen.spec, seen.state
    return {
        "status": str(state.shown),
        "over": state.is_over,
        "reason": _word(seen.why),
        "title": _word(spec.display_name or spec.run_id),
        "experiment": _word(spec.experiment),
        "target": _word(spec.target),
        "elapsed": None if seen.elapsed is None else round(seen.elapsed, 3),
        "parameters": [[_word(k), _word(p["text"])] for k, p in list(spec.parameters.items())[:MOST_PAIRS]],
        "tags": [[_word(k), _word(v)] for k, v in list(spec.tags.items())[:MOST_PAIRS]],
        "warnings": [_word(warning) for warning in seen.warnings()],
        "metrics": [_metric(seen, name, last) for name, last in list(seen.metrics.last().items())[:MOST_METRICS]],
        "more": max(0, len(seen.metrics.last()) + seen.metrics.more - MOST_METRICS),
        "log": [words(line, 2000) for line in text.plain(seen.log).splitlines()],
        "saved": round(time.time(), 3),
    }


def _metric(seen: Look, name: str, last: Any) -> dict[str, Any]:
    count = seen.metrics.sketches[name].count
    values = [float(value) for value in seen.metrics.shape(name, MOST_POINTS // 2)[1]] if count > 1 else []
    # JSON has no NaN and no infinity: a gap
    points = [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]
    return {"name": _word(name), "last": _word(number(last)), "count": count, "points": points}


def _word(value: str | None) -> str:
    return "" if value is None else words(value, LONGEST)
