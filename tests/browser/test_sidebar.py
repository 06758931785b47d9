"""The sidebar in a real JupyterLab over a real server; where the number of runs matters, the channel is played."""

from __future__ import annotations

import json
import re
import struct
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Dialog, Locator, expect

from jupyter_mlrun.rundir import RunDir, dump_json, write_new
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import ended_run, recorded_run
from tests.support import kill_agent, until

from .test_lab import notebook

if TYPE_CHECKING:
    from playwright.sync_api import Request, WebSocketRoute

    from .conftest import Lab, Server

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="window.pwned=1">\u202e\u0000 evil ' + "W" * 300
THEME = "apputils:change-theme"
STATUS_BAR = ({"status": "active", "limit": 500}, {"limit": 30})


@pytest.fixture
def place(server: Server, monkeypatch: pytest.MonkeyPatch) -> WorkspaceDir:
    """The workspace that the server shows; no agent is there to start, or mourn, runs without a process."""
    kill_agent(server.home)
    monkeypatch.setenv("JUPYTER_MLRUN_HOME", str(server.home))
    return WorkspaceDir(server.home, "default").make()


@pytest.fixture
def panel(lab: Lab) -> Iterator[Callable[[str], Locator]]:
    """Show the sidebar, with this in its filter; no page may have said anything wrong."""

    def show(words: str) -> Locator:
        lab.goto()
        # it takes the keyboard when it comes
        expect(lab.page.locator(".jp-Launcher")).to_be_visible()
        lab.page.evaluate(NOTE_TOASTS)
        return sidebar(lab, words)

    yield show
    assert [error for error in lab.errors if "mlrun" in error.lower()] == []


def sidebar(lab: Lab, words: str) -> Locator:
    lab.execute("jupyter-mlrun:show-runs")
    panel = lab.page.locator(".mlr-panel")
    box = panel.get_by_role("searchbox")
    box.fill(words)
    box.press("Enter")
    expect(panel.and_(lab.page.locator("[data-fresh]"))).to_be_visible()
    expect(panel.locator(".mlr-item[data-run]").first).to_be_visible()
    return panel


def line(panel: Locator, name: str) -> Locator:
    return panel.get_by_role("treeitem").filter(has_text=name)


def is_layout(asked: Request, words: str) -> bool:
    """Whether JupyterLab keeps where everything is, and *words* are in it."""
    return asked.method == "PUT" and "/api/workspaces" in asked.url and words in (asked.post_data or "")


