"""The magics in a real IPython shell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.testing.globalipapp import get_ipython as start_ipython

from jupyter_mlrun import live, magics
from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.options import OPTIONS
from jupyter_mlrun.sdk import warming
from jupyter_mlrun.sdk.run import Run
from tests.support import finish, log_of


@pytest.fixture
def shell(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made: Any = start_ipython() or InteractiveShell.instance()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    made.config.pop("JupyterMLRun", None)  # what %config set in the test before
    made.run_line_magic("load_ext", "jupyter_mlrun")
    yield made
    made.run_line_magic("unload_ext", "jupyter_mlrun")
    made.reset(new_session=False)


def cell(shell: Any, text: str) -> Any:
    """Run a cell and give what it raised, or None."""
    return shell.run_cell(text, store_history=True).error_in_exec


def test_a_cell_becomes_a_run(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cell(shell, "%%submit -e first -p lr=0.5 -o mine --tag stage=test\nlr = 0.1\nprint('lr is', lr)") is None
    run = shell.user_ns["_run"]
    assert run == shell.user_ns["mine"]
    assert str(finish(run).status) == "Completed"
    assert log_of(run) == "lr is 0.5\n"
    assert (run.spec.experiment, run.tags) == ("first", {"stage": "test"})
    assert "first → local" in capsys.readouterr().out


def test_names_are_brought_only_when_asked(shell: Any) -> None:
    cell(shell, "factor = 3\ndef scaled(x):\n    return x * factor")
    error = cell(shell, "%%submit\nprint(scaled(2))")
    assert "cell line 1" in str(error)
    assert "--use scaled" in str(error)
    assert cell(shell, "%%submit --use scaled,factor\nprint(scaled(2))") is None
    run = shell.user_ns["_run"]
    finish(run)
    assert log_of(run) == "6\n"


def test_a_script_with_arguments(shell: Any, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import sys\nprint(sys.argv[1:])")
    shell.user_ns["rate"] = 0.25
    assert cell(shell, "%submit train.py -q -p lr=0.1 -- --rate {rate} {{x}} $HOME") is None
    run = shell.user_ns["_run"]
    finish(run)
    assert log_of(run) == "['--lr', '0.1', '--rate', '0.25', '{x}', '$HOME']\n"


def test_the_cells_body_is_never_expanded(shell: Any) -> None:
    assert cell(shell, "%%submit -q\nx = 1\nprint(f'{x} {{}} $HOME')") is None
    run = shell.user_ns["_run"]
    finish(run)
    assert log_of(run) == "1 {} $HOME\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("%%submit --bogus\npass", "--bogus"),
        ("%%submit -p 'lr=1\npass", "close the quotes"),
        ("%%submit -p lr={nope}\nlr = 1", "nope"),
        ("%%submit -o 1x\npass", "no name for a variable"),
        ("%submit", "FILE.py"),
        ("%submit none.py", "none.py"),
    ],
)
def test_wrong_use_is_one_clear_error(shell: Any, text: str, words: str) -> None:
    error = cell(shell, text)
    assert words in str(error)
    assert "Traceback" not in "".join(error._render_traceback_())
    assert "_run" not in shell.user_ns


def test_block_waits_and_quiet_says_the_id_alone(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cell(shell, "%%submit -b -q\nprint('hi')") is None
    run: Run = shell.user_ns["_run"]
    assert run.state.is_over
    assert capsys.readouterr().out.strip() == run.id


def test_an_interrupt_while_the_view_is_made_detaches(
    shell: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(live, "show", interrupted)
    assert cell(shell, "%%submit -b\nprint('hi')") is None
    run: Run = shell.user_ns["_run"]
    assert f"run {run.id} goes on" in capsys.readouterr().out
    assert str(finish(run).status) == "Completed"


def test_dry_run(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cell(shell, "%%submit --dry-run -p lr=0.5\nlr = 0.1") is None
    assert "lr = 0.5" in capsys.readouterr().out
    assert "_run" not in shell.user_ns


def test_help_shows_every_option(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cell(shell, "%%submit --help\npass") is None
    shown = capsys.readouterr().out
    assert all(option.flags[0] in shown for option in OPTIONS if option.only != "cli")


def test_loading_twice_changes_nothing(shell: Any) -> None:
    threads, configurables = set(threading.enumerate()), len(shell.configurables)
    for _ in range(3):
        shell.run_line_magic("reload_ext", "jupyter_mlrun")
        shell.run_line_magic("load_ext", "jupyter_mlrun")
    assert not set(threading.enumerate()) - threads, "those of other tests may end meanwhile"
    assert len(shell.configurables) == configurables


def test_settings_by_config_magic(shell: Any) -> None:
    cell(shell, "%config JupyterMLRun.stop_grace = 3.5")
    assert cell(shell, "%%submit -q\npass") is None
    run = shell.user_ns["_run"]
    finish(run)
    assert run.spec.limits["stop_grace"] == 3.5


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/My Notes.ipynb", "My-Notes"), ("数字.ipynb", "数字"), (None, "notebook"), ("--.ipynb", "notebook")],
)
def test_the_notebooks_name_is_the_experiment(path: str | None, name: str) -> None:
    assert magics.experiment_of(path) == name


@pytest.mark.parametrize("name", ["class", "__builtins__", "a b", "''"])
def test_the_variable_must_be_one_that_a_notebook_can_give(shell: Any, name: str) -> None:
    wrong = cell(shell, f"%%submit -o {name!r}\nprint(1)")
    assert "is no name for a variable" in str(wrong)


def test_names_that_are_known_are_the_users_own(shell: Any, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("pass")
    cell(shell, "folder, _hidden = 'a', 'b'")
    for line in ("%upload_data {zzz}", "%submit train.py -- '{zzz}'", "%mlrun ps {zzz}"):
        error = str(cell(shell, line))
        assert "there is no input or variable 'zzz'" in error, line
        assert "known: _hidden, folder" in error, line
    assert cell(shell, "%submit train.py -q --dry-run -- '{\"lr\": 0.1}' {{zzz}}") is None


def test_a_kernel_is_no_server(shell: Any) -> None:
    wrong = cell(shell, "%mlrun ui --no-browser")
    assert isinstance(wrong, BadInput)
    assert "jupyter mlrun ui" in str(wrong)


def test_what_is_to_be_loaded_ahead_is_asked_for_at_once(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(warming, "begin", lambda config: asked.append(list(config.preload)))
    assert cell(shell, '%config JupyterMLRun.preload = ["yaml"]') is None
    assert asked == [["yaml"]]
    shell.run_line_magic("unload_ext", "jupyter_mlrun")
    monkeypatch.setenv("JUPYTER_MLRUN_PRELOAD", "numpy,yaml")
    shell.run_line_magic("load_ext", "jupyter_mlrun")
    assert asked[1:] == [["numpy", "yaml"]]


def test_a_wrong_setting_does_not_keep_the_extension_from_loading(
    shell: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_line_magic("unload_ext", "jupyter_mlrun")
    monkeypatch.setenv("JUPYTER_MLRUN_MAX_CONCURRENT", "many")
    shell.run_line_magic("load_ext", "jupyter_mlrun")
    assert "max_concurrent" in capsys.readouterr().err
