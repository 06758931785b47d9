"""Our side of each task of tests/bench/peers.py: a context that prepares COUNT in FOLDER and gives what measures them.

Reads and writes in FOLDER only.
"""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_mlrun.agent import client
from jupyter_mlrun.records import RunState
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.index import IndexWriter, listing
from jupyter_mlrun.store.series import MetricReader, buckets
from jupyter_mlrun.worker.segment import MetricWriter
from tests.bench._peer_runs import LINE, printing
from tests.bench._peer_tools import BUCKETS, COMPARED, METRICS, check, clocked
from tests.bench.metrics import MEMORY, ROOT
from tests.bench.runs import _spec

Act = Callable[[], float]


def logged(place: Path, count: int) -> Path:
    """A folder of metrics with so many points of one of them."""
    writer = MetricWriter(str(place))
    for n in range(count):
        writer.log("loss", 0.5, n)
    writer.close()
    return place


@contextmanager
def log(folder: Path, count: int) -> Iterator[Act]:
    writer = MetricWriter(str(folder / "metrics"))
    writer.log("loss", 0.5, 0)

    def act() -> None:
        for n in range(count):
            writer.log("loss", 0.5, n)

    yield lambda: clocked(act, count)
    writer.close()


@contextmanager
def memory(folder: Path, count: int) -> Iterator[Act]:
    code = MEMORY.replace("1_000_000", str(count))

    def act() -> float:
        command = [sys.executable, "-c", code, str(ROOT), str(folder / "memory")]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    yield act


@contextmanager
def read(folder: Path, count: int) -> Iterator[Act]:
    place = logged(folder / "metrics", count)

    def act() -> None:
        reader = MetricReader(place)
        reader.refresh()
        check(len(reader.series("loss")), count)

    yield lambda: clocked(act)


def drawn(count: int) -> int:
    """How many buckets a chart has: in each a whole number of points, the same in all but the last."""
    return math.ceil(count / math.ceil(count / BUCKETS))


@contextmanager
def buckets_of(folder: Path, count: int) -> Iterator[Act]:
    """From the files, as the peers, not from memory."""
    place = logged(folder / "metrics", count)

    def act() -> None:
        reader = MetricReader(place)
        reader.refresh()
        series = reader.series("loss")
        check(len(buckets(series.steps, series.values, BUCKETS)[0]), drawn(count))

    yield lambda: clocked(act)


def indexed(folder: Path, count: int) -> WorkspaceDir:
    """A workspace whose index knows so many ended runs."""
    place = WorkspaceDir(folder, "bench").make()
    experiment = place.runs / "exp"
    experiment.mkdir()
    writer = IndexWriter(place, lambda _: {f"m{i}": 0.5 * i for i in range(METRICS)})
    entries = []
    for number in range(count):
        run_id = f"exp_{1_700_000_000 + number}_{number:08x}"
        (experiment / run_id).mkdir()
        entries.append((RunDir(experiment / run_id), _spec(run_id, number), RunState(status=Status.COMPLETED)))
    writer.put_many(entries)
    os.utime(experiment, ns=(0, 10**9))
    writer.seen(experiment, 10**9, count)
    writer.close()
    return place


@contextmanager
def last(folder: Path, count: int) -> Iterator[Act]:
    place = indexed(folder, count)
    yield lambda: clocked(lambda: check(sum(len(row.metrics) for row in listing(place)), count * METRICS))


@contextmanager
def sorted_list(folder: Path, count: int) -> Iterator[Act]:
    """What the server does for its page, which has read the index before."""
    from jupyter_mlrun.server.listing import Shelf
    from jupyter_mlrun.server.lists import window
    from jupyter_mlrun.server.query import Question

    shelf = Shelf(indexed(folder, count))
    question = Question({"status": "over", "sort": "-metric:m1", "limit": 100})
    window(shelf, question, time.time())
    yield lambda: clocked(lambda: check(len(window(shelf, question, time.time()).entries), min(count, 100)))
    shelf.close()


