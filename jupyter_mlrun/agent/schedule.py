"""Asks the queue who starts next, with what is known of the machine now, and keeps what it said for people.

Reads NVML and ``/proc``; writes nothing.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.agent import reasons
from jupyter_mlrun.agent.gpus import GpuWatch
from jupyter_mlrun.agent.leases import FREE_MEMORY
from jupyter_mlrun.agent.queue import Ask, Plan, order, plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_mlrun.agent.leases import GpuUse, Lease
    from jupyter_mlrun.backends.machine import Machine
    from jupyter_mlrun.records import RunState, Spec

# a long queue is not worked through anew while nothing has changed: time alone lets nobody start
AGAIN_SECONDS = 10.0


class Scheduler:
    """Decides with the queue's rules; remembers nothing that cannot be asked again."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.gpus = GpuWatch()
        self.waiting: dict[str, str] = {}
        self.details: dict[str, dict[str, Any]] = {}
        self._last: tuple[Any, ...] = ()
        self._again = 0.0

    def decide(self, specs: Sequence[Spec], leases: Sequence[Lease], now: float | None = None) -> Plan:
        """Who starts with what now.  Empty where nothing changed since it was asked last."""
        if not specs:
            self._last, self.waiting, self.details = (), {}, {}
            self.gpus.close()
            return Plan()
        asks = [ask_of(spec) for spec in specs]
        uses = self._uses(asks, leases)
        facts = ([ask.run_id for ask in asks], list(leases), uses)
        if facts == self._last and time.monotonic() < self._again:
            return Plan()
        decided = plan(asks, leases, self.machine, now=time.time() if now is None else now, uses=uses)
        self._last, self._again = facts, time.monotonic() + AGAIN_SECONDS
        self.waiting = decided.waiting
        self.details = {wait.run_id: reasons.details(wait) for wait in decided.waits}
        return decided

    def _uses(self, asks: Sequence[Ask], leases: Sequence[Lease]) -> Mapping[str, GpuUse]:
        """Of the GPUs that could be given now, who uses them."""
        machine = self.machine
        taken = {uuid for lease in leases for uuid in lease.gpus}
        free = [gpu.uuid for gpu in machine.gpus if gpu.uuid not in taken]
        if not free or not any(machine.gpu_count(ask.resources.gpus, ask.visible_gpus) for ask in asks):
            return {}
        return self.gpus.look(free)


def ask_of(spec: Spec) -> Ask:
    """What a run wants, as its spec says."""
    free = spec.limits.get("gpu_free_memory")
    return Ask(
        run_id=spec.run_id,
        resources=spec.resources,
        visible_gpus=spec.visible_gpus,
        max_concurrent=int(spec.limits.get("max_concurrent") or 0),
        order=order(float(spec.priority), spec.created),
        free_memory=FREE_MEMORY if free is None else float(free),
        submitter=int(spec.created_by.get("pid") or 0),
        grace=float(spec.limits.get("stop_grace") or 0.0),
    )


def with_end(lease: Lease, spec: Spec, state: RunState) -> Lease:
    """The lease with when it ends at the latest: known once user code runs under a time limit."""
    longest = ask_of(spec).longest
    if longest is None or state.started is None:
        return lease
    return replace(lease, until=state.started + longest)
