"""Keeps the output of a submitted cell up to date: one thread of the kernel, quiet when nothing moved.

Reads run directories.  The output itself is text and static HTML, so what was last shown stays in the notebook.
"""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from IPython import display as _ipython

from jupyter_mlrun.agent import client
from jupyter_mlrun.errors import JupyterMLRunError
from jupyter_mlrun.ui import view

if TYPE_CHECKING:
    from jupyter_mlrun.sdk.run import Run

FASTEST, SLOWEST = 0.5, 5.0


class Refresher:
    """The runs that are shown and not over, and the thread that looks at them."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[Run, Any]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._moved = threading.Event()

    def add(self, run: Run, display_id: str) -> None:
        """Keep the display *display_id* up to date until the run is over."""
        with self._lock:
            self._shown[display_id] = (run, None)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="jupyter_mlrun view", daemon=True)
                self._thread.start()
        self._moved.set()

    def _work(self) -> None:
        pause = FASTEST
        while True:
            self._moved.wait(pause)
            self._moved.clear()
            with self._lock:
                shown = list(self._shown.items())
                if not shown:
                    self._thread = None
                    return
            changed = [self._try(display_id, *entry) for display_id, entry in shown]
            pause = FASTEST if any(changed) else min(SLOWEST, pause * 1.3)

    def _try(self, display_id: str, run: Run, before: Any) -> bool:
        try:
            return self._refresh(display_id, run, before)
        except (OSError, ValueError, JupyterMLRunError):
            # half written, being removed or damaged: no reason to end the view of the others; it is looked at again
            return False

    def _refresh(self, display_id: str, run: Run, before: Any) -> bool:
        """Draw one run anew if its files changed; whether they did."""
        if not run.path.is_dir():
            self._drop(display_id)
            return True
        why = _why(run)
        now = (fingerprint(run), why)
        if now == before:
            return False
        over = run.state.is_over
        _display(view.bundle(run.directory, waiting=why), display_id, update=True)
        if over:
            self._drop(display_id)
        else:
            with self._lock:
                self._shown[display_id] = (run, now)
        return True

    def _drop(self, display_id: str) -> None:
        with self._lock:
            self._shown.pop(display_id, None)


def fingerprint(run: Run) -> tuple[Any, ...]:
    """Changes whenever there is something new to see; whole seconds, for the elapsed time."""
    parts: list[Any] = [int(time.time()) if run.state.started else 0]
    directory = run.directory
    for path in (directory.events, directory.exit, directory.log(0, run.spec.resources.procs)):
        try:
            info = path.stat()
            parts.append((info.st_size, info.st_mtime_ns))
        except FileNotFoundError:
            parts.append(None)
    return tuple(parts)


def _display(bundle: dict[str, Any], display_id: str, *, update: bool = False) -> None:
    show_it: Any = _ipython.display  # IPython's function has no types
    show_it(bundle, raw=True, display_id=display_id, update=update)


def _why(run: Run) -> str | None:
    """Why the run waits, as the agent says now."""
    found = client.queue_of(run.home)["waiting"].get(run.id)
    return str(found) if found else None


_refresher = Refresher()


def show(run: Run, *, refresh: bool = True) -> None:
    """Display a run; with *refresh*, keep the display up to date while it goes on."""
    display_id = f"jupyter_mlrun-{uuid.uuid4().hex}"
    try:
        bundle = view.bundle(run.directory, waiting=_why(run))
    except (OSError, ValueError, JupyterMLRunError) as problem:
        # the run exists and goes on; only its picture failed
        print(f"run {run.id} cannot be drawn: {problem}")
        return
    _display(bundle, display_id)
    if refresh:
        _refresher.add(run, display_id)
