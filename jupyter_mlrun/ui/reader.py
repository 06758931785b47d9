"""One run's files for all the views of it: what it is, its metrics, logs, system, cells, each read once as it grows.

Reads the run directory; writes nothing.  What cannot be read is said in ``problem``.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import DamagedRun, JupyterMLRunError
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.lines import COLOUR, LogLines, clean
from jupyter_mlrun.store.livecells import CellReader
from jupyter_mlrun.store.livemetrics import LiveReader
from jupyter_mlrun.store.system import SystemReader
from jupyter_mlrun.ui.contract import MOST_CELLS, MOST_METRICS, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from jupyter_mlrun.records import RunState, Spec
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.ui.contract import Queue

    Place = Callable[[], Mapping[str, Any] | None]

THOROUGH_SECONDS = 3.0  # between two looks that trust no time stamp; whether an interactive run's process lives
GIVEN_UP_SECONDS = 60.0  # a run that could not be read for so long will not be
WAITING_SECONDS = 0.5
SYSTEM_SECONDS = 1.0  # between two looks at what it uses of the machine, which is sampled more rarely
MOST_ENTRIES = 100  # tags, parameters, inputs
LONGEST = 1000  # characters of one
REMOVED = "this run was removed"
UNREADABLE = (
    OSError,
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    JupyterMLRunError,
)


class RunReader:
    """A run as its files show it; ``refresh`` brings it up to date and is cheap where nothing moved.

    Args:
        run: its directory.
        waiting: what it waits for, as the agent says now.
        queue: where it stands in the queue, as ``agent.client.queue_of`` has it in ``details``.
    """

    def __init__(
        self, run: RunDir, waiting: Callable[[], str | None] | None = None, queue: Place | None = None
    ) -> None:
        self.run = run
        self.version = 0  # rises with each change of anything
        self.about: Run | None = None
        self.about_version = 0
        self.problem: str | None = None
        self.spec: Spec | None = None
        self.state: RunState | None = None
        self.metrics = LiveReader(run.metrics, MOST_METRICS)
        self._logs: dict[int, LogLines] = {}
        self.system = SystemReader(run)
        self.system_version = 0
        self.cells = CellReader(run.path, MOST_CELLS)
        self._waiting, self._queue = waiting, queue
        self._waits: tuple[str | None, Queue | None] = (None, None)
        self._start: str | None = None
        self._mark: tuple[int, ...] = ()
        self._thorough_at = self._waiting_at = self._system_at = -math.inf
        self._system_problem: str | None = None
        self._said: tuple[int, list[str]] = (-1, [])
        self._problem_since: float | None = None
        self._given_up = False

    @property
    def over(self) -> bool:
        """Whether there is nothing to come: the run has ended (and that is no guess), or will not be read."""
        if self._given_up or self.state is None:
            return self._given_up
        guess = self.state.reason is not None and self.state.reason.guess
        return self.state.is_over and not guess

    @property
    def behind(self) -> bool:
        """Whether a log has more than was read yet."""
        return any(log.behind for log in self._logs.values())

    def refresh(self, now: float | None = None) -> bool:
        """Read what came; whether anything did.  *now*: seconds, monotonic."""
        now = time.monotonic() if now is None else now
        before = self.version, self.problem
        try:
            self._look(now)
            if self.spec is not None:
                self.version += self.metrics.follow(now)
                if not self._logs:
                    self._logs[0] = self._open(0, self.spec)  # whoever draws the run shows its end
                for log in self._logs.values():
                    self.version += log.refresh()
                self.version += self.cells.refresh()
                self._look_at_system(now)
                self._tell()
            self.problem, self._problem_since, self._given_up = None, None, False
        except UNREADABLE as problem:
            self._note(problem, now)
        if self.problem != before[1]:
            self.version += 1
        return self.version != before[0]

    def _look_at_system(self, now: float) -> None:
        if now - self._system_at < SYSTEM_SECONDS and not self.over:
            return
        self._system_at = now
        try:
            came, self._system_problem = self.system.read(), None
        except UNREADABLE as problem:  # of a newer format, or damaged: the run is shown without
            came, self._system_problem = False, words(f"{self.run.system.name}: {problem}")
        self.system_version += came
        self.version += came

    def _note(self, problem: BaseException, now: float) -> None:
        self.problem = self._words_of(problem)
        self._mark = ()  # it is read again until it can be
        self._problem_since = now if self._problem_since is None else self._problem_since
        self._given_up = self.problem == REMOVED or now - self._problem_since >= GIVEN_UP_SECONDS

    def _words_of(self, problem: BaseException) -> str:
        if isinstance(problem, FileNotFoundError) and not os.path.lexists(self.run.path):
            return REMOVED
        if isinstance(problem, OSError):
            return f"this run cannot be read: {problem.strerror or problem}: {problem.filename or self.run.path}"
        if isinstance(problem, JupyterMLRunError):
            hint = f" ({problem.hint})" if problem.hint else ""
            what = "this run is damaged: " if isinstance(problem, DamagedRun) else ""
            return words(f"{what}{problem.message}{hint}")
        return words(f"this run is damaged: {type(problem).__name__}: {problem}: {self.run.path}")

    def _look(self, now: float) -> None:
        """Spec and state, where a file of theirs changed."""
        mark = self._stamps()
        thorough = now - self._thorough_at >= THOROUGH_SECONDS and not self.over
        if mark == self._mark and not thorough and self.spec is not None:
            return
        self._thorough_at = now
        spec, state = runs.read_spec(self.run), runs.observe(self.run)
        if (spec, state) != (self.spec, self.state):
            self.spec, self.state = spec, state
            self._start = runs.start_of(self.run) or None if state.started is not None else None
            self.about = None
        self._mark = mark

    def _stamps(self) -> tuple[int, ...]:
        # a new file changes the folder, a longer one itself
        folder, events = os.stat(self.run.path), os.stat(self.run.events)
        stamps = (folder.st_ino, folder.st_mtime_ns, events.st_size, events.st_mtime_ns)
        if len(self._mark) == len(stamps) and self._mark[:2] == stamps[:2]:
            return stamps  # there was no annotation, and there is no new file
        try:
            notes = os.stat(self.run.annotations)
        except FileNotFoundError:
            return stamps
        return (*stamps, notes.st_size, notes.st_mtime_ns)

    def _tell(self) -> None:
        """Bring ``about`` up to date."""
        assert self.spec is not None
        assert self.state is not None
        waits = self._waits_now()
        if self._said[0] != self.metrics.version:
            self._said = (self.metrics.version, warnings(self.metrics))
        said = [*self._said[1], *([self._system_problem] if self._system_problem else [])]
        if self.about is None or waits != self._waits or said != self.about["warnings"]:
            self._waits = waits
            self.about = _about(self.run, self.spec, self.state, waits, said)
            self.about["start"] = words(self._start) if self._start else None
            self.about_version += 1
            self.version += 1

    def _waits_now(self) -> tuple[str | None, Queue | None]:
        assert self.state is not None
        if self._waiting is None or self.state.is_over or self.state.started is not None:
            return None, None
        now = time.monotonic()
        if now - self._waiting_at >= WAITING_SECONDS:
            self._waiting_at = now
            return self._waiting(), _queue(self._queue() if self._queue is not None else None)
        return self._waits

    def log(self, rank: int) -> LogLines | None:
        """The log of one rank; None where there is no such rank, or nothing is known of the run."""
        if self.spec is None or not 0 <= rank < self.spec.resources.procs:
            return None
        if rank not in self._logs:
            self._logs[rank] = self._open(rank, self.spec)
            self.refresh()
        return self._logs[rank]

    def _open(self, rank: int, spec: Spec) -> LogLines:
        ranks = spec.resources.procs
        return LogLines(self.run.log(rank, ranks), _Gap(self.run.log_index(rank, ranks)).now)

    def close(self) -> None:
        """Let go of open files."""
        self.metrics.close()


class _Gap:
    """What a log over its limit gave back, from its index, of which each line is read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._found: tuple[int, int] | None = None

    def now(self) -> tuple[int, int] | None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(1 << 20)
        except FileNotFoundError:
            return None
        end = data.rfind(b"\n") + 1
        self._offset += end
        for line in data[:end].split(b"\n"):
            if b"dropped" in line:
                try:
                    start, stop = json.loads(line)["dropped"]
                    self._found = int(start), int(stop)
                except (ValueError, KeyError, TypeError):
                    continue  # a torn line
        return self._found


