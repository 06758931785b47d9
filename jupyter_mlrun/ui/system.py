"""What a run uses of the machine, in a line of words.

Reads ``system.jsonl`` by ``jupyter_mlrun.store.system``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jupyter_mlrun.store import system
from jupyter_mlrun.ui.words import duration, size

if TYPE_CHECKING:
    from jupyter_mlrun.rundir import RunDir


def line(run: RunDir, *, over: bool) -> str | None:
    """CPU, memory, GPUs and disk: of a run under way now, of one that is over in all.  None where nothing is known."""
    return _in_all(run) if over else _now(run)


def _now(run: RunDir) -> str | None:
    found = system.latest(run)
    if found is None:
        return None
    values, words = found.values, []
    if "cpu" in values:
        words.append(f"CPU {values['cpu']:.0f} % ({found.host.cores} cores)")
    words.append(f"memory {size(values.get('memory', 0))} of {size(found.host.memory)}")
    words += [_gpu(number, gpu["memory"], values) for number, gpu in enumerate(found.host.gpus)]
    if "disk_read" in values:
        words.append(f"disk {size(values['disk_read'])}/s read, {size(values['disk_written'])}/s written")
    if "disk_free" in values:
        words.append(f"{size(values['disk_free'])} of disk free")
    return f"{', '.join(words)} ({duration(time.time() - found.time)} ago)"


def _gpu(number: int, memory: float, values: dict[str, float]) -> str:
    busy = f" {values[f'gpu{number}']:.0f} %" if f"gpu{number}" in values else ""
    return f"GPU {number}{busy} {size(values.get(f'gpu{number}_memory', 0))} of {size(memory)}"


def _in_all(run: RunDir) -> str | None:
    found = system.latest(run)
    if found is None:
        return None
    every = system.series(run)
    words = [f"CPU time {duration(found.cpu_seconds)}"]
    for name, label in (("memory", "memory"), *((f"gpu{n}_memory", f"GPU {n}") for n in range(len(found.host.gpus)))):
        # nothing is known of a run that was over before the first look at its processes
        if name in every and max(every[name].values) > 0:
            words.append(f"{label} up to {size(max(every[name].values))}")
    return ", ".join(words)
