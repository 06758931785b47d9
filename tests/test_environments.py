"""Environments: used in place where the interpreter has what they ask for, else refused with what is missing."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun import Workspace, settings
from jupyter_mlrun.errors import BadInput, Conflict, NotFound
from jupyter_mlrun.sdk import once
from jupyter_mlrun.sdk.conda import CondaDependencies
from jupyter_mlrun.sdk.environment import chosen, interpreter
from jupyter_mlrun.sdk.environments import Environment, PythonSection, environments
from jupyter_mlrun.sdk.requirements import compare, interpreter_at, this_interpreter
from jupyter_mlrun.sdk.submit import Request, submit
from tests.support import finish, log_of, submit_cell

NUMPY = metadata.version("numpy")
SEED = """\
name: pytorch-env
channels:
    - defaults
    - pytorch
dependencies:
    - python=3.6.2
    - pytorch
    - torchvision
"""


@pytest.fixture(autouse=True)
def say_again() -> None:
    once.forget()


@pytest.fixture
def torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch and torchvision, as far as their metadata goes."""
    for name, version in (("torch", "2.99.0"), ("torchvision", "0.99.0")):
        folder = tmp_path / "site" / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(tmp_path / "site")


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def run_in(env: Environment, cell: str) -> str:
    run = submit(Request(cell=cell, experiment="test", environment=env), settings.load())
    assert str(finish(run).status) == "Completed", log_of(run)
    return log_of(run)


def test_a_satisfied_environment_runs_in_place(home: Path, tmp_path: Path) -> None:
    env = Environment.from_pip_requirements(
        "mine", write(tmp_path, "r.txt", "numpy>=1.24  # any\n\nazureml-defaults\n")
    )
    env.environment_variables = {"GREETING": "hello", "LEVEL": 3}
    log = run_in(env, "import os, sys\nprint(sys.executable, os.environ['GREETING'], os.environ['LEVEL'])")
    assert log.split() == [sys.executable, "hello", "3"]


def test_the_record_says_what_was_asked(home: Path, tmp_path: Path) -> None:
    run = submit_cell("pass", env=write(tmp_path, "requirements.txt", "numpy>=1.24\n"))
    finish(run)
    assert run.spec.environment == {
        "name": "requirements.txt", "python": sys.executable, "version": platform.python_version(),
        "requirements": ["numpy>=1.24"], "conda": ["python"],
    }  # fmt: skip


def test_what_is_missing_is_listed_with_what_is_there(home: Path, tmp_path: Path) -> None:
    path = write(tmp_path, "r.txt", "numpy==1.16.0\nno-such-thing>=3\npackaging\n")
    with pytest.raises(BadInput) as caught:
        Environment.from_pip_requirements("old", path).resolve()
    said = str(caught.value)
    assert f"numpy==1.16.0 (here: {NUMPY})" in said
    assert "no-such-thing>=3 (not installed)" in said
    assert "packaging" not in said
    assert f"{sys.executable} -m pip install numpy==1.16.0 'no-such-thing>=3'" in said
    assert "building environments comes in a later release" in said


def test_a_refused_environment_leaves_no_run(home: Path, tmp_path: Path) -> None:
    env = Environment.from_pip_requirements("old", write(tmp_path, "r.txt", "no-such-thing\n"))
    with pytest.raises(BadInput, match=r"no-such-thing \(not installed\)"):
        run_in(env, "pass")
    assert list(home.glob("*/runs/*/*")) == []


def test_a_conda_file_of_an_older_python_runs_here_with_one_warning(
    home: Path, tmp_path: Path, torch: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "pytorch-env.yml", SEED)
    env = Environment.from_conda_specification(name="pytorch-env", file_path=path)
    assert run_in(env, "print('ran')") == "ran\n"
    assert run_in(env, "print('ran')") == "ran\n"
    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert len(warned) == 1
    assert "asks for python=3.6.2" in warned[0]
    assert f"use Python {platform.python_version()}" in warned[0]


