"""A run's document in JupyterLab's main area: ways to open it, its tabs, what a reload leaves, and stopping."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Locator, expect

from jupyter_mlrun.rundir import RunDir, append_line, write_new
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import ended_run, recorded_run
from tests.support import kill_agent

from .test_lab import notebook

if TYPE_CHECKING:
    from .conftest import Lab, Server

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="window.pwned=1">'
OPEN = "jupyter-mlrun:open-run"
COMPARE = "jupyter-mlrun:compare"
LOAD = "%load_ext jupyter_mlrun"
THEME = "apputils:change-theme"
BACKGROUND = "element => getComputedStyle(element).backgroundColor.match(/\\d+/g).map(Number)"
DOCUMENT = "#jp-main-dock-panel .jp-mlrun-document"
TABS = {
    "Overview": "Parameters", "Charts": "2 points", "Logs": "a line", "Files": "result.json", "Code": "main.py",
    "System": "CPU", "Children": "of the family",
}  # fmt: skip


@pytest.fixture
def place(server: Server, monkeypatch: pytest.MonkeyPatch) -> WorkspaceDir:
    """The workspace that the server shows; no agent is there to start, or mourn, runs without a process."""
    kill_agent(server.home)
    monkeypatch.setenv("JUPYTER_MLRUN_HOME", str(server.home))
    return WorkspaceDir(server.home, "default").make()


@pytest.fixture(autouse=True)
def no_errors(lab: Lab) -> Iterator[None]:
    """No page may have said anything wrong of ours."""
    yield
    assert [error for error in lab.errors if "mlrun" in error.lower()] == []
    assert lab.page.evaluate("window.pwned") is None


def document(lab: Lab) -> Locator:
    return lab.page.locator(f"{DOCUMENT}:visible")


def tab_of(lab: Lab, title: str) -> Locator:
    """The tab of the main area that has this title."""
    return lab.page.locator("#jp-main-dock-panel .lm-TabBar-tab", has_text=title)


def reload(lab: Lab) -> None:
    lab.page.reload()
    lab.page.wait_for_function("window.jupyterapp !== undefined")


def keeps(lab: Lab, name: str) -> Any:
    """Wait for JupyterLab to keep a layout whose main area has a widget of this name."""

    def is_it(asked: Any) -> bool:
        if asked.method != "PUT" or "/api/workspaces" not in asked.url:
            return False
        layout = json.loads(asked.post_data or "{}").get("data", {}).get("layout-restorer:data", {})
        return name in json.dumps(layout.get("main", {}))

    # a page that is loaded again at once takes back what is still on its way
    return lab.page.expect_request_finished(is_it)


def logged(run: RunDir, *values: float) -> MetricWriter:
    writer = MetricWriter(str(run.metrics))
    for step, value in enumerate(values):
        writer.log("loss", value, step=step)
    return writer


def begun(place: WorkspaceDir, **more: Any) -> RunDir:
    """A run that goes on, of which the test is the only process."""
    run = recorded_run(place, **more)
    state = runs.move(run, runs.recorded(run), Status.STARTING, generation=1)
    runs.move(run, state, Status.RUNNING, started=time.time())
    return run


class Sampled:
    """What a run uses of its machine, a sample at a time; the clock is the test's."""

    def __init__(self, run: RunDir) -> None:
        self.run, self.count, self.start = run, 0, time.time()
        append_line(
            run.system, json.dumps({"format": 1, "cores": 8, "memory": 64_000_000_000, "gpus": []}).encode() + b"\n"
        )

    def add(self, percent: float) -> None:
        self.count += 1
        n, used = self.count, percent / 100 * self.count
        line = {"time": self.start + n, "mono": n, "cpu": used, "memory": n * 1e9, "processes": 2, "free": 9e9}
        append_line(self.run.system, json.dumps(line).encode() + b"\n")


def family(place: WorkspaceDir) -> RunDir:
    """A run that ended, with something in each tab."""
    run = ended_run(
        place, experiment="family", number=1, display_name="the parent", content=b"print('hello')\n",
        parameters={"lr": {"value": 0.1, "text": "0.1"}},
    )  # fmt: skip
    logged(run, 1.0, 0.5).close()
    sampled = Sampled(run)
    for _ in range(3):
        sampled.add(50)
    write_new(run.outputs / "result.json", b"{}")
    ended_run(place, experiment="family", number=2, display_name="of the family", parent=run.run_id)
    return run


