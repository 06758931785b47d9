"""For everybody: what axe-core says of each view in both themes; twice the size, little room, high contrast."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, expect

from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import ended_run, recorded_run
from tests.support import until

from . import axe
from .live import Demo, demo
from .test_lab import notebook
from .test_sidebar import THEME, Played, begun, end, line, place, played, sidebar

if TYPE_CHECKING:
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.store.home import WorkspaceDir

    from .conftest import Lab, Server

pytestmark = pytest.mark.browser
__all__ = ["demo", "place", "played"]

LIGHT, DARK, CONTRAST = "JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast"
TABS = ("Overview", "Charts", "Logs", "Files", "Code", "System", "Children")
SCENES = {"running": ("Overview", "Charts", "Logs"), "failed": (), "queued": (), "notebook_failed": (), "forms": ()}


def measured(run: RunDir, name: str = "loss") -> RunDir:
    writer = MetricWriter(str(run.metrics))
    for step in range(30):
        writer.log(name, 1 / (step + 1), step=step)
    writer.close()
    return run


def runs_of_all_kinds(place: WorkspaceDir, experiment: str) -> dict[str, RunDir]:
    """Runs in every state, one of them with all that a page shows."""
    code = b"import sys\n\nprint('hello')  # a comment\n"
    first = ended_run(
        place, experiment=experiment, number=1, display_name="all of it", content=code,
        parameters={"lr": {"text": "0.1", "value": 0.1}}, tags={"team": "vision"},
    )  # fmt: skip
    measured(first)
    first.outputs.mkdir(exist_ok=True)
    (first.outputs / "notes.txt").write_text("hello\n")
    failed = ended_run(place, experiment=experiment, number=2, display_name="it failed", code=1)
    child = ended_run(place, experiment=experiment, number=3, display_name="a child", parent=first.run_id)
    active = measured(begun(place, experiment=experiment, number=4, display_name="it goes on"))
    canceled = recorded_run(place, experiment=experiment, number=5, display_name="it was canceled")
    found = {"status": "Canceled", "reason": "canceled", "text": "canceled", "exit_code": None, "ended": time.time()}
    state = runs.move(canceled, runs.recorded(canceled), Status.CANCEL_REQUESTED)
    runs.finish(canceled, state, found)
    return {"first": first, "failed": failed, "child": child, "active": active, "canceled": canceled}


def clean(found: dict[str, list[str]]) -> None:
    assert not axe.differing(found), axe.text(found)


# ----------------------------------------------------------------------------------------- what axe-core says


def test_the_sidebar(lab: Lab, place: WorkspaceDir) -> None:
    made = runs_of_all_kinds(place, "access")
    lab.goto()
    expect(lab.page.locator(".jp-Launcher")).to_be_visible()
    shown = sidebar(lab, "access")
    expect(line(shown, "it goes on").locator(".metric")).to_contain_text("loss")
    line(shown, "it goes on").click()
    line(shown, "it failed").click(modifiers=["Control"])
    found = {}
    for theme in (LIGHT, DARK, CONTRAST):
        lab.execute(THEME, theme=theme)
        lab.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=theme)
        found[theme] = axe.grave(lab.page, "#jupyter-mlrun-runs", ".jp-mlrun-active")
        lab.screenshot(f"access-sidebar-{theme.replace('JupyterLab ', '').replace(' ', '-').lower()}")
        shown.get_by_role("button", name="Failed").click()
        expect(shown.get_by_role("treeitem")).to_have_count(2)
        found[f"{theme}, filtered"] = axe.grave(lab.page, "#jupyter-mlrun-runs")
        shown.get_by_role("button", name="Failed").click()
        lab.execute("jupyter-mlrun:rename", run=made["first"].run_id)
        expect(lab.page.locator("dialog[open]")).to_be_visible()
        found[f"{theme}, a question"] = axe.grave(lab.page, "dialog[open]")
        lab.page.keyboard.press("Escape")
        lab.execute("jupyter-mlrun:delete", run=made["failed"].run_id)
        expect(lab.page.locator("dialog[open]")).to_be_visible()
        found[f"{theme}, a warning"] = axe.grave(lab.page, "dialog[open]")
        lab.page.keyboard.press("Escape")
    lab.execute(THEME, theme=LIGHT)
    end(made["active"])
    clean(found)


def test_the_sidebar_where_there_is_no_list(lab: Lab, played: Played) -> None:
    played.total = 0
    lab.goto()
    lab.execute("jupyter-mlrun:show-runs")
    panel = lab.page.locator(".mlr-panel")
    state = panel.locator(".mlr-state")
    found = {}

    def look(name: str) -> None:
        for theme in (LIGHT, DARK, CONTRAST):
            lab.execute(THEME, theme=theme)
            lab.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=theme)
            found[f"{name}, {theme}"] = axe.grave(lab.page, "#jupyter-mlrun-runs")
            lab.screenshot(f"access-{name}-{theme.replace('JupyterLab ', '').replace(' ', '-').lower()}")

    expect(state).to_contain_text("No runs yet")
    look("empty")
    panel.get_by_role("searchbox").fill("no such")
    expect(state).to_contain_text("No run fits")
    look("none")
    played.total = 5
    panel.get_by_role("button", name="Clear the filter").click()
    expect(panel.locator(".mlr-item")).to_have_count(5)
    played.down = True
    played.sockets[-1].close()
    expect(panel.get_by_text("Not connected to the server")).to_be_visible()
    look("lost")
    lab.execute(THEME, theme=LIGHT)
    clean(found)


@pytest.fixture
def standalone(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Open a page without JupyterLab."""
    contexts = []

    def open_page(path: str, scheme: Any = "light", width: int = 1200, height: int = 900) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        path, _, place = path.partition("#")
        page.goto(f"{server.url}/jupyter-mlrun/{path}?token={server.token}#{place}")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages(standalone: Callable[..., Page], place: WorkspaceDir, scheme: str) -> None:
    made = runs_of_all_kinds(place, f"pages-{scheme}")
    found = {}
    page = standalone(f"runs/{made['first'].run_id}", scheme)
    expect(page.locator(".mlr-page .bar")).to_be_visible()
    for tab in TABS:
        page.get_by_role("tab", name=tab).first.click()
        part = page.locator(f".part-{tab.lower()}")
        expect(part).to_be_visible()
        if tab == "Files":
            page.get_by_text("notes.txt").first.click()
            expect(part).to_contain_text("hello")
        if tab == "Code":
            expect(part).to_contain_text("main.py")
        if tab == "Charts":
            expect(part.locator("canvas").first).to_be_visible()
        found[tab] = axe.grave(page, ".mlr-page")
    page.goto(page.url.replace(made["first"].run_id, made["failed"].run_id).partition("#")[0])
    expect(page.locator(".mlr-page .end")).to_be_visible()
    found["failed"] = axe.grave(page, ".mlr-page")
    page = standalone("", scheme)
    expect(page.locator(".mlr-page").get_by_text("it goes on").first).to_be_visible()
    found["list"] = axe.grave(page, ".mlr-page")
    page = standalone(f"#compare={made['first'].run_id},{made['active'].run_id}", scheme)
    expect(page.locator(".mlr-compare")).to_contain_text("team")
    found["compare"] = axe.grave(page, ".mlr-page")
    end(made["active"])
    clean(found)


