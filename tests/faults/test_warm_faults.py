"""Fork servers that are killed, stopped or lie: each run starts, once, and ends as it would."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path

import psutil
import pytest

from jupyter_mlrun.agent import client
from jupyter_mlrun.sdk.run import Run
from tests.support import describe, finish, kill_agent, kill_worker, log_of, running, until, workers
from tests.warm import gone, ready, server_processes, servers, start, warm_up, way

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has warm starts")
LONG = "import time\nprint('begun', flush=True)\ntime.sleep(600)"


def completed(run: Run, text: str = "once\n") -> None:
    """It ran, once."""
    assert str(finish(run).status) == "Completed", describe(run)
    assert log_of(run) == text


def rank_of(run: Run) -> int:
    return int(json.loads(run.directory.rank(0).read_text())["pid"])


def test_killed_between_two_runs(home: Path) -> None:
    warm_up(home)
    (server,) = server_processes(home)
    server.kill()
    until(lambda: gone(server), "killed")
    run = start("print('once')")
    completed(run)
    assert way(run).startswith("cold: ")
    ready(home)
    again = start("print('once')")
    completed(again)
    assert way(again) == "warm"


def test_stopped_server_delays_a_run_and_no_more(home: Path) -> None:
    warm_up(home)
    (server,) = server_processes(home)
    server.suspend()
    run = start("print('once')")
    completed(run)
    assert way(run) == "cold: the process to fork from did not answer"
    assert len(workers(run)) == 1
    until(lambda: gone(server), "a server that hangs is ended")


def test_a_worker_that_was_laid_by_is_killed(home: Path) -> None:
    warm_up(home)
    (server,) = server_processes(home)
    (spare,) = until(server.children, "a worker laid by")
    spare.kill()
    until(lambda: gone(spare), "killed")
    run = start("print('once')")
    completed(run)
    assert way(run) == "warm"


def laid_by(home: Path) -> tuple[psutil.Process, psutil.Process]:
    """The worker and the rank that wait for a run."""
    (server,) = server_processes(home)
    (worker,) = until(server.children, "a worker laid by")
    (rank,) = until(worker.children, "a rank laid by")
    return worker, rank


def test_a_rank_that_was_laid_by_becomes_the_run(home: Path) -> None:
    warm_up(home)
    _, rank = laid_by(home)
    run = start("import os\nprint(os.getpid() == os.getsid(0), os.getpid())")
    assert str(finish(run).status) == "Completed", describe(run)
    assert log_of(run) == f"True {rank.pid}\n"
    assert rank_of(run) == rank.pid


def test_a_rank_that_was_laid_by_is_killed(home: Path) -> None:
    warm_up(home)
    _, rank = laid_by(home)
    rank.kill()
    until(lambda: gone(rank), "killed")
    run = start("print('once')")
    completed(run)
    assert way(run) == "warm"
    assert rank_of(run) != rank.pid


def test_a_rank_that_was_laid_by_goes_with_its_worker(home: Path) -> None:
    warm_up(home)
    worker, rank = laid_by(home)
    worker.kill()
    until(lambda: gone(rank), "nobody can use it")


def test_a_rank_that_was_laid_by_and_cannot_be_used_goes(home: Path, tmp_path: Path) -> None:
    """The run's folder has a file that hides a module: only the worker sees that, and starts the rank cold."""
    warm_up(home, preload=("yaml",))
    _, rank = laid_by(home)
    (tmp_path / "yaml.py").write_text("")
    (tmp_path / "main.py").write_text(LONG)
    run = running(start(preload=("yaml",), source=str(tmp_path), script="main.py"))
    assert way(run).startswith("cold: its folder has yaml.py")
    until(lambda: gone(rank), "let go")
    run.cancel()
    assert str(finish(run).status) == "Canceled"


def test_killed_while_it_has_runs(home: Path) -> None:
    warm_up(home)
    run = running(start(LONG))
    assert way(run) == "warm"
    (server,) = server_processes(home)
    server.kill()
    client.sync(home)
    assert str(run.state.status) == "Running"
    os.kill(rank_of(run), signal.SIGSEGV)
    state = finish(run)
    assert (str(state.status), state.signal) == ("Failed", signal.SIGSEGV), describe(run)
    assert len(workers(run)) == 1, "its worker saw the end"


