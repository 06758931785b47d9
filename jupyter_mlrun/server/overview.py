"""Everything that an overview shows of one run.

Reads the run directory, its snapshot and the models' records; writes nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import JupyterMLRunError
from jupyter_mlrun.sdk.facts import environment_of, git_of, input_of, resources_of
from jupyter_mlrun.sdk.modelrecords import from_run
from jupyter_mlrun.server import trace
from jupyter_mlrun.server.snapshots import Code, code_of
from jupyter_mlrun.store import runs, text
from jupyter_mlrun.store.registry import Versions
from jupyter_mlrun.store.series import MetricReader
from jupyter_mlrun.ui.reader import warnings, words
from jupyter_mlrun.worker import notes

if TYPE_CHECKING:
    from jupyter_mlrun.records import RunState, Spec
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.server.api_runs import End, ModelInfo, RunFull, SnapshotInfo
    from jupyter_mlrun.server.listing import Shelf
    from jupyter_mlrun.store.home import WorkspaceDir

MOST_CELL = 200_000  # bytes of a cell that is shown
TRACE_BYTES = 256 << 10  # of the end of a log that is looked through for a traceback
MOST_ENTRIES = 500


def full(place: WorkspaceDir, shelf: Shelf, run: RunDir) -> RunFull:
    """The answer of ``api/runs/RUN``."""
    spec, state = runs.read_spec(run), runs.observe(run)
    with shelf.lock:
        shelf.refresh()
        entry = shelf.entry(run)
        entry.beat(time.monotonic())
        row = entry.line(shelf.waiting.get(spec.run_id))
        children = sum(1 for _ in shelf.children(entry))
        warned = entry.warned
    code = code_of(place, spec)
    cell = _cell(spec, code)
    said = notes.read(str(run.annotations))
    if warned is None:
        reader = MetricReader(run.metrics)
        reader.refresh()
        warned = warnings(reader)
    return {
        **row,
        "description": words(said["description"], 10_000) if said.get("description") else None,
        "host": words(spec.created_by["host"]) if spec.created_by.get("host") else None,
        "client": words(spec.created_by["client"]) if spec.created_by.get("client") else None,
        "queued": state.queued,
        "now": time.time(),
        "script": words(spec.script) if spec.script else None,
        "command": None if spec.command is None else [words(one) for one in spec.command[:MOST_ENTRIES]],
        "arguments": [words(one) for one in spec.arguments[:MOST_ENTRIES]],
        "cell": None if cell is None or code is None else code.text(cell, MOST_CELL),
        "properties": {words(name, 200): words(value) for name, value in spec.properties.items()},
        "environment": environment_of(spec),
        "variables": [words(name, 200) for name in spec.env_names[:MOST_ENTRIES]],
        "git": git_of(spec),  # type: ignore[typeddict-item]  # checked there
        "inputs": [input_of(one) for one in spec.inputs[:MOST_ENTRIES]],  # type: ignore[misc]  # as its author says
        "resources": resources_of(spec),  # type: ignore[typeddict-item]  # as above
        "snapshot": _snapshot(spec),
        "rerun_of": spec.rerun_of,
        "children": children,
        "models": _models(place, spec),
        "logs": [run.log(rank, spec.resources.procs).name for rank in range(spec.resources.procs)],
        "warnings": warned,
        "start": words(runs.start_of(run)),
        "end": _end(run, spec, state, cell),
        "folder": str(run.path),
        "workspace": place.name,
    }


def _snapshot(spec: Spec) -> SnapshotInfo | None:
    if spec.snapshot is None:
        return None
    return {
        "id": str(spec.snapshot["id"]),
        "files": int(spec.snapshot.get("files", 0)),
        "bytes": int(spec.snapshot.get("bytes", 0)),
        "left_out": [(words(one[0]), words(one[1])) for one in spec.left_out if len(one) == 2],
    }


def _models(place: WorkspaceDir, spec: Spec) -> list[ModelInfo]:
    found: list[ModelInfo] = []
    for one in from_run(Versions(place, "model"), spec.run_id):
        name, _, version = one.rpartition(":")
        found.append({"name": words(name), "version": int(version)})
    return found


def _cell(spec: Spec, code: Code | None) -> str | None:
    if code is None or spec.script is None:
        return None
    try:
        return trace.cell_file(spec, code.text(spec.script, MOST_CELL))
    except (OSError, JupyterMLRunError):  # the cell is not worth the rest
        return None


def _end(run: RunDir, spec: Spec, state: RunState, cell: str | None) -> End | None:
    if not state.is_over:
        return None
    lines: list[str] = []
    if state.reason is not None and str(state.status) == "Failed":
        ranks = spec.resources.procs
        for rank in range(min(ranks, 64)):
            lines = trace.last_traceback(_tail(run, rank, ranks))
            if lines:
                break
    found, error = trace.places_of(lines, run.path.name, cell) if lines else ([], None)
    return {
        "status": str(state.status),
        "code": state.reason.code if state.reason else "",
        "reason": words(state.reason.text) if state.reason else "",
        "guess": bool(state.reason and state.reason.guess),
        "exit_code": state.exit_code,
        "signal": state.signal,
        "last_lines": [words(line) for line in state.last_lines],
        "error": error,
        "traceback": found,
        "hints": trace.hints(spec, state),
    }


def _tail(run: RunDir, rank: int, ranks: int) -> str:
    path = run.log(rank, ranks)
    try:
        start = max(0, path.stat().st_size - TRACE_BYTES)
    except FileNotFoundError:
        return ""
    return text.read(path, start, TRACE_BYTES).decode("utf-8", "replace")
