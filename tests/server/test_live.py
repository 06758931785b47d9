"""The live channel: what changed comes once, in order, at the page's own speed, and a lost connection costs nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import websocket
from tornado.ioloop import IOLoop

from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.server import channel
from jupyter_mlrun.server.api_runs import MOST_HEARD
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.lines import LogLines
from jupyter_mlrun.store.livemetrics import _Sketcher
from jupyter_mlrun.ui.reader import RunReader
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import ended_run, recorded_run
from tests.server.conftest import Live, Server
from tests.support import PATIENCE, until


def begun(place: WorkspaceDir, **more: Any) -> RunDir:
    """A run that goes on, of which the test is the only process."""
    run = recorded_run(place, **more)
    state = runs.move(run, runs.recorded(run), Status.STARTING, generation=1)
    runs.move(run, state, Status.RUNNING, started=1_700_000_100.0)
    return run


@pytest.fixture
def run(place: WorkspaceDir) -> RunDir:
    return begun(place)


def points(header: dict[str, Any]) -> int:
    return sum(one["points"] for one in header.get("series", ()))


def series_count(header: dict[str, Any], name: str) -> int:
    return next((int(one["count"]) for one in header.get("series", ()) if one["name"] == name), 0)


def writer(run: RunDir) -> MetricWriter:
    return MetricWriter(str(run.metrics))


def log(metrics: MetricWriter, step: int | None = None, **values: float) -> None:
    for name, value in values.items():
        metrics.log(name, value, step=step)


def test_a_run_from_hello_to_its_end(server: Server, run: RunDir) -> None:
    live = server.live()
    live.follow(run.run_id)
    first, _ = live.hear()
    assert (first["sub"], first["type"], first["full"]) == (1, "frame", True)
    assert first["run"]["status"] == "Running"
    metrics = writer(run)
    log(metrics, loss=0.5)
    frame = live.until(lambda one: series_count(one, "loss") == 1)
    assert frame["seq"] > first["seq"]
    assert not frame["full"]
    with run.log().open("ab") as file:
        file.write(b"hello\n")
    # the file may be seen before there is anything in it
    assert live.until(lambda one: one.get("log", {}).get("lines"))["log"]["lines"] == ["hello"]
    state = runs.recorded(run)
    found = {"status": "Failed", "reason": "exit_code", "text": "exit code 3", "exit_code": 3, "ended": 1_700_000_200.0}
    runs.finish(run, state, found)
    assert live.until(lambda one: one.get("run", {}).get("over"))["run"]["reason"] == "exit code 3"
    live.close()
    metrics.close()


def test_questions_are_answered(server: Server, run: RunDir) -> None:
    metrics = writer(run)
    for n in range(100):
        log(metrics, n, loss=float(n))
    run.log().write_bytes(b"".join(b"line %d\n" % n for n in range(50)))
    live = server.live()
    live.follow(run.run_id)
    live.until(lambda one: one["type"] == "frame")
    asked = {"type": "range", "ask": 1, "metric": "loss", "x": "step", "from": 10, "to": 20, "buckets": 100}
    live.say(do="say", sub=1, message=asked)
    header, numbers = live.find(lambda one: one["type"] == "range")
    assert (header["ask"], header["count"]) == (1, 13)
    assert len(numbers) == 13 * 4 * 8
    live.say(do="say", sub=1, message={"type": "lines", "ask": 2, "from": 3, "to": 5})
    assert live.until(lambda one: one["type"] == "lines")["lines"] == ["line 3", "line 4"]
    live.say(do="say", sub=1, message={"type": "count", "ask": 4, "text": "LINE 42", "from": 0, "at": 0})
    assert live.until(lambda one: one["type"] == "counted")["count"] > 0
    live.say(do="say", sub=1, message={"type": "image", "ask": 5, "metric": "none"})
    assert live.until(lambda one: one.get("ask") == 5)["type"] == "refused"
    live.say(do="say", sub=1, message={"type": "search", "ask": 3, "text": "LINE 42", "from": 0, "backward": False})
    assert live.until(lambda one: one["type"] == "found")["line"] == 42
    live.close()
    metrics.close()


def test_twenty_views_in_three_tabs_read_once(server: Server, run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = {"metrics": 0, "log": 0}  # changes, bytes
    readers: set[int] = set()
    refresh, note = _Sketcher.refresh, LogLines._note

    def counted_refresh(self: _Sketcher) -> bool:
        came = refresh(self)
        reads["metrics"] += came
        return came

    def counted_note(self: LogLines, data: bytes) -> None:
        reads["log"] += len(data)
        readers.add(id(self))
        note(self, data)

    metrics = writer(run)
    log(metrics, 0, loss=0.0)
    tabs = [server.live() for _ in range(3)]
    for number in range(20):
        tabs[number % 3].follow(run.run_id, sub=number // 3 + 1)
    for number, tab in enumerate(tabs):
        seen: set[int] = set()
        while len(seen) < (7 if number < 2 else 6):
            seen.add(tab.until(lambda one: one["type"] == "frame")["sub"])
    monkeypatch.setattr(_Sketcher, "refresh", counted_refresh)
    monkeypatch.setattr(LogLines, "_note", counted_note)
    changes, line = 5, b"a line\n"
    for step in range(1, changes + 1):
        log(metrics, step, loss=float(step))
        with run.log().open("ab") as file:
            file.write(line)
        for number, tab in enumerate(tabs):
            _wait_for(tab, range(1, 8 if number < 2 else 7), step + 1)
    assert reads["metrics"] == changes
    # the log may be seen in another look than the metrics
    until(lambda: reads["log"] >= changes * len(line), "the log is read")
    assert reads["log"] == changes * len(line)
    assert len(readers) == 1
    for tab in tabs:
        tab.close()
    metrics.close()


def _wait_for(tab: Live, subs: range, count: int) -> None:
    """Until each of these views has so many points."""
    missing = set(subs)
    while missing:
        header = tab.until(lambda one: series_count(one, "loss") >= count)
        missing.discard(header["sub"])


def test_a_page_that_comes_back_gets_all_once(server: Server, run: RunDir) -> None:
    metrics = writer(run)
    for n in range(10):
        log(metrics, n, loss=float(n))
    first = server.live()
    first.follow(run.run_id)
    first.until(lambda one: series_count(one, "loss") == 10)
    first.socket.shutdown()  # a laptop that was closed says no good-bye
    for n in range(10, 25):
        log(metrics, n, loss=float(n))
    again = server.live()
    again.say(do="open", sub=1, what="run", run=run.run_id, have=1)
    again.hello(have=1)
    frame = again.until(lambda one: one["type"] == "frame")
    assert frame["full"]
    assert (series_count(frame, "loss"), points(frame)) == (25, 25)
    again.close()
    metrics.close()


def test_a_gap_is_healed_by_hello(server: Server, run: RunDir) -> None:
    live = server.live()
    live.follow(run.run_id)
    first, _ = live.hear()
    live.hello(have=first["seq"] - 1)
    second = live.until(lambda one: one["type"] == "frame")
    assert second["full"]
    assert second["seq"] == first["seq"] + 1
    live.close()


def test_a_slow_page_gets_few_frames_and_loses_nothing(
    server: Server, run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    writing = channel.LiveHandler.write_message
    frames: list[int] = []

    async def slow(self: Any, data: Any, binary: bool = False) -> None:
        frames.append(len(data))
        while not gate.is_set():
            await IOLoop.current().run_in_executor(None, gate.wait, 0.05)
        await writing(self, data, binary=binary)

    metrics = writer(run)
    monkeypatch.setattr(channel.LiveHandler, "write_message", slow)
    live = server.live()
    live.follow(run.run_id)
    until(lambda: frames, "a frame is on its way")
    hub = server.service.hub
    for n in range(300):
        log(metrics, n, loss=float(n))
        if n % 100 == 99:
            turns = hub.turns
            until(lambda: hub.turns > turns + 1, "the watcher looked")  # noqa: B023 -- asked at once
    assert len(frames) == 1, "a second frame was made before the first was written out"
    gate.set()
    frame, count = {"seq": 0}, 0
    while count < 300:
        header = live.until(lambda one: one["type"] == "frame")
        assert header["seq"] == frame["seq"] + 1
        frame, count = header, max(count, series_count(header, "loss"))
    assert frame["seq"] <= 3
    live.close()
    metrics.close()


def test_nobody_there_nobody_looks(server: Server, run: RunDir) -> None:
    hub = server.service.hub
    assert hub._thread is None, "no thread before anybody follows something"
    live = server.live()
    live.follow(run.run_id)
    live.say(do="open", sub=2, what="runs", query={})
    live.until(lambda one: one["type"] == "runs")
    live.close()
    until(lambda: hub.followed == 0, "the page is gone")
    waited = threading.Event()
    pauses: list[float | None] = []
    wait = hub._wake.wait

    def noted(timeout: float | None = None) -> bool:
        pauses.append(timeout)
        waited.set()
        return wait(timeout)

    hub._wake.wait = noted  # type: ignore[method-assign]
    hub.wake()
    assert waited.wait(PATIENCE)
    # a look that began before the page was gone is followed by one more
    until(lambda: pauses[-1] is None, "it waits until somebody comes")


def test_hidden_and_ended_views_are_not_looked_at(server: Server, run: RunDir, place: WorkspaceDir) -> None:
    ended = ended_run(place, number=2)
    live = server.live()
    live.follow(run.run_id, sub=1)
    live.follow(ended.run_id, sub=2)
    seen: set[int] = set()
    while seen < {1, 2}:
        seen.add(live.hear()[0]["sub"])
    live.say(do="say", sub=1, message={"type": "hide"})
    hub = server.service.hub
    until(lambda: all(sub.quiet for sub in hub._subs), "both are quiet")
    assert hub.turn(1e9) is None
    live.hello(1)
    assert live.hear()[0]["full"]
    live.close()


def test_a_list_says_what_changed(server: Server, place: WorkspaceDir, run: RunDir) -> None:
    done = ended_run(place, number=1).run_id
    live = server.live()
    live.say(do="open", sub=7, what="runs", query={"limit": 10})
    first = live.until(lambda one: one["type"] == "runs")
    assert first["full"]
    assert first["order"] == [done, run.run_id]
    newer = begun(place, number=5)
    second = live.until(lambda one: one["type"] == "runs" and one["order"])
    assert second["order"] == [newer.run_id, done, run.run_id]
    assert newer.run_id in [row["id"] for row in second["rows"]]
    assert not second["full"]
    assert server.post(f"api/runs/{done}/rename", {"name": "the best"}).status == 200
    third = live.until(lambda one: one["type"] == "runs" and any(row["name"] == "the best" for row in one["rows"]))
    assert third["total"] == 3
    metrics = writer(newer)
    log(metrics, acc=0.5, loss=3.5)
    # the one may be seen before the other
    fresh = live.until(lambda one: any("loss" in row["metrics"] for row in one.get("rows", ())))["rows"]
    (row,) = [row for row in fresh if row["id"] == newer.run_id]
    assert row["primary"] == {"name": "loss", "last": "3.5", "spark": [3.5]}
    assert server.ask("DELETE", f"api/runs/{done}").status == 200
    fourth = live.until(lambda one: one["type"] == "runs" and one["gone"])
    assert fourth["gone"] == [done]
    live.close()
    metrics.close()


def test_another_query_moves_the_window(server: Server, place: WorkspaceDir) -> None:
    for number in range(5):
        ended_run(place, number=number, code=number % 2)
    live = server.live()
    live.say(do="open", sub=1, what="runs", query={"limit": 2})
    assert len(live.until(lambda one: one["type"] == "runs")["order"]) == 2
    live.say(do="open", sub=1, what="runs", query={"status": "failed"})
    found = live.until(lambda one: one["type"] == "runs" and one["full"] and one["total"] == 2)
    assert {row["shown"] for row in found["rows"]} == {"Failed"}
    live.close()


@pytest.mark.parametrize(
    "text",
    [
        "", "no json", "[]", "{}", '{"do": "open"}', '{"do": "open", "sub": true, "what": "machine"}',
        '{"do": "open", "sub": -1, "what": "machine"}', '{"do": "open", "sub": 1, "what": "run", "run": 5}',
        '{"do": "open", "sub": 1, "what": "run", "run": "../../etc/passwd"}', '{"do": "say", "sub": 9, "message": {}}',
        '{"do": "open", "sub": 1, "what": "runs", "query": {"limit": "all"}}',
        '{"do": "open", "sub": 1, "sub": 2, "what": "machine"}', '{"do": "open", "sub": 1, "what": "machine", "x": 1}',
        '{"do": "open", "sub": 1, "what": "machine", "workspace": "../up"}', "[" * 30_000, '{"do": NaN}',
        '{"sub": 1e999}', '{"sub": ' + "9" * 5000 + "}",
    ],
)  # fmt: skip
def test_nonsense_is_told_and_harms_nobody(server: Server, run: RunDir, text: str) -> None:
    live = server.live()
    live.socket.send(text)
    header, _ = live.hear()
    assert (header["type"], header["final"]) == ("problem", True)
    assert header["error"]["kind"] in {"BadInput", "NotFound"}
    live.follow(run.run_id, sub=3)
    assert live.until(lambda one: one["sub"] == 3)["full"]
    live.close()


def test_a_message_that_is_too_long_closes_the_channel(server: Server) -> None:
    live = server.live()
    try:
        live.socket.send("x" * (MOST_HEARD + 1))
    except (OSError, websocket.WebSocketConnectionClosedException):
        closed = 0  # in mid-sentence
    else:
        closed = live.closed()
    assert closed in {1009, 0}
    until(lambda: not server.service.pages, "the page is forgotten")


def test_a_page_that_talks_too_much_is_left(server: Server) -> None:
    live = server.live()
    try:
        for _ in range(3000):
            live.say(do="pong", sub=0)
    except (OSError, websocket.WebSocketConnectionClosedException):
        closed = 0  # in mid-sentence
    else:
        closed = live.closed()
    assert closed in {channel.POLICY, 0}
    until(lambda: not server.service.pages, "the page is forgotten")


def test_a_login_that_ends_closes_the_channel(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    live = server.live()
    live.say(do="open", sub=1, what="machine")
    live.hear()
    (page,) = server.service.pages
    server.loop.call_soon_threadsafe(lambda: server.loop.create_task(page._send_ping()))
    assert live.until(lambda one: one["type"] == "ping")["sub"] == 0

    async def nobody(handler: Any) -> None:
        return None

    monkeypatch.setattr(server.app.identity_provider, "get_user", nobody)
    server.loop.call_soon_threadsafe(lambda: server.loop.create_task(page._send_ping()))
    assert live.closed() == channel.POLICY


def test_a_page_that_answers_no_ping_is_left_and_one_that_slept_is_not(server: Server) -> None:
    live = server.live()
    live.say(do="open", sub=1, what="machine")
    live.hear()
    (page,) = server.service.pages

    def ping() -> None:
        server.loop.call_soon_threadsafe(lambda: server.loop.create_task(page._send_ping()))

    for _ in range(channel.MOST_UNANSWERED + 2):
        ping()
        live.until(lambda one: one["type"] == "ping")  # and the answer to it
        until(lambda: not page._unanswered, "the answer is heard")
    for _ in range(channel.MOST_UNANSWERED + 1):
        ping()
    assert live.closed() == channel.GONE


def test_a_disk_that_hangs_is_told_and_the_server_goes_on(
    server: Server, run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "HANG_SECONDS", 0.2)  # what the page's clock is made with
    live = server.live()
    live.follow(run.run_id)
    live.until(lambda one: one["type"] == "frame")
    gate, began = threading.Event(), threading.Event()

    def hang(self: RunReader, now: float | None = None) -> bool:
        began.set()
        gate.wait()
        return False

    monkeypatch.setattr(channel, "HANG_SECONDS", 0.0)
    monkeypatch.setattr(RunReader, "refresh", hang)
    try:
        assert began.wait(PATIENCE)
        problem = live.until(lambda one: one["type"] == "problem")
        assert (problem["error"]["kind"], problem["final"]) == ("Busy", False)
        assert server.get("api/about").status == 200
    finally:
        gate.set()
    live.close()


def test_two_servers_on_one_home(
    serve: Callable[..., Server], place: WorkspaceDir, run: RunDir, tmp_path: Path
) -> None:
    both = [serve(), serve(base_url="/user/somebody/")]
    assert both[1].base == "/user/somebody/jupyter-mlrun/"
    pages = [one.live() for one in both]
    for page in pages:
        page.follow(run.run_id)
        assert page.hear()[0]["full"]
    assert both[0].post(f"api/runs/{run.run_id}/tag", {"set": {"stage": "two"}}).status == 200
    for page in pages:
        tags = page.until(lambda one: one.get("run", {}).get("tags"))["run"]["tags"]
        assert ["stage", "two"] in tags
        page.close()
    assert json.loads(both[1].get("api/runs").body)["runs"][0]["tags"]["stage"] == "two"
