"""The live view in a notebook: a widget where there can be one, and always the part that is saved."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import comm
import pytest
from comm.base_comm import BaseComm

from jupyter_mlrun import live
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.ui import pump as pumps
from jupyter_mlrun.ui import widget
from jupyter_mlrun.ui.feed import Feed
from jupyter_mlrun.ui.saved import MIME
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import ended_run, recorded_run
from tests.support import PATIENCE, until

HELLO = {"type": "hello", "view": "v", "have": None, "buckets": 100}


class Comm(BaseComm):
    """A comm that keeps what is sent."""

    made: ClassVar[list[Comm]] = []

    def __init__(self, **more: Any) -> None:
        self.sent: list[tuple[str, Any, Any]] = []
        super().__init__(**more)
        Comm.made.append(self)

    def publish_msg(self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **_: Any) -> None:
        self.sent.append((msg_type, data, buffers))

    def frames(self) -> list[Any]:
        return [d["content"] for kind, d, _ in list(self.sent) if kind == "comm_msg" and d["method"] == "custom"]

    def hear(self, content: Any) -> None:
        self.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


@pytest.fixture(autouse=True)
def comms(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Comm]]:
    """Comms without a kernel; no thread of a test outlives it."""
    Comm.made = []
    monkeypatch.setattr(comm, "create_comm", Comm)
    monkeypatch.setattr(widget, "pump", pumps.Pump())
    yield Comm.made
    pump = widget.pump
    for view in list(pump._views):
        pump.remove(view)
    pump._wake.set()
    assert pump.join(PATIENCE)


def test_what_a_page_says_is_not_sent_to_a_subshell_that_is_gone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def publish(self: Comm, msg_type: str, data: Any = None, *, buffers: Any = None, **_: Any) -> None:
        self.__dict__["_reply_subshell_id"] = "of a page that was reloaded"
        self.sent.append((msg_type, data, buffers))

    monkeypatch.setattr(Comm, "publish_msg", publish)
    view = widget.open_view(Feed(ended_run(WorkspaceDir(home, "default").make())), "v")
    view.comm.hear(HELLO)
    until(view.comm.frames, "a frame")
    until(lambda: "_reply_subshell_id" not in vars(view.comm), "the comm has forgotten it")


def test_the_kernel_is_free_between_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: dict[str, Any] = {}
    events = SimpleNamespace(register=heard.__setitem__)
    shell = SimpleNamespace(events=events)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    clock = [100.0]
    monkeypatch.setattr("jupyter_mlrun.ui.widget.time.monotonic", lambda: clock[0])
    kernel = widget.Kernel()
    kernel.watch()
    clock[0] += 5
    assert kernel.free() == 0, "the cell that makes the view is still at work"
    heard["post_run_cell"](None)
    clock[0] += 5
    assert kernel.free() == 5
    heard["pre_run_cell"](None)
    assert kernel.free() == 0
    heard.clear()
    kernel.watch()
    assert heard == {}, "once for each shell"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The front-end's files, which a checkout may lack."""
    for name, text in {"SCRIPT": "export default {}", "STYLE": ".x {}"}.items():
        path = tmp_path / name
        path.write_text(text)
        monkeypatch.setattr(widget, name, path)


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], str | None, bool]]:
    """What is displayed, as a kernel would."""
    shown: list[tuple[dict[str, Any], str | None, bool]] = []

    def display(bundle: Any, *, raw: bool, display_id: str | None = None, update: bool = False) -> None:
        assert raw
        json.dumps(bundle, allow_nan=False).encode()
        shown.append((bundle, display_id, update))

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(live, "in_kernel", lambda: True)
    monkeypatch.setattr(live, "_said", set())
    return shown


@pytest.fixture
def place(home: Path) -> WorkspaceDir:
    return WorkspaceDir(home, "default").make()


def _has_series(there: Comm) -> bool:
    return any(frame.get("series") for frame in there.frames())


def the_comm() -> Comm:
    return next(one for one in Comm.made if one.target_name == "jupyter.widget" and "view" in one.sent[0][1]["state"])


@pytest.mark.usefixtures("built")
def test_a_widget_and_its_messages(place: WorkspaceDir) -> None:
    run = recorded_run(place)
    made = widget.open_view(Feed(run), "abc")
    there = the_comm()
    state = there.sent[0][1]["state"]
    assert (state["view"], state["_esm"], state["_css"]) == ("abc", "export default {}", ".x {}")
    assert widget.bundle(made, "words") == {
        "text/plain": "words",
        widget.MIME: {"version_major": 2, "version_minor": 0, "model_id": there.comm_id},
    }
    there.hear(HELLO)
    until(there.frames, "a frame")
    MetricWriter(str(run.metrics)).log("loss", 0.5)
    until(lambda: _has_series(there), "a point")
    (buffers, *_) = [more for kind, data, more in there.sent if kind == "comm_msg" and data["content"].get("series")]
    assert ([type(one) for one in buffers], len(buffers[0])) == ([bytes], 24)
    there.hear({"type": "lines", "ask": 3, "from": 0, "to": 9})
    until(lambda: [one for one in there.frames() if one["type"] == "lines"], "an answer")


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("who", ["page", "python"])
def test_a_closed_comm_closes_the_feed(place: WorkspaceDir, who: str) -> None:
    run = recorded_run(place)
    made = widget.open_view(Feed(run), "abc")
    there = the_comm()
    until(there.frames, "a frame")
    if who == "page":
        there.handle_close({})
    else:
        made.close()
        MetricWriter(str(run.metrics)).log("loss", 0.5)
    assert widget.pump.join(PATIENCE), "no view is left: no thread"
    assert widget.pump._views == []


