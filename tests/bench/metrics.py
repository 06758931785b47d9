"""Metrics: log(), rows, reading back, buckets, last values, memory; each beside the floor under it.

Peers' figures are those of the project's own measurements on a 2-core machine; ratios come from this run alone.
"""

from __future__ import annotations

import gc
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_mlrun.store.series import MetricReader, Summary, buckets, last_table, pack_summaries
from jupyter_mlrun.worker.segment import MetricWriter

ROOT = Path(__file__).parent.parent.parent
CALLS = 10_000
POINTS = 1_000_000
REPEATS = 15


def interleaved(acts: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Median seconds of each act; they take turns, so that a busy moment hits all of them."""
    taken: dict[str, list[float]] = {name: [] for name in acts}
    gc.collect()
    for _ in range(REPEATS):
        for name, act in acts.items():
            taken[name].append(act())
    return {name: statistics.median(times) for name, times in taken.items()}


def clocked(act: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        start = time.perf_counter()
        act()
        return time.perf_counter() - start

    return run


def row(name: str, unit: str, ours: float, floor: float | None, **more: Any) -> dict[str, Any]:
    ratio = None if not floor else ours / floor
    return {"name": name, "unit": unit, "ours": ours, "floor": floor, "ratio": ratio, **more}


class Floors:
    """What any store must do at least: call a function, pack, and put the bytes into a buffered file."""

    def __init__(self, path: Path) -> None:
        self.write = path.open("wb").write
        self.record, self.wide = struct.Struct("<qdd").pack, struct.Struct("<qd20d").pack

    def empty(self, name: str, value: float, step: int) -> None:
        pass

    def packed(self, name: str, value: float, step: int) -> None:
        self.write(self.record(step, time.time(), value))

    def packed_row(self, values: dict[str, float], step: int) -> None:
        self.write(self.wide(step, time.time(), *values.values()))


def calling(log: Callable[[Any, Any, int], None]) -> Callable[[], None]:
    def act() -> None:
        for step in range(CALLS):
            log("loss", 0.5, step)

    return act


def calling_row(log_row: Callable[[Any, int], None]) -> Callable[[], None]:
    metrics = {f"metric/{n}": 0.1 * n for n in range(20)}

    def act() -> None:
        for step in range(CALLS // 10):
            log_row(metrics, step)

    return act


def _writing(folder: Path) -> Iterator[dict[str, Any]]:
    writer, floors = MetricWriter(str(folder / "writing")), Floors(folder / "floor")
    acts = {
        "log": calling(writer.log),
        "call": calling(floors.empty),
        "floor": calling(floors.packed),
        "row": calling_row(writer.log_row),
        "floor row": calling_row(floors.packed_row),
    }
    found = interleaved({name: clocked(act) for name, act in acts.items()})
    log, floor, call = (found[name] * 1e6 / CALLS for name in ("log", "floor", "call"))
    wide, floor_wide = (found[name] * 1e7 / CALLS for name in ("row", "floor row"))
    yield row("log(), 1 metric / packed buffered write", "µs", log, floor, peer=9.6, budget=1.5)
    yield row("log(), 1 metric / empty call", "µs", log, call, peer=9.6)
    yield row("20 metrics / packed buffered write", "µs", wide, floor_wide, peer=38)
    yield row("20 metrics / empty call", "µs", wide, call, peer=38, budget=25.0)


def _reading(folder: Path) -> Iterator[dict[str, Any]]:
    place = folder / "reading"
    writer = MetricWriter(str(place))
    for step in range(POINTS):
        writer.log("loss", 0.5 * step, step)
    (path,) = place.glob("*.s.seg")

    def read() -> MetricReader:
        reader = MetricReader(place)
        reader.refresh()
        assert len(reader.series("loss")) == POINTS
        return reader

    series = read().series("loss")
    acts: dict[str, Callable[[], object]] = {
        "read": read,
        "floor": lambda: np.fromfile(path, np.uint64),
        "buckets": lambda: buckets(series.steps, series.values, 1000),
        "one pass": lambda: (series.values.min(), series.values.max()),
    }
    found = interleaved({name: clocked(act) for name, act in acts.items()})
    ours, floor = found["read"] * 1e3, found["floor"] * 1e3
    yield row("read back 1 M points / np.fromfile", "ms", ours, floor, peer=3200, budget=5.0)
    ours, floor = found["buckets"] * 1e3, found["one pass"] * 1e3
    yield row("1,000 buckets of 1 M / min and max of all", "ms", ours, floor, peer=240)
    yield row("1,000 buckets of 1 M / reading them", "ms", ours, found["read"] * 1e3, peer=240, budget=0.2)


def _last_values() -> Iterator[dict[str, Any]]:
    names = [f"metric/{n}" for n in range(20)]
    rows = [pack_summaries({n: Summary(0.5 * run, 0.0, 1.0, 10, 9) for n in names}) for run in range(1000)]
    plain = np.zeros((1000, 20))
    acts: dict[str, Callable[[], object]] = {"ours": lambda: last_table(rows), "floor": plain.T.copy}
    found = interleaved({name: clocked(act) for name, act in acts.items()})
    yield row("last values, 20 metrics of 1,000 runs", "ms", found["ours"] * 1e3, found["floor"] * 1e3, peer=630)


MEMORY = """
import os, sys
sys.path.insert(0, sys.argv[1])
from jupyter_mlrun.worker.segment import MetricWriter
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
writer = MetricWriter(sys.argv[2])
writer.log("m", 0.0, 0)
before = resident()
for step in range(1_000_000):
    writer.log("m", 0.5, step)
print((resident() - before) / 1e6)
"""


def _memory(folder: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-c", MEMORY, str(ROOT), str(folder / "memory")]
    grown = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    # 8 MB at most; the floor is what the best prototype kept
    yield row("memory of 1 M points logged", "MB", grown, 2.0, peer=1, budget=4.0)


def rows() -> Iterator[dict[str, Any]]:
    folder = Path(tempfile.mkdtemp(prefix="bench-metrics-", dir=os.environ.get("JUPYTER_MLRUN_BENCH_DIR")))
    try:
        yield from _writing(folder)
        yield from _reading(folder)
        yield from _last_values()
        yield from _memory(folder)
    finally:
        shutil.rmtree(folder)
