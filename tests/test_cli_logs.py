"""logs prints what there is, once, in order, and says what a log over its limit lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jupyter_mlrun import cli_logs
from jupyter_mlrun.rundir import append_line, dump_json
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store.home import WorkspaceDir
from tests.runs import ended_run
from tests.support import finish, kill_agent, log_of, running, submit_cell, until

CLI = [sys.executable, "-c", "from jupyter_mlrun.cli import main; main()"]
# says a line, waits until it is let, says another
GATED = """
import os, time
print("first", flush=True)
while not os.path.exists(os.environ["GATE"]):
    time.sleep(0.01)
print("second", flush=True)
"""


@pytest.fixture
def ended(home: Path) -> Run:
    run = ended_run(WorkspaceDir(home, "default").make())
    run.log().write_bytes(b"".join(b"line %d\n" % n for n in range(500_000)))
    return Run.at(run)


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("lines", [0, 1, 2, 1000])
def test_last_lines(ended: Run, capfd: pytest.CaptureFixture[str], lines: int, follow: bool, raw: bool) -> None:
    cli_logs.show(ended, 0, 1, follow=follow, lines=lines, raw=raw)
    sys.stdout.flush()
    wanted = [f"line {n}" for n in range(500_000 - lines, 500_000)]
    assert [line for line in capfd.readouterr().out.splitlines() if line] == wanted


def test_a_whole_log(ended: Run, capfd: pytest.CaptureFixture[str]) -> None:
    cli_logs.show(ended, 0, 1, follow=False, lines=None, raw=True)
    sys.stdout.flush()
    assert capfd.readouterr().out.encode() == ended.directory.log().read_bytes()


def test_a_log_that_lost_its_middle(ended: Run, capfd: pytest.CaptureFixture[str]) -> None:
    whole = ended.directory.log().read_bytes()
    gap = (2_000_003, 4_000_007)
    ended.directory.log().write_bytes(whole[: gap[0]] + bytes(gap[1] - gap[0]) + whole[gap[1] :])
    append_line(ended.directory.log_index(), dump_json({"dropped": gap}))
    cli_logs.show(ended, 0, 1, follow=True, lines=None, raw=False)
    sys.stdout.flush()
    told = b"\n[2,000,004 bytes dropped here: the log grew over its limit]\n"
    assert capfd.readouterr().out.encode() == whole[: gap[0]] + told + whole[gap[1] :]


def test_following_goes_on_when_the_agent_is_killed(home: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run = running(submit_cell(GATED, env_vars=(f"GATE={gate}",)))
    until(lambda: "first" in log_of(run), "the first line")
    with subprocess.Popen([*CLI, "logs", "-f", "@1"], stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "first\n"
        kill_agent(home)
        gate.touch()
        assert reader.stdout.read() == "second\n"
    assert reader.returncode == 0
    finish(run)


def test_ctrl_c_is_130_and_the_run_goes_on(home: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run = running(submit_cell(GATED, env_vars=(f"GATE={gate}",)))
    for line, first in ((["logs", "-f", "@1"], "first"), (["wait", "@1"], "RunId")):
        with subprocess.Popen([*CLI, *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            assert reader.stderr is not None
            assert reader.stdout.readline().startswith(first)
            timer = threading.Timer(0, reader.send_signal, (signal.SIGINT,))
            timer.start()
            rest, errors = reader.stdout.read(), reader.stderr.read()
        assert reader.returncode == 130, (line, rest, errors)
        assert "Traceback" not in errors
        assert line[0] == "logs" or "detached" in rest
    assert not run.state.is_over
    gate.touch()
    assert str(finish(run).status) == "Completed"


def test_a_closed_pipe_is_141(ended: Run) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    for line in (["logs", "@1"], ["ps"], ["show", "@1"], ["--help"]):
        done = subprocess.run([*CLI, *line], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (141, ""), line
    os.close(writer)
