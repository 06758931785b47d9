"""How runs end, and what is said of it: codes, signals, limits, stops, leftovers (F052, F053, F061 to F065, F069)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from jupyter_mlrun.agent import client
from jupyter_mlrun.errors import RunFailed
from jupyter_mlrun.worker import finish as ends
from jupyter_mlrun.worker import process
from tests.support import describe, finish, kill_agent, log_of, running, submit_cell, until


@pytest.mark.parametrize(
    ("cell", "status", "code", "number", "words"),
    [
        ("pass", "Completed", 0, None, "finished"),
        ("import sys; sys.exit(0)", "Completed", 0, None, "finished"),
        ("import sys; sys.exit(3)", "Failed", 3, None, "exit code 3"),
        ("import sys; sys.exit('no data')", "Failed", 1, None, "exit code 1: no data"),
        ("1 / 0", "Failed", 1, None, "exit code 1: ZeroDivisionError: division by zero"),
        ("import os; os._exit(126)", "Failed", 126, None, "exit code 126"),
        ("import os; os.abort()", "Failed", None, signal.SIGABRT, "ended by SIGABRT (abort)"),
        ("import os; os.kill(os.getpid(), 11)", "Failed", None, 11, "ended by SIGSEGV (segmentation fault)"),
        ("import os; os.kill(os.getpid(), 9)", "Failed", None, 9, "killed by SIGKILL from outside; memory last seen"),
        ("import os; os.kill(os.getpid(), 40)", "Failed", None, 40, "ended by signal 40"),
    ],
)
def test_ends_in_words(home: Path, cell: str, status: str, code: int | None, number: int | None, words: str) -> None:
    # a moment of life, so that memory has been seen
    state = finish(submit_cell("import time; time.sleep(0.05)\n" + cell))
    assert (str(state.status), state.exit_code, state.signal) == (status, code, number)
    assert state.reason is not None
    assert state.reason.text.startswith(words.split(";", 1)[0])


@pytest.mark.parametrize("code", range(256))
def test_every_exit_code_is_kept(code: int) -> None:
    found = ends.verdict([dict(ends.rank_end(code << 8), rank=0)], {})
    assert found["exit_code"] == code
    assert (str(found["status"]) == "Completed") == (code == 0)


@pytest.mark.parametrize("number", range(1, 65))
def test_every_signal_is_kept(number: int) -> None:
    found = ends.verdict([dict(ends.rank_end(number | 0x80), rank=0)], {})
    assert (found["signal"], str(found["status"])) == (number, "Failed")
    assert ends.signal_name(number) in found["text"] or number == signal.SIGKILL


def test_out_of_memory_only_where_the_kernel_says_so() -> None:
    killed = [dict(ends.rank_end(signal.SIGKILL), rank=0)]
    facts = {"memory": 3 << 30, "memory_limit": 4 << 30}
    assert ends.verdict(killed, facts)["text"] == (
        "killed by SIGKILL from outside; memory last seen 3.0 GiB of 4.0 GiB"
    )
    assert str(ends.verdict(killed, {**facts, "oom_killed": True})["reason"]) == "out_of_memory"


def test_a_failure_names_the_cells_line_and_shows_the_last_lines(home: Path) -> None:
    run = submit_cell("x = 1\n\ndef f():\n    raise ValueError('bad data')\n\nf()")
    state = finish(run)
    assert any("line 4, in f" in line for line in state.last_lines)
    assert not any("bootstrap" in line for line in state.last_lines), "our own frame is of no use to the user"
    with pytest.raises(RunFailed, match="ValueError: bad data") as caught:
        run.wait_for_completion()
    assert str(run.path) in str(caught.value)


def test_time_limit(home: Path) -> None:
    state = finish(submit_cell("import time\ntime.sleep(600)", time="1s"))
    assert (str(state.status), state.reason and state.reason.code) == ("Failed", "time_limit")


STUBBORN = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 3)
        time.sleep(600)
    os._exit(0)
print("ready", flush=True)
time.sleep(600)
"""


def test_stop_kills_the_whole_tree_within_the_grace_period(home: Path) -> None:
    run = submit_cell(STUBBORN, stop_grace=0.5)
    until(lambda: run.directory.log().exists() and "ready" in log_of(run), "ready")
    assert process.members(run.id, ())
    run.cancel()
    run.cancel()
    state = finish(run)
    assert (str(state.status), state.reason and state.reason.code) == ("Canceled", "stopped"), describe(run)
    assert not process.members(run.id, ()), "children that called setsid end too"
    run.cancel()  # too late is no error
    assert str(run.state.status) == "Canceled"


def test_stop_of_a_stopped_process(home: Path) -> None:
    run = running(submit_cell("import time\ntime.sleep(600)", stop_grace=0.5))
    os.kill(json.loads(run.directory.rank(0).read_text())["pid"], signal.SIGSTOP)
    run.cancel()
    assert str(finish(run).status) == "Canceled"


def test_stop_when_the_worker_is_dead(home: Path) -> None:
    run = running(submit_cell("import time\ntime.sleep(600)"))
    for who in [json.loads(p.read_text()) for p in run.path.glob("worker-*.json")]:
        process.send(who, signal.SIGKILL)
    kill_agent(home)
    run.cancel()
    assert str(finish(run).status) == "Canceled"
    assert not process.members(run.id, ())