def test_the_command_opens_a_run_and_all_its_tabs_work(lab: Lab, place: WorkspaceDir) -> None:
    run = family(place)
    lab.goto()
    lab.execute(OPEN, run=run.run_id)
    shown = document(lab)
    expect(shown.locator(".head .name")).to_have_text("the parent")
    tab = tab_of(lab, "the parent")
    expect(tab).to_have_attribute("title", re.compile(f"the parent · Completed · {run.run_id}"))
    expect(tab.locator(".lm-TabBar-tabIcon svg")).to_be_visible()
    for name, words in TABS.items():
        shown.get_by_role("tab", name=name).first.click()
        expect(shown.locator(f".part-{name.lower()}")).to_contain_text(words)
    expect(shown).not_to_contain_text("damaged")
    # once more is the same document, at another place
    lab.execute(OPEN, run=run.run_id, place="logs")
    expect(lab.page.locator(DOCUMENT)).to_have_count(1)
    expect(shown.get_by_role("tab", name="Logs")).to_have_attribute("aria-selected", "true")
    shown.get_by_role("tab", name="Children").click()
    shown.get_by_role("link", name="of the family").click()
    expect(document(lab).locator(".head .name")).to_have_text("of the family")
    expect(lab.page.locator(DOCUMENT)).to_have_count(2)


def test_the_sidebar_opens_it_and_a_reload_brings_it_back(lab: Lab, place: WorkspaceDir) -> None:
    run = ended_run(place, experiment="reopened", display_name="comes back")
    other = ended_run(place, experiment="reopened", number=1, display_name="beside it")
    lab.goto()
    expect(lab.page.locator(".jp-Launcher")).to_be_visible()
    lab.execute("jupyter-mlrun:show-runs")
    panel = lab.page.locator(".mlr-panel")
    panel.get_by_role("searchbox").fill("reopened")
    with keeps(lab, f"jupyter-mlrun-run:{run.run_id}"):
        panel.get_by_role("treeitem").filter(has_text="comes back").dblclick()
    with keeps(lab, "jupyter-mlrun-compare:"):
        lab.execute(COMPARE, runs=[run.run_id, other.run_id])
    reload(lab)
    expect(tab_of(lab, "Compare 2 runs")).to_be_visible()
    expect(lab.page.locator(".mlr-compare")).to_contain_text("beside it")
    tab_of(lab, "comes back").click()
    expect(document(lab).locator(".head .name")).to_have_text("comes back")
    expect(lab.page.locator(DOCUMENT)).to_have_count(2)
    tab_of(lab, "comes back").locator(".lm-TabBar-tabCloseIcon").click()
    expect(lab.page.locator(DOCUMENT)).to_have_count(1)


def test_one_that_is_opened_while_the_layout_comes_back_stays(lab: Lab, place: WorkspaceDir) -> None:
    first = ended_run(place, experiment="early", display_name="was open")
    early = ended_run(place, experiment="early", number=1, display_name="opened early")
    lab.goto()
    expect(lab.page.locator(".jp-Launcher")).to_be_visible()
    with keeps(lab, f"jupyter-mlrun-run:{first.run_id}"):
        lab.execute(OPEN, run=first.run_id)
    # the moment in which a hasty user finds the command
    lab.page.add_init_script(
        f"""const early = setInterval(() => {{
          const commands = window.jupyterapp?.commands;
          if (commands?.hasCommand('{OPEN}')) {{
            clearInterval(early);
            commands.execute('{OPEN}', {{ run: '{early.run_id}' }});
          }}
        }}, 1);"""
    )
    reload(lab)
    lab.page.evaluate("async () => { await window.jupyterapp.restored; }")
    expect(document(lab).locator(".head .name")).to_have_text("opened early")
    expect(tab_of(lab, "was open")).to_be_visible()


