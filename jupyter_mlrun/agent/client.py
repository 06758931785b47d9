"""How everybody else speaks to the agent: by files that it applies once, and a bell that only wakes it.

Reads ``<home>/.agent/<host>/agent.json`` and ``queue.json``; writes ``requests/<uuid>.json`` and starts the agent.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from jupyter_mlrun._version import __version__
from jupyter_mlrun.errors import AgentError, StoreError
from jupyter_mlrun.rundir import dump_json, make_folder, read_json_if_there, remove_if_there, write_new
from jupyter_mlrun.store.home import open_home
from jupyter_mlrun.worker import process

START_SECONDS = 60.0
_OURS_ALONE = ("JUPYTER_MLRUN_RUN_ID", "JUPYTER_MLRUN_RUN_DIR", "JUPYTER_MLRUN_EXPERIMENT", "AZUREML_RUN_ID")


class AgentDir:
    """The agent's places: one folder per host in the home, and a short private one for its socket."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / ".agent" / process.host_id()
        self.lock = self.path / "lock"
        self.who = self.path / "agent.json"
        self.requests = self.path / "requests"
        self.queue = self.path / "queue.json"
        self.log = self.path / "agent.log"

    def make(self) -> AgentDir:
        """Make its folders."""
        open_home(self.home)
        make_folder(self.requests)
        return self

    @property
    def socket(self) -> str:
        """The bell's address: short, because the kernel cuts socket names at 108 bytes."""
        return os.path.join(runtime_folder(self.home), "agent.sock")


def runtime_folder(home: Path) -> str:
    """A 0700 folder of this user for sockets: in ``$XDG_RUNTIME_DIR``, else under the temp folder."""
    mark = hashlib.sha256(os.fsencode(home)).hexdigest()[:10]
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and os.path.isdir(base) and os.access(base, os.W_OK) and len(base) < 60:
        path = os.path.join(base, f"jmlrun-{mark}")
    else:
        temp = tempfile.gettempdir()
        short = temp if len(temp) < 60 else "/tmp"  # noqa: S108 -- owner and mode are checked below
        path = os.path.join(short, f"jmlrun-{os.getuid()}-{mark}")
    make_folder(path)
    info = os.lstat(path)
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise StoreError(
            f"{path} is not a private folder of this user", hint="remove it, or set XDG_RUNTIME_DIR to one that is"
        )
    return path


def agent_of(home: Path) -> dict[str, Any] | None:
    """Who the agent of this home and host is; None where none runs."""
    place = AgentDir(home)
    try:
        who = read_json_if_there(place.who)
    except ValueError:
        return None
    if who is None or not process.is_alive(who) or not _is_here(place, who):
        return None
    found: dict[str, Any] = who
    return found


def _is_here(place: AgentDir, who: dict[str, Any]) -> bool:
    """Whether it is this home's agent, and not that of a home that this one is a copy of."""
    try:
        return bool(who.get("lock", 0) in (0, os.stat(place.lock).st_ino))
    except FileNotFoundError:
        return False


def ensure_agent(home: Path) -> dict[str, Any]:
    """The running agent; started where there is none, replaced where it is older than this program."""
    who = agent_of(home)
    if who is not None and _version(who["version"]) < _version(__version__):
        request(home, {"kind": "shutdown"}, wait=START_SECONDS)
        _wait_until_gone(who)
        who = None
    return who if who is not None else _start(home)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in text.split("."))


def _start(home: Path) -> dict[str, Any]:
    place = AgentDir(home).make()
    env = {k: v for k, v in os.environ.items() if k not in _OURS_ALONE}
    env[process.AGENT_MARK] = "1"
    env["PYTHONPATH"] = os.pathsep.join(_import_path())
    command = [sys.executable, "-m", "jupyter_mlrun.agent", str(home)]
    try:
        done = subprocess.run(
            command,
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=START_SECONDS,
            start_new_session=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        who = agent_of(home)
        if who is not None:  # it came up while this machine was too busy to hear of it
            return who
        raise AgentError(f"the agent cannot be started: {problem}", hint=f"see {place.log}") from problem
    who = agent_of(home)
    if who is None:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise AgentError(
            f"the agent did not come up: {said[-1] if said else f'exit code {done.returncode}'}",
            hint=f"see {place.log}, or run: jupyter mlrun doctor",
        )
    return who


def _import_path() -> list[str]:
    """Where this program was imported from, first: the agent must be the same one."""
    package = str(Path(__file__).parent.parent.parent)
    return [package, *(p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p)]


def ring(home: Path) -> None:
    """Wake the agent.  It looks by itself within a second if this is lost."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.setblocking(False)
        try:
            bell.sendto(b"!", AgentDir(home).socket)
        except OSError:
            return


def request(home: Path, what: dict[str, Any], *, wait: float | None = None) -> str:
    """Ask the agent for something; with *wait* (seconds), return only when it has been applied.

    Raises ``AgentError`` when that takes longer; the request stands and will be applied all the same.
    """
    place = AgentDir(home).make()
    name = uuid.uuid4().hex
    path = place.requests / f"{name}.json"
    aside = place.requests / f".{name}"
    write_new(aside, dump_json({"time": time.time(), **what}))
    os.rename(aside, path)
    ring(home)
    if wait is not None:
        _wait_until_applied(place, path, wait, restart=what["kind"] != "shutdown")
    return name


def _wait_until_applied(place: AgentDir, path: Path, wait: float, *, restart: bool) -> None:
    patience = process.Patience(wait)
    look_again = 0.0
    while path.exists():
        now = time.monotonic()
        if patience.over():
            raise AgentError(
                f"the agent has not answered within {wait:g} s; the request stands", hint=f"see {place.log}"
            )
        if now > look_again:
            # an agent that was killed just now is replaced; one that leaves as asked is not
            look_again = now + 0.1
            if agent_of(place.home) is None:
                if not restart:
                    path.unlink(missing_ok=True)  # the next agent is not to leave because of it
                    return
                _start(place.home)
        time.sleep(0.005)


def sync(home: Path, *, wait: float = START_SECONDS) -> None:
    """Return when the agent (started if need be) has looked at every run after this call began."""
    ensure_agent(home)
    request(home, {"kind": "sync"}, wait=wait)


def queue_of(home: Path) -> dict[str, Any]:
    """What the agent last said of its queue: ``slots``, ``running``, ``waiting`` {run id: why in words}.

    ``details`` has the same as data: {run id: ``lane position of place first waits_for cure by``}.
    """
    try:
        found: dict[str, Any] = read_json_if_there(AgentDir(home).queue) or {}
    except ValueError:
        found = {}
    return {"slots": 0, "running": [], "waiting": {}, "details": {}, "warm": [], **found}


def stop_agent(home: Path, *, when_idle: bool = False, wait: float = START_SECONDS) -> bool:
    """Ask the agent to go; runs go on without it.  False where none ran."""
    who = agent_of(home)
    if who is None:
        return False
    request(home, {"kind": "shutdown", "when_idle": when_idle}, wait=None if when_idle else wait)
    if not when_idle:
        _wait_until_gone(who)
        remove_if_there(AgentDir(home).socket)
    return True


def _wait_until_gone(who: dict[str, Any], wait: float = START_SECONDS) -> None:
    patience = process.Patience(wait)
    while process.is_alive(who):
        if patience.over():
            raise AgentError(f"the agent (pid {who['pid']}) does not go", hint=f"kill {who['pid']}: no run is harmed")
        time.sleep(0.01)
