"""What many tests need: submit a cell, wait for a run, find and kill the processes behind it."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_mlrun import settings
from jupyter_mlrun.agent import client
from jupyter_mlrun.records import RunState
from jupyter_mlrun.sdk.follow import follow
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.submit import Request, submit
from jupyter_mlrun.worker import process

# seconds; of a pause in which everything stood still `Patience` counts one
PATIENCE = 60.0
GLANCE = 0.002  # between two looks: who looks without a pause takes a core from those that it waits for


def submit_cell(cell: str, **options: Any) -> Run:
    """Submit *cell* as a notebook would."""
    grace = options.pop("stop_grace", 2.0)
    config = settings.load()
    config.stop_grace = grace
    config.max_concurrent = options.pop("max_concurrent", config.max_concurrent)
    config.max_log_bytes = options.pop("max_log_bytes", config.max_log_bytes)
    return submit(Request(cell=cell, **{"experiment": "test", **options}), config)


def finish(run: Run) -> RunState:
    """The state of the run once it is over."""
    patience = process.Patience(PATIENCE)
    state = follow(run, None, until=lambda _: patience.over())
    assert state.is_over, f"still {state.shown} after {PATIENCE} s; {describe(run)}"
    # the agent's word, too: what it wrote must be what the files say
    client.sync(run.home, wait=PATIENCE)
    return run.state


def describe(run: Run) -> str:
    """Everything that helps to see why a run hangs."""
    parts = [f"{p.name}: {p.read_text(errors='replace')[-1000:]}" for p in sorted(run.path.glob("*")) if p.is_file()]
    log = client.AgentDir(run.home).log
    return "\n".join([*parts, log.read_text(errors="replace")[-3000:] if log.exists() else "no agent log"])


def until(test: Callable[[], Any], what: str) -> Any:
    """The first true answer of *test*; fails after a long while."""
    patience = process.Patience(PATIENCE)
    while True:
        found = test()
        if found:
            return found
        assert not patience.over(), f"never: {what}"
        select.select([], [], [], GLANCE)


def ended(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    return not process.is_alive(process.identity(pid))


def running(run: Run) -> Run:
    """The run, once its user code has begun."""
    until(lambda: run.directory.rank(0).exists() and str(run.state.status) in ("Running", "CancelRequested"), "running")
    return run


def log_of(run: Run) -> str:
    """What the run printed."""
    return run.directory.log().read_text(errors="replace")


def workers(run: Run) -> list[dict[str, Any]]:
    """Every generation of its worker that claimed the run."""
    return [json.loads(path.read_text()) for path in sorted(run.path.glob("worker-*.json"))]


def kill_worker(run: Run) -> None:
    """``kill -9`` of each of its workers."""
    for who in workers(run):
        process.send(who, signal.SIGKILL)


def kill_agent(home: Path) -> None:
    """``kill -9`` of the agent; returns when it is gone."""
    who = client.agent_of(home)
    if who is not None:
        process.send(who, signal.SIGKILL)
        until(lambda: not process.is_alive(who), "agent gone")


def free_port() -> int:
    """A port that nobody has, below those that the system gives to whoever asks for any: kernels, connections.

    Tests that run beside this one choose among others, so none takes it before it is used.
    """
    digits = "".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", "")))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    for port in random.SystemRandom().sample(range(20_000 + int(digits or "0"), 32_000, workers), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
