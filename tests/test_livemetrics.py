"""Sketches of metrics: nothing that was logged is missing from their shape, and their memory stays flat."""

from __future__ import annotations

import math
import os
import random
from pathlib import Path

import numpy as np
import pytest

from jupyter_mlrun.store import sketch as sketches
from jupyter_mlrun.store.livemetrics import LiveReader, OneMetric, part
from jupyter_mlrun.store.sketch import Sketch
from jupyter_mlrun.worker import segformat as form
from jupyter_mlrun.worker.segment import MetricWriter


def give(sketch: Sketch, values: list[float], first: int = 0) -> None:
    n = len(values)
    steps = np.arange(first, first + n, dtype=np.int64)
    kinds = np.broadcast_to(np.uint8(form.FLOAT), n)
    sketch.add(steps, steps * 1_000_000_000, np.array(values, float), kinds)


@pytest.mark.parametrize("seed", range(5))
def test_a_sketch_is_what_was_logged(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketches, "MOST_BUCKETS", 64)
    monkeypatch.setattr(sketches, "RECENT", 100)
    chance = random.Random(seed)
    sketch, values = Sketch(), list[float]()
    while len(values) < 5000:
        more = [chance.choice([chance.gauss(0, 1), math.nan, math.inf]) for _ in range(chance.choice([1, 2, 50, 700]))]
        give(sketch, more, len(values))
        values += more
        table = sketch.buckets(30)
        if table.shape[1] == 3:
            assert table[:, 0].tolist() == list(range(len(values)))
            np.testing.assert_array_equal(table[:, 2], values)
            continue
        assert len(table) <= 30
        ends = table[:, 0].astype(int)
        assert ends[-1] == len(values) - 1
        start = 0
        for end, row in zip(ends.tolist(), table, strict=True):
            inside = np.array(values[start : end + 1])
            np.testing.assert_array_equal(row[2], np.fmin.reduce(inside))
            np.testing.assert_array_equal(row[3], np.fmax.reduce(inside))
            np.testing.assert_array_equal(row[[1, 4]], [end, values[end]])
            start = end + 1
    assert sketch.count == sketch.numbers == len(values)
    assert sketch.nonfinite == sum(not math.isfinite(v) for v in values)
    places = [n for n, v in enumerate(values) if not math.isfinite(v)][-50:]
    assert [odd[0] for odd in sketch.odd] == places
    assert {odd[3] for odd in sketch.odd} == {"NaN", "Infinity"}


def test_recent_points_are_there_one_by_one() -> None:
    sketch = Sketch()
    for start in range(0, 20_000, 700):
        give(sketch, [float(n) for n in range(start, start + 700)], start)
        for since in (sketch.numbers, sketch.numbers - 1, sketch.numbers - min(sketch.numbers, 4096)):
            recent = sketch.recent(since)
            assert recent is not None
            assert recent[:, 2].tolist() == [float(n) for n in range(since, sketch.numbers)]
    assert sketch.recent(sketch.numbers - 5000) is None


def test_memory_stays_flat() -> None:
    sketch = Sketch()
    for start in range(0, 2_000_000, 50_000):
        give(sketch, [0.5] * 50_000, start)
    assert sketch._table.nbytes + sketch._recent.nbytes < 700_000
    assert sketch.buckets(1000)[-1].tolist() == [1_999_999.0, 1_999_999.0, 0.5, 0.5, 0.5]


def test_steps_that_go_back_are_put_in_order() -> None:
    sketch = Sketch()
    for epoch in range(3):
        give(sketch, [float(epoch)] * 10, 0)
    assert sketch.buckets(100)[:, 0].tolist() == [float(n) for n in range(10) for _ in range(3)]


