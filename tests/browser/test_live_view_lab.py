"""The live view in a real JupyterLab with our extension, which the server feeds: also while the kernel sleeps.

What the kernel feeds, without our extension, is in test_latency.py and test_healing.py.
"""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from .test_lab import notebook

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Lab

pytestmark = pytest.mark.browser

LOAD = "%load_ext jupyter_mlrun"
VIEW = ".jp-Notebook .mlr-live"
SAVED = ".jp-Notebook .jupyter-mlrun-static"
# each value is its own name: what is drawn says which call of log() it was, and the file says when that was
TICKS = """%%submit --name ticks
import json, time
from jupyter_mlrun import log

print("\\x1b[32mbegun\\x1b[0m", flush=True)
while not START.exists():
    time.sleep(0.02)
written = []
for n in range(1, COUNT + 1):
    written.append(time.time())
    log("tick", n, step=n)
    time.sleep(PAUSE)
TIMES.write_text(json.dumps(written))
time.sleep(STAY)
"""
# notes when each value came to be on the page; the canvas is drawn in the same animation frame
WATCH = """() => {
  window.drawn = [...document.querySelectorAll('.jp-Notebook .mlr-live')].map(() => ({}));
  const look = () => {
    document.querySelectorAll('.jp-Notebook .mlr-live').forEach((view, i) => {
      const value = view.querySelector('.card .value')?.textContent;
      if (value && window.drawn[i] && !(value in window.drawn[i])) window.drawn[i][value] = Date.now() / 1000;
    });
    requestAnimationFrame(look);
  };
  look();
}"""


def ticks(folder: Path, *, count: int, pause: float, stay: float = 0.0) -> str:
    values = {"COUNT": str(count), "PAUSE": str(pause), "STAY": str(stay)}
    values |= {"START": f"Path({str(folder / 'start')!r})", "TIMES": f"Path({str(folder / 'times.json')!r})"}
    cell = TICKS.replace("import json, time", "import json, time\nfrom pathlib import Path")
    for name, value in values.items():
        cell = cell.replace(name, value)
    return cell


def measure(lab: Lab, folder: Path, count: int) -> list[float]:
    """Begin to log, and return how long each value took to the page, in milliseconds, over all views in sight."""
    lab.page.evaluate(WATCH)
    (folder / "start").touch()
    last = "count => window.drawn.some(seen => String(count) in seen || count.toLocaleString('en-US') in seen)"
    lab.page.wait_for_function(last, arg=count)
    drawn: list[dict[str, float]] = lab.page.evaluate("window.drawn")
    drawn = [seen for seen in drawn if str(count) in seen or f"{count:,}" in seen]
    expect(lab.page.locator(f"{VIEW} .pill").first).to_have_text("Completed")
    written = json.loads((folder / "times.json").read_text())
    # of values that came in one frame only the newest is on the page: each waits for the first that is not older
    waited = []
    for seen in drawn:
        at = {int(value.replace(",", "")): when for value, when in seen.items() if value.replace(",", "").isdigit()}
        for n, when in enumerate(written, 1):
            waited.append(1000 * (min(at[m] for m in at if m >= n) - when))
    return waited


def report(what: str, waited: list[float]) -> dict[str, Any]:
    cut = statistics.quantiles(waited, n=20)
    line = {"what": what, "values": len(waited), "p50": round(cut[9]), "p95": round(cut[18]), "max": round(max(waited))}
    print("log() to pixel, ms:", json.dumps(line))
    return line


def test_a_cell_that_logs_has_a_view_that_draws(lab: Lab, tmp_path: Path) -> None:
    (lab.notebooks / "live.ipynb").write_text(notebook(LOAD, ticks(tmp_path, count=60, pause=0.02)))
    lab.run_notebook("live.ipynb")
    view = lab.page.locator(VIEW)
    expect(view.locator(".pill")).to_have_text("Running")
    expect(lab.page.locator(SAVED)).to_be_hidden()
    expect(view.locator(".row")).to_have_text("begun")
    report("1 view", measure(lab, tmp_path, 60))
    expect(view.locator(".pill")).to_have_text("Completed")
    expect(view.locator(".card .foot")).to_contain_text("60 points")
    expect(view.locator("canvas")).to_have_count(1)
    lab.screenshot("live-lab")
    assert lab.errors == []


SHOW = """from jupyter_mlrun import RunDetails
for _ in range(19):
    RunDetails(_run).show()
"""
SLEEP = "import time\nprint('asleep', flush=True)\ntime.sleep(600)"


def begin(lab: Lab, name: str, *cells: str) -> None:
    """Open a notebook and run its cells, waiting for none."""
    (lab.notebooks / name).write_text(notebook(LOAD, *cells))
    lab.open(name)
    lab.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")


@pytest.mark.slow
@pytest.mark.parametrize("views", [1, 20])
def test_points_are_drawn_while_the_kernel_sleeps(lab: Lab, tmp_path: Path, views: int) -> None:
    lab.page.set_viewport_size({"width": 1100, "height": 1400})
    more = [SHOW] if views > 1 else []
    begin(lab, f"asleep{views}.ipynb", ticks(tmp_path, count=100, pause=0.05), *more, SLEEP)
    expect(lab.page.locator(VIEW)).to_have_count(views)
    lab.page.get_by_text("asleep", exact=True).wait_for()
    expect(lab.page.locator(f"{VIEW} .pill", has_text="Running").first).to_be_visible()
    waited = measure(lab, tmp_path, 100)
    assert len(waited) >= 100, "those in sight"
    report(f"{views} view(s), the kernel asleep", waited)
    prompts = lab.page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
    assert prompts[-1] == "[*]:", "the kernel was asleep all the time"
    assert lab.errors == []


def test_stop_from_the_view(lab: Lab, tmp_path: Path) -> None:
    (lab.notebooks / "stop.ipynb").write_text(notebook(LOAD, ticks(tmp_path, count=3, pause=0, stay=600)))
    lab.run_notebook("stop.ipynb")
    view = lab.page.locator(VIEW)
    (tmp_path / "start").touch()
    expect(view.locator(".card .value")).to_have_text("3")
    view.get_by_role("button", name="Stop this run").click()
    view.get_by_role("button", name="Stop it").click()
    expect(view.locator(".pill")).to_have_text("Canceled")
    assert lab.errors == []


def test_reloaded_and_restarted_the_output_is_right(lab: Lab, tmp_path: Path) -> None:
    (lab.notebooks / "again.ipynb").write_text(notebook(LOAD, ticks(tmp_path, count=30, pause=0.01)))
    lab.run_notebook("again.ipynb")
    view = lab.page.locator(VIEW)
    (tmp_path / "start").touch()
    expect(view.locator(".pill")).to_have_text("Completed")
    lab.execute("docmanager:save")
    lab.page.reload()
    lab.page.wait_for_function("window.jupyterapp !== undefined")
    expect(view.locator(".pill")).to_have_text("Completed")
    expect(view.locator(".card .foot")).to_contain_text("30 points")
    expect(lab.page.locator(SAVED)).to_be_hidden()
    lab.page.evaluate("""async () => {
      await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart();
    }""")
    # with that kernel nothing is left of the widget: the server draws
    lab.page.reload()
    lab.page.wait_for_function("window.jupyterapp !== undefined")
    expect(view.locator(".pill")).to_have_text("Completed")
    expect(view).to_have_count(1)
    expect(lab.page.locator(SAVED)).to_be_hidden()
    lab.screenshot("live-reopened")
