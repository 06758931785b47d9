"""From log() to what Chromium has drawn, over the server and over the kernel, in a real JupyterLab."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.bench.runs import row
from tests.browser import latency, million
from tests.browser.conftest import CHROMIUM, CHROMIUM_FLAGS
from tests.browser.latency import Figures, Stage

FRAME = 100.0  # milliseconds between two frames of a view, at least
BY_SERVER, BY_KERNEL = 250, 400


def rows() -> Iterator[dict[str, Any]]:
    """Each figure beside the floor: a frame in 100 ms."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        return
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=CHROMIUM_FLAGS)
        for kernel, budget, works in ((False, BY_SERVER, SERVED), (True, BY_KERNEL, WITHOUT)):
            with _stage(Path(folder) / str(kernel), browser, kernel=kernel) as stage:
                for work in works:
                    yield from _rows(work(stage), budget)
                if not kernel:
                    yield from _million(stage)
        browser.close()


SERVED: tuple[Callable[[Stage], Figures], ...] = (
    lambda stage: latency.by_server(stage, 1),
    lambda stage: latency.by_server(stage, 20),
    lambda stage: latency.by_server(stage, 100),
    lambda stage: latency.by_server(stage, 20, asleep=True),
    lambda stage: latency.by_document(stage, 20),
)
WITHOUT: tuple[Callable[[Stage], Figures], ...] = (
    lambda stage: latency.by_kernel(stage, 1, asleep=False),
    lambda stage: latency.by_kernel(stage, 1),
    lambda stage: latency.by_kernel(stage, 20),
)


def _million(stage: Stage) -> Iterator[dict[str, Any]]:
    run = million.written(stage)
    for what in ("not read yet", "read before"):
        found = million.opened(stage, run, what)
        print(found, flush=True)
        about = f"1 M points, {what}, load {found.load:.1f}"
        yield row(f"{about}: script to chart, budget 300 ms (floor: a frame)", found.script, FRAME, "ms", 3.0)
        zoom = statistics.quantiles(found.zooms, n=20)[18]
        yield row(f"{about}: a zoom, p95, budget 100 ms (floor: a frame)", zoom, FRAME, "ms", 1.0)


@contextmanager
def _stage(folder: Path, browser: Browser, *, kernel: bool) -> Iterator[Stage]:
    stage = Stage(folder, browser, kernel=kernel)
    try:
        yield stage
    finally:
        stage.close()


def _rows(found: Figures, budget: int) -> Iterator[dict[str, Any]]:
    print(found, flush=True)
    for part, value in (("p50", found.p50), ("p95", found.p95)):
        name = (
            f"log() to pixel: {found.what}, load {found.load:.1f}, {part}, budget {budget} ms at p95 (floor: a frame)"
        )
        yield row(name, value, FRAME, "ms", budget / FRAME if part == "p95" else None)
