"""This machine as a page shows it: GPUs and who holds them, processors, memory, disk, and each compute's queue.

Reads ``/proc``, NVML, the agent's ``queue.json`` and the grants of running runs; writes nothing.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil

from jupyter_mlrun.agent import client, reasons
from jupyter_mlrun.agent.gpus import GpuWatch
from jupyter_mlrun.rundir import RunDir, read_json_if_there
from jupyter_mlrun.server.base import Handler
from jupyter_mlrun.ui.reader import words
from jupyter_mlrun.worker import limits, nvml

if TYPE_CHECKING:
    from jupyter_mlrun.server.api import CpuInfo, GpuInfo, Machine, Queue, SpaceInfo
    from jupyter_mlrun.server.entry import Entry
    from jupyter_mlrun.server.listing import Shelf
    from jupyter_mlrun.server.service import Service
    from jupyter_mlrun.store.home import WorkspaceDir

FRESH_SECONDS = 1.0
LOCAL = "local"


class _Looker:
    """What is kept between two looks: the last one, the driver, the processors' times."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at = -1e9
        self.facts: tuple[list[GpuInfo], CpuInfo, SpaceInfo] | None = None
        self.driver: nvml.Nvml | None = None
        self.tried = False
        self.devices: list[nvml.Device] = []
        self.watch = GpuWatch()
        self.cores, self.memory = limits.cores(), limits.memory()

    def look(self) -> tuple[list[GpuInfo], CpuInfo, SpaceInfo]:
        """GPUs without their runs, processors, memory; at most ``FRESH_SECONDS`` old."""
        with self.lock:
            now = time.monotonic()
            if self.facts is None or now - self.at >= FRESH_SECONDS:
                self.facts, self.at = (self._gpus(), self._cpu(), self._memory()), now
            return self.facts

    def _gpus(self) -> list[GpuInfo]:
        if not self.tried:
            self.tried, self.driver = True, nvml.open_driver()
            self.devices = self.driver.devices() if self.driver is not None else []
        if self.driver is None:
            return []
        uses = self.watch.look(device.uuid for device in self.devices)
        found: list[GpuInfo] = []
        for index, device in enumerate(self.devices):
            use = self.driver.use(device.uuid)
            others = uses.get(device.uuid)
            found.append({
                "index": index,
                "name": words(device.name, 100),
                "memory": device.memory,
                "used": None if use is None else use.total - use.free,
                "utilization": None if use is None or use.percent is None else round(use.percent / 100, 2),
                "run": device.uuid,  # who holds it is put here
                "others": words(reasons.busy(str(index), others)) if others is not None and others.holders else None,
            })  # fmt: skip
        return found

    def _cpu(self) -> CpuInfo:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        return {
            "cores": self.cores,
            "used": round(psutil.cpu_percent(None) / 100, 2),
            "load": None if load is None else round(load, 1),
        }

    def _memory(self) -> SpaceInfo:
        info = psutil.virtual_memory()
        return {"total": self.memory, "used": _rounded(max(0, min(info.total - info.available, self.memory)))}


_looker: list[_Looker] = []
_making = threading.Lock()


def _look() -> tuple[list[GpuInfo], CpuInfo, SpaceInfo]:
    with _making:
        if not _looker:
            _looker.append(_Looker())
    return _looker[0].look()


def _rounded(count: int) -> int:
    """Bytes that do not change with every breath: to 16 MB."""
    return count >> 24 << 24


def look(service: Service, place: WorkspaceDir) -> Machine:
    """The machine now, with the queues of one workspace's computes."""
    gpus, cpu, memory = _look()
    shelf = service.shelf(place)
    with shelf.lock:
        shelf.refresh()
        running = [entry for entry in shelf.active if entry.row.started is not None]
        queues = _queues(shelf)
    held = _held(running) if gpus else {}
    base = service.home if service.home.is_dir() else service.home.parent
    while not base.is_dir():
        base = base.parent
    disk = shutil.disk_usage(base)
    return {
        "gpus": [{**gpu, "run": held.get(str(gpu["run"]))} for gpu in gpus],
        "cpu": cpu,
        "memory": memory,
        "disk": {"total": disk.total, "used": _rounded(disk.total - disk.free)},
        "queues": queues,
        "agent": client.agent_of(service.home) is not None,
    }


def _held(running: list[Entry]) -> dict[str, str]:
    """GPU's UUID → the run that holds it."""
    found: dict[str, str] = {}
    for entry in running:
        try:
            grant = read_json_if_there(RunDir(entry.path).grant) or {}
        except (OSError, ValueError):
            continue
        for uuid in grant.get("gpus") or ():
            found[str(uuid)] = entry.row.run_id
    return found


def _queues(shelf: Shelf) -> list[Queue]:
    details: dict[str, Any] = shelf.queue.get("details") or {}
    found: dict[str, Queue] = {LOCAL: _empty(shelf, LOCAL)}
    for entry in sorted(shelf.active, key=lambda entry: entry.row.created):
        row = entry.row
        queue = found.setdefault(row.target, _empty(shelf, row.target))
        name = words(row.display_name or row.run_id, 200)
        if row.started is not None:
            queue["running"].append({"id": row.run_id, "name": name})
        elif row.run_id in shelf.waiting:
            position = int((details.get(row.run_id) or {}).get("position") or len(queue["waiting"]) + 1)
            why = words(shelf.waiting[row.run_id])
            queue["waiting"].append({"id": row.run_id, "name": name, "why": why, "position": position})
    return list(found.values())


def _empty(shelf: Shelf, name: str) -> Queue:
    return {"compute": words(name, 200), "slots": int(shelf.queue.get("slots") or 0), "running": [], "waiting": []}


class MachineHandler(Handler):
    """``api/machine``."""

    async def get(self) -> None:
        self.answer(await self.work(look, self.service, self.workspace()))
