"""run.plot(): a chart for each metric, every peak in it, names as text."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun.errors import BadInput, NotFound, RunEnvironmentError
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import recorded_run


@pytest.fixture
def run(home: Path) -> Run:
    return Run.at(recorded_run(WorkspaceDir(home, "default").make()))


@pytest.fixture
def writer(run: Run) -> MetricWriter:
    return MetricWriter(str(run.directory.metrics))


def titles(figure: Any) -> list[str]:
    return [one.text for one in figure.layout.annotations]


def test_all_metrics_that_have_numbers(run: Run, writer: MetricWriter) -> None:
    for n in range(5):
        writer.log_row({"loss": 1 / (n + 1), "accuracy": n / 5, "note": "text", "epoch": n}, n * 10)
    figure = run.plot()
    assert titles(figure) == ["loss", "accuracy", "epoch"]
    assert [list(line.x) for line in figure.data] == [[0, 10, 20, 30, 40]] * 3
    assert list(figure.data[0].y) == [1 / (n + 1) for n in range(5)]
    assert {line.mode for line in figure.data} == {"lines"}
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"
    figure.to_json()


def test_chosen_metrics_over_time_and_smoothed(run: Run, writer: MetricWriter) -> None:
    for n in range(100):
        writer.log("loss", float(n % 2), n)
        writer.log("other", 1.0)
    assert titles(run.plot("other")) == ["other"]
    raw, smooth = run.plot(["loss"], x="time", smoothing=0.9).data
    assert str(raw.x[0]).startswith("20")
    assert raw.opacity < smooth.opacity
    assert list(raw.y[:4]) == [0.0, 1.0, 0.0, 1.0]
    assert smooth.y[0] == 0.0, "no pull towards zero at its start"
    assert all(0.3 < value < 0.7 for value in smooth.y[-20:])


def test_what_is_not_finite_is_named_and_a_gap(run: Run, writer: MetricWriter) -> None:
    for value in (1.0, math.nan, 3.0, math.inf, -math.inf):
        writer.log("loss", value)
    figure = run.plot(smoothing=0.5)
    assert titles(figure) == ["loss (3 NaN or infinite)"]
    assert [math.isnan(value) for value in figure.data[0].y] == [False, True, False, True, True]
    assert not math.isnan(figure.data[1].y[2])
    assert "Infinity" not in figure.to_json()


def test_peaks_of_a_long_series_are_kept(run: Run, writer: MetricWriter) -> None:
    for n in range(50_000):
        writer.log("loss", 1000.0 if n == 33_333 else math.sin(n))
    (line,) = run.plot().data
    assert len(line.x) <= 4002
    assert max(line.y) == 1000.0
    assert min(line.y) < -0.99


def test_names_are_text(run: Run, writer: MetricWriter) -> None:
    writer.log("<a href='javascript:alert(1)'>x</a>", 1.0)
    run.display_name = "<b>bold</b>"
    figure = run.plot()
    assert titles(figure) == ["&lt;a href='javascript:alert(1)'&gt;x&lt;/a&gt;"]
    assert figure.layout.title.text == "&lt;b&gt;bold&lt;/b&gt;"
    assert figure.data[0].mode == "markers", "a single point is seen"


def test_many_metrics(run: Run, writer: MetricWriter) -> None:
    for n in range(130):
        writer.log(f"metric {n}", n)
    assert len(run.plot().data) == 100


def test_no_metrics_yet(run: Run) -> None:
    assert titles(run.plot()) == ["no metrics yet"]


@pytest.mark.parametrize(
    ("asked", "kind", "says"),
    [
        ({"metrics": "los"}, NotFound, "no metric 'los'"),
        ({"metrics": ["note"]}, BadInput, "no numbers"),
        ({"x": "epoch"}, BadInput, "no axis"),
        ({"smoothing": 1}, BadInput, "below 1"),
        ({"smoothing": "much"}, BadInput, "below 1"),
        ({"smoothing": math.nan}, BadInput, "below 1"),
    ],
)
def test_wrong_use_is_told(run: Run, writer: MetricWriter, asked: Any, kind: type[Exception], says: str) -> None:
    writer.log("loss", 1.0)
    writer.log("note", "text")
    with pytest.raises(kind, match=says):
        run.plot(**asked)


def test_without_plotly_the_cure_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(RunEnvironmentError, match="plotly") as raised:
        run.plot()
    assert "pip install" in (raised.value.hint or "")
