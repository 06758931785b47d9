"""Lists of runs, and who answers: ``api/runs``, ``api/about``.

Reads the lists in memory; writes nothing.
"""

from __future__ import annotations

import getpass
import os
import time
from typing import TYPE_CHECKING

from jupyter_mlrun._version import __version__
from jupyter_mlrun.server.api_runs import MOST_ROWS
from jupyter_mlrun.server.base import Handler
from jupyter_mlrun.server.bodies import whole
from jupyter_mlrun.server.query import DEFAULT_LIMIT, Question, Window
from jupyter_mlrun.store.home import workspaces

if TYPE_CHECKING:
    from jupyter_mlrun.server.api_runs import About, RunList, RunQuery
    from jupyter_mlrun.server.listing import Shelf
    from jupyter_mlrun.server.service import Service
    from jupyter_mlrun.store.home import WorkspaceDir

SPARK_SECONDS = 0.01  # of an answer that may go into reading curves; the others follow


def window(shelf: Shelf, asked: Question, now: float, *, fresh: float = 0.0) -> Window:
    """The runs that are asked for, as they are now; *fresh*: as of ``Shelf.refresh``."""
    shelf.refresh(now, fresh=fresh)
    if asked.sort.startswith("metric:"):
        for entry in shelf.without_metrics():
            entry.beat(now)
    return Window(shelf.entries, asked)


def freshen(shelf: Shelf, found: Window, now: float, seconds: float = SPARK_SECONDS) -> bool:
    """Bring what is shown of the window's runs up to date; False where a curve is still to be read.

    At least one is read, so that a machine on which everything takes long comes to the last of them, too.
    """
    until = time.perf_counter() + seconds
    done, read = True, 0
    for entry in found.entries:
        if entry.row.over:
            shelf.look_for_notes(entry)
        if entry.row.over and not entry.needs_spark:
            continue
        if read and entry.row.over and time.perf_counter() > until:
            done = False
        elif entry.beat(now):
            shelf.touch(entry)
            read += entry.row.over
    return done


def runs_of(service: Service, place: WorkspaceDir, asked: Question) -> RunList:
    """The answer of ``api/runs``."""
    shelf, now = service.shelf(place), time.monotonic()
    with shelf.lock:
        found = window(shelf, asked, now)
        freshen(shelf, found, now)
        rows = [entry.line(shelf.waiting.get(entry.row.run_id)) for entry in found.entries]
    return {"runs": rows, "total": found.total, "counts": found.counts, "experiments": found.experiments}


class RunsHandler(Handler):
    """``api/runs``."""

    async def get(self) -> None:
        names = ("text", "status", "experiment", "tag", "compute", "parent", "sort")
        asked: RunQuery = {name: value for name in names if (value := self.query(name))}  # type: ignore[assignment]
        asked["offset"] = whole(self.query("offset"), "offset", 0, 0, 1 << 31)
        asked["limit"] = whole(self.query("limit"), "limit", DEFAULT_LIMIT, 0, MOST_ROWS)
        self.answer(await self.work(runs_of, self.service, self.workspace(), Question(asked)))


class AboutHandler(Handler):
    """``api/about``."""

    async def get(self) -> None:
        found: About = {
            "version": __version__,
            "workspace": self.service.default,
            "workspaces": await self.work(lambda: [place.name for place in workspaces(self.service.home)]),
            "home": str(self.service.home),
            "user": _user(),
            "can_write": await self.may("write"),
            "can_execute": await self.may("execute"),
        }
        self.answer(found)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a uid without a name, as in containers
        return str(os.getuid())
