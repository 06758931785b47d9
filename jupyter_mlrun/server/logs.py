"""Logs by line number, and searched, without the live channel.

Reads the run's logs; writes nothing.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import NotFound
from jupyter_mlrun.server.base import Handler
from jupyter_mlrun.server.bodies import whole
from jupyter_mlrun.ui.contract import FRAME_BYTES, MOST_LINES
from jupyter_mlrun.ui.reader import reader_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.server.api import LineFound, LineWindow
    from jupyter_mlrun.server.service import Service
    from jupyter_mlrun.store.home import WorkspaceDir
    from jupyter_mlrun.store.lines import LogLines
    from jupyter_mlrun.ui.reader import Place, RunReader

MOST_READERS = 8  # of runs that were asked for lately
LOG_SECONDS = 1.0  # that the index of a long log may take in one answer


class Readers:
    """The runs that were asked for lately: the index of a long log, say, is not made again for each answer."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, RunReader] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, run: RunDir, waiting: Callable[[], str | None], queue: Place) -> RunReader:
        """The reader of a run, shared with the live channel."""
        key = str(run.path)
        with self._lock:
            reader = self._kept.pop(key, None) or reader_of(run, waiting, queue)
            self._kept[key] = reader
            while len(self._kept) > MOST_READERS:
                self._kept.popitem(last=False)
            return reader


def _log(reader: RunReader, rank: int) -> LogLines:
    """The log of one rank, as far as it was read in a second."""
    log = reader.log(rank)
    if log is None:
        raise NotFound(f"run {reader.run.path.name} has no log {rank}")
    until = time.monotonic() + LOG_SECONDS
    while log.behind and time.monotonic() < until:
        log.refresh()
    return log


class LinesHandler(Handler):
    """``api/runs/RUN/lines``."""

    async def get(self, run_id: str) -> None:
        rank = whole(self.query("log"), "log", 0, 0, 1 << 20)
        first = whole(self.query("from"), "from", 0, 0, 1 << 53)
        end = whole(self.query("to"), "to", first + MOST_LINES, 0, first + MOST_LINES)
        self.answer(await self.work(_lines, self.service, self.workspace(), run_id, rank, first, end))


def _lines(service: Service, place: WorkspaceDir, run_id: str, rank: int, first: int, end: int) -> LineWindow:
    with service.reading(place, run_id) as reader:
        log = _log(reader, rank)
        lines = log.lines(first, end, FRAME_BYTES)
        return {"from": first, "lines": lines, "total": log.total, "partial": log.partial}


class SearchHandler(Handler):
    """``api/runs/RUN/search``."""

    async def get(self, run_id: str) -> None:
        rank = whole(self.query("log"), "log", 0, 0, 1 << 20)
        first = whole(self.query("from"), "from", 0, 0, 1 << 53)
        backward = (self.query("backward") or "").lower() in ("1", "true")
        text = self.need("text")[:4096]
        self.answer(await self.work(_search, self.service, self.workspace(), run_id, rank, text, first, backward))


def _search(
    service: Service, place: WorkspaceDir, run_id: str, rank: int, text: str, first: int, backward: bool
) -> LineFound:
    with service.reading(place, run_id) as reader:
        log = _log(reader, rank)
        line, go_on = log.search(text, first, backward=backward)
        return {"line": line, "total": log.total, "next": go_on}