@pytest.mark.parametrize(
    ("package", "lacks", "python"),
    [
        ("python=3.6.2", [], "python=3.6.2"),
        ("python>=3.6,<3.8", [], "python>=3.6,<3.8"),
        ("python>=3.6", [], None),
        (f"python={platform.python_version()}", [], None),
        ("python=2.7", ["python==2.7.*"], None),
        ("python<3", ["python<3"], None),
        ("pytorch>=99", ["torch>=99"], None),
        ("numpy=1.0", ["numpy==1.0.*"], None),
        ("cudatoolkit=10.1", [], None),
        ("mkl", [], None),
        ("py-opencv", ["opencv-python"], None),
    ],
)
def test_conda_packages_are_compared(torch: None, package: str, lacks: list[str], python: str | None) -> None:
    found = compare([package], [], this_interpreter())
    assert ([lack.want for lack in found.lacks], found.python) == (lacks, python)


def test_sklearn_is_scikit_learn() -> None:
    there = replace(this_interpreter(), versions={"scikit-learn": "1.9.1"})
    assert compare([], ["sklearn", "sklearn==0.0"], there).lacks == []
    without = replace(there, versions={})
    assert [lack.want for lack in compare([], ["sklearn"], without).lacks] == ["scikit-learn"]


def test_markers_and_extras_are_read() -> None:
    asked = ["nothing-here; sys_platform == 'win32'", "numpy[extra]>=1", "Packaging"]
    assert compare([], asked, this_interpreter()).lacks == []


def test_a_curated_name_means_this_interpreter_and_says_so_once(
    home: Path, torch: None, capsys: pytest.CaptureFixture[str]
) -> None:
    env = Workspace().environments["AzureML-PyTorch-1.6-CPU"]
    assert run_in(env, "import sys\nprint(sys.executable)").strip() == sys.executable
    Environment.get(workspace=Workspace(), name="AzureML-PyTorch-1.6-CPU").resolve()
    warned = [line for line in capsys.readouterr().err.splitlines() if "AzureML-PyTorch-1.6-CPU" in line]
    assert len(warned) == 1
    assert "runs use this interpreter in place" in warned[0]
    assert "torch 2.99.0, torchvision 0.99.0" in warned[0]


def test_a_curated_name_says_what_is_not_installed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = Environment.get(Workspace(), "azureml-chainer-5")
    assert "not installed: chainer (pip install chainer)" in capsys.readouterr().err
    assert env.resolve()["python"] == sys.executable


def test_unknown_names_are_key_errors_with_candidates(home: Path) -> None:
    workspace = Workspace()
    Environment("pytorch-env").register(workspace)
    with pytest.raises(KeyError) as caught:
        workspace.environments["pytorch-emv"]
    assert "did you mean 'pytorch-env'" in str(caught.value)
    assert "curated names begin with AzureML-" in str(caught.value)
    with pytest.raises(NotFound, match="did you mean 'pytorch-env'"):
        Environment.get(workspace, "pytorch-emv")


def test_versions_count_from_one_and_the_same_is_the_same(home: Path) -> None:
    workspace = Workspace()
    env = Environment("mine")
    assert env.version is None
    assert env.register(workspace).version == "1"
    assert env.register(workspace).version == "1"
    env.python.conda_dependencies.add_pip_package("numpy")
    assert env.register(workspace).version == "2"
    assert Environment.get(workspace, "mine").python.conda_dependencies.pip_packages == ["numpy"]
    assert Environment.get(workspace, "mine", "1").python.conda_dependencies.pip_packages == []
    assert Environment.get(workspace, "mine", label="latest").version == "2"
    assert {name: one.version for name, one in Environment.list(workspace).items()} == {"mine": "2"}
    with pytest.raises(NotFound, match="it has: 1, 2"):
        Environment.get(workspace, "mine", "3")
    with pytest.raises(NotImplementedError, match="give version="):
        Environment.get(workspace, "mine", label="prod")


def test_a_registered_environment_by_name(home: Path) -> None:
    env = Environment("mine")
    env.environment_variables["WORD"] = "kept"
    env.register(Workspace())
    run = submit_cell("import os\nprint(os.environ['WORD'])", env="mine")
    assert str(finish(run).status) == "Completed"
    assert log_of(run) == "kept\n"
    assert (run.spec.environment["name"], run.spec.environment["environment_version"]) == ("mine", "1")


@pytest.mark.parametrize("name", ["AzureML-mine", "Microsoft"])
def test_reserved_names_are_not_registered(home: Path, name: str) -> None:
    with pytest.raises(BadInput, match="clone it first"):
        Environment(name).register(Workspace())
    assert not (home / "default").exists()


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "x\n", None])
def test_bad_names(name: str) -> None:
    with pytest.raises(BadInput, match="no name for"):
        Environment(name)


