"""Threads for work that may hang: a disk that does not answer costs its askers a quick refusal, never the server.

Reads and writes nothing by itself.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_mlrun.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class Busy(StoreError):
    """The work was not done in time; it may still be going on."""


class Pool:
    """At most *threads* threads, made when they are needed; they hold nobody up who wants to end.

    Args:
        name: of the threads.
        threads: at once.
        limit: seconds that an asker waits.
        queued: askers that wait for a thread; the next is refused at once.
    """

    def __init__(self, name: str, threads: int = 8, limit: float = 2.0, queued: int = 64) -> None:
        self.name, self.threads, self.limit, self.queued = name, threads, limit, queued
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0  # jobs that no thread has taken
        self._idle = 0
        self._made = 0
        self._begun: dict[int, float] = {}  # what each busy thread began when

    async def run(self, work: Callable[..., Result], *given: Any, limit: float | None = None) -> Result:
        """What *work* returns or raises.  Raises ``Busy`` where that takes longer than *limit* seconds."""
        limit = self.limit if limit is None else limit
        future = self.submit(work, *given)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), limit)
        except (asyncio.TimeoutError, TimeoutError) as problem:
            future.cancel()
            raise Busy(
                f"this took longer than {limit:g} s, and was given up here",
                hint="the disk that the runs are on may be slow or gone; try again",
            ) from problem

    def submit(self, work: Callable[..., Result], *given: Any) -> Future[Result]:
        """Have it done; raises ``Busy`` where too much waits already, or every thread hangs."""
        future: Future[Result] = Future()
        with self._lock:
            now = time.monotonic()
            hanging = sum(now - begun > self.limit for begun in self._begun.values())
            if hanging >= self.threads or self._waiting >= self.queued:
                raise Busy("too much waits for the disk already", hint="it may be slow or gone; try again in a while")
            self._waiting += 1
            if self._waiting > self._idle and self._made < self.threads:
                self._made += 1
                threading.Thread(target=self._serve, name=f"jupyter_mlrun {self.name}", daemon=True).start()
        self._jobs.put((future, lambda: work(*given)))
        return future

    def _serve(self) -> None:
        me = threading.get_ident()
        while True:
            with self._lock:
                self._idle += 1
            job = self._jobs.get()
            with self._lock:
                self._idle -= 1
                if job is None:
                    self._made -= 1
                    return
                self._waiting -= 1
                self._begun[me] = time.monotonic()
            _do(*job)
            del job
            with self._lock:
                del self._begun[me]

    def close(self) -> None:
        """Let idle threads end; those that are busy end after their work."""
        with self._lock:
            made = self._made
        for _ in range(made):
            self._jobs.put(None)


def _do(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as problem:  # it belongs to whoever asked
        future.set_exception(problem)
    else:
        future.set_result(result)