# ---- what is known of a run ------------------------------------------------------------------------------------


def words(value: object, most: int = LONGEST) -> str:
    """One line of text that can be sent and shown: no controls, no lone surrogates, not too long."""
    text = str(value)
    cut = text if len(text) <= most else f"{text[:most]} …"
    return COLOUR.sub("", clean(cut.encode("utf-8", "replace").decode()))


def warnings(metrics: Any) -> list[str]:
    """What was lost or misused while logging.  *metrics*: a reader of them."""
    said = []
    if metrics.dropped:
        said.append(f"{metrics.dropped:,} points were dropped: the disk was full")
    if metrics.misused:
        said.append(f"{metrics.misused:,} calls of log() were misused; the log says how")
    if metrics.skipped:
        said.append(f"{metrics.skipped:,} damaged records were passed over")
    said += [words(f"{os.path.basename(path)}: {why}") for path, why in list(metrics.problems.items())[:5]]
    return said


def _queue(found: Mapping[str, Any] | None) -> Queue | None:
    if not found or not found.get("place"):
        return None
    by = found.get("by")
    return {
        "place": words(found["place"], 100),
        "first": words(found.get("first") or "", 300),
        "waits_for": words(found.get("waits_for") or "", 100),
        "cure": words(found["cure"], 200) if found.get("cure") else None,
        "by": float(by) if isinstance(by, (int, float)) else None,
    }


