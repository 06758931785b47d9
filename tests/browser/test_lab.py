"""The extension in a real JupyterLab."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.browser


def notebook(*cells: str) -> str:
    """A notebook with these code cells, as JSON."""
    return json.dumps(
        {
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"c{n}",
                    "metadata": {},
                    "execution_count": None,
                    "outputs": [],
                    "source": cell,
                }
                for n, cell in enumerate(cells)
            ],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


def test_lab_loads_with_our_plugin_and_no_error(lab: Lab) -> None:
    lab.goto()
    assert lab.page.evaluate("window.jupyterapp.hasPlugin('jupyter_mlrun:plugin')")
    assert lab.page.evaluate("window.jupyterapp.isPluginActivated('jupyter_mlrun:plugin')")
    assert lab.errors == []


def test_palette_puts_submit_on_the_active_cell(lab: Lab) -> None:
    (lab.notebooks / "submit.ipynb").write_text(notebook("x = 6 * 7\nprint(x)"))
    lab.open("submit.ipynb")
    lab.page.keyboard.press("Control+Shift+C")
    lab.page.locator(".lm-CommandPalette-input").fill("Submit this cell")
    ours = lab.page.locator(".lm-CommandPalette-item", has_text="Submit this cell as a run").first
    ours.wait_for()
    lab.screenshot("palette")
    ours.click()
    cell = lab.page.locator(".jp-CodeCell .cm-content").first
    lab.page.wait_for_function("document.querySelector('.jp-CodeCell .cm-content').textContent.startsWith('%%submit')")
    assert cell.inner_text().splitlines() == ["%%submit", "x = 6 * 7", "print(x)"]
    lab.execute("jupyter_mlrun:submit-cell")
    assert cell.inner_text().count("%%submit") == 1
    lab.screenshot("submitted-cell")
    assert lab.errors == []


def test_run_notebook_runs_every_cell(lab: Lab) -> None:
    (lab.notebooks / "plain.ipynb").write_text(notebook("x = 6 * 7", "print(x)"))
    lab.run_notebook("plain.ipynb")
    lab.page.locator(".jp-OutputArea-output", has_text="42").wait_for()
    assert lab.errors == []
