"""Run directories: made whole or not at all, moved from state to state by one function, found again.

Reads all of a run directory; writes ``spec.json``, ``env.json``, ``events.jsonl``; of an interactive run
``rank-0.json`` too.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import DamagedRun, IllegalMove, NewerStore, StoreError
from jupyter_mlrun.records import RUN_ID, RunState, Spec, after, end_event, fold, slug, status_event
from jupyter_mlrun.rundir import (
    RunDir,
    append_line,
    dump_json,
    make_folder,
    read_json,
    read_json_if_there,
    sync_folder,
    write_new,
)
from jupyter_mlrun.states import EndReason, Status
from jupyter_mlrun.worker import notes, process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jupyter_mlrun.store.home import WorkspaceDir


def new_run_id(experiment: str) -> str:
    """``<experiment>_<unix time>_<8 hex>``."""
    return f"{experiment}_{int(time.time())}_{secrets.token_hex(4)}"


def place(workspace: WorkspaceDir, run_id: str) -> Path:
    """Where the run with this id lives; the id must have the form of one, so nothing leads outside."""
    match = RUN_ID.match(run_id)
    if not match:
        raise StoreError(f"{run_id!r} is not a run id")
    tail = f"_{match['created']}_{match['tail']}"
    return workspace.runs / slug(match["experiment"]) / (slug(match["experiment"]) + tail)


def settled(spec: dict[str, Any], workspace: WorkspaceDir) -> dict[str, Any]:
    """The JSON of a spec that names the stores of *workspace*: a home may have moved, a run may come from another."""
    stores = {"objects": str(workspace.objects), "trees": str(workspace.trees)}
    inputs = [{**one, **{k: v for k, v in stores.items() if k in one}} for one in spec.get("inputs") or ()]
    return {**spec, "workspace": workspace.name, "objects": stores["objects"], "inputs": inputs}


def record(
    workspace: WorkspaceDir, spec: Spec, environment: Mapping[str, str], *, begun: Mapping[str, Any] | None = None
) -> RunDir:
    """Make the run exist: its directory is written aside, brought to the disk and renamed into place.

    A kill or a full disk at any instruction leaves either no run or the whole run.  *begun*: the process that is
    the run, of an interactive one, which runs from its first moment.
    """
    final = place(workspace, spec.run_id)
    aside = RunDir(workspace.tmp / f"{final.name}.{os.getpid()}")
    try:
        make_folder(aside.path)
        for folder in aside.folders():
            make_folder(folder)
        created = {"seq": 0, "type": "created", "time": spec.created, "by": spec.created_by}
        write_new(aside.spec, dump_json(spec.to_json()), sync=False)
        write_new(aside.environment, dump_json({k: _text(v) for k, v in environment.items()}), sync=False)
        write_new(aside.events, dump_json(created) + (_beginning(aside, begun) if begun else b""), sync=False)
        _sync_together([aside.spec, aside.environment, aside.events, aside.path])
        make_folder(final.parent)
        os.rename(aside.path, final)
    except OSError as problem:
        _discard(aside.path)
        raise StoreError(
            f"the run cannot be recorded in {workspace.path}: {problem.strerror or problem}",
            hint="nothing was left behind; free space there (jupyter mlrun du, jupyter mlrun gc) and submit again",
        ) from problem
    try:
        sync_folder(final.parent)
    except OSError as problem:
        # the run exists and may have begun: to call it a failure now would be a lie
        warnings.warn(f"run {spec.run_id} exists, but a power cut may lose it: {problem}", RuntimeWarning, stacklevel=2)
    return RunDir(final)


def _sync_together(paths: list[Path]) -> None:
    """Bring files and folders to the disk; asked for at once, they share the journal's write."""
    problems: list[OSError] = []

    def sync(path: Path) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as problem:
            problems.append(problem)

    threads = [threading.Thread(target=sync, args=(path,), name="jupyter_mlrun sync") for path in paths[1:]]
    for thread in threads:
        thread.start()
    sync(paths[0])
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def _beginning(run: RunDir, who: Mapping[str, Any]) -> bytes:
    write_new(run.rank(0), dump_json(who))
    event = status_event(RunState(), Status.RUNNING, started=who["started"])
    return dump_json({"seq": 1, "time": who["started"], **event})


def _text(value: str) -> str:
    # what JSON cannot hold as it is (bytes that are no UTF-8) stays what it was: json escapes surrogates
    return value


