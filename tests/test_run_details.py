"""``RunDetails``: what it shows, in a notebook and elsewhere; nothing of a run becomes markup."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun import BadInput, Experiment, Run, Workspace, live
from jupyter_mlrun.sdk import details
from jupyter_mlrun.sdk.details import RunDetails, as_html
from jupyter_mlrun.ui import pump as pumps
from jupyter_mlrun.ui import widget
from jupyter_mlrun.ui.pump import Pump
from tests.support import PATIENCE, finish, submit_cell, until

HOSTILE = [
    "<script>alert('x')</script>",
    "</div></style><img src=x onerror=alert(1)>",
    "\"'><a href='javascript:alert(1)'>",
    "здесь \u202e \U0001f426",
    "x" * 100_000,
    "&lt;b&gt; ${x} `y` {{z}}",
]
VOID = {"img", "br", "line", "meta"}
EXPECTED = {
    "style", "div", "span", "table", "tbody", "thead", "tr", "th", "td", "a", "pre", "svg", "line", "text", "path",
    "polygon", "circle",
}  # fmt: skip


class Seen(HTMLParser):
    """Tags, links and words; a tag that nobody expects is a failure."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in EXPECTED, tag
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parsed(text: str) -> Seen:
    text.encode("utf-8")
    seen = Seen()
    seen.feed(text)
    seen.close()
    assert seen.open == []
    assert all(link.startswith("file://") for link in seen.links)
    return seen


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Iterator[Run]:
    """An interactive run."""
    os.chdir(tmp_path)
    run = Experiment(Workspace(), "shown").start_logging(snapshot_directory=None, outputs=False, name="a name")
    yield run
    if run.path.is_dir():
        run.complete()


def test_what_is_shown(run: Run) -> None:
    for step in range(5):
        run.log("loss", 1 / (step + 1), step=step)
    run.log("one", 3)
    child = run.child_run("the child")
    child.log("accuracy", 0.75)
    child.complete()
    run.tag("stage", "test")
    run.add_properties({"commit": "abc"})
    run.directory.log().write_text("a line of the log\n")
    text = as_html(run)
    words = " ".join(parsed(text).words)
    for word in ("▶ Running", "a name", run.id, "stage: test", "loss", "0.2", "Started", "Created", "Duration",
                 "commit = abc", "the child", "accuracy = 0.75", "a line of the log"):  # fmt: skip
        assert word in words, word
    assert text.count("<svg") == 1, "a chart for the metric that has several points"
    assert "var(--jp-ui-font-color1" in text, "colours of the theme, so that it is right in the dark"
    assert "Ended" not in words
    run.fail("no luck")
    words = " ".join(parsed(as_html(run)).words)
    assert "✕ Failed" in words
    assert "no luck" in words
    assert "Ended" in words


@pytest.mark.parametrize("words", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_of_a_run_becomes_markup(run: Run, words: str) -> None:
    run.tag(words, words)
    run.add_properties({words: words})
    run.display_name = words
    run.log(words, words)
    run.log_row("row", **{words: words})
    run.log_table("table", {words: [words] * 3})
    child = run.child_run(words)
    child.log(words, 1)
    child.complete()
    run.directory.log().write_text(words)
    run.fail(words)
    text = as_html(run)
    parsed(text)
    assert len(text) < 1_000_000
    assert words[:20] in "".join(parsed(text).words)
    json.dumps(RunDetails(run).get_widget_data())


def test_values_that_are_no_numbers(run: Run) -> None:
    for value in (math.nan, math.inf, -math.inf, None, "text", True, 2**70):
        run.log("mixed", value)
        run.log("nan", math.nan)
    run.log_list("empty", [])
    parsed(as_html(run))


def test_ten_thousand_metrics_are_shown_in_part(run: Run) -> None:
    for number in range(10_000):
        run.log(f"metric {number}", number)
    text = as_html(run)
    assert "more metrics" in text
    assert len(text) < 1_000_000
    assert len(RunDetails(run).get_widget_data()["run_metrics"]) == details.MOST_METRICS


def test_widget_data(run: Run) -> None:
    run.log("loss", 0.5, step=3)
    run.log("loss", 0.25, step=4)
    data = RunDetails(run).get_widget_data()
    assert data["status"] == "Running"
    assert data["run_properties"]["run_id"] == run.id
    assert data["run_metrics"] == [
        {"name": "loss", "run_id": run.id, "steps": [3, 4], "categories": [0, 1], "series": [{"data": [0.5, 0.25]}]}
    ]
    assert data["workbench_run_details_uri"].startswith("file://")
    assert (data["child_runs"], data["error"]) == ([], None)


def test_outside_of_a_notebook_it_is_text(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    RunDetails(run).show(render_lib=None, widget_settings={})
    said = capsys.readouterr().out
    assert f"▶ Running  {run.id}  (a name)" in said
    assert "<" not in said


def test_what_is_no_run(home: Path) -> None:
    with pytest.raises(BadInput, match="shows a Run, not a str"):
        RunDetails("run")  # type: ignore[arg-type]


def test_in_a_notebook_it_follows_the_run(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no widget, what is saved is refreshed: the times, links and children are in it."""
    shown: list[tuple[str, str, bool]] = []

    def display(bundle: dict[str, Any], *, raw: bool, display_id: str, update: bool) -> None:
        assert raw
        shown.append((bundle["text/html"], display_id, update))

    pump = Pump()
    monkeypatch.setattr(live, "in_kernel", lambda: True)
    monkeypatch.setattr(live, "ALONE", 0.0)
    monkeypatch.setattr(widget, "pump", pump)
    monkeypatch.setattr(pumps, "HIDDEN_PAUSE", 0.01)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.setattr("IPython.display.display", display)
    gate = tmp_path / "gate"
    cell = (
        f"import os, time\nprint('begun')\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\nprint('the end')"
    )
    run = submit_cell(cell)
    RunDetails(run).show()
    assert not shown[0][2]
    until(lambda: "begun" in shown[-1][0], "it shows the log")
    gate.touch()
    finish(run)
    assert pump.join(PATIENCE), "it ends with the run"
    assert "✓ Completed" in shown[-1][0]
    assert "the end" in shown[-1][0]
    assert "Duration" in shown[-1][0]
    assert {display_id for _, display_id, _ in shown} == {shown[0][1]}
    before = len(shown)
    RunDetails(run).show()
    assert pump.join(PATIENCE)
    assert len(shown) == before + 1
