"""The agent: one small process per home and host that alone decides what becomes of runs here.

Reads run directories and ``requests/``; writes ``events.jsonl``, ``stop.json``, ``queue.json``, the index.
It keeps nothing in memory that is not in files: killed at any moment, the next one goes on.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from jupyter_mlrun._version import __version__
from jupyter_mlrun.agent.client import START_SECONDS, AgentDir, agent_of
from jupyter_mlrun.agent.follow import Follower
from jupyter_mlrun.errors import JupyterMLRunError
from jupyter_mlrun.rundir import (
    FILE_MODE,
    dump_json,
    read_json,
    remove_if_there,
    write_atomic,
)
from jupyter_mlrun.worker import process

IDLE_SECONDS = 30 * 60.0
BUSY_PAUSE, QUIET_PAUSE = 0.25, 1.0


class Agent:
    """The loop around a ``Follower``: bell, signals, requests, idle time-out."""

    def __init__(self, home: Path) -> None:
        self.place = AgentDir(home).make()
        self.home = home
        self.lock = -1
        self.bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.follower: Follower | None = None
        self.leaving: str | None = None
        self._idle_since = time.monotonic()
        self._queue: Any = None
        self._wake_reader, self._wake_writer = os.pipe()

    def take_lock(self) -> bool:
        """Become the only agent of this home and host; False where one is."""
        self.lock = os.open(self.place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            os.close(self.lock)
            if problem.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return False
        return True

    def open(self) -> None:
        """Listen, adopt what runs, and say who we are."""
        address = self.place.socket
        remove_if_there(address)
        old = os.umask(0o177)
        try:
            self.bell.bind(address)
        finally:
            os.umask(old)
        self.bell.setblocking(False)
        for fd in (self._wake_reader, self._wake_writer):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        process.become_subreaper()
        self.follower = Follower(self.home, self.place.path, address)
        self.follower.step()
        self._say_who()

    def _say_who(self) -> None:
        # with the lock's inode: in a copy of this home it is another, and nobody takes us for the copy's agent
        mark = os.fstat(self.lock).st_ino
        who = dict(process.identity(), version=__version__, started=time.time(), lock=mark)
        write_atomic(self.place.who, dump_json(who))

    def _on_term(self, *_: object) -> None:
        self.leaving = "SIGTERM"

    def run(self) -> None:
        """Until asked to go, or idle for long."""
        assert self.follower is not None
        while True:
            self.step()
            if self.leaving or time.monotonic() - self._idle_since > IDLE_SECONDS:
                # whoever records a run after this sees no agent and starts one
                remove_if_there(self.place.who)
                self.step()
                if self.leaving or not self.follower.busy:
                    self.bell.close()
                    remove_if_there(self.place.socket)
                    return
                self._say_who()
            self._sleep()

    def step(self) -> None:
        """One round: requests, runs, queue."""
        assert self.follower is not None
        asked = self._requests()
        try:
            self.follower.step()
            for _, what in asked:
                self._apply(what)
            if asked:
                self.follower.step()
            self._tell_queue()
            # last: whoever waits for the answer reads the queue next
            for path, _ in asked:
                remove_if_there(path)
        except (OSError, JupyterMLRunError):
            # a full disk, say: runs go on by themselves, and the next round tries again
            traceback.print_exc()
        if self.follower.busy or asked:
            self._idle_since = time.monotonic()

    def _requests(self) -> list[tuple[Path, dict[str, Any]]]:
        found = []
        for entry in os.scandir(self.place.requests):
            if entry.name.startswith(".") or not entry.name.endswith(".json"):
                continue
            path = Path(entry.path)
            try:
                found.append((path, read_json(path)))
            except (OSError, ValueError) as problem:
                print(f"request {path} cannot be read: {problem}", file=sys.stderr)
                remove_if_there(path)
        return sorted(found, key=lambda pair: float(pair[1].get("time", 0)))

    def _apply(self, what: dict[str, Any]) -> None:
        assert self.follower is not None
        kind = what.get("kind")
        if kind == "stop":
            self.follower.stop(str(what["path"]), str(what.get("by", "its user")))
        elif kind == "shutdown":
            if not what.get("when_idle") or not self.follower.busy:
                self.leaving = "asked to"
            else:
                self._idle_since = time.monotonic() - IDLE_SECONDS
        elif kind == "warm":
            self.follower.expect(what)
        elif kind != "sync":
            print(f"request of unknown kind {kind!r}", file=sys.stderr)

    def _tell_queue(self) -> None:
        assert self.follower is not None
        queue = self.follower.queue_view()
        if queue != self._queue:
            write_atomic(self.place.queue, dump_json(queue), sync=False)
            self._queue = queue

    def _sleep(self) -> None:
        assert self.follower is not None
        pause = BUSY_PAUSE if self.follower.active else QUIET_PAUSE
        ready, _, _ = select.select([self.bell.fileno(), self._wake_reader], [], [], pause)
        if self._wake_reader in ready:
            os.read(self._wake_reader, 4096)
        while self.bell.fileno() in ready:
            try:
                self.bell.recv(4096)
            except BlockingIOError:
                return


def _detach(place: AgentDir) -> int:
    """Leave the caller's process tree: returns in the child; the parent waits until it is ready."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    os.setsid()
    os.umask(0o077)
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    return writer


def main(argv: list[str]) -> int:
    """Start the agent of the home named in *argv*; returns at once where one runs already."""
    home = Path(argv[0])
    agent = Agent(home)
    ready = _detach(agent.place)
    # one that is about to leave holds the lock for a moment longer, one that comes up says in a moment who it is; what
    # a killed one said of itself is still there, and means nothing
    patience = process.Patience(START_SECONDS / 2)
    while not agent.take_lock():
        if agent_of(home) is not None or patience.over():
            return 0
        time.sleep(0.02)
    os.environ.pop("PYTHONPATH", None)
    try:
        agent.open()
        os.write(ready, b"1")
        os.close(ready)
        agent.run()
    except BaseException:
        traceback.print_exc()
        raise
    return 0
