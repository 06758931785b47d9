"""The live view where nothing of JupyterLab is: its module loaded as anywidget does, with no more than that gives.

Stands for VS Code, Colab and marimo, which are not run here.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.ui import widget
from jupyter_mlrun.ui.feed import Feed
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import ended_run

pytestmark = pytest.mark.browser

# anywidget: the text becomes a module by its own address, its default export draws; a model has these methods alone
HOST = """async ({ esm, css, view }) => {
  const style = document.createElement('style');
  style.textContent = css;
  document.head.append(style);
  const address = URL.createObjectURL(new Blob([esm], { type: 'text/javascript' }));
  const module = await import(address);
  URL.revokeObjectURL(address);
  window.heard = new Map();
  window.sent = [];
  const model = {
    get: name => ({ view, _esm: esm, _css: css })[name],
    set: () => { throw new Error('nothing is to be set'); },
    save_changes: () => { throw new Error('nothing is to be saved'); },
    send: message => window.sent.push(message),
    on: (name, callback) => window.heard.set(name, callback),
    off: name => window.heard.delete(name),
    widget_manager: {}
  };
  const el = document.createElement('div');
  document.body.append(el);
  window.end = await module.default.render({ model, el, experimental: {} });
}"""
SAY = """([message, buffer]) => {
  const bytes = Uint8Array.from(atob(buffer), c => c.charCodeAt(0));
  window.heard.get('msg:custom')(message, [new DataView(bytes.buffer)]);
}"""


def built() -> tuple[str, str]:
    try:
        widget.check()
    except widget.Unavailable as why:
        pytest.skip(f"no live view here: {why}")
    made: Any = widget._widget_class(widget.SCRIPT, widget.STYLE)
    return str(made._esm), str(made._css)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    run = ended_run(WorkspaceDir(tmp_path / "home", "default").make(), display_name="elsewhere")
    writer = MetricWriter(str(run.metrics))
    for step in range(30):
        writer.log("loss", 1 / (step + 1), step=step)
    writer.close()
    return run


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_drawn_with_what_anywidget_gives(browser: Browser, run: Any, scheme: Any) -> None:
    esm, css = built()
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on(
        "request", lambda asked: errors.append(asked.url) if not asked.url.startswith(("blob:", "about:")) else None
    )
    page.set_content("<!doctype html><title>a host</title>")
    page.evaluate(HOST, {"esm": esm, "css": css, "view": "v"})
    page.wait_for_function("() => window.sent.some(message => message.type === 'hello')")
    hello = page.evaluate("window.sent.find(message => message.type === 'hello')")
    for message, buffer in Feed(run).handle(hello):
        page.evaluate(SAY, [message, base64.b64encode(buffer).decode()])
    view = page.locator(".mlr-live")
    expect(view.locator(".pill")).to_have_text("Completed")
    expect(view.locator(".name")).to_have_text("elsewhere")
    expect(view.locator("canvas")).to_have_count(1)
    expect(view.locator(".row", has_text="a line")).to_be_visible()
    page.evaluate("window.end()")
    expect(view).to_have_count(0)
    assert page.evaluate("window.heard.size") == 0
    assert errors == []
    context.close()


def test_its_module_needs_nothing_of_jupyterlab() -> None:
    esm, css = built()
    assert re.search(r"export\s*\{[^}]*\bas default\b", esm)
    assert not re.search(
        r"\bimport\s*[{*\"'(]|\bimport\s+\w+\s+from\b|\brequire\(|jupyterapp|_JUPYTERLAB|requirejs", esm
    )
    # where JupyterLab's colours are not, there are others
    assert not re.search(r"var\(--jp-[\w-]+\)", css)
