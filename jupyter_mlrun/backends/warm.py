"""The fork servers of the local compute: which may be preloaded, when one fits a run, when the run starts cold and why.

Reads ``spec.json``, ``env.json``; starts fork servers (``worker/warm.py``) and speaks to each through a socket pair.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
import warnings
from dataclasses import dataclass, field
from signal import SIGKILL, SIGSTOP, valid_signals
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.rundir import FILE_MODE, RunDir, dump_json, read_json
from jupyter_mlrun.words import did_you_mean
from jupyter_mlrun.worker import forked, launch, process, startup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# why each may be in memory before a fork
ALLOWED = {
    "numpy": "its OpenBLAS ends its threads before a fork and starts them again",
    "scipy": "as numpy",
    "sklearn": "OpenMP starts threads with the first parallel region, not with the import",
    "pandas": "no threads",
    "matplotlib": "no threads; the backend is chosen with the first figure",
    "torch": "threads and CUDA begin with their first use",
    "torchvision": "as torch",
    "PIL": "no threads",
    "sympy": "no threads",
    "networkx": "no threads",
    "requests": "no threads",
    "yaml": "no threads",
    "tqdm": "its monitor starts with the first bar",
}
# one that sleeps for so long hangs; one that is at work on a busy machine gets more
ANSWER_SECONDS, BUSY_SECONDS = 1.0, 20.0
REFUSED_SECONDS = 600.0
MOST = 3


def is_allowed(name: str) -> bool:
    """Whether a module may be in memory before a fork."""
    return name.partition(".")[0] in ALLOWED


def choose(names: Sequence[str]) -> list[str]:
    """The modules among *names* that are loaded ahead; warns of each other one."""
    found = []
    for name in names:
        if is_allowed(name):
            found.append(name)
            continue
        warnings.warn(
            f"preload: {name!r} is not known to be safe before a fork, and is imported by each run itself; "
            f"{did_you_mean(name, ALLOWED)}",
            RuntimeWarning,
            stacklevel=3,
        )
    return sorted(dict.fromkeys(found))


def warm_words(view: Sequence[Mapping[str, Any]]) -> str:
    """The fork servers of ``queue.json`` in words."""
    if not view:
        return "no process ready for warm starts"
    shown = (f"{one['state']}" + (f" with {', '.join(one['preload'])}" if one["preload"] else "") for one in view)
    return f"for warm starts: {'; '.join(shown)}"


@dataclass
class Server:
    """One fork server, as the agent sees it."""

    python: str
    preload: tuple[str, ...]
    variables: dict[str, str]
    pid: int
    control: socket.socket
    used: float = field(default_factory=time.monotonic)
    forks: int = 0
    files: dict[str, list[int] | None] | None = None  # once it is ready
    folders: dict[str, list[str]] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()
    refused: str = ""
    said: bytes = b""
    gone: bool = False

    @property
    def state(self) -> str:
        """For people."""
        if self.refused:
            return f"refused: {self.refused}"
        return "starting" if self.files is None else "ready"

    def hear(self, patience: float = 0.0) -> dict[str, Any] | None:
        """Its next message, waited for *patience* seconds; None where none came whole."""
        deadline = time.monotonic() + patience
        while b"\n" not in self.said and not self.gone:
            if not select.select([self.control], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            try:
                more = self.control.recv(1 << 16)
            except OSError:
                more = b""
            self.gone = not more
            self.said += more
        line, _, self.said = self.said.partition(b"\n")
        return json.loads(line) if line else None

    def changed(self) -> str:
        """The first path whose change means that imports would find something else now; empty where none has."""
        path = startup.changed(self.files or {})
        folders = (folder for folder, names in self.folders.items() if startup.hiding(folder, self.modules) != names)
        return path or next(folders, "")

    def look(self) -> None:
        """Take in what it said since, without waiting."""
        if self.gone or (self.refused and not self.said):
            return
        said = self.hear()
        if said is not None and said.get("ready"):
            self.files, self.folders, self.modules = said["files"], said["folders"], frozenset(said["modules"])
        elif said is not None and "refused" in said:
            self.refused = said["refused"]
            self.gone = bool(said.get("again"))

    def close(self, *, kill: bool = False) -> None:
        """Let it go; *kill* one that may hang."""
        self.gone = True
        self.control.close()
        if kill:
            process.signal_all([self.pid], SIGKILL)


class Pool:
    """The fork servers of one agent."""

    def __init__(self, worker_home: Path, log: Path) -> None:
        self.worker_home, self.log = worker_home, log
        self.servers: list[Server] = []
        self._wanted: list[tuple[str, tuple[str, ...], dict[str, str]]] = []

    def prepare(self, run: RunDir, grant: Mapping[str, Any], *, again: bool) -> tuple[Server | None, str]:
        """The fork server for a run and "warm", or None and why it starts cold; ``start_wanted`` comes next."""
        spec = read_json(run.spec)
        asked = spec.get("start") or {}
        why = _refusal(spec, asked, again=again)
        if why:
            return None, f"cold: {why}"
        env = launch.rank_environment(spec, run, dict(grant), 0)
        python, preload = spec["environment"]["python"], tuple(asked.get("preload") or ())
        why = startup.obstacle(env)
        if why:
            return None, f"cold: {why}"
        server, why = self.find(python, preload, startup.variables(env, preload))
        return server, f"cold: {why}" if why else "warm"

    def expect(self, what: Mapping[str, Any], grant: Mapping[str, Any]) -> None:
        """Have a server for runs that will be like *what*: ``python preload environment``."""
        spec = {"run_id": "", "experiment": "", "workspace": "", "resources": {"procs": 1}}
        env = launch.rank_environment(spec, RunDir(""), dict(grant), 0, saved=what["environment"])
        if sys.platform.startswith("linux") and not startup.obstacle(env):
            preload = tuple(what["preload"])
            self.find(what["python"], preload, startup.variables(env, preload))
            self.start_wanted()

    def find(self, python: str, preload: tuple[str, ...], variables: dict[str, str]) -> tuple[Server | None, str]:
        """The ready server of this kind, or None and why there is none yet."""
        self.look()
        why = "no process was ready yet for this environment"
        for server in self.servers:
            if (server.python, server.preload, server.variables) != (python, preload, variables):
                continue
            path = server.changed()
            if path:
                server.close()
                why = f"{path} has changed"
                continue
            if server.refused:
                return None, server.refused
            if server.files is None:
                return None, "the process to fork from is still starting"
            return server, ""
        near = [s for s in self.servers if (s.python, s.preload) == (python, preload)]
        if near and not why.endswith("changed"):
            why = f"{startup.difference(variables, near[-1].variables)} differs from that of the process that was ready"
        self._wanted.append((python, preload, variables))
        return None, why

    def start_wanted(self) -> None:
        """Start the servers that were missed, so that the next such run finds them."""
        while self._wanted:
            self._start(*self._wanted.pop())

    def look(self) -> None:
        """Take in what the servers said, and forget those that are gone."""
        now = time.monotonic()
        for server in self.servers:
            server.look()
            if server.refused and now - server.used > REFUSED_SECONDS:
                server.close()
        self.servers = [server for server in self.servers if not server.gone]

    def fork(self, server: Server, run: RunDir, generation: int, wake: str) -> int | None:
        """The pid of a worker that *server* forked; None where it did not, so that the run has to start cold."""
        request = {"run": str(run.path), "generation": generation, "wake": wake}
        try:
            server.control.sendall(dump_json(request))
            answer = _answer(server)
        except (OSError, ValueError):
            answer = {}
        if "pid" not in answer:
            # should it fork all the same, later, then the worker's claim tells that it is too late
            server.close(kill=True)
            return None
        server.used = time.monotonic()
        server.forks += 1
        return int(answer["pid"])

    def _start(self, python: str, preload: tuple[str, ...], variables: dict[str, str]) -> None:
        self.servers = [server for server in self.servers if not server.gone]
        while len(self.servers) >= MOST:
            oldest = min(self.servers, key=lambda server: server.used)
            oldest.close()
            self.servers.remove(oldest)
        ours, theirs = socket.socketpair()
        with theirs:
            ours.settimeout(ANSWER_SECONDS)
            try:
                pid = self._spawn(theirs.fileno(), python, preload, variables)
            except OSError as problem:  # the interpreter is gone, say: the run itself will tell
                print(f"no fork server of {python}: {problem}", file=sys.stderr)  # noqa: T201 -- the agent's log
                ours.close()
                return
        self.servers.append(Server(python, preload, variables, pid, ours))

    def _spawn(self, control: int, python: str, preload: tuple[str, ...], variables: dict[str, str]) -> int:
        bootstrap = self.worker_home / "jupyter_mlrun" / "worker" / "bootstrap.py"
        # the last argument and the last variable are room for what the forks have to show
        argv = [python, "-u", str(bootstrap), "serve", "3", ",".join(preload), "0", "." * forked.TITLE_ROOM]
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_DUP2, control, 3),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        return os.posix_spawn(
            python,
            argv,
            {**variables, forked.ROOM: "." * forked.ENVIRONMENT_ROOM},
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=valid_signals() - {SIGKILL, SIGSTOP},
        )

    def close(self) -> None:
        """Let all of them go."""
        for server in self.servers:
            server.close()
        self.servers.clear()

    def view(self) -> list[dict[str, Any]]:
        """The servers, for people."""
        self.look()
        return [
            {"python": s.python, "preload": list(s.preload), "state": s.state, "forks": s.forks} for s in self.servers
        ]


def _answer(server: Server) -> dict[str, Any]:
    """What it says to a request; nothing where it hangs."""
    patience = process.Patience(BUSY_SECONDS)
    while True:
        said = server.hear(ANSWER_SECONDS)
        if said is not None or server.gone or not process.is_busy(server.pid) or patience.over():
            return said or {}


def _refusal(spec: Mapping[str, Any], asked: Mapping[str, Any], *, again: bool) -> str:
    """Why a run of this kind never starts warm; empty where it may."""
    if not sys.platform.startswith("linux"):
        return "only Linux has warm starts"
    if not asked.get("warm"):
        return "warm starts are switched off"
    if spec.get("command"):
        return "it runs a command"
    if again:
        return "its first worker is gone"
    return ""