@pytest.mark.usefixtures("built")
def test_a_cell_shows_the_view_and_what_is_saved(place: WorkspaceDir, outputs: list[Any]) -> None:
    run = Run.at(recorded_run(place, display_name="<b>name</b>"))
    live.show(run)
    (view, _, _), (saved, display_id, update) = outputs[:2]
    assert set(view) == {"text/plain", widget.MIME, MIME}
    assert view[MIME]["part"] == "view"
    assert run.id in view["text/plain"]
    assert (set(saved), update) == ({"text/plain", "text/html", MIME}, False)
    name = the_comm().sent[0][1]["state"]["view"]
    address = (saved[MIME]["run"], saved[MIME]["workspace"], saved[MIME]["view"])
    assert address == (run.id, run.experiment.workspace.name, name)
    assert saved["text/html"].startswith(f'<div class="jupyter-mlrun-static jupyter-mlrun-static-{name}">')
    assert "&lt;b&gt;name&lt;/b&gt;" in saved["text/html"]
    from jupyter_mlrun.states import Status
    from jupyter_mlrun.store import runs
    from tests.test_pump import end

    state = runs.move(run.directory, runs.recorded(run.directory), Status.STARTING, generation=1)
    runs.move(run.directory, state, Status.RUNNING, started=1_700_000_001.0)
    end(run.directory)
    until(lambda: "Completed" in outputs[-1][0]["text/html"], "an update")
    assert outputs[-1][2]
    assert {entry[1] for entry in outputs[1:]} == {display_id}
    assert f"jupyter-mlrun-static-{name}" in outputs[-1][0]["text/html"]


def test_without_the_front_ends_files_it_says_so_once(
    place: WorkspaceDir, outputs: list[Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(widget, "SCRIPT", tmp_path / "not built.js")
    for number in range(2):
        live.show(Run.at(recorded_run(place, number=number)))
    assert capsys.readouterr().out.count("make front-end") == 1
    assert [set(bundle) for bundle, _, update in outputs if not update] == [{"text/plain", "text/html", MIME}] * 2
    assert Comm.made == []
    assert widget.pump.running, "it is refreshed all the same"


def test_without_anywidget_the_saved_part_is_refreshed(
    place: WorkspaceDir, outputs: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.setattr(live, "ALONE", 0.0)
    monkeypatch.setattr(pumps, "HIDDEN_PAUSE", 0.01)
    run = Run.at(recorded_run(place))
    live.show(run)
    assert capsys.readouterr().out == ""
    MetricWriter(str(run.directory.metrics)).log("loss", 0.25)
    until(lambda: outputs[-1][2] and "0.25" in outputs[-1][0]["text/plain"], "an update")


def test_outside_of_a_kernel_nothing_is_kept_up_to_date(
    place: WorkspaceDir, outputs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "in_kernel", lambda: False)
    live.show(Run.at(recorded_run(place)))
    assert [(entry[1], entry[2]) for entry in outputs] == [(None, False)]
    assert not widget.pump.running


def test_refresh_false_shows_it_once(place: WorkspaceDir, outputs: list[Any]) -> None:
    live.show(Run.at(recorded_run(place)), refresh=False)
    assert [set(bundle) for bundle, _, _ in outputs] == [{"text/plain", "text/html"}]
    assert not widget.pump.running


def test_a_run_that_cannot_be_drawn_is_said(
    place: WorkspaceDir, outputs: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = recorded_run(place)
    run.events.write_text(json.dumps({"seq": 0, "type": "status", "status": "NoSuchStatus", "time": 1}) + "\n")
    live.show(Run.at(run))
    assert "cannot be drawn" in capsys.readouterr().out
    assert outputs == []


@pytest.mark.usefixtures("built")
def test_modules_loaded_anew_go_on(place: WorkspaceDir, outputs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """As autoreload and a second load of the extension do it."""
    first = recorded_run(place)
    live.show(Run.at(first))
    old, old_pump = the_comm(), widget.pump
    script, style = widget.SCRIPT, widget.STYLE
    try:
        for module in (pumps, widget, live):
            importlib.reload(module)
        monkeypatch.setattr(widget, "SCRIPT", script)
        monkeypatch.setattr(widget, "STYLE", style)
        monkeypatch.setattr(live, "in_kernel", lambda: True)
        Comm.made.clear()
        second = recorded_run(place, number=1)
        live.show(Run.at(second))
        new = the_comm()
        for run, there in ((first, old), (second, new)):
            there.hear(HELLO)
            MetricWriter(str(run.metrics)).log("loss", 0.5)
            until(partial(_has_series, there), "a point in each")
        assert widget.pump is not old_pump
    finally:
        for view in list(old_pump._views):
            old_pump.remove(view)
        old_pump._wake.set()
        assert old_pump.join(PATIENCE)


@pytest.mark.usefixtures("built")
def test_a_run_that_is_over_has_a_view_too(place: WorkspaceDir, outputs: list[Any]) -> None:
    live.show(Run.at(ended_run(place)))
    there = the_comm()
    there.hear(HELLO)
    until(there.frames, "a frame")
    assert widget.pump.join(PATIENCE)
    assert len(outputs) == 2


@pytest.mark.usefixtures("built")
def test_stop_reaches_the_run(place: WorkspaceDir, outputs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Run, "cancel", lambda self: asked.append(self.id))
    run = Run.at(recorded_run(place))
    live.show(run)
    there = the_comm()
    there.hear({"type": "command", "ask": 5, "name": "stop"})
    until(lambda: [m for m in there.frames() if m["type"] == "done"], "the answer")
    assert asked == [run.id]


def test_in_kernel_is_told_by_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython

    monkeypatch.setattr(IPython, "get_ipython", lambda: None)
    assert not live.in_kernel()
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    assert live.in_kernel()
