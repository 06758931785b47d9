"""The names of azureml: every one of the reference is here, lazily, or says what to use instead."""

from __future__ import annotations

import ast
import importlib
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import jupyter_mlrun
import jupyter_mlrun.azureml
from jupyter_mlrun import errors
from jupyter_mlrun.azureml import _finder, _names
from jupyter_mlrun.backends import local
from tests.azureml_table import read_signatures, refusal, thing
from tests.test_far_side import vermin

ROOT = Path(__file__).parent.parent
NOBODY = "exp_1700000000_00000000"
ABSENT = sorted(
    {
        (module, name): place
        for module, names in _names.MODULES.items()
        for name, place in names.items()
        if isinstance(place, _names.Absent)
    }
)


def module(name: str) -> Any:
    return importlib.import_module(f"jupyter_mlrun.azureml.{name}")


def loaded_by(code: str) -> set[str]:
    # -S: site's own .pth files may import anything, and are not ours
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    return set(said.stdout.split())


def test_every_module_of_the_table_imports() -> None:
    for name in _names.MODULES:
        assert module(name).__name__ == f"jupyter_mlrun.azureml.{name}"


def test_every_parent_is_in_the_table() -> None:
    parents = {name.rpartition(".")[0] for name in _names.MODULES} - {""}
    assert parents <= set(_names.MODULES)


def test_every_name_of_the_reference_is_in_the_table() -> None:
    found = read_signatures()
    named = [
        *((kind.module, kind.name) for kind in found.classes),
        *((one.module, one.name) for one in found.functions),
        *found.constants,
    ]
    assert len(named) > 150
    missing = [pair for pair in named if pair[1] not in _names.MODULES.get(pair[0], {})]
    assert not missing


def test_the_front_of_the_house_is_the_same_thing() -> None:
    core = module("core")
    for name in ("Run", "Workspace", "Experiment", "ScriptRunConfig"):
        assert getattr(core, name) is getattr(jupyter_mlrun, name)
    assert core.VERSION == core.__version__ == jupyter_mlrun.__version__


def test_importing_a_module_loads_nothing_but_the_table() -> None:
    before = loaded_by("import jupyter_mlrun")
    new = loaded_by("import jupyter_mlrun.azureml.core, jupyter_mlrun.azureml.core.compute") - before
    ours = {name for name in new if name.startswith("jupyter_mlrun.")}
    assert {name for name in ours if not name.startswith("jupyter_mlrun.azureml")} == set()
    heavy = {"typing", "pathlib", "json", "logging", "inspect", "asyncio", "numpy", "warnings.deprecated"}
    assert not (new - ours) & heavy


def test_run_is_as_light_as_it_is_by_its_own_name() -> None:
    plain = loaded_by("from jupyter_mlrun import Run")
    named = loaded_by("from jupyter_mlrun.azureml.core import Run")
    extra = {name for name in named - plain if not name.startswith("jupyter_mlrun.azureml")}
    assert extra == {"importlib.machinery"} & extra


@pytest.mark.parametrize(("where", "name"), ABSENT)
def test_what_is_not_here_can_be_imported_and_says_what_to_use(where: str, name: str) -> None:
    found = getattr(module(where), name)
    assert isinstance(found, type)
    assert not isinstance(3, found)
    with pytest.raises(NotImplementedError, match=rf"\.{name} .*: \S+") as caught:
        found("x", y=1)
    assert str(caught.value) == refusal(found)
    with pytest.raises(NotImplementedError):
        getattr(found, name.lower().strip("_"))


def test_what_is_not_here_can_be_a_base_and_looked_at() -> None:
    base = module("pipeline.steps").PythonScriptStep
    assert "PythonScriptStep" in repr(base)
    assert pickle.loads(pickle.dumps(base)) is base
    with pytest.raises(NotImplementedError):
        type("Mine", (base,), {})()


def test_a_name_is_the_same_in_all_of_its_modules() -> None:
    assert module("train.estimator").Mpi is module("train.dnn").Mpi
    assert module("train.hyperdrive").HyperDriveException is module("exceptions").HyperDriveException


def test_names_that_nobody_has() -> None:
    with pytest.raises(ModuleNotFoundError):
        module("core.nonsense")
    with pytest.raises(ModuleNotFoundError):
        module("core.run.nonsense")
    with pytest.raises(AttributeError, match=r"azureml\.core.*nonsense"):
        module("core").nonsense  # noqa: B018 -- the access is the test
    with pytest.raises(AttributeError):
        jupyter_mlrun.azureml.nonsense  # noqa: B018 -- the access is the test


def test_names_can_be_listed() -> None:
    assert {"core", "train", "widgets"} <= set(dir(jupyter_mlrun.azureml))
    assert {"Run", "compute"} <= set(dir(module("core")))
    assert "_OfflineRun" not in module("core.run").__all__


