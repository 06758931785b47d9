"""What each task of a peer's needs: prepare for twenty seconds at most, measure, and check that all of it is there.

Reads and writes the folder that it is given.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

METRICS = 20
COMPARED = 100  # runs in one chart
BUCKETS = 1000
SECONDS = 20  # of preparing: with what is measured then, a peer has about a minute
Prepared = tuple[int, Callable[[], float]]


def load(name: str) -> Any:
    """A module of a peer's, which is not where this file is checked."""
    return importlib.import_module(name)


def clocked(act: Callable[[], object], count: int = 1) -> float:
    """Seconds of one of *count*."""
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) / count


def parts(count: int, size: int) -> Iterator[range]:
    """*count* numbers in pieces of *size*, until the time to prepare is over."""
    until = time.monotonic() + SECONDS
    for first in range(0, count, size):
        yield range(first, min(first + size, count))
        if time.monotonic() > until:
            return


def once(place: Path, make: Callable[[Path], int]) -> int:
    """How many there are in *place*: made now, or by the task before."""
    made = place / "made.json"
    if not made.exists():
        place.mkdir(parents=True)
        made.write_text(json.dumps(make(place)))
    return int(json.loads(made.read_text()))


def check(found: int, expected: int) -> None:
    """What was written must be there, or the time means nothing."""
    if found != expected:
        raise SystemExit(f"{found} found, {expected} written")


def resident() -> float:
    """Megabytes of this process and those that it started."""
    psutil = load("psutil")
    mine = psutil.Process()
    return sum(float(one.memory_info().rss) for one in [mine, *mine.children(recursive=True)]) / 1e6


def grown(log: Callable[[int], object], count: int, size: int = 1000) -> Prepared:
    """The megabytes that logging takes; the first point opens what has to be open."""
    log(0)
    before, done = resident(), 0
    for part in parts(count, size):
        for step in part:
            log(step)
        done += len(part)
    taken = resident() - before
    return done, lambda: taken
