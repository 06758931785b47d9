"""What a page follows: one run, a list of runs, this machine.  Each says what changed since it last said something.

Reads through feeds, lists and the machine; writes nothing.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.server.base import problem_of
from jupyter_mlrun.server.lists import freshen, window
from jupyter_mlrun.server.machine import look
from jupyter_mlrun.server.query import Question
from jupyter_mlrun.ui.contract import FRAMES_PER_SECOND
from jupyter_mlrun.ui.feed import Feed

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.server.api import RunsUpdate
    from jupyter_mlrun.server.api_runs import Problem
    from jupyter_mlrun.server.listing import Shelf
    from jupyter_mlrun.server.service import Service
    from jupyter_mlrun.store.home import WorkspaceDir

    Message = tuple[Any, bytes]

FRAME_SECONDS = 0.95 / FRAMES_PER_SECOND
LIST_SECONDS = 0.25
FRESH_SECONDS = 0.05  # several lists of one workspace look at it once
MACHINE_SECONDS = 2.0
RETRY_SECONDS = 1.0
SPARK_SECONDS = 0.015  # of a turn that may go into reading curves of ended runs


class Sub:
    """One subscription of one page.

    Args:
        number: the page's name for it.
        post: takes a message away; the second argument is True for one that the next is to wait for.
    """

    every = FRAME_SECONDS  # seconds between two messages, at least

    def __init__(self, number: int, post: Callable[[Sub, Message, bool], None]) -> None:
        self.number, self._post = number, post
        self.busy = False  # a message is on its way
        self.closed = False
        self._due = 0.0

    @property
    def quiet(self) -> bool:
        """Whether there is nothing to look at for it."""
        return self.closed

    def due(self, now: float) -> float:
        """Seconds until it may say something."""
        return max(0.0, self._due - now)

    def turn(self, now: float) -> bool:
        """Say what changed, if it may; whether something was said.  *now*: monotonic."""
        if self.busy or self.closed or now < self._due:
            return False
        made = self.make(now)
        if made is None:
            return False
        self._due = now + self.every
        self.say(made, waits=True)
        return True

    def make(self, now: float) -> Message | None:
        """What changed; None where nothing did."""
        raise NotImplementedError

    def say(self, made: Message, *, waits: bool = False) -> None:
        """Send a message; *waits*: the next one waits until it is written out."""
        header, buffer = made
        if waits:
            self.busy = True
        self._post(self, ({"sub": self.number, **header}, buffer), waits)

    def excuse(self, error: BaseException, now: float) -> None:
        """Say that it cannot be served now; it is tried again."""
        self._due = now + RETRY_SECONDS
        self.say_problem(problem_of(error)[1], final=False)

    def say_problem(self, problem: Problem, *, final: bool) -> None:
        """Tell the page what is wrong with it."""
        self.say(({"type": "problem", "error": problem, "final": final}, b""))

    def close(self) -> None:
        """Nothing more is said."""
        self.closed = True


class RunLock:
    """Held by whoever uses what all that follow one run share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class RunSub(Sub):
    """Follows one run; *shared* is the lock of all that follow it."""

    def __init__(
        self,
        number: int,
        post: Callable[[Sub, Message, bool], None],
        run: RunDir,
        shared: RunLock,
        waiting: Callable[[], str | None],
        queue_place: Callable[[], dict[str, Any] | None],
    ) -> None:
        super().__init__(number, post)
        self.run, self.shared = run, shared
        self.feed = Feed(run, waiting=waiting, queue=queue_place)
        self.inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.resting = True  # until the first hello
        self._asking = threading.Lock()

    @property
    def quiet(self) -> bool:
        return self.closed or (self.inbox.empty() and (self.resting or self.feed.hidden))

    def make(self, now: float) -> Message | None:  # noqa: ARG002 -- feeds look at the clock themselves
        hello = None
        while not self.inbox.empty():
            message = self.inbox.get()
            if message.get("type") == "hide":
                self.feed.handle(message)
                hello = None
            else:
                hello = message  # however often it was said, it is answered once
        if hello is not None:
            self.resting = False
            made = self.feed.handle(hello)
            return made[0] if made else None
        frame = None if self.resting else self.feed.frame(refresh=False)
        if frame is None and not self.resting and self.feed.settled:
            self.feed.rest()
            self.resting = True
        return frame

    def wake(self) -> None:
        """Something was done to the run: show it, even where it has ended."""
        if self.resting and self.feed.seq:
            self.resting = False

    def ask(self, message: dict[str, Any]) -> None:
        """Answer a question of the view; not from the watcher's thread: it may take its time."""
        with self._asking:
            if message.get("type") == "range":
                made = self.feed.handle(message)
            else:
                with self.shared.lock:
                    made = self.feed.handle(message)
        for one in made:
            self.say(one)


