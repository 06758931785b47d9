"""The rows of tests/bench/peers.py: what is measured, of how many, and by whom.  Reads and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

STORES = ("tensorboardx", "trackio", "mlflow")


@dataclass
class Task:
    """What is measured, of how many, and by whom; a peer's own number where the table's takes it more than a minute."""

    name: str
    what: str
    count: int
    unit: str
    scale: float  # from seconds (or megabytes) to the unit
    peers: tuple[str, ...]
    fewer: dict[str, int] = field(default_factory=dict)
    cannot: dict[str, str] = field(default_factory=dict)
    repeats: int = 3


_FROM_SERVER = {"wandb": "reads back from its server only"}
_NO_RUNS = {"tensorboardx, trackio": "run nothing", "wandb": "runs nothing here without its server"}
TASKS = [
    Task("log", "log() one number, mean of {}", 10_000, "µs", 1e6, ("tensorboardx", "trackio", "wandb", "mlflow"),
         {"mlflow": 500}),
    Task("memory", "memory of {} points logged", 1_000_000, "MB", 1, ("tensorboardx", "trackio", "wandb", "mlflow"),
         repeats=1),
    Task("read", "read back {} points", 1_000_000, "ms", 1e3, STORES, cannot=_FROM_SERVER),
    Task("buckets", "1,000 points or buckets of {}, from the files", 1_000_000, "ms", 1e3, STORES,
         cannot=_FROM_SERVER),
    Task("last", "20 last values of {} runs", 1000, "ms", 1e3, STORES, cannot=_FROM_SERVER),
    Task("list", "the best 100 ended ones of {} runs", 10_000, "ms", 1e3, ("mlflow",),
         cannot=_FROM_SERVER | {"tensorboardx, trackio": "filter and sort runs in their pages only"}),
    Task("curves", "the points of one chart of 100 runs with {} points each", 10_000, "ms", 1e3, STORES,
         cannot=_FROM_SERVER),
    Task("compare", "compare() of these runs: table and figure (of a peer the points), {} points each", 10_000, "ms",
         1e3, STORES, cannot=_FROM_SERVER),
    Task("start", "submit to first line of user code, warm", 1, "ms", 1e3, ("submitit", "papermill"), cannot=_NO_RUNS,
         repeats=7),
    Task("torch", "the same with torch imported", 1, "ms", 1e3, ("submitit", "papermill"), cannot=_NO_RUNS),
    Task("import", "import beyond an empty interpreter", 1, "ms", 1e3,
         ("tensorboardx", "trackio", "wandb", "mlflow", "submitit")),
    Task("lines", "{} lines of output, submit to end, warm", 1_000_000, "s", 1, ("submitit", "papermill", "wandb"),
         {"papermill": 100_000, "wandb": 50_000}, {"tensorboardx, trackio, mlflow": "keep no output"}, repeats=1),
]  # fmt: skip
