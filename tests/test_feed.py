"""What a live view is told: everything, in bounded frames, whatever the run does and however it is named."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.lines import LogLines
from jupyter_mlrun.store.livemetrics import LiveReader
from jupyter_mlrun.ui import feed as feeds
from jupyter_mlrun.ui.contract import FRAME_BYTES, MOST_FRAME_LINES, MOST_POINTS
from jupyter_mlrun.ui.feed import Feed
from jupyter_mlrun.worker import notes
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import ended_run, recorded_run

HOSTILE = [
    "<script>alert(1)</script>",
    "lone \ud800 surrogate",
    "nul \0 and \x1b[31mcolour\x1b[0m \u202e",
    "a\nb\r\nc",
    "x" * 100_000,
    "",
    " ",
]


class View:
    """What a view does with its messages; the rules of the contract are checked on the way."""

    def __init__(self, feed: Feed, buckets: int = 400) -> None:
        self.feed, self.seq = feed, 0
        self.run: Any = None
        self.problem: Any = None
        self.series: dict[str, Any] = {}
        self.points: dict[str, np.ndarray[Any, Any]] = {}
        self.lines: dict[int, str] = {}
        self.total = self.frames = self.biggest = 0
        self.log: Any = None
        for made in feed.handle({"type": "hello", "view": "v", "have": None, "buckets": buckets}):
            self.take(*made)

    def look(self) -> bool:
        made = self.feed.frame()
        if made is not None:
            self.take(*made)
        return made is not None

    def catch_up(self) -> View:
        while self.look():
            pass
        return self

    def take(self, header: Any, buffer: bytes) -> None:
        size = len(sent(header)) + len(buffer)
        self.biggest, self.frames = max(self.biggest, size), self.frames + 1
        assert header["seq"] == self.seq + 1
        self.seq = header["seq"]
        if header["full"]:
            self.series, self.points, self.lines, self.run = {}, {}, {}, None
        self.run = header.get("run", self.run)
        self.problem = header["problem"]
        numbers = np.frombuffer(buffer, "<f8")
        used = 0
        for series in header["series"]:
            name, width = series["name"], len(series["columns"])
            assert series["offset"] == used
            rows = numbers[used : used + series["points"] * width].reshape(-1, width)
            used += rows.size
            if series["mode"] == "append":
                old = self.points[name]
                rows = np.column_stack((rows[:, :2], rows[:, [2, 2, 2]])) if old.shape[1] == 5 else rows
                rows = np.concatenate((old, rows))
            self.series[name], self.points[name] = series, rows
            assert len(rows) <= MOST_POINTS
        assert used == len(numbers)
        if "log" in header:
            self.take_log(header["log"])

    def take_log(self, log: Any) -> None:
        assert len(log["lines"]) <= MOST_FRAME_LINES
        self.log = log
        self.lines = {n: line for n, line in self.lines.items() if n < log["from"]}
        self.lines.update(enumerate(log["lines"], log["from"]))
        self.total = log["total"]
        assert log["from"] + len(log["lines"]) == log["total"]

    def ask(self, **message: Any) -> tuple[Any, bytes]:
        (made,) = self.feed.handle({"ask": 7, **message})
        assert made[0]["ask"] == 7
        sent(made[0])
        return made


def sent(header: Any) -> bytes:
    """As the kernel's session would send it: strict JSON, UTF-8."""
    return json.dumps(header, ensure_ascii=False, allow_nan=False).encode("utf-8")


@pytest.fixture
def place(home: Path) -> WorkspaceDir:
    return WorkspaceDir(home, "default").make()


@pytest.fixture
def run(place: WorkspaceDir) -> RunDir:
    return running(recorded_run(place))


def running(run: RunDir) -> RunDir:
    state = runs.move(run, runs.recorded(run), Status.STARTING, generation=1)
    runs.move(run, state, Status.RUNNING, started=1_700_000_001.0)
    return run


def write_log(run: RunDir, data: bytes) -> None:
    with run.log().open("ab") as file:
        file.write(data)


