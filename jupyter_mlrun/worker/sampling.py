"""What a run uses of the machine while it runs: CPU time, memory, disk, GPUs, written down every few seconds.

Reads ``/proc``, NVML; writes ``system.jsonl``: a line about the machine, then a line per sample.  Sums count from the
start of the run, so lines can be dropped without losing what happened between them.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

from ..rundir import RunDir, append_line, dump_json, write_atomic
from . import limits, nvml, process

FORMAT = 1
OFTEN, SELDOM = 2.0, 10.0
OFTEN_FOR = 300.0
MOST_BYTES = 2_000_000
# the tree of processes is looked for at most so much of the time
TREE_SHARE = 0.01
SUMS = ("cpu", "read", "written")


class Sampler:
    """Samples one run.  It never harms the run: what goes wrong is told once in the worker's log, and that was it."""

    def __init__(self, run: RunDir, gpus: Iterable[str] = ()) -> None:
        self.path, self.folder = run.system, str(run.path)
        self.gpus = list(gpus)
        self.every = OFTEN
        self._driver: Optional[nvml.Nvml] = None
        self._begun = False
        self._broken = False
        self._start = time.monotonic()
        self._next = 0.0
        self._next_tree = 0.0
        self._tree: Set[int] = set()
        self._seen: Dict[Tuple[int, int], Dict[str, float]] = {}  # (pid, start) -> its sums
        self._last = 0.0
        self._sums = dict.fromkeys(SUMS, 0.0)

    def look(self, roots: Iterable[int], *, last: bool = False) -> None:
        """Take a sample if it is time.  *roots*: the run's own processes, beside this one's children."""
        now = time.monotonic()
        if self._broken or (now < self._next and not last):
            return
        try:
            if not self._begun:
                self._begin()
            self._write(self.sample(roots))
            self._next = now + self._pause(now)
        except Exception:  # whatever a kernel or a driver says, the run goes on
            traceback.print_exc()
            print("the run goes on without samples of the system", file=sys.stderr)
            self._broken = True

    def close(self, roots: Iterable[int] = ()) -> None:
        """Take the last sample and let go of the driver."""
        if self._begun:
            self.look(roots, last=True)
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def _pause(self, now: float) -> float:
        if self.every == OFTEN and now - self._start > OFTEN_FOR:
            self.every = SELDOM
        return self.every

    # ---- one sample --------------------------------------------------------------------------------

    def sample(self, roots: Iterable[int]) -> Dict[str, Any]:
        """How it is now."""
        now = time.monotonic()
        if now >= self._next_tree or not self._tree:
            self._tree = process.descendants({os.getpid(), *roots})
            self._next_tree = now + (time.monotonic() - now) / TREE_SHARE
        memory, count = self._add_up(now)
        disk = os.statvfs(self.folder)
        found: Dict[str, Any] = {"time": round(time.time(), 3), "mono": round(now, 3)}
        found.update({name: round(value, 2) if name == "cpu" else int(value) for name, value in self._sums.items()})
        found.update(memory=memory, processes=count, free=disk.f_bavail * disk.f_frsize)
        if self._driver is not None:
            found["gpus"] = [self._gpu(uuid) for uuid in self.gpus]
        return found

    def _gpu(self, uuid: str) -> Optional[List[Optional[float]]]:
        use = None if self._driver is None else self._driver.use(uuid)
        return None if use is None else [use.percent, use.total - use.free]

    def _add_up(self, now: float) -> Tuple[int, int]:
        """Bring the sums up to now; (resident bytes, processes) of the run without its worker."""
        memory = count = 0
        seen: Dict[Tuple[int, int], Dict[str, float]] = {}
        for pid in sorted(self._tree):
            one = usage(pid)
            if one is None:
                self._tree.discard(pid)
                continue
            key, sums, resident = one
            seen[key] = sums
            if pid != os.getpid():
                memory, count = memory + resident, count + 1
            before = self._seen.get(key)
            if before is None:
                # one that is older than the last sample was used before it was found
                before = dict.fromkeys(SUMS, 0.0) if age(key[1]) <= now - self._last + _GRAIN else sums
            for name in SUMS:
                self._sums[name] += max(0.0, sums[name] - before[name])
        self._seen, self._last = seen, now
        return memory, count

    # ---- the file ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Say what there is; a second generation goes on with the sums of the first."""
        if self.gpus:
            self._driver = nvml.open_driver()
        devices = {} if self._driver is None else {one.uuid: one for one in self._driver.devices()}
        known = [devices[uuid] for uuid in self.gpus if uuid in devices]
        head = {
            "format": FORMAT,
            "cores": limits.cores(),
            "memory": limits.memory(),
            "gpus": [{"uuid": one.uuid, "name": one.name, "memory": one.memory} for one in known],
        }
        self.gpus = [one.uuid for one in known]
        lines = _lines(self.path)
        if lines:
            self._sums.update({name: float(lines[-1].get(name) or 0) for name in SUMS})
            self.every = SELDOM
        else:
            append_line(self.path, dump_json(head), sync=False)
        # what the worker did before belongs to nobody's training
        self._seen = {one[0]: one[1] for one in [usage(os.getpid())] if one is not None}
        self._last = self._start
        self._begun = True

    def _write(self, found: Dict[str, Any]) -> None:
        append_line(self.path, dump_json(found), sync=False)
        if os.stat(self.path).st_size > MOST_BYTES - 4096:
            self._thin()

    def _thin(self) -> None:
        """Drop every second sample, and take half as many from now on."""
        lines = _lines(self.path)
        kept = [lines[0], *lines[-1:0:-2][::-1]]
        write_atomic(self.path, b"".join(map(dump_json, kept)), sync=False)
        self.every *= 2


def _lines(path: Any) -> List[Dict[str, Any]]:
    found = []
    try:
        with open(path, "rb") as file:
            for line in file:
                try:
                    found.append(json.loads(line))
                except ValueError:  # torn by a kill
                    continue
    except FileNotFoundError:
        return []
    return found


def usage(pid: int) -> Optional[Tuple[Tuple[int, int], Dict[str, float], int]]:
    """((pid, start), sums, resident bytes) of a process and of its children that ended; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    ticks = sum(int(field) for field in fields[11:15])  # user, system, and both of children that were waited for
    sums = {"cpu": ticks / _TICKS, "read": 0.0, "written": 0.0}
    try:
        with open(f"/proc/{pid}/io", "rb") as file:
            told = dict(line.split(b": ") for line in file.read().splitlines())
        sums["read"], sums["written"] = float(told[b"read_bytes"]), float(told[b"write_bytes"])
    except (OSError, KeyError, ValueError):  # another user's, or a kernel that does not count
        pass
    return (pid, int(fields[19])), sums, int(fields[21]) * _PAGE


def age(start: int) -> float:
    """Seconds since a process began that began at *start* (clock ticks since the boot)."""
    return time.clock_gettime(_BOOT_CLOCK) - start / _TICKS


_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_GRAIN = 0.02  # of the clock that tells when a process began
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
