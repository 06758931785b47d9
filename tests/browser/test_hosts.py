"""Other places to work in: behind a proxy as JupyterHub has it, and Notebook 7."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.support import free_port

from .conftest import LONG, Lab, Server, command, copy_until_end, folders, serving
from .test_lab import notebook

pytestmark = pytest.mark.browser

LOAD = "%load_ext jupyter_mlrun"
TRAIN = """%%submit --name "{name}" -e hosts
import time
from pathlib import Path
from jupyter_mlrun import log
print("begun", flush=True)
log("loss", 2.5, step=1)
while not Path({gate!r}).exists():
    time.sleep(0.02)
log("loss", 0.125, step=2)
"""
VIEW = ".jp-Notebook .mlr-live:not(.mlr-saved)"
USER = "/user/ann%40lab%20x"  # as the hub writes a user who is named like a mail address with a space


# ---------------------------------------------------------------------------------------- behind a proxy


class Hub:
    """The proxy, in a process of its own."""

    def __init__(self, target: int, log: Path) -> None:
        self.port, self.log = free_port(), log
        program = [sys.executable, str(Path(__file__).with_name("hub.py")), str(self.port), str(target)]
        self.process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert self.process.stdout is not None
        up = threading.Event()
        given = (self.process.stdout, log, b"up", up)
        self.reader = threading.Thread(target=copy_until_end, args=given, daemon=True)
        self.reader.start()
        assert up.wait(LONG), log.read_text()

    def seen(self) -> list[str]:
        """What was forwarded: kind and path."""
        return self.log.read_text().splitlines()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Server]]:
    """A user's server behind a hub's proxy, which has another name and port."""
    base = tmp_path_factory.mktemp("hub")
    notebooks, home = folders(base)
    port, token = free_port(), secrets.token_hex(16)
    more = [f"--ServerApp.base_url={USER}/", "--ServerApp.allow_remote_access=True", "--ServerApp.trust_xheaders=True"]
    with serving([*command(port, token, notebooks), *more], base, home, f"http://127.0.0.1:{port}{USER}/") as process:
        hub = Hub(port, base / "hub.log")
        try:
            url = f"http://hub.localhost:{hub.port}{USER}"
            yield hub, Server(url, token, notebooks, home, base / "server.log", process.pid)
        finally:
            hub.close()


@pytest.fixture
def page_of(browser: Browser) -> Iterator[Callable[[Server], Lab]]:
    """Make a page that must have met no error of ours."""
    made: list[tuple[Any, Lab]] = []

    def make(server: Server) -> Lab:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        lab = Lab(context.new_page(), server)
        made.append((context, lab))
        lab.page.on("console", lambda said: lab.errors.append(said.text) if said.type == "error" else None)
        lab.page.on("pageerror", lambda error: lab.errors.append(str(error)))
        return lab

    yield make
    for context, lab in made:
        context.close()
        assert [error for error in lab.errors if "mlrun" in error.lower()] == []


def followed(lab: Lab, view: Locator, gate: Path) -> None:
    """The run of the cell is live, and goes on to its end."""
    expect(view.locator(".pill")).to_have_text("Running")
    expect(view.locator(".card .value")).to_have_text("2.5")
    gate.touch()
    expect(view.locator(".card .value")).to_have_text("0.125")
    expect(view.locator(".pill")).to_have_text("Completed")


def test_everything_works_behind_a_hub(
    hub: tuple[Hub, Server], page_of: Callable[[Server], Lab], tmp_path: Path
) -> None:
    proxy, server = hub
    lab = page_of(server)
    train = TRAIN.format(name="through the hub", gate=str(tmp_path / "gate"))
    (server.notebooks / "hub.ipynb").write_text(notebook(LOAD, train, "print('from the form')"))
    lab.open("hub.ipynb")
    cells = lab.page.locator(".jp-Notebook .jp-CodeCell")
    for n in (0, 1):
        cells.nth(n).locator(".cm-content").click()
        # to the cell, wherever the keyboard went meanwhile
        cells.nth(n).locator(".cm-content").press("Shift+Enter")
    view = lab.page.locator(VIEW)
    lab.execute("jupyter-mlrun:show-runs")
    line = lab.page.locator(".mlr-panel").get_by_role("treeitem").filter(has_text="through the hub")
    expect(line).to_have_attribute("data-look", "live")
    followed(lab, view, tmp_path / "gate")
    expect(line).to_have_attribute("data-look", "good")
    expect(line.locator(".metric")).to_have_text("loss 0.125")
    # what a person submits in the form; a change, so it needs the cookie that is set for the prefix
    cells.nth(2).locator(".cm-content").click()
    lab.page.locator(".jp-NotebookPanel-toolbar [data-jp-item-name='jupyter-mlrun-submit']").click()
    form = lab.page.locator("dialog.submit-form")
    form.get_by_label("Name of the run").fill("of the form")
    form.get_by_role("button", name="Submit", exact=True).click()
    second = lab.page.locator(".mlr-panel").get_by_role("treeitem").filter(has_text="of the form")
    expect(second).to_have_attribute("data-look", "good")
    # the output heals without a kernel, from the notebook alone
    lab.execute("docmanager:save")
    # afresh, and whole: JupyterLab brings a notebook to the front once more when it is ready
    lab.open("hub.ipynb")
    expect(view.first.locator(".pill")).to_have_text("Completed")
    # its document, and something that is done there
    lab.execute("jupyter-mlrun:show-runs")
    line.dblclick()
    document = lab.page.locator(".jp-mlrun-document")
    expect(document.locator(".head .name")).to_have_text("through the hub")
    field = document.get_by_label("New tag: name=value")
    field.fill("behind=hub")
    field.press("Enter")
    expect(document.locator(".chip", has_text="behind")).to_be_visible()
    # everything went the proxy's way, below the prefix
    ours = [line for line in proxy.seen() if "jupyter-mlrun" in line]
    assert f"websocket {USER}/jupyter-mlrun/api/live" in ours
    assert [line for line in ours if f" {USER}/" not in line] == []


def test_a_page_without_jupyterlab_behind_a_hub(hub: tuple[Hub, Server], page_of: Callable[[Server], Lab]) -> None:
    _, server = hub
    lab = page_of(server)
    lab.page.goto(f"{server.url}/jupyter-mlrun/?token={server.token}")
    link = lab.page.locator(".mlr-page").get_by_role("link", name="through the hub")
    link.click()
    head = lab.page.locator(".mlr-page .head")
    expect(head.locator(".name")).to_have_text("through the hub")
    expect(lab.page.locator(".mlr-page")).to_have_attribute("data-link", "open")
    assert lab.page.url.startswith(f"{server.url}/jupyter-mlrun/runs/")
    lab.page.get_by_role("tab", name="Logs").click()
    expect(lab.page.locator(".part-logs .row", has_text="begun")).to_be_visible()


# -------------------------------------------------------------------------------------------- Notebook 7


@pytest.fixture(scope="module")
def notebook7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Notebook 7 with our extension, as it is installed."""
    pytest.importorskip("notebook", reason="Notebook 7 is not installed: pip install notebook")
    base = tmp_path_factory.mktemp("nb7")
    notebooks, home = folders(base)
    port, token = free_port(), secrets.token_hex(16)
    given = ["notebook" if one == "jupyterlab" else one for one in command(port, token, notebooks)]
    given = [one for one in given if not one.startswith("--LabApp.")] + [
        "--JupyterNotebookApp.expose_app_in_browser=True"
    ]
    with serving(given, base, home, f"http://127.0.0.1:{port}/") as process:
        yield Server(f"http://127.0.0.1:{port}", token, notebooks, home, base / "server.log", process.pid)


