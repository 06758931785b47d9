"""The thread behind live views: bounded, never silently dead, gone when nothing is to come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.ui import pump as pumps
from jupyter_mlrun.ui.feed import Feed
from jupyter_mlrun.ui.pump import Pump, Saved, View
from jupyter_mlrun.ui.reader import RunReader
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import ended_run, recorded_run
from tests.support import PATIENCE, until

HELLO = {"type": "hello", "view": "v", "have": None, "buckets": 100}


class Still(Pump):
    """A pump whose turns the test takes."""

    def _start(self) -> None:
        return


@pytest.fixture
def place(home: Path) -> WorkspaceDir:
    return WorkspaceDir(home, "default").make()


@pytest.fixture
def run(place: WorkspaceDir) -> RunDir:
    run = recorded_run(place)
    state = runs.move(run, runs.recorded(run), Status.STARTING, generation=1)
    runs.move(run, state, Status.RUNNING, started=1_700_000_001.0)
    return run


@pytest.fixture
def pump() -> Iterator[Pump]:
    made = Pump()
    yield made
    for view in list(made._views):
        made.remove(view)
    made._wake.set()
    assert made.join(PATIENCE), "its thread ends when no view is left"


def listening(feed: Feed, saved: Saved | None = None) -> tuple[View, list[Any]]:
    heard: list[Any] = []
    return View(feed, lambda header, _: heard.append(header), saved), heard


def end(run: RunDir) -> None:
    found = {"status": "Completed", "reason": "finished", "text": "finished", "ended": 1_700_000_009.0}
    runs.finish(run, runs.recorded(run), found)


def frames(heard: list[Any]) -> list[Any]:
    return [header for header in heard if header["type"] == "frame"]


def test_frames_come_by_themselves_and_the_thread_ends_with_the_run(run: RunDir, pump: Pump) -> None:
    view, heard = listening(Feed(run))
    pump.add(view)
    pump.post(view, HELLO)
    until(lambda: frames(heard), "the first frame")
    MetricWriter(str(run.metrics)).log("loss", 1.0)
    until(lambda: any(f["series"] for f in frames(heard)), "a point")
    end(run)
    assert pump.join(PATIENCE), "the thread ends"
    assert next(f["run"]["status"] for f in reversed(frames(heard)) if "run" in f) == "Completed"
    assert [f["seq"] for f in frames(heard)] == list(range(1, len(frames(heard)) + 1))
    before = len(heard)
    pump.post(view, {"type": "lines", "ask": 1, "from": 0, "to": 5})
    pump.post(view, HELLO)
    until(lambda: len(heard) >= before + 2, "answers after the end")
    assert pump.join(PATIENCE)


def test_no_more_than_ten_frames_a_second(run: RunDir) -> None:
    pump, writer = Still(), MetricWriter(str(run.metrics))
    view, heard = listening(Feed(run))
    pump.add(view)
    pump.post(view, HELLO)
    now = 1e6
    for number in range(2000):
        now += 0.001
        writer.log("loss", now)
        if number % 3 == 0:
            pump.post(view, HELLO)
        pump.turn(now)
    assert 19 <= len(frames(heard)) <= 22
    pump.turn(now + 1)
    assert frames(heard)[-1]["series"][0]["count"] == 2000


def test_many_views_share_what_a_page_takes(run: RunDir) -> None:
    pump, writer = Still(), MetricWriter(str(run.metrics))
    views = [listening(Feed(run)) for _ in range(40)]
    for view, _ in views:
        pump.add(view)
        pump.post(view, HELLO)
    for number in range(100):
        writer.log("loss", 1.0)
        pump.turn(1e6 + number / 32)
    assert {len(frames(heard)) for _, heard in views} == {8}, "100 a second of all"
    for view, _ in views[:35]:
        pump.post(view, {"type": "hide"})
    for number in range(32):
        writer.log("loss", 1.0)
        pump.turn(1e6 + 10 + number / 32)
    assert len(frames(views[39][1])) == 8 + 8, "those that nobody sees take nothing"


def test_a_view_that_no_page_shows_takes_next_to_nothing(run: RunDir) -> None:
    """JupyterLab with our extension draws the run from its server: the kernel's view beside it stays silent."""
    free = [0.0]
    pump, writer = Still(lambda: free[0]), MetricWriter(str(run.metrics))
    (silent, said), (shown, seen) = views = [listening(Feed(run)) for _ in range(2)]
    for view, _ in views:
        pump.add(view)
    pump.post(shown, HELLO)

    def go_on(now: float) -> tuple[int, int]:
        before = len(frames(said)), len(frames(seen))
        for number in range(100):
            writer.log("loss", 1.0)
            pump.turn(now + number / 10)
        return len(frames(said)) - before[0], len(frames(seen)) - before[1]

    assert min(go_on(1e6)) >= 95, "the kernel is busy: who is silent may be shown all the same"
    free[0] = 10.0
    few, many = go_on(1e6 + 100)
    assert few <= 4
    assert many >= 95
    free[0] = 0.0
    assert go_on(1e6 + 200)[0] <= 3, "it stays unseen when the kernel has something to do again"
    pump.post(silent, HELLO)
    assert go_on(1e6 + 300)[0] >= 95, "a page opened it"


