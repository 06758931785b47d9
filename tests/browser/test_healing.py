"""Outputs of cells that heal: whatever becomes of page, kernel, server and notebook, the right view is there."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from jupyter_mlrun.ui.saved import MIME
from jupyter_mlrun.ui.widget import MIME as WIDGET
from tests.support import free_port

from .conftest import LONG, NO_NEWS, Lab, Server, command, copy_until_end, end, environment
from .test_lab import notebook
from .test_live_view_lab import LOAD, ticks

pytestmark = pytest.mark.browser

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
        assert up.wait(LONG), f"JupyterLab did not come up:\n{self.log.read_text()[-3000:]}"

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


@pytest.fixture(scope="module")
def context_of(browser: Browser) -> Iterator[Callable[[Server], BrowserContext]]:
    """One browser's memory for each server: JupyterLab's scripts are read once."""
    contexts: dict[str, BrowserContext] = {}

    def of(server: Server) -> BrowserContext:
        if server.url not in contexts:
            contexts[server.url] = browser.new_context(viewport={"width": 1100, "height": 900})
        return contexts[server.url]

    yield of
    for context in contexts.values():
        context.close()


@pytest.fixture
def page_of(context_of: Callable[[Server], BrowserContext]) -> Iterator[Callable[[Server], Lab]]:
    labs = []

    def make(server: Server) -> Lab:
        lab = Lab(context_of(server).new_page(), server)
        labs.append(lab)
        lab.page.on("pageerror", lambda error: lab.errors.append(str(error)))
        return lab

    yield make
    for lab in labs:
        lab.page.close()


def alone(lab: Lab, shown: str, hidden: str) -> None:
    """One view of the one output, and nothing of ipywidgets beside it."""
    expect(lab.page.locator(shown)).to_have_count(1)
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
NOTE = "(_, status) => { window.ended ||= !['idle', 'busy'].includes(status); }"
# goes on until it is told to end: what happens to page, kernel and server happens in its midst
BEATS = """%%submit --name beats
import time
from pathlib import Path
from jupyter_mlrun import log

n = 0
while not Path({end!r}).exists():
    n += 1
    print("line", n, flush=True)
    log("beat", n, step=n)
    time.sleep(0.05)
"""
VALUE = f"Number(document.querySelector('{LIVE} .card .value')?.textContent.replaceAll(',', ''))"


@pytest.fixture(scope="module")
def healed(
    jupyter: Jupyter, context_of: Callable[[Server], BrowserContext], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The story of one run, up to the notebook that is saved after it."""
    lab = Lab(context_of(jupyter.server).new_page(), jupyter.server)
    end = tmp_path_factory.mktemp("told") / "end"
    try:
        return Story(lab, jupyter, end).tell()
    except BaseException:
        lab.screenshot("failed-healing")
        raise
    finally:
        end.touch()  # the run ends however the story does
        lab.page.close()


