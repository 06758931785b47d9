"""How notebook runs end: the right state, in words that name the cell, and no output lost (F121, F122)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import papermill
import psutil
import pytest

from jupyter_mlrun import Experiment, Workspace
from jupyter_mlrun.engine.saving import write_whole
from jupyter_mlrun.errors import BadInput, StoreError
from jupyter_mlrun.store.cells import progress
from jupyter_mlrun.ui.view import as_text
from tests.notebooks import execute, executed, submit_notebook, write
from tests.support import PATIENCE, describe, ended, finish, log_of, until


@pytest.mark.parametrize(
    ("cell", "words", "code", "failed"),
    [
        ("raise ValueError('no data\\nat all')", "cell 3 raised ValueError: no data", 1, 3),
        ("import sys; sys.exit(3)", "cell 3 called sys.exit(3)", 3, 3),
        ("import sys; sys.exit('no data')", "cell 3 called sys.exit(no data)", 1, 3),
        ("import sys; sys.exit(0)", None, 0, None),
        ("raise SystemExit", None, 0, None),
        ("exit()", None, 0, None),
        ("input('name? ')", "cell 3 asked for input, and nobody is there to answer: use a parameter instead", 1, 3),
        ("import os; os.kill(os.getpid(), 9)", "the kernel died in cell 3 (SIGKILL)", 1, 3),
        ("import os; os.kill(os.getpid(), 11)", "the kernel died in cell 3 (SIGSEGV)", 1, 3),
        ("import os; os._exit(0)", "the kernel died in cell 3 (exit code 0)", 1, 3),
    ],
)
def test_ends_in_words(tmp_path: Path, cell: str, words: str | None, code: int, failed: int | None) -> None:
    done = execute(tmp_path, "# ## text", "print('before')", f"print('kept', flush=True)\n{cell}", "print('after')")
    assert (done.journal.failure, done.journal.exit_code) == (words, code)
    assert "after\n" not in done.log
    # what was printed before the end is in the notebook and in the log, however the kernel ended
    assert done.text(1) == "before\n"
    assert done.log.count("kept\n") == 1
    assert done.text(2).startswith("kept\n") or "died" in (words or "")
    assert [one["metadata"]["papermill"]["status"] for one in done.cells][3] == "pending"
    found = progress(tmp_path)
    assert found is not None
    assert (found["total"], found["current"], found["failed"]) == (4, None, failed)
    assert done.events[-1]["status"] == ("completed" if words is None else "failed")


def test_a_flood_is_bounded_in_the_notebook_and_whole_in_the_log(tmp_path: Path) -> None:
    mine = psutil.Process()
    before = mine.memory_info().rss
    done = execute(tmp_path, "for i in range(300):\n    print('x' * (1 << 18))\nprint('the end')", "print('next')")
    assert done.journal.failure is None
    assert (tmp_path / "log.txt").stat().st_size > 300 << 18
    assert done.log.count("x" * (1 << 18) + "\n") == 300
    text = done.text(0)
    assert len(text) < 1 << 20
    assert text.startswith("xxxx")
    assert text.endswith("the end\n")
    assert "characters are not kept here; the run's log has them" in text
    assert done.text(1) == "next\n"
    done.log = ""  # the test's own copy of all
    assert mine.memory_info().rss - before < 50 << 20, "of 75 MiB that were printed"


def test_no_message_is_lost_in_a_flood_of_outputs(tmp_path: Path) -> None:
    cell = "from IPython.display import display\nfor i in range(1000):\n    display(i)\nprint('the end')"
    done = execute(tmp_path, cell, "41 + 1")
    assert done.journal.failure is None
    # what a cell prints is written by the kernel at once, what it displays by who reads its messages: lines may meet
    shown = re.findall(r"\d+", done.log[done.log.index("\n") : done.log.index("In [2]")])
    assert shown == [str(number) for number in range(1000)]
    kept = ["".join(one["data"]["text/plain"]) for one in done.cells[0]["outputs"] if "data" in one]
    assert kept == shown
    assert len(done.cells[0]["outputs"]) == 1001
    assert done.text(0) == "the end\n"
    assert done.cells[1]["outputs"][0]["data"]["text/plain"] == "42"


def test_a_kernel_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "ipykernel.py").write_text("raise ImportError('broken on purpose')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    done = execute(tmp_path, "print(1)")
    assert done.journal.failure == "the kernel did not start: exit code 1"
    assert "broken on purpose" in done.log
    assert done.events[-1]["status"] == "failed"


def test_a_kernel_that_is_killed_from_outside_in_a_run(tmp_path: Path) -> None:
    path = write(
        tmp_path / "in.ipynb",
        "print('one')",
        "import os\nprint('two')\nopen('outputs/pid', 'w').write(str(os.getpid()))\n"
        "import time\nwhile True: time.sleep(60)",
    )
    run = submit_notebook(path)
    place = run.directory.outputs / "pid"
    until(lambda: place.exists() and place.read_text(), "the kernel's pid")
    assert run.cells == {"done": 1, "total": 2, "current": 2, "failed": None}
    assert "cell 2 of 2" in as_text(run.directory)
    os.kill(int(place.read_text()), signal.SIGKILL)
    state = finish(run)
    assert state.reason is not None
    assert (str(state.status), state.exit_code) == ("Failed", 1)
    assert state.reason.text == "exit code 1: the kernel died in cell 2 (SIGKILL)"
    assert "two\n" in log_of(run)
    cells = executed(run)["cells"]
    assert [cell["metadata"].get("papermill", {}).get("status") for cell in cells] == ["completed", "failed"]
    assert run.cells == {"done": 1, "total": 2, "current": None, "failed": 2}


@pytest.mark.parametrize("how", ["stop", pytest.param("limit", marks=pytest.mark.slow)])
def test_a_notebook_that_is_stopped_is_saved(tmp_path: Path, how: str) -> None:
    path = write(
        tmp_path / "in.ipynb",
        "print('one')",
        "print('two')\nopen('outputs/ready', 'w').write('x')\nwhile True: pass",
    )
    # nobody waits so long: it ends when the notebook is saved
    run = submit_notebook(path, time=30 if how == "limit" else None, stop_grace=PATIENCE)
    if how == "stop":
        until((run.directory.outputs / "ready").exists, "the cell")
        run.cancel()
    state = finish(run)
    assert str(state.status) == ("Canceled" if how == "stop" else "Failed"), describe(run)
    cells = executed(run)["cells"]
    assert cells[0]["outputs"][0]["text"] == "one\n"
    assert cells[1]["metadata"]["papermill"]["status"] == "failed"
    assert "two\n" in log_of(run)
    kept = json.loads((run.path / "notebook.jsonl").read_text().splitlines()[-1])
    assert (kept["type"], kept["status"]) == ("end", "stopped")


def test_a_kernel_that_ignores_sigterm_is_saved_and_ended(tmp_path: Path) -> None:
    path = write(
        tmp_path / "in.ipynb",
        "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf')\n"
        "open('outputs/pid', 'w').write(str(os.getpid()))\nwhile True: pass",
    )
    run = submit_notebook(path, stop_grace=5.0)
    place = run.directory.outputs / "pid"
    until(lambda: place.exists() and place.read_text(), "the kernel's pid")
    run.cancel()
    kernel = int(place.read_text())
    assert str(finish(run).status) == "Canceled"
    assert ended(kernel)
    assert executed(run)["cells"][0]["outputs"][0]["text"] == "deaf\n"


@pytest.mark.slow
def test_papermill_outside_of_a_run_obeys_sigterm(tmp_path: Path) -> None:
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    source = "import os\nprint('one')\nopen('pid', 'w').write(str(os.getpid()))\nwhile True: pass"
    write(tmp_path / "in.ipynb", source)
    program = (
        "import papermill; papermill.execute_notebook('in.ipynb', 'out.ipynb', engine_name='jupyter_mlrun', "
        "progress_bar=False)"
    )
    child = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the kernel's pid")
    child.terminate()
    assert child.wait() == -signal.SIGTERM
    assert ended(int((tmp_path / "pid").read_text()))
    saved = json.loads((tmp_path / "out.ipynb").read_text())
    assert saved["cells"][0]["metadata"]["papermill"]["status"] == "failed"
    (run,) = Experiment(Workspace(), "in").get_runs()
    assert run.state.reason is not None
    assert (str(run.status), run.state.reason.text) == ("Failed", "stopped by SIGTERM")
    assert "one\n" in log_of(run)


def test_what_other_programs_print_belongs_to_its_cell_and_nobody_waits_for_input(tmp_path: Path) -> None:
    cells = [
        "!cat; echo by shell",
        "import os\nos.system('cat; echo by system')\nprint('own')",
        "%%bash\nread x; echo by bash",
    ]
    done = execute(tmp_path, *cells, "!exit 3\nprint('code', _exit_code)")
    assert done.journal.failure is None
    assert done.text(0) == "by shell\n"
    assert done.text(1) == "by system\nown\n"
    assert done.text(2) == "by bash\n"
    assert done.text(3) == "code 3\n"
    for line in ("by shell", "by system", "own", "by bash"):
        assert done.log.splitlines().count(line) == 1


def test_what_a_cell_and_its_libraries_print_keeps_its_order(tmp_path: Path) -> None:
    cells = [
        "import os\nfor i in range(500):\n    os.write(1, b'below %d\\n' % i)\n    print('above', i)",
        "if not os.fork():\n    print('of a child', flush=True)\n    os._exit(0)\nos.wait()\nprint('of its parent')",
        "os.close(1)\nprint('still here')",
    ]
    done = execute(tmp_path, *cells)
    assert done.journal.failure is None
    lines = [f"{where} {i}" for i in range(500) for where in ("below", "above")]
    assert done.text(0).splitlines() == lines
    assert [line for line in done.log.splitlines() if line.startswith(("below", "above"))] == lines
    assert {"of a child", "of its parent", "still here"} <= set(done.log.splitlines())


def test_two_runs_of_one_notebook_keep_their_own(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ipynb", ("n = 0", "parameters"), "print('n is', n)")
    first, second = submit_notebook(path, "n=1"), submit_notebook(path, "n=2")
    for run, number in ((first, 1), (second, 2)):
        assert str(finish(run).status) == "Completed", describe(run)
        assert executed(run)["cells"][2]["outputs"][0]["text"] == f"n is {number}\n"
    assert not (tmp_path / "out.ipynb").exists()
    again = finish(third := second.rerun({"n": 3}))
    assert str(again.status) == "Completed", describe(third)
    assert executed(third)["cells"][2]["outputs"][0]["text"] == "n is 3\n"
    with pytest.raises(BadInput, match="had no parameter 'm'"):
        second.rerun({"m": 3})


def test_an_output_folder_that_cannot_be_written_is_told_before_any_cell(tmp_path: Path) -> None:
    source = write(tmp_path / "in.ipynb", "open('ran', 'w')")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot save the notebook .*file/out\.ipynb"):
        papermill.execute_notebook(
            str(source), str(tmp_path / "file/out.ipynb"), engine_name="jupyter_mlrun", progress_bar=False
        )
    assert not (tmp_path / "ran").exists()


def test_a_notebook_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "real.ipynb"
    target.write_text("old")
    (tmp_path / "link.ipynb").symlink_to(target)
    write_whole(str(tmp_path / "link.ipynb"), "new")
    assert target.read_text() == "new"
    assert (tmp_path / "link.ipynb").is_symlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(str(target), "newer")
    assert target.read_text() == "new"
    assert sorted(one.name for one in tmp_path.iterdir() if "new" in one.name) == []
