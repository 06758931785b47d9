"""The part of an output that stays when nothing of Jupyter is there: nbconvert's page, and HTML that a site cleaned."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.ui.view import as_html
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import ended_run

from .test_lab import notebook

pytestmark = pytest.mark.browser

# about what GitHub leaves of a notebook's HTML: words, blocks, tables; no style, class, picture or script
TAGS = {"div", "span", "p", "pre", "code", "b", "i", "em", "strong", "table", "thead", "tbody", "tr", "th", "td", "br"}
HOSTILE = "<img src=x onerror=window.pwned=1>"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    place = WorkspaceDir(tmp_path / "home", "default").make()
    run = ended_run(place, display_name=HOSTILE, parameters={"lr": {"value": 0.1, "text": "0.1"}})
    writer = MetricWriter(str(run.metrics))
    for step in range(30):
        writer.log("loss", 2 / (step + 1), step=step)
        writer.log("accuracy", step / 30, step=step)
    writer.close()
    return run


@pytest.fixture
def page(browser: Browser) -> Any:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/*", lambda route: route.abort())  # nothing outside may be needed
    yield page
    assert page.evaluate("window.pwned") is None
    context.close()


def converted(run: RunDir, page: Page, **options: Any) -> None:
    from nbconvert import HTMLExporter
    from nbformat import reads

    made = json.loads(notebook("%%submit\nprint('hello')"))
    made["cells"][0]["outputs"] = [
        {"output_type": "display_data", "metadata": {}, "data": {"text/html": as_html(run), "text/plain": "a run"}}
    ]
    exporter: Any = HTMLExporter(**options)  # type: ignore[no-untyped-call]
    html, _ = exporter.from_notebook_node(reads(json.dumps(made), as_version=4))
    page.set_content(html, wait_until="domcontentloaded")


def test_nbconvert_draws_it(run: RunDir, page: Page) -> None:
    converted(run, page)
    shown = page.locator(".mlr-run")
    expect(shown).to_contain_text("Completed")
    expect(shown).to_contain_text(HOSTILE)
    expect(shown).to_contain_text("a line")
    expect(shown.locator("svg").first).to_be_visible()
    assert shown.locator("script, link, img, iframe").count() == 0


def test_nbconvert_that_cleans_leaves_the_words(run: RunDir, page: Page) -> None:
    converted(run, page, sanitize_html=True)
    words = page.locator(".jp-OutputArea, .output_area").first.inner_text()
    assert_legible(words)


def test_what_a_site_leaves_is_legible(run: RunDir, page: Page) -> None:
    import bleach  # type: ignore[import-untyped]  # nbconvert brings it

    html = re.sub(r"(?s)<style>.*?</style>", "", as_html(run))
    left = bleach.clean(html, tags=TAGS, attributes={}, strip=True)
    page.set_content(left)
    assert_legible(page.locator("body").inner_text())


def assert_legible(words: str) -> None:
    for word in ("Completed", HOSTILE, "lr", "loss", "accuracy", "a line"):
        assert word in words
    assert "Completed" in words.replace("\n", " ").replace(HOSTILE, " ").split(), "words do not run together"