def test_all_of_a_module_at_once() -> None:
    names: dict[str, Any] = {}
    exec("from jupyter_mlrun.azureml.core.conda_dependencies import *", names)
    assert {"CondaDependencies", "CPU"} <= set(names)


class TestExceptions:
    @pytest.mark.parametrize(
        ("name", "raised"),
        [
            ("UserErrorException", errors.BadInput),
            ("UserErrorException", errors.NotFound),
            ("UserErrorException", errors.Conflict),
            ("WorkspaceException", errors.NotFound),
            ("ProjectSystemException", errors.NotFound),
            ("ModelNotFoundException", errors.NotFound),
            ("ModelPathNotFoundException", errors.NotFound),
            ("WebserviceException", errors.Conflict),
            ("ActivityFailedException", errors.RunFailed),
            ("ExperimentExecutionException", errors.BadInput),
            ("ExperimentExecutionException", errors.SnapshotError),
            ("RunEnvironmentException", errors.RunEnvironmentError),
            ("SnapshotException", errors.SnapshotError),
            ("RunConfigurationException", errors.BadInput),
        ],
    )
    def test_old_handlers_catch_what_we_raise(self, name: str, raised: type[errors.JupyterMLRunError]) -> None:
        kind = getattr(module("exceptions"), name)
        with pytest.raises(kind):
            raise raised("words")
        assert issubclass(kind, errors.JupyterMLRunError)

    def test_from_each_of_its_modules(self) -> None:
        there = {module(name).ComputeTargetException for name in ("exceptions", "core.compute_target", "core.compute")}
        assert [issubclass(kind, errors.NotFound) for kind in there] == [True]

    def test_a_compute_that_is_not_there(self, home: Path) -> None:
        core = module("core")
        with pytest.raises(module("core.compute_target").ComputeTargetException):
            module("core.compute").ComputeTarget(core.Workspace(), "gpu-cluster")

    def test_what_nothing_raises_can_be_named(self) -> None:
        kind = module("core.authentication").AuthenticationException
        with pytest.raises(errors.JupyterMLRunError, match="mine"):
            raise kind("mine")

    def test_a_run_that_is_not_there(self, home: Path) -> None:
        core, exceptions = module("core"), module("exceptions")
        with pytest.raises(exceptions.UserErrorException):
            core.Workspace().get_run(NOBODY)
        with pytest.raises(exceptions.RunEnvironmentException):
            core.Run.get_context(allow_offline=False)


class TestParts:
    @pytest.mark.parametrize("name", ["InteractiveLoginAuthentication", "ServicePrincipalAuthentication"])
    def test_a_sign_in_takes_anything(self, name: str) -> None:
        kind = getattr(module("core.authentication"), name)
        with pytest.raises(NotImplementedError, match="leave it out"):
            kind(tenant_id="x", force=True).get_authentication_header()

    def test_telemetry_is_a_switch_of_nothing(self) -> None:
        assert module("telemetry").set_diagnostics_collection(send_diagnostics=True) is None

    def test_get_run(self, home: Path) -> None:
        core = module("core")
        with pytest.raises(errors.NotFound):
            module("core.run").get_run(
                core.Experiment(core.Workspace(), "exp"), "exp_1700000000_00000000", rehydrate=False
            )


class TestFarSide:
    def test_everything_that_azureml_needs_travels(self) -> None:
        here = {
            str(path.relative_to(ROOT / "jupyter_mlrun")) for path in (ROOT / "jupyter_mlrun/azureml").rglob("*.py")
        }
        stays = {"azureml/__main__.py"}  # control scripts are run where the package is
        assert {name for name in local._FAR_SIDE if name.startswith("azureml/")} == here - stays

    def test_it_runs_on_python_3_9(self) -> None:
        files = [ROOT / "jupyter_mlrun" / name for name in local._FAR_SIDE if name.startswith("azureml/")]
        for path in files:
            ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 9))
        said = vermin(*files)
        assert said.returncode == 0, said.stdout + said.stderr

    def test_a_name_whose_home_is_not_here_says_so_when_it_is_used(self) -> None:
        found = _finder.find("core", "Thing", "sdk.nowhere:Thing")
        with pytest.raises(ImportError, match=r"azureml\.core\.Thing needs the whole package"):
            found.get()

    def test_a_home_that_lacks_something_is_no_missing_home(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "broken.py").write_text("import no_such_thing_at_all\n")
        package = importlib.import_module("jupyter_mlrun.sdk")
        monkeypatch.setattr(package, "__path__", [*package.__path__, os.fspath(tmp_path)])
        with pytest.raises(ModuleNotFoundError, match="no_such_thing_at_all"):
            _finder.find("core", "Thing", "sdk.broken:Thing")

    def test_the_first_home_that_is_there_counts(self) -> None:
        assert thing("core", "Run") is jupyter_mlrun.Run
        found = _finder.find("core", "Run", "sdk.nowhere:Run worker.context:RunContext")
        assert found.__name__ == "RunContext"
