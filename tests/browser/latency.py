"""How long a reader waits: from log() in another process to what a real Chromium has drawn, in a real JupyterLab.

Runs are written down and logged to by one process for all of them (``writers.py``); no agent is there.
"""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from playwright.sync_api import Browser, CDPSession, expect

from jupyter_mlrun.rundir import RunDir, dump_json, write_new
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.ui.saved import MIME
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import recorded_run
from tests.support import free_port

from .conftest import LONG, NO_NEWS, Lab, Server, command, copy_until_end, end, environment
from .test_lab import notebook

ROOT = Path(__file__).parent.parent.parent
SECONDS = 1000
NO_EXTENSION = json.dumps({"disabledExtensions": {**json.loads(NO_NEWS)["disabledExtensions"], "jupyter_mlrun": True}})
FAST, SLOW = 0.05, 0.4  # seconds between two values: of what is watched, and of the other active runs
COUNT = 200
HIGH = 1000  # pixels of the page

# What came over any WebSocket, and what is on the page, by name of metric and value, with the time of the page's clock.
# "made" is what the sender's clock said when it made the frame.
WATCH = r"""(() => {
  const seen = window.seen = { made: {}, came: {}, drawn: {}, messages: 0, bytes: 0, on: false };
  const note = (where, name, value, when) => { const of = where[name] ??= {}; of[value] ??= when; };
  const decoder = new TextDecoder('latin1');
  const heard = data => {
    if (!seen.on || !(data instanceof ArrayBuffer)) return;
    const now = Date.now() / 1000;
    seen.messages++;
    seen.bytes += data.byteLength;
    const text = decoder.decode(data);
    const made = Number(/"type": ?"frame".*?"now": ?([\d.]+)/.exec(text)?.[1]);
    if (Number.isNaN(made)) return;
    for (const found of text.matchAll(/"name": ?"(tick\d+)".*?"last": ?"([\d,]+)"/g)) {
      const value = found[2].replaceAll(',', '');
      note(seen.came, found[1], value, now);
      note(seen.made, found[1], value, made);
    }
  };
  const Native = window.WebSocket;
  window.WebSocket = class extends Native {
    constructor(...all) {
      super(...all);
      this.addEventListener('message', event => heard(event.data));
    }
  };
  const fresh = [];
  const { port1, port2 } = new MessageChannel();
  // after the animation frame that changed the text and painted the chart
  port2.onmessage = () => {
    const now = Date.now() / 1000;
    for (const [name, value] of fresh.splice(0)) note(seen.drawn, name, value, now);
  };
  const look = records => {
    if (!seen.on) return;
    const element = target => (target.closest ? target : target.parentElement);
    const places = new Set(records.map(({ target }) => element(target)?.closest('.mlr-live .card')));
    for (const card of places) {
      const value = card?.querySelector('.value')?.textContent.replaceAll(',', '');
      const name = card?.querySelector('.metric')?.textContent;
      if (value && name) fresh.push([name, value]);
    }
    if (fresh.length) port1.postMessage(0);
  };
  document.addEventListener('DOMContentLoaded', () =>
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true }));
})()"""


# the names of the metrics whose cards are in the window
IN_SIGHT = """() => [...document.querySelectorAll('.mlr-live .card')].filter(card => {
  const box = card.querySelector('.value').getBoundingClientRect();
  return box.height && box.top >= 0 && box.bottom <= innerHeight;
}).map(card => card.querySelector('.metric').textContent)"""


@dataclass
class Figures:
    """What was measured; times in milliseconds, seconds of processor time."""

    what: str
    waits: list[float]
    made: list[float]
    came: list[float]
    cpu: dict[str, float] = field(default_factory=dict)
    load: float = 0.0

    @property
    def p50(self) -> float:
        return statistics.median(self.waits)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.waits, n=20)[18]

    def __str__(self) -> str:
        middle = [round(statistics.median(part)) if part else 0 for part in (self.made, self.came, self.waits)]
        cut = [round(statistics.quantiles(part, n=20)[18]) if len(part) > 1 else 0 for part in (self.made, self.came)]
        cpu = " ".join(f"{who} {seconds:.2f}" for who, seconds in self.cpu.items())
        return (
            f"log() to pixel, ms: {self.what}: p50 {self.p50:.0f} p95 {self.p95:.0f} max {max(self.waits):.0f}, "
            f"{len(self.waits)} values; to the frame, to the page, drawn p50 {middle}, p95 {[*cut, round(self.p95)]}; "
            f"load {self.load:.1f}; per second: {cpu}"
        )


