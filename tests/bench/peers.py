"""Ours beside MLflow, trackio, tensorboardX, wandb, submitit and papermill: ``make bench ONLY=peers PEERS=1``.

The peers live in a virtual environment of their own (``.venv-peers``, pinned in tests/peers.txt); without it there are
no rows.  A peer prepares for twenty seconds at most; what it has then, ours prepares, too, and they take turns.
``JUPYTER_MLRUN_BENCH_TASKS=log,read`` picks tasks.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.bench import _ours
from tests.bench._tasks import TASKS, Task

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-peers/bin/python"
TIMEOUT = 300
OWN_VARIABLES = ("MLFLOW", "WANDB", "TRACKIO", "JUPYTER_MLRUN")


def rows() -> Iterator[dict[str, Any]]:
    """Ours at the table's size, then a row per peer: both at the size that the peer can do."""
    if not PYTHON.is_file():
        return
    chosen = os.environ.get("JUPYTER_MLRUN_BENCH_TASKS", "").split(",")
    with tempfile.TemporaryDirectory() as folder:
        for task in TASKS:
            if chosen == [""] or task.name in chosen:
                yield from _rows_of(task, Path(folder))


def _rows_of(task: Task, folder: Path) -> Iterator[dict[str, Any]]:
    if task.name == "torch" and not importlib.util.find_spec("torch"):
        return
    what = task.what.format(f"{task.count:,}")
    with _prepared(task, task.count) as act:
        ours = statistics.median(act() for _ in range(task.repeats)) * task.scale
    yield _row(f"{what}: ours", task, ours, None, floor=_floor(task, folder))
    for peer in task.peers:
        begun = time.monotonic()
        try:
            count, ours, theirs = _beside(task, peer, folder)
        except (OSError, ValueError, RuntimeError) as problem:
            yield _row(f"{what}: {peer}: failed: {problem}", task, ours, None)
            continue
        times = _times(task, ours, theirs)
        yield _row(f"{task.what.format(f'{count:,}')}: {peer} ({times})", task, ours, theirs)
        _say(
            f"{task.name} {count:,}: ours {ours:.3g}, {peer} {theirs:.3g} {task.unit}, {time.monotonic() - begun:.0f} s"
        )
    for peers, why in task.cannot.items():
        yield _row(f"{what}: {peers} cannot: {why}", task, ours, None)


def _times(task: Task, ours: float, theirs: float) -> str:
    if task.name == "memory" and ours < 0.05:
        return f"{theirs:.1f} MB; ours less than a measurement shows"
    return f"{theirs / ours:,.{0 if theirs >= 10 * ours else 2}f} times ours"


def _row(name: str, task: Task, ours: float, peer: float | None, floor: float | None = None) -> dict[str, Any]:
    return {
        "name": name, "ours": ours, "floor": floor, "peer": peer, "unit": task.unit,
        "ratio": ours / floor if floor else None, "budget": None,
    }  # fmt: skip


def _floor(task: Task, folder: Path) -> float | None:
    return _ours.lines_floor(folder, task.count) if task.name == "lines" else None


@contextmanager
def _prepared(task: Task, count: int) -> Iterator[_ours.Act]:
    with tempfile.TemporaryDirectory() as folder, _ours.TASKS[task.name](Path(folder), count) as act:
        yield act


def _beside(task: Task, peer: str, folder: Path) -> tuple[int, float, float]:
    """How many, and the medians of ours and of theirs; they take turns, so that a busy moment hits both."""
    with closing(Peer(peer, task.name, folder / peer, task.fewer.get(peer, task.count))) as other:
        count = int(other.answer())
        with _prepared(task, count) as act:
            pairs = [(act(), other.measure()) for _ in range(task.repeats)]
    ours, theirs = (statistics.median(values) * task.scale for values in zip(*pairs, strict=True))
    return count, ours, theirs


class Peer:
    """A process that does one task of one peer; what is prepared in *folder* stays for the next one."""

    def __init__(self, peer: str, task: str, folder: Path, count: int) -> None:
        folder.mkdir(exist_ok=True)
        self.errors = folder / "stderr.txt"
        env = {key: value for key, value in os.environ.items() if not key.startswith(OWN_VARIABLES)}
        env |= {"HOME": str(folder), "TRACKIO_DIR": str(folder), "WANDB_MODE": "offline", "PYTHONPATH": str(ROOT)}
        env |= {"MLFLOW_DISABLE_TELEMETRY": "true", "BENCH_TORCH": _site_packages()}
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [str(PYTHON), "-m", "tests.bench._peer", peer, task, str(folder), str(count)],
                env=env, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        self.timer = threading.Timer(TIMEOUT, self.process.kill)
        self.timer.start()

    def close(self) -> None:
        self.timer.cancel()
        self.process.kill()
        self.process.communicate()

    def answer(self) -> float:
        """The next number that it says.  Raises ``RuntimeError`` with its last words where it has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            said = self.errors.read_text(errors="replace").strip().splitlines()
            raise RuntimeError(said[-1] if said else f"ended, or not done after {TIMEOUT} s")
        return float(line)

    def measure(self) -> float:
        """One more time."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()


def _site_packages() -> str:
    """Where our environment has torch, which the peers' has not."""
    found = importlib.util.find_spec("torch")
    return str(Path(found.origin).parents[1]) if found and found.origin else ""


def _say(text: str) -> None:
    sys.stderr.write(f"  {text}\n")