def test_the_first_frame_says_what_there_is(run: RunDir) -> None:
    writer = MetricWriter(str(run.metrics))
    for n in range(5):
        writer.log("loss", 1 / (n + 1), n)
    writer.log("note", "a text")
    write_log(run, b"one\ntwo\nthr")
    view = View(Feed(run))
    about = view.run
    assert (about["status"], about["shown"], about["over"], about["can_stop"]) == ("Running", "Running", False, True)
    assert (about["name"], about["experiment"], about["by"], about["tags"]) == (
        "name 0", "exp", "somebody", [("number", "0")])  # fmt: skip
    assert about["logs"] == ["std_log.txt"]
    assert dict(about["links"])["folder"] == run.path.absolute().as_uri()
    loss = view.series["loss"]
    assert (loss["kind"], loss["mode"], loss["count"], loss["last"]) == ("number", "reset", 5, "0.2")
    assert view.points["loss"][:, [0, 2]].tolist() == [[n, 1 / (n + 1)] for n in range(5)]
    assert (view.series["note"]["kind"], view.series["note"]["last"], len(view.points["note"])) == ("text", "a text", 0)
    assert view.lines == {0: "one", 1: "two", 2: "thr"}
    assert (view.log["partial"], view.log["bytes"], view.log["skipped"]) == (True, 11, 0)
    assert not view.look(), "nothing changed: no frame"


def test_later_frames_say_what_came(run: RunDir) -> None:
    writer = MetricWriter(str(run.metrics))
    view = View(Feed(run))
    writer.log("loss", 1.0)
    assert view.look()
    writer.log("loss", math.nan)
    writer.log("other", 2)
    write_log(run, b"begun")
    assert view.look()
    assert view.series["loss"]["mode"] == "append"
    assert view.series["loss"]["odd"][0][2] == "NaN"
    np.testing.assert_array_equal(view.points["loss"][:, 2], [1.0, math.nan])
    write_log(run, b" and ended\nnext\n")
    assert view.look()
    assert view.lines == {0: "begun and ended", 1: "next"}
    assert view.log["from"] == 0
    write_log(run, b"third\n")
    assert view.look()
    assert view.log["from"] == 2
    notes.annotate(str(run.annotations), tags={"stage": "late"})
    assert view.look()
    assert ("stage", "late") in view.run["tags"]
    state = runs.recorded(run)
    runs.finish(
        run, state, {"status": "Failed", "reason": "exit_code", "text": "ended with 3", "ended": 1_700_000_009.0}
    )
    assert view.look()
    assert (view.run["status"], view.run["reason"], view.run["over"], view.run["can_stop"]) == (
        "Failed", "ended with 3", True, False)  # fmt: skip
    assert not view.look()
    assert view.feed.settled


@pytest.mark.parametrize("kind", ["points", "row", "lines"])
def test_a_burst_loses_nothing(run: RunDir, kind: str) -> None:
    """100,000 in ten steps, as a reader that looks ten times a second sees them."""
    writer = MetricWriter(str(run.metrics))
    view = View(Feed(run))
    for step in range(10):
        numbers = range(step * 10_000, (step + 1) * 10_000)
        if kind == "points":
            for n in numbers:
                writer.log("loss", float(n), n)
        elif kind == "row":
            for n in numbers[::20]:
                writer.log_row({f"metric {m}": float(n + m) for m in range(20)}, n)
        else:
            write_log(run, b"".join(b"line %d\n" % n for n in numbers))
        before = view.frames
        assert view.look()
        assert view.frames == before + 1, "one frame a look"
    view.catch_up()
    assert view.biggest <= FRAME_BYTES
    if kind == "points":
        points = view.points["loss"]
        assert (view.series["loss"]["count"], view.series["loss"]["nonfinite"]) == (100_000, 0)
        assert (points[:, 2].min(), points[:, 3].max(), points[-1, 4]) == (0.0, 99_999.0, 99_999.0)
    elif kind == "row":
        assert {one["count"] for one in view.series.values()} == {5000}
        assert {name: points[-1, -1] for name, points in view.points.items()} == {
            f"metric {m}": 99_980.0 + m for m in range(20)
        }
    else:
        assert view.total == 100_000
        assert view.log["skipped"] > 9000
        assert view.lines[99_999] == "line 99999"
        for first in range(0, 100_000, 2000):
            lines = view.ask(type="lines", **{"from": first, "to": first + 2000})[0]["lines"]
            assert lines == [f"line {n}" for n in range(first, first + 2000)]


