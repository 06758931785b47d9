"""One task of one peer, run by the interpreter of ``.venv-peers``: ``-m tests.bench._peer PEER TASK FOLDER COUNT``.

Prepares, says how many of COUNT it made ready in twenty seconds, then measures once for each line that it reads.
Reads and writes in FOLDER only (what is there already serves again); asks no network.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench._peer_tools import Prepared, clocked, load

IMPORTS = {"tensorboardx": "tensorboardX"}


def imported(peer: str) -> Prepared:
    """Seconds of an interpreter that imports it beyond those of one that does not."""

    def start(code: str) -> float:
        return clocked(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    def both() -> float:
        pairs = [(start(f"import {IMPORTS.get(peer, peer)}"), start("pass")) for _ in range(3)]
        return statistics.median(one - empty for one, empty in pairs)

    return 1, both


def task_of(peer: str, task: str) -> Callable[[Path, int], Prepared]:
    """The function that prepares it."""
    place = "_peer_runs" if task in ("start", "torch", "lines") else "_peer_stores"
    # no peer has a figure to give: its points are what one is drawn from
    task = "curves" if task == "compare" else task
    found: Callable[[Path, int], Prepared] = getattr(load(f"tests.bench.{place}"), f"{peer}_{task}")
    return found


def main() -> None:
    """Prepare, say how many, then one number for each line that is read.  What peers print goes to standard error."""
    peer, task, folder, count = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    made, act = imported(peer) if task == "import" else task_of(peer, task)(Path(folder), int(count))
    answers.write(f"{made}\n")
    for _ in sys.stdin:
        answers.write(f"{act()}\n")
    os._exit(0)  # without what peers do at their end, which nobody waits for here


if __name__ == "__main__":
    main()