def test_what_a_run_does_is_pushed(lab: Lab, place: WorkspaceDir) -> None:
    run = begun(place, experiment="pushed", display_name="goes on")
    still = ended_run(place, experiment="pushed", number=1, display_name="stands still")
    writer, sampled = logged(run, 3.0, 2.0), Sampled(run)
    logged(still, 5.0, 4.0).close()
    sampled.add(10)
    sampled.add(20)
    lab.goto()
    lab.execute(OPEN, run=run.run_id, place="system")
    system = document(lab).locator(".part-system")
    memory = system.locator(".card", has_text="Memory").locator(".value")
    expect(memory).to_have_text("2 GB")
    asked: list[str] = []
    lab.page.on("request", lambda request: asked.append(request.url))
    sampled.add(30)
    expect(memory).to_have_text("3 GB")
    expect(system).to_contain_text("most memory")
    assert [url for url in asked if url.split("?")[0].endswith("/system")] == [], "the samples were pushed"

    lab.execute(COMPARE, runs=[run.run_id, still.run_id])
    row = document(lab).locator(".differences tr", has_text="loss")
    expect(row).to_contain_text("2")
    writer.log("loss", 0.125, step=2)
    expect(row).to_contain_text("0.125")
    writer.close()


def test_hostile_names_are_text_in_light_and_dark(lab: Lab, place: WorkspaceDir) -> None:
    run = ended_run(
        place, experiment="hostile-run", number=7, display_name=HOSTILE, tags={HOSTILE: HOSTILE},
        content=b"x = 1\n", parameters={HOSTILE: {"value": HOSTILE, "text": HOSTILE}},
    )  # fmt: skip
    writer = MetricWriter(str(run.metrics))
    for step in range(3):
        writer.log(HOSTILE, step, step=step)
    writer.close()
    write_new(run.outputs / f"{HOSTILE.replace('/', '')}.html", b"<script>window.pwned=1</script>")
    lab.goto()
    lab.execute(OPEN, run=run.run_id)
    shown = document(lab)
    expect(shown.locator(".head .name")).to_have_text(HOSTILE)
    expect(tab_of(lab, HOSTILE)).to_be_visible()
    for theme, word in (("JupyterLab Dark", "dark"), ("JupyterLab Light", "light")):
        lab.execute(THEME, theme=theme)
        expect(lab.page.locator(f"body[data-jp-theme-light={'true' if word == 'light' else 'false'}]")).to_be_attached()
        for name in TABS:
            shown.get_by_role("tab", name=name).first.click()
            expect(shown.get_by_role("tab", name=name).first).to_have_attribute("aria-selected", "true")
        shown.get_by_role("tab", name="Charts").click()
        expect(shown.locator(".part-charts canvas")).to_have_count(1)
        back = shown.locator(".mlr-page").evaluate(
            "e => getComputedStyle(e).backgroundColor.match(/\\d+/g).map(Number)"
        )
        assert (sum(back[:3]) > 384) == (word == "light")
        lab.screenshot(f"document-{word}")
    assert shown.locator("img, script").count() == 0
    expect(shown).not_to_contain_text("damaged")


KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
BUSY = f"""() => {{
  window.kernel = {KERNEL};
  window.jupyterapp.commands.execute('notebook:run-all-cells');
}}"""
SLEEPS = "%%submit --name {name}\nimport time\ntime.sleep(600)"
OPEN_OURS = """async name => {{
  const found = await fetch('{url}/jupyter-mlrun/api/runs?text=' + name).then(answer => answer.json());
  await window.jupyterapp.commands.execute('jupyter-mlrun:open-run', {{ run: found.runs[0].id }});
}}"""


def stopped(lab: Lab, name: str) -> None:
    """Open the run's document beside its notebook, and stop it there."""
    lab.page.evaluate(OPEN_OURS.format(url=lab.server.url), name)
    shown = document(lab).filter(has_text=name)
    expect(shown.locator(".pill")).to_have_text("Running")
    shown.get_by_role("button", name="Stop this run").click()
    shown.get_by_role("button", name="Stop it").click()
    expect(shown.locator(".pill")).to_have_text("Canceled")


def test_stop_while_the_kernel_is_busy_and_after_it_died(lab: Lab) -> None:
    cells = [LOAD, SLEEPS.format(name="busy"), SLEEPS.format(name="orphan"), "import time\ntime.sleep(600)"]
    (lab.notebooks / "stops.ipynb").write_text(notebook(*cells))
    lab.open("stops.ipynb")
    lab.page.evaluate(BUSY)
    prompts = lab.page.locator(".jp-CodeCell .jp-InputPrompt")
    expect(prompts.nth(2)).to_have_text("[3]:")  # both are submitted
    expect(prompts.nth(3)).to_have_text("[*]:")
    stopped(lab, "busy")
    lab.page.wait_for_function("window.kernel.status === 'busy'")
    lab.page.evaluate("async () => { await window.kernel.shutdown(); }")
    stopped(lab, "orphan")