@pytest.mark.slow
def test_the_live_view(demo: Callable[..., Demo]) -> None:
    found = {}
    for scene, tabs in SCENES.items():
        shown = demo(scene, theme="light")
        for theme in ("light", "dark"):
            change = "name => Object.assign(document.body.dataset, {jpThemeName: name, jpThemeLight: name === 'light'})"
            shown.page.evaluate(change, theme)
            for tab in tabs or ("",):
                if tab:
                    shown.tab(tab)
                shown.drawn()
                found[f"{scene}, {tab}, {theme}"] = axe.grave(shown.page, ".mlr-live")
        shown.page.close()
    clean(found)


# ------------------------------------------------------------------------------ large letters and little room

FITS = """() => {
  const panel = document.querySelector('.mlr-panel');
  const box = panel.getBoundingClientRect();
  const wrong = [];
  if (panel.scrollWidth > panel.clientWidth) wrong.push('the panel scrolls to the side');
  const parts = [...panel.children].filter(one => one.checkVisibility());
  parts.forEach((part, i) => {
    const [here, next] = [part.getBoundingClientRect(), parts[i + 1]?.getBoundingClientRect()];
    if (next && here.bottom > next.top + 1) wrong.push(`${part.className} reaches into ${parts[i + 1].className}`);
    if (part.scrollWidth > part.clientWidth + 1) wrong.push(`${part.className} is wider than its place`);
  });
  const reachable = (element) => {
    // inside of the panel, or of something in it that scrolls
    for (let one = element.parentElement; one !== panel; one = one.parentElement)
      if (/auto|scroll/.test(getComputedStyle(one).overflowY) && one.scrollHeight > one.clientHeight) return true;
    const at = element.getBoundingClientRect();
    return at.left >= box.left - 1 && at.right <= box.right + 1 && at.top >= box.top - 1
      && (at.bottom <= box.bottom + 1 || panel.scrollHeight > panel.clientHeight);
  };
  for (const element of panel.querySelectorAll('button, input, [role=treeitem]'))
    if (element.checkVisibility() && !reachable(element)) wrong.push(`out of reach: ${element.outerHTML.slice(0, 90)}`);
  const list = document.querySelector('.mlr-list').getBoundingClientRect();
  if (list.height < 88) wrong.push(`two runs do not fit into the list: ${list.height} pixels`);
  return wrong;
}"""


