"""What ``ps`` lists: runs of all workspaces as they are now, active ones first.

Reads the listing of each workspace; asks the agent to look first where any run is active.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.agent import client
from jupyter_mlrun.cli_common import say
from jupyter_mlrun.errors import AgentError, StoreError
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import workspaces
from jupyter_mlrun.store.index import Row, listing, row_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def rows(home: Path, *, limit: int | None, experiment: str | None = None, status: str | None = None) -> list[Row]:
    """At most *limit* runs, active ones first, then the newest."""
    # what is filtered afterwards may lie anywhere
    first = limit if experiment is None and status is None else None
    found = _read(home, first, experiment)
    if any(not row.over for row in found) and os.access(home, os.W_OK):
        try:
            client.sync(home)
        except (AgentError, StoreError) as problem:
            say(f"jupyter mlrun: the agent cannot be asked, so this is what the files say: {problem.message}", err=True)
        found = _read(home, first, experiment)
    if status is not None:
        found = [row for row in found if row.status.lower() == status.lower()]
    found.sort(key=lambda row: (row.over, -row.created, row.run_id))
    return [_with_metrics(row) for row in found[:limit]]


def _read(home: Path, limit: int | None, experiment: str | None) -> list[Row]:
    found = [row for place in workspaces(home) for row in listing(place, experiment=experiment, limit=limit)]
    if limit is not None:
        found += _active(home, {row.run_id for row in found})
    return found


def _active(home: Path, known: set[str]) -> list[Row]:
    """Runs that the agent has in its hands, and that are too old for the newest few."""
    queue = client.queue_of(home)
    found = []
    for run_id in (*queue["running"], *queue["waiting"]):
        for place in workspaces(home) if run_id not in known else ():
            run = RunDir(runs.place(place, run_id))
            loaded = runs.load(run) if run.path.is_dir() else None
            if loaded is not None and not loaded[1].is_over:
                found.append(row_of(run, *loaded))
    return found


def _with_metrics(row: Row) -> Row:
    """The row of an active run with its latest metrics, which the index has for ended ones."""
    if row.over or row.started is None:
        return row
    from jupyter_mlrun.store.series import summary_of  # loads numpy

    return replace(row, metrics=summary_of(RunDir(row.path)))


def waiting(home: Path, found: Sequence[Row]) -> dict[str, str]:
    """Why each queued run waits, in words, as the agent says now."""
    return dict(client.queue_of(home)["waiting"]) if any(not row.over for row in found) else {}


def details(home: Path, found: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """The same as data: each queued run's place, what it waits for, and when it is expected to start."""
    return dict(client.queue_of(home)["details"]) if any(not row.over for row in found) else {}
