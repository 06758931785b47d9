"""Runs that are only written down: no process, no agent, so that tests of the store are quick."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from jupyter_mlrun.records import Resources, Spec
from jupyter_mlrun.rundir import RunDir, dump_json, write_new
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs, snapshot
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.worker import process

CREATED = 1_700_000_000


def recorded_run(
    place: WorkspaceDir, *, experiment: str = "exp", number: int = 0, content: bytes | None = None, **more: Any
) -> RunDir:
    """A run that has been submitted, and has not begun."""
    taken = None
    if content is not None:
        manifest = snapshot.take(ObjectStore(place.objects), None, extra={"main.py": content})
        taken = {"id": manifest.id, "files": manifest.count, "bytes": manifest.bytes}
    spec = Spec(
        experiment=experiment,
        workspace=place.name,
        arguments=[],
        objects=str(place.objects),
        environment={"python": sys.executable},
        resources=Resources(),
        **{
            "run_id": f"{experiment}_{CREATED + number}_{number:08x}",
            "created": float(CREATED + number),
            "kind": "script",
            "script": "main.py",
            "snapshot": taken,
            "display_name": f"name {number}",
            "tags": {"number": str(number)},
            "created_by": {"user": "somebody", "host_id": process.host_id(), "pid": os.getpid()},
            **more,
        },
    )
    return runs.record(place, spec, {})


def ended_run(place: WorkspaceDir, *, code: int = 0, **more: Any) -> RunDir:
    """A run that has ended."""
    run = recorded_run(place, **more)
    state = runs.recorded(run)
    state = runs.move(run, state, Status.STARTING, generation=1)
    state = runs.move(run, state, Status.RUNNING, started=time.time())
    status, reason = ("Completed", "finished") if not code else ("Failed", "exit_code")
    found = {"status": status, "reason": reason, "text": f"ended with {code}", "exit_code": code, "ended": time.time()}
    write_new(run.exit, dump_json(found))
    write_new(run.log(), b"a line\n")
    runs.finish(run, state, found)
    return run
