"""The fork server: an interpreter with its libraries loaded, which forks workers and, through them, their ranks.

Started by the agent as ``python -u bootstrap.py serve FD NAMES TRIES ROOM`` with one end of a socket pair, so that
nobody else can reach it and it goes when the agent goes.  Reads requests from it, a line of JSON each, and answers.
Standard library only (Python 3.9+), Linux only.
"""

from __future__ import annotations

import ctypes  # noqa: F401 -- workers need it, and find it loaded
import gc
import json
import os
import select
import signal
import site
import sys
import traceback
from typing import Any, Dict, FrozenSet, Iterator, List, Optional, Set, Tuple

from ..rundir import FILE_MODE, RunDir, dump_json, write_all
from . import limits, process, startup
from . import main as worker
from .forked import ROOM, Image, Room
from .launch import Reborn

IDLE_SECONDS = 600.0
QUIET_SECONDS = 0.1
MOST_TRIES = 2
GRAIN = 0.02  # of the clock that file systems use, in seconds


def serve(
    fd: int, began: float, cold: FrozenSet[str], kept: FrozenSet[str], preload: Tuple[str, ...], problem: str
) -> List[str]:
    """Fork workers until nobody asks for long; returns, in a forked rank alone, the command line that it is to be.

    *began*: when the process began (unix seconds); *cold* and *kept*: the modules that were loaded before and after
    *preload*, which met *problem*.
    """
    files = startup.stamps(_surroundings() | _sources(kept - cold))
    problem = problem or _unfit()
    late = [path for path, stamp in files.items() if stamp and stamp[0] / 1e9 > began - GRAIN]
    again = bool(late) and not problem
    if again:
        _start_over()  # the first import of a package leaves a folder of compiled modules in it
        problem = f"{late[0]} changed while it was read"
    if problem:
        write_all(fd, dump_json({"refused": problem, "again": again}))
        os._exit(0)
    os.set_inheritable(fd, False)
    image = Image(cold, kept, preload)
    image.room.write_title(["jupyter_mlrun fork server", *preload])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # workers that end are gone at once
    gc.collect()
    gc.freeze()
    tops = {name.partition(".")[0] for name in kept - cold}
    # other folders on the path are people's own, and change all the time: only what would hide a module counts
    folders = {path: startup.hiding(path, tops) for path in sys.path if path not in files} if tops else {}
    write_all(fd, dump_json({"ready": True, "files": files, "folders": folders, "modules": sorted(tops)}))
    forks = Forks(fd, image)
    try:
        for line in _requests(fd):
            if line:
                write_all(fd, dump_json(forks.answer(line)))
            else:
                forks.lay_by()
    except Reborn as turn:
        return turn.command
    os._exit(0)


def _start_over() -> None:
    """Become a new process of the same kind; returns where that has been tried often enough."""
    tries = int(sys.argv[4])
    if tries < MOST_TRIES:
        env = {**Room().given, ROOM: os.environ[ROOM]}
        os.execve(sys.executable, [sys.executable, "-u", *sys.argv[:4], str(tries + 1), *sys.argv[5:]], env)


def _requests(fd: int) -> Iterator[bytes]:
    """Each request, and an empty one at the first quiet moment after it."""
    data, pause = b"", QUIET_SECONDS
    while True:
        if not select.select([fd], [], [], pause)[0]:
            if pause == IDLE_SECONDS:
                return
            yield b""
            pause = IDLE_SECONDS
            continue
        more = os.read(fd, 65536)
        if not more:
            return
        *lines, data = (data + more).split(b"\n")
        yield from lines
        pause = QUIET_SECONDS


def _unfit() -> str:
    """Why this process cannot be forked into runs; empty where it can."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    # a library that is made for forks has ended its threads by now
    threads = _threads()
    if threads > 1:
        return f"{threads - 1} threads of a preloaded library are alive"
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the one that the listing itself needed
            continue
        if target.startswith("/dev/nvidia"):
            return f"a preloaded library has opened the GPU ({target})"
    code = startup.site_code(_site_folders())
    if code:
        return f"{code} runs code whenever Python starts"
    for name in ("sitecustomize", "usercustomize"):
        path = getattr(sys.modules.get(name), "__file__", None)
        # the one beside the standard library is the distribution's
        if path and os.path.dirname(path) != os.path.dirname(os.__file__):
            return f"{path} runs whenever Python starts"
    return ""


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _site_folders() -> List[str]:
    folders = list(site.getsitepackages())
    return [*folders, site.getusersitepackages()] if site.ENABLE_USER_SITE else folders


def _surroundings() -> Set[str]:
    """What decides what is imported: the interpreter, the standard library, installed packages, the search path."""
    found = {sys.executable, os.path.realpath(sys.executable), os.path.dirname(os.__file__)}
    found.add(os.path.join(sys.prefix, "pyvenv.cfg"))
    for folder in _site_folders():
        found.add(folder)
        if os.path.isdir(folder):
            found.update(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith((".pth", "-link")))
    return found


def _sources(names: FrozenSet[str]) -> Set[str]:
    """The folders that preloaded modules came from, and the files of those that are not installed."""
    installed = (*_site_folders(), os.path.dirname(os.__file__))
    found: Set[str] = set()
    for name in names:
        path = getattr(sys.modules.get(name), "__file__", None)
        if path:
            found.add(os.path.dirname(path))
            if not path.startswith(installed):
                found.add(path)
    return found


class Forks:
    """Workers: one is laid by, so that a run waits neither for the fork nor for the pages that it copies at first."""

    def __init__(self, fd: int, image: Image) -> None:
        self.fd, self.image = fd, image
        self.spare: Optional[Tuple[int, int]] = None  # its pid, and the pipe that it reads its run from

    def lay_by(self) -> None:
        """Fork a worker that waits for its run; returns in the server alone."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(reader)
            self.spare = pid, writer
            return
        try:
            os.close(self.fd)
            os.close(writer)
            _rehearse()
            self.image.lay_by(reader)
            with os.fdopen(reader, "rb") as file:
                line = file.readline()
            if line.endswith(b"\n"):
                _work(json.loads(line), self.image)
        except Reborn:
            raise
        except BaseException:
            traceback.print_exc()
        os._exit(0)

    def answer(self, line: bytes) -> Dict[str, Any]:
        """Give a run to a worker; returns in the server alone."""
        if self.spare is not None:
            (pid, writer), self.spare = self.spare, None
            try:
                write_all(writer, line + b"\n")
            except OSError:  # it was killed; another is forked below
                traceback.print_exc()
            else:
                return {"pid": pid}
            finally:
                os.close(writer)
        try:
            pid = os.fork()
        except OSError as problem:
            return {"error": f"{type(problem).__name__}: {problem}"}
        if not pid:
            os.close(self.fd)
            _work(json.loads(line), self.image)
        return {"pid": pid}


def _rehearse() -> None:
    """Use what a worker uses first, so that its pages are this process' own when it matters."""
    process.become_subreaper()
    who = dict(process.identity(), memory=limits.memory(), oom=process.oom_kills())
    json.loads(dump_json(who))


def _work(request: Dict[str, Any], image: Image) -> None:
    """Be the worker of a run; returns never, but leaves by ``Reborn`` in its ranks."""
    code = 1
    try:
        os.setsid()
        log = os.open(RunDir(request["run"]).worker_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        command = [request["run"], str(request["generation"]), request["wake"]]
        image.room.write_title(["jupyter_mlrun worker", *command[:2]])
        code = worker.main(command, image)
    except Reborn:
        raise
    except BaseException:
        traceback.print_exc()
    os._exit(code)
