"""Listing 10,000 runs, and importing the client: rows for ``make bench``."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_mlrun.records import RunState, Spec
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.states import Status
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.index import IndexWriter, listing

REPEATS = 9


def row(name: str, ours: float, floor: float, unit: str, budget: float | None) -> dict[str, Any]:
    """One line of the table; ``ratio`` is ours to the floor."""
    return {
        "name": name, "ours": ours, "floor": floor, "peer": None, "unit": unit, "ratio": ours / floor, "budget": budget,
    }  # fmt: skip


def interleaved(*works: Any) -> list[float]:
    """The median milliseconds of each work, taken in turn."""
    seen: list[list[float]] = [[] for _ in works]
    for _ in range(REPEATS):
        for times, work in zip(seen, works, strict=True):
            begun = time.perf_counter()
            work()
            times.append((time.perf_counter() - begun) * 1e3)
    return [statistics.median(times) for times in seen]


def rows() -> Iterator[dict[str, Any]]:
    """Each figure beside the floor that it cannot go below."""
    yield from _listing()
    yield from _import()


def _listing() -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        place = WorkspaceDir(Path(folder), "bench").make()
        experiment = place.runs / "exp"
        experiment.mkdir()
        writer = IndexWriter(place, lambda _: {f"m{i}": 0.5 for i in range(20)})
        entries = []
        for number in range(10_000):
            run_id = f"exp_{1_700_000_000 + number}_{number:08x}"
            (experiment / run_id).mkdir()
            entries.append((RunDir(experiment / run_id), _spec(run_id, number), RunState(status=Status.COMPLETED)))
        writer.put_many(entries)
        writer.seen(experiment, experiment.stat().st_mtime_ns - 1, 10_000)
        os.utime(experiment, ns=(0, 10**9))
        writer.seen(experiment, 10**9, 10_000)
        text = json.dumps([{"id": f"exp_{n}"} for n in range(100)])
        ours, floor = interleaved(lambda: listing(place, limit=100), lambda: json.loads(text))
        yield row("list the newest 100 of 10,000 runs, budget 20 ms (floor: parse 100 ids)", ours, floor, "ms", None)
        ours, floor = interleaved(lambda: listing(place), lambda: list(os.scandir(experiment)))
        yield row("list all 10,000 runs (floor: scandir of their folder)", ours, floor, "ms", None)
        writer.close()


def _spec(run_id: str, number: int) -> Spec:
    return Spec(
        run_id=run_id, experiment="exp", workspace="bench", created=1.7e9 + number, created_by={}, kind="cell",
        script="cell.py", arguments=[], snapshot=None, objects="", environment={},
        parameters={"lr": {"text": "0.1", "value": 0.1}},
    )  # fmt: skip


def _import() -> Iterator[dict[str, Any]]:
    def start(code: str) -> Any:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    empty, ours, floor = interleaved(
        start("pass"), start("from jupyter_mlrun import Run, log"), start("import json, os, struct, mmap")
    )
    yield row(
        "import Run, log, budget 30 ms (floor: json, os, struct, mmap)",
        ours - empty,
        max(floor - empty, 0.1),
        "ms",
        2.0,
    )