@pytest.mark.parametrize(
    "victims", [("worker",), ("agent",), ("server", "worker"), ("agent", "worker"), ("worker", "agent")]
)
def test_kills_in_the_middle(home: Path, tmp_path: Path, victims: tuple[str, ...]) -> None:
    warm_up(home)
    gate = tmp_path / "gate"
    cell = f"import os, time\nprint('begun', flush=True)\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)"
    run = running(start(cell))
    assert way(run) == "warm"
    for victim in victims:
        if victim == "agent":
            kill_agent(home)
        elif victim == "server":
            server_processes(home)[0].kill()
        else:
            kill_worker(run)
    client.sync(home)
    gate.touch()
    completed(run, "begun\n")


def test_the_end_of_an_orphan_is_known(home: Path) -> None:
    """The worker is dead: the agent, and not the fork server, is the orphan's new parent, and sees its signal."""
    warm_up(home)
    run = running(start(LONG))
    rank = rank_of(run)
    kill_worker(run)
    agent = client.agent_of(home)
    assert agent is not None
    until(lambda: psutil.Process(rank).ppid() in (agent["pid"], *(w["pid"] for w in workers(run)[1:])), "a new parent")
    os.kill(rank, signal.SIGKILL)
    state = finish(run)
    assert (str(state.status), state.signal) == ("Failed", signal.SIGKILL), describe(run)
    assert state.reason is not None
    assert not state.reason.guess


@pytest.mark.slow
def test_killed_at_any_moment_of_a_start(home: Path) -> None:
    """Before the request, with it in hand, while it forks, after: the run starts once, warm or cold."""
    for moment in range(12):
        finish(start("pass"))
        ready(home)
        (server,) = server_processes(home)
        killer = threading.Timer(moment * 0.004, server.kill)
        killer.start()
        completed(start("print('once')"))
        killer.join()
        until(partial(gone, server), "killed")


def test_a_new_agent_has_servers_of_its_own(home: Path) -> None:
    warm_up(home)
    (old,) = server_processes(home)
    kill_agent(home)
    until(lambda: gone(old), "the old agent's server goes")
    run = start("print('once')")
    completed(run)
    assert way(run).startswith("cold: ")
    ready(home)
    assert [one.pid for one in server_processes(home)] != [old.pid]


def test_many_at_once_each_start_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_MLRUN_MAX_CONCURRENT", "6")
    warm_up(home)
    found = [start(f"print({number})") for number in range(12)]
    for number, run in enumerate(found):
        completed(run, f"{number}\n")
    assert {way(run) for run in found} == {"warm"}
    assert servers(home)[0]["forks"] == 12


def test_forks_that_can_do_nothing_are_not_tried_again(home: Path) -> None:
    warm_up(home)
    (server,) = server_processes(home)
    for one in (server, *until(server.children, "a worker laid by")):
        one.rlimit(psutil.RLIMIT_FSIZE, (0, 0))  # workers cannot write their claims
    run = start("print('once')")
    completed(run)
    assert way(run) == "cold: its first worker is gone"


def test_ranks_of_one_run(home: Path) -> None:
    cell = "import os\nprint(os.environ['RANK'], os.environ['WORLD_SIZE'], os.environ['OMP_NUM_THREADS'])"
    finish(start(cell, procs=2))
    ready(home)
    run = start(cell, procs=2)
    assert str(finish(run).status) == "Completed", describe(run)
    assert way(run) == "warm"
    assert [run.directory.log(rank, 2).read_text() for rank in (0, 1)] == ["0 2 1\n", "1 2 1\n"]


def test_a_stop_of_a_warm_run_ends_its_children(home: Path) -> None:
    warm_up(home)
    cell = "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nprint(child.pid, flush=True)\nchild.wait()"
    run = running(start(cell))
    until(lambda: log_of(run).strip(), "the child")
    child = psutil.Process(int(log_of(run)))
    run.cancel()
    assert str(finish(run).status) == "Canceled"
    until(lambda: gone(child), "its child is ended")


def test_a_time_limit(home: Path) -> None:
    warm_up(home)
    run = start(LONG, time="1s")
    state = finish(run)
    assert state.reason is not None
    assert (way(run), state.reason.code) == ("warm", "time_limit")
