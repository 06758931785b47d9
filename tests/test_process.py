"""Who a process is: pids are given out again, zombies are dead, escaped children are found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from jupyter_mlrun.store.runs import new_run_id
from jupyter_mlrun.worker import limits, process


def test_a_pid_alone_is_nobody() -> None:
    me = process.identity()
    assert process.is_alive(me)
    for key, other in (("start", me["start"] + 1), ("boot", "another"), ("host", "another"), ("pid", 2**22 + 1)):
        assert not process.is_alive({**me, key: other}), f"not the same process: another {key}"
        assert not process.send({**me, key: other}, signal.SIGKILL), "and never signalled"


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    who = process.identity(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not process.is_alive(who)
    os.kill(child.pid, 0)  # what a pid alone would have said
    child.wait()


RENAMED = "import ctypes, sys; ctypes.CDLL(None).prctl(15, b') Z 1 2 3'); print(flush=True); sys.stdin.read()"


def test_a_name_that_looks_like_stat_fields_is_read_right() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", RENAMED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    assert process.is_alive(process.identity(child.pid))
    child.communicate()


ESCAPE = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
"""


@pytest.fixture
def run_id() -> str:
    """No other test's, in whatever process: every process of this user that has it is a member."""
    return new_run_id("exp")


def test_escaped_children_are_found_by_their_mark(run_id: str) -> None:
    env = {**os.environ, process.RUN_ID: run_id}
    first = subprocess.Popen([sys.executable, "-c", ESCAPE], env=env, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    with first.stdout as said:  # not read to its end: the escaped child keeps it open
        escaped = int(said.readline())
    first.wait()
    try:
        assert escaped in process.members(run_id, ())
        assert not process.members(new_run_id("exp"), ()), "another run's processes are not touched"
    finally:
        ended = process.end_tree(lambda: process.members(run_id, ()), grace=1.0)
    assert ended >= 1
    assert not process.members(run_id, ())


def test_an_agent_that_a_run_started_is_not_its_member(run_id: str) -> None:
    env = {**os.environ, process.RUN_ID: run_id, process.AGENT_MARK: "1"}
    child = subprocess.Popen([sys.executable, "-c", "input()"], env=env, stdin=subprocess.PIPE)
    try:
        assert child.pid not in process.members(run_id, {child.pid})
    finally:
        child.communicate(b"\n")


def test_memory_figures() -> None:
    assert 10**6 < process.memory_of([os.getpid()]) < limits.memory()


def test_a_pause_in_which_everything_stood_still_uses_up_one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    patience = process.Patience(3.0)
    for step, left in ((0.0, 3.0), (0.5, 2.5), (100.0, 1.5), (0.5, 1.0)):
        clock[0] += step
        assert not patience.over()
        assert patience.left == left
    clock[0] += 100.0
    assert patience.over()
    assert process.Patience(0.0).over()