def compared(folder: Path, count: int) -> list[RunDir]:
    """Runs that have ended, with so many points each."""
    from tests.runs import recorded_run

    place = WorkspaceDir(folder, "default").make()
    found = [recorded_run(place, number=number) for number in range(COMPARED)]
    for run in found:
        logged(run.metrics, count)
        runs.move(run, runs.recorded(run), Status.CANCELED)
    return found


@contextmanager
def curves(folder: Path, count: int) -> Iterator[Act]:
    """The points of one chart, from the files."""
    found = compared(folder, count)

    def act() -> None:
        for run in found:
            reader = MetricReader(run.metrics)
            reader.refresh()
            series = reader.series("loss")
            check(len(buckets(series.steps, series.values, BUCKETS)[0]), drawn(count))

    yield lambda: clocked(act)


@contextmanager
def compare(folder: Path, count: int) -> Iterator[Act]:
    """The whole of ``compare``: the table of what differs, and plotly's figure."""
    import jupyter_mlrun
    from jupyter_mlrun.sdk.run import Run

    found = [Run.at(run) for run in compared(folder, count)]

    def act() -> None:
        check(len(jupyter_mlrun.compare(found).figure("loss").data), COMPARED)

    act()  # imports plotly
    yield lambda: clocked(act)


@contextmanager
def home(folder: Path) -> Iterator[None]:
    os.environ["JUPYTER_MLRUN_HOME"] = str(folder)
    try:
        yield
    finally:
        client.stop_agent(folder)
        del os.environ["JUPYTER_MLRUN_HOME"]


@contextmanager
def started(folder: Path, preload: tuple[str, ...]) -> Iterator[Act]:
    """A warm start of a new cell each time."""
    from tests.support import finish, log_of
    from tests.warm import start, warm_up, way

    imports = "".join(f"import {name}\n" for name in preload)

    def act() -> float:
        begun = time.time()
        run = start(f"{imports}import time\nprint(time.time())  # {begun}", preload=preload)
        finish(run)
        if way(run) != "warm":
            raise RuntimeError(f"not a warm start: {way(run)}")
        return float(log_of(run).split()[-1]) - begun

    with home(folder):
        warm_up(folder, preload=preload)
        yield act


@contextmanager
def start(folder: Path, count: int) -> Iterator[Act]:
    with started(folder, ()) as act:
        yield act


@contextmanager
def torch(folder: Path, count: int) -> Iterator[Act]:
    with started(folder, ("torch",)) as act:
        yield act


@contextmanager
def lines(folder: Path, count: int) -> Iterator[Act]:
    """From the submit until the run's end is known."""
    from tests.warm import start, warm_up

    def act() -> None:
        run = start(f"{printing(count)}\n# {time.time()}")
        run.wait_for_completion(show_output=False)
        with run.directory.log().open() as file:
            check(sum(line.endswith(f"{LINE}\n") for line in file), count)

    with home(folder):
        warm_up(folder, preload=())
        yield lambda: clocked(act)


def lines_floor(folder: Path, count: int) -> float:
    """Seconds of a bare interpreter that prints them into a file."""
    with (folder / "printed.txt").open("wb") as file:
        return clocked(lambda: subprocess.run([sys.executable, "-c", printing(count)], stdout=file, check=True))


@contextmanager
def imported(folder: Path, count: int) -> Iterator[Act]:
    def run(code: str) -> float:
        return clocked(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    yield lambda: statistics.median(run("from jupyter_mlrun import Run, log") - run("pass") for _ in range(3))


TASKS = {
    "log": log, "memory": memory, "read": read, "buckets": buckets_of, "last": last, "list": sorted_list,
    "curves": curves, "compare": compare, "start": start, "torch": torch, "import": imported, "lines": lines,
}  # fmt: skip
