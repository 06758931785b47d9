"""This machine as a compute: workers as processes of their own.

Reads ``/proc``, ``worker-<g>.json``, ``rank-<n>.json``, ``exit.json``; writes ``grant.json`` and starts
workers from a copy of the far-side modules in ``<home>/.agent``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING, Any, ClassVar

from jupyter_mlrun.backends import machine
from jupyter_mlrun.backends.base import Backend, Seen, Sighting
from jupyter_mlrun.backends.machine import Gpu, Machine
from jupyter_mlrun.rundir import (
    FILE_MODE,
    RunDir,
    dump_json,
    make_folder,
    read_json,
    read_json_if_there,
    write_atomic,
)
from jupyter_mlrun.worker import process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_mlrun.backends.warm import Pool

__all__ = ["Gpu", "LocalBackend", "Machine", "install_worker", "look"]
_START = "import sys; sys.path.insert(0, {!r}); from jupyter_mlrun.worker.main import main; sys.exit(main())"
# what a worker may import, beside the worker package itself
_FAR_SIDE = (
    *("__init__.py", "_version.py", "errors.py", "states.py", "rundir.py"),
    *(f"azureml/{name}.py" for name in ("__init__", "_finder", "_names", "_parts", "alias", "shim/azureml/__init__")),
)
# what the program of a notebook's run imports of ours; it needs papermill beside it
_NOTEBOOKS = ("words.py", "literals.py", "parameters.py")


def look() -> Machine:
    """This machine, as far as this process may use it."""
    return machine.look(_gpus())


def _gpus() -> tuple[Gpu, ...]:
    return machine.gpus()


def install_worker(folder: Path) -> Path:
    """Copy the far-side modules into *folder*, named by their content; workers start from there.

    So an upgraded or deleted installation of this package cannot change or break a run under way.
    """
    package = Path(__file__).parent.parent
    folders = [f"{folder}/{p.name}" for folder in ("worker", "engine") for p in (package / folder).glob("*.py")]
    names = [*_FAR_SIDE, *_NOTEBOOKS, *sorted(folders)]
    contents = {name: (package / name).read_bytes() for name in names if (package / name).exists()}
    digest = hashlib.sha256(b"\0".join(n.encode() + b"\0" + c for n, c in sorted(contents.items()))).hexdigest()
    target = folder / f"worker-{digest[:12]}"
    if target.is_dir():
        return target
    aside = folder / f".worker.{os.getpid()}"
    for name, content in contents.items():
        path = aside / "jupyter_mlrun" / name
        make_folder(path.parent)
        write_atomic(path, content, sync=False)
    try:
        os.rename(aside, target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(aside)
    return target


class LocalBackend(Backend):
    """Workers as processes of this machine."""

    name: ClassVar[str] = "local"

    def __init__(
        self, worker_home: Path, *, wake: str = "", python: str = sys.executable, pool: Pool | None = None
    ) -> None:
        self.worker_home, self.wake, self.python, self.pool = worker_home, wake, python, pool
        self._spawned: dict[str, dict[str, Any]] = {}

    def submit(self, run: RunDir, grant: Mapping[str, Any], *, generation: int) -> str:
        """Start a worker in a session of its own; see ``Backend.submit``."""
        handle = json.dumps({"run_dir": str(run.path), "generation": generation})
        pid = self._fork(run, grant, again=generation > 1 or handle in self._spawned)
        if pid is None:
            pid = self._spawn(run, generation)
        self._spawned[handle] = process.identity(pid)
        if self.pool is not None:
            self.pool.start_wanted()
        return handle

    def _fork(self, run: RunDir, grant: Mapping[str, Any], *, again: bool) -> int | None:
        """The pid of a worker that a fork server made, and why there is none in ``grant.json``."""
        server, start = None, "cold: no fork servers here"
        if self.pool is not None:
            try:
                server, start = self.pool.prepare(run, grant, again=again)
            except (OSError, ValueError, KeyError, TypeError) as problem:  # the worker tells it better
                start = f"cold: {type(problem).__name__}: {problem}"
        said = {**grant, "start": start}
        write_atomic(run.grant, dump_json(said), sync=False)
        if self.pool is None or server is None:
            return None
        pid = self.pool.fork(server, run, 1, self.wake)
        if pid is None:
            said["start"] = "cold: the process to fork from did not answer"
            write_atomic(run.grant, dump_json(said), sync=False)
        return pid

    def _spawn(self, run: RunDir, generation: int) -> int:
        """The pid of a worker that starts with an interpreter of its own."""
        log = os.open(run.worker_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        code = _START.format(str(self.worker_home))
        argv = [self.python, "-I", "-S", "-c", code, str(run.path), str(generation), self.wake]
        try:
            return os.posix_spawn(
                self.python,
                argv,
                {"LANG": "C.UTF-8", **{k: os.environ[k] for k in ("PATH", "LD_LIBRARY_PATH") if k in os.environ}},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, null, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
                setsid=True,
                setsigmask=[],
            )
        finally:
            os.close(log)
            os.close(null)

    def poll(self, handles: Sequence[str]) -> dict[str, Sighting]:
        """Look at the files and processes of each run; see ``Backend.poll``."""
        return {handle: self._look(handle, json.loads(handle)) for handle in handles}

    def _look(self, key: str, handle: Mapping[str, Any]) -> Sighting:
        run = RunDir(handle["run_dir"])
        found = read_json_if_there(run.exit)
        if found is not None:
            return Sighting(Seen.ENDED, found)
        try:
            ranks = int(read_json(run.spec)["resources"]["procs"])
        except (OSError, ValueError, KeyError) as problem:
            return Sighting(Seen.LOST, text=f"its directory cannot be read: {problem}")
        worker = read_json_if_there(run.worker(handle["generation"]))
        if worker is None:
            spawned = self._spawned.get(key)
            if spawned is not None and process.is_alive(spawned):
                return Sighting(Seen.LAUNCHING)
            return Sighting(Seen.UNWATCHED, text="no worker has come up yet")
        if worker["host"] != process.host_id():
            return Sighting(Seen.LOST, text="it belongs to another host")
        if not process.is_alive(worker):
            # it may have told the end between our two looks
            found = read_json_if_there(run.exit)
            return Sighting(Seen.ENDED, found) if found is not None else Sighting(Seen.UNWATCHED)
        begun = all(run.rank(rank).exists() for rank in range(ranks))
        return Sighting(Seen.RUNNING if begun else Seen.LAUNCHING)

    def cancel(self, handle: str) -> None:
        """Wake the worker, which finds ``stop.json``; see ``Backend.cancel``."""
        data = json.loads(handle)
        worker = read_json_if_there(RunDir(data["run_dir"]).worker(data["generation"]))
        if worker is not None:
            process.send(worker, SIGTERM)
