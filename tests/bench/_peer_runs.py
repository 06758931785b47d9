"""What runs one's code: submitit and papermill, and wandb, which keeps what code prints; a function for each task.

Reads and writes in FOLDER only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench._peer_tools import Prepared, check, clocked, load

LINE = "x" * 95


def printing(count: int) -> str:
    """Code that prints so many lines of some hundred bytes."""
    return f"for n in range({count}):\n    print(n, {LINE!r})"


def _torch() -> str:
    """Code that imports torch, which is in our environment only."""
    return f"import sys; sys.path.append({os.environ['BENCH_TORCH']!r}); import torch"


def _submitit(folder: Path) -> Any:
    executor = load("submitit").LocalExecutor(folder=str(folder / "submitit"))
    executor.update_parameters(timeout_min=10)
    return executor


def _prints(count: int) -> float:
    exec(printing(count))
    return time.time()


def _with_torch(code: str) -> float:
    exec(code)
    return time.time()


def submitit_start(folder: Path, count: int) -> Prepared:
    executor = _submitit(folder)
    return count, lambda: -time.time() + float(executor.submit(time.time).result())


def submitit_torch(folder: Path, count: int) -> Prepared:
    executor = _submitit(folder)
    return count, lambda: -time.time() + float(executor.submit(_with_torch, _torch()).result())


def submitit_lines(folder: Path, count: int) -> Prepared:
    executor = _submitit(folder)

    def run() -> None:
        job = executor.submit(_prints, count)
        job.result()
        check(sum(line.endswith(f"{LINE}\n") for line in job.paths.stdout.open()), count)

    return count, lambda: clocked(run)


def _papermill(folder: Path, code: str) -> str:
    """What a notebook of one cell printed."""
    cell: dict[str, Any] = {
        "id": "a",
        "cell_type": "code",
        "source": code,
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    made = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    source, target = folder / "in.ipynb", folder / "out.ipynb"
    source.write_text(json.dumps(made))
    load("papermill").execute_notebook(str(source), str(target), progress_bar=False)
    outputs = json.loads(target.read_text())["cells"][0]["outputs"]
    return "".join("".join(one["text"]) for one in outputs if one.get("name") == "stdout")


def papermill_start(folder: Path, count: int) -> Prepared:
    load("papermill")
    return count, lambda: -time.time() + float(_papermill(folder, "import time\nprint(time.time())"))


def papermill_torch(folder: Path, count: int) -> Prepared:
    load("papermill")
    return count, lambda: -time.time() + float(_papermill(folder, f"{_torch()}\nimport time\nprint(time.time())"))


def papermill_lines(folder: Path, count: int) -> Prepared:
    load("papermill")
    return count, lambda: clocked(lambda: check(_papermill(folder, printing(count)).count(LINE), count))


def wandb_lines(folder: Path, count: int) -> Prepared:
    (folder / "prints.py").write_text(
        f"import wandb\nrun = wandb.init(mode='offline', dir={str(folder)!r})\n{printing(count)}\nrun.finish()\n"
    )

    def run() -> None:
        with (folder / "printed.txt").open("wb") as file:
            subprocess.run([sys.executable, str(folder / "prints.py")], stdout=file, check=True)
        (log,) = folder.glob("wandb/latest-run/files/output.log")
        check(sum(line.rstrip("\n").endswith(LINE) for line in log.open()), count)

    return count, lambda: clocked(run)
