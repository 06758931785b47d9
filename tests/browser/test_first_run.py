"""What a new user sees first, in a real JupyterLab: a cell that becomes a run, and its view to the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .test_lab import notebook

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Lab

pytestmark = pytest.mark.browser

LOAD = "%load_ext jupyter_mlrun"
TRAIN = """%%submit -p lr=0.05 --name "first try" --tag stage=demo
import math, time
from jupyter_mlrun import log

lr = 0.01
for step in range(300):
    log("loss", math.exp(-lr * step / 3) + 0.02 * math.sin(step), step=step)
    log("accuracy", 1 - math.exp(-step / 90), step=step)
    if step % 25 == 0:
        print(f"step {step:3d}", flush=True)
    time.sleep(PAUSE)
"""
VIEW = ".jp-Notebook .jp-OutputArea-output .mlr-live"


def says(lab: Lab, words: str, *, nth: int = 0) -> None:
    """Wait until a view's status is *words*."""
    lab.page.locator(f"{VIEW} .pill").nth(nth).filter(has_text=words).wait_for()


def pictures(lab: Lab, name: str) -> None:
    """The page in both themes."""
    for theme, word in (("JupyterLab Dark", "dark"), ("JupyterLab Light", "light")):
        lab.execute("apputils:change-theme", theme=theme)
        lab.page.locator(f"body[data-jp-theme-light={'false' if word == 'dark' else 'true'}]").wait_for(
            state="attached"
        )
        lab.page.locator("#jupyterlab-splash").wait_for(state="detached")
        # by script: a view that is refreshed meanwhile is another element
        lab.page.evaluate(f"() => document.querySelector('{VIEW}').scrollIntoView({{block: 'center'}})")
        lab.screenshot(f"{name}-{word}")


def train(pause: float, *more: str) -> str:
    return "\n".join([TRAIN.replace("PAUSE", str(pause)), *more])


def waits_for(gate: Path) -> str:
    """Lines after which a run goes on once *gate* is there: the page is looked at meanwhile, however slow it is."""
    return f"import os\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.02)"


def test_a_run_from_its_cell_to_completed(lab: Lab, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    (lab.notebooks / "first.ipynb").write_text(notebook(LOAD, train(0.02, waits_for(gate), 'print("done")')))
    lab.run_notebook("first.ipynb")
    says(lab, "Running")
    lab.page.locator(f"{VIEW} canvas").nth(1).wait_for()
    pictures(lab, "run-running")
    gate.touch()
    says(lab, "Completed")
    view = lab.page.locator(VIEW)
    expect(view).to_have_count(1)
    expect(view.locator("canvas")).to_have_count(2)
    view.locator(".row", has_text="done").wait_for()
    pictures(lab, "run-completed")
    view.get_by_role("tab", name="Details").click()
    view.get_by_role("row", name="lr 0.05").wait_for()
    assert lab.errors == []


def test_a_failed_run_says_why(lab: Lab) -> None:
    fails = 'raise ValueError("the <b>loss</b> is not a number & never was")'
    (lab.notebooks / "fails.ipynb").write_text(notebook(LOAD, train(0.002, fails)))
    lab.run_notebook("fails.ipynb")
    says(lab, "Failed")
    # its log may come in a later frame than its end
    expect(lab.page.locator(f"{VIEW} .log .row", has_text="ValueError")).to_have_count(2)
    said = lab.page.locator(VIEW).inner_text()
    assert "the <b>loss</b> is" in said, "text, not markup"
    pictures(lab, "run-failed")
    # for a moment of the change of the theme, nothing has a height
    expect(lab.page.locator(f"{VIEW} .log .row", has_text="ValueError")).to_have_count(2)
    assert lab.errors == []


def test_a_queued_run_says_what_it_waits_for(lab: Lab, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    one = "get_ipython().config.JupyterMLRun.max_concurrent = 1"
    (lab.notebooks / "queue.ipynb").write_text(
        notebook(f"{one}\n{LOAD}", train(0.02, waits_for(gate)), "%%submit --name second\nprint('at last')")
    )
    lab.run_notebook("queue.ipynb")
    says(lab, "Running")
    lab.page.locator(f"{VIEW} .why:visible").nth(0).wait_for()
    pictures(lab, "run-queued")
    gate.touch()
    # out of sight it is told nothing
    lab.page.locator(VIEW).nth(1).scroll_into_view_if_needed()
    says(lab, "Completed", nth=1)
    assert lab.errors == []
