"""What every test gets: a home of its own, a clean environment, no network, no leftovers."""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as generating

# how long an example takes, or is looked for, says how busy the machine is and nothing of what is tested
generating.register_profile("patient", generating.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
generating.load_profile("patient")
# every path that we build from a home goes through a shell, a URL or a quoted string somewhere
WEIRD = 'it\'s a "home" здесь'
REAL_ENVIRONMENT = dict(os.environ)
FOREIGN = (
    "JUPYTER",
    "JPY_",
    "IPYTHON",
    "AZUREML_",
    "MLFLOW_",
    "KERNEL_",
    "XDG_",
    "CONDA_",
    "SLURM_",
    "OMPI_",
)
FOREIGN_NAMES = {
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "NODE_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
    "OMP_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "PYTHONSTARTUP",
    "PYTHONUNBUFFERED",  # what is never flushed would be seen all the same
}
IN_CI = os.environ.get("CI", "") not in {"", "false", "0"}


def need(what: str | None, reason: str) -> str:
    """*what*, or skip with *reason* where it is missing; in CI nothing is skipped for being missing."""
    if what:
        return what
    if IN_CI:
        pytest.fail(f"{reason} (in CI this must not be missing)")
    pytest.skip(reason)


def clean_environment() -> dict[str, str]:
    """The environment without whatever this session's notebook, scheduler or shell put into it."""
    return {k: v for k, v in REAL_ENVIRONMENT.items() if not k.startswith(FOREIGN) and k not in FOREIGN_NAMES}


def folders_in(base: Path) -> dict[str, str]:
    """Variables that keep Jupyter, IPython and us out of the developer's own folders."""
    return {
        "HOME": str(base / "user"),
        "JUPYTER_MLRUN_HOME": str(base / WEIRD),
        "JUPYTER_CONFIG_DIR": str(base / "user/config"),
        "JUPYTER_DATA_DIR": str(base / "user/data"),
        "JUPYTER_RUNTIME_DIR": str(base / "user/runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(base / "user/settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(base / "user/workspaces"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "IPYTHONDIR": str(base / "user/ipython"),
    }


def stop_agent_of(home: Path) -> None:
    """End the agent of *home* where one runs."""
    if (home / ".agent").is_dir():
        from jupyter_mlrun.agent import client

        client.stop_agent(home)


@pytest.fixture(scope="session")
def socket_folder() -> Iterator[Path]:
    """A short folder for sockets: their paths end at 108 bytes, and pytest's own are long."""
    path = Path(tempfile.mkdtemp(prefix="mlr-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(autouse=True)
def isolation(tmp_path: Path, socket_folder: Path) -> Iterator[Path]:
    """A clean environment for each test; its agent is stopped when the test is over."""
    home = tmp_path / WEIRD
    (tmp_path / "user").mkdir(mode=0o700)
    before = dict(os.environ)
    folder = os.getcwd()
    os.environ.clear()
    os.environ.update(clean_environment(), **folders_in(tmp_path), XDG_RUNTIME_DIR=str(socket_folder))
    try:
        yield home
    finally:
        try:
            stop_agent_of(home)
        finally:
            os.environ.clear()
            os.environ.update(before)
            os.chdir(folder)


@pytest.fixture
def home(isolation: Path) -> Path:
    """The home of this test (``JUPYTER_MLRUN_HOME``), not made yet; its name is as odd as names get."""
    return isolation


@pytest.fixture
def outside_environment() -> dict[str, str]:
    """For programs that install things: the user's own HOME, so that pip and npm find their configuration."""
    return clean_environment()


def _is_here(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True
    try:
        return ipaddress.ip_address(str(address[0])).is_loopback
    except ValueError:
        return bool(address[0] == "localhost")


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """Connections that leave this machine are a bug of the test."""

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not _is_here(address):
            raise AssertionError(f"a test tried to connect to {address}: tests use no network")
        real(self, address)

    patch = pytest.MonkeyPatch()
    real = socket.socket.connect
    patch.setattr(socket.socket, "connect", connect)
    yield
    patch.undo()


def _ours(base: Path) -> list[psutil.Process]:
    """Processes whose home lies under *base*: agents, workers and ranks that some test started."""
    found = []
    for process in psutil.process_iter():
        try:
            where = process.environ().get("JUPYTER_MLRUN_HOME", "")
        except psutil.Error:  # it ended meanwhile, or belongs to somebody else
            continue
        if where.startswith(f"{base}{os.sep}") and process.pid != os.getpid():
            found.append(process)
    return found


@pytest.fixture(scope="session", autouse=True)
def _no_leftovers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No process that a test started may outlive the session."""
    base = tmp_path_factory.getbasetemp()
    yield
    from tests.support import PATIENCE

    _, alive = psutil.wait_procs(_ours(base), timeout=PATIENCE)
    named = []
    for process in alive:
        try:
            named.append(f"{process.pid}: {' '.join(process.cmdline())[:200]}")
            process.kill()
        except psutil.NoSuchProcess:  # gone between the look and the kill
            continue
    assert not named, "these processes outlived the tests that started them:\n" + "\n".join(named)


def pytest_configure() -> None:
    """A program that a shell starts in the background ignores Ctrl-C, and so would all that the tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("gpu") and not shutil.which("nvidia-smi"):
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU here"))
        if item.get_closest_marker("timeout"):
            continue
        # they build or install; the time-out that finds a hang in a unit test is too short for them
        if item.get_closest_marker("heavy"):
            item.add_marker(pytest.mark.timeout(900))
        # dozens of processes one after the other, many under strace, on a machine that may stand still for a while
        elif "faults" in item.path.parts:
            item.add_marker(pytest.mark.timeout(300))
