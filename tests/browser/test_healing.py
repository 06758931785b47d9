"""Outputs of cells that heal: whatever becomes of page, kernel, server and notebook, the right view is there."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from jupyter_mlrun.ui.saved import MIME
from jupyter_mlrun.ui.widget import MIME as WIDGET

from .conftest import NO_NEWS, Lab, Server, command, copy_until_end, end, environment, free_port
from .test_lab import notebook
from .test_live_view_lab import LOAD, ticks

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

SECONDS = 1000
LIVE = ".jp-Notebook .mlr-live:not(.mlr-saved)"
KEPT = ".jp-Notebook .mlr-saved"
SAVED_HTML = ".jp-Notebook .jupyter-mlrun-static"
HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"
NO_EXTENSION = json.dumps({"disabledExtensions": {**json.loads(NO_NEWS)["disabledExtensions"], "jupyter_mlrun": True}})


class Jupyter:
    """A server that can be ended and started again at the same address."""

    def __init__(self, base: Path) -> None:
        self.base, self.port, self.token = base, free_port(), secrets.token_hex(16)
        self.notebooks, self.home, self.log = base / "notebooks", base / "mlrun home", base / "server.log"
        self.notebooks.mkdir()
        self.page_config = base / "config_dir/labconfig/page_config.json"
        self.page_config.parent.mkdir(parents=True)
        self.page_config.write_text(NO_NEWS)
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        out, into = os.pipe()
        self.process = subprocess.Popen(
            command(self.port, self.token, self.notebooks),
            env=environment(self.base, self.home),
            cwd=self.notebooks,
            stdin=subprocess.DEVNULL,
            stdout=into,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        os.close(into)
        up, sign = threading.Event(), f"http://127.0.0.1:{self.port}/".encode()

        def copy() -> None:
            # what the server started, and what outlives it, holds the pipe too: nobody waits for its end
            with os.fdopen(out, "rb") as source:
                copy_until_end(source, self.log, sign, up)

        threading.Thread(target=copy, daemon=True).start()
        assert up.wait(60), f"JupyterLab did not come up:\n{self.log.read_text()[-3000:]}"

    def stop(self) -> None:
        end(self.process)

    @property
    def server(self) -> Server:
        url = f"http://127.0.0.1:{self.port}"
        return Server(url, self.token, self.notebooks, self.home, self.log, self.process.pid)


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    made = Jupyter(tmp_path_factory.mktemp("heal"))
    try:
        yield made
    finally:
        made.stop()
        if (made.home / ".agent").is_dir():
            from jupyter_mlrun.agent import client

            client.stop_agent(made.home)


@pytest.fixture
def page_of(browser: Browser) -> Iterator[Callable[[Server], Lab]]:
    contexts = []

    def make(server: Server) -> Lab:
        context = browser.new_context(viewport={"width": 1100, "height": 900})
        contexts.append(context)
        lab = Lab(context.new_page(), server)
        lab.page.on("pageerror", lambda error: lab.errors.append(str(error)))
        return lab

    yield make
    for context in contexts:
        context.close()


def alone(lab: Lab, shown: str, hidden: str) -> None:
    """One view of the one output, and nothing of ipywidgets beside it."""
    expect(lab.page.locator(shown)).to_have_count(1, timeout=30 * SECONDS)
    expect(lab.page.locator(hidden)).to_have_count(0)
    expect(lab.page.locator(SAVED_HTML)).to_have_count(0)
    body = lab.page.locator(".jp-Notebook").inner_text()
    assert "model not found" not in body.lower()
    assert "displaying widget" not in body.lower()
    assert "what follows is how it was last saved" not in body


def outputs(path: Path) -> list[dict[str, Any]]:
    found = json.loads(path.read_text())
    return [output for cell in found["cells"] for output in cell.get("outputs", []) if MIME in output.get("data", {})]


KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"


@pytest.fixture(scope="module")
def healed(jupyter: Jupyter, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The story of one run, up to the notebook that is saved after it."""
    gate = tmp_path_factory.mktemp("gate")
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    lab = Lab(context.new_page(), jupyter.server)
    try:
        return _story(lab, jupyter, gate)
    except BaseException:
        lab.screenshot("failed-healing")
        raise
    finally:
        context.close()


