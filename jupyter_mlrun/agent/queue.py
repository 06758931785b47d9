"""Decides which queued runs may start now, and when the others will.  Pure: no I/O.

In order of priority and submission; a later run goes ahead only where that cannot delay the first that waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jupyter_mlrun.agent.leases import MARGIN, Ask, GpuUse, Lease, Room, Short, beside, grant_of, lease_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_mlrun.backends.machine import Machine

__all__ = ["Ask", "GpuUse", "Lease", "Plan", "Short", "Wait", "grant_of", "lease_of", "order", "plan"]

# a run that has waited so long goes before one of the next priority: nobody waits for ever
PRIORITY_SECONDS = 86_400.0
# of the runs behind the first so many are looked at to go ahead of it
MOST_TRIED = 200
# for so many it is worked out when they start, and what would start them now
MOST_FORETOLD, MOST_CURES = 50, 20


@dataclass(frozen=True)
class Wait:
    """Why a run waits: its place in its lane, what is missing for the lane's first, and what is known of its start."""

    run_id: str
    lane: str  # "gpu" or "cpu"
    position: int
    short: Short  # what the first of the lane lacks
    of: int = 0
    first: str = ""  # the lane's first
    by: float | None = None  # unix time when it is expected to start at the latest, as time limits say
    cure: str = ""  # the option that would start it now


@dataclass
class Plan:
    """Who starts with what, and why the others wait."""

    start: list[tuple[Ask, Lease]] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)

    @property
    def waiting(self) -> dict[str, str]:
        """In words, why each waits."""
        from jupyter_mlrun.agent.reasons import sentence

        return {wait.run_id: sentence(wait) for wait in self.waits}


@dataclass
class _Head:
    """The first that waits in a lane; nobody may delay it."""

    ask: Ask
    short: Short
    latest: float | None


@dataclass
class _Lane:
    head: _Head | None = None
    asks: list[Ask] = field(default_factory=list)


def order(priority: float, created: float) -> tuple[float, float]:
    """The place of a run in the queue: higher priority first, then who came first."""
    return (created - priority * PRIORITY_SECONDS, created)


def plan(
    asks: Sequence[Ask],
    leases: Sequence[Lease],
    machine: Machine,
    *,
    now: float = 0.0,
    uses: Mapping[str, GpuUse] | None = None,
) -> Plan:
    """The next starts among *asks*, given what *leases* hold, and others' use of GPUs that nobody holds."""
    result = Plan()
    # the newest submission knows the user's setting of today
    limit = max(asks, key=lambda a: a.order[-1]).max_concurrent if asks else 0
    # a run over its time is one of which nothing is known
    held = [replace(x, until=None) if x.until is not None and x.until <= now else x for x in leases]
    room = Room(machine, held, limit, uses or {})
    lanes = {"gpu": _Lane(), "cpu": _Lane()}
    for ask in sorted(asks, key=lambda a: a.order):
        lane = lanes["gpu" if room.count(ask) else "cpu"]
        lease = _start(room, ask, lanes, now) if len(lane.asks) < MOST_TRIED else Short("turn")
        if isinstance(lease, Lease):
            room.add(lease)
            result.start.append((ask, lease))
            continue
        lane.asks.append(ask)
        if lane.head is None:
            lane.head = _Head(ask, lease, _latest(room, ask))
    result.waits = _waits(room, lanes, now)
    return result


def _heads(lanes: Mapping[str, _Lane]) -> list[_Head]:
    return [lane.head for lane in lanes.values() if lane.head is not None]


def _start(room: Room, ask: Ask, lanes: Mapping[str, _Lane], now: float) -> Lease | Short:
    """What it gets now, or what keeps it: a lack, or its turn."""
    heads = _heads(lanes)
    avoid = [gpu.uuid for head in heads if room.count(head.ask) for gpu in room.machine.visible(head.ask.visible_gpus)]
    lease = room.fit(ask, avoid=avoid, now=now)
    if isinstance(lease, Short):
        return lease
    behind = next((head.ask.run_id for head in heads if _delays(room, head, lease)), None)
    return lease if behind is None else Short("turn", behind=behind)