def _discard(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def read_spec(run: RunDir) -> Spec:
    """What was asked of this run, with what people said of it since: tags, properties, a name, a late snapshot."""
    try:
        spec = Spec.from_json(read_json(run.spec))
    except NewerStore:
        raise
    except (ValueError, KeyError, TypeError) as problem:
        raise damaged(run.spec, problem) from problem
    said = notes.read(str(run.annotations))
    if len(said) == 3 and not any(said.values()):
        return spec
    return replace(
        spec,
        tags=notes.over(spec.tags, said),
        properties={**said["properties"], **spec.properties},
        display_name=said.get("display_name", spec.display_name),
        snapshot=spec.snapshot or said.get("snapshot"),
    )


def damaged(path: Path, problem: Exception) -> DamagedRun:
    """The error for a file of a run that cannot be understood."""
    what = f"has no {problem}" if isinstance(problem, KeyError) else f"cannot be understood: {problem}"
    return DamagedRun(
        f"{path} {what}", hint="restore it from a backup, or remove the run's folder; jupyter mlrun fsck names all such"
    )


def start_of(run: RunDir) -> str:
    """How its first rank started: "warm", or "cold: " and why; empty where nothing says so."""
    who = read_json_if_there(run.rank(0)) or {}
    return str(who.get("way") or (read_json_if_there(run.grant) or {}).get("start", ""))


def events(run: RunDir) -> Iterator[dict[str, Any]]:
    """What happened, in order; torn or foreign lines are passed over."""
    try:
        data = run.events.read_bytes()
    except FileNotFoundError:
        return
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "type" in event:
            yield event


def recorded(run: RunDir) -> RunState:
    """The state as the agent last wrote it."""
    return fold(events(run))


def observe(run: RunDir) -> RunState:
    """The state as the files show it now: an ``exit.json`` that the agent has not read yet counts."""
    state = recorded(run)
    if state.is_over and not (state.reason and state.reason.guess):
        return state
    try:
        found = read_json_if_there(run.exit)
        if found is None:
            found = None if state.is_over else death(run, state)
        if found is None or (state.is_over and found.get("guess")):
            return state
        return after(state, dict(end_event(state, found), time=found["ended"]))
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise damaged(run.exit, problem) from problem


def death(run: RunDir, state: RunState) -> dict[str, Any] | None:
    """The end of an interactive run whose process is gone without a word; None while it lives, and for others.

    Only an interactive run is Running without a worker.  From another host its process cannot be seen.
    """
    if state.generation or state.status not in (Status.RUNNING, Status.CANCEL_REQUESTED):
        return None
    who = read_json_if_there(run.rank(0))
    if who is None or who["host"] != process.host_id() or process.is_alive(who):
        return None
    said: dict[str, Any] | None = read_json_if_there(run.exit)
    if said is not None:  # it came between the two looks
        return said
    rebooted = who["boot"] != process.boot_id()
    text = "the machine was restarted while it ran" if rebooted else "killed, or the kernel was restarted"
    return {
        "status": Status.FAILED.value,
        "reason": (EndReason.NODE_LOST if rebooted else EndReason.ENDED_UNSEEN).value,
        "text": f"its process ended before the run was completed ({text})",
        "ended": _last_sign(run, who["started"]),
        "exit_code": None,
    }


def _last_sign(run: RunDir, started: float) -> float:
    """When the run last wrote something."""
    times = [started]
    for folder in (run.metrics, run.user_logs, run.artifacts, run.outputs, run.logs):
        try:
            times += [entry.stat().st_mtime for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            continue
    return max(times)


def append(run: RunDir, state: RunState, event: Mapping[str, Any], *, sync: bool = True) -> RunState:
    """Append one event and return the state after it.  For the agent alone, which holds the home's lock."""
    full = {"seq": state.seq + 1, "time": time.time(), **event}
    append_line(run.events, dump_json(full), sync=sync)
    return after(state, full)


def move(run: RunDir, state: RunState, to: Status, *, sync: bool = True, **more: Any) -> RunState:
    """The one function that changes a run's status.  For the agent alone.

    Without *sync* a power cut may lose the move, until ``sync_events``.  Raises ``IllegalMove`` with the run's history
    where the table in ``states.py`` forbids the move.
    """
    try:
        event = status_event(state, to, **more)
    except IllegalMove as problem:
        raise _with_history(run, problem) from problem
    return append(run, state, event, sync=sync)


def sync_events(run: RunDir) -> None:
    """Bring what was appended to the disk."""
    _sync_together([run.events])


def finish(run: RunDir, state: RunState, found: Mapping[str, Any]) -> RunState:
    """Move a run to its end as ``exit.json`` (or the agent's own finding of that shape) tells it."""
    try:
        event = end_event(state, found)
    except IllegalMove as problem:
        raise _with_history(run, problem) from problem
    return append(run, state, event)


def _with_history(run: RunDir, problem: IllegalMove) -> IllegalMove:
    history = ", ".join(str(e.get("status", e["type"])) for e in events(run))
    return IllegalMove(f"{run.path.name}: {problem.message}", hint=f"its history: {history}")


def experiment_folders(workspace: WorkspaceDir) -> Iterator[Path]:
    """The folder of each experiment."""
    try:
        entries = sorted(os.scandir(workspace.runs), key=lambda e: e.name)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)


def run_dirs(workspace: WorkspaceDir) -> Iterator[RunDir]:
    """Every run directory of a workspace."""
    for folder in experiment_folders(workspace):
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                yield RunDir(entry.path)


def load(run: RunDir) -> tuple[Spec, RunState] | None:
    """Spec and state of a run directory; None where it is damaged beyond reading."""
    try:
        return read_spec(run), observe(run)
    except NewerStore:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        return None


def trash(workspace: WorkspaceDir, run: RunDir) -> None:
    """Remove a run: renamed away at once, so that it is there whole or gone; then deleted."""
    away = workspace.trash / f"{run.path.name}.{secrets.token_hex(4)}"
    os.rename(run.path, away)
    sync_folder(run.path.parent)
    _discard(away)


def unseen(state: RunState, now: float) -> RunState:
    """The same state of a run that cannot be seen since *now*."""
    return replace(state, unseen_since=now)
