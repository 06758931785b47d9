"""What runs ask for and hold of this machine, and whether one more fits beside the others.  Pure: no I/O.

GPUs are leased whole, by UUID; CPU cores and memory by count; a run without a GPU takes a slot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jupyter_mlrun.backends.machine import Machine
    from jupyter_mlrun.records import Resources

# what a run needs beyond its time limit to begin and to end, in seconds
MARGIN = 60.0
FREE_MEMORY = 0.9

What = Literal["runs", "slots", "cpus", "memory", "gpus", "turn"]


@dataclass(frozen=True)
class Holder:
    """A process that computes on a GPU; memory in bytes where the driver tells it."""

    pid: int
    memory: int | None = None
    command: str = ""
    user: str = ""


@dataclass(frozen=True)
class GpuUse:
    """How full a GPU is, and of what; bytes (``total`` 0: not known)."""

    total: int = 0
    free: int = 0
    holders: tuple[Holder, ...] = ()

    def is_busy(self, ask: Ask) -> bool:
        """Whether too little memory is free for this run; what its own submitter holds counts as free."""
        own = sum(holder.memory or 0 for holder in self.holders if holder.pid == ask.submitter)
        return self.free + own < ask.free_memory * self.total


@dataclass(frozen=True)
class Ask:
    """What one run wants of this machine.  ``order``: the least goes first; its last is when it was submitted."""

    run_id: str
    resources: Resources
    visible_gpus: list[str] | None = None
    max_concurrent: int = 0
    order: tuple[float, ...] = (0.0,)
    free_memory: float = FREE_MEMORY
    submitter: int = 0
    grace: float = 0.0

    @property
    def longest(self) -> float | None:
        """Seconds after which it is over at the latest; None without a time limit."""
        limit = self.resources.time
        return None if limit is None else limit + self.grace + MARGIN


@dataclass(frozen=True)
class Lease:
    """What a run that has started holds, and until when at the latest (unix time; None: not known)."""

    run_id: str
    gpus: tuple[str, ...] = ()
    cpus: int = 0
    memory: int = 0
    until: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Short:
    """What a run lacks: how much it wants, how much is free, how much there is, and who has it."""

    what: What
    want: int = 0
    free: int = 0
    total: int = 0
    holders: tuple[Lease, ...] = ()
    busy: tuple[tuple[str, GpuUse], ...] = ()  # (number of the GPU, by whom it is used) where that is no run
    behind: str = ""  # whom it would delay, where it waits for its turn


@dataclass
class Room:
    """A machine with what is held of it.  ``limit``: runs at once, 0 where the user set none."""

    machine: Machine
    held: list[Lease]
    limit: int = 0
    uses: Mapping[str, GpuUse] = field(default_factory=dict)

    def __post_init__(self) -> None:
        held, self.held = self.held, []
        self.cpus = self.memory = self.plain = 0
        self.taken: set[str] = set()
        for lease in held:
            self.add(lease)

    def add(self, lease: Lease) -> None:
        """Hold one more."""
        self.held.append(lease)
        self.cpus += lease.cpus
        self.memory += lease.memory
        self.plain += not lease.gpus
        self.taken.update(lease.gpus)

    def with_(self, lease: Lease) -> Room:
        """The same with one more held."""
        return Room(self.machine, [*self.held, lease], self.limit, self.uses)

    def at(self, moment: float) -> Room:
        """The same as it is at *moment* at the latest, when nothing else has started."""
        held = [lease for lease in self.held if lease.until is None or lease.until > moment]
        return Room(self.machine, held, self.limit, self.uses)

    def count(self, ask: Ask) -> int:
        """How many GPUs it wants."""
        return self.machine.gpu_count(ask.resources.gpus, ask.visible_gpus)

    def fit(self, ask: Ask, *, avoid: Iterable[str] = (), now: float = 0.0) -> Lease | Short:
        """What it would get, or what is missing.  GPUs of *avoid* are given last."""
        count = self.count(ask)
        short = self._short(ask, count)
        if short is not None:
            return short
        given = self._gpus(ask, count, set(avoid)) if count else []
        if len(given) < count:
            return self._short_of_gpus(ask, count, len(given))
        until = None if ask.longest is None else now + ask.longest
        cpus, memory = ask.resources.cpus or 0, ask.resources.memory or 0
        return Lease(ask.run_id, tuple(given), cpus, memory, until, self._note(ask, given))

    def _short(self, ask: Ask, count: int) -> Short | None:
        machine = self.machine
        if self.limit and len(self.held) >= self.limit:
            return Short("runs", 1, 0, self.limit, tuple(self.held))
        slots = machine.slots()
        if not count and not self.limit and self.plain >= slots:
            return Short("slots", 1, 0, slots, tuple(lease for lease in self.held if not lease.gpus))
        cpus, memory = ask.resources.cpus or 0, ask.resources.memory or 0
        if cpus > machine.cores - self.cpus:
            holders = tuple(lease for lease in self.held if lease.cpus)
            return Short("cpus", cpus, machine.cores - self.cpus, machine.cores, holders)
        if memory > machine.memory - self.memory:
            holders = tuple(lease for lease in self.held if lease.memory)
            return Short("memory", memory, machine.memory - self.memory, machine.memory, holders)
        return None

    def free_gpus(self, ask: Ask, count: int) -> list[str]:
        """The GPUs that this run could get: those that others use come last, and only if it names them itself."""
        seen = [gpu for gpu in self.machine.visible(ask.visible_gpus) if gpu.uuid not in self.taken]
        if count > 1:
            seen = [gpu for gpu in seen if not gpu.part]  # a process can use one MIG part
        quiet = [gpu.uuid for gpu in seen if not self._is_busy(gpu.uuid, ask)]
        if ask.visible_gpus is not None and len(quiet) < count:
            quiet += [gpu.uuid for gpu in seen if gpu.uuid not in quiet]
        return quiet

    def _gpus(self, ask: Ask, count: int, avoid: set[str]) -> list[str]:
        free = self.free_gpus(ask, count)
        if len(free) > count:
            free.sort(key=lambda uuid: (self._is_busy(uuid, ask), uuid in avoid))
        return free[:count]

    def _is_busy(self, uuid: str, ask: Ask) -> bool:
        use = self.uses.get(uuid)
        return use is not None and use.is_busy(ask)

    def _short_of_gpus(self, ask: Ask, count: int, free: int) -> Short:
        seen = self.machine.visible(ask.visible_gpus)
        uuids = {gpu.uuid for gpu in seen}
        holders = tuple(lease for lease in self.held if uuids & set(lease.gpus))
        busy = [uuid for uuid in uuids - self.taken if self._is_busy(uuid, ask)]
        named = tuple(sorted((self.machine.place(uuid), self.uses[uuid]) for uuid in busy))
        return Short("gpus", count, free, len(seen), holders, named)

    def _note(self, ask: Ask, given: list[str]) -> str:
        busy = [self.machine.place(uuid) for uuid in given if self._is_busy(uuid, ask)]
        return f"CUDA_VISIBLE_DEVICES names GPU {', '.join(busy)}, which others use, too" if busy else ""


def beside(after: Room, ask: Ask, short: Short, lease: Lease) -> bool:
    """Whether *lease*, which *after* holds, takes nothing that the waiting *ask* needs and might lack by that.

    True only if, whichever runs end and in whatever order, *ask* fits as early with *lease* as without.
    """
    machine, wants = after.machine, ask.resources
    if lease.cpus and wants.cpus and after.cpus + wants.cpus > machine.cores:
        return False
    if lease.memory and wants.memory and after.memory + wants.memory > machine.memory:
        return False
    count = after.count(ask)
    # what it waits for comes from the end of another run, which makes room for one more run, too
    ending = short.what != "turn" and not short.busy
    if after.limit and len(after.held) + 1 - ending > after.limit:
        return False
    ending = ending and not any(holder.gpus for holder in short.holders)
    if not (count or lease.gpus or after.limit) and after.plain + 1 - ending > machine.slots():
        return False
    if not count or not lease.gpus:
        return True
    wanted = {gpu.uuid for gpu in machine.visible(ask.visible_gpus)}
    return not wanted & set(lease.gpus) or len(after.free_gpus(ask, count)) >= count


def grant_of(lease: Lease, machine: Machine, home: str, slots: int) -> dict[str, Any]:
    """What the worker is told that it may use."""
    if lease.gpus:
        share = machine.cores * len(lease.gpus) // max(1, len(machine.gpus))
    else:
        share = machine.cores // max(1, slots)
    return {"gpus": list(lease.gpus), "threads": lease.cpus or max(1, share), "home": home}


def lease_of(run_id: str, grant: Mapping[str, Any], resources: Resources) -> Lease:
    """What a run holds, as its ``grant.json`` and spec say; an agent that comes back reads it so."""
    return Lease(run_id, tuple(grant.get("gpus") or ()), resources.cpus or 0, resources.memory or 0)
