"""Ours beside MLflow, trackio, tensorboardX, wandb and submitit in the same run: ``make bench ONLY=peers PEERS=1``.

The peers live in a virtual environment of their own (``.venv-peers``, pinned in tests/peers.txt); without it there are
no rows.  Peers take turns with ours, so that a busy moment hits all of them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jupyter_mlrun.agent import client
from jupyter_mlrun.records import RunState, Spec
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.states import Status
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.index import IndexWriter, listing
from jupyter_mlrun.store.series import MetricReader
from jupyter_mlrun.worker.segment import MetricWriter

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-peers/bin/python"
REPEATS = 3
CALLS, POINTS, RUNS, STARTS, METRICS = 2000, 20_000, 200, 5, 5
TIMEOUT = 300
# task, count, unit, times a second has it, peers
TASKS: list[tuple[str, int, str, float, tuple[str, ...]]] = [
    ("log", CALLS, "µs", 1e6, ("tensorboardx", "trackio", "wandb", "mlflow")),
    ("read", POINTS, "ms", 1e3, ("tensorboardx", "trackio", "mlflow")),
    ("list", RUNS, "ms", 1e3, ("tensorboardx", "mlflow")),
    ("start", STARTS, "ms", 1e3, ("submitit",)),
]
WHAT = {
    "log": f"log() one number, mean of {CALLS:,}",
    "read": f"read back {POINTS:,} points",
    "list": f"list {RUNS} runs with {METRICS} last values each",
    "start": "submit to first line of user code",
}


def rows() -> Iterator[dict[str, Any]]:
    """A row per task and peer; ``ratio`` is the peer's to ours."""
    if not PYTHON.is_file():
        return
    ours: dict[str, Callable[[Path, int], float]] = {"log": _log, "read": _read, "list": _list, "start": _start}
    for task, count, unit, scale, peers in TASKS:
        taken: dict[str, list[float]] = {}
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as folder:
                taken.setdefault("ours", []).append(ours[task](Path(folder), count))
            for peer in peers:
                value = _peer(peer, task, count)
                if value is not None:
                    taken.setdefault(peer, []).append(value)
        mine = statistics.median(taken.pop("ours")) * scale
        for peer, values in taken.items():
            theirs = statistics.median(values) * scale
            name = f"{WHAT[task]}: {peer} ({theirs / mine:,.0f} times ours)"
            yield {
                "name": name,
                "ours": mine,
                "floor": None,
                "peer": theirs,
                "unit": unit,
                "ratio": None,
                "budget": None,
            }


def _peer(peer: str, task: str, count: int) -> float | None:
    """Seconds of one task; None, and a line that says why, where the peer cannot do it here."""
    with tempfile.TemporaryDirectory() as folder:
        env = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "WANDB", "TRACKIO"))}
        env |= {"HOME": folder, "TRACKIO_DIR": folder, "WANDB_MODE": "offline", "MLFLOW_DISABLE_TELEMETRY": "true"}
        command = [str(PYTHON), str(HERE / "_peer.py"), peer, task, folder, str(count)]
        try:
            said = subprocess.run(
                command, env=env, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=True
            )
            return float(said.stdout.split()[-1])
        except subprocess.TimeoutExpired:
            sys.stderr.write(f"{peer} {task}: not done after {TIMEOUT} s\n")
        except (subprocess.CalledProcessError, ValueError, IndexError) as problem:
            why = getattr(problem, "stderr", "") or str(problem)
            sys.stderr.write(f"{peer} {task}: {why.strip().splitlines()[-1]}\n")
        return None


# ---- ours


def _written(folder: Path, count: int) -> float:
    writer = MetricWriter(str(folder / "metrics"))
    writer.log("loss", 0.5, 0)
    begun = time.perf_counter()
    for n in range(1, count):
        writer.log("loss", 0.5, n)
    return (time.perf_counter() - begun) / count


def _log(folder: Path, count: int) -> float:
    return _written(folder, count)


def _read(folder: Path, count: int) -> float:
    _written(folder, count)
    begun = time.perf_counter()
    reader = MetricReader(folder / "metrics")
    reader.refresh()
    if len(reader.series("loss")) != count:
        raise RuntimeError("not all points are there")
    return time.perf_counter() - begun


def _list(folder: Path, count: int) -> float:
    place = WorkspaceDir(folder, "bench").make()
    experiment = place.runs / "exp"
    experiment.mkdir()
    writer = IndexWriter(place, lambda _: {f"m{i}": 0.5 for i in range(METRICS)})
    entries = []
    for number in range(count):
        run_id = f"exp_{1_700_000_000 + number}_{number:08x}"
        (experiment / run_id).mkdir()
        entries.append((RunDir(experiment / run_id), _spec(run_id, number), RunState(status=Status.COMPLETED)))
    writer.put_many(entries)
    writer.seen(experiment, experiment.stat().st_mtime_ns - 1, count)
    os.utime(experiment, ns=(0, 10**9))
    writer.seen(experiment, 10**9, count)
    begun = time.perf_counter()
    found = listing(place)
    taken = time.perf_counter() - begun
    if len(found) != count:
        raise RuntimeError(f"{len(found)} of {count} runs are listed")
    return taken


def _spec(run_id: str, number: int) -> Spec:
    return Spec(
        run_id=run_id, experiment="exp", workspace="bench", created=1.7e9 + number, created_by={}, kind="cell",
        script="cell.py", arguments=[], snapshot=None, objects="", environment={},
    )  # fmt: skip


def _start(folder: Path, count: int) -> float:
    from tests.support import finish, log_of
    from tests.warm import start, warm_up

    os.environ["JUPYTER_MLRUN_HOME"] = str(folder)
    try:
        warm_up(folder, preload=())
        taken = []
        for number in range(count):
            begun = time.time()
            run = start(f"import time\nprint(time.time())  # {number}")
            finish(run)
            taken.append(float(log_of(run).split()[-1]) - begun)
        return statistics.median(taken)
    finally:
        client.stop_agent(folder)
        del os.environ["JUPYTER_MLRUN_HOME"]