def test_a_view_that_has_not_spoken_is_told_everything_again(run: RunDir) -> None:
    """While the kernel is busy no hello arrives: a page that came up late must see a whole frame."""
    pump = Still()
    view, heard = listening(Feed(run))
    pump.add(view)
    now = 1e6
    times: list[float] = []
    for _ in range(256):
        now += 0.125
        before = len(frames(heard))
        pump.turn(now)
        times += [now - 1e6] * (len(frames(heard)) - before)
    assert all(frame["full"] for frame in frames(heard))
    assert times == [0.125, 0.625, 1.625, 3.625, 7.625, 15.625, 23.625, 31.625]
    pump.post(view, HELLO)
    for _ in range(300):
        now += 0.1
        pump.turn(now)
    assert len(frames(heard)) == 9, "it has spoken: nothing new, no frame"


def test_turns_slow_down(run: RunDir) -> None:
    pump = Still()
    view, _ = listening(Feed(run))
    pump.add(view)
    pump.post(view, HELLO)
    assert pump.turn(1e6) == pumps.LOOK_PAUSE
    assert pump.turn(1e6 + 60) == pumps.IDLE_PAUSE
    pump.post(view, {"type": "hide"})
    pump.turn(1e6 + 61)
    assert pump.turn(1e6 + 62) == pumps.HIDDEN_PAUSE
    end(run)
    pump.turn(1e6 + 63)
    assert pump.turn(1e6 + 64) is None
    assert view.resting


