"""What ships works: built from a clean checkout, installed where nothing else is, with no Node there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.heavy]

ASSETS = "share/jupyter/labextensions/jupyter_mlrun/"


def run(*command: str | Path, env: dict[str, str], cwd: Path) -> str:
    done = subprocess.run(
        list(map(str, command)),
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def without_node(env: dict[str, str], *folders: Path) -> dict[str, str]:
    """*env* with only *folders* to find programs in."""
    bare = {**env, "PATH": os.pathsep.join(map(str, folders))}
    assert shutil.which("node", path=bare["PATH"]) is None
    assert shutil.which("npm", path=bare["PATH"]) is None
    return bare


@pytest.fixture(scope="module")
def outside() -> dict[str, str]:
    # module-scoped twin of `outside_environment`: the autouse isolation has not begun yet
    return {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "XDG_", "PYTHON"))}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, outside: dict[str, str]) -> Path:
    path = tmp_path_factory.mktemp("checkout") / "clone"
    run("git", "clone", "--quiet", ROOT, path, env=outside, cwd=path.parent)
    return path


def build(checkout: Path, out: Path, env: dict[str, str]) -> Path:
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, checkout, env=env, cwd=checkout.parent)
    (wheel,) = out.glob("*.whl")
    return wheel


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_install_without_node_goes_without_the_extension(
    checkout: Path, outside: dict[str, str], tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", checkout, clone, env=outside, cwd=tmp_path)
    names = names_in(build(clone, tmp_path / "out", without_node(outside, tmp_path)))
    assert "jupyter_mlrun/errors.py" in names
    assert not [name for name in names if "static" in name and ASSETS in name]


@pytest.fixture(scope="module")
def wheel(checkout: Path, outside: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(checkout, tmp_path_factory.mktemp("wheel"), outside)


def test_wheel_carries_the_extension_once_and_nothing_else(wheel: Path) -> None:
    names = names_in(wheel)
    assets = [name for name in names if ASSETS in name]
    assert any(name.endswith("/package.json") for name in assets)
    assert any(name.endswith("/install.json") for name in assets)
    assert any("/static/remoteEntry" in name for name in assets)
    assert not [name for name in names if name.startswith("jupyter_mlrun/labextension")]
    assert {"jupyter_mlrun/ui/static/page.css", "jupyter_mlrun/ui/static/page.js"} <= set(names)
    assert sorted(name for name in names if "/static/widget" in name) == [
        "jupyter_mlrun/ui/static/widget.css",
        "jupyter_mlrun/ui/static/widget.js",
    ]
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.startswith("jupyter_mlrun")} == set()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("etc/jupyter/jupyter_server_config.d/jupyter_mlrun.json") for name in names)
    assert "jupyter_mlrun/py.typed" in names


def test_wheel_works_with_no_node(wheel: Path, outside: dict[str, str], tmp_path: Path) -> None:
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    env = {**without_node(outside, place / "bin"), "JUPYTER_MLRUN_HOME": str(tmp_path / "home")}
    constraints = ROOT / "tests/constraints.txt"
    pip = (place / "bin/python", "-m", "pip", "install", "--quiet", "-c", constraints)
    run(*pip, wheel, env=env, cwd=tmp_path)
    frozen = run(place / "bin/python", "-m", "pip", "list", env=env, cwd=tmp_path)
    assert not {"torch", "ray", "pandas"} & {line.split()[0] for line in frozen.splitlines() if line}
    version = run(place / "bin/jupyter-mlrun", "--version", env=env, cwd=tmp_path)
    assert wheel.name.split("-")[1] in version

    run(*pip, "jupyterlab", env=env, cwd=tmp_path)
    listed = run(place / "bin/jupyter", "labextension", "list", env=env, cwd=tmp_path)
    (ours,) = [line for line in listed.splitlines() if "jupyter_mlrun" in line and "v" in line and "/" not in line]
    assert "enabled" in ours
    assert "OK" in ours
