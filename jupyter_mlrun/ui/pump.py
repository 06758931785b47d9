"""Drives the views of this process: one thread that reads what came and sends it on, and ends when nothing is to come.

Reads run directories through feeds; writes nothing.  Knows no transport: a view says where its messages go.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.ui.contract import FRAMES_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jupyter_mlrun.records import RunState
    from jupyter_mlrun.ui.feed import Feed
    from jupyter_mlrun.ui.reader import RunReader

INTERVAL = 1 / FRAMES_PER_SECOND
LOOK_PAUSE = INTERVAL / 2  # between two looks while something moves: what comes after a frame need not wait for two
ALL_PER_SECOND = 100  # frames of all views together: what a server and a page take with ease
IDLE_PAUSE = 0.2  # between two looks at runs that have been quiet
HIDDEN_PAUSE = 1.0  # where nobody looks
BACKSTAGE_SECONDS = 0.5  # between two looks at a run that nobody looks at, beside others that are seen
QUIET_SECONDS = 3.0
FIRST_AGAIN, MOST_AGAIN = 0.5, 8.0  # seconds between full frames for a view that has not spoken yet
UNSEEN_SECONDS = 3.0  # a page that has not spoken while the kernel was free so long does not show the view
SILENT_SECONDS = 20.0  # a view that never spoke is waited for so long after the end of its run
FIRST_RETRY, MOST_RETRY = 1.0, 30.0
SETTLE_PAUSE = 0.02
logger = logging.getLogger(__name__)


class Saved:
    """The part of an output that is saved with a notebook, drawn anew when it should be.

    Args:
        draw: shows the run as it is now.
        every: seconds between two drawings while the status stays the same.
        drawn: the state that whoever makes this has just drawn.
    """

    def __init__(self, draw: Callable[[], None], every: float, drawn: RunState | None = None) -> None:
        self._draw, self._every = draw, every
        self.hurry = False  # somebody waits for it: no pause between two drawings
        self.shown = True  # it is in the page: before that, what is drawn would go nowhere
        self._drawn_at = time.monotonic()
        self._version = -1
        self._status = None if drawn is None else _status(drawn, None)

    def turn(self, reader: RunReader, now: float) -> None:
        """Draw where it is due."""
        if not self.shown:
            return
        if self._version < 0 and reader.over:
            self._version = reader.version  # as it was just drawn; the status says if it ended meanwhile
        status = _status(reader.state, reader.problem)
        wait = 0.0 if self.hurry else min(self._every, 1.0) if reader.over else self._every
        if status != self._status or (reader.version != self._version and now - self._drawn_at >= wait):
            self._version, self._status, self._drawn_at = reader.version, status, now
            if reader.problem is None:
                self._draw()  # else what was last shown stays

    def fresh(self, reader: RunReader) -> bool:
        """Whether it shows all there is."""
        return self.shown and self._version == reader.version


def _status(state: RunState | None, problem: str | None) -> Any:
    return problem if state is None else (state.shown, state.reason, problem)


class View:
    """One view of one run.

    Args:
        feed: what it is told.
        send: takes a message and its buffer away; None where nobody listens.
        saved: what is drawn beside it.
    """

    def __init__(
        self, feed: Feed, send: Callable[[Any, bytes], None] | None = None, saved: Saved | None = None
    ) -> None:
        self.feed, self.send, self.saved = feed, send, saved
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.heard = False  # it has spoken
        self.unseen = False  # it could have, and has not: a page that shows the run in another way
        self.resting = False
        self.read_at = -1e9  # when its run was last looked at
        self._hello: Any = None
        self._sent_at = -1e9
        self._again_at, self._again_in = 0.0, FIRST_AGAIN
        self._retry_at, self._retry_in = 0.0, FIRST_RETRY
        self._since = time.monotonic()

    def turn(self, now: float, interval: float = INTERVAL, free: float = 0.0) -> bool:
        """Answer what was asked, send what came, draw what is due; whether anything was sent.

        *interval*: seconds between two frames at least; *free*: for how many seconds the kernel could hear a view.
        """
        if now < self._retry_at:
            return False
        moved = self._answer()
        self.unseen = not self.heard and (self.unseen or free >= UNSEEN_SECONDS)
        if self.send is not None and now - self._sent_at >= interval * 0.95:
            moved = self._frame(now) or moved
        if self.saved is not None and not self.resting:
            self.saved.turn(self.feed.reader, now)
        self._retry_in = FIRST_RETRY
        return moved

    @property
    def backstage(self) -> bool:
        """Whether nobody sees it, or waits for it."""
        waited_for = self._hello is not None or not self.inbox.empty() or (self.saved is not None and self.saved.hurry)
        return (self.feed.hidden or self.unseen) and not waited_for

    def _answer(self) -> bool:
        asked = False
        while not self.inbox.empty():
            message = self.inbox.get()
            asked = self.heard = True
            if isinstance(message, dict) and message.get("type") == "hello":
                self._hello = message  # answered by the next frame, however often it is said
            elif isinstance(message, dict) and message.get("type") == "hide":
                self._hello = None
                self.feed.handle(message)
            else:
                self._post(self.feed.handle(message))
        return asked

    def _frame(self, now: float) -> bool:
        if self._hello is not None:
            hello, self._hello = self._hello, None
            made = self.feed.handle(hello)
        else:
            if not self.heard and now >= self._again_at:
                # while the kernel is busy nothing that the view says arrives; it may have come up since
                self._again_at, self._again_in = now + self._again_in, min(2 * self._again_in, MOST_AGAIN)
                self.feed.again()
            elif self.unseen:
                return False
            frame = self.feed.frame(refresh=False)
            made = [] if frame is None else [frame]
        if made:
            self._sent_at = now
            self._post(made)
        return bool(made)

    def _post(self, made: list[tuple[Any, bytes]]) -> None:
        if self.send is not None:
            for header, buffer in made:
                self.send(header, buffer)

    def excuse(self, problem: BaseException, now: float) -> None:
        """Show that something went wrong, and try again later; raises where not even that can be sent."""
        self._retry_at, self._retry_in = now + self._retry_in, min(2 * self._retry_in, MOST_RETRY)
        self._sent_at = now
        self._post([self.feed.excuse(f"this view met an error, and tries again: {type(problem).__name__}: {problem}")])

    def active(self, now: float) -> bool:
        """Whether something may be to come."""
        if self._hello is not None or not self.inbox.empty():
            return True
        if self.resting:
            return False
        silent = self.send is not None and not self.heard and now - self._since < SILENT_SECONDS
        feed = self.feed
        settled = feed.settled if self.send is not None else feed.reader.over
        return silent or not settled or (self.saved is not None and not self.saved.fresh(feed.reader))


class Pump:
    """The views of this process and their thread.

    Args:
        free: for how many seconds now whatever a view says would have been heard; 0 while it would not.
    """

    def __init__(self, free: Callable[[], float] = lambda: 0.0) -> None:
        self._free = free
        self._views: list[View] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._moved_at = 0.0

    def add(self, view: View) -> None:
        """Drive *view* from now on."""
        with self._lock:
            self._views.append(view)
        self._start()

    def remove(self, view: View) -> None:
        """Its transport is closed."""
        with self._lock:
            if view in self._views:
                self._views.remove(view)
        self._wake.set()

    def post(self, view: View, message: Any) -> None:
        """A message of the view: it is answered from the thread; a command, which may take long, from its own."""
        if isinstance(message, dict) and message.get("type") == "command":
            threading.Thread(target=_command, args=(view, message), name="jupyter_mlrun command", daemon=True).start()
            return
        view.inbox.put(message)
        self._start()

    def settle(self, run: Path, seconds: float = 2.0) -> None:
        """Return when the saved parts of an ended run's views show its end, or after *seconds*.

        A notebook that runs without a browser takes what is shown while a cell runs, and nothing that comes between
        two cells.
        """
        with self._lock:
            views = [view for view in self._views if view.saved is not None and view.feed.run.path == run]
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            if all(view.feed.reader.over and view.saved and view.saved.fresh(view.feed.reader) for view in views):
                return
            for view in views:
                if view.saved is not None:
                    view.saved.hurry = True
            self._wake.set()
            time.sleep(SETTLE_PAUSE)

    @property
    def running(self) -> bool:
        """Whether its thread lives."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end; whether it came."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return not self.running

    def _start(self) -> None:
        with self._lock:
            if not self.running:
                self._thread = threading.Thread(target=self._work, name="jupyter_mlrun views", daemon=True)
                self._thread.start()
        self._wake.set()

    def _work(self) -> None:
        while True:
            self._wake.clear()
            pause = self.turn(time.monotonic())
            if pause is None and self._end():
                return
            self._wake.wait(pause)

    def _end(self) -> bool:
        """End the thread, unless something came just now."""
        with self._lock:
            if self._wake.is_set():
                return False
            self._thread = None
            return True

    def turn(self, now: float) -> float | None:
        """One look at every run that is shown; returns the seconds to the next, None where none is needed."""
        with self._lock:
            views = [view for view in self._views if not view.resting or not view.inbox.empty()]
        moved = self._refresh(views, now)
        watched = sum(view.send is not None and not view.feed.hidden and not view.unseen for view in views)
        free = self._free()
        for view in views:
            view.resting = False
            moved = self._try(view, now, max(INTERVAL, watched / ALL_PER_SECOND), free) or moved
        if moved:
            self._moved_at = now
        active = [view for view in views if self._rest_or_go_on(view, now)]
        if not active:
            return None
        if all(view.feed.hidden or view.send is None for view in active):
            return HIDDEN_PAUSE
        return LOOK_PAUSE if now - self._moved_at < QUIET_SECONDS else IDLE_PAUSE

    def _refresh(self, views: list[View], now: float) -> bool:
        """Read what came of each run, once for all its views."""
        moved = False
        readers: dict[int, list[View]] = {}
        for view in views:
            readers.setdefault(id(view.feed.reader), []).append(view)
        for of_one in readers.values():
            if all(view.backstage and now - view.read_at < BACKSTAGE_SECONDS for view in of_one):
                continue
            for view in of_one:
                view.read_at = now
            try:
                moved = of_one[0].feed.reader.refresh(now) or moved
            except Exception as problem:  # a fault of ours; the views say so, and the others go on
                logger.exception("a run's files could not be read")
                for view in of_one:
                    self._excuse(view, problem, now)
        return moved

    def _try(self, view: View, now: float, interval: float, free: float) -> bool:
        try:
            return view.turn(now, interval, free)
        except Exception as problem:  # as above
            logger.exception("a view could not be brought up to date")
            self._excuse(view, problem, now)
            return True

    def _excuse(self, view: View, problem: BaseException, now: float) -> None:
        try:
            view.excuse(problem, now)
        except Exception:  # nothing can be said to it any more
            logger.exception("a view cannot be reached; it is given up")
            self.remove(view)

    def _rest_or_go_on(self, view: View, now: float) -> bool:
        try:
            if view.active(now):
                return True
        except Exception as problem:  # as above
            logger.exception("a view could not be brought up to date")
            self._excuse(view, problem, now)
            return True
        view.resting = True
        view.feed.rest()
        return False


def _command(view: View, message: Any) -> None:
    for header, buffer in view.feed.handle(message):
        if view.send is not None:
            view.send(header, buffer)