class Story:
    """What becomes of page, kernel and server while a run goes on, and of the view."""

    def __init__(self, lab: Lab, jupyter: Jupyter, end: Path) -> None:
        self.lab, self.jupyter, self.end = lab, jupyter, end
        self.path = jupyter.notebooks / "story.ipynb"
        self.when: list[str] = []

    def printed(self) -> int:
        """Lines of the run so far; none before it has begun."""
        return sum(log.read_bytes().count(b"line ") for log in self.jupyter.home.glob("*/runs/*/*/user_logs/*.txt"))

    def seen(self, when: str, since: float | None = None) -> None:
        """The view shows what the run has done by now; *since*: when there was something again to show it in."""
        since = time.monotonic() if since is None else since
        self.lab.page.wait_for_function(f"n => {VALUE} >= n", arg=self.printed())
        print(f"{when}: right after {time.monotonic() - since:.2f} s, load {os.getloadavg()[0]:.1f}")
        expect(self.lab.page.locator(f"{LIVE} .pill")).to_have_text("Running")
        alone(self.lab, LIVE, KEPT)
        self.when.append(when)

    def tell(self) -> dict[str, Any]:
        lab, jupyter = self.lab, self.jupyter
        self.path.write_text(notebook(LOAD, BEATS.format(end=str(self.end))))
        lab.run_notebook("story.ipynb")
        self.seen("submitted")
        lab.execute("docmanager:save")
        lab.page.reload()
        lab.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.seen("page reloaded")
        lab.page.wait_for_function(f"{KERNEL}?.info !== undefined")
        begun = time.monotonic()
        lab.page.evaluate(f"async () => {{ await {KERNEL}.restart(); }}")
        self.seen("kernel restarted", begun)
        begun = time.monotonic()
        self.kill_kernel()
        self.seen("kernel killed", begun)
        lab.page.evaluate(f"async () => {{ await {KERNEL}.shutdown(); }}")
        self.seen("kernel gone")
        jupyter.stop()
        expect(lab.page.locator(f"{LIVE} .notices")).to_contain_text("server does not answer")
        jupyter.start()
        self.seen("server started again")
        return self.over()

    def kill_kernel(self) -> None:
        # it is started again soon, and idle as before
        self.lab.page.evaluate(f"() => {{ {KERNEL}.statusChanged.connect({NOTE}); }}")
        children = psutil.Process(self.jupyter.process.pid).children(recursive=True)
        (kernel,) = [child for child in children if "ipykernel_launcher" in " ".join(child.cmdline())]
        kernel.kill()
        self.lab.page.wait_for_function("() => window.ended")

    def over(self) -> dict[str, Any]:
        """The run ends while no kernel is there, and every point and line of it is in the view once."""
        page = self.lab.page
        self.end.touch()
        view = page.locator(LIVE)
        expect(view.locator(".pill")).to_have_text("Completed")
        count = self.printed()
        expect(view.locator(".card .foot")).to_contain_text(f"min 1 · max {count:,} · {count:,} points")
        expect(view.locator(".card .value")).to_have_text(f"{count:,}")
        expect(view.locator(".log")).to_contain_text(f"{count:,} lines")
        expect(view.locator(".row").last).to_have_text(f"line {count}")
        expect(view.locator(".row[data-missing]")).to_have_count(0)
        rows = view.locator(".row").all_inner_texts()
        assert rows == [f"line {n}" for n in range(count - len(rows) + 1, count + 1)]
        page.wait_for_function(WRITTEN, arg=MIME)
        told = {"path": self.path, "when": self.when, "count": count, "errors": list(self.lab.errors)}
        # a dialog of JupyterLab's may say that the server was away
        page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.context.save(); }")
        self.lab.screenshot("healed")
        return told


WRITTEN = """mime => {
  const cells = window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells;
  const outputs = [...cells].flatMap(cell => cell.getOutputs?.() ?? []);
  return outputs.some(output => output.data?.[mime]?.static?.over === true);
}"""


def test_the_view_is_right_whatever_becomes_of_page_kernel_and_server(healed: dict[str, Any]) -> None:
    assert healed["when"] == [
        "submitted", "page reloaded", "kernel restarted", "kernel killed", "kernel gone", "server started again",
    ]  # fmt: skip
    assert healed["errors"] == []


def test_the_end_is_in_the_notebook_though_no_kernel_saw_it(healed: dict[str, Any]) -> None:
    view, saved = outputs(healed["path"])
    assert WIDGET in view["data"]
    assert view["data"][MIME]["part"] == "view"
    data = saved["data"]
    assert data[MIME]["static"]["status"] == "Completed"
    assert data[MIME]["static"]["metrics"][0]["last"] == f"{healed['count']:,}"
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
    expect(lab.page.locator(f"{LIVE} .pill")).to_have_text("Completed")
    trusted = "window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.trusted)"
    assert not all(lab.page.evaluate(trusted))
    alone(lab, LIVE, KEPT)
    expect(lab.page.locator(f"{LIVE} .card .foot")).to_contain_text(f"{healed['count']:,} points")
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
    expect(kept.locator(".saved-note")).to_contain_text("No run")
    expect(kept.locator(".saved-note")).to_contain_text("as the notebook has it")
    alone(lab, KEPT, LIVE)
    expect(kept.locator(".saved-pill")).to_have_text("Completed")
    expect(kept.locator(".saved-top")).to_contain_text(f"beat{healed['count']:,}")
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
    expect(note).to_contain_text("extension jupyter_mlrun is not installed")
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
        expect(lab.page.locator(f"{LIVE} .pill")).to_have_text("Completed")
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
