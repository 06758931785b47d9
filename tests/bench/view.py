"""The live view: a look at a quiet run, a frame beside json.dumps of the same data, windows of a large log."""

from __future__ import annotations

import gc
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_mlrun.records import Resources, Spec
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.lines import LogLines
from jupyter_mlrun.ui.feed import Feed
from jupyter_mlrun.worker import process
from jupyter_mlrun.worker.segment import MetricWriter

REPEATS = 200
LINES = 1_000_000
HELLO = {"type": "hello", "view": "bench", "have": None, "buckets": 400}


def median(
    act: Callable[[], object], before: Callable[[int], object] = lambda _: None, repeats: int = REPEATS
) -> float:
    """Seconds of *act*, without what *before* takes."""
    gc.collect()
    taken = []
    for number in range(repeats):
        before(number)
        start = time.perf_counter()
        act()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def recorded(place: WorkspaceDir, number: int) -> RunDir:
    spec = Spec(
        run_id=f"bench_1700000000_{number:08x}",
        experiment="bench",
        workspace=place.name,
        created=1_700_000_000.0,
        created_by={"user": "somebody", "host_id": process.host_id(), "pid": 1},
        kind="script",
        script="main.py",
        arguments=[],
        snapshot=None,
        objects=str(place.objects),
        environment={},
        resources=Resources(),
    )
    run = runs.record(place, spec, {})
    state = runs.move(run, runs.recorded(run), Status.STARTING, generation=1)
    runs.move(run, state, Status.RUNNING, started=1_700_000_001.0)
    return run


def log_all(writer: MetricWriter, metrics: int, first: int, points: int) -> None:
    for n in range(first, first + points):
        writer.log_row({f"metric {m}": n * 0.5 + m for m in range(metrics)}, n)


def idle(place: WorkspaceDir, number: int) -> Iterator[dict[str, Any]]:
    run = recorded(place, number)
    writer = MetricWriter(str(run.metrics))
    log_all(writer, 20, 0, 1000)
    run.log().write_bytes(b"a line\n" * 1000)
    feed = Feed(run)
    feed.handle(HELLO)
    feed.frame()
    ours = median(lambda: feed.reader.refresh()) * 1e6  # noqa: PLW0108 -- the property is a part of it
    yield {"name": "look at a run where nothing came", "unit": "µs", "ours": ours, "ratio": ours / 50, "budget": 1.0}
    feeds = [feed, *(Feed(run) for _ in range(19))]
    for one in feeds:
        one.handle(HELLO)
        one.frame()
    ours = median(lambda: [one.frame(refresh=False) for one in feeds]) * 1e6
    yield {"name": "… 20 more views of it", "unit": "µs", "ours": ours}


def floor_of(feed: Feed, made: list[Any]) -> float:
    """json.dumps of what the frame says, its numbers as lists."""
    header, buffer = made[-1]
    numbers = np.frombuffer(buffer, "<f8").tolist()
    return median(lambda: json.dumps({**header, "numbers": numbers}))


def frames(place: WorkspaceDir, number: int, metrics: int, views: int) -> dict[str, Any]:
    """10 new points of each metric and 10 lines in each frame, as at 100 steps a second."""
    run = recorded(place, number)
    writer = MetricWriter(str(run.metrics))
    log_all(writer, metrics, 0, 10)
    feeds = [Feed(run) for _ in range(views)]
    for one in feeds:
        one.handle(HELLO)
    made: list[Any] = []

    def more(round_: int) -> None:
        log_all(writer, metrics, 10 + round_ * 10, 10)
        with run.log().open("ab") as file:
            file.write(b"epoch 3, step 1234: loss 0.12345, accuracy 0.98765\n" * 10)
        made.clear()

    def tell() -> None:
        feeds[0].reader.refresh()
        made.extend(one.frame(refresh=False) for one in feeds)

    ours = median(tell, more) / views
    floor = floor_of(feeds[0], made)
    name = f"a frame: {metrics} metric{'s' * (metrics > 1)}, {views} view{'s' * (views > 1)} (each)"
    return {"name": name, "unit": "ms", "ours": ours * 1e3, "floor": floor * 1e3, "ratio": ours / floor}


