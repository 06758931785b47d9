"""Decides which queued runs may start now, and says in words why the others wait.  Pure: no I/O.

First come, first served in two lanes, because a run that needs no GPU need not wait for one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_mlrun.backends.local import Machine
    from jupyter_mlrun.records import Resources


@dataclass(frozen=True)
class Ask:
    """What one run wants of this machine."""

    run_id: str
    resources: Resources
    visible_gpus: list[str] | None = None
    max_concurrent: int = 0
    order: tuple[float, ...] = (0.0,)


@dataclass(frozen=True)
class Lease:
    """What a run that has started holds."""

    run_id: str
    gpus: tuple[str, ...] = ()
    cpus: int = 0
    memory: int = 0


@dataclass
class Plan:
    """Who starts with what, and why the others wait."""

    start: list[tuple[Ask, Lease]] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)


def plan(asks: Sequence[Ask], leases: Sequence[Lease], machine: Machine) -> Plan:
    """The next starts among *asks*, given what *leases* hold."""
    result = Plan()
    held = list(leases)
    ahead: dict[bool, tuple[int, str]] = {}  # lane -> (how many wait, why the first does)
    # the newest submission knows the user's setting of today
    limit = max(asks, key=lambda a: a.order[-1]).max_concurrent if asks else 0
    for ask in sorted(asks, key=lambda a: a.order):
        count = machine.gpu_count(ask.resources.gpus, ask.visible_gpus)
        lane = count > 0
        if lane in ahead:
            waiting, why = ahead[lane]
            ahead[lane] = (waiting + 1, why)
            result.waiting[ask.run_id] = f"{waiting} ahead of it in the queue; the first is {why}"
            continue
        lease, why = _grant(ask, count, held, machine, limit)
        if lease is None:
            ahead[lane] = (1, why)
            result.waiting[ask.run_id] = why
        else:
            held.append(lease)
            result.start.append((ask, lease))
    return result


def _grant(ask: Ask, count: int, held: list[Lease], machine: Machine, limit: int) -> tuple[Lease | None, str]:
    if limit and len(held) >= limit:
        return None, _slots_words(limit, held, limit + 1)
    if not count:
        without = [lease for lease in held if not lease.gpus]
        if not limit and len(without) >= machine.slots():
            return None, _slots_words(machine.slots(), without, len(held) + 1)
    cpus, memory = ask.resources.cpus or 0, ask.resources.memory or 0
    for want, total, used, option, unit in (
        (cpus, machine.cores, sum(x.cpus for x in held), "--cpus", "CPU cores"),
        (memory, machine.memory, sum(x.memory for x in held), "--memory", "bytes of memory"),
    ):
        if want > total - used:
            left = total - used
            return None, f"waiting for {want} {unit}: {left} of {total} are free; {option} {left} would start it now"
    taken = {gpu for lease in held for gpu in lease.gpus}
    free = [gpu.uuid for gpu in machine.visible(ask.visible_gpus) if gpu.uuid not in taken]
    if count > len(free):
        return None, _gpu_words(count, len(free), held)
    return Lease(ask.run_id, tuple(free[:count]), cpus, memory), ""


def _slots_words(slots: int, held: Sequence[Lease], enough: int) -> str:
    names = ", ".join(lease.run_id for lease in held[:3]) + (" …" if len(held) > 3 else "")
    return (
        f"waiting for a slot: {len(held)} of {slots} are taken ({names}); "
        f"a submit with JUPYTER_MLRUN_MAX_CONCURRENT={enough} "
        f"(%config JupyterMLRun.max_concurrent = {enough}) would start it now"
    )


def _gpu_words(count: int, free: int, held: Sequence[Lease]) -> str:
    holders = [lease for lease in held if lease.gpus]
    names = ", ".join(f"{lease.run_id} has {len(lease.gpus)}" for lease in holders[:3])
    cure = "--gpus 0" if not free else f"--gpus {free}"
    return f"waiting for {count} GPU{'s' * (count > 1)}: {free} free ({names}); {cure} would start it now"


def grant_of(lease: Lease, machine: Machine, home: str, slots: int) -> dict[str, Any]:
    """What the worker is told that it may use."""
    return {
        "gpus": list(lease.gpus),
        "threads": lease.cpus or max(1, machine.cores // max(1, slots)),
        "home": home,
    }


def lease_of(run_id: str, grant: dict[str, Any], resources: Resources) -> Lease:
    """What a run holds, as its ``grant.json`` and spec say; an agent that comes back reads it so."""
    return Lease(run_id, tuple(grant.get("gpus") or ()), resources.cpus or 0, resources.memory or 0)
