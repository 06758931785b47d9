"""From a cell to its first line: cold, warm, torch loaded ahead, beside bare interpreters: rows for ``make bench``."""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_mlrun.agent import client

REPEATS = 15
LINE = "import time\nprint(time.time())"


def row(name: str, ours: float, floor: float, budget: float | None) -> dict[str, Any]:
    """One line of the table; ``ratio`` is ours to the floor, ``budget`` the largest that it may be."""
    return {
        "name": name, "ours": ours, "floor": floor, "peer": None, "unit": "ms", "ratio": ours / floor, "budget": budget,
    }  # fmt: skip


class Disk:
    """The time in which at least one ``fsync`` of this process was under way."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, float]] = []
        self._real = os.fsync

    def __enter__(self) -> list[tuple[float, float]]:
        os.fsync = self._timed
        return self.calls

    def __exit__(self, *_: object) -> None:
        os.fsync = self._real

    def _timed(self, fd: Any) -> None:
        begun = time.perf_counter()
        try:
            self._real(fd)
        finally:
            self.calls.append((begun, time.perf_counter()))

    def milliseconds(self) -> float:
        """Calls that overlap count once."""
        total, until = 0.0, 0.0
        for begun, ended in sorted(self.calls):
            total += max(0.0, ended - max(begun, until))
            until = max(until, ended)
        return total * 1e3


def bare(code: str) -> float:
    """Milliseconds until a new interpreter prints its first line."""
    begun = time.time()
    said = subprocess.run([sys.executable, "-c", f"{code}\n{LINE}"], capture_output=True, check=True).stdout
    return (float(said) - begun) * 1e3


def first_line(number: int, imports: str, **options: Any) -> tuple[float, float, str]:
    """Milliseconds from the submit to the first line, those of them spent on the disk, and how it started."""
    from tests.support import finish, log_of
    from tests.warm import start, way

    begun = time.time()
    disk = Disk()
    with disk:
        # a new cell each time, as in a notebook: its snapshot has to be stored, too
        run = start(f"{imports}\n{LINE}  # {number}", **options)
    finish(run)
    return (float(log_of(run).split()[-1]) - begun) * 1e3, disk.milliseconds(), way(run)


def medians(home: Path, imports: str, preload: tuple[str, ...]) -> dict[str, float]:
    """Cold, warm and bare in turn; the time on the disk is that of the warm ones."""
    from tests.warm import warm_up

    warm_up(home, preload=preload)
    found: dict[str, list[float]] = {"cold": [], "warm": [], "disk": [], "bare": [], "pass": []}
    for number in range(REPEATS):
        cold, _, _ = first_line(2 * number, imports, warm=False)
        warm, disk, how = first_line(2 * number + 1, imports, preload=preload)
        if how != "warm":
            raise RuntimeError(f"not a warm start: {how}")
        for name, value in (
            ("cold", cold),
            ("warm", warm),
            ("disk", disk),
            ("bare", bare(imports)),
            ("pass", bare("")),
        ):
            found[name].append(value)
    return {name: statistics.median(values) for name, values in found.items()}


def rows() -> Iterator[dict[str, Any]]:
    """Each start beside the floor that it cannot go below."""
    kinds: list[tuple[str, tuple[str, ...], float]] = [("", (), 25.0)]
    if importlib.util.find_spec("torch"):
        kinds.append(("import torch", ("torch",), 35.0))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JUPYTER_MLRUN_HOME"] = folder
        try:
            for imports, preload, limit in kinds:
                found = medians(Path(folder), imports, preload)
                what = f", with {imports}" if imports else ""
                floor = f"python -c{' ' + repr(imports) if imports else ''}"
                yield row(f"cell to first line, cold{what} (floor: {floor})", found["cold"], found["bare"], None)
                yield row(
                    f"cell to first line, warm{what} (floor: {floor}; {found['disk']:.1f} ms of ours: disk)",
                    found["warm"], found["bare"], None,
                )  # fmt: skip
                beside = found["warm"] - found["disk"]
                name = f"the same beside the disk{what}, budget {limit:.0f} ms (floor: python -c pass)"
                yield row(name, beside, found["pass"], None)
        finally:
            client.stop_agent(Path(folder))
            del os.environ["JUPYTER_MLRUN_HOME"]