def open_there(lab: Lab, path: str) -> None:
    lab.page.goto(f"{lab.server.url}/{path}?token={lab.server.token}")
    lab.page.wait_for_function("window.jupyterapp !== undefined")
    lab.page.evaluate("async () => { await window.jupyterapp.restored; }")


def test_notebook_7_submits_follows_and_lists(
    notebook7: Server, page_of: Callable[[Server], Lab], tmp_path: Path
) -> None:
    lab = page_of(notebook7)
    train = TRAIN.format(name="of notebook seven", gate=str(tmp_path / "gate"))
    (notebook7.notebooks / "seven.ipynb").write_text(notebook(LOAD, train, "print('from the form')"))
    open_there(lab, "notebooks/seven.ipynb")
    idle = "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.info !== undefined"
    lab.page.wait_for_function(idle)
    cells = lab.page.locator(".jp-Notebook .jp-CodeCell")
    for n in (0, 1):
        cells.nth(n).locator(".cm-content").click()
        # to the cell, wherever the keyboard went meanwhile
        cells.nth(n).locator(".cm-content").press("Shift+Enter")
    view = lab.page.locator(VIEW)
    expect(view.locator(".pill")).to_have_text("Running")
    lab.execute("jupyter-mlrun:show-runs")
    panel = lab.page.locator(".mlr-panel")
    line = panel.get_by_role("treeitem").filter(has_text="of notebook seven")
    expect(line).to_have_attribute("data-look", "live")
    followed(lab, view, tmp_path / "gate")
    lab.screenshot("notebook-7")
    # the button of the toolbar, and its form
    cells.nth(2).locator(".cm-content").click()
    lab.page.locator(".jp-NotebookPanel-toolbar [data-jp-item-name='jupyter-mlrun-submit']").click()
    form = lab.page.locator("dialog.submit-form")
    form.get_by_label("Name of the run").fill("of the form")
    form.get_by_role("button", name="Submit", exact=True).click()
    expect(panel.get_by_role("treeitem").filter(has_text="of the form")).to_have_attribute("data-look", "good")
    # a document is a page here
    with lab.page.context.expect_page() as opened:
        line.dblclick()
    page = opened.value
    expect(page.locator(".mlr-page .head .name")).to_have_text("of notebook seven")
    expect(page.locator(".mlr-page")).to_have_attribute("data-link", "open")
    # with no kernel, from the notebook alone
    lab.execute("docmanager:save")
    lab.page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown(); }")
    lab.page.reload()
    expect(lab.page.locator(VIEW).first.locator(".pill")).to_have_text("Completed")
    expect(lab.page.locator(".jupyter-mlrun-static")).to_have_count(0)


def test_the_first_page_of_notebook_7_lists_runs(notebook7: Server, page_of: Callable[[Server], Lab]) -> None:
    lab = page_of(notebook7)
    open_there(lab, "tree")
    assert lab.page.evaluate("window.jupyterapp.isPluginActivated('jupyter_mlrun:plugin')")
    # as a person finds it
    lab.page.get_by_role("menuitem", name="View").first.click()
    lab.page.locator(".lm-Menu-item", has_text="Left Sidebar").first.hover()
    lab.page.locator(".lm-Menu-item", has_text="Show Runs").first.click()
    expect(lab.page.locator(".mlr-panel").get_by_role("treeitem").first).to_be_visible()
    lab.screenshot("notebook-7-tree")
