"""JupyterLab with neither of our extensions: what a cell's output is after a reload, a restart, and when reopened."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support import free_port

from .conftest import Lab, Server, command, folders, serving
from .test_healing import BEATS, KERNEL, LIVE, NO_EXTENSION, SAVED_HTML, VALUE
from .test_lab import notebook
from .test_live_view_lab import LOAD

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAME = "widget.ipynb"
SAVED_PILL = f"{SAVED_HTML} .mlr-pill"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without our extension, whose pages are without ours, too; widgets it has."""
    base = tmp_path_factory.mktemp("plain")
    notebooks, home = folders(base)
    (base / "config_dir/labconfig/page_config.json").write_text(NO_EXTENSION)
    port, token = free_port(), secrets.token_hex(16)
    asked = [*command(port, token, notebooks), "--ServerApp.jpserver_extensions=jupyter_mlrun=False"]
    with serving(asked, base, home, f"http://127.0.0.1:{port}/") as process:
        yield Server(f"http://127.0.0.1:{port}", token, notebooks, home, base / "server.log", process.pid)


@pytest.fixture
def page_of_plain(browser: Browser, plain: Server) -> Iterator[Callable[[], Lab]]:
    """Pages of that server, with one browser's memory: JupyterLab's scripts are read once."""
    context = browser.new_context(viewport={"width": 1100, "height": 900})

    def make() -> Lab:
        lab = Lab(context.new_page(), plain)
        lab.page.on("pageerror", lambda error: lab.errors.append(str(error)))
        return lab

    yield make
    context.close()


def printed(server: Server) -> int:
    """Lines of the run so far; none before it has begun."""
    return sum(log.read_bytes().count(b"line ") for log in server.home.glob("*/runs/*/*/user_logs/*.txt"))


def lives(lab: Lab) -> None:
    """The widget shows what the run has done by now, alone."""
    lab.page.wait_for_function(f"n => {VALUE} >= n", arg=max(1, printed(lab.server)))
    expect(lab.page.locator(f"{LIVE} .pill")).to_have_text("Running")
    expect(lab.page.locator(LIVE)).to_have_count(1)
    expect(lab.page.locator(SAVED_HTML)).to_be_hidden()


def kept(lab: Lab, status: str) -> None:
    """The saved part is shown, and nothing that looks alive is."""
    expect(lab.page.locator(SAVED_HTML)).to_be_visible()
    expect(lab.page.locator(SAVED_PILL)).to_contain_text(status)
    expect(lab.page.locator(SAVED_HTML)).to_contain_text("beats")
    expect(lab.page.locator(LIVE)).to_have_count(0)


def reload(lab: Lab) -> None:
    """As a person does who has saved."""
    lab.execute("docmanager:save")
    lab.page.reload()
    lab.page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.info")


def test_whatever_is_reloaded_the_widget_or_the_saved_part_is_there(
    page_of_plain: Callable[[], Lab], plain: Server, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    path = plain.notebooks / NAME
    path.write_text(notebook(LOAD, BEATS.format(end=str(end))))
    lab = page_of_plain()
    try:
        lab.run_notebook(NAME)
        assert lab.page.evaluate("['plugin', 'mime'].map(n => window.jupyterapp.hasPlugin('jupyter_mlrun:' + n))") == [
            False, False,
        ]  # fmt: skip
        lives(lab)
        for _ in range(3):  # the page before leaves what it had opened in the kernel at one moment or another
            reload(lab)
            lives(lab)
        lab.screenshot("widget-only-reloaded")
        lab.page.evaluate(f"async () => {{ await {KERNEL}.restart(); }}")
        expect(lab.page.locator(f"{LIVE} .notices")).to_contain_text("kernel that fed this view is gone")
        lab.screenshot("widget-only-restarted")
        reload(lab)
        kept(lab, "Running")
        lab.screenshot("widget-only-kept")
    finally:
        end.touch()
    # submitted anew, to its end
    lab.run_notebook(NAME)
    expect(lab.page.locator(f"{LIVE} .pill")).to_have_text("Completed")
    expect(lab.page.locator(SAVED_PILL)).to_contain_text("Completed")
    lab.execute("docmanager:save")
    lab.page.evaluate(f"async () => {{ await {KERNEL}.shutdown(); }}")
    lab.page.close()
    later = page_of_plain()
    later.goto(f"tree/{NAME}")
    kept(later, "Completed")
    later.screenshot("widget-only-later")
    trusted = "window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.trusted)"
    assert all(later.page.evaluate(trusted))
    # as it was drawn: of what is not trusted JupyterLab leaves no style
    expect(later.page.locator(SAVED_PILL)).not_to_have_css("border-top-left-radius", "0px")
    assert lab.errors + later.errors == []
