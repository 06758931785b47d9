"""Prints all that a run can see of how it was started, as JSON: once cold, once warm, and the two must be equal."""

# ruff: noqa: E402 -- what the imports load must not be in the list
from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

modules = sorted(sys.modules)
frames = []
frame: FrameType | None = sys._getframe()
while frame is not None:
    frames.append([frame.f_code.co_filename, frame.f_code.co_name])
    frame = frame.f_back
meta = [str(type(one)) + getattr(one, "__name__", "") for one in sys.meta_path]
importers = sorted(path for path in sys.path_importer_cache if "/work" not in path)
main_names = {name: type(value).__name__ for name, value in vars(sys.modules["__main__"]).items() if name[0] == "_"}

import ctypes
import faulthandler
import gc
import json
import locale
import os
import resource
import secrets
import signal
import subprocess
import threading
import time
import warnings


def status() -> dict[str, str]:
    """Signals and the like, as the kernel shows them."""
    wanted = {"Umask", "SigQ", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapEff", "NoNewPrivs", "Seccomp"}
    with open("/proc/self/status") as file:
        pairs = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    return {name: value for name, value in pairs.items() if name in wanted and name != "SigQ"}


def stream(one: Any) -> list[object]:
    """A standard stream."""
    return [
        one.name, one.encoding, one.errors, one.line_buffering, one.write_through, one.isatty(), one.fileno(),
        type(one.buffer).__name__, one.mode, one.seekable(), one.readable(), one.writable(), one.newlines,
    ]  # fmt: skip


def kernel() -> dict[str, object]:
    """What the kernel knows of the process."""
    libc = ctypes.CDLL(None)
    subreaper = ctypes.c_int()
    libc.prctl(37, ctypes.byref(subreaper), 0, 0, 0)
    death = ctypes.c_int()
    libc.prctl(2, ctypes.byref(death), 0, 0, 0)
    text: dict[str, str] = {}
    for name in ("comm", "oom_score_adj", "cgroup", "limits", "timerslack_ns"):
        with open(f"/proc/self/{name}") as file:
            text[name] = file.read()
    with open("/proc/self/stat") as file:
        tty = file.read().rpartition(")")[2].split()[4]
    fds = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            fds[fd] = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:  # of the listing itself
            continue
    flags = {}
    for number in (0, 1, 2):
        with open(f"/proc/self/fdinfo/{number}") as file:
            flags[number] = file.read().split("flags:\t")[1].split()[0]
    return {
        **text, "status": status(), "subreaper": subreaper.value, "death signal": death.value, "tty": tty, "fds": fds,
        "fd flags": flags, "nice": os.nice(0), "cores": sorted(os.sched_getaffinity(0)), "cwd": os.getcwd(),
        "leader": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()], "exe": os.readlink("/proc/self/exe"),
        "tasks": len(os.listdir("/proc/self/task")), "children": resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime,
        "rlimits": [resource.getrlimit(i) for i in range(16)], "quick": time.process_time() < 5,
    }  # fmt: skip


def interpreter() -> dict[str, object]:
    """What the interpreter knows of itself."""
    handlers = {}
    for number in signal.valid_signals():
        handlers[int(number)] = str(getattr(signal.getsignal(number), "__name__", signal.getsignal(number)))
    main = threading.main_thread()
    return {
        "argv": sys.argv, "orig_argv": getattr(sys, "orig_argv", None), "path": sys.path, "flags": repr(sys.flags),
        "executable": [sys.executable, sys.prefix, sys.base_prefix, sys.exec_prefix], "modules": modules,
        "meta_path": meta, "path_hooks": len(sys.path_hooks), "importers": importers, "frames": frames,
        "warnoptions": sys.warnoptions, "xoptions": sys._xoptions, "filters": [repr(one) for one in warnings.filters],
        "main": main_names, "main file": sys.modules["__main__"].__file__, "name": __name__,
        "stdin": stream(sys.stdin), "stdout": stream(sys.stdout), "stderr": stream(sys.stderr),
        "read": sys.stdin.read(),
        "same streams": [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__, sys.stdin is sys.__stdin__],
        "encodings": [sys.getfilesystemencoding(), sys.getfilesystemencodeerrors(), sys.getdefaultencoding()],
        "locale": [locale.setlocale(number) for number in (locale.LC_ALL, locale.LC_CTYPE)], "zone": time.tzname,
        "limits": [sys.getrecursionlimit(), sys.getswitchinterval(), sys.getdlopenflags()],
        "bytecode": [sys.dont_write_bytecode, sys.pycache_prefix], "exception": repr(sys.exc_info()),
        "gc": [gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.garbage], "handlers": handlers,
        "faulthandler": faulthandler.is_enabled(), "trace": [sys.gettrace(), sys.getprofile()],
        "hooks": [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__],
        "threads": [one.name for one in threading.enumerate()], "builtins": sorted(vars(__builtins__)),
        "main thread": [main.native_id == os.getpid(), threading.get_ident() == main.ident],
    }  # fmt: skip


def surroundings() -> dict[str, object]:
    """What it and its children find in the environment."""
    child = "import os, sys, json; print(json.dumps([dict(os.environ), sys.path, os.getcwd(), os.getppid()]))"
    said = json.loads(subprocess.run([sys.executable, "-c", child], capture_output=True, check=True).stdout)
    plain = subprocess.run(["/usr/bin/env"], capture_output=True, check=True).stdout.decode()
    with open("/proc/self/environ") as file:
        blocks = [one for one in file.read().split("\0") if one]
    return {
        "environ": dict(os.environ), "C": sorted(plain.splitlines()), "child": said[:3], "ours": said[3] == os.getpid(),
        "shown": sorted(blocks), "home": os.path.expanduser("~"), "random": secrets.token_hex(2) != "",
    }  # fmt: skip


if __name__ == "__main__":
    found = {"kernel": kernel(), "interpreter": interpreter(), "surroundings": surroundings()}
    print(json.dumps(found, default=repr))