def test_a_clone_is_another_one(home: Path) -> None:
    env = Environment.get(Workspace(), "AzureML-PyTorch-1.6-GPU")
    made = env.clone(new_name="pytorch-1.6-gpu")
    made.python.conda_dependencies.add_pip_package("no-such-thing")
    assert (made.name, made.version) == ("pytorch-1.6-gpu", None)
    assert "no-such-thing" not in env.python.conda_dependencies.pip_packages
    with pytest.raises(BadInput, match=r"no-such-thing \(not installed\)"):
        made.resolve()


def test_folders_hold_an_environment(tmp_path: Path) -> None:
    env = Environment("mine")
    env.python.conda_dependencies = CondaDependencies.create(pip_packages=["numpy"], python_version="3.11")
    env.docker.base_dockerfile = "FROM scratch\n"
    env.environment_variables = {"A": "b"}
    env.save_to_directory(tmp_path / "env")
    assert sorted(p.name for p in (tmp_path / "env").iterdir()) == [
        "BaseDockerfile", "azureml_environment.json", "conda_dependencies.yml",
    ]  # fmt: skip
    found = Environment.load_from_directory(tmp_path / "env")
    assert (found.name, found.as_dict()) == ("mine", env.as_dict())
    with pytest.raises(Conflict, match="overwrite=True"):
        env.save_to_directory(tmp_path / "env")
    env.save_to_directory(tmp_path / "env", overwrite=True)
    write(tmp_path / "env", "conda_dependencies.yml", "dependencies:\n- numpy\n")
    changed = Environment.load_from_directory(tmp_path / "env")
    assert changed.python.conda_dependencies.conda_packages == ["numpy"]


@pytest.mark.parametrize("text", ["[]", "{", '{"name": "a/b"}', '{"name": "x", "python": {"condaDependencies": 7}}'])
def test_a_folder_with_something_else(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotFound, match=r"azureml_environment\.json does not exist"):
        Environment.load_from_directory(tmp_path)
    write(tmp_path, "azureml_environment.json", text)
    with pytest.raises(BadInput, match=r"no (environment:|name )"):
        Environment.load_from_directory(tmp_path)


