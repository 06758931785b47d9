"""Makes a fork of the fork server the process that a cold start of the rank would be.

Reads and writes ``/proc/self``.  Standard library only (Python 3.9+).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Tuple

from ..rundir import write_all
from . import launch, process, startup

ROOM = "_JUPYTER_MLRUN_ROOM"
ENVIRONMENT_ROOM, TITLE_ROOM = 64 << 10, 4 << 10
# they hold state of the interpreter itself, so that a second copy of them would not be the same
KEPT = ("threading", "_weakrefset", "ctypes", "ctypes._endian", "_ctypes")


class Room:
    """The bytes of this process that ``/proc/<pid>/environ`` and ``cmdline`` show."""

    def __init__(self) -> None:
        with open("/proc/self/environ", "rb") as file:
            block = file.read()
        mark = ROOM.encode() + b"="
        offset = 0 if block.startswith(mark) else block.index(b"\0" + mark) + 1
        with open("/proc/self/stat", "rb") as file:
            text = file.read()
        fields = text[text.rindex(b")") + 2 :].split()
        self._title = int(fields[45]), int(fields[46]) - int(fields[45])
        self._environment = int(fields[47]) + offset, len(block) - offset - 1
        before = block[: max(0, offset - 1)].split(b"\0")
        self.given = {os.fsdecode(k): os.fsdecode(v) for k, _, v in (pair.partition(b"=") for pair in before) if k}

    def write_environment(self, first: str, env: Mapping[str, str]) -> None:
        """Show *env*: the variable *first*, and as many others as there is room for."""
        address, size = self._environment
        rest = (name for name in env if name != first and self.given.get(name) != env[name])
        text = b""
        for name in (first, *rest):
            pair = os.fsencode(f"{name}={env[name]}") + b"\0"
            if len(text) + len(pair) <= size:
                text += pair
        _poke(address, text.ljust(size, b"\0"))

    def write_title(self, command: List[str]) -> None:
        """Show *command*: as one text, which the kernel takes it for when the last byte is not zero."""
        address, size = self._title
        title = os.fsencode(" ".join(command))[: size - 2]
        _poke(address, title.ljust(size - 1, b"\0") + b".")


def _poke(address: int, data: bytes) -> None:
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(address)
        memory.write(data)


class Image:
    """The fork server when its libraries were loaded and nothing else: what each rank is again."""

    def __init__(self, cold: FrozenSet[str], kept: FrozenSet[str], preload: Tuple[str, ...]) -> None:
        self.preload = preload
        self.kept = kept.union(KEPT)
        self.tops = {name.partition(".")[0] for name in self.kept - cold}
        self.room = Room()
        del os.environ[ROOM]
        # what the interpreter (a coerced locale) and libraries did to the environment that they were given
        self.changes = {k: v for k, v in os.environ.items() if self.room.given.get(k) != v}
        self.read = startup.variables(self.room.given, preload)
        self.handlers = {number: signal.getsignal(number) for number in _CHANGED}
        self._spare: Optional[Tuple[int, int]] = None  # a rank laid by: its pid, and the pipe that it waits at

    def lay_by(self, reader: int) -> None:
        """Fork a rank that waits for what it is to be; *reader* is this worker's own pipe.  Leaves by ``Reborn`` there.

        It uses what a rank uses first, so that those pages are copied while nobody waits.
        """
        mine, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(mine)
            self._spare = pid, writer
            return
        # whoever writes to a worker that is gone must notice: nobody else may hold its pipe
        os.close(reader)
        os.close(writer)
        json.loads(json.dumps(process.identity()))
        for module in list(sys.modules.values()):
            getattr(module, "__name__", "")
        compile("0", "", "exec")
        with os.fdopen(mine, "rb") as file:
            line = file.readline()
        if line.endswith(b"\n"):
            begin = json.loads(line)
            launch.be_rank(begin, os.open(begin["log"], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC), self)
        os._exit(0)

    def take(self, begin: Dict[str, Any]) -> Optional[int]:
        """The pid of the rank that was laid by, and now is what *begin* describes; None where there is none."""
        if self._spare is None:
            return None
        (pid, writer), self._spare = self._spare, None
        try:
            write_all(writer, json.dumps(begin).encode("ascii") + b"\n")
        except OSError:  # it was killed; the worker forks another
            return None
        finally:
            os.close(writer)
        return pid

    def let_go(self) -> None:
        """Let the rank that was laid by end, where it was not needed."""
        if self._spare is not None:
            os.close(self._spare[1])
            self._spare = None

    def obstacle(self, spec: Mapping[str, Any], env: Mapping[str, str], work: str) -> str:
        """Why this rank has to be started cold; empty where a fork of this process will do."""
        if spec.get("command"):
            return "it runs a command"
        if spec["environment"]["python"] != sys.executable:
            return "it has another interpreter"
        name = startup.difference(startup.variables(env, self.preload), self.read)
        if name:
            return f"{name} differs"
        folder = os.path.dirname(os.path.join(work, spec["script"]))
        for entry in startup.hiding(folder, self.tops):
            return f"its folder has {entry}, which would be imported instead of a module that is loaded"
        return startup.obstacle(env)

    def mark(self, env: Mapping[str, str], command: List[str]) -> None:
        """Carry the run's name, by which its processes are found; before the rank makes its claim."""
        self.room.write_environment("JUPYTER_MLRUN_RUN_ID", env)
        self.room.write_title(command)

    def become(self, env: Mapping[str, str], command: List[str]) -> None:
        """Be the rank: its environment, signals and seeds; leaves by ``Reborn``."""
        os.environ.clear()
        os.environ.update(env)
        os.environ.update({k: v for k, v in self.changes.items() if k not in env or k in self.read})
        signal.set_wakeup_fd(-1)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.closerange(3, launch.MOST_FILES)
        _renew()
        raise launch.Reborn(command)


# what the fork server and the worker set for themselves
_CHANGED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _renew() -> None:
    """What libraries took from the system at their import, and what no two processes may share."""
    import time

    loaded: Dict[str, Any] = dict(sys.modules)
    if "numpy.random" in loaded:
        loaded["numpy.random"].seed()
    if "random" in loaded:
        loaded["random"].seed()
    if "tempfile" in loaded:
        loaded["tempfile"].tempdir = None
    if "logging" in loaded:
        began = loaded["logging"]._startTime  # noqa: SLF001 -- it has no other name
        loaded["logging"]._startTime = time.time_ns() if isinstance(began, int) else time.time()  # noqa: SLF001
    if "multiprocessing.process" in loaded:
        loaded["multiprocessing.process"].current_process().authkey = os.urandom(32)
    main = loaded["threading"].main_thread() if "threading" in loaded else None
    if hasattr(main, "_set_native_id"):
        main._set_native_id()  # type: ignore[union-attr]  # noqa: SLF001 -- older forks keep their parent's
