"""The command line as people meet it: a real process, its exit code, its streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store.home import WorkspaceDir
from tests.runs import ended_run
from tests.support import finish, running, submit_cell, until

CLI = [sys.executable, "-c", "from jupyter_mlrun.cli import main; main()"]
HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\x1b]0;title\x07[red]name[/]"


def mlrun(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*CLI, *arguments], capture_output=True, text=True, errors="strict", env={**os.environ, **env}, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def one(cell: str = "print('hello')", **options: object) -> Run:
    run = submit_cell(cell, **options)
    finish(run)
    return run


def recorded(home: Path, number: int, **more: Any) -> RunDir:
    """A run that has ended, without any process."""
    return ended_run(WorkspaceDir(home, "default").make(), number=number, **more)


def test_submit_and_wait_give_the_exit_code_of_the_run(home: Path, tmp_path: Path) -> None:
    script = tmp_path / "ends.py"
    script.write_text("import sys\nprint('said')\nsys.exit(int(sys.argv[1]))\n")
    blocked = mlrun("submit", str(script), "-b", "--", "7")
    assert blocked.returncode == 7, blocked
    assert "said" in blocked.stdout
    quiet = mlrun("submit", str(script), "-q", "--name", "quiet one", "--", "0")
    assert quiet.returncode == 0
    run_id = quiet.stdout.strip()
    assert quiet.stdout.count("\n") == 1
    assert run_id.startswith("ends_")
    waited = mlrun("wait", "-q", "quiet one")
    assert (waited.returncode, waited.stdout) == (0, "")
    assert mlrun("wait", "-q", "@2").returncode == 7
    again = mlrun("rerun", "@2", "-b")
    assert again.returncode == 7, "a rerun has the same arguments"
    listed = json.loads(mlrun("ps", "--json").stdout)
    assert [row["exit_code"] for row in listed] == [7, 0, 7]
    assert [row["status"] for row in json.loads(mlrun("ps", "--status", "failed", "--json").stdout)] == ["Failed"] * 2


def test_rerun_with_another_parameter(home: Path, tmp_path: Path) -> None:
    script = tmp_path / "ends.py"
    script.write_text("import sys\nprint(sys.argv[1:])\n")
    first = mlrun("submit", str(script), "-q", "-p", "lr=0.1", "-p", "n=2", "--name", "first", "--", "rest")
    assert first.returncode == 0, first.stderr
    again = mlrun("rerun", "first", "-p", "lr=1e-3", "--name", "second", "-b")
    assert again.returncode == 0, again.stderr
    assert "['--lr', '1e-3', '--n', '2', 'rest']" in again.stdout
    assert [row["display_name"] for row in json.loads(mlrun("ps", "--json").stdout)] == ["second", "first"]
    told = json.loads(mlrun("show", "second", "--json").stdout)
    assert told["start"].startswith(("cold: ", "warm"))
    wrong = mlrun("rerun", "first", "-p", "lt=1")
    assert wrong.returncode == BadInput.exit_code
    assert "it had: lr, n" in wrong.stderr


def test_dry_run_leaves_nothing(home: Path, tmp_path: Path) -> None:
    script = tmp_path / "ends.py"
    script.write_text("print(1)\n")
    done = mlrun("submit", str(script), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "ends.py" in done.stdout
    assert not list(home.glob("*/runs/*/*"))


@pytest.mark.parametrize(
    "line",
    [["nosuchverb"], ["submit"], ["submit", "x.py", "--nosuch"], ["ps", "--limit", "0"],
     ["submit", "x.py", "--time", "soon"], ["logs"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_use_is_2(home: Path, tmp_path: Path, line: list[str]) -> None:
    (tmp_path / "x.py").write_text("")
    os.chdir(tmp_path)
    done = mlrun(*line)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr


def test_selectors(home: Path) -> None:
    first = Run.at(recorded(home, 5, display_name="my name"))
    second = Run.at(recorded(home, 0x1A2B3C4D))
    tail = first.id.rpartition("_")[2]
    for text in (first.id, first.id[:-2], tail, tail[:7], "my name", "@2"):
        assert json.loads(mlrun("show", text, "--json").stdout)["runId"] == first.id, text
    many = mlrun("show", "exp_")
    assert many.returncode == 2
    assert first.id in many.stderr
    assert second.id in many.stderr
    for text in ("my nam", "@3", "@0", "@x", "", "zzz"):
        none = mlrun("show", text)
        assert none.returncode == 1, text
        assert none.stdout == ""
        assert [line[:6] for line in none.stderr.splitlines()] == ["jupyte", "  hint"], none.stderr
    assert "did you mean 'my name'" in mlrun("show", "my nam").stderr


def test_every_listing_is_valid_json_also_with_nan(home: Path) -> None:
    one("from jupyter_mlrun import log\nlog('loss', float('nan'))\nlog('top', float('inf'))", tags=("a=b",))
    for line in (["ps"], ["ps", "--all"], ["show", "@1"], ["du"], ["gc", "--dry-run"], ["fsck"], ["doctor"],
                 ["agent", "status"]):  # fmt: skip
        done = mlrun(*line, "--json")
        assert done.returncode in {0, 1}, done
        json.loads(done.stdout, parse_constant=pytest.fail)
    assert json.loads(mlrun("ps", "--json").stdout)[0]["metrics"]["loss"] == "nan"
    assert json.loads(mlrun("show", "@1", "--json").stdout)["metrics"] == {"loss": "nan", "top": "inf"}


def test_an_empty_home_is_no_error_and_is_not_made(home: Path) -> None:
    for line in (["ps"], ["du"], ["gc", "--dry-run"], ["fsck"], ["doctor"], ["agent", "status"], ["agent", "stop"]):
        assert mlrun(*line).returncode == 0, line
    assert not home.exists()


def test_hostile_names_and_logs_do_not_reach_the_terminal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # such a name is refused today, but a home may hold one that something else wrote
    monkeypatch.setattr("jupyter_mlrun.sdk.submit.check_name", lambda name: None)
    run = one(f"print({HOSTILE!r}); print('\\x1b[32mgreen\\x1b[0m end')\nraise ValueError({HOSTILE!r})", name=HOSTILE)
    for line in (["ps"], ["show", "@1"], ["logs", "@1"], ["logs", "-n", "50", "@1"], ["fsck"], ["wait", "@1"],
                 ["show", HOSTILE + "x"], ["du"]):  # fmt: skip
        done = mlrun(*line, FORCE_COLOR="1")
        said = done.stdout + done.stderr
        for bad in ("\x1b]", "\x1b[2J", "\x07", "\x9b"):
            assert bad not in said, (line, said)
    assert "[red]name[/]" in mlrun("ps", COLUMNS="200").stdout, "markup of rich is text"
    raw = subprocess.run([*CLI, "logs", "--raw", "@1"], capture_output=True, check=True)
    assert raw.stdout == run.directory.log().read_bytes()


def test_a_reader_that_had_enough(home: Path) -> None:
    recorded(home, 1).log().write_bytes(b"line\n" * 200_000)
    for line in ("logs @1", "show --json @1", "ps"):
        shell = f'{sys.executable} -c "from jupyter_mlrun.cli import main; main()" {line} | head -c 1'
        done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=False)
        assert done.stderr == "", line


@pytest.mark.parametrize(
    "env",
    [
        {"NO_COLOR": "1"},
        {"COLUMNS": "40"},
        {"COLUMNS": "1"},
        {"LANG": "C", "LC_ALL": "C"},
        {"PYTHONIOENCODING": "ascii"},
    ],
    ids=str,
)
def test_odd_terminals(home: Path, env: dict[str, str]) -> None:
    recorded(home, 1, display_name="имя").log().write_text("здесь\n", encoding="utf-8")
    for line in (["ps"], ["show", "@1"], ["logs", "@1"], ["doctor"], ["du"], ["show", "нет"]):
        done = mlrun(*line, **env)
        assert done.returncode in {0, 1}
        assert "\x1b" not in done.stdout
        if env.get("COLUMNS") == "40" and line[0] in {"ps", "du"}:
            assert max(map(len, done.stdout.splitlines())) <= 40


def test_stop_rm_and_the_agent(home: Path) -> None:
    run = running(submit_cell("import time\ntime.sleep(600)"))
    refused = mlrun("rm", "@1")
    assert refused.returncode == 1
    assert f"jupyter mlrun stop {run.id}" in refused.stderr
    assert run.path.is_dir()
    until(lambda: "1 running" in mlrun("agent", "status").stdout, "the agent says so at the end of its round")
    assert mlrun("agent", "stop").returncode == 0
    assert "no agent runs" in mlrun("agent", "status").stdout
    assert str(run.state.status) == "Running", "runs go on without the agent"
    assert mlrun("stop", "@1").stdout == f"{run.id}: Canceled\n"
    assert "is over" in mlrun("stop", "@1").stdout
    assert mlrun("wait", "-q", "@1").returncode != 0
    name = run.id
    assert mlrun("rm", "@1", name).stdout == f"removed {name}\n"
    assert not run.path.exists()
    assert "no runs yet" in mlrun("ps").stdout


def test_debug_shows_the_traceback(home: Path) -> None:
    done = subprocess.run([*CLI, "--debug", "show", "@1"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("sumbit x.py", "did you mean 'submit'"),
        ("agent stats", "did you mean 'status'"),
        ("submit x.py y.py", "behind --"),
        ("ps --limit many", "jupyter mlrun ps --help"),
        ("ps --nosuch", "No such option"),
    ],
)
def test_wrong_use_is_one_line_and_a_hint(home: Path, line: str, says: str) -> None:
    done = mlrun(*line.split())
    assert done.returncode == 2
    assert [text[:6] for text in done.stderr.splitlines()] == ["jupyte", "  hint"], done.stderr
    assert says in done.stderr


def test_what_should_not_happen_is_one_line_too(home: Path) -> None:
    code = "from jupyter_mlrun import upkeep\nupkeep.du = lambda _: 1 / 0\nfrom jupyter_mlrun.cli import main\nmain()"
    for more, lines in (([], 2), (["--debug"], None)):
        done = subprocess.run([sys.executable, "-c", code, "du", *more], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert ("Traceback" in done.stderr) is (lines is None), done.stderr
        assert "ZeroDivisionError" in done.stderr


def test_the_agent_can_be_started_by_hand(home: Path) -> None:
    said = mlrun("agent", "start").stdout
    assert json.loads(mlrun("agent", "status", "--json").stdout)["agent"]["pid"] == int(said.split()[-1])
    assert "start" not in mlrun("agent", "--help").stdout.partition("Commands:")[2].split()


def test_a_run_of_another_machine_is_stopped_there(home: Path) -> None:
    from jupyter_mlrun.store.home import WorkspaceDir
    from tests.runs import recorded_run

    recorded_run(WorkspaceDir(home, "default").make(), created_by={"host_id": "0" * 12, "host": "far"})
    done = mlrun("stop", "@1")
    assert done.returncode == 1
    assert "belongs to far" in done.stderr
