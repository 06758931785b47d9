"""What a run used of the machine, for charts.

Reads ``system.jsonl`` by ``jupyter_mlrun.store.system``; writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_mlrun.store import system
from jupyter_mlrun.ui.reader import words
from jupyter_mlrun.ui.words import duration, size

if TYPE_CHECKING:
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.server.api import SystemInfo, SystemSeries

MOST_SAMPLES = 600


def used(run: RunDir) -> SystemInfo:
    """The answer of ``api/runs/RUN/system``; empty where nothing was sampled."""
    reader = system.SystemReader(run)
    reader.read()
    return {"facts": _facts(reader), "series": [_thin(one) for _, one in sorted(reader.series.items())]}


def _facts(reader: system.SystemReader) -> list[tuple[str, str]]:
    if reader.last is None:
        return []
    found = [("CPU cores", str(reader.host.cores)), ("memory", size(reader.host.memory))]
    found += [(f"GPU {n}", f"{words(one.get('name'), 100)}, {size(int(one.get('memory') or 0))}")
              for n, one in enumerate(reader.host.gpus)]  # fmt: skip
    found.append(("CPU time", duration(float(reader.last.get("cpu") or 0.0))))
    if "memory" in reader.series:
        found.append(("most memory", size(max(reader.series["memory"].values))))
    return found


def _thin(one: system.Series) -> SystemSeries:
    """At most ``MOST_SAMPLES`` of them: of several the largest, which is what hurts."""
    each = -(-len(one.values) // MOST_SAMPLES)
    values = one.values
    times = one.times
    if each > 1:
        starts = range(0, len(values), each)
        values, times = [max(values[n : n + each]) for n in starts], [times[n] for n in starts]
    return {"name": one.name, "unit": one.unit, "times": times, "values": values}
