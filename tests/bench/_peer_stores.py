"""Where metrics go: TensorBoard, MLflow, trackio and wandb; a function for each peer and task of tests/bench/peers.py.

Each prepares, and gives how many it made ready and what measures them.  Reads and writes in FOLDER only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.bench._peer_tools import BUCKETS, COMPARED, METRICS, Prepared, check, clocked, grown, load, once, parts

ACCUMULATOR = "tensorboard.backend.event_processing.event_accumulator"


# ---- TensorBoard


def _events(place: Path, count: int) -> int:
    writer, done = load("tensorboardX").SummaryWriter(str(place)), 0
    for part in parts(count, 1000):
        for n in part:
            writer.add_scalar("loss", 0.5, n)
        done += len(part)
    writer.close()
    return done


def tensorboardx_log(folder: Path, count: int) -> Prepared:
    writer = load("tensorboardX").SummaryWriter(str(folder / "log"))
    return count, lambda: clocked(lambda: [writer.add_scalar("loss", 0.5, n) for n in range(count)], count)


def tensorboardx_memory(folder: Path, count: int) -> Prepared:
    writer = load("tensorboardX").SummaryWriter(str(folder / "memory"))
    return grown(lambda n: writer.add_scalar("loss", 0.5, n), count)


def _tensorboard_points(folder: Path, count: int, kept: int) -> Prepared:
    made = once(folder / "points", lambda place: _events(place, count))
    accumulator = load(ACCUMULATOR).EventAccumulator

    def read() -> None:
        reader = accumulator(str(folder / "points"), {"scalars": kept}).Reload()
        check(len(reader.Scalars("loss")), min(made, kept or made))

    return made, lambda: clocked(read)


def tensorboardx_read(folder: Path, count: int) -> Prepared:
    return _tensorboard_points(folder, count, 0)


def tensorboardx_buckets(folder: Path, count: int) -> Prepared:
    return _tensorboard_points(folder, count, BUCKETS)


def tensorboardx_last(folder: Path, count: int) -> Prepared:
    accumulator, new = load(ACCUMULATOR).EventAccumulator, load("tensorboardX").SummaryWriter

    def make(place: Path) -> int:
        done = 0
        for part in parts(count, 10):
            for number in part:
                writer = new(str(place / f"run-{number}"))
                for metric in range(METRICS):
                    writer.add_scalar(f"m{metric}", number, 1)
                writer.close()
            done += len(part)
        return done

    made = once(folder / "runs", make)

    def read() -> None:
        found = [accumulator(str(path)).Reload() for path in (folder / "runs").glob("run-*")]
        values = [one.Scalars(tag)[-1].value for one in found for tag in one.Tags()["scalars"]]
        check(len(values), made * METRICS)

    return made, lambda: clocked(read)


def tensorboardx_curves(folder: Path, count: int) -> Prepared:
    new, accumulator = load("tensorboardX").SummaryWriter, load(ACCUMULATOR).EventAccumulator
    paths = [str(folder / "compared" / str(run)) for run in range(COMPARED)]

    def make(_: Path) -> int:
        writers, done = [new(path) for path in paths], 0
        for part in parts(count, 100):
            for writer in writers:
                for n in part:
                    writer.add_scalar("loss", 0.5, n)
            done += len(part)
        for writer in writers:
            writer.close()
        return done

    done = once(folder / "compared", make)

    def read() -> None:
        found = [accumulator(path, {"scalars": BUCKETS}).Reload() for path in paths]
        check(sum(len(one.Scalars("loss")) for one in found), COMPARED * min(done, BUCKETS))

    return done, lambda: clocked(read)


# ---- MLflow


def mlflow_at(folder: Path) -> Any:
    """Its client; the database is made with the first question."""
    mlflow = load("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    return mlflow.MlflowClient()


def _batch(client: Any, run_id: str, part: range) -> None:
    metric = load("mlflow").entities.Metric
    client.log_batch(run_id, metrics=[metric("loss", 0.5, 1000 + n, n) for n in part])


def mlflow_log(folder: Path, count: int) -> Prepared:
    mlflow_at(folder)
    mlflow = load("mlflow")
    mlflow.start_run()
    mlflow.log_metric("loss", 0.5, step=0)
    return count, lambda: clocked(lambda: [mlflow.log_metric("loss", 0.5, step=n) for n in range(count)], count)


def mlflow_memory(folder: Path, count: int) -> Prepared:
    client = mlflow_at(folder)
    run_id = client.create_run("0").info.run_id
    made, taken = grown(lambda n: _batch(client, run_id, range(n * 1000, n * 1000 + 1000)), count // 1000, 1)
    return made * 1000, taken


def _mlflow_points(folder: Path, count: int) -> tuple[Any, str, int]:
    client = mlflow_at(folder)

    def make(place: Path) -> int:
        run_id, done = client.create_run("0").info.run_id, 0
        (place / "id").write_text(run_id)
        for part in parts(count, 1000):
            _batch(client, run_id, part)
            done += len(part)
        return done

    made = once(folder / "points", make)
    return client, (folder / "points/id").read_text(), made


def _sampled(client: Any, run_ids: list[str]) -> int:
    """What its page asks for a chart: at most so many points of each run, evenly picked."""
    store = client._tracking_client.store
    return len(store.get_metric_history_bulk_interval(run_ids, "loss", BUCKETS, None, None))


def mlflow_read(folder: Path, count: int) -> Prepared:
    client, run_id, made = _mlflow_points(folder, count)
    return made, lambda: clocked(lambda: check(len(client.get_metric_history(run_id, "loss")), made))


def mlflow_buckets(folder: Path, count: int) -> Prepared:
    client, run_id, made = _mlflow_points(folder, count)
    return made, lambda: clocked(lambda: check(_sampled(client, [run_id]), min(made, BUCKETS)))


def _mlflow_runs(folder: Path, count: int) -> tuple[Any, int]:
    client = mlflow_at(folder)
    metric = load("mlflow").entities.Metric

    def make(place: Path) -> int:
        done = 0
        (experiment := place / "id").write_text(client.create_experiment("runs"))
        for part in parts(count, 10):
            for number in part:
                run_id = client.create_run(experiment.read_text()).info.run_id
                client.log_batch(run_id, metrics=[metric(f"m{m}", number, 1000, 0) for m in range(METRICS)])
                client.set_terminated(run_id)
            done += len(part)
        return done

    return client, once(folder / "runs", make)


def mlflow_last(folder: Path, count: int) -> Prepared:
    client, made = _mlflow_runs(folder, count)
    experiment = (folder / "runs/id").read_text()

    def read() -> None:
        found = client.search_runs([experiment], max_results=made)
        check(sum(len(run.data.metrics) for run in found), made * METRICS)

    return made, lambda: clocked(read)


def mlflow_list(folder: Path, count: int) -> Prepared:
    client, made = _mlflow_runs(folder, count)
    experiment = (folder / "runs/id").read_text()

    def read() -> None:
        order = ["metrics.m1 DESC"]
        found = client.search_runs([experiment], "attributes.status = 'FINISHED'", max_results=100, order_by=order)
        check(len(found), min(made, 100))

    return made, lambda: clocked(read)


def mlflow_curves(folder: Path, count: int) -> Prepared:
    client, names = mlflow_at(folder), folder / "compared/ids"

    def make(_: Path) -> int:
        run_ids, done = [client.create_run("0").info.run_id for _ in range(COMPARED)], 0
        names.write_text(" ".join(run_ids))
        for part in parts(count, 100):
            for run_id in run_ids:
                _batch(client, run_id, part)
            done += len(part)
        return done

    done = once(folder / "compared", make)
    run_ids = names.read_text().split()
    return done, lambda: clocked(lambda: check(_sampled(client, run_ids), COMPARED * min(done, BUCKETS)))


# ---- trackio


def _trackio_bulk(run: str, count: int, size: int) -> int:
    storage, done = load("trackio.sqlite_storage").SQLiteStorage, 0
    for part in parts(count, size):
        storage.bulk_log("bench", run, [{"loss": 0.5} for _ in part], steps=list(part))
        done += len(part)
    return done


def _trackio_run() -> Any:
    trackio = load("trackio")
    trackio.init(project="bench", name=f"run-{os.getpid()}")
    return trackio


def trackio_log(folder: Path, count: int) -> Prepared:
    trackio = _trackio_run()
    return count, lambda: clocked(lambda: [trackio.log({"loss": 0.5}, step=n) for n in range(count)], count)


def trackio_memory(folder: Path, count: int) -> Prepared:
    trackio = _trackio_run()
    return grown(lambda n: trackio.log({"loss": 0.5}, step=n), count)


def _trackio_points(folder: Path, count: int, kept: int | None) -> Prepared:
    made = once(folder / "points", lambda _: _trackio_bulk("points", count, 1000))
    logs = load("trackio.sqlite_storage").SQLiteStorage.get_logs
    if kept is None:
        return made, lambda: clocked(lambda: check(len(logs("bench", "points")), made))
    # it keeps up to so many
    return made, lambda: clocked(lambda: check(0 < len(logs("bench", "points", max_points=kept)) <= kept, True))


def trackio_read(folder: Path, count: int) -> Prepared:
    return _trackio_points(folder, count, None)


def trackio_buckets(folder: Path, count: int) -> Prepared:
    return _trackio_points(folder, count, BUCKETS)


def trackio_last(folder: Path, count: int) -> Prepared:
    storage = load("trackio.sqlite_storage").SQLiteStorage
    values = {f"m{metric}": 0.5 for metric in range(METRICS)}

    def make(_: Path) -> int:
        done = 0
        for part in parts(count, 10):
            for number in part:
                storage.bulk_log("runs", f"run-{number}", [values], steps=[0])
            done += len(part)
        return done

    made = once(folder / "runs", make)

    def read() -> None:
        found = storage.get_logs_batch("runs", [{"run": f"run-{number}"} for number in range(made)])
        check(sum(one["logs"][-1]["m1"] == values["m1"] for one in found), made)

    return made, lambda: clocked(read)


def trackio_curves(folder: Path, count: int) -> Prepared:
    storage = load("trackio.sqlite_storage").SQLiteStorage

    def make(_: Path) -> int:
        done = 0
        for part in parts(count, 100):
            for run in range(COMPARED):
                storage.bulk_log("compared", str(run), [{"loss": 0.5} for _ in part], steps=list(part))
            done += len(part)
        return done

    done = once(folder / "compared", make)
    wanted = [{"run": str(run)} for run in range(COMPARED)]

    def read() -> None:
        found = storage.get_logs_batch("compared", wanted, max_points=BUCKETS)
        check(sum(len(one["logs"]) > 0 for one in found), COMPARED)

    return done, lambda: clocked(read)


# ---- wandb


def _wandb_run(folder: Path) -> Any:
    wandb = load("wandb")
    return wandb.init(mode="offline", dir=str(folder), settings=wandb.Settings(silent=True))


def wandb_log(folder: Path, count: int) -> Prepared:
    run = _wandb_run(folder)
    return count, lambda: clocked(lambda: [run.log({"loss": 0.5}) for _ in range(count)], count)


def wandb_memory(folder: Path, count: int) -> Prepared:
    run = _wandb_run(folder)
    return grown(lambda _: run.log({"loss": 0.5}), count)