def _story(lab: Lab, jupyter: Jupyter, gate: Path) -> dict[str, Any]:
    path = jupyter.notebooks / "story.ipynb"
    path.write_text(notebook(LOAD, ticks(gate, count=30, pause=0.01)))
    lab.run_notebook("story.ipynb")
    pill = lab.page.locator(f"{LIVE} .pill")
    told: dict[str, Any] = {"path": path, "states": []}

    def seen(when: str, status: str) -> None:
        expect(pill).to_have_text(status, timeout=60 * SECONDS)
        alone(lab, LIVE, KEPT)
        told["states"].append((when, status))

    seen("submitted", "Running")
    lab.execute("docmanager:save")
    lab.page.reload()
    lab.page.wait_for_function("window.jupyterapp !== undefined", timeout=60 * SECONDS)
    seen("page reloaded", "Running")
    lab.page.wait_for_function(f"{KERNEL}?.info !== undefined", timeout=60 * SECONDS)
    lab.page.evaluate(f"async () => {{ await {KERNEL}.restart(); }}")
    seen("kernel restarted", "Running")
    lab.page.evaluate(f"async () => {{ await {KERNEL}.shutdown(); }}")
    seen("kernel gone", "Running")
    jupyter.stop()
    expect(lab.page.locator(f"{LIVE} .notices")).to_contain_text("server does not answer", timeout=30 * SECONDS)
    (gate / "start").touch()
    jupyter.start()
    seen("server started again", "Completed")
    expect(lab.page.locator(f"{LIVE} .card .foot")).to_contain_text("30 points", timeout=30 * SECONDS)
    expect(lab.page.locator(f"{LIVE} .card .value")).to_have_text("30")
    lab.page.wait_for_function(WRITTEN, arg=MIME, timeout=30 * SECONDS)
    told["errors"] = list(lab.errors)
    # a dialog of JupyterLab's may say that the server was away
    lab.page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.context.save(); }")
    lab.screenshot("healed")
    return told


WRITTEN = """mime => {
  const cells = window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells;
  const outputs = [...cells].flatMap(cell => cell.getOutputs?.() ?? []);
  return outputs.some(output => output.data?.[mime]?.static?.over === true);
}"""


def test_the_view_is_right_whatever_becomes_of_page_kernel_and_server(healed: dict[str, Any]) -> None:
    assert [when for when, _ in healed["states"]] == [
        "submitted", "page reloaded", "kernel restarted", "kernel gone", "server started again",
    ]  # fmt: skip
    assert healed["errors"] == []


def test_the_end_is_in_the_notebook_though_no_kernel_saw_it(healed: dict[str, Any]) -> None:
    view, saved = outputs(healed["path"])
    assert WIDGET in view["data"]
    assert view["data"][MIME]["part"] == "view"
    data = saved["data"]
    assert data[MIME]["static"]["status"] == "Completed"
    assert data[MIME]["static"]["metrics"][0]["last"] == "30"
    # for viewers that know nothing of us
    page, text = ("".join(data[kind]) for kind in ("text/html", "text/plain"))
    assert "Completed" in page
    assert "Running" not in page
    assert f"jupyter-mlrun-static-{data[MIME]['view']}" in page
    assert "Completed" in text


def test_reopened_and_untrusted_it_is_live_without_a_kernel_that_knows_it(
    healed: dict[str, Any], jupyter: Jupyter, page_of: Callable[[Server], Lab]
) -> None:
    found = json.loads(healed["path"].read_text())
    found["metadata"]["note"] = "changed outside of Jupyter, so that its signature is none"
    (jupyter.notebooks / "untrusted.ipynb").write_text(json.dumps(found))
    lab = page_of(jupyter.server)
    lab.goto("tree/untrusted.ipynb")
    expect(lab.page.locator(f"{LIVE} .pill")).to_have_text("Completed", timeout=30 * SECONDS)
    trusted = "window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.trusted)"
    assert not all(lab.page.evaluate(trusted))
    alone(lab, LIVE, KEPT)
    expect(lab.page.locator(f"{LIVE} .card .foot")).to_contain_text("30 points")
    assert not lab.page.evaluate("window.jupyterapp.shell.currentWidget.context.model.dirty"), "nothing was to write"
    assert lab.errors == []


