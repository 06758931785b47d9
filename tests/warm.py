"""Fork servers in tests: wait until one is ready, submit warm and cold, find its process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil

from jupyter_mlrun import settings
from jupyter_mlrun.agent import client
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.submit import Request, submit
from jupyter_mlrun.store import runs
from jupyter_mlrun.worker import process
from tests.support import PATIENCE, describe, finish, until


def start(cell: str | None = None, *, warm: bool = True, preload: tuple[str, ...] = (), **options: Any) -> Run:
    """Submit a cell (or ``script=`` or ``command=``)."""
    config = settings.load()
    config.warm, config.preload, config.stop_grace = warm, list(preload), 2.0
    return submit(Request(cell=cell, **{"experiment": "test", **options}), config)


def servers(home: Path) -> list[dict[str, Any]]:
    """The fork servers that the agent knows now."""
    client.sync(home, wait=PATIENCE)
    found: list[dict[str, Any]] = client.queue_of(home)["warm"]
    return found


def ready(home: Path, state: str = "ready") -> dict[str, Any]:
    """The newest fork server, once it is in that state."""
    found: list[dict[str, Any]] = until(
        lambda: [one for one in servers(home)[-1:] if one["state"].startswith(state)], f"a fork server that is {state}"
    )
    return found[0]


def warm_up(home: Path, **options: Any) -> dict[str, Any]:
    """Have a fork server for runs with these options."""
    run = start("pass", **options)
    assert str(finish(run).status) == "Completed", describe(run)
    assert runs.start_of(run.directory).startswith("cold: "), describe(run)
    return ready(home)


def way(run: Run) -> str:
    """How it started."""
    return runs.start_of(run.directory)


def server_processes(home: Path) -> list[psutil.Process]:
    """The fork servers' processes: children of the agent that are no workers."""
    who = client.agent_of(home)
    assert who is not None
    found = []
    for child in psutil.Process(who["pid"]).children():
        try:
            if "jupyter_mlrun fork server" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:  # it ended meanwhile
            continue
    return found


def identity(pid: int) -> dict[str, Any]:
    """Who a process is."""
    return process.identity(pid)


def environment(pid: int) -> dict[str, str]:
    """The variables that the kernel shows of a process."""
    data = Path(f"/proc/{pid}/environ").read_bytes()
    return dict(os.fsdecode(pair).split("=", 1) for pair in data.split(b"\0") if b"=" in pair)


def gone(one: psutil.Process) -> bool:
    """Whether a process has ended, reaped or not; it may end while it is looked at."""
    try:
        return not one.is_running() or one.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
