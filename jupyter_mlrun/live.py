"""The output of a submitted cell: a live view, and beside it the part that is saved with the notebook.

Reads run directories.  The saved part is text, static HTML and data, so what was last shown stays in the notebook.
JupyterLab with our extension draws the data, live from its server, and leaves out the view beside it.
"""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_mlrun import portal
from jupyter_mlrun.agent import client
from jupyter_mlrun.errors import JupyterMLRunError
from jupyter_mlrun.store import runs
from jupyter_mlrun.ui import saved, view, widget
from jupyter_mlrun.ui.feed import Feed
from jupyter_mlrun.ui.pump import Saved, View

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.store.livemetrics import LiveReader

BESIDE_A_VIEW, ALONE = 30.0, 1.0  # seconds between two drawings of the saved part
_said: set[str] = set()


class Shown(Protocol):
    """What is needed of a run here."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def directory(self) -> RunDir:
        """Its directory."""

    @property
    def home(self) -> Path:
        """The home that it lives in."""

    def cancel(self) -> None:
        """Stop it."""


def show(run: Shown, *, refresh: bool = True, draw: Any = None) -> None:
    """Display a run; with *refresh*, keep the display up to date while it goes on.

    *draw*: makes the saved part's MIME bundle of the run, what it waits for and its metrics (default: ``view.bundle``).
    """
    name = uuid.uuid4().hex
    output = _Output(run, name, draw or _draw)
    try:
        state, first = runs.observe(run.directory), output.bundle(None)
    except (OSError, ValueError, JupyterMLRunError) as problem:
        # the run exists and goes on; only its picture failed
        print(f"run {run.id} cannot be drawn: {problem}")
        return
    if not refresh or not in_kernel():
        first.pop(saved.MIME, None)  # a page would go on drawing it
        _display(first)
        return
    feed = Feed(run.directory, waiting=lambda: why(run), queue=lambda: place(run), stop=run.cancel)
    kept = Saved(lambda: output.update(feed), BESIDE_A_VIEW, state)
    kept.shown = False
    try:
        made = widget.open_view(feed, name, kept, unseen=portal.started_us(run.home))
    except widget.Unavailable as problem:
        _say_once(str(problem))
        _display(first, output.display_id)
        widget.pump.add(View(feed, None, Saved(lambda: output.update(feed), ALONE, state)))
        return
    try:
        beside = widget.bundle(made, f"live view of run {run.id}; what follows is how it was last saved")
        _display({saved.MIME: saved.stand_in(run.directory), **beside})
        _display(first, output.display_id)
    finally:
        kept.shown = True  # a run that ended meanwhile is drawn now


class _Output:
    """The saved part of one output."""

    def __init__(self, run: Shown, name: str, draw: Any) -> None:
        self.run, self.name, self.draw = run, name, draw
        self.display_id = f"jupyter_mlrun-{name}"

    def bundle(self, metrics: LiveReader | None) -> dict[str, Any]:
        return saved.named(self.draw(self.run, why(self.run), metrics), self.name)

    def update(self, feed: Feed) -> None:
        _display(self.bundle(feed.reader.metrics), self.display_id, update=True)


def _draw(run: Shown, waits: str | None, metrics: LiveReader | None) -> dict[str, Any]:
    return view.bundle(run.directory, waiting=waits, metrics=metrics)


def _say_once(text: str) -> None:
    if text and text not in _said:
        _said.add(text)
        print(text)


def in_kernel() -> bool:
    """Whether this process is a kernel, whose outputs can be updated."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


def _display(bundle: dict[str, Any], display_id: str | None = None, *, update: bool = False) -> None:
    from IPython import display

    show_it: Any = display.display  # IPython's function has no types
    more: dict[str, Any] = {} if display_id is None else {"display_id": display_id, "update": update}
    show_it(bundle, raw=True, **more)


def why(run: Shown) -> str | None:
    """Why the run waits, as the agent says now."""
    found = client.queue_of(run.home)["waiting"].get(run.id)
    return str(found) if found else None


def place(run: Shown) -> dict[str, Any] | None:
    """Where the run stands in the queue, as data."""
    found = client.queue_of(run.home)["details"].get(run.id)
    return found if isinstance(found, dict) else None