class Stage:
    """A JupyterLab of its own; *kernel*: without our extension, so that kernels draw."""

    def __init__(self, base: Path, browser: Browser, *, kernel: bool = False) -> None:
        self.base, self.browser, self.kernel = base, browser, kernel
        self.notebooks, self.home = base / "notebooks", base / "home"
        self.notebooks.mkdir(parents=True)
        self.place = WorkspaceDir(self.home, "default").make()
        config = base / "config_dir/labconfig/page_config.json"
        config.parent.mkdir(parents=True)
        config.write_text(NO_EXTENSION if kernel else NO_NEWS)
        self.runs = 0
        self.server: Server
        self._start()

    def _start(self) -> None:
        port, token = free_port(), secrets.token_hex(16)
        self.process = subprocess.Popen(
            command(port, token, self.notebooks), env=environment(self.base, self.home), cwd=self.notebooks,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        up, log = threading.Event(), self.base / "server.log"
        sign = f"http://127.0.0.1:{port}/".encode()
        self._reader = threading.Thread(target=copy_until_end, args=(self.process.stdout, log, sign, up), daemon=True)
        self._reader.start()
        assert up.wait(LONG), f"JupyterLab did not come up:\n{log.read_text()[-3000:]}"
        self.server = Server(f"http://127.0.0.1:{port}", token, self.notebooks, self.home, log, self.process.pid)

    def close(self) -> None:
        """End the server and its kernels."""
        end(self.process)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    # ---- runs

    def begun(self, count: int) -> list[RunDir]:
        """Runs that go on."""
        made = []
        for _ in range(count):
            self.runs += 1
            run = recorded_run(self.place, number=self.runs)
            state = runs.move(run, runs.recorded(run), Status.STARTING, generation=1)
            runs.move(run, state, Status.RUNNING, started=time.time())
            made.append(run)
        return made

    def over(self, going: list[RunDir]) -> None:
        """They have ended."""
        for run in going:
            found = {"status": "Completed", "reason": "finished", "text": "done", "exit_code": 0, "ended": time.time()}
            write_new(run.exit, dump_json(found))
            runs.finish(run, runs.recorded(run), found)

    @contextmanager
    def writing(self, going: list[RunDir], fast: int, count: int) -> Iterator[Writing]:
        """A process that logs to them once it is let; the first *fast* of them often."""
        made = Writing(self.base / f"plan{self.runs}.json", going, fast, count)
        try:
            yield made
        finally:
            made.process.kill()
            made.process.wait()

    # ---- pages

    @contextmanager
    def page(self, high: int = HIGH) -> Iterator[Lab]:
        """A page that notes what it sees."""
        context = self.browser.new_context(viewport={"width": 1280, "height": high})
        context.add_init_script(WATCH)
        lab = Lab(context.new_page(), self.server)
        lab.page.on("pageerror", lambda error: lab.errors.append(str(error)))
        try:
            yield lab
        finally:
            context.close()

    def saved(self, name: str, going: list[RunDir], *cells: str) -> None:
        """A notebook with an output for each run, as the server draws them."""
        made = json.loads(notebook(*["pass"] * len(going), *cells))
        for cell, run in zip(made["cells"], going, strict=False):
            data = {"format": 1, "run": run.run_id, "workspace": "default", "part": "saved", "view": "none"}
            output = {"output_type": "display_data", "metadata": {}, "data": {MIME: data, "text/plain": "a run"}}
            cell["outputs"], cell["execution_count"] = [output], 1
        (self.notebooks / name).write_text(json.dumps(made))


class Writing:
    """The process that logs."""

    def __init__(self, plan: Path, going: list[RunDir], fast: int, count: int) -> None:
        self.gate, self.times = plan.with_suffix(".gate"), plan.with_suffix(".times")
        each = [
            {"metrics": str(run.metrics), "name": f"tick{n}", "period": FAST if n < fast else SLOW}
            for n, run in enumerate(going)
        ]
        plan.write_text(json.dumps({"runs": each, "count": count, "gate": str(self.gate), "times": str(self.times)}))
        start = [sys.executable, "-m", "tests.browser.writers", str(plan)]
        self.process = subprocess.Popen(start, cwd=ROOT)

    def written(self) -> list[list[float]]:
        """When each value was logged."""
        found: list[list[float]] = json.loads(self.times.read_text())
        return found


# ---- measuring -------------------------------------------------------------------------------------------------


def measure(stage: Stage, lab: Lab, writing: Writing, what: str) -> Figures:
    """Let the runs log, and see what the page saw."""
    lab.page.wait_for_timeout(3 * SECONDS)  # what a page does when it comes up is not asked here
    lab.page.evaluate("window.seen.on = true")
    session = lab.page.context.new_cdp_session(lab.page)
    session.send("Performance.enable")
    before, tasks, begun = cpu(stage), busy(session), time.monotonic()
    writing.gate.touch()
    assert writing.process.wait() == 0
    spent = time.monotonic() - begun
    after, more = cpu(stage), busy(session)
    written = writing.written()
    # views grow when their first points come, and push others out of sight
    names = sorted(lab.page.evaluate(IN_SIGHT))
    assert "tick0" in names, names
    last = {name: str(len(written[int(name[4:])])) for name in names}
    there = "last => Object.entries(last).every(([name, value]) => value in (window.seen.drawn[name] ?? {}))"
    lab.page.wait_for_function(there, arg=last)
    seen = lab.page.evaluate("window.seen")
    use = {who: (after[who] - before.get(who, 0)) / spent for who in after}
    use |= {f"page's {part}s": (more[part] - tasks[part]) / spent for part in more}
    use |= {"messages": seen["messages"] / spent, "kB": seen["bytes"] / spent / 1000}
    return Figures(
        f"{what} ({len(names)} of them in sight)",
        waits=_waits(seen["drawn"], written, names), made=_waits(seen["made"], written, names),
        came=_waits(seen["came"], written, names), cpu=use,
        load=os.getloadavg()[0],
    )  # fmt: skip


def _waits(noted: dict[str, dict[str, float]], written: list[list[float]], names: list[str]) -> list[float]:
    """Of values that came together only the newest is seen: each waited for the first that is not older."""
    waits = []
    for name in names:
        at = sorted((int(value), when) for value, when in noted.get(name, {}).items())
        place = 0
        for value, logged in enumerate(written[int(name[4:])], 1):
            while place < len(at) and at[place][0] < value:
                place += 1
            if place < len(at):
                waits.append(1000 * (at[place][1] - logged))
    return waits


def busy(session: CDPSession) -> dict[str, float]:
    """Seconds of the page's main thread so far."""
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return {part: found[f"{part.title()}Duration"] for part in ("task", "script", "layout")}


def cpu(stage: Stage) -> dict[str, float]:
    """Seconds of processor time so far: of the server, its kernels, the browser."""
    server = psutil.Process(stage.process.pid)
    found = {"server": _seconds(server), "kernel": sum(map(_seconds, server.children(recursive=True)))}
    mine = [one for one in psutil.Process().children(recursive=True) if "chrom" in one.name()]
    return found | {"browser": sum(map(_seconds, mine))}


def _seconds(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(used.user + used.system)


# ---- what is watched -------------------------------------------------------------------------------------------

KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
SLEEP = "print('now')\nimport time\ntime.sleep(600)"
SHOW = """from pathlib import Path
from jupyter_mlrun import RunDetails
from jupyter_mlrun.sdk.find import find
for run in {runs}:
    RunDetails(find(Path({home!r}), run)).show()
"""
PILL = ".jp-Notebook .mlr-live .pill"


def by_server(stage: Stage, active: int, views: int = 1, *, asleep: bool = False, count: int = COUNT) -> Figures:
    """Views in a notebook and the sidebar's list, over the server."""
    going = stage.begun(active)
    name = f"served{stage.runs}.ipynb"
    stage.saved(name, going[:views])
    what = f"server, {active} active, {views} view(s), the list{', the kernel asleep' if asleep else ''}"
    with stage.writing(going, 1, count) as writing, stage.page() as lab:
        lab.open(name)
        lab.execute("jupyter-mlrun:show-runs")
        expect(lab.page.locator(".mlr-panel .mlr-item[data-run]").first).to_be_visible()
        expect(lab.page.locator(PILL).first).to_have_text("Running")
        with sleeping(lab, asleep):
            figures = measure(stage, lab, writing, what)
        assert lab.errors == []
    stage.over(going)
    return figures


def by_document(stage: Stage, active: int, *, count: int = COUNT) -> Figures:
    """A run's document in the main area, and the sidebar's list."""
    going = stage.begun(active)
    with stage.writing(going, 1, count) as writing, stage.page() as lab:
        lab.goto()
        lab.execute("jupyter-mlrun:show-runs")
        lab.execute("jupyter-mlrun:open-run", run=going[0].run_id, place="charts")
        expect(lab.page.locator(".mlr-page .bar")).to_be_visible()
        figures = measure(stage, lab, writing, f"server, {active} active, a run's document, the list")
        assert lab.errors == []
    stage.over(going)
    return figures


def by_kernel(stage: Stage, views: int, *, asleep: bool = True, count: int = COUNT, high: int = HIGH) -> Figures:
    """Views of as many active runs in a notebook, all of which log often, drawn by its kernel."""
    assert stage.kernel
    going = stage.begun(views)
    name = f"kernel{stage.runs}.ipynb"
    show = SHOW.format(runs=[run.run_id for run in going], home=str(stage.home))
    (stage.notebooks / name).write_text(notebook("%load_ext jupyter_mlrun", show))
    what = f"kernel, {views} view(s) of active runs{', the kernel asleep' if asleep else ''}"
    with stage.writing(going, views, count) as writing, stage.page(high) as lab:
        lab.run_notebook(name)
        expect(lab.page.locator(".jp-Notebook .mlr-live")).to_have_count(views)
        # running the last cell scrolled to it
        lab.page.locator(".jp-Notebook .mlr-live").first.scroll_into_view_if_needed()
        expect(lab.page.locator(PILL).first).to_have_text("Running")
        with sleeping(lab, asleep):
            figures = measure(stage, lab, writing, what)
        assert lab.errors == []
    stage.over(going)
    return figures


BURST = 100_000


def burst(stage: Stage) -> str:
    """So many points and lines in a second, seen by one view: what the view then has, and the server's complaints."""
    (run,) = stage.begun(1)
    name = f"burst{stage.runs}.ipynb"
    if stage.kernel:
        show = SHOW.format(runs=[run.run_id], home=str(stage.home))
        (stage.notebooks / name).write_text(notebook("%load_ext jupyter_mlrun", show))
    else:
        stage.saved(name, [run])
    writer = MetricWriter(str(run.metrics))
    with stage.page() as lab:
        lab.run_notebook(name) if stage.kernel else lab.open(name)
        view = lab.page.locator(".jp-Notebook .mlr-live")
        expect(view.locator(".pill")).to_have_text("Running")
        begun = time.monotonic()
        with run.log().open("ab", buffering=0) as log:
            for part in range(10):
                time.sleep(max(0.0, begun + part / 10 - time.monotonic()))
                numbers = range(part * BURST // 10 + 1, (part + 1) * BURST // 10 + 1)
                for n in numbers:
                    writer.log("burst", n, step=n)
                log.write(b"".join(b"line %d\n" % n for n in numbers))
        spent = time.monotonic() - begun
        expect(view.locator(".card .foot")).to_contain_text(f"{BURST:,} points")
        seen = time.monotonic() - begun
        expect(view.locator(".card .foot")).to_contain_text(f"min 1 · max {BURST:,} · {BURST:,} points")
        expect(view.locator(".log")).to_contain_text(f"{BURST:,} lines")
        expect(view.locator(".row").last).to_have_text(f"line {BURST}")
        pane = view.locator(".pane")
        for place in (0.0, 0.37, 0.9):
            pane.evaluate("(e, part) => e.scrollTo(0, part * (e.scrollHeight - e.clientHeight))", place)
            lab.page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
            lab.page.wait_for_function("() => !document.querySelector('.mlr-live .row[data-missing]')")
            rows = view.locator(".row").evaluate_all("all => all.map(row => [row.dataset.n, row.textContent])")
            assert rows
            assert all(text == f"line {number}" for number, text in rows), rows
        assert lab.errors == []
    writer.close()
    stage.over([run])
    said = stage.server.log.read_text()
    assert "rate exceeded" not in said
    way = "kernel" if stage.kernel else "server"
    return f"{BURST:,} points and lines over the {way} in {spent:.2f} s: all there {seen - spent:.2f} s later"


@contextmanager
def sleeping(lab: Lab, asleep: bool) -> Iterator[None]:
    """The notebook's kernel is in ``time.sleep`` all the time."""
    if not asleep:
        yield
        return
    # not its status: messages of views are answered in a thread of their own, and change that
    lab.page.evaluate(
        f"""code => {{
      window.awake = false;
      const asked = {KERNEL}.requestExecute({{ code }});
      window.asleep = new Promise(resolve => (asked.onIOPub = said => said.header.msg_type === 'stream' && resolve()));
      asked.done.finally(() => (window.awake = true));
    }}""",
        SLEEP,
    )
    lab.page.evaluate("() => window.asleep")
    yield
    assert not lab.page.evaluate("window.awake"), "the kernel was asleep all the time"