def fits(lab: Lab) -> None:
    """Wait until the panel has found its form, and everything in it its place."""
    found: list[str] = ["not looked at"]

    def look() -> bool:
        found[:] = lab.page.evaluate(FITS)
        return not found

    try:
        until(look, "everything is within reach")
    except AssertionError:
        assert found == []
        raise


@pytest.mark.parametrize(
    ("width", "height", "sidebar_width"),
    [
        pytest.param(640, 400, None, id="twice the size", marks=pytest.mark.slow),
        pytest.param(640, 400, 180, id="twice the size and narrow"),
        pytest.param(1280, 900, 180, id="narrow"),
    ],
)
def test_everything_is_within_reach(
    lab: Lab, played: Played, width: int, height: int, sidebar_width: int | None
) -> None:
    played.total = 300
    lab.goto()
    expect(lab.page.locator(".jp-Launcher")).to_be_visible()
    # letters of twice the size leave half the room
    lab.page.set_viewport_size({"width": width, "height": height})
    shown = sidebar(lab, "")
    if sidebar_width:
        narrow = "pixels => { document.querySelector('.mlr-panel').style.width = `${pixels}px`; }"
        lab.page.evaluate(narrow, sidebar_width)
    lines = shown.locator(".mlr-item")
    lines.nth(0).click()
    lines.nth(1).click(modifiers=["Shift"])
    expect(shown.get_by_role("toolbar", name="What can be done")).to_be_visible()
    lab.screenshot(f"access-room-{width}-{sidebar_width or 'own'}")
    fits(lab)
    lab.page.keyboard.press("End")
    expect(lab.page.locator(":focus")).to_be_in_viewport()
    played.down = True
    played.sockets[-1].close()
    expect(shown.get_by_text("Not connected to the server")).to_be_visible()
    fits(lab)


