"""Interactive runs: a process of the user is the run.  ``start_logging``, offline runs and children of runs.

Writes a run directory, and copies of what comes into the ``./outputs`` of the process; ends what is open when the
process ends.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun._version import __version__
from jupyter_mlrun.errors import BadInput, Conflict, JupyterMLRunError, SnapshotError, StoreError
from jupyter_mlrun.records import RUN_ID, Resources, Spec
from jupyter_mlrun.rundir import RunDir, read_json
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.worker import context, ending, notes, process, runfiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_mlrun.store.home import WorkspaceDir

OFFLINE = "OfflineRun"


@dataclass
class _Open:
    """A run of this process that has not ended."""

    run: RunDir
    pid: int
    outputs: str | None  # the folder that is kept, absolute
    since: float


_open: dict[str, _Open] = {}
_lock = threading.Lock()


def start(
    place: WorkspaceDir,
    experiment: str,
    *,
    name: str | None = None,
    run_id: str | None = None,
    parent: str | None = None,
    outputs: str | bool | os.PathLike[str] | None = None,
    snapshot: str | os.PathLike[str] | None = None,
    tags: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
) -> RunDir:
    """Make a run that this process is; it is Running at once.

    Raises ``BadInput`` for an id that is none, ``Conflict`` for one that is taken.
    """
    chosen = _checked_id(place, experiment, run_id)
    spec = Spec(
        run_id=chosen,
        experiment=experiment,
        workspace=place.name,
        created=time.time(),
        created_by=_creator(),
        kind=ending.INTERACTIVE,
        script=_script(),
        arguments=[str(argument) for argument in sys.argv[1:]] if _script() else [],
        snapshot=_snapshot(place, snapshot),
        objects=str(place.objects),
        environment={"name": "this interpreter", "python": sys.executable, "version": sys.version.split()[0]},
        display_name=name,
        resources=Resources(gpus=0),
        tags=notes.texts(tags or {}, "tags"),
        properties=notes.texts(properties or {}, "properties"),
        parent=parent,
    )
    who = dict(process.identity(), rank=0, started=time.time(), monotonic=time.monotonic())
    run = runs.record(place.make(), spec, {}, begun=who)
    with _lock:
        if not _open:
            atexit.unregister(_at_exit)
            atexit.register(_at_exit)
        _open[str(run.path)] = _Open(run, os.getpid(), _folder(outputs, parent), who["started"])
    return run


def offline(place: WorkspaceDir) -> RunDir:
    """The offline run of this process; processes that it starts join it by the environment."""
    run = start(place, OFFLINE)
    os.environ[context.RUN_DIR] = str(run.path)
    os.environ[context.RUN_ID] = run.run_id
    sys.stderr.write(f"jupyter_mlrun: this process belongs to no run; its offline run is {run.run_id} in {run.path}\n")
    return run


def collect(run_dir: str) -> None:
    """Bring what is new in the ``./outputs`` of a run of this process."""
    entry = _open.get(run_dir)
    if entry is not None and entry.pid == os.getpid() and entry.outputs:
        runfiles.collect(entry.run, entry.outputs, entry.since)


def close(run_dir: str) -> None:
    """The run has ended: this process has nothing to do with it any more."""
    with _lock:
        entry = _open.get(run_dir)
        if entry is None or entry.pid != os.getpid():
            return
        del _open[run_dir]
    if os.environ.get(context.RUN_DIR) == run_dir:
        del os.environ[context.RUN_DIR]
        os.environ.pop(context.RUN_ID, None)


def _at_exit() -> None:
    """End what this process left open: a script need not say that it is done."""
    problem = None if _is_notebook() else getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    for run_dir, entry in reversed(list(_open.items())):
        if entry.pid != os.getpid() or not os.path.isdir(run_dir):
            continue
        status, words = Status.COMPLETED, ""
        if problem is not None:
            status, words = Status.FAILED, f"{type(problem).__name__}: {problem}"
        try:
            collect(run_dir)
            ending.end(entry.run, read_json(entry.run.spec), status, words)
        except (OSError, ValueError, JupyterMLRunError) as trouble:
            sys.stderr.write(f"jupyter_mlrun: the end of run {entry.run.path.name} is not recorded: {trouble}\n")


def _is_notebook() -> bool:
    """Whether errors were errors of cells, which end nothing."""
    shell = getattr(sys.modules.get("IPython.core.interactiveshell"), "InteractiveShell", None)
    return bool(shell is not None and shell.initialized()) or hasattr(sys, "ps1")


def _checked_id(place: WorkspaceDir, experiment: str, run_id: str | None) -> str:
    if run_id is None:
        return runs.new_run_id(experiment)
    match = RUN_ID.match(str(run_id))
    if match is None or match["experiment"] != experiment:
        raise BadInput(
            f"{run_id!r} is no id for a run of {experiment!r}",
            hint=f"like {runs.new_run_id(experiment)}; or give name=… and leave run_id out",
        )
    if runs.place(place, run_id).exists():
        raise Conflict(f"there is a run {run_id!r} already", hint="leave run_id out, and a new one is made")
    return run_id


def _folder(outputs: str | bool | os.PathLike[str] | None, parent: str | None) -> str | None:
    """The folder to keep, None for none.  Children share their parent's folder: theirs has to be named."""
    if outputs is False or (outputs is None and parent is not None):
        return None
    return os.path.abspath("outputs" if outputs in (None, True) else os.fspath(str(outputs)))


