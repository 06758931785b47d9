"""``kill -9`` of agent and worker, in turn and together: no run lost, doubled or wrongly failed (F043, F057, F058)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyter_mlrun.agent import client
from jupyter_mlrun.rundir import dump_json, write_once
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.index import listing
from jupyter_mlrun.worker import process
from jupyter_mlrun.worker.main import Worker
from tests.runs import recorded_run
from tests.support import describe, finish, kill_agent, kill_worker, log_of, running, submit_cell, until, workers

# prints as far as it is let, so that a kill can be put at a known place without waiting for time to pass
STEPS = """
import os, sys, time
from jupyter_mlrun import log
gate = os.environ["GATE"]
for i in range(60):
    while i >= 30 and not os.path.exists(gate):
        time.sleep(0.01)
    print("step", i, flush=True)
    log("loss", 1.0 / (i + 1), step=i)
"""
WHOLE = [f"step {i}" for i in range(60)]


def steps(tmp_path: Path) -> tuple[Run, Path]:
    gate = tmp_path / "gate"
    return submit_cell(STEPS, env_vars=(f"GATE={gate}",)), gate


@pytest.mark.parametrize("victims", [("worker",), ("agent",), ("agent", "worker"), ("worker", "agent")])
@pytest.mark.parametrize("moment", [0, 1, 29])
def test_killed_in_the_middle(home: Path, tmp_path: Path, victims: tuple[str, ...], moment: int) -> None:
    run, gate = steps(tmp_path)
    if moment:
        until(lambda: run.directory.log().exists() and f"step {moment}\n" in log_of(run), f"step {moment}")
    for victim in victims:
        if victim == "agent":
            kill_agent(home)
        else:
            kill_worker(run)
    client.sync(home)
    assert str(run.state.status) in ("Starting", "Running"), describe(run)
    gate.touch()
    state = finish(run)
    assert (str(state.status), state.exit_code) == ("Completed", 0), describe(run)
    assert log_of(run).splitlines() == WHOLE, "user code ran once, and nothing that it said is lost"
    assert len(run.get_metrics()["loss"]) == 60
    assert [row.run_id for row in listing(WorkspaceDir(home, "default"))] == [run.id]


def test_a_killed_agents_runs_are_adopted_at_once(home: Path, tmp_path: Path) -> None:
    runs = [submit_cell("import time\ntime.sleep(600)", max_concurrent=8) for _ in range(4)]
    for run in runs:
        running(run)
    kill_agent(home)
    client.sync(home)
    assert all(len(workers(run)) == 1 for run in runs), "workers that live are not replaced"
    for run in runs:
        run.cancel()
        assert str(finish(run).status) == "Canceled"


def test_ended_while_nobody_looked(home: Path, tmp_path: Path) -> None:
    run, gate = steps(tmp_path)
    running(run)
    kill_agent(home)
    gate.touch()
    until(run.directory.exit.exists, "exit.json")
    assert str(run.state.status) == "Completed", "the files tell it without an agent"
    assert str(finish(run).status) == "Completed"


def test_ended_unseen_is_a_guess_that_evidence_corrects(home: Path) -> None:
    run = running(submit_cell("import time\ntime.sleep(600)"))
    rank = int(json.loads(run.directory.rank(0).read_text())["pid"])
    kill_agent(home)
    kill_worker(run)
    os.kill(rank, signal.SIGKILL)
    state = finish(run)
    assert str(state.status) == "Failed"
    assert state.reason is not None
    assert (state.reason.code, state.reason.guess) == ("ended_unseen", True)


def test_killed_rank_seen_by_the_agent_alone(home: Path) -> None:
    """The worker is dead, the agent reaps the orphan: the signal is known, not guessed."""
    run = running(submit_cell("import time\ntime.sleep(600)"))
    rank = int(json.loads(run.directory.rank(0).read_text())["pid"])
    kill_worker(run)
    os.kill(rank, signal.SIGSEGV)
    state = finish(run)
    assert (str(state.status), state.signal) == ("Failed", signal.SIGSEGV), describe(run)


@pytest.mark.parametrize("parent", ["the agent", "nobody here"])
def test_a_busy_agent_is_waited_for_by_whom_it_started(
    home: Path, monkeypatch: pytest.MonkeyPatch, parent: str
) -> None:
    """The agent reaps the orphan and writes down how it ended, be it five seconds later."""
    run = recorded_run(WorkspaceDir(home, "default").make())
    worker = Worker(str(run.path), 2, "")
    child = subprocess.Popen([sys.executable, "-c", ""])
    worker.pids[0] = process.identity(child.pid)
    until(lambda: not process.is_alive(worker.pids[0]), "a zombie, which its parent has not seen yet")
    worker.agent = os.getpid() if parent == "the agent" else 1
    clock = [time.monotonic()]

    def sleep(_: float) -> None:
        clock[0] += 0.5
        if clock[0] > begun + 5:
            write_once(run.reaped(0), dump_json({"status": int(signal.SIGSEGV), "time": 0}))

    begun = clock[0]
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: clock[0])
        patch.setattr(time, "sleep", sleep)
        patch.setattr(process, "reap", dict)
        worker.see_ends()
    child.wait()
    assert worker.ends[0]["signal"] == (signal.SIGSEGV if parent == "the agent" else None)
    assert worker.ends[0].get("unseen", False) == (parent != "the agent")
