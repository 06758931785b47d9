"""One run: what it is, its metrics, its children, what it used of the machine.

Reads the run directory; writes nothing.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import NotFound
from jupyter_mlrun.server.api_runs import MOST_FILES, MOST_ROWS
from jupyter_mlrun.server.base import Handler
from jupyter_mlrun.server.bodies import real, whole
from jupyter_mlrun.server.overview import full
from jupyter_mlrun.server.system import used
from jupyter_mlrun.store.livemetrics import OneMetric, part
from jupyter_mlrun.store.series import MetricReader
from jupyter_mlrun.ui import saved, view
from jupyter_mlrun.ui.contract import MOST_POINTS
from jupyter_mlrun.ui.reader import words
from jupyter_mlrun.ui.words import number

if TYPE_CHECKING:
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.server.api import Children, Columns, MetricInfo, MetricList
    from jupyter_mlrun.server.api_runs import Real
    from jupyter_mlrun.server.service import Service
    from jupyter_mlrun.store.home import WorkspaceDir

BUCKETS = 400
NAME = 300


class RunHandler(Handler):
    """``api/runs/RUN``: DELETE is with the commands."""

    async def get(self, run_id: str) -> None:
        place = self.workspace()
        self.answer(await self.work(_full, self.service, place, run_id))


def _full(service: Service, place: WorkspaceDir, run_id: str) -> Any:
    run = service.run(place, run_id)
    return full(place, service.shelf(place), run)


class ChildrenHandler(Handler):
    """``api/runs/RUN/children``."""

    async def get(self, run_id: str) -> None:
        self.answer(await self.work(_children, self.service, self.workspace(), run_id))


def _children(service: Service, place: WorkspaceDir, run_id: str) -> Children:
    run, shelf = service.run(place, run_id), service.shelf(place)
    with shelf.lock:
        shelf.refresh()
        found = sorted(shelf.children(shelf.entry(run)), key=lambda one: (one.row.created, one.row.run_id))[::-1]
        now = time.monotonic()
        for entry in found[:MOST_ROWS]:
            entry.beat(now)
        rows = [entry.line(shelf.waiting.get(entry.row.run_id)) for entry in found[:MOST_ROWS]]
    return {"runs": rows, "total": len(found)}


class SavedHandler(Handler):
    """``api/runs/RUN/saved``: what a notebook keeps of the run, as it is now."""

    async def get(self, run_id: str) -> None:
        place, name = self.workspace(), self.query("view")
        self.answer({"data": await self.work(lambda: _saved(self.service.run(place, run_id), name))})


def _saved(run: RunDir, name: str | None) -> dict[str, Any]:
    bundle = view.bundle(run)
    return saved.named(bundle, name) if name is not None and saved.VIEW_NAME.match(name) else bundle


class SystemHandler(Handler):
    """``api/runs/RUN/system``."""

    async def get(self, run_id: str) -> None:
        place = self.workspace()
        self.answer(await self.work(lambda: used(self.service.run(place, run_id))))


# ---- metrics ---------------------------------------------------------------------------------------------------


class MetricsHandler(Handler):
    """``api/runs/RUN/metrics``."""

    async def get(self, run_id: str) -> None:
        place, name = self.workspace(), self.query("name")
        if name is None:
            self.answer(await self.work(lambda: _names(self.service.run(place, run_id))))
            return
        axis = "time" if self.query("x") == "time" else "step"
        low = real(self.query("from"), "from", -math.inf)
        high = real(self.query("to"), "to", math.inf)
        most = whole(self.query("buckets"), "buckets", BUCKETS, 1, MOST_POINTS)
        self.answer(await self.work(lambda: _columns(self.service.run(place, run_id), name, axis, low, high, most)))


def _names(run: RunDir) -> MetricList:
    found = infos(run)
    return {"metrics": found[:MOST_FILES], "more": max(0, len(found) - MOST_FILES)}


def infos(run: RunDir) -> list[MetricInfo]:
    """The metrics of a run, sorted by name."""
    reader = MetricReader(run.metrics)
    reader.refresh()
    found: list[MetricInfo] = []
    for name, one in sorted(reader.summary().items()):
        kind: Any = "text" if isinstance(one.last, str) else "number"
        if one.min is None and not isinstance(one.last, (str, float)):
            kind = "other"
        last = words(number(one.last), 200)
        found.append({"name": words(name, NAME), "kind": kind, "count": one.count, "last": last})
    return found


def _columns(run: RunDir, wanted: str, axis: Any, low: float, high: float, most: int) -> Columns:
    reader = OneMetric(run.metrics, wanted)
    reader.refresh()
    if wanted not in reader.names():
        # names are shown without what cannot be shown
        same = [name for name in reader.names() if words(name, NAME) == wanted]
        if not same:
            raise NotFound(f"run {run.path.name} has no metric {wanted[:80]!r}")
        return _columns(run, same[0], axis, low, high, most)
    rows, exact = part(reader.series(wanted), axis, min(low, high), max(low, high), most)
    x, least, largest, last = rows.T.tolist()
    return {
        "name": words(wanted, NAME),
        "axis": axis,
        "exact": exact,
        "count": len(x),
        "x": x,
        "min": [_real(one) for one in least],
        "max": [_real(one) for one in largest],
        "last": [_real(one) for one in last],
    }


def _real(value: float) -> Real:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