NOTE_TOASTS = """() => {
  window.told = new Map();
  new MutationObserver(() =>
    document.querySelectorAll('.Toastify__toast').forEach(toast => window.told.set(toast, toast.textContent))
  ).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


def told(lab: Lab) -> list[str]:
    """What notifications have said since ``panel`` showed the sidebar; they go away by themselves."""
    found: list[str] = lab.page.evaluate("[...window.told.values()]")
    return found


def tells(lab: Lab, words: str) -> None:
    """Wait until one notification has said this."""
    lab.page.wait_for_function("words => [...window.told.values()].some(text => text.includes(words))", arg=words)
    assert len([text for text in told(lab) if words in text]) == 1


def begun(place: WorkspaceDir, **more: Any) -> RunDir:
    """A run that goes on, of which the test is the only process."""
    run = recorded_run(place, **more)
    state = runs.move(run, runs.recorded(run), Status.STARTING, generation=1)
    runs.move(run, state, Status.RUNNING, started=time.time())
    return run


def end(run: RunDir, code: int = 0) -> None:
    found = {
        "status": "Failed" if code else "Completed", "reason": "exit_code" if code else "finished",
        "text": "it went wrong" if code else "done", "exit_code": code, "ended": time.time(),
    }  # fmt: skip
    write_new(run.exit, dump_json(found))
    runs.finish(run, runs.recorded(run), found)


def test_a_run_is_followed_from_its_start_to_its_end(
    lab: Lab, panel: Callable[[str], Locator], place: WorkspaceDir
) -> None:
    ended_run(place, experiment="followed", number=1, display_name="the old one")
    shown = panel("followed")
    expect(shown.locator(".mlr-group")).to_have_accessible_name(re.compile("followed ?, 1 run"))
    run = begun(place, experiment="followed", number=2, display_name="the new one", tags={"kind": "live"})
    new = line(shown, "the new one")
    expect(new).to_have_attribute("data-look", "live")
    expect(lab.page.locator(".jp-mlrun-active")).to_contain_text("active run")
    expect(shown.get_by_role("button", name="Active")).to_contain_text(re.compile(r"\d"))
    writer = MetricWriter(str(run.metrics))
    for step in range(30):
        writer.log("loss", 1 / (step + 1), step=step)
    writer.close()
    expect(new.locator(".metric")).to_have_text("loss 0.033333")
    expect(new.locator("path").last).to_have_attribute("d", re.compile("^M.*L"))
    lab.screenshot("sidebar-light")
    end(run, code=1)
    expect(new).to_have_attribute("data-look", "bad")
    expect(new.locator(".about")).to_contain_text("it went wrong")
    tells(lab, "the new one: Failed")
    # what a person filters by
    box = shown.get_by_role("searchbox")
    box.fill("followed tag:kind=live")
    expect(shown.locator(".mlr-item")).to_have_count(1)
    box.fill("followed no-such-word")
    expect(shown.get_by_text("No run fits the filter.")).to_be_visible()
    shown.get_by_role("button", name="Clear the filter").click()
    expect(box).to_have_value("")
    lab.execute(THEME, theme="JupyterLab Dark")
    lab.screenshot("sidebar-dark")
    lab.execute(THEME, theme="JupyterLab Light")


def test_a_run_that_ends_at_once_is_told(lab: Lab, panel: Callable[[str], Locator], place: WorkspaceDir) -> None:
    ended_run(place, experiment="quick", number=1, display_name="the one before")
    shown = panel("quick")
    expect(lab.page.locator(".jp-mlrun-active")).to_contain_text("active run")
    expect(line(shown, "the one before")).to_be_visible()
    ended_run(place, experiment="quick", number=900_000_000, display_name="the quick one", code=1)
    expect(line(shown, "the quick one")).to_have_attribute("data-look", "bad")
    tells(lab, "the quick one: Failed")
    assert [text for text in told(lab) if "the one before" in text] == []


def test_the_keyboard_alone_does_it_all(lab: Lab, panel: Callable[[str], Locator], place: WorkspaceDir) -> None:
    for number in range(4):
        ended_run(place, experiment="keys", number=number, display_name=f"key run {number}")
    shown = panel("keys")
    keyboard = lab.page.keyboard
    shown.get_by_role("searchbox").press("ArrowDown")
    focused = lab.page.locator(":focus")
    expect(focused).to_have_attribute("aria-level", "1")
    keyboard.press("ArrowLeft")
    expect(focused).to_have_attribute("aria-expanded", "false")
    expect(shown.locator(".mlr-item")).to_have_count(0)
    keyboard.press("ArrowRight")
    expect(shown.locator(".mlr-item[data-run]")).to_have_count(4)
    keyboard.press("ArrowRight")
    expect(focused).to_contain_text("key run 3")
    keyboard.press("Space")
    keyboard.press("Shift+ArrowDown")
    expect(shown.locator(".mlr-item[aria-selected=true]")).to_have_count(2)
    expect(shown.get_by_role("toolbar", name="What can be done")).to_contain_text("2 picked")
    keyboard.press("Escape")
    expect(shown.locator(".mlr-item[aria-selected=true]")).to_have_count(0)

    keyboard.press("F2")
    dialog = lab.page.locator("dialog[open]")
    expect(dialog).to_be_visible()
    keyboard.press("Control+a")
    keyboard.type("named anew")
    keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(line(shown, "named anew")).to_be_visible()
    expect(focused).to_contain_text("named anew")

    keyboard.press("Delete")
    expect(dialog).to_contain_text("Delete this run?")
    dialog.get_by_role("button", name="Delete").focus()
    keyboard.press("Enter")
    # the list may be told before the answer comes: until then keys are the dialog's
    expect(dialog).to_have_count(0)
    expect(shown.locator(".mlr-item")).to_have_count(3)
    expect(line(shown, "named anew")).to_have_count(0)
    expect(focused).to_contain_text("key run 1")

    keyboard.press("Shift+F10")
    expect(lab.page.locator(".lm-Menu")).to_be_visible()
    keyboard.press("Escape")
    expect(focused).to_contain_text("key run 1")
    keyboard.press("End")
    expect(focused).to_contain_text("key run 0")
    page = lab.page.locator(".jp-mlrun-document")
    with lab.page.expect_request_finished(lambda asked: is_layout(asked, "jupyter-mlrun-run:keys")):
        keyboard.press("Enter")
    expect(page).to_contain_text("key run 0")
    lab.page.reload()
    lab.page.wait_for_function("window.jupyterapp !== undefined")
    expect(page).to_contain_text("key run 0")


def test_several_are_compared_and_deleted(lab: Lab, panel: Callable[[str], Locator], place: WorkspaceDir) -> None:
    for number in range(3):
        ended_run(place, experiment="several", number=number, display_name=f"several run {number}")
    shown = panel("several")
    lines = shown.locator(".mlr-item")
    lines.nth(0).click()
    lines.nth(2).click(modifiers=["Shift"])
    bar = shown.get_by_role("toolbar", name="What can be done")
    expect(bar).to_contain_text("3 picked")
    bar.get_by_role("button", name="Compare").click()
    expect(lab.page.locator(".mlr-compare")).to_contain_text("several run 1")
    lines.nth(1).click(modifiers=["Control"])
    expect(bar).to_contain_text("2 picked")
    lines.nth(0).click(button="right")
    menu = lab.page.locator(".lm-Menu")
    expect(menu.locator("[data-command='jupyter-mlrun:rename']")).to_have_class(re.compile("lm-mod-disabled"))
    menu.locator("[data-command='jupyter-mlrun:delete']").click()
    with lab.page.expect_response(re.compile("api/runs/delete")) as answer:
        lab.page.locator("dialog[open]").get_by_role("button", name="Delete 2 runs").click()
    assert [one["error"] for one in answer.value.json()["runs"]] == [None, None]
    expect(lab.page.locator("dialog")).to_have_count(0)
    expect(lines).to_have_count(1)
    expect(bar).to_be_hidden()
    expect(lab.page.locator(":focus")).to_contain_text("several run 1")


def test_those_that_cannot_be_deleted_are_named_and_stay_picked(
    lab: Lab, panel: Callable[[str], Locator], place: WorkspaceDir
) -> None:
    ended_run(place, experiment="mixed", number=1, display_name="mixed ended")
    active = begun(place, experiment="mixed", number=2, display_name="mixed active")
    shown = panel("mixed")
    lines = shown.locator(".mlr-item")
    lines.nth(0).click()
    lines.nth(1).click(modifiers=["Control"])
    bar = shown.get_by_role("toolbar", name="What can be done")
    bar.get_by_role("button", name="Delete").click()
    lab.page.locator("dialog[open]").get_by_role("button", name="Delete 2 runs").click()
    refusal = lab.page.locator(".Toastify__toast").filter(has_text="1 of 2 runs were not deleted")
    expect(refusal).to_contain_text("mixed active")
    expect(refusal).to_contain_text("stop it first")
    expect(lines).to_have_count(1)
    expect(line(shown, "mixed active")).to_have_attribute("aria-selected", "true")
    end(active)


def test_hostile_names_are_text_and_a_narrow_sidebar_holds_them(
    lab: Lab, panel: Callable[[str], Locator], place: WorkspaceDir
) -> None:
    name = HOSTILE.replace("\0", "")
    run = begun(
        place, experiment="hostile", display_name=name, tags={"<b onclick=1>": "<script>window.pwned=1</script>"}
    )
    writer = MetricWriter(str(run.metrics))
    writer.log("<img src=x onerror=window.pwned=1>", 1.0)
    writer.close()
    dialogs: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    lab.page.on("dialog", dismiss)
    shown = panel("hostile")
    hostile = line(shown, "<img src=x onerror=")
    expect(hostile.locator(".metric")).to_contain_text("<img src=x")
    hostile.click(button="right")
    lab.page.keyboard.press("Escape")
    lab.page.evaluate(
        "() => document.querySelector('#jp-left-stack').parentElement.style.setProperty('width', '200px')"
    )
    lab.page.evaluate("() => { document.querySelector('.mlr-panel').style.width = '190px'; }")
    wide = lab.page.evaluate(
        "() => { const l = document.querySelector('.mlr-list'); return l.scrollWidth - l.clientWidth; }"
    )
    assert wide <= 0
    lab.screenshot("sidebar-narrow")
    hostile.dblclick()
    expect(lab.page.locator(".jp-mlrun-document")).to_contain_text("<img src=x")
    end(run)
    tells(lab, "<img src=x")
    assert lab.page.evaluate("window.pwned") is None
    assert shown.locator("img, script, b").count() == 0
    assert dialogs == []


def test_a_run_is_stopped_while_the_kernel_is_busy(lab: Lab) -> None:
    cells = [
        "%load_ext jupyter_mlrun",
        "%%submit --name sleeper -q\nimport time\ntime.sleep(600)",
        "import time\ntime.sleep(600)",
    ]
    (lab.notebooks / "busy.ipynb").write_text(notebook(*cells))
    lab.open("busy.ipynb")
    lab.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    shown = sidebar(lab, "sleeper")
    sleeper = line(shown, "sleeper")
    expect(sleeper).to_have_attribute("data-look", "live")
    # between two cells it is idle for a moment
    expect(lab.page.locator(".jp-CodeCell .jp-InputPrompt").nth(1)).to_have_text("[2]:")
    busy = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'"
    lab.page.wait_for_function(busy)
    sleeper.click(button="right")
    lab.page.locator(".lm-Menu [data-command='jupyter-mlrun:stop']").click()
    lab.page.locator("dialog[open]").get_by_role("button", name="Stop").click()
    expect(sleeper.locator(".mark")).to_have_attribute("title", re.compile("Canceled"))
    assert lab.page.evaluate(busy)
    lab.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:interrupt-kernel'); }")


def test_the_form_writes_the_line_and_remembers(lab: Lab) -> None:
    (lab.notebooks / "form.ipynb").write_text(
        notebook("%load_ext jupyter_mlrun", "lr = 0.1\nprint(lr)", "print(2)", "%%submit --e")
    )
    lab.open("form.ipynb")
    cells = lab.page.locator(".jp-Notebook .jp-CodeCell")
    cells.nth(0).locator(".cm-content").click()
    lab.page.keyboard.press("Shift+Enter")
    lab.page.locator(".jp-NotebookPanel-toolbar [data-jp-item-name='jupyter-mlrun-submit']").click()
    form = lab.page.locator("dialog.submit-form")
    form.get_by_label("Experiment").fill("of the form")
    form.get_by_label("Name of the run").fill("it's named")
    form.get_by_label("Tags").fill("a=1, b")
    expect(form.locator(".line")).to_have_text(
        """%%submit -e 'of the form' --name 'it'"'"'s named' --tag a=1 --tag b"""
    )
    lab.screenshot("submit-form")
    form.get_by_role("button", name="Submit", exact=True).click()
    expect(form).to_have_count(0)
    expect(cells.nth(1)).to_contain_text("%%submit -e 'of the form'")
    expect(cells.nth(1).locator(".mlr-live, .jupyter-mlrun-static").first).to_be_visible()
    shown = sidebar(lab, "of the form")
    named = line(shown, "it's named")
    expect(named.locator(".mark")).to_have_attribute("title", "Completed")

    # another cell begins as this one did; the name was this run's
    cells.nth(2).locator(".cm-content").click()
    lab.page.evaluate("() => { window.jupyterapp.commands.execute('jupyter-mlrun:submit-form'); }")
    expect(form.locator(".line")).to_have_text("%%submit -e 'of the form'")
    form.get_by_role("button", name="Write the line only").click()
    expect(cells.nth(2)).to_contain_text("%%submit -e 'of the form'")
    expect(shown.locator(".mlr-item")).to_have_count(1)

    cells.nth(3).locator(".cm-content").click()
    lab.page.keyboard.press("End")
    lab.page.keyboard.press("Tab")
    offered = lab.page.locator(".jp-Completer-item")
    expect(offered.filter(has_text="--experiment")).to_be_visible()
    lab.page.keyboard.type("xp")
    expect(offered).to_have_count(1)
    lab.page.keyboard.press("Enter")
    lab.page.keyboard.type(" of")
    lab.page.keyboard.press("Tab")
    expect(offered.filter(has_text="of-the-form")).to_be_visible()
    lab.screenshot("completion")
    lab.page.keyboard.press("Enter")
    expect(cells.nth(3).locator(".cm-line").first).to_have_text("%%submit --experiment of-the-form")


# ------------------------------------------------------------------------------------------ many runs


class Played:
    """The live channel, played: as many runs as are wanted, none of them on a disk."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.sockets: list[WebSocketRoute] = []
        self.asked: list[dict[str, Any]] = []
        self.open: dict[int, dict[str, Any]] = {}
        self.down = False
        self.numbers: list[int] | None = None  # of the runs, where they are not the first so many

    def connect(self, socket: WebSocketRoute) -> None:
        if self.down:
            socket.close()
            return
        self.sockets.append(socket)
        self.open.clear()
        socket.on_message(lambda text: self.hear(socket, json.loads(text)))

    def hear(self, socket: WebSocketRoute, said: dict[str, Any]) -> None:
        if said["do"] == "close":
            self.open.pop(said["sub"], None)
        elif said["do"] == "open":
            self.asked.append(said)
            self.open[said["sub"]] = said
            if said["what"] == "runs":
                self.tell(socket, said["sub"], said["query"])

    def tell(self, socket: WebSocketRoute, sub: int, query: dict[str, Any]) -> None:
        active = query.get("status") == "active"
        numbers = range(self.total) if self.numbers is None else self.numbers
        total = 0 if active else len(numbers)
        first = query.get("offset", 0)
        rows = [self.row(n) for n in numbers[first : min(total, first + query["limit"])]]
        header = {
            "type": "runs", "sub": sub, "seq": 1, "full": True, "order": [row["id"] for row in rows], "rows": rows,
            "gone": [], "total": total, "counts": {"Completed": total},
            "experiments": [{"name": "big", "runs": total, "active": 0}] if total else [],
        }  # fmt: skip
        text = json.dumps(header).encode()
        socket.send(struct.pack("<I", len(text)) + text)

    def say(self, *numbers: int) -> None:
        """Tell the page that these are the runs now."""
        self.numbers = list(numbers)
        for sub, said in self.open.items():
            if said["what"] == "runs":
                self.tell(self.sockets[-1], sub, said["query"])

    @staticmethod
    def row(n: int) -> dict[str, Any]:
        return {
            "id": f"run_{n}", "name": f"run number {n}", "experiment": "big", "kind": "script", "status": "Completed",
            "shown": "Completed", "reason": None, "waiting": None, "created": 1e9 - n, "started": 1e9, "ended": 1e9 + n,
            "over": True, "can_stop": False, "target": "local", "by": None, "tags": {}, "parameters": {},
            "primary": {"name": "loss", "last": str(n), "spark": [n % 7, 3, 1]}, "metrics": {}, "progress": None,
            "fraction": None, "parent": None, "notebook": None,
        }  # fmt: skip