def test_twenty_views_of_one_run_read_it_once_a_turn(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    pump = Still()
    views = [listening(Feed(run)) for _ in range(20)]
    for view, _ in views:
        pump.add(view)
        pump.post(view, HELLO)
    pump.turn(1e6)
    calls: list[int] = []
    real = RunReader.refresh

    def counted(self: RunReader, now: float | None = None) -> bool:
        calls.append(1)
        return real(self, now)

    monkeypatch.setattr(RunReader, "refresh", counted)
    MetricWriter(str(run.metrics)).log("loss", 1.0)
    pump.turn(1e6 + 1)
    assert len(calls) == 1
    assert {len(frames(heard)) for _, heard in views} == {2}


def test_runs_that_nobody_sees_are_looked_at_rarely(place: WorkspaceDir, monkeypatch: pytest.MonkeyPatch) -> None:
    pump = Still()
    calls: list[str] = []
    going = [recorded_run(place, number=number) for number in range(3)]
    saved = Saved(lambda: None, 30.0)
    views = [listening(Feed(run), saved if number == 2 else None) for number, run in enumerate(going)]
    for view, _ in views:
        pump.add(view)
        pump.post(view, HELLO)
    for view, _ in views[1:]:
        pump.post(view, {"type": "hide"})
    pump.turn(1e6)
    real = RunReader.refresh

    def counted(self: RunReader, now: float | None = None) -> bool:
        calls.append(self.run.run_id)
        return real(self, now)

    monkeypatch.setattr(RunReader, "refresh", counted)
    for look in range(1, 41):
        pump.turn(1e6 + look * pumps.LOOK_PAUSE)
    assert [calls.count(run.run_id) for run in going] == [40, 4, 4]
    calls.clear()
    saved.hurry = True
    pump.post(views[1][0], HELLO)
    pump.turn(1e6 + 2.01)
    assert set(calls) == {run.run_id for run in going}, "whoever asks is answered at once"


def test_a_fault_is_shown_and_the_others_go_on(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    pump, writer = Still(), MetricWriter(str(run.metrics))
    (bad, heard), (_, others) = views = listening(Feed(run)), listening(Feed(run))
    for view, _ in views:
        pump.add(view)
        pump.post(view, HELLO)
    pump.turn(1e6)

    def fails(**_: Any) -> None:
        raise ZeroDivisionError("a fault\nof ours")

    real = bad.feed.frame
    monkeypatch.setattr(bad.feed, "frame", fails)
    for second in range(1, 60):
        writer.log("loss", 1.0)
        assert pump.turn(1e6 + second) is not None
    told = [f for f in frames(heard) if f["problem"]]
    assert 3 <= len(told) <= 8, "tried again, ever more rarely"
    assert "this view met an error, and tries again: ZeroDivisionError: a fault of ours" in told[0]["problem"]
    assert frames(others)[-1]["series"][0]["count"] == 59
    monkeypatch.setattr(bad.feed, "frame", real)
    pump.turn(1e6 + 200)
    last = frames(heard)[-1]
    assert (last["full"], last["problem"], last["series"][0]["count"]) == (True, None, 59)
    assert [f["seq"] for f in frames(heard)] == list(range(1, len(frames(heard)) + 1))


def test_a_fault_of_the_reader_is_shown_in_all_its_views(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    pump = Still()
    views = [listening(Feed(run)) for _ in range(2)]
    for view, _ in views:
        pump.add(view)
        pump.post(view, HELLO)
    monkeypatch.setattr(RunReader, "refresh", lambda *_: 1 / 0)
    pump.turn(1e6)
    for _, heard in views:
        assert "ZeroDivisionError" in frames(heard)[-1]["problem"]


def test_a_view_that_cannot_be_reached_is_given_up(run: RunDir, caplog: pytest.LogCaptureFixture) -> None:
    pump = Still()

    def closed(*_: Any) -> None:
        raise RuntimeError("the comm is gone")

    pump.add(View(Feed(run), closed))
    assert pump.turn(1e6) is not None
    assert pump.turn(1e6 + 1) is None
    assert "the comm is gone" in caplog.text


def test_a_command_holds_nothing_up(run: RunDir, pump: Pump) -> None:
    gate, asked = threading.Event(), threading.Event()

    def stop() -> None:
        asked.set()
        assert gate.wait(PATIENCE)

    view, heard = listening(Feed(run, stop=stop))
    pump.add(view)
    pump.post(view, HELLO)
    pump.post(view, {"type": "command", "ask": 1, "name": "stop"})
    assert asked.wait(PATIENCE)
    MetricWriter(str(run.metrics)).log("loss", 1.0)
    until(lambda: any(f["series"] for f in frames(heard)), "frames go on")
    assert not [m for m in heard if m["type"] == "done"]
    gate.set()
    until(lambda: [m for m in heard if m["type"] == "done"], "the answer")


def test_messages_that_are_none_do_no_harm(run: RunDir) -> None:
    pump = Still()
    view, heard = listening(Feed(run))
    pump.add(view)
    messages: list[Any] = [None, 5, [], {}, {"type": None}, {"type": "range", "ask": 1}]
    for message in messages:
        pump.post(view, message)
    pump.turn(1e6)
    assert [m["type"] for m in heard] == ["refused", "frame"]


# ---- what is saved ---------------------------------------------------------------------------------------------


def _drawing(run: RunDir, every: float = 30.0) -> tuple[Pump, list[float], Callable[[float], None]]:
    pump, drawn, now = Still(), list[float](), [0.0]
    feed = Feed(run)
    saved = Saved(lambda: drawn.append(now[0]), every, runs.observe(run))
    saved._drawn_at = 1e6
    pump.add(listening(feed, saved)[0])

    def turn(at: float) -> None:
        now[0] = at
        pump.turn(1e6 + at)

    return pump, drawn, turn


def test_what_is_saved_is_drawn_at_each_change_of_status_and_every_half_minute(run: RunDir) -> None:
    _, drawn, turn = _drawing(run)
    writer = MetricWriter(str(run.metrics))
    for second in range(100):
        writer.log("loss", 1.0)
        turn(second)
    assert drawn == [30, 60, 90]
    runs.move(run, runs.recorded(run), Status.CANCEL_REQUESTED)
    turn(100)
    end(run)
    turn(100.2)
    assert drawn[3:] == [100, 100.2]
    turn(300)
    assert len(drawn) == 5, "nothing new: not drawn"


def test_what_is_saved_goes_on_while_nobody_looks(run: RunDir) -> None:
    pump, drawn, turn = _drawing(run)
    (view,) = pump._views
    pump.post(view, {"type": "hide"})
    turn(0)
    MetricWriter(str(run.metrics)).log("loss", 1.0)
    turn(31)
    end(run)
    turn(32)
    assert drawn == [31, 32]


def test_an_end_that_came_before_the_saved_part_was_shown_is_drawn_afterwards(run: RunDir) -> None:
    pump, drawn, turn = _drawing(run)
    (view,) = pump._views
    assert view.saved is not None
    view.saved.shown = False
    end(run)
    turn(1)
    turn(100)
    assert drawn == []
    assert view.active(101), "it is waited for"
    view.saved.shown = True
    turn(102)
    assert drawn == [102]


def test_what_was_saved_stays_when_the_run_is_removed(place: WorkspaceDir, run: RunDir) -> None:
    _, drawn, turn = _drawing(run)
    turn(0)
    runs.trash(place, run)
    turn(40)
    assert drawn == []


def test_a_run_that_is_over_already(place: WorkspaceDir) -> None:
    pump = Still()
    view, heard = listening(Feed(ended_run(place)))
    pump.add(view)
    pump.post(view, HELLO)
    pump.turn(1e6)
    pump.turn(1e6 + 1)
    assert pump.turn(1e6 + 2) is None
    assert len(frames(heard)) == 1
    pump.post(view, HELLO)
    pump.turn(1e6 + 3)
    assert len(frames(heard)) == 2


def test_who_waited_for_a_run_finds_its_end_saved(run: RunDir, pump: Pump) -> None:
    drawn: list[bool] = []
    feed = Feed(run)
    pump.add(View(feed, None, Saved(lambda: drawn.append(feed.reader.over), 3600.0, runs.observe(run))))
    end(run)
    pump.settle(run.path, seconds=PATIENCE)
    assert drawn[-1:] == [True]
