"""Plain ``azureml``: after the alias, under ``python -m jupyter_mlrun.azureml``, in runs, and in what they start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun import Experiment, ScriptRunConfig, Workspace
from jupyter_mlrun.backends.local import install_worker
from jupyter_mlrun.rundir import make_folder
from tests.support import PATIENCE, finish, log_of

ROOT = Path(__file__).parent.parent
WHICH = "import azureml.core; print('real' if azureml.core.__name__ == 'azureml.core' else 'ours')\n"
SPAWN = """
import multiprocessing
import azureml.core.run

def child(queue):
    queue.put((azureml.core.run.__name__, __name__))

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    print(*queue.get())
    process.join()
"""
CHILD = "import subprocess, sys; subprocess.run([sys.executable, 'which.py'], check=True)\n"


def script(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


def python(*arguments: object, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip


def said(*arguments: object, cwd: Path | None = None, **env: str) -> str:
    done = python(*arguments, cwd=cwd, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def real(tmp_path: Path) -> str:
    """A folder like site-packages that has a real azureml-core."""
    core = tmp_path / "site" / "azureml" / "core"
    core.mkdir(parents=True)
    (core.parent / "__init__.py").write_text("__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n")
    (core / "__init__.py").write_text("VERSION = 'real'\n")
    return str(tmp_path / "site")


@pytest.fixture
def relative(tmp_path: Path) -> str:
    """A folder like site-packages where another distribution shares the name azureml, without azureml.core."""
    folder = tmp_path / "site" / "azureml"
    (folder / "mlflow").mkdir(parents=True)
    (folder / "__init__.py").write_text("__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n")
    (folder / "mlflow" / "__init__.py").write_text("who = 'mlflow'\n")
    return str(tmp_path / "site")


class TestAlias:
    def test_plain_azureml_means_ours(self) -> None:
        code = "import jupyter_mlrun.azureml.alias, azureml.core, jupyter_mlrun; from azureml.core.run import Run; "
        assert said("-c", code + "print(Run is jupyter_mlrun.Run, azureml.core.Run is Run)") == "True True"

    def test_both_names_are_one_module(self) -> None:
        code = (
            "import jupyter_mlrun.azureml.alias, azureml.core.compute as a, jupyter_mlrun.azureml.core.compute as b; "
        )
        assert said("-c", code + "import azureml; print(a is b, azureml.core.compute is a)") == "True True"

    def test_wins_over_an_installed_one(self, real: str) -> None:
        assert said("-c", "import jupyter_mlrun.azureml.alias\n" + WHICH, PYTHONPATH=real) == "ours"

    def test_a_real_one_in_use_stays_and_it_says_how_to_go_on(self, real: str) -> None:
        code = (
            "import azureml.core\n"
            "try:\n    import jupyter_mlrun.azureml.alias\n"
            "except Exception as problem:\n    print(type(problem).__name__, problem)\n"
        )
        text = said("-c", code + WHICH, PYTHONPATH=real)
        assert text.startswith("Conflict")
        assert real in text
        assert "restart the kernel" in text
        assert text.endswith("real")

    def test_what_shares_the_name_stays_reachable(self, relative: str) -> None:
        code = "import jupyter_mlrun.azureml.alias, azureml.core, azureml.mlflow; print(azureml.mlflow.who)"
        assert said("-c", code, PYTHONPATH=relative) == "mlflow"
        assert said("-c", "import azureml.mlflow\n" + code, PYTHONPATH=relative) == "mlflow"

    def test_unknown_names_are_pythons_errors(self) -> None:
        code = "import jupyter_mlrun.azureml.alias\ntry:\n    {}\nexcept Exception as e: print(repr(e))"
        assert said("-c", code.format("import azureml.nonsense")).startswith("ModuleNotFoundError")
        assert "azureml.core.nonsense" in said("-c", code.format("import azureml.core.nonsense"))
        assert said("-c", code.format("from azureml.core import Nonsense")).startswith("ImportError")
        assert said("-c", code.format("import azureml.core; azureml.core.Nonsense")).startswith("AttributeError")


class TestControlScript:
    def run(self, tmp_path: Path, text: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        path = script(tmp_path / "src", "control.py", text)
        return python("-m", "jupyter_mlrun.azureml", path, *arguments, cwd=ROOT, **env)

    def same(self, tmp_path: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The end of the script under us, once it is seen to be what Python alone makes of it."""
        ours = self.run(tmp_path, text, *arguments)
        plain = python(tmp_path / "src" / "control.py", *arguments, cwd=ROOT)
        assert (ours.stdout, ours.stderr, ours.returncode) == (plain.stdout, plain.stderr, plain.returncode)
        return ours

    def test_azureml_is_ours(self, tmp_path: Path, real: str) -> None:
        assert self.run(tmp_path, WHICH).stdout == "ours\n"
        assert self.run(tmp_path, WHICH, PYTHONPATH=real).stdout == "ours\n"

    def test_arguments_main_and_path(self, tmp_path: Path) -> None:
        text = "import sys, __main__\nprint(sys.argv, __name__, __file__, sys.path[0], __main__.sys is sys, __spec__)"
        assert "'-x', '--help'" in self.same(tmp_path, text, "-x", "--help").stdout

    def test_local_modules_are_found(self, tmp_path: Path) -> None:
        script(tmp_path / "src", "helper.py", "x = 7\n")
        assert self.same(tmp_path, "import helper\nprint(helper.x)").stdout == "7\n"

    @pytest.mark.parametrize(
        "text",
        [
            "def f():\n    raise ValueError('why')\nf()\n",
            "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('x') from e\n",
            "print(1\n",
            "import sys\nsys.exit(7)\n",
            "raise SystemExit('some words')\n",
            "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\nraise ValueError\n",
            "import atexit\natexit.register(print, 'bye')\nraise OSError(2, 'no')\n",
            "import pickle\nclass A: x = 1\nprint(pickle.loads(pickle.dumps(A())).x)\n",
        ],
    )
    def test_ends_as_python_alone(self, tmp_path: Path, text: str) -> None:
        self.same(tmp_path, text)

    def test_interrupt_ends_as_python_alone(self, tmp_path: Path) -> None:
        done = self.same(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\ninput()\n")
        assert done.returncode == -signal.SIGINT

    def test_no_script(self, tmp_path: Path) -> None:
        ours = python("-m", "jupyter_mlrun.azureml", "missing.py", cwd=tmp_path)
        plain = python("missing.py", cwd=tmp_path)
        assert (ours.stderr, ours.returncode) == (plain.stderr, plain.returncode)
        done = python("-m", "jupyter_mlrun.azureml", cwd=tmp_path)
        assert done.returncode == 2
        assert "SCRIPT.py" in done.stderr

    @pytest.mark.parametrize("path", ["", "real"])
    def test_spawned_children(self, tmp_path: Path, real: str, path: str) -> None:
        done = self.run(tmp_path, SPAWN, PYTHONPATH=real if path else "")
        assert done.stdout == "jupyter_mlrun.azureml.core.run __mp_main__\n", done.stderr

    def test_started_children(self, tmp_path: Path, real: str) -> None:
        script(tmp_path / "src", "which.py", WHICH)
        text = CHILD.replace("'which.py'", repr(str(tmp_path / "src" / "which.py")))
        assert self.run(tmp_path, text, PYTHONPATH=real).stdout == "ours\n"


CONTROL = """
from azureml.core import Experiment, ScriptRunConfig, Workspace
from azureml.exceptions import ActivityFailedException

ws = Workspace.from_config()
config = ScriptRunConfig(source_directory='train', script='train.py', arguments=['--lr', 0.1])
run = Experiment(workspace=ws, name='control').submit(config)
run.wait_for_completion(show_output=True)
print(run.get_status(), run.get_metrics())
config.arguments = ['--fail']
try:
    Experiment(ws, 'control').submit(config).wait_for_completion()
except ActivityFailedException as problem:
    print('caught', 'no such thing' in str(problem))
"""
TRAIN = """
import sys
from azureml.core.run import Run
print(sys.argv[1:])
if '--fail' in sys.argv:
    raise LookupError('no such thing')
Run.get_context().log('loss', float(sys.argv[2]))
"""


def test_a_control_script_from_its_first_line_to_its_last(tmp_path: Path) -> None:
    script(tmp_path / "train", "train.py", TRAIN)
    script(tmp_path, "control.py", CONTROL)
    text = said("-m", "jupyter_mlrun.azureml", "control.py", cwd=tmp_path)
    assert "['--lr', '0.1']" in text
    assert "Completed {'loss': 0.1}" in text
    assert text.endswith("caught True")


class TestInRuns:
    def run(self, tmp_path: Path, text: str, **more: Any) -> list[str]:
        src = tmp_path / "src"
        script(src, "train.py", text)
        script(src, "which.py", WHICH)
        config = ScriptRunConfig(str(src), "train.py", **more)
        run = Experiment(Workspace(), "alias").submit(config)
        state = finish(run)
        assert str(state.status) == "Completed", log_of(run)
        return log_of(run).splitlines()

    def test_a_training_script_as_it_is(self, tmp_path: Path) -> None:
        text = "from azureml.core import Run\nrun = Run.get_context()\nrun.log('loss', 1.5)\nprint('id', run.id)\n"
        assert [line for line in self.run(tmp_path, text) if line.startswith("id alias_")]

    def test_children(self, tmp_path: Path) -> None:
        assert "jupyter_mlrun.azureml.core.run __mp_main__" in self.run(tmp_path, SPAWN)
        assert "ours" in self.run(tmp_path, CHILD)

    def test_a_real_one_wins(self, tmp_path: Path, real: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", real)
        lines = self.run(tmp_path, WHICH + CHILD)
        assert lines.count("real") == 2
        assert "ours" not in lines

    def test_beside_what_shares_the_name(self, tmp_path: Path, relative: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", relative)
        lines = self.run(tmp_path, WHICH + "import azureml.mlflow\nprint(azureml.mlflow.who)\n")
        assert "ours" in lines
        assert "mlflow" in lines

    def test_a_forced_submitter_forces_no_run(self, tmp_path: Path, real: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", real)
        monkeypatch.setenv("AZUREML_IS_JUPYTER_MLRUN", "outside")
        assert "real" in self.run(tmp_path, WHICH)


def bootstrapped(tmp_path: Path, text: str, interpreter: str = sys.executable) -> str:
    """What a rank prints on a machine that has Python and nothing else; -S hides what is installed here."""
    place = install_worker(tmp_path / "far")
    run_dir = tmp_path / "run"
    make_folder(run_dir)
    (run_dir / "spec.json").write_text('{"run_id": "x_1_2", "experiment": "x", "workspace": "default"}')
    train = script(tmp_path / "src", "train.py", text)
    script(tmp_path / "src", "which.py", WHICH)
    done = subprocess.run(
        [interpreter, "-S", place / "jupyter_mlrun/worker/bootstrap.py", "0", train],
        cwd=train.parent, capture_output=True, text=True, check=False, timeout=PATIENCE,
        env={"PATH": os.environ["PATH"], "JUPYTER_MLRUN_RUN_DIR": str(run_dir), "JUPYTER_MLRUN_RUN_ID": "x_1_2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


FAR = """
import sys
from azureml.core import Run, Dataset
from azureml.core.run import Run as same
run = Run.get_context()
run.log("loss", 0.5)
print(Run is same, run.id, Run.__module__)
try:
    Dataset.get_by_name(None, "x")
except ImportError as problem:
    print(problem)
try:
    from azureml.core.webservice import AciWebservice
    AciWebservice.deploy_configuration()
except NotImplementedError as problem:
    print(problem)
from azureml.core.compute_target import ComputeTargetException
print(*{name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names))
"""


def test_the_far_side_needs_only_python(tmp_path: Path) -> None:
    lines = bootstrapped(tmp_path, FAR).splitlines()
    assert lines[0] == "True x_1_2 jupyter_mlrun.worker.context"
    assert "needs the whole package here: pip install jupyter-mlrun" in lines[1]
    assert "Model.download()" in lines[2]
    assert set(lines[3].split()) <= {"__main__", "_jupyter_mlrun_main", "azureml", "jupyter_mlrun"}


def test_children_of_the_far_side(tmp_path: Path) -> None:
    child = CHILD.replace("[sys.executable,", "[sys.executable, '-S',")
    assert bootstrapped(tmp_path, child) == "ours\n"


def test_pythons_in_a_command_find_azureml(home: Path, tmp_path: Path) -> None:
    code = "from azureml.core import Run; Run.get_context().log('a', 1)"
    config = ScriptRunConfig(str(tmp_path), command=[sys.executable, "-c", code])
    run = Experiment(Workspace("default", home=home), "command").submit(config)
    assert str(finish(run).status) == "Completed", log_of(run)
    assert run.get_metrics() == {"a": 1}
