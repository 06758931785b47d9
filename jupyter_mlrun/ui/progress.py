"""A progress bar with rate and time left: one line on a terminal, an output that updates itself in a notebook.

Writes to standard error, or displays.
"""

from __future__ import annotations

import html
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.ui.words import duration, size

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

EVERY = 0.1  # seconds between two drawings
WIDTH = 24
LONGEST_TITLE = 60
# no colour of its own: it is black on white or white on black as the page is
_STYLE = "display:flex;flex-wrap:wrap;gap:0 .8em;align-items:center;font-variant-numeric:tabular-nums"


class Bar:
    """Progress of *total* bytes under a *title*; used as a context manager, so that the last state is drawn."""

    def __init__(self, title: str, total: int) -> None:
        shown = "".join(letter if letter.isprintable() else "�" for letter in title)
        self.title = shown if len(shown) <= LONGEST_TITLE else f"{shown[: LONGEST_TITLE - 1]}…"
        self.total, self.done = max(total, 0), 0
        self.detail = ""
        self._began = time.monotonic()
        self._before: int | None = None  # what was done when it began: nothing is known about its rate
        self._drawn = 0.0
        self._in_notebook = _in_notebook()
        self._handle: Any = None

    def to(self, done: int, detail: str = "") -> None:
        """*done* bytes of the total are done."""
        if self._before is None:
            self._before = done
        self.done, self.detail = done, detail
        if time.monotonic() - self._drawn >= EVERY:
            self._draw()

    @property
    def part(self) -> float:
        """How much is done, from 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 1.0

    def words(self) -> str:
        """How far it is: ``42% · 420 MB of 1 GB · 70 MB/s · 8.3 s left``."""
        moved = self.done - (self._before or 0)
        spent = max(time.monotonic() - self._began, 1e-6)
        words = [f"{int(100 * self.part)}%", f"{size(self.done)} of {size(self.total)}"]
        # of a change to much that was there, most of the time went into finding it
        if moved > 0 and (self.part < 1 or moved * 2 >= self.total):
            words.append(f"{size(moved / spent)}/s")
        if moved > 0 and self.part < 1:
            words.append(f"{duration((self.total - self.done) * spent / moved)} left")
        if self.detail:
            words.append(self.detail)
        return " · ".join(words)

    def text(self, width: int | None = None) -> str:
        """The line as it is now; in *width* letters the bar goes first, then the title."""
        blocks, words = int(self.part * WIDTH), self.words()
        line = f"{self.title} {'█' * blocks}{'░' * (WIDTH - blocks)} {words}"
        if width is None or len(line) <= width:
            return line
        room = width - len(words) - 1
        return f"{self.title[:room]} {words}" if room > 0 else words[:width]

    def html(self) -> str:
        """The same for a notebook."""
        title = html.escape(self.title)
        return (
            f'<div style="{_STYLE}"><span>{title}</span>'
            f'<progress style="accent-color:currentColor" aria-label="{title}" value="{min(self.done, self.total)}" '
            f'max="{max(self.total, 1)}"></progress><span>{html.escape(self.words())}</span></div>'
        )

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if self._in_notebook:
            self._display()
        elif sys.stderr.isatty():
            # a line that is longer than the terminal would stay behind
            sys.stderr.write("\r\x1b[2K" + self.text(shutil.get_terminal_size().columns - 1))
            sys.stderr.flush()

    def _display(self) -> None:
        from IPython.display import display

        data = {"text/plain": self.text(), "text/html": self.html()}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self.done = self.total
        self.detail = "" if kind is None else "stopped"
        if not self._drawn:
            return
        self._draw()
        if not self._in_notebook and sys.stderr.isatty():
            sys.stderr.write("\n")
            sys.stderr.flush()


def _in_notebook() -> bool:
    """Whether this process is a kernel, whose outputs can be updated."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None