def test_follow_reads_what_the_process_logs(tmp_path: Path) -> None:
    writer, reader = MetricWriter(str(tmp_path)), LiveReader(tmp_path)
    assert not reader.follow(0.0)
    writer.log("loss", 0.5, 7)
    assert reader.follow(0.01), "a new file is seen at once"
    assert not reader.follow(0.02)
    for n in range(10_000):
        writer.log("loss", n / 10, n)
        if n % 1000 == 0:
            assert reader.follow(0.03), "and so is a new record"
    reader.follow(0.03)
    assert reader.sketches["loss"].count == 10_001
    assert reader.last_of("loss") == 999.9
    writer.log_row({"a": 1, "b": 2.0, "c": True, "d": "text"})
    writer.log("a", math.nan)
    writer.log("none", None)
    writer.log("big", 2**70)
    assert reader.follow(0.04)
    assert reader.shown == ["a", "b", "big", "c", "d", "loss", "none"]
    assert reader.last()["d"] == "text"
    numbers = {name: (sketch.count, sketch.numbers) for name, sketch in reader.sketches.items()}
    assert numbers == {"a": (2, 2), "b": (1, 1), "big": (1, 1), "c": (1, 1), "d": (1, 0), "loss": (10_001, 10_001),
                       "none": (1, 0)}  # fmt: skip
    assert reader.sketches["a"].buckets(9)[:, 0].tolist() == [0, 1], "steps that nobody gave are counted"


def test_a_quick_look_costs_no_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = MetricWriter(str(tmp_path)), LiveReader(tmp_path)
    writer.log("loss", 1.0)
    reader.follow(0.0)
    reader.follow(0.0)
    monkeypatch.setattr(os, "listdir", lambda *_: pytest.fail("listed"))
    assert not reader.follow(0.5)
    monkeypatch.undo()
    reader.follow(5.0)
    reader.close()
    writer.log("loss", 2.0)
    assert reader.follow(5.1), "closed files are opened again"


def test_of_many_metrics_the_first_by_name_are_kept(tmp_path: Path) -> None:
    writer, reader = MetricWriter(str(tmp_path)), LiveReader(tmp_path, most=10)
    for n in reversed(range(50)):
        writer.log(f"metric {n:02d}", n)
    reader.follow(0.0)
    for n in range(50):
        writer.log(f"metric {n:02d}", n)
    reader.follow(1.0)
    assert reader.shown == sorted(reader.sketches) == [f"metric {n:02d}" for n in range(10)]
    assert {sketch.count for sketch in reader.sketches.values()} == {2}
    assert reader.more == 40
    assert len(reader.last()) == 10


def test_a_part_of_one_metric(tmp_path: Path) -> None:
    writer = MetricWriter(str(tmp_path))
    values = [math.sin(n / 50) if n % 100 else math.nan for n in range(5000)]
    for n, value in enumerate(values):
        writer.log_row({"loss": value, "other": 1.0, "third": 2, "fourth": 3}, n)
    reader = OneMetric(tmp_path, "loss")
    reader.refresh()
    assert reader.names() == ["loss"]
    rows, exact = part(reader.series("loss"), "step", 1000, 1100, 500)
    assert exact
    assert rows[:, 0].tolist() == list(range(999, 1102))
    np.testing.assert_array_equal(rows[:, 3], values[999:1102])
    rows, exact = part(reader.series("loss"), "step", -1e9, 1e9, 100)
    assert not exact
    assert len(rows) == 100
    assert rows[-1, 0] == 4999
    assert (np.nanmin(rows[:, 1]), np.nanmax(rows[:, 2])) == (np.nanmin(values), np.nanmax(values))
    times = reader.series("loss").times
    rows, exact = part(reader.series("loss"), "time", times[10], times[20], 100)
    np.testing.assert_array_equal(rows[:, 0], times[9:22])
    assert len(part(reader.series("loss"), "step", 7000, 8000, 100)[0]) == 1, "the neighbour alone"
    assert len(part(reader.series("loss"), "step", math.nan, math.nan, 100)[0]) <= 102