def _about(run: RunDir, spec: Spec, state: RunState, waits: tuple[str | None, Queue | None], said: list[str]) -> Run:
    reason = state.reason.text if state.reason is not None and state.status is not Status.COMPLETED else None
    stopping = state.status is Status.CANCEL_REQUESTED
    return {
        "id": words(spec.run_id),
        "name": words(spec.display_name or spec.run_id),
        "experiment": words(spec.experiment),
        "target": words(spec.target),
        "by": words(spec.created_by["user"]) if spec.created_by.get("user") else None,
        "status": str(state.status),
        "shown": str(state.shown),
        "reason": words(reason) if reason else None,
        "waiting": None if state.is_over else words(waits[0] or state.note or "") or None,
        "queue": None if state.is_over else waits[1],
        "start": None,
        "created": spec.created,
        "started": state.started,
        "ended": state.ended,
        "over": state.is_over,
        "can_stop": not state.is_over and not stopping,
        "warnings": said,
        "parameters": _pairs({name: one["text"] for name, one in spec.parameters.items()}),
        "tags": _pairs(spec.tags),
        "inputs": [words(_input(one)) for one in spec.inputs[:MOST_ENTRIES]],
        "links": _links(run, spec),
        "logs": [run.log(rank, spec.resources.procs).name for rank in range(spec.resources.procs)],
    }


def _pairs(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(words(name, 200), words(value)) for name, value in list(found.items())[:MOST_ENTRIES]]


def _input(one: Mapping[str, Any]) -> str:
    known = one.get("dataset") or {}
    what = one.get("path")
    if known.get("name"):
        what = f"{known['name']}:{known.get('version')}"
    elif not what:
        what = ", ".join("/".join(path) for path in one.get("paths", ()))
    return f"{one.get('name')}: {what}"


def _links(run: RunDir, spec: Spec) -> list[tuple[str, str]]:
    places = {
        "page": run.page,
        "log": run.log(0, spec.resources.procs),
        "outputs": run.outputs,
        "folder": run.path,
    }
    return [(label, path.absolute().as_uri()) for label, path in places.items() if path.exists()]


# ---- shared ----------------------------------------------------------------------------------------------------

_readers: weakref.WeakValueDictionary[str, RunReader] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def reader_of(run: RunDir, waiting: Callable[[], str | None] | None = None, queue: Place | None = None) -> RunReader:
    """The reader that all views of *run* in this process share."""
    key = os.path.abspath(run.path)
    with _lock:
        found = _readers.get(key)
        if found is None:
            found = _readers[key] = RunReader(run, waiting, queue)
        return found