def full(place: WorkspaceDir, number: int) -> dict[str, Any]:
    run = recorded(place, number)
    log_all(MetricWriter(str(run.metrics)), 20, 0, 50_000)
    run.log().write_bytes(b"epoch 3, step 1234: loss 0.12345, accuracy 0.98765\n" * 10_000)
    feed = Feed(run)
    start = time.perf_counter()
    made = feed.handle(HELLO)
    first = time.perf_counter() - start
    ours = median(lambda: feed.handle(HELLO), repeats=50)
    floor = floor_of(feed, made)
    more = f", read first in {first * 1e3:.0f} ms"
    name = f"a full frame: 20 metrics of 50,000 points{more}"
    return {"name": name, "unit": "ms", "ours": ours * 1e3, "floor": floor * 1e3, "ratio": ours / floor}


def burst(place: WorkspaceDir, number: int) -> dict[str, Any]:
    run = recorded(place, number)
    writer = MetricWriter(str(run.metrics))
    writer.log("loss", 0.0, 0)
    feed = Feed(run)
    feed.handle(HELLO)
    total, biggest = 0.0, 0
    for step in range(10):
        for n in range(10_000):
            writer.log("loss", float(n), step * 10_000 + n)
        start = time.perf_counter()
        made = feed.frame()
        total += time.perf_counter() - start
        assert made is not None
        biggest = max(biggest, len(json.dumps(made[0])) + len(made[1]))
    name = f"100,000 points in ten frames, the largest of {biggest / 1000:.0f} kB"
    return {"name": name, "unit": "ms", "ours": total * 1e3}


def flat(place: WorkspaceDir, number: int) -> dict[str, Any]:
    """An hour of 100 points a second, replayed."""
    run = recorded(place, number)
    writer = MetricWriter(str(run.metrics))
    feed = Feed(run)
    feed.handle(HELLO)
    log_all(writer, 4, 0, 10_000)
    feed.frame()
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for step in range(1, 36):
        log_all(writer, 4, step * 10_000, 10_000)
        feed.frame()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"name": "memory of 1.4 M more points in a view", "unit": "MiB", "ours": grown}


def logs(folder: Path) -> Iterator[dict[str, Any]]:
    path = folder / "log"
    with path.open("wb") as file:
        for start in range(0, LINES, 10_000):
            file.write(b"".join(b"line %07d %s\n" % (n, b"x" * 86) for n in range(start, start + 10_000)))

    def counted() -> None:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                piece.count(b"\n")

    def indexed() -> LogLines:
        log = LogLines(path)
        while log.refresh():
            pass
        return log

    ours, floor = median(indexed, repeats=5), median(counted, repeats=5)
    name = "index of 1 M lines (100 MB)"
    yield {"name": name, "unit": "ms", "ours": ours * 1e3, "floor": floor * 1e3, "ratio": ours / floor}
    log = indexed()
    places = iter(np.random.default_rng(1).integers(0, LINES - 2000, 10_000).tolist())
    ours = median(lambda: log.lines(place := next(places), place + 2000)) * 1e3
    yield {"name": "… 2,000 lines of it by number", "unit": "ms", "ours": ours, "ratio": ours / 10, "budget": 1.0}

    def search() -> None:
        at = 0
        while True:
            found, go_on = log.search("line 0999999", at)
            if go_on is None:
                assert found == LINES - 1
                return
            at = go_on

    yield {"name": "… search through all of it", "unit": "ms", "ours": median(search, repeats=5) * 1e3}


def rows() -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="jmlrun-bench-") as folder:
        place = WorkspaceDir(Path(folder) / "home", "default").make()
        yield from idle(place, 0)
        for number, (metrics, views) in enumerate(((1, 1), (20, 1), (1, 20), (20, 20)), 1):
            yield frames(place, number, metrics, views)
        yield full(place, 5)
        yield burst(place, 6)
        yield flat(place, 7)
        yield from logs(Path(folder))