@pytest.fixture
def played(lab: Lab) -> Played:
    played = Played(10_000)
    lab.page.route_web_socket(re.compile(r"/jupyter-mlrun/api/live"), played.connect)
    return played


def test_ten_thousand_runs(lab: Lab, panel: Callable[[str], Locator], played: Played) -> None:
    shown = panel("")
    box = shown.locator(".mlr-list")
    expect(shown.locator(".mlr-group")).to_contain_text("10,000")
    # each frame of a long scroll: the page holds few lines, and those that are seen fill the box
    most = lab.page.evaluate(
        """async () => {
          const box = document.querySelector('.mlr-list');
          let most = 0;
          for (let i = 0; i <= 60; i++) {
            box.scrollTop = (box.scrollHeight - box.clientHeight) * i / 60;
            await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
            most = Math.max(most, box.querySelectorAll('[role=treeitem]').length);
            const lines = [...box.querySelectorAll('.mlr-line')].map(line => line.getBoundingClientRect());
            const frame = box.getBoundingClientRect();
            if (!lines.some(line => line.top <= frame.top + 29) || !lines.some(line => line.bottom >= frame.bottom - 1))
              throw new Error(`a hole at step ${i}`);
          }
          return most;
        }"""
    )
    assert most <= 60
    expect(line(shown, "run number 9999")).to_be_visible()
    # the page speaks to the test while the test speaks to the page
    until(lambda: lab.page.evaluate("true") and len(played.open) <= 5, "windows that were left are closed")
    lab.page.keyboard.press("Tab")
    line(shown, "run number 9999").click()
    lab.page.keyboard.press("Home")
    expect(lab.page.locator(":focus")).to_contain_text("10,000")
    expect(line(shown, "run number 0")).to_be_visible()
    until(lambda: box.evaluate("box => box.scrollTop") == 0, "it is at the top")

    lab.execute("application:toggle-left-area")
    lab.page.wait_for_function("() => !document.querySelector('.mlr-list').checkVisibility()")
    expect(lab.page.locator("#jupyter-mlrun-runs")).to_be_hidden()
    # what the status bar and notifications follow goes on

    def left() -> list[dict[str, Any]]:
        return [said for said in played.open.values() if said.get("query") not in STATUS_BAR]

    until(lambda: lab.page.evaluate("true") and not left(), "what the sidebar followed is let go")


