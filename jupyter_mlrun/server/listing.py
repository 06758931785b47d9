"""The runs of a workspace in memory, kept as the files say, for lists that answer at once.

Reads the index once, then what changed of the run directories; writes nothing.
"""

from __future__ import annotations

import os
import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.agent import client
from jupyter_mlrun.errors import JupyterMLRunError, NotFound
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.server.entry import Entry
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.index import listing, row_of
from jupyter_mlrun.worker import notes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_mlrun.store.home import WorkspaceDir

RACY_SECONDS = 0.1  # a folder that changed so recently may change again within the clock's grain
THOROUGH_SECONDS = 3.0  # between two looks at an active run that trust no time stamp
NOTES_AT_ONCE = 250  # ended runs that are looked at for notes in one refresh
DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, JupyterMLRunError)


class Shelf:
    """The runs of one workspace; ``refresh`` is cheap where nothing moved."""

    def __init__(self, place: WorkspaceDir) -> None:
        self.place = place
        self.lock = threading.RLock()
        self.version = 0  # rises with each change
        self.waiting: dict[str, str] = {}  # run id → why it waits, as the agent says
        self.queue: dict[str, Any] = {}
        self.by_path: dict[str, Entry] = {}
        self.by_id: dict[str, Entry] = {}
        self._numbers = count(1)
        self._members = 0  # rises when a run comes, goes, or is another object
        self._ordered: tuple[int, list[Entry]] = (-1, [])
        self._unknown: tuple[int, list[Entry]] = (-1, [])
        self._folders: dict[str, int] = {}  # each experiment's folder as it was when it was read
        self._active: dict[str, Entry] = {}
        self._refreshed = 0.0
        self._filled = False
        self._turn: list[str] = []  # ended runs that are still to be looked at for notes
        self._queue_mark: tuple[int, int] = (0, 0)

    @property
    def entries(self) -> list[Entry]:
        """All runs, the newest first; not to be changed."""
        if self._ordered[0] != self._members:
            found = sorted(self.by_path.values(), key=lambda one: (one.row.created, one.row.run_id), reverse=True)
            self._ordered = (self._members, found)
        return self._ordered[1]

    @property
    def active(self) -> list[Entry]:
        """Those that go on, or wait."""
        return list(self._active.values())

    def refresh(self, now: float | None = None, *, fresh: float = 0.0) -> bool:
        """Read what changed; whether anything did.

        *now*: seconds, monotonic; *fresh*: what is no older is not looked at again.
        """
        now = time.monotonic() if now is None else now
        with self.lock:
            if self._filled and now - self._refreshed < fresh:
                return False
            before = self.version
            if not self._filled:
                self._fill()
            self._look_at_folders()
            self._look_at_queue()
            for entry in list(self._active.values()):
                self._look_at(entry, now)
            self._look_for_notes()
            self._refreshed = now
            return self.version != before

    def _fill(self) -> None:
        """All from the index, and from the files where it does not know."""
        marks = {str(folder): folder.stat().st_mtime_ns for folder in runs.experiment_folders(self.place)}
        for row in listing(self.place):
            self._put(Entry(row))
        recent = time.time_ns() - int(RACY_SECONDS * 1e9)
        self._folders = {folder: mark for folder, mark in marks.items() if mark < recent}
        self._filled = True

    def _put(self, entry: Entry) -> None:
        entry.version = self.version = next(self._numbers)
        self._members += 1
        old = self.by_path.get(entry.path)
        if old is not None:
            old.close()
        self.by_path[entry.path] = entry
        self.by_id[entry.row.run_id] = entry
        if entry.row.over:
            self._active.pop(entry.path, None)
        else:
            self._active[entry.path] = entry

    def _drop(self, path: str) -> None:
        entry = self.by_path.pop(path, None)
        if entry is not None:
            entry.close()
            self._members += 1
            self.by_id.pop(entry.row.run_id, None)
            self._active.pop(path, None)
            self.version = next(self._numbers)

    # ---- what came and went --------------------------------------------------------------------------------

    def _look_at_folders(self) -> None:
        there = {str(folder): folder.stat().st_mtime_ns for folder in runs.experiment_folders(self.place)}
        for gone in [folder for folder in self._folders if folder not in there]:
            del self._folders[gone]
            for path in [path for path in self.by_path if os.path.dirname(path) == gone]:
                self._drop(path)
        recent = time.time_ns() - int(RACY_SECONDS * 1e9)
        for folder, mark in there.items():
            if self._folders.get(folder) != mark:
                self._look_into(folder)
                if mark < recent:
                    self._folders[folder] = mark
                else:
                    self._folders.pop(folder, None)

    def _look_into(self, folder: str) -> None:
        try:
            names = {entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)}
        except FileNotFoundError:
            names = set()
        known = {path for path in self.by_path if os.path.dirname(path) == folder}
        for path in known - names:
            self._drop(path)
        for path in sorted(names - known):
            self._read(path)

    def _read(self, path: str) -> None:
        """The line of a run anew, from its files; one that cannot be read is left out."""
        run = RunDir(path)
        try:
            spec, state = runs.read_spec(run), runs.observe(run)
        except DAMAGED:
            self._drop(path)
            return
        old = self.by_path.get(path)
        entry = Entry(row_of(run, spec, state), spec, state)
        if old is not None:
            if old.same(entry):
                return
            entry.inherit(old)
        self._put(entry)

    def _look_at_queue(self) -> None:
        try:
            info = os.stat(client.AgentDir(self.place.home).queue)
            mark = (info.st_ino, info.st_mtime_ns)
        except OSError:
            mark = (0, 0)
        if mark != self._queue_mark:
            self._queue_mark = mark
            self.queue = client.queue_of(self.place.home)
            waiting = {str(name): str(why) for name, why in self.queue["waiting"].items()}
            for run_id in {*waiting, *self.waiting}:
                if waiting.get(run_id) != self.waiting.get(run_id) and run_id in self.by_id:
                    self.touch(self.by_id[run_id])
            self.waiting = waiting

    # ---- what changed --------------------------------------------------------------------------------------

    def _look_at(self, entry: Entry, now: float) -> None:
        try:
            mark = entry.stamps()
        except OSError:
            self._read(entry.path)
            return
        if mark != entry.mark or now - entry.looked >= THOROUGH_SECONDS:
            entry.mark, entry.looked = mark, now
            self._read(entry.path)

    def _look_for_notes(self) -> None:
        """What people say of ended runs shows in no folder: some are looked at each time."""
        if not self._turn:
            self._turn = [path for path, entry in self.by_path.items() if entry.row.over]
        some, self._turn = self._turn[-NOTES_AT_ONCE:], self._turn[:-NOTES_AT_ONCE]
        for path in some:
            entry = self.by_path.get(path)
            if entry is not None:
                self.look_for_notes(entry)

    def look_for_notes(self, entry: Entry) -> bool:
        """Bring tags and name of an ended run up to date; whether they changed."""
        path = f"{entry.path}{os.sep}{ANNOTATIONS}"
        try:
            info = os.stat(path)
        except OSError:
            return False
        mark = (info.st_size, info.st_mtime_ns)
        if mark == entry.notes_mark:
            return False
        first, entry.notes_mark = entry.notes_mark is None, mark
        said = notes.read(path)
        changed = entry.say(said)
        if changed:
            self.touch(entry)
        return changed and not first

    def touch(self, entry: Entry) -> None:
        """Its line is another one now."""
        entry.version = self.version = next(self._numbers)

    def without_metrics(self) -> list[Entry]:
        """Those whose last values may change, or are not known: they go on, or the index says nothing of them."""
        if self._unknown[0] != self._members:
            self._unknown = (self._members, [entry for entry in self.by_path.values() if not entry.has_metrics])
        found = [entry for entry in self._unknown[1] if not entry.has_metrics]
        self._unknown = (self._members, found)
        return found

    def entry(self, run: RunDir) -> Entry:
        """The line of one run, brought up to date.  Raises ``NotFound`` for one that is not there, or damaged."""
        path = str(run.path)
        if path not in self.by_path:
            self._read(path)
        found = self.by_path.get(path)
        if found is None:
            raise NotFound(f"run {run.path.name!r} cannot be read", hint="jupyter mlrun fsck says more")
        if found.row.over:
            self.look_for_notes(found)
        return found

    def children(self, of: Entry) -> Iterator[Entry]:
        """The runs whose parent it is."""
        for entry in self.by_path.values():
            # a child is younger than its parent, and of the same experiment
            younger = entry.row.created >= of.row.created and entry.row.experiment == of.row.experiment
            if younger and entry is not of and entry.parent == of.row.run_id:
                yield entry

    def why(self, run_id: str) -> str | None:
        """What a run waits for, as the agent says now."""
        with self.lock:
            self._look_at_queue()
            return self.waiting.get(run_id)

    def place_of(self, run_id: str) -> dict[str, Any] | None:
        """Where a waiting run stands in the queue, as data."""
        with self.lock:
            self._look_at_queue()
            found = (self.queue.get("details") or {}).get(run_id)
            return found if isinstance(found, dict) else None

    def again(self, run_id: str) -> None:
        """Something was done to this run: look at it at the next refresh, whatever its time stamps say."""
        with self.lock:
            entry = self.by_id.get(run_id)
            if entry is not None:
                entry.mark, entry.notes_mark = (), None
                self.look_for_notes(entry)
            self._refreshed = 0.0

    def close(self) -> None:
        """Let go of open files."""
        with self.lock:
            for entry in self.by_path.values():
                entry.close()


ANNOTATIONS = RunDir("").annotations.name
