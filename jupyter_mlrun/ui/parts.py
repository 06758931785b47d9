"""Parts of a frame beside metrics and log: what the run uses of its machine, and how far a notebook is.

Reads through ``reader``; each part remembers what its view has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jupyter_mlrun.ui.contract import MOST_SAMPLES
from jupyter_mlrun.ui.reader import words

if TYPE_CHECKING:
    import numpy.typing as npt

    from jupyter_mlrun.store.livecells import CellReader
    from jupyter_mlrun.store.system import Series, SystemReader
    from jupyter_mlrun.ui import contract

AT_FIRST = 240  # samples of a figure in a full frame: the largest of neighbours, where there are more


class Numbers:
    """The one buffer of a message."""

    def __init__(self) -> None:
        self.count = 0
        self._parts: list[bytes] = []

    def add(self, rows: npt.NDArray[np.float64]) -> int:
        """Append; returns where it begins, in float64s."""
        offset, self.count = self.count, self.count + rows.size
        self._parts.append(np.ascontiguousarray(rows, "<f8").tobytes())
        return offset

    def bytes(self) -> bytes:
        """All of it."""
        return b"".join(self._parts)


class SystemPart:
    """What one view has of the system's figures."""

    def __init__(self) -> None:
        self._seen = -1
        self._sent: dict[str, tuple[int, int, float]] = {}  # samples, those the view keeps, time of the first

    def make(self, reader: SystemReader, version: int, numbers: Numbers) -> contract.System | None:
        """What changed; None where nothing did."""
        if version == self._seen or not reader.series:
            return None
        self._seen = version
        host = reader.host
        return {
            "cores": host.cores,
            "memory": float(host.memory),
            "gpus": [(words(gpu.get("name") or "GPU", 100), float(gpu.get("memory") or 0)) for gpu in host.gpus[:16]],
            "usage": [self._one(series, _most(series.name, reader), numbers) for series in reader.series.values()],
        }

    def _one(self, series: Series, most: float | None, numbers: Numbers) -> contract.Usage:
        count, kept, first = self._sent.get(series.name, (0, 0, 0.0))
        anew = not count or first != series.times[0] or kept + len(series.times) - count > MOST_SAMPLES
        start = 0 if anew else count
        rows = np.column_stack((series.times[start:], series.values[start:]))
        if anew:
            rows, kept = _thin(rows, AT_FIRST), 0
        self._sent[series.name] = len(series.times), kept + len(rows), series.times[0]
        return {
            "name": series.name,
            "unit": series.unit,
            "mode": "reset" if anew else "append",
            "most": most,
            "offset": numbers.add(rows),
            "points": len(rows),
        }


def _most(name: str, reader: SystemReader) -> float | None:
    host = reader.host
    if name == "cpu":
        return 100.0 * host.cores or None
    if name == "memory":
        return float(host.memory) or None
    if name.startswith("gpu"):
        number, _, what = name.removeprefix("gpu").partition("_")
        memory = host.gpus[int(number)].get("memory") if int(number) < len(host.gpus) else None
        return (float(memory) if memory else None) if what else 100.0
    return None


def _thin(rows: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.float64]:
    """At most *most* of them: of several the last time and the largest value, which is what hurts."""
    each = -(-len(rows) // most)
    if each <= 1:
        return rows
    starts = np.arange(0, len(rows), each)
    ends = np.append(starts[1:], len(rows)) - 1
    return np.column_stack((rows[ends, 0], np.fmax.reduceat(rows[:, 1], starts)))


class CellsPart:
    """What one view has of a notebook's cells."""

    def __init__(self) -> None:
        self._seen = -1

    def make(self, reader: CellReader) -> contract.Cells | None:
        """What changed; None where nothing did, or the run is no notebook's."""
        if reader.version == self._seen or not reader.total:
            return None
        changed = [(number, cell) for number, cell in reader.cells.items() if cell.version > self._seen]
        self._seen = reader.version
        return {
            "total": reader.total,
            "done": reader.done,
            "current": reader.current,
            "failed": reader.failed,
            "said": reader.said(),
            "error": words(reader.error, 200) if reader.error else None,
            "changed": [(number, cell.state, cell.began, cell.seconds) for number, cell in changed],
        }