def python_in(folder: Path, name: str, code: str = f'exec "{sys.executable}" "$@"') -> str:
    """A program that runs *code*; this Python without it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)
    return str(path)


def test_another_interpreter_is_used_where_it_is_named(home: Path, tmp_path: Path) -> None:
    other = python_in(tmp_path, "other/bin/python", code=f"export OTHER=yes\nexec '{sys.executable}' \"$@\"")
    env = Environment("other")
    env.python.user_managed_dependencies = True
    env.python.interpreter_path = other
    env.python.conda_dependencies.add_pip_package("no-such-thing")  # its user answers for it
    assert run_in(env, "import os\nprint(os.environ['OTHER'])") == "yes\n"


def test_an_interpreter_is_asked_what_it_has(tmp_path: Path) -> None:
    there = interpreter_at(sys.executable)
    assert there.version == platform.python_version()
    assert there.version_of("NumPy") == NUMPY
    asked = ["numpy>=1", "none-such", "x; python_version < '3'"]
    assert [lack.want for lack in compare(["python=3"], asked, there).lacks] == ["none-such"]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("echo broken >&2; exit 1", "does not work: "),
        ("echo no json", "does not work: "),
        ("""echo '{"versions": {}, "marks": {"python_full_version": "3.8.1"}}'""", "is Python 3.8.1"),
    ],
)
def test_interpreters_that_cannot_be_used(tmp_path: Path, code: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        interpreter_at(python_in(tmp_path, "python", code=code))
    assert says in str(caught.value)
    assert "3.9 or newer" in str(caught.value)


def test_an_interpreter_that_is_not_there(home: Path, tmp_path: Path) -> None:
    env = Environment("gone", python=PythonSection(user_managed_dependencies=True, interpreter_path="/no/python"))
    with pytest.raises(NotFound, match="'/no/python' does not exist"):
        env.resolve()


def test_a_conda_environment_that_exists_is_used(tmp_path: Path, home: Path) -> None:
    other = python_in(tmp_path / "conda", "envs/deep/bin/python")
    folder = Path(os.environ["HOME"]) / ".conda"
    folder.mkdir()
    write(folder, "environments.txt", f"{tmp_path}/gone\n{tmp_path}/conda/envs/deep\n")
    env = Environment.from_existing_conda_environment(name="mine", conda_environment_name="deep")
    assert env.resolve()["python"] == other
    with pytest.raises(NotFound, match="did you mean 'deep'"):
        Environment.from_existing_conda_environment("mine", "deeep")


def test_docker_is_recorded_and_said_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    env = Environment("mine")
    env.docker.enabled = True
    env.docker.enabled = True
    env.docker.base_image = "mcr.microsoft.com/azureml/openmpi3.1.2-cuda10.1-cudnn7-ubuntu18.04"
    assert capsys.readouterr().err.count("Docker is not used") == 1
    assert env.as_dict()["docker"]["enabled"] is True
    image = Environment.from_docker_image("img", "repo/image:1", pip_requirements=write(tmp_path, "r.txt", "numpy"))
    assert (image.docker.base_image, image.python.conda_dependencies.pip_packages) == ("repo/image:1", ["numpy"])
    text = Environment.from_dockerfile("df", "FROM x\nRUN y\n")
    assert text.docker.base_dockerfile == "FROM x\nRUN y\n"
    assert Environment.from_dockerfile("df", write(tmp_path, "Dockerfile", "FROM z\n")).docker.base_dockerfile
    with pytest.raises(BadInput, match="not both"):
        Environment.from_docker_image("img", "i", None, "a.yml", "b.txt")


def test_misspelt_settings_are_errors() -> None:
    env = Environment("mine")
    with pytest.raises(AttributeError):
        env.python.user_managed_dependancies = True  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        env.docker.enable = True  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match="no argument 'pyton'"):
        Environment("mine", pyton=1)
    with pytest.raises(BadInput, match="no argument 'x'"):
        PythonSection(x=1)


@pytest.mark.parametrize("name", ["RANK", "AZUREML_RUN_ID", "JUPYTER_MLRUN_HOME", "no name", "é"])
def test_variables_that_a_run_cannot_have(name: str) -> None:
    env = Environment("mine")
    env.environment_variables = {name: "1"}
    with pytest.raises(BadInput, match="environment 'mine'"):
        env.resolve()


def test_what_is_not_here_says_what_to_use() -> None:
    env = Environment("mine")
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: env.build(Workspace()), "pip install"),
        (lambda: env.build_local(Workspace()), "pip install"),
        (lambda: env.get_image_details(Workspace()), "from_conda_specification"),
        (lambda: Environment.from_docker_build_context("x", None), "from_conda_specification"),
        (lambda: Environment.label(Workspace(), "x", "1", []), "give versions"),
        (lambda: Environment.add_private_pip_wheel(Workspace(), "x"), "install the wheel"),
        (lambda: env.spark, "no Spark"),
        (lambda: env.r, "Rscript"),
    ]
    for call, words in calls:
        with pytest.raises(NotImplementedError, match=words):
            call()


def test_what_env_means(home: Path, tmp_path: Path, torch: None) -> None:
    workspace = Workspace()
    assert interpreter(None) == {
        "name": "this interpreter", "python": sys.executable, "version": platform.python_version(),
        "requirements": [], "conda": ["python"],
    }  # fmt: skip
    assert chosen(write(tmp_path, "my env (1).yml", SEED)).name == "my env (1).yml"
    assert chosen("AzureML-Minimal", workspace).resolve()["python"] == sys.executable
    with pytest.raises(BadInput, match=r"only requirements\.txt and conda's \.yml"):
        chosen(write(tmp_path, "uv.lock", ""))
    with pytest.raises(NotFound, match="no environment 'none'"):
        chosen("none", workspace)
    assert environments(workspace) == {}


def test_the_registry_is_plain_json(home: Path) -> None:
    workspace = Workspace()
    Environment("mine").register(workspace)
    path = home / "default/environments/mine/1.json"
    record = json.loads(path.read_text())
    assert record["definition"]["python"]["userManagedDependencies"] is False
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_password_of_an_address_is_shown(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("--extra-index-url https://me:geheim@packages.example/simple\n")
    with pytest.raises(BadInput) as caught:
        Environment.from_pip_requirements("mine", str(tmp_path / "requirements.txt"))
    assert "packages.example" in str(caught.value)
    assert "geheim" not in str(caught.value)