class ListSub(Sub):
    """Follows a window of a list."""

    every = LIST_SECONDS

    def __init__(
        self, number: int, post: Callable[[Sub, Message, bool], None], service: Service, place: WorkspaceDir, asked: Any
    ) -> None:
        super().__init__(number, post)
        self.service, self.place = service, place
        self.asked = Question(asked)
        self.seq = 0
        self._seen = -1
        self._told: tuple[Any, ...] = ()
        self._window: Any = None
        self._sent: dict[str, int] = {}  # run id → the version of its line that was sent
        self._order: list[str] = []

    def make(self, now: float) -> RunsMessage | None:
        shelf = self.service.shelf(self.place)
        with shelf.lock:
            shelf.refresh(now, fresh=FRESH_SECONDS)
            if self._window is None or shelf.version != self._seen:
                self._window = window(shelf, self.asked, now, fresh=FRESH_SECONDS)
                self._seen = shelf.version
            freshen(shelf, self._window, now, SPARK_SECONDS)
            made = self._update(shelf)
        if made is None:
            self._due = now + self.every  # a look costs something, too
        return made

    def _update(self, shelf: Shelf) -> RunsMessage | None:
        entries, full = self._window.entries, self.seq == 0
        order = [entry.row.run_id for entry in entries]
        changed = [entry for entry in entries if self._sent.get(entry.row.run_id) != entry.version]
        gone = [run_id for run_id in self._sent if run_id not in set(order)]
        told = (self._window.total, self._window.counts, self._window.experiments)
        if not (full or changed or gone or order != self._order or told != self._told):
            return None
        self.seq += 1
        header: RunsUpdate = {
            "type": "runs",
            "sub": self.number,
            "seq": self.seq,
            "full": full,
            "order": order if full or order != self._order else None,
            "rows": [entry.line(shelf.waiting.get(entry.row.run_id)) for entry in changed],
            "gone": gone,
            "total": self._window.total,
            "counts": self._window.counts,
            "experiments": self._window.experiments,
        }
        self._order, self._told = order, told
        self._sent = {entry.row.run_id: entry.version for entry in entries}
        return header, b""


class MachineSub(Sub):
    """Follows this machine."""

    every = MACHINE_SECONDS

    def __init__(
        self, number: int, post: Callable[[Sub, Message, bool], None], service: Service, place: WorkspaceDir
    ) -> None:
        super().__init__(number, post)
        self.service, self.place = service, place
        self.seq = 0
        self._told: Any = None

    def make(self, now: float) -> Message | None:
        self._due = now + self.every
        found = look(self.service, self.place)
        if found == self._told:
            return None
        self._told = found
        self.seq += 1
        return {"type": "machine", "seq": self.seq, **found}, b""


if TYPE_CHECKING:
    RunsMessage = tuple[RunsUpdate, bytes]


def ping() -> Message:
    """Nothing new, and the server is there."""
    return {"type": "ping", "sub": 0, "now": time.time()}, b""
