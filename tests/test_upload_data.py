"""``%upload_data`` in a real IPython shell, what its bar says, and how it stops and goes on."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import IPython.display
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.testing.globalipapp import get_ipython as start_ipython

from jupyter_mlrun.errors import BadInput, Conflict, NotFound, StoreError
from jupyter_mlrun.sdk import uploading
from jupyter_mlrun.sdk.data import Dataset, Datastore, datasets, upload_data
from jupyter_mlrun.sdk.workspace import Workspace
from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.packs import CHUNK, ObjectStore
from jupyter_mlrun.ui import progress
from jupyter_mlrun.ui.progress import Bar
from tests.datasets import content, content_of, folder_of, write

Out = pytest.CaptureFixture[str]
GO_ON = "What is stored stays: run it again, and it goes on where it stopped.\n"


@pytest.fixture
def shell(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made: Any = start_ipython() or InteractiveShell.instance()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    made.run_line_magic("load_ext", "jupyter_mlrun")
    yield made
    made.run_line_magic("unload_ext", "jupyter_mlrun")
    made.reset(new_session=False)


@pytest.fixture
def workspace(home: Path) -> Workspace:
    return Workspace("default", home=home)


def cell(shell: Any, text: str) -> Any:
    """Run a cell and give what it raised, or what it gave."""
    done = shell.run_cell(text, store_history=True)
    return done.error_in_exec or done.result


def blocks(workspace: Workspace) -> set[str]:
    """The packs of the content store."""
    return {path.name for path in ObjectStore(workspace.folder.objects).packs.glob("*.pack")}


# ---- the magic -------------------------------------------------------------------------------------------------


def test_a_folder_becomes_a_data_set(shell: Any, workspace: Workspace, tmp_path: Path, capsys: Out) -> None:
    folder_of(Path("images"), ants__1_png="1", bees__2_png="22")
    made = cell(shell, "%upload_data images -o mine")
    assert (made.name, made.version) == ("images", 1)
    assert shell.user_ns["mine"] is made
    assert content_of(made, tmp_path / "out") == {"ants/1.png": "1", "bees/2.png": "22"}
    out = capsys.readouterr().out
    assert "2 files, 3 B: 2 files moved, 3 B new\n" in out
    assert "FileDataset(name='images', version=1, 2 files)" in out
    store = Datastore(workspace)
    assert Dataset.File.from_files((store, "images/ants")).to_path() == ["/1.png"]


def test_a_second_time_moves_nothing(shell: Any, workspace: Workspace, capsys: Out) -> None:
    folder_of(Path("images"), ants__1_png="1", bees__2_png="22")
    first = cell(shell, "%upload_data ./images/")
    before = blocks(workspace)
    capsys.readouterr()
    again = cell(shell, f"%upload_data {Path('images').absolute()}")
    assert (again.name, again.version, again.id) == ("images", 1, first.id)
    assert "2 files, 3 B: nothing moved\n" in capsys.readouterr().out
    assert blocks(workspace) == before
    assert len(datasets(workspace)) == 1
    write(Path("images"), {"ants/3.png": "333"})
    third = cell(shell, "%upload_data images")
    assert (third.version, len(third.to_path())) == (2, 3)
    assert Dataset.get_by_name(workspace, "images", 1).to_path() == ["/ants/1.png", "/bees/2.png"]


def test_names_and_places(shell: Any, workspace: Workspace) -> None:
    folder_of(Path("images"), a="1")
    Datastore.register_local(workspace, "second")
    shell.user_ns["where"] = "sets/deep"
    made = cell(shell, "%upload_data images {where} --datastore second --name 'my set' -o mine")
    assert (made.name, made.paths) == ("my set", (("second", "sets/deep"),))
    assert cell(shell, "%upload_data images sets/cifar-10").name == "cifar-10"
    assert cell(shell, "%upload_data images 'odd (1) name!'").name == "odd-1-name"
    assert cell(shell, "%upload_data images /").name == "images"
    assert sorted(datasets(workspace)) == ["cifar-10", "images", "my set", "odd-1-name"]
    with pytest.raises(NotFound):
        Datastore(workspace).download("out", prefix="sets/deep")


def test_one_file(shell: Any, workspace: Workspace, tmp_path: Path) -> None:
    Path("labels.csv").write_text("1")
    made = cell(shell, "%upload_data labels.csv")
    assert (made.name, made.resolve().file, made.to_path()) == ("labels.csv", "labels.csv", ["/labels.csv"])
    assert cell(shell, "%upload_data labels.csv").version == 1
    put = cell(shell, "%upload_data labels.csv sets/labels")
    assert (put.name, put.resolve().file) == ("labels", "labels.csv")
    Datastore(workspace).download(str(tmp_path / "out"), show_progress=False)
    assert content(tmp_path / "out") == {"labels.csv": "1", "sets/labels/labels.csv": "1"}
    Path("what?[1].csv").write_text("odd")
    odd = cell(shell, "%upload_data what?[1].csv")
    assert (odd.resolve().file, odd.name) == ("what?[1].csv", "what-1-.csv")


def test_folders_without_a_name_of_their_own(shell: Any, workspace: Workspace, tmp_path: Path) -> None:
    folder_of(Path("images"), a="1")
    os.chdir("images")
    for source in (".", "./", "../images", "../images/."):
        assert cell(shell, f"%upload_data {source}").name == "images"
    os.mkdir("inner")
    os.chdir("inner")
    assert cell(shell, "%upload_data ..").name == "images"
    shell.user_ns["home"] = tmp_path / "user/data"
    folder_of(tmp_path / "user/data", b="1")
    assert cell(shell, "%upload_data ~/data").to_path() == ["/b"]
    assert cell(shell, "%upload_data {home}").version == 1
    assert sorted(datasets(workspace)) == ["data", "images"]


def test_files_that_are_gone_stay_and_are_told(shell: Any, capsys: Out) -> None:
    folder_of(Path("images"), a="1", b="1", c="1")
    cell(shell, "%upload_data images")
    Path("images/a").unlink()
    capsys.readouterr()
    again = cell(shell, "%upload_data images")
    assert (again.version, again.to_path()) == (1, ["/a", "/b", "/c"])
    assert "images:1 has 1 file more, from earlier uploads to 'images'" in capsys.readouterr().out
    without = cell(shell, "%upload_data images images-2 --name images")
    assert (without.version, without.to_path()) == (2, ["/b", "/c"])
    assert "more" not in capsys.readouterr().out


def test_overwriting(shell: Any, tmp_path: Path, capsys: Out) -> None:
    folder_of(Path("images"), a="1", b="1")
    cell(shell, "%upload_data images")
    write(Path("images"), {"a": "2"})
    kept = cell(shell, "%upload_data images")
    assert kept.version == 1, "what is there stays"
    out = capsys.readouterr().out
    assert "Target already exists. Skipping upload for images/a\n" in out
    assert "1 file differs from what is there, which stays: --overwrite replaces it\n" in out
    assert "2 files, 2 B: nothing moved\n" in out, "what is not there was not moved"
    over = cell(shell, "%upload_data images --overwrite")
    assert over.version == 2
    assert content_of(over, tmp_path / "out") == {"a": "2", "b": "1"}


@pytest.mark.parametrize(
    ("line", "error", "hint"),
    [
        ("imagse", NotFound, "looked for in"),
        ("../images", NotFound, "looked for in"),
        ("images ../up", BadInput, "without .."),
        ("images a/../../up", BadInput, "without .."),
        ("images --name ../up", BadInput, "letters"),
        ("images --name latest", BadInput, "newest"),
        ("images --name CON", BadInput, "letters"),
        ("images latest", BadInput, "newest"),
        ("images --datastore nowhere", NotFound, "workspaceblobstore"),
        ("images -o class", BadInput, "-o first_run"),
        ("images -o __name__", BadInput, "-o first_run"),
        ("images --nmae x", BadInput, "--help"),
        ("", BadInput, "--help"),
        ("images a b", BadInput, "--help"),
        ("'images", BadInput, "close the quotes"),
        ("{nothing}", BadInput, ""),
        ("empty", BadInput, "nothing was uploaded"),
        ("pipe", BadInput, ""),
    ],
)
def test_lines_that_cannot_be(shell: Any, home: Path, line: str, error: type[Exception], hint: str) -> None:
    folder_of(Path("images"), a="1")
    Path("empty/inner").mkdir(parents=True)
    os.mkfifo("pipe")
    raised = cell(shell, f"%upload_data {line}")
    assert isinstance(raised, error)
    assert hint in str(raised.hint)  # type: ignore[attr-defined]
    assert not list(home.rglob("*.pack")), "nothing is stored for what cannot be"
    assert not (home / "default/datasets").exists()


def test_help(shell: Any, capsys: Out) -> None:
    assert cell(shell, "%upload_data --help") is None
    out = capsys.readouterr().out
    for option in ("SRC", "TARGET", "--datastore", "--name", "--overwrite", "-o"):
        assert option in out


def test_a_name_in_another_case_is_refused_before_anything_lies_there(shell: Any, workspace: Workspace) -> None:
    folder_of(Path("images"), a="1")
    cell(shell, "%upload_data images")
    raised = cell(shell, "%upload_data images other --name IMAGES")
    assert isinstance(raised, Conflict)
    assert "'images'" in str(raised)
    with pytest.raises(NotFound):
        Dataset.File.from_files((Datastore(workspace), "other"))


# ---- stopped, and on again ---------------------------------------------------------------------------------------


def test_ctrl_c_keeps_what_is_stored(
    shell: Any, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: Out
) -> None:
    write(Path("images"), {f"{n}.bin": f"{n:06d}" * 100_000 for n in range(40)})
    real = uploading.Bars.step
    ended = []

    def interrupt(self: uploading.Bars, told: snapshot.Progress) -> None:
        real(self, told)
        ended.append(told.event == "end")
        if sum(ended) == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(uploading.Bars, "step", interrupt)
    raised = cell(shell, "%upload_data images -o mine")
    assert isinstance(raised, KeyboardInterrupt)
    assert f"The upload was interrupted. {GO_ON}" in capsys.readouterr().err
    assert "mine" not in shell.user_ns
    assert datasets(workspace) == {}
    with pytest.raises(NotFound):
        Dataset.File.from_files((Datastore(workspace), "images"))
    monkeypatch.setattr(uploading.Bars, "step", real)
    made = cell(shell, "%upload_data images -o mine")
    assert (made.version, len(made.to_path())) == (1, 40)
    new = re.search(r"40 files, 24 MB: \d+ files moved, ([\d.]+) MB new", capsys.readouterr().out)
    assert new is not None
    assert float(new[1]) <= 12, "what was stored was stored again"


def test_a_full_disk_says_so(shell: Any, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    folder_of(Path("images"), a="1")

    def full(*_args: Any, **_options: Any) -> Any:
        raise StoreError("the disk is full", hint="free space there")

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "take_data", full)
        raised = cell(shell, "%upload_data images")
    assert "free space" in str(raised)
    assert f"The upload stopped. {GO_ON}" in capsys.readouterr().err
    assert cell(shell, "%upload_data images").version == 1


def test_quiet_says_nothing(workspace: Workspace, tmp_path: Path, capsys: Out) -> None:
    made = upload_data(workspace, folder_of(tmp_path / "images", a="1"), progress=False)
    assert made.version == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


# ---- the bar -----------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as the test says."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


class Terminal(io.StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_bar_says_rate_and_time_left(clock: list[float]) -> None:
    bar = Bar("upload images", 1_000_000_000)
    assert bar.text() == f"upload images {'░' * 24} 0% · 0 B of 1 GB"
    bar.to(0)
    clock[0] += 5
    bar.to(250_000_000, "3 of 12 files")
    assert bar.text() == (
        f"upload images {'█' * 6}{'░' * 18} 25% · 250 MB of 1 GB · 50 MB/s · 15 s left · 3 of 12 files"
    )
    clock[0] += 5
    bar.to(999_999_999)
    assert " 99% · " in bar.text(), "not all before it is all"
    bar.to(1_000_000_000)
    assert bar.text() == f"upload images {'█' * 24} 100% · 1 GB of 1 GB · 100 MB/s"


def test_what_was_there_before_has_no_rate(clock: list[float]) -> None:
    bar = Bar("x", 1000)
    clock[0] += 1
    bar.to(900)
    assert bar.words() == "90% · 900 B of 1 kB"
    clock[0] += 1
    bar.to(950)
    assert bar.words() == "95% · 950 B of 1 kB · 25 B/s · 2.0 s left"
    bar.to(1000)
    assert bar.words() == "100% · 1 kB of 1 kB", "a rate of the few that were moved says nothing"


def test_bars_of_nothing_and_of_more_than_all() -> None:
    empty = Bar("x", 0)
    empty.to(0)
    assert empty.words().startswith("100%")
    grown = Bar("x", 10)
    grown.to(25)
    assert grown.words().startswith("100%")
    assert 'value="10" max="10"' in grown.html()
    assert Bar("x", -1).total == 0


def test_titles_do_not_break_the_line() -> None:
    bar = Bar("a\nb\x1b[31m" + "x" * 100, 10)
    assert bar.text().isprintable()
    assert len(bar.title) == 60


def test_the_bar_on_a_terminal(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Bar("upload images", 100) as bar:
        for n in range(0, 100, 10):
            clock[0] += 0.05
            bar.to(n)
    drawn = terminal.getvalue().split("\r\x1b[2K")
    assert drawn[0] == ""
    assert 4 <= len(drawn) <= 8, "it is drawn every 0.1 s, and at the end"
    assert drawn[-1].endswith("\n")
    assert "".join(drawn[:-1]).count("\n") == 0
    assert "100%" in drawn[-1]
    assert all(len(line.rstrip("\n")) <= 39 for line in drawn), "a longer line would stay behind"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreError("full"), SystemExit(1)])
def test_a_bar_that_is_stopped_ends_its_line(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = Bar("upload", 100)
    bar.to(40, "1 of 3 files")
    bar.__exit__(type(error), error, None)
    last = terminal.getvalue().split("\r\x1b[2K")[-1]
    assert last.endswith(" · stopped\n")
    assert " 40% · " in last


def test_a_bar_that_draws_nothing_ends_no_line(monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        with Bar("upload", 100):
            pass
        assert terminal.getvalue() == ""
    with Bar("upload", 100) as bar:
        bar.to(50)
    assert capsys.readouterr().err == "", "a file or a pipe gets no bar"


def test_a_real_terminal_gets_one_line(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "images", {f"{n}": str(n) for n in range(20)})
    master, slave = pty.openpty()
    said: list[bytes] = []

    def look() -> None:
        with suppress(OSError):  # the other side is closed
            while data := os.read(master, 1 << 16):
                said.append(data)

    # it holds a few lines only, and a slow upload draws many
    reader = threading.Thread(target=look)
    reader.start()
    with os.fdopen(slave, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        upload_data(workspace, tmp_path / "images")
    reader.join()
    os.close(master)
    text = b"".join(said).decode()
    assert text.count("\n") == 1
    assert text.endswith("\r\n")
    assert "upload images" in text
    assert "100%" in text


# ---- the bar in a notebook -----------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page of HTML has: elements that are closed, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def test_the_notebook_bar_is_of_the_page(clock: list[float]) -> None:
    """It says the same, has the page's own colours, and no title can write into the page."""
    bar = Bar("upload <img src=x onerror='alert(1)'> & \"more\"", 1000)
    bar.to(0)
    clock[0] += 2
    bar.to(400, "4 of 10 files")
    page = Page(bar.html())
    assert [tag for tag, _ in page.found] == ["div", "span", "progress", "span"]
    _, meter = page.found[2]
    assert (meter["value"], meter["max"]) == ("400", "1000")
    assert meter["aria-label"] == bar.title
    assert bar.title in page.text
    assert "40% · 400 B of 1 kB · 200 B/s · 3.0 s left · 4 of 10 files" in page.text
    styles = " ".join(str(values.get("style", "")) for _, values in page.found)
    assert not re.search(r"#[0-9a-f]|rgb|hsl|background|(?<!accent-)color:|white|black", styles)
    assert "class=" not in bar.html()


def test_the_notebook_bar_is_one_output(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []

    class Handle:
        def update(self, given: dict[str, str], *, raw: bool) -> None:
            assert raw
            shown.append(given)

    def display(given: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        assert raw
        assert display_id
        assert not shown, "it is displayed once, then updated"
        shown.append(given)
        return Handle()

    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    bar = Bar("upload", 100)
    for n in (0, 50):
        clock[0] += 1
        bar.to(n)
    bar.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [one["text/html"].count("<progress") for one in shown] == [1, 1, 1]
    assert shown[-1]["text/plain"].endswith("stopped")
    assert "50%" in shown[-1]["text/html"]


def test_a_large_file_moves_the_bar(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(os.urandom(3 * CHUNK + 5))
    store = ObjectStore(workspace.folder.make().objects)
    told: list[snapshot.Progress] = []
    snapshot.take_data(store, snapshot.scan_data(tmp_path / "large.bin"), progress=told.append)
    parts = [one.bytes_done for one in told if one.event == "part"]
    assert len(parts) >= 4
    assert parts[:4] == sorted(parts[:4])
    assert parts[0] >= 5
    assert (told[-1].event, told[-1].bytes_done) == ("end", 3 * CHUNK + 5)
