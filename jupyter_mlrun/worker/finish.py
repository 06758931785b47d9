"""Decides how a run ended, in words, and writes ``exit.json``: once, whole, last.

Reads the log's tail and ``verdict.json``; writes ``exit.json``.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from typing import Any, Dict, List, Optional

from ..rundir import RunDir, dump_json, read_json_if_there, write_once
from ..states import EndReason, Status
from .launch import CANNOT_START

_WORDS = {
    "SIGSEGV": "segmentation fault",
    "SIGABRT": "abort",
    "SIGBUS": "bus error",
    "SIGFPE": "arithmetic error",
    "SIGILL": "illegal instruction",
    "SIGXCPU": "CPU time limit of the process",
    "SIGPIPE": "broken pipe",
}


def rank_end(status: int) -> Dict[str, Any]:
    """A wait status as exit code or signal."""
    if os.WIFSIGNALED(status):
        return {"exit_code": None, "signal": os.WTERMSIG(status), "core": os.WCOREDUMP(status)}
    return {"exit_code": os.WEXITSTATUS(status), "signal": None, "core": False}


def signal_name(number: int) -> str:
    """``SIGSEGV`` for 11; real-time signals by number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def size_text(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def _signal_words(end: Dict[str, Any], facts: Dict[str, Any]) -> Dict[str, Any]:
    number = int(end["signal"])
    name = signal_name(number)
    if number == signal.SIGKILL:
        if facts.get("oom_killed"):
            text = "out of memory: the kernel killed it"
            return {"code": EndReason.OUT_OF_MEMORY, "text": text + _memory_words(facts)}
        return {"code": EndReason.SIGNAL, "text": "killed by SIGKILL from outside" + _memory_words(facts)}
    what = f" ({_WORDS[name]})" if name in _WORDS else ""
    core = ", core dumped" if end.get("core") else ""
    return {"code": EndReason.SIGNAL, "text": f"ended by {name}{what}{core}"}


def _memory_words(facts: Dict[str, Any]) -> str:
    if not facts.get("memory"):
        return ""
    return f"; memory last seen {size_text(facts['memory'])} of {size_text(facts['memory_limit'])}"


def worst(ends: List[Dict[str, Any]]) -> Dict[str, Any]:
    """The rank that explains the end: the first that failed by itself, else the first."""
    failed = [end for end in ends if end.get("exit_code") != 0]
    failed.sort(key=lambda end: end.get("ended", 0.0))
    return failed[0] if failed else ends[0]


# each way to end is one return, in the order of what explains an end best
def verdict(ends: List[Dict[str, Any]], facts: Dict[str, Any]) -> Dict[str, Any]:
    """Status, reason, exit code and signal of a run, from how its ranks ended.

    ``facts``: ``stopped_by``, ``time_limit`` (seconds, when it struck), ``oom_killed``, ``memory``,
    ``memory_limit``.
    """
    end = worst(ends)
    found = {"exit_code": end.get("exit_code"), "signal": end.get("signal"), "guess": False}
    if all(e.get("exit_code") == 0 for e in ends) and not facts.get("signalled"):
        return dict(found, status=Status.COMPLETED, reason=EndReason.FINISHED, text="finished")
    if facts.get("time_limit") is not None:
        text = f"stopped at its time limit of {facts['time_limit']:g} s"
        return dict(found, status=Status.FAILED, reason=EndReason.TIME_LIMIT, text=text)
    if facts.get("stopped_by") is not None:
        text = f"stopped by {facts['stopped_by']}"
        return dict(found, status=Status.CANCELED, reason=EndReason.STOPPED, text=text)
    rank = f"rank {end['rank']}: " if len(ends) > 1 else ""
    if end.get("rebooted"):
        text = rank + "ended unseen: the machine was restarted while it ran"
        return dict(found, status=Status.FAILED, reason=EndReason.NODE_LOST, text=text, guess=True)
    if end.get("unseen"):
        text = rank + "ended unseen: nothing tells how"
        return dict(found, status=Status.FAILED, reason=EndReason.ENDED_UNSEEN, text=text, guess=True)
    if end.get("signal"):
        words = _signal_words(end, facts)
        return dict(found, status=Status.FAILED, reason=words["code"], text=rank + words["text"])
    if end.get("exit_code") == CANNOT_START and not end.get("error") and end.get("not_started"):
        return dict(found, status=Status.FAILED, reason=EndReason.LAUNCH_FAILED, text=rank + "cannot be started")
    text = f"{rank}exit code {end.get('exit_code')}"
    if end.get("error"):
        text += f": {end['error'].splitlines()[0][:300]}"
    return dict(found, status=Status.FAILED, reason=EndReason.EXIT_CODE, text=text)


def as_said(found: Dict[str, Any], said: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    """The end *found*, with what the run said of it in ``verdict.json`` (``complete()``, ``fail()``).

    A run that said that it failed has failed, whatever its exit code; one that said that it was done and crashed
    afterwards has crashed.
    """
    if said is None or said.get("status") != Status.FAILED.value:
        return found
    if found["reason"] not in (EndReason.FINISHED, EndReason.EXIT_CODE):
        return found  # a signal, a limit or a person ended it: that explains more
    text = said.get("text") or "it said that it failed"
    return dict(found, status=Status.FAILED, reason=EndReason.DECLARED, text=text)


def last_lines(path: str, *, lines: int = 30, limit: int = 16384) -> List[str]:
    """The last lines of a log, cut at *limit* bytes; an empty list where there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - limit))
            data = file.read(limit)
    except OSError:
        return []
    text = data.replace(b"\0", b"").decode("utf-8", "replace")
    return [line.rpartition("\r")[2] if not line.endswith("\r") else line for line in text.splitlines()][-lines:]


def keep_replaced_folders(run: RunDir) -> None:
    """Code may remove ``./outputs`` and make it anew: what it left there belongs to the run all the same."""
    for name, kept in (("outputs", run.outputs), ("logs", run.logs)):
        place = run.work / name
        if not place.is_dir() or place.is_symlink():
            continue
        for folder, _, files in os.walk(place):
            target = kept / os.path.relpath(folder, place)
            os.makedirs(target, mode=0o700, exist_ok=True)
            for file in files:
                os.replace(os.path.join(folder, file), target / file)


def write_exit(run: RunDir, spec: Dict[str, Any], found: Dict[str, Any], more: Dict[str, Any]) -> bool:
    """Write ``exit.json``; False when it was there already."""
    ranks = int(spec["resources"]["procs"])
    failed = more.get("log_rank", 0)
    found = as_said(found, read_json_if_there(run.verdict))
    record = {
        "format": 1,
        "run_id": spec["run_id"],
        "ended": time.time(),
        "last_lines": last_lines(str(run.log(failed, ranks))),
        **{key: value for key, value in more.items() if key != "log_rank"},
        **{key: str(value) if isinstance(value, (Status, EndReason)) else value for key, value in found.items()},
    }
    return write_once(run.exit, dump_json(record))


def clear_work(run: RunDir) -> None:
    """Remove the working copy; what cannot be removed now is garbage that ``gc`` finds."""
    shutil.rmtree(run.work, ignore_errors=True)
