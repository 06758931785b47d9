"""What is shown of a run: whatever its names and its log say, it stays text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from jupyter_mlrun import Run
from jupyter_mlrun.records import Spec
from jupyter_mlrun.rundir import RunDir, dump_json
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.ui import page, saved, view
from jupyter_mlrun.ui.words import LOOKS
from jupyter_mlrun.worker.segment import MetricWriter

OURS = {
    "style": set(),
    "div": {"class", "tabindex", "role", "aria-label"},
    "span": {"class"},
    "pre": {"class", "tabindex", "aria-label"},
    "svg": {"viewbox", "width", "height", "role", "aria-label", "class"},
    "line": {"x1", "x2", "y1", "y2", "class"},
    "text": {"x", "y", "text-anchor", "class"},
    "path": {"d", "class"},
    "polygon": {"points", "class"},
    "circle": {"cx", "cy", "r", "class"},
}
CORPUS = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' onmouseover='alert(1)",
    "</style></pre></div><iframe src=javascript:alert(1)>",
    "<svg/onload=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!-- --><![CDATA[<script>]]>",
    "<a href='javascript:alert(1)'>x</a>",
    "\ud800<script>",
    "\x00<scr\x00ipt>",
    "{{constructor.constructor('alert(1)')()}}${alert(1)}",
]


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in OURS, tag
        assert {name for name, _ in attrs} <= OURS[tag], (tag, attrs)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        pytest.fail(f"a declaration: {decl}")


def parsed(text: str) -> Seen:
    text.encode("utf-8")
    seen = Seen()
    seen.feed(text)
    seen.close()
    assert seen.open == []
    return seen


def make(home: Path, *events: dict[str, object], words: str = "plain", log: bytes = b"") -> RunDir:
    place = WorkspaceDir(home, "default").make()
    spec = Spec(
        run_id=runs.new_run_id("test"), experiment="test", workspace="default", created=1.0, created_by={},
        kind="cell", script="cell.py", arguments=[], snapshot=None, objects=str(place.objects), environment={},
        display_name=words, parameters={words: {"text": words, "value": words}}, tags={words: words, "t": ""},
    )  # fmt: skip
    run = runs.record(place, spec, {})
    for seq, event in enumerate(events, 1):
        with run.events.open("ab") as file:
            file.write(dump_json({"seq": seq, "time": 2.0 + seq, **event}))
    run.log().write_bytes(log)
    return run


def with_metrics(run: RunDir, names: list[str], points: int = 3) -> None:
    writer = MetricWriter(str(run.metrics))
    for name in names:
        for step in range(points):
            writer.log(name, float(step), step=step)
    writer.close()


def status(name: str, **more: object) -> dict[str, object]:
    return {"type": "status", "status": name, **more}


@pytest.mark.parametrize("words", CORPUS, ids=range(len(CORPUS)))
def test_nothing_of_a_run_becomes_markup(home: Path, words: str) -> None:
    run = make(home, status("Queued"), words=words, log=words.encode("utf-8", "replace") * 3)
    with_metrics(run, [words.replace("\ud800", "x")])
    seen = parsed(view.as_html(run, waiting=words))
    if words.isprintable():
        assert sum(words in word for word in seen.words) >= 4, "it is shown as the text that it is"
    view.as_text(run, waiting=words).encode("utf-8")
    page.write(run, waiting=words)
    assert "default-src 'none'" in run.page.read_text(encoding="utf-8")


STATES = {
    "Queued": [status("Queued")],
    "Running": [status("Queued"), status("Starting"), status("Running")],
    "Failed": [status("Queued"), status("Starting"), status("Running"), status("Failed", exit_code=3)],
    "Completed": [status("Queued"), status("Starting"), status("Running"), status("Completed", exit_code=0)],
}


@pytest.mark.parametrize("name", STATES)
def test_each_status(home: Path, name: str) -> None:
    run = make(home, *STATES[name], log=b"first\nlast line\n")
    shown = view.as_text(run, waiting="2 runs are before it")
    assert f"{LOOKS[run_status(run)][0]} {name}" in shown
    assert "last line" in shown
    assert ("2 runs are before it" in shown) is (name in {"Queued", "Running"})
    words = " ".join(parsed(view.as_html(run)).words)
    assert name in words
    page.write(run)
    assert ("refresh" in run.page.read_text(encoding="utf-8")) is (name in {"Queued", "Running"})
    assert (run.page.stat().st_mode & 0o777) == 0o600
    assert set(view.bundle(run)) == {"text/plain", "text/html", saved.MIME}
    json.dumps(view.bundle(run))


def run_status(run: RunDir) -> Status:
    return runs.observe(run).shown


def test_text_does_nothing_to_a_terminal(home: Path) -> None:
    hostile = "\x1b]52;c;eA==\x07\x1b[2J\x9bname\nsecond"
    run = make(home, words=hostile, log=hostile.encode())
    with_metrics(run, ["\x1b[2Jloss"])
    shown = view.as_text(run, waiting=hostile)
    assert not set(shown) & set("\x1b\x07\x9b")
    assert "name second" in shown


def test_many_metrics_and_chips_are_bounded(home: Path) -> None:
    run = make(home)
    with_metrics(run, [f"m{i}" for i in range(40)], points=2)
    shown = view.as_html(run)
    assert shown.count("<svg") == view.MOST_CHARTS
    assert "and 28 more metrics" in shown
    assert "https://" not in shown
    assert "http://" not in shown


def test_rows_have_no_chart_and_pictures_their_name(home: Path) -> None:
    run = Run.at(make(home))
    for epoch in range(3):
        run.log("loss", 1 / (epoch + 1))
        run.log_row("by class", epoch=epoch, right=epoch / 2)
    run.log("roc", "aml://artifactId/ExperimentRun/dcid.train_1750000000_1a2b3c4d/roc_1750000001.png")
    run.flush()
    shown = view.as_html(run.directory)
    assert shown.count("<svg") == 1, "of the loss"
    assert "no points yet" not in shown
    seen = parsed(shown).words
    assert "roc_1750000001.png" in seen
    assert "{'epoch': 2, 'right': 1.0}" in seen


def test_a_huge_log_makes_no_huge_view() -> None:
    cut = view._cut("\n".join(["first", *("y" * 5000 for _ in range(100)), "last"]))
    assert len(cut) <= view.LOG_CHARS + 100
    assert cut.endswith("\nlast")
    assert view._cut("a\n  b\n\nc\n") == "a\n  b\n\nc"


def test_a_shared_notebook_does_not_tell_whose_it_was(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(home, status("Queued"))
    assert str(run.path) in view.as_text(run)
    monkeypatch.setenv("HOME", str(home.parent))
    where = f"~/{run.path.relative_to(home.parent)}"
    for seen in (view.as_text(run), " ".join(parsed(view.as_html(run)).words)):
        assert where in seen
        assert str(home) not in seen