def _delays(room: Room, head: _Head, lease: Lease) -> bool:
    """Whether *lease* could make *head* start later than it would, or later than time limits promise."""
    after = room.with_(lease)
    if beside(after, head.ask, head.short, lease):
        return False
    if head.latest is None:
        return True
    return isinstance(after.at(head.latest).fit(head.ask), Short)


def _latest(room: Room, ask: Ask) -> float | None:
    """When it starts at the latest, if every run uses up its time limit; None where those do not tell."""
    for until in sorted({lease.until for lease in room.held if lease.until is not None}):
        if isinstance(room.at(until).fit(ask), Lease):
            return until
    return None


# ---- what the others are told ------------------------------------------------------------------------


def _waits(room: Room, lanes: Mapping[str, _Lane], now: float) -> list[Wait]:
    found = []
    for name, lane in lanes.items():
        head = lane.head
        if head is None:
            continue
        starts = _foretell(room, lane)
        for place, ask in enumerate(lane.asks):
            cure = _cure(room, ask, lanes, now) if place < MOST_CURES else ""
            by = starts[place] if place < len(starts) else None
            found.append(Wait(ask.run_id, name, place + 1, head.short, len(lane.asks), head.ask.run_id, by, cure))
    return found


def _foretell(room: Room, lane: _Lane) -> list[float]:
    """The latest start of each of the first of a lane, one after the other."""
    found: list[float] = []
    if lane.head is None or lane.head.short.what == "turn":
        return found  # that depends on the other lane
    then = Room(room.machine, list(room.held), room.limit, room.uses)
    for ask in lane.asks[:MOST_FORETOLD]:
        moment = _latest(then, ask)
        if moment is None:
            break
        lease = then.at(moment).fit(ask, now=moment)
        assert isinstance(lease, Lease)
        then.add(lease)
        found.append(moment)
    return found


def _cure(room: Room, ask: Ask, lanes: Mapping[str, _Lane], now: float) -> str:
    """The smallest change that would start it now; empty where none does."""
    found = room.fit(ask, now=now)
    for text, changed, limit, alone in _changes(room, ask, found, lanes, now):
        ahead = {name: lane for name, lane in lanes.items() if lane.head is None or lane.head.ask != ask}
        limited = Room(room.machine, room.held, limit, room.uses)
        if isinstance(_start(limited, changed, {} if alone else ahead, now), Lease):
            return text
    return ""


def _changes(
    room: Room, ask: Ask, found: Lease | Short, lanes: Mapping[str, _Lane], now: float
) -> list[tuple[str, Ask, int, bool]]:
    """Options that could help, each with what it would ask for, the limit, and whether it would go before all."""
    wants = ask.resources
    if isinstance(found, Short):
        left, more = found.free, []
        if found.what in {"runs", "slots"}:
            if all(head.ask != ask for head in _heads(lanes)):
                return []  # those ahead of it would take what a higher limit gives
            enough = (room.limit or len(room.held)) + 1
            text = f"JUPYTER_MLRUN_MAX_CONCURRENT={enough} (%config JupyterMLRun.max_concurrent = {enough})"
            return [(f"a submit with {text}", ask, enough, False)]
        if found.what == "gpus":
            more = [(f"--gpus {n}", replace(wants, gpus=n)) for n in (left, 0) if n < found.want]
        elif found.what == "cpus" and left:
            more = [(f"--cpus {left}", replace(wants, cpus=left))]
        elif found.what == "memory" and left >= 1000**2:
            more = [(f"--memory {left // 1000**2}MB", replace(wants, memory=left // 1000**2 * 1000**2))]
        return [(text, replace(ask, resources=new), room.limit, False) for text, new in dict(more).items()]
    changes = []
    for head in _heads(lanes):
        rest = (head.latest or now) - now - ask.grace - MARGIN
        if rest >= 60 and (wants.time is None or wants.time > rest):
            minutes = int(rest // 60)
            shorter = replace(ask, resources=replace(wants, time=minutes * 60.0))
            changes.append((f"--time {minutes}m", shorter, room.limit, False))
    first = min(head.ask.order[0] for head in _heads(lanes))
    priority = max(1, int((now - first) // PRIORITY_SECONDS) + 1)
    return [*changes, (f"--priority {priority}", ask, room.limit, True)]