def test_the_keyboard_is_never_lost(lab: Lab, panel: Callable[[str], Locator], played: Played) -> None:
    played.numbers = list(range(10, 20))
    shown = panel("")
    keyboard = lab.page.keyboard
    focused = lab.page.locator(":focus")
    line(shown, "run number 14").click()
    expect(focused).to_contain_text("run number 14")
    # others come above it, and the order changes: it goes with its run
    played.say(*range(20))
    expect(line(shown, "run number 2")).to_be_visible()
    expect(focused).to_contain_text("run number 14")
    played.say(*reversed(range(20)))
    expect(shown.locator(".mlr-item").first).to_contain_text("run number 19")
    expect(focused).to_contain_text("run number 14")
    # it goes, and with it the one below: the next takes over
    played.say(*(n for n in reversed(range(20)) if n not in (14, 13)))
    expect(focused).to_contain_text("run number 12")
    # its experiment is closed, and opened again
    keyboard.press("ArrowLeft")
    expect(focused).to_have_attribute("aria-expanded", "true")
    keyboard.press("ArrowLeft")
    expect(shown.locator(".mlr-item")).to_have_count(0)
    expect(focused).to_have_attribute("aria-expanded", "false")
    keyboard.press("ArrowRight")
    expect(shown.locator(".mlr-item[data-run]").first).to_contain_text("run number 19")
    keyboard.press("ArrowRight")
    expect(focused).to_contain_text("run number 19")
    # all go, and come again: the box above has the keyboard, not the page
    played.say()
    expect(shown.locator(".mlr-state")).to_be_visible()
    expect(focused).to_have_attribute("type", "search")
    played.say(1, 2)
    expect(shown.locator(".mlr-item")).to_have_count(2)
    keyboard.press("ArrowDown")
    keyboard.press("End")
    expect(focused).to_contain_text("run number 2")
    # whoever goes elsewhere stays there
    shown.get_by_role("button", name="Order of the runs").focus()
    keyboard.press("Enter")
    expect(lab.page.locator(".lm-Menu")).to_be_visible()
    keyboard.press("Escape")
    expect(focused).to_have_attribute("aria-label", "Order of the runs")
    played.say(1)
    expect(shown.locator(".mlr-item")).to_have_count(1)
    expect(focused).to_have_attribute("aria-label", "Order of the runs")


def test_a_server_that_goes_and_comes(lab: Lab, panel: Callable[[str], Locator], played: Played) -> None:
    played.total = 3
    shown = panel("")
    expect(shown.locator(".mlr-item")).to_have_count(3)
    played.down = True
    played.sockets[-1].close()
    notice = shown.get_by_text("Not connected to the server")
    expect(notice).to_be_visible()
    expect(shown.locator(".mlr-item")).to_have_count(3)
    lab.screenshot("sidebar-lost")
    played.down, played.total = False, 4
    lab.page.evaluate("() => window.dispatchEvent(new Event('online'))")
    expect(notice).to_be_hidden()
    expect(shown.locator(".mlr-item")).to_have_count(4)


def test_no_runs_say_how_to_begin(lab: Lab, played: Played) -> None:
    played.total = 0
    lab.goto()
    lab.execute("jupyter-mlrun:show-runs")
    empty = lab.page.locator(".mlr-panel .mlr-state")
    expect(empty).to_contain_text("No runs yet")
    expect(empty).to_contain_text("%%submit")
    lab.screenshot("sidebar-empty")
