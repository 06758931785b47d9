"""Notebooks as runs: what is checked before a run exists, what a run does, and papermill runs outside of one."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_mlrun import Experiment, Workspace
from jupyter_mlrun.engine.journal import Journal
from jupyter_mlrun.engine.main import output_name
from jupyter_mlrun.engine.outputs import COUNT, RICH, TEXT, Room, for_log
from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.package import Package
from jupyter_mlrun.sdk import notebook as checks
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.submit import Request, dry_run
from jupyter_mlrun.settings import load
from jupyter_mlrun.store.cells import progress
from tests.notebooks import execute, executed, notebook, submit_notebook, write
from tests.support import describe, finish, log_of

TAGGED = ("lr = 0.1  # rate\nepochs: int = 3\nname = 'a=b'\nsizes = [\n    1,\n    2,\n]", "parameters")


def packaged(*cells: str | tuple[str, str], given: tuple[str, ...] = (), **metadata: Any) -> Package:
    return checks.package("n.ipynb", json.dumps(notebook(*cells, metadata=metadata)).encode(), parameters=given)


# ---- before the run exists -------------------------------------------------------------------------------------


def test_parameters_are_those_of_the_tagged_cell() -> None:
    made = packaged(TAGGED, "print(lr)", given=("lr=0.01", "name=it's"))
    assert (made.kind, made.script) == ("notebook", "n.ipynb")
    assert {name: one.value for name, one in made.parameters.items()} == {"lr": 0.01, "name": "it's"}
    assert list(made.warnings) == [
        "parameter lr = 0.01 (default 0.1)",
        "parameter name = \"it's\" (default 'a=b')",
        "parameter epochs keeps its default 3",
        "parameter sizes keeps its default [1, 2]",
    ]


def test_an_unknown_parameter_lists_the_known_ones() -> None:
    with pytest.raises(BadInput) as caught:
        packaged(TAGGED, given=("lrr=0.01",))
    assert caught.value.message == (
        "n.ipynb has no parameter 'lrr'; its parameters are: lr = 0.1, epochs = 3, name = 'a=b', sizes = [1, 2]"
    )
    assert caught.value.hint == "did you mean 'lr'?"


def test_without_a_tagged_cell_every_name_goes() -> None:
    made = packaged("print(lr)", "lr = 3", given=("lr=1",))
    assert "no cell is tagged 'parameters': their values are set before the first cell" in made.warnings
    assert "cell 2 sets 'lr' again, so -p lr has no effect after it: tag that cell 'parameters'" in made.warnings


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"print(1)", "n.ipynb is no notebook: Expecting value"),
        (b"\xff\xfe", "n.ipynb is no notebook: 'utf-8' codec"),
        (b"{}", "n.ipynb is no notebook: it has no 'nbformat'"),
        (b"[]", "n.ipynb is no notebook: it has no 'nbformat'"),
        (b'{"nbformat": true, "cells": []}', "n.ipynb is no notebook: it has no 'nbformat'"),
        (b'{"nbformat": 3, "worksheets": []}', "n.ipynb has notebook format 3; format 4 is executed"),
        (b'{"nbformat": 5, "cells": []}', "n.ipynb has notebook format 5; format 4 is executed"),
        (b'{"nbformat": 4}', "n.ipynb is no notebook: its cells or its metadata are missing"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code"}]}', "n.ipynb: cell 1 is no cell of a notebook"),
        (b'{"nbformat": 4, "cells": [7]}', "n.ipynb: cell 1 is no cell of a notebook"),
        (b"[" * 100_000, "n.ipynb is no notebook: "),
    ],
)
def test_what_is_no_notebook_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        checks.package("n.ipynb", content)
    assert caught.value.message.startswith(words)
    assert caught.value.hint


def test_code_that_python_cannot_read_is_refused_with_its_cell() -> None:
    with pytest.raises(BadInput, match=r"n\.ipynb: cell 2 line 2: "):
        packaged("%matplotlib inline\n!ls\nawait x", "y = 1\ndef f(:")
    # what an extension may make of it nobody knows before
    packaged("%load_ext thing", "def f(:")
    packaged(("def f(:", "raises-exception"), "%%bash\nfi fi", "?print")


def test_kernels_of_other_languages_must_be_there() -> None:
    kernel = {"name": "ir", "language": "R", "display_name": "R"}
    with pytest.raises(BadInput) as caught:
        packaged("x <- 1", kernelspec=kernel)
    assert caught.value.message == "n.ipynb needs kernel 'ir' (R), which is not installed here"
    assert "python3" in str(caught.value.hint)
    other = packaged("x = 1", kernelspec={"name": "conda-env-x-py", "language": "python"})
    assert other.warnings == ("kernel 'conda-env-x-py' of the notebook is not used: the run's own Python is",)


def test_arguments_and_use_are_refused() -> None:
    content = json.dumps(notebook("1")).encode()
    with pytest.raises(BadInput, match="takes no arguments"):
        checks.package("n.ipynb", content, arguments=("--lr", "1"))
    with pytest.raises(BadInput, match="--use is for cells"):
        checks.package("n.ipynb", content, use=("x",))


def test_an_interpreter_without_papermill_is_refused(tmp_path: Path) -> None:
    checks.check_interpreter({"python": sys.executable})
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys._base_executable}" -I -S "$@"\n')  # type: ignore[attr-defined]
    bare.chmod(0o755)
    with pytest.raises(BadInput, match="a notebook needs papermill and nbclient and ipykernel in the run's Python"):
        checks.check_interpreter({"python": str(bare)})


def test_dry_run_shows_parameters_and_makes_nothing(tmp_path: Path, home: Path) -> None:
    path = write(tmp_path / "in.ipynb", TAGGED, "print(lr)")
    text = dry_run(Request(script=str(path), parameters=("lr=0.5",)), load())
    assert "note: parameter lr = 0.5 (default 0.1)" in text
    assert "-m papermill in.ipynb" in text
    assert not home.exists()


# ---- runs ------------------------------------------------------------------------------------------------------


def test_a_notebook_with_its_folder_and_hostile_parameters(tmp_path: Path) -> None:
    folder = tmp_path / "src"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "helper.py").write_text("WORD = 'helped'\n")
    write(
        folder / "deep" / "in.ipynb",
        "# ## Title",
        ("text = ''\nplace = ()\nraw = b''", "parameters"),
        "import json, helper\nfrom jupyter_mlrun import Run, log\nlog('loss', 0.5)\n"
        "print(json.dumps([text, repr(place), repr(raw), helper.WORD, Run.get_context().id]))",
        "import os\nos.system('echo by descriptor')\nopen('outputs/kept.txt', 'w').write('x')\n6 * 7",
    )
    evil = "it's \"quoted\"\n'); import os; os._exit(9) #\\ {x} \u2028"
    run = submit_notebook(
        folder / "deep" / "in.ipynb", f"text={evil}", "place=(1, 'a')", "raw=b'\\x00'", source=str(folder)
    )
    state = finish(run)
    assert str(state.status) == "Completed", describe(run) + log_of(run)
    log = log_of(run)
    told = json.loads(next(line for line in log.splitlines() if line.startswith("[")))
    assert told == [evil, "(1, 'a')", "b'\\x00'", "helped", run.id]
    assert "In [3] (cell 3 of 4)\n[" in log
    assert log.count("by descriptor") == 1
    assert "Out[4]: 42\n" in log
    assert run.get_metrics() == {"loss": 0.5}
    assert run.spec.parameters["text"] == {"text": evil, "value": evil}
    assert run.cells == {"done": 4, "total": 4, "current": None, "failed": None}
    assert (run.spec.kind, run.spec.script) == ("notebook", "deep/in.ipynb")
    kept = executed(run)
    assert kept["cells"][2]["metadata"]["tags"] == ["injected-parameters"]
    assert kept["metadata"]["papermill"]["parameters"]["text"] == evil
    assert {"outputs/in.ipynb", "outputs/kept.txt"} <= set(run.get_file_names())


def test_the_command_line_and_the_magic(tmp_path: Path) -> None:
    os.chdir(tmp_path)
    write(tmp_path / "in.ipynb", TAGGED, "print('lr is', lr)\nimport sys; sys.exit(4)")
    program = "from jupyter_mlrun.cli import main; main()"
    command = [sys.executable, "-c", program, "submit", "in.ipynb", "-p", "lr=0.5", "-b"]
    shell = InteractiveShell.instance()
    try:
        shell.run_line_magic("load_ext", "jupyter_mlrun")
        with pytest.raises(BadInput, match="has no parameter 'rate'"):
            shell.run_line_magic("submit", "in.ipynb -p rate=1")
        shell.run_line_magic("submit", "in.ipynb -p lr=0.25 -o mine -q")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 4, done.stdout + done.stderr
        assert "lr is 0.5" in done.stdout
        assert "exit code 4: cell 2 called sys.exit(4)" in done.stdout
        run: Run = shell.user_ns["mine"]
        assert finish(run).exit_code == 4
        assert "lr is 0.25" in log_of(run)
    finally:
        InteractiveShell.clear_instance()


def test_errors_that_a_cell_announces_are_no_failures(tmp_path: Path) -> None:
    done = execute(tmp_path, ("1 / 0", "raises-exception"), "print('on')")
    assert done.journal.failure is None
    assert "ZeroDivisionError" in done.log
    assert done.text(1) == "on\n"


def test_papermill_outside_of_a_run_makes_one(tmp_path: Path) -> None:
    os.chdir(tmp_path)
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python"}}
    source = "from jupyter_mlrun import log\nlog('n', n)\nprint('n', n)"
    write(tmp_path / "my notes.ipynb", ("n = 1", "parameters"), source, metadata=kernel)
    write(tmp_path / "bad.ipynb", "raise ValueError('no')")
    papermill.execute_notebook("my notes.ipynb", "{n}.ipynb", {"n": 5}, engine_name="jupyter_mlrun", progress_bar=False)
    (run,) = Experiment(Workspace(), "my-notes").get_runs()
    assert (str(run.status), run.get_metrics()) == ("Completed", {"n": 5})
    assert run.cells == {"done": 2, "total": 2, "current": None, "failed": None}
    assert "In [3] (cell 2 of 2)\nn 5\n" in log_of(run)
    assert executed(run, "5.ipynb") == nbformat.read(tmp_path / "5.ipynb", as_version=4)
    assert "JUPYTER_MLRUN_RUN_DIR" not in os.environ
    with pytest.raises(papermill.PapermillExecutionError):
        papermill.execute_notebook("bad.ipynb", "out.ipynb", engine_name="jupyter_mlrun", progress_bar=False)
    (failed,) = Experiment(Workspace(), "bad").get_runs()
    assert failed.state.reason is not None
    assert (str(failed.status), failed.state.reason.text) == ("Failed", "cell 1 raised ValueError: no")


def test_papermill_finds_the_engine() -> None:
    (found,) = importlib.metadata.entry_points(group="papermill.engine", name="jupyter_mlrun")
    assert found.load().__name__ == "Engine"


# ---- parts -----------------------------------------------------------------------------------------------------


def test_progress_of_a_file_that_was_cut(tmp_path: Path) -> None:
    assert progress(tmp_path) is None
    (tmp_path / "notebook.jsonl").write_text(
        '{"type":"begin","cells":5}\n{"type":"cell","cell":2}\n{"type":"cell_end","cell":2,"status":"ok"}\n'
        '7\n{"type":"cell","cell":4}\n{"type":"cell_e'
    )
    assert progress(tmp_path) == {"done": 3, "total": 5, "current": 4, "failed": None}


def test_one_run_has_one_record(tmp_path: Path) -> None:
    first, second = Journal(str(tmp_path)), Journal(str(tmp_path))
    first.begin([], "a.ipynb")
    second.begin([], "b.ipynb")
    first.end()
    second.end()
    assert "b.ipynb" not in (tmp_path / "notebook.jsonl").read_text()
    assert [output_name("x/train.ipynb", rank) for rank in (0, 1)] == [
        "outputs/train.ipynb",
        "outputs/train.rank1.ipynb",
    ]


def test_room_for_outputs() -> None:
    room = Room()
    long = {"msg_type": "stream", "content": {"name": "stdout", "text": "x" * (TEXT + 5)}}
    assert room.admit(long)
    assert len(long["content"]["text"]) == TEXT  # type: ignore[index]
    assert not room.admit({"msg_type": "stream", "content": {"name": "stdout", "text": "y"}})
    picture = {"msg_type": "display_data", "content": {"data": {"image/png": "x" * (RICH // 2 + 1)}}}
    assert room.admit(picture)
    assert not room.admit(picture)
    assert room.admit({"msg_type": "error", "content": {"ename": "E", "evalue": ""}})
    assert room.notice()
    assert room.notice() is None
    room.reset()
    assert room.admit(picture)
    small = {"msg_type": "display_data", "content": {"data": {"text/plain": "1"}}}
    assert sum(room.admit(small) for _ in range(COUNT + 5)) == COUNT - 1


def test_the_log_shows_values_and_tracebacks_without_colours() -> None:
    error = {"msg_type": "error", "content": {"ename": "E", "evalue": "", "traceback": ["\x1b[31mred\x1b[0m", "line"]}}
    assert for_log(error, streams=False) == "red\nline\n"
    value = {"msg_type": "execute_result", "content": {"execution_count": 3, "data": {"text/plain": "7"}}}
    assert for_log(value, streams=False) == "Out[3]: 7\n"
    stream = {"msg_type": "stream", "content": {"text": "printed"}}
    assert (for_log(stream, streams=False), for_log(stream, streams=True)) == ("", "printed")