# what is wider than the page, or lies beside it where nothing scrolls
BESIDE = """within => {
  const root = document.querySelector(within);
  const wide = document.documentElement.clientWidth;
  const wrong = [];
  if (document.documentElement.scrollWidth > wide) wrong.push('the page scrolls to the side');
  const scrolls = (element) => {
    for (let one = element.parentElement; one; one = one.parentElement)
      if (/auto|scroll/.test(getComputedStyle(one).overflowX)) return one.getBoundingClientRect().right <= wide + 1;
    return false;
  };
  for (const element of root.querySelectorAll('a, button, input, select, textarea, summary, [role=tab], h2, p')) {
    const at = element.getBoundingClientRect();
    if (element.checkVisibility() && (at.left < -1 || at.right > wide + 1) && !scrolls(element))
      wrong.push(`beside the page: ${element.outerHTML.slice(0, 90)}`);
  }
  return wrong;
}"""


def nothing_beside(page: Page, within: str) -> None:
    """Wait until everything in it has its place in the page's width."""
    found: list[str] = []

    def look() -> bool:
        found[:] = page.evaluate(BESIDE, within)
        return not found

    try:
        until(look, f"{within} has room")
    except AssertionError:
        assert found == []
        raise


@pytest.mark.parametrize(
    ("width", "height"),
    [
        pytest.param(640, 400, id="twice the size"),
        pytest.param(360, 640, id="a phone's width", marks=pytest.mark.slow),
    ],
)
def test_pages_have_room(standalone: Callable[..., Page], place: WorkspaceDir, width: int, height: int) -> None:
    made = runs_of_all_kinds(place, f"room-{width}")
    page = standalone(f"runs/{made['first'].run_id}", width=width, height=height)
    for tab in TABS:
        page.get_by_role("tab", name=tab).first.click()
        expect(page.locator(f".part-{tab.lower()}")).to_be_visible()
        nothing_beside(page, ".mlr-page")
    page.get_by_role("button", name="Rerun").click()
    expect(page.locator("dialog[open]")).to_be_visible()
    nothing_beside(page, "dialog[open]")
    page = standalone(f"runs/{made['failed'].run_id}", width=width, height=height)
    expect(page.locator(".mlr-page .end")).to_be_visible()
    nothing_beside(page, ".mlr-page")
    page = standalone("", width=width, height=height)
    expect(page.locator(".mlr-page").get_by_text("it goes on").first).to_be_visible()
    nothing_beside(page, ".mlr-page")
    page = standalone(f"#compare={made['first'].run_id},{made['active'].run_id}", width=width, height=height)
    expect(page.locator(".mlr-compare")).to_contain_text("team")
    nothing_beside(page, ".mlr-page")
    end(made["active"])


def test_the_form_that_submits(lab: Lab) -> None:
    (lab.notebooks / "asked.ipynb").write_text(notebook("print(1)"))
    lab.open("asked.ipynb")
    lab.page.locator(".jp-Notebook .jp-CodeCell .cm-content").click()
    lab.page.evaluate("() => { window.jupyterapp.commands.execute('jupyter-mlrun:submit-form'); }")
    form = lab.page.locator("dialog.submit-form")
    expect(form.locator(".line")).to_have_text("%%submit")
    found = {}
    for theme in (LIGHT, DARK, CONTRAST):
        lab.execute(THEME, theme=theme)
        lab.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=theme)
        found[theme] = axe.grave(lab.page, "dialog.submit-form")
    lab.execute(THEME, theme=LIGHT)
    clean(found)
    lab.page.set_viewport_size({"width": 640, "height": 400})
    nothing_beside(lab.page, "dialog.submit-form")
    form.get_by_role("button", name="Submit", exact=True).focus()
    expect(form.get_by_role("button", name="Submit", exact=True)).to_be_in_viewport()
    lab.screenshot("access-form-twice")
    lab.page.keyboard.press("Escape")
    expect(form).to_have_count(0)
