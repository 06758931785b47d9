"""One task of one peer, run by the interpreter of ``.venv-peers``: ``_peer.py PEER TASK FOLDER COUNT`` prints a number.

Writes into FOLDER only; asks no network.
"""

from __future__ import annotations

import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

METRICS = 5
ACCUMULATOR = "tensorboard.backend.event_processing.event_accumulator"


def load(name: str) -> Any:
    """A module of a peer's, which is not where this file is checked."""
    return importlib.import_module(name)


def clocked(act: Callable[[], object], count: int = 1) -> float:
    """Seconds of one of *count*."""
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) / count


# ---- TensorBoard


def tensorboardx_log(folder: Path, count: int) -> float:
    writer = load("tensorboardX").SummaryWriter(str(folder))
    taken = clocked(lambda: [writer.add_scalar("loss", 0.5, n) for n in range(count)], count)
    writer.close()
    return taken


def tensorboardx_read(folder: Path, count: int) -> float:
    accumulator = load(ACCUMULATOR).EventAccumulator
    tensorboardx_log(folder, count)

    def read() -> None:
        reader = accumulator(str(folder), {"scalars": 0}).Reload()
        check(len(reader.Scalars("loss")), count)

    return clocked(read)


def tensorboardx_list(folder: Path, count: int) -> float:
    accumulator, new = load(ACCUMULATOR).EventAccumulator, load("tensorboardX").SummaryWriter
    for run in range(count):
        writer = new(str(folder / str(run)))
        for metric in range(METRICS):
            writer.add_scalar(f"m{metric}", run, 1)
        writer.close()

    def read() -> None:
        found = [accumulator(str(path)).Reload() for path in folder.iterdir()]
        check(sum(len(one.Tags()["scalars"]) for one in found), count * METRICS)

    return clocked(read)


# ---- MLflow


def mlflow_at(folder: Path) -> Any:
    mlflow = load("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    return mlflow


def mlflow_log(folder: Path, count: int) -> float:
    mlflow = mlflow_at(folder)
    with mlflow.start_run():
        mlflow.log_metric("loss", 0.5, step=0)
        return clocked(lambda: [mlflow.log_metric("loss", 0.5, step=n) for n in range(count)], count)


def mlflow_read(folder: Path, count: int) -> float:
    mlflow = mlflow_at(folder)
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        for first in range(0, count, 1000):
            points = [mlflow.entities.Metric("loss", 0.5, 1000 + n, n) for n in range(first, first + 1000)]
            client.log_batch(run.info.run_id, metrics=points)
    return clocked(lambda: check(len(client.get_metric_history(run.info.run_id, "loss")), count))


def mlflow_list(folder: Path, count: int) -> float:
    mlflow = mlflow_at(folder)
    for number in range(count):
        with mlflow.start_run():
            mlflow.log_metrics({f"m{metric}": number for metric in range(METRICS)})
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("Default").experiment_id

    def read() -> None:
        found = client.search_runs([experiment], max_results=count)
        check(sum(len(run.data.metrics) for run in found), count * METRICS)

    return clocked(read)


# ---- trackio


def trackio_log(folder: Path, count: int) -> float:
    trackio = load("trackio")
    trackio.init(project="bench", name=f"run-{os.getpid()}")
    taken = clocked(lambda: [trackio.log({"loss": 0.5}, step=n) for n in range(count)], count)
    trackio.finish()
    return taken


def trackio_read(folder: Path, count: int) -> float:
    name = f"run-{os.getpid()}"
    trackio_log(folder, count)
    return clocked(lambda: check(len(load("trackio.sqlite_storage").SQLiteStorage.get_logs("bench", name)), count))


# ---- wandb


def wandb_log(folder: Path, count: int) -> float:
    wandb = load("wandb")
    run = wandb.init(mode="offline", dir=str(folder), settings=wandb.Settings(silent=True))
    taken = clocked(lambda: [run.log({"loss": 0.5}, step=n) for n in range(count)], count)
    run.finish()
    return taken


# ---- submitit


def submitit_start(folder: Path, count: int) -> float:
    executor = load("submitit").LocalExecutor(folder=str(folder))
    executor.update_parameters(timeout_min=5)
    taken: list[float] = []
    for _ in range(count):
        begun = time.time()
        taken.append(executor.submit(time.time).result() - begun)
    return statistics.median(taken)


def check(found: int, expected: int) -> None:
    """What was written must be there, or the time means nothing."""
    if found != expected:
        raise SystemExit(f"{found} found, {expected} written")


def main() -> None:
    """Run the task; its number is the last line."""
    peer, task, folder, count = sys.argv[1:]
    print(f"\n{globals()[f'{peer}_{task}'](Path(folder), int(count))}")


if __name__ == "__main__":
    main()
