"""A real JupyterLab and a real Chromium for the tests in this folder.

``lab`` is what tests ask for: the page, the server's address, the notebook folder, and ways to do what a user
does.  Pictures go to tests/browser/screenshots/ (git-ignored).
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests import patient
from tests.support import PATIENCE, free_port

ROOT = Path(__file__).parent.parent.parent
SCREENSHOTS = Path(__file__).parent / "screenshots"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECONDS = 1000  # Playwright counts in milliseconds
LONG = 2 * PATIENCE  # the browser's clock goes on while the machine stands still
expect.set_options(timeout=LONG * SECONDS)
# the "notified about Jupyter news?" pop-up covers the page, and asks the network
NO_NEWS = '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}'


@dataclass
class Server:
    """A running JupyterLab server with folders of its own."""

    url: str
    token: str
    notebooks: Path
    home: Path
    log: Path
    pid: int


@dataclass
class Lab:
    """One page of JupyterLab, and what a user does in it."""

    page: Page
    server: Server
    errors: list[str] = field(default_factory=list)

    @property
    def notebooks(self) -> Path:
        """The folder that the server shows: write notebooks here, then ``open`` them by name."""
        return self.server.notebooks

    def goto(self, path: str = "") -> None:
        """Load JupyterLab afresh, at *path* under /lab (``tree/NAME`` opens a file)."""
        self.page.goto(f"{self.server.url}/lab/{path}?token={self.server.token}&reset")
        self.page.wait_for_function("window.jupyterapp !== undefined")
        self.page.evaluate("async () => { await window.jupyterapp.restored; }")

    def open(self, name: str) -> None:
        """Open the notebook *name* and wait until its kernel is idle."""
        self.goto(f"tree/{name}")
        self.page.wait_for_selector("#jp-main-dock-panel .jp-Notebook")
        # the indicator in the toolbar says "idle" before the kernel has answered for the first time
        idle = """() => {
          const context = window.jupyterapp.shell.currentWidget?.sessionContext;
          return context?.isReady && context.session?.kernel?.info !== undefined
            && context.session.kernel.status === 'idle';
        }"""
        self.page.wait_for_function(idle)

    def execute(self, command: str, **args: Any) -> Any:
        """Execute a command of JupyterLab and return what it gives, once it is done."""
        script = "async ([id, args]) => { const r = await window.jupyterapp.commands.execute(id, args);"
        return self.page.evaluate(script + " return r === undefined ? null : String(r); }", [command, args])

    def run_notebook(self, name: str) -> None:
        """Open the notebook *name*, run all its cells, and wait until none is running or queued."""
        self.open(name)
        # not awaited: sent while the kernel starts, it may never settle, and evaluate has no time-out
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        done = """() => {
          const cells = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')];
          const prompts = cells.map(c => c.querySelector('.jp-InputPrompt')?.textContent ?? '');
          return prompts.some(p => /\\d/.test(p)) && !prompts.some(p => p.includes('*'));
        }"""
        self.page.wait_for_function(done)

    def screenshot(self, name: str) -> Path:
        """A picture of the page, for people: tests/browser/screenshots/NAME.png."""
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test here may wait several times for what takes long on a machine that does much else."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))


@cache
def runtime_folder(base: Path) -> str:
    """Where the kernels of the server in *base* have their sockets: short, since a socket's path ends at 108 bytes."""
    folder = tempfile.mkdtemp(prefix="mlr-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def environment(base: Path, home: Path) -> dict[str, str]:
    """The server's: nothing of the developer's Jupyter, nothing written outside *base* but sockets."""
    foreign = ("JUPYTER", "JPY_", "IPYTHON", "AZUREML_", "XDG_", "PYTHONUNBUFFERED")
    env = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    env |= {f"JUPYTER_{name}": str(base / name.lower()) for name in ("CONFIG_DIR", "DATA_DIR")}
    env["JUPYTER_RUNTIME_DIR"] = runtime_folder(base)
    env |= {f"JUPYTERLAB_{name}": str(base / name.lower()) for name in ("SETTINGS_DIR", "WORKSPACES_DIR")}
    completion = Path(env["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab/completer-extension/manager.jupyterlab-settings"
    completion.parent.mkdir(parents=True, exist_ok=True)
    completion.write_text(json.dumps({"providerTimeout": LONG * 1000}))  # after a second it offers nothing
    return env | {
        "HOME": str(base),
        "IPYTHONDIR": str(base / "ipython"),
        "JUPYTER_MLRUN_HOME": str(home),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }


def command(port: int, token: str, notebooks: Path) -> list[str]:
    return [
        *(
            sys.executable,
            patient.PROGRAM,
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={port}",
        ),
        "--ServerApp.port_retries=0",
        "--KernelManager.transport=ipc",  # ports may be taken between their choice and their use
        f"--ServerApp.root_dir={notebooks}",
        f"--IdentityProvider.token={token}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
        "--LabApp.expose_app_in_browser=True",
    ]


def copy_until_end(source: IO[bytes], log: Path, sign: bytes, seen: threading.Event) -> None:
    """Keep the server's log, and say when it is up; its pipe must be emptied for as long as it lives."""
    with log.open("wb") as out:
        for line in source:
            out.write(line)
            out.flush()
            if sign in line:
                seen.set()


@contextmanager
def serving(command: list[str], base: Path, home: Path, sign: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server of folder *base*/notebooks in a session of its own, ended by its pid; up when it has said *sign*."""
    log = base / "server.log"
    process = subprocess.Popen(
        command,
        env=environment(base, home),
        cwd=base / "notebooks",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    up = threading.Event()
    reader = threading.Thread(target=copy_until_end, args=(process.stdout, log, sign.encode(), up), daemon=True)
    reader.start()
    try:
        assert up.wait(LONG), f"the server did not come up:\n{log.read_text()[-3000:]}"
        yield process
    finally:
        end(process)
        reader.join(10)
        process.stdout.close()
        if (home / ".agent").is_dir():
            from jupyter_mlrun.agent import client

            client.stop_agent(home)


def folders(base: Path) -> tuple[Path, Path]:
    """The folder of notebooks and the home of a server in *base*."""
    notebooks = base / "notebooks"
    notebooks.mkdir()
    (base / "config_dir/labconfig").mkdir(parents=True)
    (base / "config_dir/labconfig/page_config.json").write_text(NO_NEWS)
    return notebooks, base / "mlrun home"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One JupyterLab server for all browser tests."""
    base = tmp_path_factory.mktemp("lab")
    notebooks, home = folders(base)
    port, token = free_port(), secrets.token_hex(16)
    with serving(command(port, token, notebooks), base, home, f"http://127.0.0.1:{port}/") as process:
        yield Server(f"http://127.0.0.1:{port}", token, notebooks, home, base / "server.log", process.pid)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM shuts the kernels down too; only a server that ignores it is killed with its session."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def chromium() -> str | None:
    """The browser's program."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = chromium()
    if program is None:
        reason = "no Chromium on PATH; on Debian: apt-get install chromium"
        if os.environ.get("CI", "") not in {"", "false", "0"}:
            pytest.fail(f"{reason} (in CI it must not be missing)")
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, headless=True, args=CHROMIUM_FLAGS, timeout=LONG * SECONDS
        )
        make = browser.new_context

        def new_context(**options: Any) -> BrowserContext:
            context = make(**options)
            context.set_default_timeout(LONG * SECONDS)
            return context

        browser.new_context = new_context  # type: ignore[method-assign]  # all that tests make is patient
        yield browser
        browser.close()


@pytest.fixture
def new_lab(browser: Browser, server: Server) -> Iterator[Callable[[], Lab]]:
    """Make pages of JupyterLab, each with its own cookies: for tests that reopen what another page left."""
    contexts = []

    def make() -> Lab:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        contexts.append(context)
        lab = Lab(context.new_page(), server)
        lab.page.on("console", lambda said: lab.errors.append(said.text) if said.type == "error" else None)
        lab.page.on("pageerror", lambda error: lab.errors.append(str(error)))
        return lab

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def lab(new_lab: Callable[[], Lab], request: pytest.FixtureRequest) -> Iterator[Lab]:
    """One page of JupyterLab; when the test fails its last look is kept as a picture."""
    lab = new_lab()
    failed = request.session.testsfailed
    yield lab
    if request.session.testsfailed > failed:
        lab.screenshot(f"failed-{request.node.name}")
