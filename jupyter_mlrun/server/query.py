"""Which runs of a list, in which order, and which window of them.  Pure: what it needs was read.

Reads and writes nothing.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.server.api_runs import MOST_ROWS
from jupyter_mlrun.states import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jupyter_mlrun.server.api_runs import ExperimentCount, RunQuery
    from jupyter_mlrun.server.entry import Entry

DEFAULT_LIMIT = 100
SORTS = ("created", "name", "status", "elapsed", "experiment")
_METRIC = "metric:"
_KNOWN = {str(status).lower() for status in Status} | {"active", "over"}


class Question:
    """A ``RunQuery`` that was checked.  Raises ``BadInput`` for an unknown status or order."""

    def __init__(self, asked: RunQuery) -> None:
        self.words = asked.get("text", "").lower().split()
        self.statuses = {one.strip().lower() for one in asked.get("status", "").split(",") if one.strip()}
        unknown = self.statuses - _KNOWN
        if unknown:
            raise BadInput(f"no status {min(unknown)[:40]!r}", hint=", ".join(sorted(_KNOWN)))
        self.experiment = asked.get("experiment") or None
        self.compute = asked.get("compute") or None
        self.parent = asked.get("parent") or None
        self.tags = [_tag(one) for one in asked.get("tag", "").split(",") if one.strip()]
        sort = asked.get("sort") or "-created"
        self.down, self.sort = sort.startswith("-"), sort.lstrip("-")
        if self.sort not in SORTS and not self.sort.startswith(_METRIC):
            raise BadInput(f"no order {sort[:40]!r}", hint=f"{', '.join(SORTS)} or {_METRIC}NAME")
        self.offset = max(0, asked.get("offset", 0))
        self.limit = min(max(0, asked.get("limit", DEFAULT_LIMIT)), MOST_ROWS)

    def fits(self, entry: Entry) -> bool:
        """Whether it is one of them, whatever its words, status and experiment."""
        row = entry.row
        if self.compute is not None and row.target != self.compute:
            return False
        for name, value in self.tags:
            if name not in row.tags or value not in (None, row.tags[name]):
                return False
        return self.parent is None or entry.parent == self.parent

    @property
    def is_narrow(self) -> bool:
        """Whether ``fits`` has something to look at."""
        return bool(self.tags or self.compute or self.parent)

    def has_status(self, entry: Entry) -> bool:
        """Whether its status is one of those that are wanted."""
        wanted = self.statuses
        if not wanted:
            return True
        return entry.row.status.lower() in wanted or ("over" if entry.row.over else "active") in wanted


def _tag(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    return name.strip(), value.strip() if equals else None


class Window:
    """What is shown of the runs that fit; *entries* come the newest first."""

    def __init__(self, entries: Sequence[Entry], asked: Question) -> None:
        fitting = entries
        for word in asked.words:
            fitting = [entry for entry in fitting if word in entry.hay]
        if asked.is_narrow:
            fitting = [entry for entry in fitting if asked.fits(entry)]
        chosen = fitting if not asked.statuses else [entry for entry in fitting if asked.has_status(entry)]
        experiment = asked.experiment
        here = fitting if experiment is None else [one for one in fitting if one.row.experiment == experiment]
        found = chosen if experiment is None else [one for one in chosen if one.row.experiment == experiment]
        self.counts: dict[str, int] = dict(Counter([entry.row.status for entry in here]))
        by_experiment = Counter([entry.row.experiment for entry in chosen])
        active = Counter([entry.row.experiment for entry in chosen if not entry.row.over])
        self.experiments: list[ExperimentCount] = [
            {"name": name, "runs": runs, "active": active[name]} for name, runs in sorted(by_experiment.items())
        ]
        self.total = len(found)
        self.entries = _ordered(found, asked)[asked.offset : asked.offset + asked.limit]


def _ordered(entries: Sequence[Entry], asked: Question) -> Sequence[Entry]:
    if asked.sort == "created":
        return entries if asked.down else entries[::-1]
    if asked.sort.startswith(_METRIC):
        return _by_metric(entries, asked.sort[len(_METRIC) :], down=asked.down)
    # what is equal stays as it came: the newest first
    return sorted(entries, key=_key(asked.sort), reverse=asked.down)


def _key(sort: str) -> Callable[[Entry], Any]:
    if sort == "elapsed":
        now = time.time()
        return lambda entry: entry.elapsed(now)
    if sort == "name":
        return lambda entry: (entry.row.display_name or entry.row.run_id).lower()
    if sort == "experiment":
        return lambda entry: entry.row.experiment.lower()
    return lambda entry: entry.row.status


def _by_metric(entries: Iterable[Entry], name: str, *, down: bool) -> list[Entry]:
    """Those that have no such number stand last, whatever the order."""
    have: list[tuple[float, Entry]] = []
    rest: list[Entry] = []
    for entry in entries:
        value = entry.metrics.get(name)
        if isinstance(value, (int, float)) and not math.isnan(value):
            have.append((float(value), entry))
        else:
            rest.append(entry)
    have.sort(key=lambda pair: pair[0], reverse=down)
    return [entry for _, entry in have] + rest
