"""A run of 1,000,000 points and as many lines on its page: when its chart is there, and how long a zoom takes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from jupyter_mlrun.rundir import write_new
from jupyter_mlrun.worker.segment import MetricWriter

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from jupyter_mlrun.rundir import RunDir

    from .latency import Stage

MANY = 1_000_000
ZOOMS = 10
# when the page asked for the run, when its chart was painted; of each zoom: from the key to the painted answer
WATCH = r"""(() => {
  const seen = window.seen = { asked: null, shown: null, zooms: [] };
  const { port1, port2 } = new MessageChannel();
  const after = [];
  port2.onmessage = () => after.splice(0).forEach(work => work(performance.now()));
  const painted = work => requestAnimationFrame(() => { after.push(work); port1.postMessage(0); });
  let pressed = null;
  const decoder = new TextDecoder('latin1');
  const heard = data => {
    if (pressed === null || !(data instanceof ArrayBuffer)) return;
    if (!/"type": ?"range"/.test(decoder.decode(new Uint8Array(data, 0, Math.min(400, data.byteLength))))) return;
    const from = pressed;
    pressed = null;
    // the view draws in the next animation frame
    painted(now => seen.zooms.push(now - from));
  };
  addEventListener('keydown', event => { if (event.key === '+') pressed = performance.now(); }, true);
  const Native = window.WebSocket;
  window.WebSocket = class extends Native {
    constructor(...all) {
      super(...all);
      this.addEventListener('message', event => heard(event.data));
    }
    send(data) {
      if (/"what":"run"/.test(data)) seen.asked ??= performance.now();
      super.send(data);
    }
  };
  const look = () => {
    if (seen.shown === null && document.querySelector('.mlr-live .card canvas')) {
      seen.shown = 0;
      painted(now => (seen.shown = now));
    }
  };
  document.addEventListener('DOMContentLoaded', () =>
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true }));
})()"""
SCRIPT = "performance.getEntriesByType('resource').find(one => /\\/page\\.js/.test(one.name)).responseEnd"


@dataclass
class Opened:
    """Milliseconds from the script's arrival, and from the question, to the chart; of each zoom; rows at most."""

    what: str
    script: float
    asked: float
    zooms: list[float]
    rows: int
    load: float

    def __str__(self) -> str:
        zooms = ", ".join(f"{one:.0f}" for one in self.zooms)
        return (
            f"{MANY:,} points, {self.what}: chart after {self.script:.0f} ms of the script, {self.asked:.0f} ms of the "
            f"question; zooms {zooms} ms; at most {self.rows} rows; load {self.load:.1f}"
        )


def written(stage: Stage) -> RunDir:
    """A run with so many points and lines."""
    (run,) = stage.begun(1)
    writer = MetricWriter(str(run.metrics))
    for step in range(MANY):
        writer.log("loss", 1.0 / (1 + step) + (step % 17) * 1e-3, step=step)
    writer.close()
    write_new(run.log(), b"".join(b"line %d of the log\n" % n for n in range(1, MANY + 1)))
    return run


def opened(stage: Stage, run: RunDir, what: str) -> Opened:
    """Open its page in a browser that has the scripts, zoom in with the keyboard, and go through its log."""
    context = stage.browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    context.add_init_script(WATCH)
    page, server = context.new_page(), stage.server
    try:
        page.goto(f"{server.url}/jupyter-mlrun/runs/{run.run_id}?token={server.token}#charts")
        page.wait_for_function("window.seen.shown > 0")
        script, asked, shown = page.evaluate(f"[{SCRIPT}, window.seen.asked, window.seen.shown]")
        zooms = _zoom(page)
        load = os.getloadavg()[0]
        return Opened(what, shown - script, shown - asked, zooms, _rows(page), load)
    finally:
        context.close()


def _zoom(page: Page) -> list[float]:
    expect(page.locator(".card .foot").first).to_contain_text(f"{MANY:,} points")
    page.locator(".card .plot").first.focus()
    for number in range(1, ZOOMS + 1):
        time.sleep(0.1)
        page.keyboard.press("+")
        page.wait_for_function("n => window.seen.zooms.length === n", arg=number)
    found: list[float] = page.evaluate("window.seen.zooms")
    return found


def _rows(page: Page) -> int:
    page.get_by_role("tab", name="Logs").click()
    expect(page.locator(".row").last).to_have_attribute("data-n", str(MANY))
    most = 0
    for part in (0.0, 0.5, 0.123456, 1.0):
        page.locator(".pane").evaluate("(e, part) => e.scrollTo(0, part * (e.scrollHeight - e.clientHeight))", part)
        page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
        page.wait_for_function("() => !document.querySelector('.row[data-missing]')")
        shown = page.locator(".row").evaluate_all("all => all.map(row => [Number(row.dataset.n), row.textContent])")
        assert all(text.endswith(f"line {number} of the log") for number, text in shown), shown[:2]
        most = max(most, len(shown))
    return most
