"""What a live view is told beside metrics and log: rows, tables, images, the machine, cells, the queue, matches."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_mlrun.rundir import RunDir, append_line, dump_json
from jupyter_mlrun.store import lines
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.lines import LogLines
from jupyter_mlrun.ui import feed as feeds
from jupyter_mlrun.ui import formpart
from jupyter_mlrun.ui.contract import FRAME_BYTES, MOST_CELLS, MOST_SAMPLES
from jupyter_mlrun.ui.feed import Feed
from jupyter_mlrun.worker import logforms
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import recorded_run
from tests.test_feed import running, sent, write_log

GB = 10**9


@pytest.fixture
def run(home: Path) -> RunDir:
    return running(recorded_run(WorkspaceDir(home, "default").make()))


def hello(feed: Feed) -> tuple[Any, np.ndarray[Any, Any]]:
    """The full frame, and its numbers."""
    ((header, buffer),) = feed.handle({"type": "hello", "view": "v", "have": None, "buckets": 400})
    sent(header)
    return header, np.frombuffer(buffer, "<f8")


def form_of(run: RunDir, name: str) -> Any:
    header, _ = hello(Feed(run))
    return next(series["form"] for series in header["series"] if series["name"] == name)


# ---- rows, tables, lists, images, matrices ---------------------------------------------------------------------


def test_rows_are_a_table_and_a_line_for_each_column_of_numbers(run: RunDir) -> None:
    writer = MetricWriter(str(run.metrics))
    for n in range(120):
        logforms.log_row(writer, "epochs", {"loss": 1 / (n + 1), "name": f"e{n}", "good": n > 3})
    header, numbers = hello(Feed(run))
    (series,) = header["series"]
    form = series["form"]
    assert (series["kind"], series["last"], form["form"], form["total"]) == ("form", "", "row", 120)
    assert form["columns"] == ["loss", "name", "good"]
    assert form["rows"][-1] == ["0.0083333", "e119", "True"]
    assert len(form["rows"]) == 50, "the newest"
    ((column, offset, points),) = form["lines"]
    line = numbers[offset : offset + 4 * points].reshape(-1, 4)
    assert (column, points) == (0, 120)
    np.testing.assert_array_equal(line[:, 3], [1 / (n + 1) for n in range(120)])
    np.testing.assert_array_equal(line[:, 0], range(120))


def test_more_rows_are_told_once_a_second(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = MetricWriter(str(run.metrics))
    logforms.log_row(writer, "epochs", {"loss": 1.0})
    feed = Feed(run)
    hello(feed)
    monkeypatch.setattr(feeds, "FORM_SECONDS", 1e9)  # however long the next lines take
    logforms.log_row(writer, "epochs", {"loss": 2.0, "later": 3})
    while (made := feed.frame()) is not None:
        assert made[0]["series"] == [], "too soon"
    assert not feed.settled
    monkeypatch.setattr(feeds, "FORM_SECONDS", 0.0)
    made = feed.frame()
    assert made is not None
    (series,) = made[0]["series"]
    assert series["form"]["rows"] == [["1", ""], ["2", "3"]]
    assert feed.frame() is None


def test_tables_of_columns_come_one_under_the_other(run: RunDir) -> None:
    writer = MetricWriter(str(run.metrics))
    logforms.log_table(writer, "t", {"x": [1, 2], "y": [0.5, None]})
    logforms.log_table(writer, "t", {"x": 3, "z": "<b>"})
    form = form_of(run, "t")
    assert form["columns"] == ["x", "y", "z"]
    assert form["rows"] == [["1", "0.5", ""], ["2", "", ""], ["3", "", "<b>"]]
    logforms.log_list(writer, "l", [])
    assert form_of(run, "l")["rows"] == []


def test_a_wide_row_is_bounded(run: RunDir) -> None:
    writer = MetricWriter(str(run.metrics))
    for _ in range(60):
        logforms.log_row(writer, "wide", {f"column {n} {'x' * 300}": "y" * 300 for n in range(80)})
    header, _ = hello(Feed(run))
    form = header["series"][0]["form"]
    assert (len(form["columns"]), form["more_columns"]) == (30, 50)
    assert len(sent(header)) < FRAME_BYTES


def confusion(run: RunDir, document: Any) -> Any:
    writer = MetricWriter(str(run.metrics))
    logforms.log_document(writer, str(run.path), "confusion_matrix", "c", document)
    return form_of(run, "c")


def test_a_confusion_matrix_has_its_classes(run: RunDir) -> None:
    data = {"class_labels": ["ant", "bee\x1b[31m"], "matrix": [[5, 1], [0, 7]]}
    form = confusion(run, {"schema_type": "confusion_matrix", "schema_version": "v1", "data": data})
    assert (form["columns"], form["matrix"], form["problem"]) == (["ant", "bee"], [[5.0, 1.0], [0.0, 7.0]], None)
    assert form["file"].startswith("c_")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"matrix": [[1, 2]]}, "not square"),
        ({"matrix": [[0] * 31] * 31}, "31 classes"),
        ({"matrix": "<script>"}, "could not convert"),
        ({}, "matrix"),
        ([], "list indices"),
    ],
)
def test_a_matrix_that_is_none_says_why(run: RunDir, data: Any, says: str) -> None:
    form = confusion(run, {"schema_type": "confusion_matrix", "schema_version": "v1", "data": data})
    assert form["matrix"] is None
    assert says in form["problem"]


def png(width: int = 2, height: int = 1) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" + bytes(3 * width))) + chunk(b"IEND", b"")


def show_image(run: RunDir, tmp_path: Path, data: bytes) -> tuple[Any, bytes]:
    (tmp_path / "a.png").write_bytes(data)
    writer = MetricWriter(str(run.metrics))
    logforms.log_image(writer, str(run.path), "plot", str(tmp_path / "a.png"), None)
    feed = Feed(run)
    header, _ = hello(feed)
    assert header["series"][0]["form"]["form"] == "image"
    (made,) = feed.handle({"type": "image", "ask": 1, "metric": "plot"})
    return made


def test_an_image_is_its_bytes(run: RunDir, tmp_path: Path) -> None:
    header, buffer = show_image(run, tmp_path, png())
    assert (header["mime"], buffer[: header["size"]], len(buffer) % 8) == ("image/png", png(), 0)


def test_a_jpeg_is_known_by_its_frame(run: RunDir, tmp_path: Path) -> None:
    app = b"\xff\xe0" + struct.pack(">H", 4) + b"\0\0"
    data = b"\xff\xd8" + app + b"\xff\xc0" + struct.pack(">HBHH", 17, 8, 30, 40) + bytes(20)
    header, _ = show_image(run, tmp_path, data)
    assert (header["type"], header["mime"]) == ("image", "image/jpeg")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<svg onload=alert(1)>", "only PNG and JPEG"),
        (b"\xff\xd8\xff but no frame", "only PNG and JPEG"),
        (png(60_000, 60_000)[:60], "60,000 by 60,000"),
        (b"\x89PNG" + bytes(formpart.IMAGE_BYTES), "at most 2,097,152"),
    ],
)
def test_what_is_no_picture_is_refused(run: RunDir, tmp_path: Path, data: bytes, says: str) -> None:
    header, buffer = show_image(run, tmp_path, data)
    assert (header["type"], buffer) == ("refused", b"")
    assert says in header["error"]


def test_an_artifact_that_leads_out_of_the_run_is_not_read(run: RunDir, tmp_path: Path) -> None:
    writer = MetricWriter(str(run.metrics))
    feed = Feed(run)
    for name in ("../../secret", "/etc/hostname", None, 5, "link.png"):
        writer.log_json("i", {"$form": "image", "value": "x", "artifact": name})
        run.artifacts.mkdir(exist_ok=True)
        if not (run.artifacts / "link.png").is_symlink():
            (tmp_path / "secret.png").write_bytes(png())
            (run.artifacts / "link.png").symlink_to(tmp_path / "secret.png")
        hello(feed)
        ((header, _),) = feed.handle({"type": "image", "ask": 1, "metric": "i"})
        assert header["type"] == "refused", name


# ---- the machine -----------------------------------------------------------------------------------------------


def sample(run: RunDir, *places: int) -> None:
    if not run.system.exists():
        gpus = [{"uuid": "GPU-1", "name": "Big <b>", "memory": 80 * GB}]
        append_line(run.system, dump_json({"format": 1, "cores": 4, "memory": 8 * GB, "gpus": gpus}))
    for n in places:
        one = {"time": 1e9 + 2 * n, "mono": 2.0 * n, "cpu": 3.0 * n, "memory": n * GB, "free": 9 * GB}
        append_line(run.system, dump_json({**one, "read": 0, "written": 0, "gpus": [[50, GB]]}))


def usage(header: Any, numbers: np.ndarray[Any, Any]) -> dict[str, tuple[Any, np.ndarray[Any, Any]]]:
    return {
        one["name"]: (one, numbers[one["offset"] : one["offset"] + 2 * one["points"]].reshape(-1, 2))
        for one in header["system"]["usage"]
    }


def test_the_system_comes_in_increments(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_mlrun.ui.reader.SYSTEM_SECONDS", 0.0)
    sample(run, 1, 2, 3)
    feed = Feed(run)
    header, numbers = hello(feed)
    assert (header["system"]["cores"], header["system"]["gpus"]) == (4, [("Big <b>", 80.0 * GB)])
    found = usage(header, numbers)
    assert found["cpu"][1].tolist() == [[1e9 + 4, 150.0], [1e9 + 6, 150.0]]
    assert (found["cpu"][0]["most"], found["memory"][0]["most"], found["gpu0"][0]["most"]) == (400, 8 * GB, 100)
    assert found["gpu0_memory"][0]["most"] == 80 * GB
    assert feed.frame() is None
    sample(run, 4)
    made = feed.frame()
    assert made is not None
    one, rows = usage(made[0], np.frombuffer(made[1], "<f8"))["memory"]
    assert (one["mode"], rows.tolist()) == ("append", [[1e9 + 8, 4 * GB]])


def test_the_system_stays_small_in_the_view(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_mlrun.ui.reader.SYSTEM_SECONDS", 0.0)
    feed = Feed(run)
    hello(feed)
    held, most = 0, 0
    for first in range(1, 2000, 50):
        sample(run, *range(first, first + 50))
        made = feed.frame()
        assert made is not None
        one, rows = usage(made[0], np.frombuffer(made[1], "<f8"))["memory"]
        held = len(rows) + (held if one["mode"] == "append" else 0)
        most = max(most, held)
        assert rows[-1].tolist() == [1e9 + 2 * (first + 49), (first + 49) * GB]
    assert 0 < most <= MOST_SAMPLES


def test_a_system_file_of_a_newer_format_is_said_and_the_rest_shown(run: RunDir) -> None:
    run.system.write_bytes(dump_json({"format": 99}))
    write_log(run, b"a line\n")
    header, _ = hello(Feed(run))
    assert header["problem"] is None
    assert header["log"]["lines"] == ["a line"]
    assert any("system.jsonl" in warning for warning in header["run"]["warnings"])


# ---- a notebook's cells ----------------------------------------------------------------------------------------


def told(run: RunDir, **event: Any) -> None:
    append_line(run.path / "notebook.jsonl", dump_json({"time": 1e9, **event}))


def test_cells_come_as_they_begin_and_end(run: RunDir) -> None:
    told(run, type="begin", format=1, notebook="n.ipynb", cells=12)
    told(run, type="cell", cell=None, count=1)
    told(run, type="cell_end", cell=None, status="ok", count=1)
    told(run, type="cell", cell=2, count=2)
    told(run, type="cell_end", cell=2, status="ok", count=2, time=1e9 + 3)
    told(run, type="cell", cell=5, count=3, time=1e9 + 4)
    feed = Feed(run)
    cells = hello(feed)[0]["cells"]
    assert (cells["total"], cells["done"], cells["current"], cells["said"]) == (12, 4, 5, "cell 5 of 12")
    assert cells["changed"] == [(2, "done", 1e9, 3.0), (5, "running", 1e9 + 4, None)]
    assert feed.frame() is None
    told(run, type="cell_end", cell=5, status="error", count=3, error="ValueError", time=1e9 + 6)
    told(run, type="end", status="failed", text="cell 5 raised ValueError")
    made = feed.frame()
    assert made is not None
    cells = made[0]["cells"]
    assert (cells["failed"], cells["current"], cells["error"]) == (5, None, "ValueError")
    assert cells["changed"] == [(5, "failed", 1e9 + 4, 2.0)]
    assert hello(feed)[0]["cells"]["changed"] == [(2, "done", 1e9, 3.0), (5, "failed", 1e9 + 4, 2.0)]


@pytest.mark.parametrize(("last", "done"), [("ok", 3), ("exit", 1)])
def test_a_notebook_that_ended(run: RunDir, last: str, done: int) -> None:
    told(run, type="begin", cells=3)
    told(run, type="cell", cell=1)
    told(run, type="cell_end", cell=1, status=last)
    told(run, type="end", status="completed")
    cells = hello(Feed(run))[0]["cells"]
    assert (cells["done"], cells["said"]) == (done, f"{done} of 3 cells done")


def test_a_notebook_of_many_cells_and_a_damaged_file(run: RunDir) -> None:
    path = run.path / "notebook.jsonl"
    path.write_text('torn {"\n[]\n{"type": "begin", "cells": "x"}\n{"type": "cell", "cell": "y", "time": "z"}\n')
    feed = Feed(run)
    assert "cells" not in hello(feed)[0]
    told(run, type="begin", cells=5000)
    with path.open("ab") as file:
        for n in range(1, 5001):
            file.write(b'{"type": "cell", "cell": %d, "time": NaN}\n' % n)
    made = feed.frame()
    assert made is not None
    assert made[0]["cells"]["current"] == 5000
    assert len(made[0]["cells"]["changed"]) == MOST_CELLS
    assert len(sent(made[0])) < FRAME_BYTES


def test_other_runs_have_no_cells(run: RunDir) -> None:
    assert {"cells", "system"}.isdisjoint(hello(Feed(run))[0])


# ---- the queue, the start --------------------------------------------------------------------------------------


def test_where_it_stands_in_the_queue(home: Path) -> None:
    run = recorded_run(WorkspaceDir(home, "default").make())
    place = {"place": "2nd of 5", "first": "a", "waits_for": "gpus", "cure": "--gpus 0", "by": None, "lane": "gpu"}
    feed = Feed(run, waiting=lambda: "waiting for 1 GPU", queue=lambda: place)
    about = hello(feed)[0]["run"]
    assert about["queue"] == {key: place[key] for key in ("place", "first", "waits_for", "cure", "by")}
    running(run)
    made = feed.frame()
    assert made is not None
    assert (made[0]["run"]["queue"], made[0]["run"]["waiting"]) == (None, None)


def test_how_it_started_is_said(run: RunDir) -> None:
    run.grant.write_bytes(dump_json({"start": "cold: no fork server is ready"}))
    assert hello(Feed(run))[0]["run"]["start"] == "cold: no fork server is ready"


# ---- matches ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slice_bytes", [1, 1000, 1 << 23])
def test_matches_are_counted_in_slices(run: RunDir, monkeypatch: pytest.MonkeyPatch, slice_bytes: int) -> None:
    monkeypatch.setattr(lines, "SEARCHED", slice_bytes)
    write_log(run, b"".join(b"x Needle \x1b[31mred\n" if n % 7 == 3 else b"hay\n" for n in range(5000)))
    feed = Feed(run)
    hello(feed)
    count = before = asked = 0
    go_on: int | None = 0
    while go_on is not None:
        question = {"type": "count", "ask": 3, "text": "needle RED", "from": go_on, "at": 24}
        ((header, _),) = feed.handle(question)
        count, before, go_on, asked = count + header["count"], before + header["before"], header["next"], asked + 1
    assert (count, before) == (sum(n % 7 == 3 for n in range(5000)), 4)
    assert asked == (1 if slice_bytes > 1000 else 6)


def test_nothing_is_counted_beyond_the_end(run: RunDir) -> None:
    log = LogLines(run.log())
    assert log.count("x", 0, 0) == (0, 0, None)
    write_log(run, b"x\n")
    log.refresh()
    assert log.count("", 0, 0) == (0, 0, None)
    assert log.count("x", -5, 9) == (1, 1, None)
    assert log.count("x", 7, 9) == (0, 0, None)