def _snapshot(place: WorkspaceDir, folder: str | os.PathLike[str] | None) -> dict[str, Any] | None:
    """A snapshot of the folder; what is too large for one is said and left out: it is no reason not to start."""
    if folder is None:
        return None
    try:
        return take(place, folder)
    except (SnapshotError, StoreError) as problem:
        cure = "snapshot_directory=None takes none; an .amlignore leaves files out"
        warnings.warn(f"no snapshot of {os.fspath(folder)!r}: {problem.message} ({cure})", stacklevel=4)
        return None


def take(place: WorkspaceDir, source: str | os.PathLike[str]) -> dict[str, Any]:
    """Snapshot a folder or a lone file; how ``spec.json`` names it."""
    from jupyter_mlrun import settings
    from jupyter_mlrun.store import snapshot
    from jupyter_mlrun.store.packs import ObjectStore

    path = Path(source).expanduser()
    store = ObjectStore(place.make().objects)
    if path.is_file():
        taken = snapshot.take(store, None, extra={path.name: path.read_bytes()})
    elif path.is_dir():
        limit = settings.parse_size(settings.load().max_snapshot)
        taken = snapshot.take(store, snapshot.scan(path, max_bytes=limit, store=store))
    else:
        raise BadInput(f"{os.fspath(source)!r} is no file or folder", hint=f"it was looked for from {os.getcwd()}")
    return {"id": taken.id, "files": taken.count, "bytes": taken.bytes}


def restore(place: WorkspaceDir, snapshot_id: str, path: str | os.PathLike[str] | None) -> Path:
    """Write the files of a snapshot as ``<id>.zip`` into the folder *path*: whole or not at all."""
    import shutil
    import tempfile

    from jupyter_mlrun.store import snapshot
    from jupyter_mlrun.store.packs import ObjectStore

    target = Path(path or ".") / f"{snapshot_id}.zip"
    place.make()
    with tempfile.TemporaryDirectory(dir=place.tmp) as aside:
        snapshot.materialise(ObjectStore(place.objects), snapshot_id, Path(aside) / "tree")
        made = shutil.make_archive(str(Path(aside) / "made"), "zip", Path(aside) / "tree")
        runfiles.copy_out(made, str(target))
    return target


def _script() -> str | None:
    """The script that this process runs; None in a notebook or a console."""
    if _is_notebook():
        return None
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.basename(path) if path else None


def _creator() -> dict[str, Any]:
    return {
        "user": notes.user(),
        "host": socket.gethostname(),
        "host_id": process.host_id(),
        "pid": os.getpid(),
        "client": "interactive",
        "version": __version__,
    }