def test_stop_of_a_queued_run_never_starts_it(home: Path) -> None:
    first = running(submit_cell("import time\ntime.sleep(600)", max_concurrent=1))
    second = submit_cell("open('/dev/null')", max_concurrent=1)
    until(lambda: str(second.state.status) == "Queued", "queued")
    assert "waiting for a slot: 1 of 1 are taken" in str(second.state.note)
    second.cancel()
    state = finish(second)
    assert str(state.status) == "Canceled"
    assert not second.directory.rank(0).exists()
    first.cancel()
    finish(first)


def test_a_child_that_keeps_the_output_open_does_not_keep_the_run(home: Path) -> None:
    run = submit_cell("import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\nprint('done')")
    state = finish(run)
    assert str(state.status) == "Completed"
    assert not process.members(run.id, ())
    assert json.loads(run.directory.exit.read_text())["left_over"] == 1


def test_output_after_close_and_dup2_is_kept(home: Path) -> None:
    lines = ["import os", "os.dup2(1, 7)", "os.close(2)", "os.write(7, b'from seven\\n')", "os.close(1)"]
    run = submit_cell("\n".join([*lines, "os.write(7, b'last\\n')", "os._exit(0)"]))
    finish(run)
    assert log_of(run) == "from seven\nlast\n"


def test_what_a_run_inherits(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JPY_PARENT_PID", "KERNEL_LAUNCH_ID", "JUPYTER_TOKEN", "DISPLAY", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, "SENTINEL-1")
    monkeypatch.setenv("MY_OWN", "kept \udcff\n")
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        cell = (
            "import json, os, signal\n"
            "fds = sorted(os.listdir('/proc/self/fd'))\n"
            "print(json.dumps({'env': dict(os.environ), 'fds': fds, 'int': str(signal.getsignal(signal.SIGINT)),"
            " 'cwd': os.getcwd(), 'stdin': open(0).read(), 'umask': os.umask(0)}))"
        )
        run = submit_cell(cell, env_vars=("GIVEN=yes",))
        finish(run)
    finally:
        signal.signal(signal.SIGINT, old)
    seen = json.loads(log_of(run))
    assert "SENTINEL-1" not in json.dumps(seen["env"])
    assert (seen["env"]["MY_OWN"], seen["env"]["GIVEN"]) == ("kept \udcff\n", "yes")
    assert len(seen["fds"]) <= 4, "0, 1, 2 and the listing's own"
    assert "default_int_handler" in seen["int"]
    assert (seen["cwd"], seen["stdin"]) == (str(run.directory.work), "")
    variables = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    assert variables.items() <= seen["env"].items()
    assert seen["env"]["JUPYTER_MLRUN_RUN_ID"] == seen["env"]["AZUREML_RUN_ID"] == run.id
    assert not run.directory.environment.exists(), "values go once the run has started"
    kept = run.directory.spec.read_text()
    assert "MY_OWN" in kept
    assert "SENTINEL-1" not in kept
    assert "kept " not in kept


def test_outputs_and_logs_are_kept_even_when_made_anew(home: Path) -> None:
    cell = (
        "import os, pathlib\n"
        "pathlib.Path('outputs/a.txt').write_text('a')\n"
        "os.unlink('logs'); os.mkdir('logs'); pathlib.Path('logs/b.txt').write_text('b')\n"
        "pathlib.Path('lost.txt').write_text('c')"
    )
    run = submit_cell(cell)
    finish(run)
    names = run.get_file_names()
    assert {"outputs/a.txt", "logs/b.txt"} <= set(names)
    assert not any("lost" in name for name in names)
    until(lambda: not run.directory.work.exists(), "the working copy is gone")


def test_several_ranks(home: Path, tmp_path: Path) -> None:
    said = str(tmp_path / "said")
    cell = (
        "import os, time\nprint(os.environ['RANK'], os.environ['WORLD_SIZE'], flush=True)\n"
        "if os.environ['RANK'] == '1':\n"
        f"    while not os.path.exists({said!r}): time.sleep(0.01)\n"  # who fails ends the other
        "    raise SystemExit(4)\n"
        f"open({said!r}, 'w').close()\ntime.sleep(600)"
    )
    run = submit_cell(cell, procs=2, stop_grace=0.5)
    state = finish(run)
    assert (str(state.status), state.exit_code) == ("Failed", 4)
    assert state.reason is not None
    assert state.reason.text.startswith("rank 1: exit code 4")
    assert run.directory.log(0, 2).read_text() == "0 2\n"


def test_deleted_interpreter_is_said(home: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    shutil.copy(os.path.realpath(sys.executable), python)
    first = running(submit_cell("import time\ntime.sleep(600)", max_concurrent=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jupyter_mlrun.sdk.environment.sys.executable", str(python))
        run = submit_cell("pass", max_concurrent=1)
    until(lambda: str(run.state.status) == "Queued", "it waits while the file goes")
    python.unlink()
    first.cancel()
    finish(first)
    state = finish(run)
    assert str(state.status) == "Failed"
    assert "cannot start" in "\n".join(state.last_lines)


def test_no_agent_is_left_behind(home: Path) -> None:
    finish(submit_cell("pass"))
    assert client.stop_agent(home)
    assert client.agent_of(home) is None
    assert not client.stop_agent(home)
