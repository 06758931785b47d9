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
from typing import Any, Dict, FrozenSet, Iterator, List, Set, Tuple

from ..rundir import FILE_MODE, RunDir, dump_json, write_all
from . import main as worker
from . import startup
from .forked import ROOM, Image, Room
from .launch import Reborn

IDLE_SECONDS = 600.0
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
    try:
        for request in _requests(fd):
            write_all(fd, dump_json(_fork(fd, request, image)))
    except Reborn as turn:
        return turn.command
    os._exit(0)


def _start_over() -> None:
    """Become a new process of the same kind; returns where that has been tried often enough."""
    tries = int(sys.argv[4])
    if tries < MOST_TRIES:
        env = {**Room().given, ROOM: os.environ[ROOM]}
        os.execve(sys.executable, [sys.executable, "-u", *sys.argv[:4], str(tries + 1), *sys.argv[5:]], env)


def _requests(fd: int) -> Iterator[Dict[str, Any]]:
    data = b""
    while select.select([fd], [], [], IDLE_SECONDS)[0]:
        more = os.read(fd, 65536)
        if not more:
            return
        *lines, data = (data + more).split(b"\n")
        for line in lines:
            yield json.loads(line)


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


def _fork(fd: int, request: Dict[str, Any], image: Image) -> Dict[str, Any]:
    """Fork the worker of a run; returns in the server alone."""
    try:
        pid = os.fork()
    except OSError as problem:
        return {"error": f"{type(problem).__name__}: {problem}"}
    if pid:
        return {"pid": pid}
    code = 1
    try:
        os.close(fd)
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
