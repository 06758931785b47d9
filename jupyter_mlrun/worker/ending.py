"""How a run says itself that it is over: a verdict inside of a submitted run, ``exit.json`` of an interactive one.

Reads ``spec.json``, ``rank-0.json``, ``stop.json``; writes ``verdict.json`` or ``exit.json``.  Standard library
only (Python 3.9+), and imported when it is first used.
"""

from __future__ import annotations

import os
import time
from typing import Any, Dict, Optional

from ..errors import Conflict
from ..rundir import RunDir, dump_json, read_json, read_json_if_there, write_all, write_atomic, write_once
from ..states import EndReason, Status
from . import finish, process

INTERACTIVE = "interactive"


def is_ours(run: RunDir) -> bool:
    """Whether this very process is the interactive run (a forked child of it is not)."""
    who = read_json_if_there(run.rank(0))
    return who is not None and who["pid"] == os.getpid() and process.is_alive(who)


def complete(run_dir: str, *, inside: bool) -> None:
    """The run has done its work."""
    _conclude(RunDir(run_dir), Status.COMPLETED, "", inside)


def fail(run_dir: str, details: Any, code: Any, *, inside: bool) -> None:
    """The run has failed, in these words."""
    words = "" if details is None else str(details)
    if code is not None:
        words = f"{code}: {words}" if words else str(code)
    _conclude(RunDir(run_dir), Status.FAILED, words, inside)


def stop(run_dir: str) -> None:
    """Ask the run's worker to end it; the worker looks by itself."""
    write_once(RunDir(run_dir).stop, dump_json({"by": "the run itself", "time": time.time()}))


def cancel_own(run_dir: str) -> None:
    """This process is the run, and stops it."""
    run = RunDir(run_dir)
    end(run, read_json(run.spec), Status.CANCELED, "stopped by itself")


def write_traceback(run: RunDir, problem: BaseException) -> None:
    """Put a traceback into the log of an interactive run: nothing else writes there."""
    import traceback

    from . import launch

    text = "".join(traceback.format_exception(type(problem), problem, problem.__traceback__))
    fd = launch.open_log(run, 0, 1)
    try:
        write_all(fd, text.encode("utf-8", "backslashreplace"))
    finally:
        os.close(fd)


def is_own_interactive(run: RunDir) -> bool:
    """Whether the run is an interactive one of this very process."""
    return is_ours(run) and bool(read_json(run.spec)["kind"] == INTERACTIVE)


def _conclude(run: RunDir, status: Status, words: str, inside: bool) -> None:
    """Inside: this process runs in that run, so the run goes on for a while and the verdict has to wait."""
    spec = read_json(run.spec)
    if spec["kind"] == INTERACTIVE and (not inside or is_ours(run)):
        end(run, spec, status, words)
    elif inside:
        _say(run, status, words)
    elif not run.exit.exists():
        raise Conflict(f"run {spec['run_id']} was submitted: it ends by itself", hint="cancel() stops it")


def _say(run: RunDir, status: Status, words: str) -> None:
    """The first word counts, but for a failure, which no rank can take back or talk over."""
    said = {"status": str(status), "text": words[:2000], "time": time.time(), "rank": os.environ.get("RANK", "0")}
    if write_once(run.verdict, dump_json(said)) or status is not Status.FAILED:
        return
    if (read_json_if_there(run.verdict) or {}).get("status") != str(Status.FAILED):
        write_atomic(run.verdict, dump_json(said))


def end(run: RunDir, spec: Dict[str, Any], status: Status, words: str, error: Optional[str] = None) -> bool:
    """Write ``exit.json`` of an interactive run; False where it has ended already.

    A run that somebody asked to stop has been stopped, however it ends.
    """
    who = read_json_if_there(run.rank(0)) or {}
    stop = read_json_if_there(run.stop)
    code: Optional[int] = 0 if status is Status.COMPLETED else 1
    reason, text = EndReason.DECLARED, words or "it said that it failed"
    if stop is not None:
        status, reason, text = Status.CANCELED, EndReason.STOPPED, f"stopped by {stop.get('by') or 'its user'}"
    elif status is Status.CANCELED:
        reason, text = EndReason.STOPPED, words or "stopped by itself"
    elif status is Status.COMPLETED:
        reason, text = EndReason.FINISHED, "finished"
    if status is Status.CANCELED:
        code = None
    found = {"status": status, "reason": reason, "text": text, "exit_code": code, "signal": None, "guess": False}
    rank = {"rank": 0, "exit_code": code, "signal": None, "error": error or (text if code else None)}
    return finish.write_exit(run, spec, found, {"ranks": [rank], "started": who.get("started")})
