"""One run in a list: what the index says of it, and what is read when it is shown.

Reads the run's spec and metrics when they are needed; writes nothing.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import JupyterMLRunError
from jupyter_mlrun.rundir import RunDir, read_json
from jupyter_mlrun.server.pulse import PRIMARY_TAG, Pulse, primary_of, shown, shown_all
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import cells, runs
from jupyter_mlrun.ui.reader import warnings, words
from jupyter_mlrun.worker import notes

if TYPE_CHECKING:
    from jupyter_mlrun.records import RunState, Spec
    from jupyter_mlrun.server.api_runs import Primary, RunRow
    from jupyter_mlrun.store.index import Row

MOST_SHOWN = 50  # tags, parameters, metrics of a line
LONGEST = 200  # characters of one
BEAT_SECONDS = 0.3  # between two looks at the metrics of a run


class Entry:
    """One run.  *spec*, *state*: where they are known already."""

    def __init__(self, row: Row, spec: Spec | None = None, state: RunState | None = None) -> None:
        self.row = row
        self.path = row.path
        self.version = 0
        self.mark: tuple[int, ...] = ()
        self.looked = 0.0
        self.notes_mark: tuple[int, int] | None = None
        self._spec, self._state = spec, state
        self._hay: str | None = None
        self._pulse: Pulse | None = None
        self._warned: list[str] = []
        self._last: dict[str, Any] = row.metrics
        self._spark: tuple[str, list[float | None]] | None = None
        self._read = False
        self._line: tuple[int, str | None, RunRow] | None = None
        self._parent: str | None = None  # empty: none
        self._beaten = -1e9
        self._first_tags = row.tags
        self._first_name = row.display_name

    # ---- kept up to date

    def stamps(self) -> tuple[int, ...]:
        """What changes when an active run does."""
        run = RunDir(self.path)
        folder, events = os.stat(run.path), os.stat(run.events)
        found = (folder.st_ino, folder.st_mtime_ns, events.st_size, events.st_mtime_ns)
        try:
            said = os.stat(run.annotations)
        except FileNotFoundError:
            return found
        return (*found, said.st_size, said.st_mtime_ns)

    def same(self, other: Entry) -> bool:
        """Whether *other*, read just now, says nothing new."""
        mine, theirs = replace(self.row, metrics={}), replace(other.row, metrics={})
        return mine == theirs and self._state == other._state and self._spec is not None

    def inherit(self, old: Entry) -> None:
        """Take over from *old*, which it replaces, what was read of the metrics."""
        self.mark, self.looked = old.mark, old.looked
        self._pulse, old._pulse = old._pulse, None
        self._last = self.row.metrics or old._last  # the latter may not be the last: ``_take``
        self._spark = None if self.row.over else old._spark

    def say(self, said: dict[str, Any]) -> bool:
        """What people said of it since; whether that changes its line."""
        changed = replace(
            self.row,
            tags=notes.over(self._first_tags, said),
            display_name=said.get("display_name", self._first_name),
        )
        different, self.row, self._hay, self._line = changed != self.row, changed, None, None
        return different

    # ---- what it is

    @property
    def spec(self) -> Spec | None:
        """What was asked; None where that cannot be read."""
        if self._spec is None:
            try:
                self._spec = runs.read_spec(RunDir(self.path))
            except (OSError, ValueError, KeyError, TypeError, AttributeError, JupyterMLRunError):
                return None
        return self._spec

    @property
    def parent(self) -> str | None:
        """The run that it is a child of."""
        if self._spec is not None:
            return self._spec.parent
        if self._parent is None:
            try:
                self._parent = str(read_json(RunDir(self.path).spec).get("parent") or "")
            except (OSError, ValueError, AttributeError):
                self._parent = ""
        return self._parent or None

    @property
    def hay(self) -> str:
        """What a search looks through: lower case."""
        if self._hay is None:
            row = self.row
            parts = [row.run_id, row.display_name or "", row.experiment, row.script or "", row.target, row.status]
            parts += [f"{name}={value}" for name, value in (*row.parameters.items(), *row.tags.items())]
            self._hay = "\n".join(parts).lower()
        return self._hay

    def elapsed(self, now: float) -> float:
        """Seconds that it ran; -1 before its start."""
        return -1.0 if self.row.started is None else (self.row.ended or now) - self.row.started

    @property
    def wanted(self) -> str | None:
        """The primary metric that its tags name."""
        return self.row.tags.get(PRIMARY_TAG)

    # ---- its metrics

    @property
    def metrics(self) -> dict[str, Any]:
        """The last values, as far as they are known."""
        return self._last

    @property
    def has_metrics(self) -> bool:
        """Whether the last values are known, and will not change."""
        return self.row.over and (self._read or bool(self.row.metrics))

    @property
    def needs_spark(self) -> bool:
        """Whether there is something of its metrics that has not been read."""
        if self.row.over:
            return not self._read or (self._spark is not None and self._spark[0] != primary_of(self._last, self.wanted))
        return self._pulse is None and self.row.started is not None

    @property
    def warned(self) -> list[str] | None:
        """What was lost while logging, as of the last beat; None where its metrics have not been read."""
        return self._warned if self._read or self._pulse is not None else None

    def beat(self, now: float) -> bool:
        """Read what came of its metrics; whether anything did.  An ended run is read once.  *now*: monotonic."""
        if self.row.over and not self.needs_spark:
            return False
        if now - self._beaten < BEAT_SECONDS:
            return False
        self._beaten = now
        if self._pulse is None:
            self._pulse = Pulse(RunDir(self.path).metrics, self.wanted)
        moved = self._pulse.follow(now)
        if moved or self.row.over:
            self._take(self._pulse)
            self._warned = warnings(self._pulse)
        if self.row.over:
            self._read = moved = True
            self.close()
        return moved

    def _take(self, pulse: Pulse) -> None:
        self._line = None
        lasts = pulse.lasts()
        if not self.row.over or not self.row.metrics:
            self._last = lasts
        name = primary_of(self._last, self.wanted)
        if name is not None:
            self._spark = (name, pulse.spark(name))

    def _primary(self) -> Primary | None:
        name = primary_of(self._last, self.wanted)
        if name is None:
            return None
        spark = self._spark[1] if self._spark is not None and self._spark[0] == name else None
        return {"name": words(name, LONGEST), "last": shown(self._last[name]), "spark": spark}

    def close(self) -> None:
        """Let go of what it holds open."""
        if self._pulse is not None:
            self._pulse.close()
            self._pulse = None

    # ---- its line

    def line(self, waiting: str | None) -> RunRow:
        """As a list shows it; not to be changed."""
        known = self._line
        moves = not self.row.over and self._spec is not None and self._spec.kind == "notebook"
        if known is None or moves or known[:2] != (self.version, waiting):
            known = self._line = (self.version, waiting, self._draw(waiting))
        return known[2]

    def _draw(self, waiting: str | None) -> RunRow:
        row, spec, state = self.row, self.spec, self._state
        status = str(state.status) if state is not None else row.status
        progress, fraction = self._progress(spec)
        return {
            "id": row.run_id,
            "name": words(row.display_name or row.run_id, LONGEST),
            "experiment": words(row.experiment, LONGEST),
            "kind": spec.kind if spec is not None else "script",
            "status": status,
            "shown": row.status,
            "reason": words(row.reason) if row.reason and row.over and row.status != Status.COMPLETED.value else None,
            "waiting": None if row.over or row.started else words(waiting or row.reason or "") or None,
            "created": row.created,
            "started": row.started,
            "ended": row.ended,
            "over": row.over,
            "can_stop": not row.over and status != Status.CANCEL_REQUESTED.value,
            "target": words(row.target, LONGEST),
            "by": words(spec.created_by["user"], LONGEST) if spec is not None and spec.created_by.get("user") else None,
            "tags": _texts(row.tags),
            "parameters": _texts(self._parameters(spec)),
            "primary": self._primary(),
            "metrics": {words(n, LONGEST): v for n, v in shown_all(self._last, MOST_SHOWN).items()},
            "progress": progress,
            "fraction": fraction,
            "parent": spec.parent if spec is not None else None,
            "notebook": words(spec.notebook) if spec is not None and spec.notebook else None,
        }

    def _parameters(self, spec: Spec | None) -> dict[str, Any]:
        if spec is None:
            return self.row.parameters
        return {name: one.get("text") for name, one in spec.parameters.items()}

    def _progress(self, spec: Spec | None) -> tuple[str | None, float | None]:
        if spec is None or spec.kind != "notebook" or self.row.over:
            return None, None
        found = cells.progress(self.path)
        if not found or not found["total"]:
            return None, None
        done, total = found["done"] or 0, found["total"]
        return f"cell {found['current'] or done} of {total}", done / total


def _texts(found: dict[str, Any]) -> dict[str, str]:
    return {words(name, LONGEST): words(value, LONGEST) for name, value in list(found.items())[:MOST_SHOWN]}