def test_the_view_holds_few_points_however_long_it_runs(run: RunDir) -> None:
    writer = MetricWriter(str(run.metrics))
    view = View(Feed(run), buckets=300)
    chance, values = random.Random(3), list[float]()
    for _ in range(400):
        for _ in range(chance.choice([1, 5, 100])):
            values.append(chance.gauss(0, 1))
            writer.log("loss", values[-1], len(values) - 1)
        view.look()
    points = view.points["loss"]
    assert view.series["loss"]["count"] == len(values) > MOST_POINTS
    assert (points[:, 2].min(), points[:, 3].max()) == (min(values), max(values))
    assert points[-1, [0, 4]].tolist() == [len(values) - 1, values[-1]]
    assert (np.diff(points[:, 0]) >= 0).all()


@pytest.mark.parametrize("metrics", [20, 300])
def test_a_full_frame_is_bounded_and_the_next_ones_complete_it(run: RunDir, metrics: int) -> None:
    writer = MetricWriter(str(run.metrics))
    for n in range(2000):
        writer.log_row({f"metric {m:03d}": math.sin(n / 30) * m for m in range(metrics)}, n)
    write_log(run, ("x" * 3000 + "\n").encode() * 2000)
    view = View(Feed(run), buckets=2000)
    frames = 1
    while view.look():
        frames += 1
    assert view.biggest <= FRAME_BYTES
    assert len(view.series) == min(metrics, 200)
    assert {len(points) >= 100 for points in view.points.values()} == {True}
    assert frames <= 12
    assert view.total == 2000


def test_hello_after_a_loss_gives_all_anew(run: RunDir) -> None:
    writer = MetricWriter(str(run.metrics))
    writer.log("loss", 1.0)
    view = View(Feed(run))
    writer.log("loss", 2.0)
    write_log(run, b"lost\n")
    assert view.feed.frame(), "this one never arrives"
    ((header, buffer),) = view.feed.handle({"type": "hello", "view": "v", "have": view.seq, "buckets": 100})
    assert header["full"]
    view.seq = header["seq"] - 1
    view.take(header, buffer)
    assert view.points["loss"][:, 2].tolist() == [1.0, 2.0]
    assert view.lines == {0: "lost"}
    assert not view.look()


def test_a_hidden_view_is_told_nothing_until_it_is_seen_again(run: RunDir) -> None:
    view = View(Feed(run))
    assert view.feed.handle({"type": "hide"}) == []
    write_log(run, b"unseen\n")
    assert not view.look()
    ((header, _),) = view.feed.handle({"type": "hello", "view": "v", "have": 1, "buckets": 100})
    assert header["log"]["lines"] == ["unseen"]


