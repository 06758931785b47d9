"""What the handlers of one server share: which home, the threads that read it, and the lists of its workspaces.

Reads the settings; the rest is read by what it holds.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import NotFound
from jupyter_mlrun.records import RUN_ID
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.server.hub import Hub
from jupyter_mlrun.server.listing import Shelf
from jupyter_mlrun.server.logs import Readers
from jupyter_mlrun.server.pool import Pool
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir, open_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_mlrun.ui.reader import RunReader

READ_SECONDS = 2.0  # that an asker waits for what is read
COMMAND_SECONDS = 20.0
_HINT = "it may have been removed; the list of runs says what there is"


class Service:
    """One per server.

    Args:
        home: where the runs are.
        workspace: the one that is meant where none is named.
    """

    def __init__(self, home: Path, workspace: str) -> None:
        self.home, self.default = home, workspace
        self.pool = Pool("reader", limit=READ_SECONDS)
        self.commands = Pool("command", threads=4, limit=COMMAND_SECONDS, queued=32)
        self._shelves: dict[str, Shelf] = {}
        self._lock = threading.Lock()
        self.readers = Readers()
        self.pages: set[Any] = set()  # open ends of the live channel
        self.hub = Hub(self)

    def workspace(self, name: str | None) -> WorkspaceDir:
        """The workspace of that name; raises ``BadInput`` for what is no name of one."""
        return WorkspaceDir(self.home, name or self.default)

    def shelf(self, place: WorkspaceDir) -> Shelf:
        """The list of a workspace's runs.  Raises ``NotFound`` for a workspace that is not there.  Reads files."""
        with self._lock:
            found = self._shelves.get(place.name)
        if found is not None:
            return found
        open_home(self.home, create=False)
        if place.name != self.default and not os.path.isdir(place.path):
            raise NotFound(f"no workspace {place.name!r}", hint="api/about names those that there are")
        with self._lock:
            return self._shelves.setdefault(place.name, Shelf(place))

    def run(self, place: WorkspaceDir, run_id: str) -> RunDir:
        """The directory of a run.  Raises ``NotFound`` where there is none.  Reads files."""
        if not RUN_ID.match(run_id):
            raise NotFound(f"{run_id[:80]!r} is no run", hint=_HINT)
        found = RunDir(runs.place(place, run_id))
        if not os.path.isfile(found.spec):
            raise NotFound(f"no run {run_id!r} in workspace {place.name!r}", hint=_HINT)
        return found

    @contextmanager
    def reading(self, place: WorkspaceDir, run_id: str) -> Iterator[RunReader]:
        """What reads a run, up to date, while nobody else uses it; kept for who asks next.  Raises ``NotFound``."""
        run, shelf = self.run(place, run_id), self.shelf(place)
        with self.hub.lock_of(run).lock:
            reader = self.readers.of(run, lambda: shelf.why(run_id), lambda: shelf.place_of(run_id))
            reader.refresh()
            yield reader

    def close(self) -> None:
        """Let threads end."""
        self.hub.close()
        self.pool.close()
        self.commands.close()
