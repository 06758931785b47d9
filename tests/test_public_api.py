"""The public names are a list, each of them is there, and importing them costs little."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

import jupyter_mlrun

ROOT = Path(__file__).parent.parent

# A promise: to take a name away, or to add one, change it here too and say so in CHANGELOG.md.
PUBLIC = {
    "AgentError",
    "AmlCompute",
    "BadInput",
    "CellError",
    "ComputeTarget",
    "Conflict",
    "CorruptObject",
    "DamagedRun",
    "Dataset",
    "Datastore",
    "Environment",
    "Experiment",
    "IllegalMove",
    "JupyterMLRunError",
    "Model",
    "MpiConfiguration",
    "NewerStore",
    "NotFound",
    "PyTorchConfiguration",
    "Run",
    "RunDetails",
    "RunEnvironmentError",
    "RunFailed",
    "ScriptRunConfig",
    "SnapshotError",
    "StoreError",
    "Workspace",
    "__version__",
    "compare",
    "log",
}
# each costs 5 to 150 ms, and `log` is imported by every training script
HEAVY = {
    "asyncio",
    "IPython",
    "logging",
    "numpy",
    "pathlib",
    "psutil",
    "rich",
    "sqlite3",
    "subprocess",
    "traitlets",
}


def test_public_names_are_the_list() -> None:
    assert set(jupyter_mlrun.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_name_is_there(name: str) -> None:
    assert getattr(jupyter_mlrun, name) is not None
    assert name in dir(jupyter_mlrun)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        jupyter_mlrun.nonsense  # noqa: B018 -- the access is the test


def test_every_error_is_public() -> None:
    from jupyter_mlrun import errors

    tree = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert tree <= PUBLIC


def test_version_is_one() -> None:
    asked = json.loads((ROOT / "package.json").read_text())["version"]
    cure = "write package.json's version into jupyter_mlrun/_version.py, then: pip install -e ."
    assert asked == jupyter_mlrun.__version__ == importlib.metadata.version("jupyter-mlrun"), cure
    locked = json.loads((ROOT / "package-lock.json").read_text())["version"]
    assert asked == locked, "run: npm install --package-lock-only"


def test_log_is_light() -> None:
    # -S: site's own .pth files may import anything, and are not ours
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from jupyter_mlrun import log; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in said.stdout.split()}
    assert not loaded & HEAVY


def test_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()
