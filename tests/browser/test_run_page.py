"""The pages without JupyterLab, against a real Jupyter server with real runs: no kernel is anywhere."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from jupyter_mlrun.server.pages import STATIC
from tests import patient
from tests.support import free_port

from .conftest import LONG, SCREENSHOTS, copy_until_end, end, environment

pytestmark = pytest.mark.browser
PICTURES = Path(os.environ.get("RUN_PAGE_PICTURES", SCREENSHOTS))
TABS = ("Overview", "Charts", "Logs", "Files", "Code", "System", "Children")
HOSTILE = "<img src=x onerror=window.pwned=1>"
PREFIX = "/some/where"


@dataclass
class Site:
    """A server, and the runs that it has."""

    url: str
    token: str
    runs: dict[str, str]

    def address(self, path: str = "", place: str = "") -> str:
        return f"{self.url}jupyter-mlrun/{path}?token={self.token}{place}"


@dataclass
class Visit:
    """One page, and what went wrong in it."""

    page: Page
    site: Site
    errors: list[str] = field(default_factory=list)

    def run(self, name: str, place: str = "") -> Visit:
        """Open a run's page."""
        self.page.goto(self.site.address(f"runs/{self.site.runs[name]}", place))
        expect(self.page.locator(".mlr-page .bar")).to_be_visible()
        return self

    def list(self, place: str = "") -> Visit:
        """Open the first page."""
        self.page.goto(self.site.address("", place))
        return self

    @property
    def view(self) -> Locator:
        return self.page.locator(".mlr-page")

    def tab(self, name: str) -> Locator:
        """Choose a tab; what it shows."""
        self.view.get_by_role("tab", name=name).first.click()
        return self.view.locator(f".part-{name.lower()}")

    def picture(self, name: str) -> None:
        """A picture of the page, for people."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"page-{name}.png")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not (STATIC / "page.js").is_file():
        reason = "the pages are not built: npm run build:widget"
        if os.environ.get("CI", "") not in {"", "false", "0"}:
            pytest.fail(f"{reason} (in CI they must be)")
        pytest.skip(reason)
    base = tmp_path_factory.mktemp("site")
    home, log, port, token = base / "a home", base / "server.log", free_port(), secrets.token_hex(16)
    env = environment(base, home)
    seed = [sys.executable, str(Path(__file__).with_name("seeded.py")), str(base / "project")]
    made = subprocess.run(seed, env=env, capture_output=True, text=True, check=True)
    command = [
        sys.executable, patient.PROGRAM, "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0", f"--ServerApp.root_dir={base}", f"--IdentityProvider.token={token}",
        f"--ServerApp.base_url={PREFIX}", "--ServerApp.jpserver_extensions={'jupyter_mlrun': True}",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, env=env, cwd=base, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    up = threading.Event()
    sign = f"http://127.0.0.1:{port}{PREFIX}/".encode()
    reader = threading.Thread(target=copy_until_end, args=(process.stdout, log, sign, up), daemon=True)
    reader.start()
    try:
        assert up.wait(LONG), f"the server did not come up:\n{log.read_text()[-3000:]}"
        yield Site(f"http://127.0.0.1:{port}{PREFIX}/", token, json.loads(made.stdout.splitlines()[-1]))
    finally:
        end(process)
        reader.join(10)
        process.stdout.close()
        from jupyter_mlrun.agent import client
        from jupyter_mlrun.sdk.find import find

        long = find(home, json.loads(made.stdout.splitlines()[-1])["long"])
        long.cancel()
        long.wait_for_completion(raise_on_error=False)
        client.stop_agent(home)


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Callable[..., Visit]]:
    """Make pages, which must have met no error when the test is over."""
    opened: list[tuple[BrowserContext, Visit]] = []

    def make(*, width: int = 1200, scheme: Any = "light") -> Visit:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        made = Visit(context.new_page(), site)
        opened.append((context, made))
        made.page.on("console", lambda said: made.errors.append(said.text) if said.type == "error" else None)
        made.page.on("pageerror", lambda error: made.errors.append(str(error)))
        made.page.on("dialog", lambda dialog: made.errors.append(f"a dialog: {dialog.message}"))
        return made

    yield make
    for context, made in opened:
        pwned = made.page.evaluate("window.pwned")
        context.close()
        assert pwned is None
        assert made.errors == []


def test_overview_says_what_the_run_is(visit: Callable[..., Visit], site: Site) -> None:
    page = visit().run("first")
    overview = page.view.locator(".part-overview")
    expect(page.view.locator(".head .pill")).to_have_text("Completed")
    for title, words in (
        ("Parameters", "lr0.1"), ("Tags", "team"), ("Run", site.runs["first"]), ("Code", "train.py"),
        ("Environment", "version"), ("Metrics", "accuracy0.98"), ("Resources", "GPUs"), ("Times", "Ended"),
    ):  # fmt: skip
        expect(overview.get_by_role("region", name=title, exact=True)).to_contain_text(words)
    assert "baseline" in page.page.title()
    expect(page.view.locator(".end")).to_have_count(0)
    page.picture("overview")


def test_tags_are_added_and_taken_away(visit: Callable[..., Visit]) -> None:
    page = visit().run("second")
    field = page.view.get_by_label("New tag: name=value")
    field.fill("keep=<b>yes</b>")
    field.press("Enter")
    chip = page.view.locator(".chip", has_text="keep")
    expect(chip).to_have_text("keep<b>yes</b>")
    page.page.reload()
    chip.get_by_role("button", name="Remove tag keep").click()
    expect(chip).to_have_count(0)


def test_a_failure_is_shown_at_its_line_of_the_cell(visit: Callable[..., Visit]) -> None:
    page = visit().run("failed")
    end = page.view.locator(".end")
    expect(end).to_contain_text("ZeroDivisionError: division by zero")
    expect(end).to_contain_text("Line 3 of the cell")
    expect(end.locator(".code .text")).to_contain_text("return total / x")
    expect(end.locator(".trace li[data-own]")).to_contain_text("return total / x")
    page.picture("failed")
    end.get_by_role("button", name="cell, line 3").click()
    code = page.view.locator(".part-code")
    expect(code.locator(".code .text")).to_contain_text("def ratio(x):")
    expect(code.locator(".marked")).to_have_count(1)
    assert page.page.url.endswith(":3")
    page.page.go_back()
    expect(end).to_be_visible()


def test_charts_are_drawn_from_a_deep_link(visit: Callable[..., Visit]) -> None:
    page = visit().run("first", "#charts")
    charts = page.view.locator(".part-charts")
    expect(charts.locator("canvas")).to_have_count(2)
    expect(charts).to_contain_text("50 points")
    expect(page.view.get_by_role("tab", name="Charts")).to_have_attribute("aria-selected", "true")
    page.picture("charts")


def test_logs_are_shown_and_searched_by_rank(visit: Callable[..., Visit]) -> None:
    page = visit().run("first")
    logs = page.tab("Logs")
    expect(logs.locator(".row", has_text="step 49")).to_be_visible()
    logs.get_by_label("Search the log").fill("STEP 7")
    logs.get_by_label("Search the log").press("Enter")
    expect(logs.locator(".row[data-found]")).to_have_text("step 7")
    page.run("ranks", "#logs/1")
    expect(logs.locator(".row", has_text="I am rank 1")).to_be_visible()
    logs.get_by_role("tab", name="Rank 0").click()
    expect(logs.locator(".row", has_text="I am rank 0")).to_be_visible()
    expect(logs.locator(".row", has_text="I am rank 1")).to_have_count(0)


def test_files_are_looked_at_and_downloaded(visit: Callable[..., Visit]) -> None:
    page = visit().run("first")
    files = page.tab("Files")
    files.get_by_role("treeitem", name="plot.png").click()
    expect(files.locator("figcaption")).to_contain_text("160")
    assert page.page.url.endswith("#files/outputs/plot.png")
    page.picture("files")
    files.get_by_role("treeitem", name="result.json").click()
    expect(files.locator(".code:visible .text")).to_contain_text('"best": {\n    "epoch": [')
    files.get_by_role("button", name="As stored").click()
    expect(files.locator(".code:visible .text")).to_have_text('{"best": {"epoch": [1, 2, 3]}}')
    files.get_by_role("treeitem", name="weights.bin").click()
    expect(files).to_contain_text("There is no preview of such a file")
    with page.page.expect_download() as started:
        files.get_by_role("link", name="Download").click()
    path = started.value.path()
    assert started.value.suggested_filename == "weights.bin"
    assert path.stat().st_size == 5000


def test_a_tree_goes_by_the_keyboard(visit: Callable[..., Visit]) -> None:
    page = visit().run("first", "#files")
    tree = page.view.locator(".part-files [role=tree]")
    tree.locator("[tabindex='0']").focus()
    keyboard = page.page.keyboard
    for key in ("Home", "o", "ArrowRight", "ArrowRight", "ArrowLeft", "n", "Enter"):
        keyboard.press(key)
    expect(page.view.locator(".part-files .code .text")).to_contain_text("hello\nworld")
    keyboard.press("o")
    keyboard.press("ArrowLeft")
    expect(tree.get_by_role("treeitem", name="outputs/")).to_have_attribute("aria-expanded", "false")
    expect(tree.get_by_role("treeitem", name="notes.txt")).to_be_hidden()


def test_code_and_what_differs_from_another_run(visit: Callable[..., Visit], site: Site) -> None:
    page = visit().run("second")
    code = page.tab("Code")
    code.get_by_role("treeitem", name="train.py").click()
    expect(code.locator(".text")).to_contain_text("import argparse")
    code.get_by_label("Show what differs from").select_option(site.runs["first"])
    expect(code.locator(".diff")).to_contain_text("lr0.10.5")
    changed = code.locator(".file-diff", has_text="noise.py")
    expect(changed.locator(".chunk[data-kind=removed] .text")).to_have_text("    return 0.01 * (step % 3)")
    expect(changed.locator(".chunk[data-kind=added] .text")).to_have_text("    return 0.0")
    expect(code.locator(".file-diff", has_text="README.md")).to_contain_text("removed")
    page.picture("diff")
    page.page.reload()
    expect(changed).to_be_visible()


def test_system_and_children(visit: Callable[..., Visit], site: Site) -> None:
    page = visit().run("long", "#system")
    expect(page.view.locator(".part-system .card", has_text="CPU").first.locator("canvas")).to_be_visible()
    expect(page.view.locator(".part-system")).to_contain_text("Memory")
    page.run("first")
    children = page.tab("Children")
    expect(children.get_by_role("link", name="child")).to_have_attribute("href", re.compile(site.runs["child"]))
    children.get_by_role("link", name="child").click()
    expect(page.view.locator(".head .name")).to_have_text("child")


def test_nothing_that_a_run_says_is_ever_run(visit: Callable[..., Visit]) -> None:
    page = visit().run("hostile")
    expect(page.view.locator(".head .name")).to_have_text(HOSTILE)
    expect(page.view.locator(".chip")).to_have_text(f"evil{HOSTILE}")
    for name in TABS:
        page.tab(name)
        expect(page.view.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
    files = page.tab("Files")
    for name in (f"{HOSTILE}.txt", "page.html", "picture.svg"):
        files.get_by_role("treeitem", name=name).click()
        expect(files.locator(".code .text")).to_contain_text("window.pwned")
    files.get_by_role("treeitem", name="fake.png").click()
    expect(files.locator(".state [data-look=bad]")).to_be_visible()
    expect(page.page.locator("img, script:not([src]):not([type='application/json'])")).to_have_count(0)
    page.list()
    expect(page.view.get_by_role("link", name=HOSTILE)).to_be_visible()


def test_a_hostile_address_is_text(visit: Callable[..., Visit]) -> None:
    page = visit().run("first", f"#files/{quote(HOSTILE)}")
    expect(page.view.locator(".part-files")).to_contain_text(f"There is no file {HOSTILE}.")


ROWS = """last => {
  const rows = [...document.querySelectorAll('.row')];
  const texts = rows.map(row => row.textContent);
  const whole = rows.length > 0 && rows.every((row, i) => texts[i].startsWith('line ') && !('missing' in row.dataset));
  return whole && Number(texts.at(-1).split(' ')[1]) > last && texts;
}"""


def numbers(page: Visit, after: int = -1) -> list[int]:
    """The numbers of the lines that are in sight, once the last comes after that one and all have come."""
    texts: list[str] = page.page.wait_for_function(ROWS, arg=after).json_value()
    return [int(text.split()[1]) for text in texts]


def test_a_page_is_right_after_a_reload_and_stops_a_run(visit: Callable[..., Visit], site: Site) -> None:
    page = visit().run("long", "#logs")
    expect(page.view.locator(".row").first).to_be_visible()
    before = numbers(page)[-1]
    page.page.reload()
    expect(page.view.locator(".row").first).to_be_visible()
    seen = numbers(page, before + 5)
    assert seen == list(range(seen[0], seen[0] + len(seen))), "no line is lost or doubled"
    expect(page.view.get_by_role("button", name="Delete")).to_be_disabled()
    page.view.get_by_role("button", name="Stop this run").click()
    page.view.get_by_role("button", name="Stop it").click()
    expect(page.view.locator(".head .pill")).to_have_text("Canceled")
    expect(page.view.get_by_role("button", name="Delete")).to_be_enabled()
    page.tab("Overview")
    expect(page.view.locator(".end")).to_be_visible()


def test_the_keyboard_does(visit: Callable[..., Visit]) -> None:
    page = visit().run("first")
    keyboard = page.page.keyboard
    page.view.get_by_role("tab", name="Overview").focus()
    for name in (*TABS[1:], "Overview"):
        keyboard.press("ArrowRight")
        expect(page.view.get_by_role("tab", name=name)).to_be_focused()
        expect(page.view.get_by_role("tabpanel").first).to_have_attribute("aria-labelledby", re.compile(name.lower()))
    rename = page.view.get_by_role("button", name="Rename")
    rename.focus()
    keyboard.press("Enter")
    expect(page.page.get_by_role("dialog").get_by_label("Name")).to_be_focused()
    keyboard.press("Escape")
    expect(page.page.get_by_role("dialog")).to_have_count(0)
    expect(rename).to_be_focused()


def test_a_run_is_run_again_and_deleted(visit: Callable[..., Visit], site: Site) -> None:
    page = visit().run("second")
    page.view.get_by_role("button", name="Rerun").click()
    dialog = page.page.get_by_role("dialog")
    dialog.get_by_label("lr").fill("0.7")
    dialog.get_by_role("button", name="Rerun").click()
    page.view.locator(".toast").get_by_role("link").click()
    expect(page.view.locator(".part-overview")).to_contain_text("lr0.7")
    expect(page.view.locator(".head .pill")).to_have_text("Completed")
    expect(page.view.get_by_role("link", name=site.runs["second"])).to_be_visible()
    page.view.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.page).to_have_title("Runs")


def test_a_model_is_registered(visit: Callable[..., Visit]) -> None:
    page = visit().run("first")
    page.view.get_by_role("button", name="Register model").click()
    dialog = page.page.get_by_role("dialog")
    expect(dialog.get_by_label("File or folder")).to_have_value("outputs/model")
    dialog.get_by_label("Name of the model").fill("digits")
    dialog.get_by_role("button", name="Register").click()
    expect(page.view.locator(".toast")).to_contain_text("digits, version 1")
    expect(page.view.get_by_role("region", name="Models")).to_contain_text("digits, version 1")


def test_the_list_is_narrowed_and_runs_are_compared(visit: Callable[..., Visit]) -> None:
    page = visit().list()
    rows = page.view.locator("table.runs tbody tr")
    expect(page.view.get_by_role("link", name="two ranks")).to_be_visible()
    page.picture("list")
    page.view.get_by_label("Status").select_option("Failed")
    expect(rows).to_have_count(1)
    page.view.get_by_label("Status").select_option("")
    page.view.get_by_label("Find runs by words in names, parameters and tags").fill("train.py")
    expect(rows).to_have_count(2)
    page.view.get_by_role("button", name="Run", exact=True).click()
    expect(rows.first).to_contain_text("baseline")
    page.view.get_by_label("Choose all runs that are shown").check()
    page.view.get_by_role("button", name="Compare").click()
    expect(page.view.locator("canvas")).to_have_count(2)
    table = page.view.locator("table.compare")
    expect(table.locator("tr[data-differs]", has_text="lr")).to_contain_text("0.10.5")
    expect(table).to_contain_text("experiment")
    page.picture("compare")
    page.view.get_by_label("Only differences").check()
    expect(table).not_to_contain_text("experiment")
    page.view.get_by_role("button", name="Take baseline out").click()
    expect(page.view.locator(".legend li")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_page_needs_no_scrolling_to_the_side(visit: Callable[..., Visit], site: Site, scheme: str) -> None:
    page = visit(width=340, scheme=scheme).run("failed")
    for name in TABS:
        page.tab(name)
        wide = page.page.evaluate("document.querySelector('.mlr-page').scrollWidth - innerWidth")
        body = page.page.evaluate("(e => e.scrollWidth - e.clientWidth)(document.querySelector('.page-body'))")
        assert (name, wide <= 0, body <= 0) == (name, True, True)
    page.tab("Overview")
    page.picture(f"narrow-{scheme}")
    page.list(f"#compare={site.runs['first']},{site.runs['failed']}")
    expect(page.view.locator("table.compare")).to_be_visible()
    assert page.page.evaluate("document.querySelector('.page-body').scrollWidth <= innerWidth")


def test_a_run_that_is_gone_says_so(visit: Callable[..., Visit], site: Site) -> None:
    page = visit()
    answer = page.page.goto(site.address("runs/pages_1_00000000"))
    assert answer is not None
    assert answer.status == 404
    expect(page.page.locator("body")).to_contain_text("pages_1_00000000")
    page.errors.clear()  # the browser names an answer of 404
