"""The one thread that watches runs for all pages of a server; it sleeps where nobody follows anything.

Reads through what is followed; writes nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from jupyter_mlrun.server.subs import RunLock, RunSub, Sub

if TYPE_CHECKING:
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.server.service import Service

MOVING_SECONDS = 0.05  # between two looks while something moves
STILL_SECONDS = 0.1  # … and where nothing moved for a while
QUIET_SECONDS = 3.0
logger = logging.getLogger(__name__)
# of the process, as the readers of runs are: it may have more than one server
_locks: weakref.WeakValueDictionary[str, RunLock] = weakref.WeakValueDictionary()
_locks_guard = threading.Lock()


class Hub:
    """Everything that the pages of one server follow."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._subs: list[Sub] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._moved_at = 0.0
        self._turn_began: float | None = None
        self.turns = 0  # looks taken so far

    # ---- who follows what ----------------------------------------------------------------------------------

    def add(self, sub: Sub) -> None:
        """Follow it."""
        with self._lock:
            self._subs.append(sub)
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._watch, name="jupyter_mlrun watcher", daemon=True)
                self._thread.start()
        self.wake()

    def remove(self, sub: Sub) -> None:
        """Follow it no more."""
        sub.close()
        with self._lock:
            if sub in self._subs:
                self._subs.remove(sub)

    def lock_of(self, run: RunDir) -> RunLock:
        """What all that follow *run* take turns by; keep it as long as you follow."""
        key = os.path.abspath(run.path)
        with _locks_guard:
            found = _locks.get(key)
            if found is None:
                found = _locks[key] = RunLock()
            return found

    def nudge(self, run: RunDir) -> None:
        """Something was done to this run."""
        with self._lock:
            for sub in self._subs:
                if isinstance(sub, RunSub) and sub.run.path == run.path:
                    sub.wake()
        self.wake()

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    @property
    def followed(self) -> int:
        """How many subscriptions there are."""
        return len(self._subs)

    def hangs_for(self, now: float) -> float:
        """For how many seconds one look has been going on: a disk may not answer."""
        began = self._turn_began
        return 0.0 if began is None else now - began

    def close(self) -> None:
        """End the thread."""
        self._closing = True
        with self._lock:
            for sub in self._subs:
                sub.close()
            self._subs.clear()
        self.wake()

    # ---- the thread ----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._closing:
            self._wake.clear()
            self._turn_began = time.monotonic()
            pause = self.turn(self._turn_began)
            self._turn_began = None
            self._wake.wait(pause)

    def turn(self, now: float) -> float | None:
        """One look at all that is followed; seconds to the next, None where somebody must ask first."""
        self.turns += 1
        with self._lock:
            subs = [sub for sub in self._subs if not sub.quiet]
        if not subs:
            return None
        groups: dict[int, list[RunSub]] = {}
        others: list[Sub] = []
        for sub in subs:
            if isinstance(sub, RunSub):
                groups.setdefault(id(sub.shared), []).append(sub)
            else:
                others.append(sub)
        moved = False
        for group in groups.values():
            moved = self._run(group, now) or moved
        for sub in others:
            moved = self._try(sub, now) or moved
        if moved:
            self._moved_at = now
        return self._pause(subs, now, runs=bool(groups))

    def _run(self, group: list[RunSub], now: float) -> bool:
        """Read what came of one run, once for all that follow it."""
        if not group[0].shared.lock.acquire(blocking=False):
            return False  # somebody searches its log, say: the next look will do
        try:
            following = next((sub for sub in group if not sub.resting), None)
            moved = following is not None and following.feed.reader.refresh(now)
            for sub in group:
                moved = self._try(sub, now) or moved
        except Exception as error:  # a fault of ours; the pages say so, and the others go on
            logger.exception("a run's files could not be read")
            for sub in group:
                sub.excuse(error, now)
            return False
        finally:
            group[0].shared.lock.release()
        return moved

    @staticmethod
    def _try(sub: Sub, now: float) -> bool:
        try:
            return sub.turn(now)
        except Exception as error:  # as above
            logger.exception("a subscription could not be brought up to date")
            sub.excuse(error, now)
            return False

    def _pause(self, subs: list[Sub], now: float, *, runs: bool) -> float | None:
        waits = [sub.due(now) for sub in subs if not isinstance(sub, RunSub) and not sub.busy]
        if runs:
            waits.append(MOVING_SECONDS if now - self._moved_at < QUIET_SECONDS else STILL_SECONDS)
        return max(min(waits), MOVING_SECONDS / 2) if waits else None