def test_views_of_one_run_read_its_files_once(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = MetricWriter(str(run.metrics))
    writer.log("loss", 0.0)
    views = [View(Feed(run)) for _ in range(20)]
    assert len({id(view.feed.reader) for view in views}) == 1
    calls: dict[str, int] = {}
    for kind, name in ((LogLines, "_take"), (LiveReader, "follow")):
        real = getattr(kind, name)

        def counted(self: Any, *args: Any, real: Any = real, name: str = name) -> Any:
            found = real(self, *args)
            calls[name] = calls.get(name, 0) + bool(found or name == "_take")
            return found

        monkeypatch.setattr(kind, name, counted)
    writer.log("loss", 1.0)
    write_log(run, b"a line\n")
    views[0].feed.reader.refresh()
    for view in views:
        made = view.feed.frame(refresh=False)
        assert made is not None
        view.take(*made)
        assert view.points["loss"][:, 2].tolist() == [0.0, 1.0]
    assert calls == {"_take": 1, "follow": 1}


# ---- zoom, lines, search, stop ---------------------------------------------------------------------------------


def test_a_zoom_is_exact(run: RunDir) -> None:
    writer = MetricWriter(str(run.metrics))
    values = [math.inf if n == 777 else math.sin(n / 100) for n in range(20_000)]
    for n, value in enumerate(values):
        writer.log("loss", value, n)
    view = View(Feed(run))
    asked = {"type": "range", "metric": "loss", "x": "step", "buckets": 500}
    header, buffer = view.ask(**asked, **{"from": 700, "to": 800})
    rows = np.frombuffer(buffer, "<f8").reshape(-1, 4)
    assert (header["count"], header["exact"], header["nonfinite"]) == (103, True, 1)
    assert rows[:, 0].tolist() == list(range(699, 802))
    assert rows[:, 3].tolist() == values[699:802]
    header, buffer = view.ask(**asked, **{"from": 20_000, "to": 0})
    assert (header["count"], header["exact"], len(buffer)) == (500, False, 500 * 32)
    writer.log("loss", 5.0, 20_000)
    header, buffer = view.ask(**asked, **{"from": 19_990, "to": 1e9})
    assert np.frombuffer(buffer, "<f8")[-1] == 5.0, "what came since is in it"


@pytest.mark.parametrize(
    "message",
    [
        {"type": "range", "metric": "no such", "x": "step", "from": 0, "to": 1, "buckets": 5},
        {"type": "range", "metric": "loss", "x": "step", "from": "a", "to": None, "buckets": 5},
        {"type": "range"},
        {"type": "lines", "from": "x", "to": 5},
        {"type": "lines"},
        {"type": "search", "text": "x"},
        {"type": "search", "text": "x", "from": math.nan},
        {"type": "lines", "from": math.inf, "to": 1},
    ],
)
def test_a_wrong_question_is_refused_in_words(run: RunDir, message: dict[str, Any]) -> None:
    MetricWriter(str(run.metrics)).log("loss", 1.0)
    header, _ = View(Feed(run)).ask(**message)
    assert header["type"] == "refused"
    assert header["error"]


@pytest.mark.parametrize("message", [None, 5, "hello", [], {}, {"type": "other", "ask": 1}, {"type": "lines"},
                                     {"type": ["hello"]}, {"type": "lines", "ask": "1"}])  # fmt: skip
def test_what_is_no_message_is_passed_over(run: RunDir, message: Any) -> None:
    assert Feed(run).handle(message) == []


@pytest.mark.parametrize("buckets", [None, "many", -5, 10**30, math.nan, math.inf, True, [1]])
def test_any_hello_is_answered(run: RunDir, buckets: Any) -> None:
    ((header, _),) = Feed(run).handle({"type": "hello", "buckets": buckets, "log": buckets})
    assert header["full"]


def test_lines_are_bounded(run: RunDir) -> None:
    write_log(run, ("y" * 4000 + "\n").encode() * 3000)
    view = View(Feed(run)).catch_up()
    header, _ = view.ask(type="lines", **{"from": 10, "to": 10**9})
    assert 30 < len(header["lines"]) < 100
    assert len(sent(header)) <= FRAME_BYTES + 5000
    assert header["total"] == 3000
    assert view.ask(type="lines", **{"from": -5, "to": 1})[0]["lines"] == ["y" * 4000]
    assert view.ask(type="lines", **{"from": 5, "to": 1})[0]["lines"] == []
    assert view.ask(type="lines", **{"from": 3000, "to": 3010})[0]["lines"] == []


def test_search_answers_in_slices(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_mlrun.store.lines.SEARCHED", 100_000)
    write_log(run, b"a line of the log\n" * 100_000 + b"the Needle\n")
    view = View(Feed(run)).catch_up()
    at, slices = 0, 0
    while True:
        header, _ = view.ask(type="search", text="needle", backward=False, **{"from": at})
        slices += 1
        if header["searched"] == "all":
            break
        assert header["line"] is None
        at = header["next"]
    assert (header["line"], header["total"]) == (100_000, 100_001)
    assert slices > 5
    header, _ = view.ask(type="search", text="nowhere", backward=True, **{"from": 10})
    assert (header["line"], header["searched"]) == (None, "all")


def test_stop_goes_to_whoever_can(run: RunDir) -> None:
    asked: list[int] = []
    view = View(Feed(run, stop=lambda: asked.append(1)))
    assert view.ask(type="command", name="stop")[0] == {"type": "done", "ask": 7, "error": None}
    assert asked == [1]
    assert "cannot restart" in view.ask(type="command", name="restart")[0]["error"]
    assert "cannot" in View(Feed(run)).ask(type="command", name="stop")[0]["error"]

    def fails() -> None:
        raise RuntimeError("the agent\nis gone \ud800")

    assert "the agent is gone" in View(Feed(run, stop=fails)).ask(type="command", name="stop")[0]["error"]


def test_what_a_run_waits_for(place: WorkspaceDir) -> None:
    feed = Feed(recorded_run(place), waiting=lambda: "a free GPU")
    view = View(feed)
    assert (view.run["status"], view.run["waiting"]) == ("NotStarted", "a free GPU")
    running(feed.run)
    assert view.look()
    assert (view.run["status"], view.run["waiting"]) == ("Running", None)


# ---- what cannot be shown --------------------------------------------------------------------------------------


def damage(run: RunDir) -> None:
    run.spec.write_text("{")


def newer(run: RunDir) -> None:
    run.spec.write_text(json.dumps({**json.loads(run.spec.read_text()), "format": 99}))


def not_a_folder(run: RunDir) -> None:
    shutil.rmtree(run.path)
    run.path.write_text("")


def loop(run: RunDir) -> None:
    shutil.rmtree(run.path)
    os.symlink(run.path, run.path)


def no_events(run: RunDir) -> None:
    run.events.unlink()


def remove(run: RunDir) -> None:
    shutil.rmtree(run.path)


CASES = [
    (damage, "damaged"),
    (newer, "format 99"),
    (not_a_folder, "cannot be read: Not a directory"),
    (loop, "cannot be read: Too many levels of symbolic links"),
    (no_events, "cannot be read: No such file"),
    (remove, "this run was removed"),
]


@pytest.mark.parametrize(("harm", "says"), CASES)
def test_a_run_that_cannot_be_read_says_so(run: RunDir, harm: Callable[[RunDir], None], says: str) -> None:
    harm(run)
    view = View(Feed(run))
    assert says in str(view.problem)
    assert view.run is None
    assert not view.look(), "once"


@pytest.mark.parametrize(("harm", "says"), CASES)
def test_what_was_shown_stays_when_a_run_goes_bad(run: RunDir, harm: Callable[[RunDir], None], says: str) -> None:
    MetricWriter(str(run.metrics)).log("loss", 1.0)
    view = View(Feed(run))
    assert view.problem is None
    harm(run)
    view.feed.reader.refresh(1e12)
    view.look()
    assert says in str(view.problem)
    assert view.points["loss"][:, 2].tolist() == [1.0]
    if harm is remove:
        assert view.feed.settled


def test_a_run_that_can_be_read_again_is_shown_again(run: RunDir) -> None:
    whole = run.spec.read_bytes()
    damage(run)
    view = View(Feed(run))
    assert not view.feed.settled
    run.spec.write_bytes(whole)
    assert view.look()
    assert (view.problem, view.run["status"]) == (None, "Running")


def test_a_newer_segment_is_said_and_the_rest_shown(run: RunDir) -> None:
    MetricWriter(str(run.metrics)).log("loss", 1.0)
    (run.metrics / "r1-1-1-1.0.s.seg").write_bytes(b"no segment" * 1000)
    view = View(Feed(run))
    assert view.series["loss"]["count"] == 1
    assert any("r1-1-1-1.0.s.seg: not a metric segment" in one for one in view.run["warnings"])


# ---- names and bytes -------------------------------------------------------------------------------------------


def test_hostile_names_are_text_and_bounded(place: WorkspaceDir) -> None:
    parameters = {name: {"text": name, "value": name} for name in HOSTILE}
    run = running(recorded_run(place, parameters=parameters, tags={n: n for n in HOSTILE}, display_name=HOSTILE[4]))
    writer = MetricWriter(str(run.metrics))
    for name in HOSTILE:
        writer.log(name, 1.0)
        writer.log("text", name)
    writer.log("a\u202e b c", 2.0)
    writer.log("a b c", 3.0)
    view = View(Feed(run))
    assert view.biggest < 50_000
    for name in view.series:
        assert len(name) <= 302
        assert name.isprintable()
        assert view.ask(type="range", metric=name, x="step", **{"from": 0, "to": 9}, buckets=5)[0]["type"] in (
            "range",
            "refused",
        )
    found = {name: np.frombuffer(view.ask(type="range", metric=name, x="step", **{"from": 0, "to": 9}, buckets=5)[1])
             for name in view.series if name.startswith("a b c")}  # fmt: skip
    assert sorted(rows[-1] for rows in found.values()) == [2.0, 3.0], "names that look alike are two metrics"


def test_hostile_log_bytes_are_text_and_bounded(run: RunDir) -> None:
    write_log(run, b"\xff\xfe \x00 \xed\xa0\x80\n\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2J<script>\n")
    write_log(run, b"10%\r20%\r100%\n" + b"x" * 10_000_000 + b"\nafter\n")
    view = View(Feed(run)).catch_up()
    assert view.biggest < 20_000
    assert view.lines[1] == "\x1b[31mred\x1b[0m <script>"
    assert view.lines[2] == "100%"
    assert len(view.lines[3]) < 4300
    assert view.lines[4] == "after"
    assert "\0" not in view.lines[0]


def test_ten_thousand_metrics_are_told_in_part(run: RunDir) -> None:
    writer = MetricWriter(str(run.metrics))
    for n in range(10_000):
        writer.log(f"metric {n:05d}", math.nan)
    feed = Feed(run)
    ((header, _),) = feed.handle({"type": "hello"})
    assert header["more_series"] == 9800
    view = View(Feed(run)).catch_up()
    assert len(view.series) == 200
    assert view.biggest <= FRAME_BYTES


def test_every_point_nan_is_bounded(run: RunDir) -> None:
    writer = MetricWriter(str(run.metrics))
    for n in range(100):
        writer.log_row({f"m{m}": math.nan for m in range(200)}, n)
    view = View(Feed(run)).catch_up()
    assert view.biggest <= FRAME_BYTES
    assert {one["nonfinite"] for one in view.series.values()} == {100}


def test_a_log_that_begins_anew_is_shown_anew(run: RunDir) -> None:
    write_log(run, b"first\nsecond\n")
    view = View(Feed(run))
    run.log().write_bytes(b"other\n")
    assert view.look()
    assert view.lines == {0: "other"}


def test_the_log_of_another_rank(place: WorkspaceDir) -> None:
    from jupyter_mlrun.records import Resources

    plain = recorded_run(place)
    spec = json.loads(plain.spec.read_text())
    spec["resources"] = {**Resources().__dict__, "procs": 2}
    plain.spec.write_text(json.dumps(spec))
    plain.log(0, 2).write_bytes(b"of rank 0\n")
    plain.log(1, 2).write_bytes(b"of rank 1\n")
    view = View(Feed(plain))
    assert view.run["logs"] == ["std_log_process_0.txt", "std_log_process_1.txt"]
    assert view.lines == {0: "of rank 0"}
    ((header, _),) = view.feed.handle({"type": "hello", "log": 1})
    assert header["log"]["lines"] == ["of rank 1"]
    ((header, _),) = view.feed.handle({"type": "hello", "log": 2})
    assert "log" not in header


def test_an_ended_run_rests_and_comes_back(place: WorkspaceDir) -> None:
    feed = Feed(ended_run(place))
    view = View(feed).catch_up()
    assert feed.settled
    feed.rest()
    ((header, buffer),) = feed.handle({"type": "hello"})
    before = view.run
    view.take(header, buffer)
    assert view.run == before
    assert view.lines == {0: "a line"}


@pytest.mark.parametrize(
    ("question", "key", "answer"),
    [
        ({"type": "lines", "from": 0, "to": 5}, "lines", ["a line"]),
        ({"type": "search", "text": "LINE", "from": 0, "backward": False}, "line", 0),
        ({"type": "count", "text": "a", "from": 0, "at": 0}, "count", 1),
    ],
)
def test_a_question_finds_the_log_of_a_run_that_rests(
    place: WorkspaceDir, question: dict[str, Any], key: str, answer: object
) -> None:
    feed = Feed(ended_run(place))
    View(feed).catch_up()
    feed.rest()
    ((header, _),) = feed.handle({**question, "ask": 1})
    assert header.get(key) == answer, header


def test_what_was_read_for_a_zoom_is_let_go(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    MetricWriter(str(run.metrics)).log("loss", 1.0)
    view = View(Feed(run))
    view.ask(type="range", metric="loss", x="time", **{"from": 0, "to": 9e9}, buckets=5)
    assert view.feed._zoomed is not None
    monkeypatch.setattr(feeds, "ZOOM_SECONDS", -1)
    view.look()
    assert view.feed._zoomed is None
