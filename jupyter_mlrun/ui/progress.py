"""A progress bar with rate and time left: one line on a terminal, an output that updates itself in a notebook.

Writes to standard error, or displays.
"""

from __future__ import annotations

import html
import sys
import time
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.worker.finish import size_text

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

EVERY = 0.1  # seconds between two drawings
WIDTH = 24


def duration(seconds: float) -> str:
    """Seconds for people: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


class Bar:
    """Progress of *total* bytes under a *title*; used as a context manager, so that the last state is drawn."""

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done = title, max(total, 0), 0
        self.detail = ""
        self._began = time.monotonic()
        self._drawn = 0.0
        self._in_notebook = _in_notebook()
        self._handle: Any = None

    def to(self, done: int, detail: str = "") -> None:
        """*done* bytes of the total are done."""
        self.done, self.detail = done, detail
        if time.monotonic() - self._drawn >= EVERY:
            self._draw()

    def text(self) -> str:
        """The line as it is now."""
        part = min(1.0, self.done / self.total) if self.total else 1.0
        spent = max(time.monotonic() - self._began, 1e-6)
        blocks = round(part * WIDTH)
        words = [f"{size_text(self.done)} of {size_text(self.total)}"]
        if self.done:
            words.append(f"{size_text(self.done / spent)}/s")
        if self.done and part < 1:
            words.append(f"{duration(spent / part * (1 - part))} left")
        if self.detail:
            words.append(self.detail)
        return f"{self.title} {'█' * blocks}{'░' * (WIDTH - blocks)} {part:4.0%} · {' · '.join(words)}"

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if self._in_notebook:
            self._display()
        elif sys.stderr.isatty():
            sys.stderr.write("\r\x1b[2K" + self.text())
            sys.stderr.flush()

    def _display(self) -> None:
        from IPython.display import display

        label = html.escape(self.text().partition(" · ")[2])
        shown = (
            f'<div><span>{html.escape(self.title)}</span> <progress aria-label="{html.escape(self.title)}" '
            f'value="{self.done}" max="{max(self.total, 1)}"></progress> <span>{label}</span></div>'
        )
        data = {"text/plain": self.text(), "text/html": shown}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self.done = self.total
            self.detail = ""
        if self._drawn or self._in_notebook:
            self._draw()
        if not self._in_notebook and sys.stderr.isatty() and self._drawn:
            sys.stderr.write("\n")


def _in_notebook() -> bool:
    """Whether this process is a kernel, whose outputs can be updated."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None
