"""Says in words, and as data, why a run waits.  Pure: no I/O.

The words are what ``ps``, ``show`` and the live view print; ``queue.json`` has both.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.ui.words import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_mlrun.agent.leases import GpuUse, Holder, Lease, Short
    from jupyter_mlrun.agent.queue import Wait


def sentence(wait: Wait) -> str:
    """Why it waits, what would start it now, and by when it is expected to start."""
    text = lack(wait.short)
    if wait.position > 1:
        text = f"{wait.position - 1} ahead of it in the queue; the first is {text}"
    if wait.cure:
        text += f"; {wait.cure} would start it now"
    if wait.by is not None:
        text += f"; expected to start by {clock(wait.by)}"
    return text


def details(wait: Wait) -> dict[str, Any]:
    """The same for programs, as ``queue.json`` has it."""
    return {
        "lane": wait.lane,
        "position": wait.position,
        "of": wait.of,
        "place": f"{ordinal(wait.position)} of {wait.of}",
        "first": wait.first,
        "waits_for": wait.short.what,
        "cure": wait.cure or None,
        "by": wait.by,
    }


def lack(short: Short) -> str:
    """What the first of a lane waits for."""
    if short.what in {"runs", "slots"}:
        taken = f"{len(short.holders)} of {short.total} are taken ({_names(short.holders)})"
        return f"waiting for a slot: {taken}"
    if short.what == "cpus":
        return f"waiting for {_count(short.want, 'CPU core')}: {short.free} of {short.total} are free{_by(short)}"
    if short.what == "memory":
        have = f"{size(short.free)} of {size(short.total)} are free"
        return f"waiting for {size(short.want)} of memory: {have}{_by(short)}"
    if short.what == "gpus":
        return _gpus(short)
    whom = short.behind or "one ahead of it"
    return f"waiting for its turn: if it started now it could delay {whom}"


def _gpus(short: Short) -> str:
    told = [f"{lease.run_id} has {len(lease.gpus)}" for lease in short.holders[:3]]
    told += [busy(place, use) for place, use in short.busy]
    words = f" ({'; '.join(told)})" if told else ""
    return f"waiting for {_count(short.want, 'GPU')}: {short.free} free{words}"


def busy(place: str, use: GpuUse) -> str:
    """Who uses a GPU that no run of ours holds: ``GPU 1 is used by pid 4242 (python, 9.3 GB) of user bob``."""
    free = f"{size(use.free)} of {size(use.total)} free"
    if not use.holders:
        return f"GPU {place} is used by what cannot be seen from here, {free}"
    return f"GPU {place} is used by {', '.join(_holder(one) for one in use.holders[:3])}, {free}"


def _holder(one: Holder) -> str:
    known = [one.command, size(one.memory) if one.memory else ""]
    inside = ", ".join(word for word in known if word)
    return f"pid {one.pid}" + (f" ({inside})" if inside else "") + (f" of user {one.user}" if one.user else "")


def _by(short: Short) -> str:
    return f" ({_names(short.holders)})" if short.holders else ""


def _names(leases: Sequence[Lease]) -> str:
    return ", ".join(lease.run_id for lease in leases[:3]) + (" …" if len(leases) > 3 else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"


def ordinal(number: int) -> str:
    """``1st``, ``2nd``, ``3rd``, ``4th``, ``11th``, ``21st``."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def clock(moment: float) -> str:
    """The local time of day, with the date where it is not within a day."""
    local = time.localtime(moment)
    near = abs(moment - time.time()) < 86_400
    return time.strftime("%H:%M" if near else "%Y-%m-%d %H:%M", local)
