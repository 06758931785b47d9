"""One sample of what a run uses of the machine, beside the floor of reading two files of ``/proc`` per process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.worker.sampling import Sampler

SAMPLES = 200
PROCESSES = 8
BUDGET = 8.0  # times the floor; 2 ms are the most that a sample may cost


def rows() -> Iterator[dict[str, Any]]:
    """CPU time of one sample of a run of eight processes, in milliseconds."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    programs = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(PROCESSES)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            sampler = Sampler(RunDir(folder))
            ours = _cost(lambda: sampler.look([], last=True))
            files = [Path(f"/proc/{one.pid}/{name}") for one in programs for name in ("stat", "io")]
            floor = _cost(lambda: [path.read_bytes() for path in files])
    finally:
        for program in programs:
            program.communicate()
    name = f"a sample of a run of {PROCESSES} processes"
    yield {"name": name, "ours": ours, "floor": floor, "unit": "ms", "ratio": ours / floor, "budget": BUDGET}


def _cost(work: Callable[[], object]) -> float:
    work()
    begun = time.process_time()
    for _ in range(SAMPLES):
        work()
    return (time.process_time() - begun) * 1e3 / SAMPLES
