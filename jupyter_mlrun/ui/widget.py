"""The live view in a notebook: an anywidget whose messages a feed answers.

Reads ``jupyter_mlrun/ui/static``, which the front-end's build makes.
"""

from __future__ import annotations

import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.ui.pump import Pump, View

if TYPE_CHECKING:
    from jupyter_mlrun.ui.feed import Feed
    from jupyter_mlrun.ui.pump import Saved

STATIC = Path(__file__).parent / "static"
SCRIPT, STYLE = STATIC / "widget.js", STATIC / "widget.css"
MIME = "application/vnd.jupyter.widget-view+json"


class Kernel:
    """When this kernel was last busy: messages of views queue up behind the cells that it executes."""

    def __init__(self) -> None:
        self._free_since: float | None = None
        self._shell: Any = None

    def watch(self) -> None:
        """Follow the kernel's cells from now on, during which one of them calls this."""
        module = sys.modules.get("IPython")
        shell = module.get_ipython() if module is not None else None
        if shell is not None and shell is not self._shell:
            self._shell = shell
            shell.events.register("pre_run_cell", self._busy)
            shell.events.register("post_run_cell", self._free)

    def _busy(self, *_: object) -> None:
        self._free_since = None

    def _free(self, *_: object) -> None:
        self._free_since = time.monotonic()

    def free(self) -> float:
        """For how many seconds it has had nothing to do; 0 where that is not known."""
        since = self._free_since
        return 0.0 if since is None else time.monotonic() - since


kernel = Kernel()
pump = Pump(kernel.free)


class Unavailable(Exception):
    """Why there is no live view here; empty where that is as it should be."""


@cache
def _widget_class(script: Path, style: Path) -> Any:
    import anywidget
    import traitlets

    class RunView(anywidget.AnyWidget):
        """One live view."""

        _esm = script.read_text(encoding="utf-8")
        _css = style.read_text(encoding="utf-8") if style.is_file() else ""
        view = traitlets.Unicode().tag(sync=True)

        def __repr__(self) -> str:
            return "RunView()"

    return RunView


def check() -> None:
    """Raise ``Unavailable`` where no live view can be made."""
    try:
        import anywidget  # noqa: F401 -- only whether it can be
    except ImportError:
        raise Unavailable from None
    if not SCRIPT.is_file():
        raise Unavailable(
            f"there is no live view: {SCRIPT} is missing. In a checkout, make it: make front-end. "
            "What follows is refreshed all the same."
        )


def open_view(feed: Feed, name: str, saved: Saved | None = None, *, unseen: bool = False) -> Any:
    """A widget that shows what *feed* tells, driven until its comm closes.  *name*: of the view, for its saved part.
    *unseen*: a page is not expected to show it, so until one speaks it gets next to nothing.

    Raises ``Unavailable`` where there can be none.
    """
    check()
    kernel.watch()
    widget = _widget_class(SCRIPT, STYLE)(view=name)
    view = View(feed, lambda header, buffer: _send(widget, view, header, buffer), saved)
    view.unseen = unseen
    widget.on_msg(lambda _, message, __: pump.post(view, message))
    widget.comm.on_close(lambda _: pump.remove(view))
    pump.add(view)
    return widget


def _send(widget: Any, view: View, header: Any, buffer: bytes) -> None:
    comm = widget.comm
    if comm is None:  # closed from here
        pump.remove(view)
    else:
        widget.send(header, buffers=[buffer])
        # ipykernel 7.4 sends what a page says to wherever this thread seemed to speak from: a subshell of a page that
        # was reloaded is gone, and with it every word of the next.  Without the note each message names its own.
        vars(comm).pop("_reply_subshell_id", None)


def bundle(widget: Any, text: str) -> dict[str, Any]:
    """What a notebook displays of *widget*; *text* where it cannot."""
    return {"text/plain": text, MIME: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}}
