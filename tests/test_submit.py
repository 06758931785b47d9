"""Submitting: what is asked is checked before a run exists, and bad input leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from jupyter_mlrun import Experiment, ScriptRunConfig, Workspace, settings
from jupyter_mlrun.errors import BadInput, CellError, JupyterMLRunError, NewerStore, NotFound, StoreError
from jupyter_mlrun.sdk.submit import Request, dry_run, submit
from tests.support import finish, log_of, submit_cell

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")


def runs_in(home: Path) -> list[Path]:
    return list(home.glob("*/runs/*/*"))


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"cell": "x = 1\nif x:\nprint(x)"}, CellError, "cell line 3"),
        ({"cell": "print(missing_name)"}, CellError, "missing_name"),
        ({"script": "trian.py"}, NotFound, "did you mean 'train.py'"),
        ({"cell": "pass", "target": "locl"}, NotFound, "did you mean 'local'"),
        ({"cell": "pass", "env": "reqs.txt"}, NotFound, "no environment 'reqs.txt'"),
        ({"cell": "pass", "source": "no/such"}, NotFound, "source folder 'no/such' does not exist"),
        ({"cell": "pass", "gpus": "many"}, BadInput, "--gpus 'many'"),
        ({"cell": "pass", "gpus": "999"}, BadInput, "the local compute has"),
        ({"cell": "pass", "cpus": 100000}, BadInput, "the local compute has"),
        ({"cell": "pass", "nodes": 2}, BadInput, "the local compute has 1"),
        ({"cell": "pass", "time": "soon"}, BadInput, "'soon' is not a time"),
        ({"cell": "pass", "memory": "lots"}, BadInput, "'lots' is not a size"),
        ({"cell": "pass", "procs": 0}, BadInput, "--procs 0"),
        ({"cell": "pass", "env_vars": ("RANK=1",)}, BadInput, "sets this variable itself"),
        ({"cell": "pass", "env_vars": ("a b=1",)}, BadInput, "NAME=VALUE"),
        ({"cell": "pass", "experiment": "///"}, BadInput, "leaves nothing"),
        ({"cell": "pass", "parameters": ("lr",)}, BadInput, "lr"),
        ({"cell": "pass", "tags": ("=x",)}, BadInput, "has no name"),
        ({"cell": "pass", "memory": "0"}, BadInput, "--memory 0 is less than 1"),
        ({"cell": "pass", "name": "x" * 5000}, BadInput, "no name for a run"),
        ({"cell": "pass", "name": "a\nb"}, BadInput, "no name for a run"),
        ({"script": "broken.py"}, BadInput, "broken.py line 2"),
    ],
)
def test_bad_input_is_one_clear_error_and_leaves_nothing(
    home: Path, tmp_path: Path, options: dict[str, object], kind: type[JupyterMLRunError], words: str
) -> None:
    (tmp_path / "train.py").write_text("pass")
    (tmp_path / "broken.py").write_text("x = 1\nif x\n")
    with pytest.raises(kind) as caught:
        submit(Request(cwd=str(tmp_path), **options), settings.load())  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert not runs_in(home)


def test_a_broken_configuration_file_is_named(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.jupyter_mlrun]\nmax_concurent = 3\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="did you mean 'max_concurrent'"):
        settings.load()
    (tmp_path / "pyproject.toml").write_text("[tool.jupyter_mlrun\n")
    with pytest.raises(BadInput, match=r"pyproject\.toml cannot be read"):
        settings.load()


def test_later_settings_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from traitlets.config import Config

    (tmp_path / "pyproject.toml").write_text("[tool.jupyter_mlrun]\nmax_concurrent = 3\nworkspace = 'mine'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTER_MLRUN_MAX_CONCURRENT", "5")
    found = settings.load(Config({"JupyterMLRun": {"max_concurrent": 2, "stop_grace": 7.0}}))
    assert (found.max_concurrent, found.workspace, found.stop_grace) == (5, "mine", 7.0)
    monkeypatch.setenv("JUPYTER_MLRUN_MAX_CONCURRENT", "many")
    with pytest.raises(BadInput, match="the environment: max_concurrent = 'many'"):
        settings.load()


@pytest.mark.parametrize("text", ["300MB", "1.5g", "2GiB", "17"])
def test_sizes(text: str) -> None:
    assert settings.parse_size(text) == {"300MB": 300_000_000, "1.5g": 1_500_000_000, "2GiB": 2 << 30, "17": 17}[text]


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("30m", 1800), ("2h", 7200), ("1:30:00", 5400)])
def test_times(text: str, seconds: float) -> None:
    assert settings.parse_time(text) == seconds


def test_a_home_of_a_newer_program_is_left_alone(home: Path) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    marker = home / "format.json"
    marker.write_text('{"format": 99}')
    with pytest.raises(NewerStore, match="upgrade"):
        submit_cell("pass")
    assert marker.read_text() == '{"format": 99}'
    assert sorted(p.name for p in home.iterdir()) == ["format.json"]


@as_root
def test_a_foreign_home_is_refused(home: Path) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    os.chown(home, 65534, 65534)
    with pytest.raises(StoreError, match="belongs to another user"):
        submit_cell("pass")
    os.chown(home, 0, 0)


def test_a_home_open_to_others_is_refused(home: Path) -> None:
    home.mkdir(exist_ok=True)
    home.chmod(0o777)
    with pytest.raises(StoreError, match="chmod 700"):
        submit_cell("pass")


def test_an_unusable_home_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("JUPYTER_MLRUN_HOME", str(blocked / "home"))
    with pytest.raises(StoreError, match="cannot be made"):
        submit_cell("pass")


def test_everything_is_private(home: Path) -> None:
    old = os.umask(0)
    try:
        run = submit_cell("open('outputs/x', 'w').close()")
        finish(run)
    finally:
        os.umask(old)
    # the agent and the worker go on: what goes away while it is looked for is no fault
    looked = ["find", str(home), "-ignore_readdir_race", "-perm", "/077", "-not", "-path", "*/outputs/*"]
    shown = subprocess.run(looked, capture_output=True, text=True, check=True)
    assert shown.stdout == ""


@pytest.mark.parametrize("name", ["Größe", "数字-1", "a b/c", "x" * 255, "é" * 200, "__proto__"])
def test_odd_experiment_names(home: Path, name: str) -> None:
    run = submit_cell("print('ok')", experiment=name)
    assert str(finish(run).status) == "Completed"
    assert run.id.startswith(run.spec.experiment)
    assert Workspace().get_run(run.id) == run


def test_a_long_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_mlrun.agent import client

    home = tmp_path / ("h" * 100) / ("o" * 100)
    monkeypatch.setenv("JUPYTER_MLRUN_HOME", str(home))
    try:
        assert str(finish(submit_cell("print('ok')")).status) == "Completed"
    finally:
        client.stop_agent(home)


def test_a_dry_run_shows_everything_and_writes_nothing(home: Path, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1,2")
    (tmp_path / ".env").write_text("TOKEN=SENTINEL")
    text = dry_run(
        Request(cell="lr = 0.1\nprint(lr)", source=str(tmp_path), parameters=("lr=0.5",), experiment="e"),
        settings.load(),
    )
    assert "data.csv" in text
    assert "lr = 0.5" in text
    assert ".env" in text
    assert "SENTINEL" not in text
    assert not runs_in(home)


def test_script_run_config(home: Path, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import sys, helper\nprint(sys.argv[1:], helper.x)")
    (tmp_path / "helper.py").write_text("x = 42")
    experiment = Experiment(Workspace.from_config(tmp_path), "sdk")
    run = experiment.submit(ScriptRunConfig(str(tmp_path), "train.py", ["--lr", 0.1]), tags={"stage": "test"})
    finish(run)
    assert log_of(run).endswith("Script type = None\n['--lr', '0.1'] 42\n")
    assert [r.id for r in experiment.get_runs(tags={"stage": "test"})] == [run.id]
    details = run.get_details()
    assert details.status == details["status"] == "Completed"
    assert details["runDefinition"]["script"] == "train.py"


def test_a_lone_script_with_parameters_and_arguments(home: Path, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import sys\nprint(sys.argv[1:])")
    request = Request(
        script=str(tmp_path / "train.py"), parameters=("lr=0.1",), arguments=("a b", "$HOME"), experiment="e"
    )
    run = submit(request, settings.load())
    finish(run)
    assert log_of(run) == "['--lr', '0.1', 'a b', '$HOME']\n"


def test_two_submits_of_the_same_are_two_runs_of_one_snapshot(home: Path) -> None:
    first, second = submit_cell("print(1)"), submit_cell("print(1)")
    assert first.id != second.id
    assert first.spec.snapshot == second.spec.snapshot
    finish(first)
    finish(second)


def test_rerun_names_what_is_missing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONLY_THEN", "1")
    run = submit_cell("import os\nprint(os.environ.get('ONLY_THEN'))", parameters=("lr=1",))
    finish(run)
    monkeypatch.delenv("ONLY_THEN")
    again = run.rerun()
    finish(again)
    assert "ONLY_THEN" in capsys.readouterr().err
    assert (log_of(run), log_of(again)) == ("1\n", "None\n")
    assert again.spec.rerun_of == run.id
    assert again.spec.parameters == run.spec.parameters