def test_copied_to_a_home_without_the_run_the_saved_part_is_shown_inert(
    healed: dict[str, Any], server: Server, page_of: Callable[[Server], Lab]
) -> None:
    found = json.loads(healed["path"].read_text())
    for cell in found["cells"]:
        for output in cell.get("outputs", []):
            kept = output.get("data", {}).get(MIME, {}).get("static")
            if kept:
                kept |= {"title": HOSTILE, "log": [HOSTILE], "parameters": [[HOSTILE, HOSTILE]], "tags": 7}
    (server.notebooks / "copied.ipynb").write_text(json.dumps(found))
    lab = page_of(server)
    lab.goto("tree/copied.ipynb")
    kept = lab.page.locator(KEPT)
    expect(kept.locator(".saved-note")).to_contain_text("No run", timeout=30 * SECONDS)
    expect(kept.locator(".saved-note")).to_contain_text("as the notebook has it")
    alone(lab, KEPT, LIVE)
    expect(kept.locator(".saved-pill")).to_have_text("Completed")
    expect(kept.locator(".saved-top")).to_contain_text("tick30")
    expect(kept.locator(".saved-log")).to_have_text(HOSTILE)
    assert lab.page.evaluate("window.hacked") is None
    expect(kept.locator("img, script")).to_have_count(0)
    lab.screenshot("healing-copied")


def test_without_the_server_extension_the_saved_part_is_shown(
    healed: dict[str, Any], jupyter: Jupyter, page_of: Callable[[Server], Lab]
) -> None:
    (jupyter.notebooks / "plain.ipynb").write_text(healed["path"].read_text())
    lab = page_of(jupyter.server)
    lab.page.route("**/jupyter-mlrun/**", lambda route: route.fulfill(status=404, body="<h1>404</h1>"))
    lab.page.route_web_socket("**/jupyter-mlrun/**", lambda socket: socket.close())
    lab.goto("tree/plain.ipynb")
    note = lab.page.locator(f"{KEPT} .saved-note")
    expect(note).to_contain_text("extension jupyter_mlrun is not installed", timeout=30 * SECONDS)
    alone(lab, KEPT, LIVE)
    expect(lab.page.locator(f"{KEPT} .saved-pill")).to_have_text("Completed")


def test_without_our_extension_the_widget_draws_and_hides_the_saved_part(
    jupyter: Jupyter, page_of: Callable[[Server], Lab], tmp_path: Path
) -> None:
    (jupyter.notebooks / "widget.ipynb").write_text(notebook(LOAD, ticks(tmp_path, count=5, pause=0)))
    (tmp_path / "start").touch()
    jupyter.page_config.write_text(NO_EXTENSION)
    try:
        lab = page_of(jupyter.server)
        lab.run_notebook("widget.ipynb")
        expect(lab.page.locator(f"{LIVE} .pill")).to_have_text("Completed", timeout=60 * SECONDS)
        expect(lab.page.locator(SAVED_HTML)).to_be_hidden()
        expect(lab.page.locator(".jp-mlrun-output")).to_have_count(0)
        expect(lab.page.locator(f"{SAVED_HTML} .mlr-pill", has_text="Completed")).to_be_attached()
        lab.execute("docmanager:save")
        copied = (jupyter.notebooks / "widget.ipynb").read_text().replace("%load_ext", "# a copy\\n%load_ext")
        (jupyter.notebooks / "unsigned.ipynb").write_text(copied)
        legible(lab, "unsigned.ipynb")
        assert lab.errors == []
    finally:
        jupyter.page_config.write_text(NO_NEWS)


def legible(lab: Lab, name: str) -> None:
    """An untrusted notebook has no style, no picture and no widget: its words must not run together."""
    lab.open(name)
    output = lab.page.locator(".jp-Notebook .jp-OutputArea-output").last
    output.scroll_into_view_if_needed()
    lab.screenshot("run-untrusted-light")
    said = lab.page.locator(".jp-Notebook").inner_text()
    assert output.locator("svg").count() == 0
    assert "Completed · " in said
    assert "tick: 5" in said
