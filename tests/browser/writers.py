"""A process that logs for many runs, as their own processes would; ``python -m tests.browser.writers PLAN``.

Reads the plan (JSON: ``runs`` with ``metrics``, ``name`` and ``period`` seconds each, ``count``, ``gate``, ``times``);
writes each run's metrics, and to ``times`` when each value of each run was logged.
"""

from __future__ import annotations

import heapq
import json
import random
import sys
import time
from pathlib import Path

from jupyter_mlrun.worker.segment import MetricWriter


def main(plan: Path) -> None:
    """Log 1, 2, 3, … to each run at its own pace, until the first has logged ``count`` values."""
    asked = json.loads(plan.read_text())
    chance = random.Random(7)
    writers = [MetricWriter(one["metrics"]) for one in asked["runs"]]
    written: list[list[float]] = [[] for _ in writers]
    while not Path(asked["gate"]).exists():
        time.sleep(0.02)
    begun = time.time()
    due = [(begun + chance.random() * one["period"], number) for number, one in enumerate(asked["runs"])]
    heapq.heapify(due)
    while len(written[0]) < asked["count"]:
        when, number = heapq.heappop(due)
        time.sleep(max(0.0, when - time.time()))
        times, one = written[number], asked["runs"][number]
        times.append(time.time())
        writers[number].log(one["name"], len(times), step=len(times))
        # not a multiple of anybody's rhythm
        heapq.heappush(due, (when + one["period"] * chance.uniform(0.7, 1.3), number))
    for writer in writers:
        writer.close()
    aside = Path(asked["times"] + ".new")
    aside.write_text(json.dumps(written))
    aside.rename(asked["times"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
