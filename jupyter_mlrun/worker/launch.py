"""Prepares the working folder and the environment of a run, and starts its rank processes.

Reads ``spec.json``, ``env.json``; writes ``work/``, ``rank-<n>.json`` and opens the logs.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import Any, Dict, List, Optional

from ..rundir import FILE_MODE, RunDir, dump_json, make_folder, read_json_if_there, write_all, write_once
from . import bootstrap, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .forked import Image
    from .preamble import Preamble

ALREADY_RUNS = 75
CANNOT_START = 127
MOST_FILES = 65536


class Reborn(BaseException):
    """Leaves the worker's stack in a forked rank: user code begins where a cold start begins it."""

    def __init__(self, command: List[str]) -> None:
        super().__init__()
        self.command = command


HERE = os.path.dirname(os.path.abspath(__file__))
BOOTSTRAP = os.path.join(HERE, "bootstrap.py")
NOTEBOOK = os.path.join(os.path.dirname(HERE), "engine", "main.py")


def link_kept_folders(run: RunDir) -> None:
    """``./outputs`` and ``./logs`` of the working folder are the run's own, so nothing has to be copied."""
    for name, kept in (("outputs", run.outputs), ("logs", run.logs)):
        place = run.work / name
        if not os.path.lexists(place):
            os.symlink(kept, place)


def rank_environment(
    spec: Dict[str, Any], run: RunDir, grant: Dict[str, Any], rank: int, saved: Optional[Dict[str, Any]] = None
) -> Dict[str, str]:
    """The variables of one rank: the submitter's (*saved*), then what identifies the run, its rank and its GPUs."""
    if saved is None:
        saved = read_json_if_there(run.environment) or {}
    env = {str(k): os.fsdecode(v) for k, v in saved.items()}
    ranks = int(spec["resources"]["procs"])
    env.update(
        JUPYTER_MLRUN_RUN_ID=spec["run_id"],
        JUPYTER_MLRUN_RUN_DIR=str(run.path),
        JUPYTER_MLRUN_EXPERIMENT=spec["experiment"],
        JUPYTER_MLRUN_WORKSPACE=spec["workspace"],
        AZUREML_RUN_ID=spec["run_id"],
        AZUREML_ROOT_RUN_ID=spec["run_id"],
        AZUREML_EXPERIMENT_ID=spec["experiment"],
        AZUREML_EXPERIMENT_SCOPE=f"/workspaces/{spec['workspace']}/experiments/{spec['experiment']}",
        AZUREML_WORKSPACE_ID=spec["workspace"],
        AZUREML_ARM_SUBSCRIPTION="local",
        AZUREML_ARM_RESOURCEGROUP="local",
        AZUREML_ARM_PROJECT_NAME=spec["experiment"],
        AZUREML_ARM_WORKSPACE_NAME=spec["workspace"],
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(ranks),
        NODE_RANK="0",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(grant.get("port", 0)),
        PYTHONUNBUFFERED="1",
    )
    if grant.get("home"):
        env["JUPYTER_MLRUN_HOME"] = grant["home"]
    if grant.get("gpus") is not None:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(grant["gpus"])
    if "OMP_NUM_THREADS" not in env and grant.get("threads"):
        env["OMP_NUM_THREADS"] = str(max(1, int(grant["threads"]) // ranks))
    if spec.get("command"):
        # a program that we do not start ourselves: the Pythons in it find azureml by this alone
        env["PYTHONPATH"] = bootstrap.python_path(env.get("PYTHONPATH", ""), bootstrap.SHIM)
    return env


def free_port() -> int:
    """A TCP port that nobody listens on now, for torch's rendezvous."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command_of(spec: Dict[str, Any], rank: int, arguments: List[str]) -> List[str]:
    """The argument list of one rank; *arguments* are the script's, as it gets them."""
    if spec.get("command"):
        return [*map(str, spec["command"]), *arguments]
    python = spec["environment"]["python"]
    program = [NOTEBOOK] if spec["kind"] == "notebook" else []
    return [python, "-u", BOOTSTRAP, str(rank), *program, spec["script"], *arguments]


def open_log(run: RunDir, rank: int, ranks: int) -> int:
    """Open the rank's log for appending, under both of its names."""
    path = run.log(rank, ranks)
    make_folder(path.parent)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
    other = run.driver_log(rank, ranks)
    if not os.path.lexists(other):
        try:
            os.link(path, other)
        except OSError:  # a file system without hard links
            os.symlink(os.path.relpath(path, other.parent), other)
    return fd


def start_rank(
    run: RunDir,
    spec: Dict[str, Any],
    rank: int,
    env: Dict[str, str],
    command: List[str],
    preamble: Preamble,
    output: Optional[int] = None,
    image: Optional[Image] = None,
    way: str = "",
) -> int:
    """Make one rank, in a session of its own; returns its pid.  With *image* it is a fork that executes nothing.

    The child says who it is in ``rank-<n>.json`` before it becomes user code.  That file is made
    exclusively, so that user code of a run starts once, whoever is killed and whoever tries again.
    """
    log = open_log(run, rank, int(spec["resources"]["procs"]))
    begin = {
        "run": str(run.path), "rank": rank, "env": env, "command": command, "preamble": preamble.text(),
        "umask": int(spec.get("umask", 0o022)), "way": way, "log": str(run.log(rank, int(spec["resources"]["procs"]))),
    }  # fmt: skip
    laid_by = image.take(begin) if image is not None and output is None else None
    if laid_by is not None:
        os.close(log)
        return laid_by
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(log)
        return pid
    be_rank(begin, log if output is None else output, image)
    return 0


def be_rank(begin: Dict[str, Any], output: int, image: Optional[Image]) -> None:
    """Become the rank that *begin* describes; returns never, but may leave by ``Reborn``."""
    command, env = begin["command"], begin["env"]
    try:
        os.setsid()
        if image is None:
            _reset_signals()
        else:
            image.mark(env, command)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(output, 1)
        os.dup2(1, 2)
        run = RunDir(begin["run"])
        _claim(run, begin["rank"], begin["way"])
        write_all(1, begin["preamble"].encode("utf-8", "backslashreplace"))
        os.chdir(run.work)
        os.umask(begin["umask"])
        if image is not None:
            image.become(env, command)
        os.closerange(3, MOST_FILES)
        os.execvpe(command[0], command, env)
    except Reborn:
        raise
    except BaseException as problem:
        os.write(2, f"jupyter_mlrun: cannot start {command[0]!r}: {problem}\n".encode("utf-8", "replace"))
        os._exit(CANNOT_START)


def _claim(run: RunDir, rank: int, way: str) -> None:
    """Say that this process is the rank, and how it started; another process may be it already."""
    who = dict(process.identity(), rank=rank, started=time.time(), monotonic=time.monotonic())
    if way:
        who["way"] = way
    if not write_once(run.rank(rank), dump_json(who), sync=False):
        os._exit(ALREADY_RUNS)


def _reset_signals() -> None:
    """Give user code the signal dispositions of a fresh process: a kernel ignores SIGINT in children."""
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):  # the C library keeps a few for itself
                continue
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
