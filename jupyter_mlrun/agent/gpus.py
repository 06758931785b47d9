"""Who uses the GPUs that no run holds: other people, or the user's own notebook.

Reads NVML and ``/proc``; writes nothing.
"""

from __future__ import annotations

import os
import pwd
import time
from typing import TYPE_CHECKING

from jupyter_mlrun.agent.leases import GpuUse, Holder
from jupyter_mlrun.worker import nvml

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOK_SECONDS = 2.0


class GpuWatch:
    """The driver, kept open while runs wait for GPUs: to open it can take a second."""

    def __init__(self) -> None:
        self._driver: nvml.Nvml | None = None
        self._seen: dict[str, tuple[float, GpuUse]] = {}

    def look(self, uuids: Iterable[str]) -> dict[str, GpuUse]:
        """How each of these is used, at most ``LOOK_SECONDS`` ago; empty where there is no driver."""
        wanted = list(uuids)
        if wanted and self._driver is None:
            self._driver = nvml.open_driver()
        if self._driver is None:
            return {}
        now = time.monotonic()
        for uuid in wanted:
            if uuid not in self._seen or now - self._seen[uuid][0] >= LOOK_SECONDS:
                self._seen[uuid] = (now, self._use(self._driver, uuid))
        return {uuid: self._seen[uuid][1] for uuid in wanted}

    @staticmethod
    def _use(driver: nvml.Nvml, uuid: str) -> GpuUse:
        use = driver.use(uuid)
        if use is None:  # it fell off the bus, say: CUDA will tell the run
            return GpuUse()
        return GpuUse(use.total, use.free, tuple(_holder(*one) for one in driver.holders(uuid)))

    def close(self) -> None:
        """Let go of the driver, which may be replaced or reset while nothing needs it."""
        if self._driver is not None:
            self._driver.close()
            self._driver = None
        self._seen.clear()


def _holder(pid: int, memory: int | None) -> Holder:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            command = file.read().strip()
        user = os.stat(f"/proc/{pid}").st_uid
    except OSError:  # it ended, or lives outside of this container
        return Holder(pid, memory)
    return Holder(pid, memory, command, _name(user))


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # a uid without a name, as in containers
        return str(user)
