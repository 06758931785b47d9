"""What a notebook run says of its cells: how far it is, how each ended, and the words for its end.

Writes ``notebook.jsonl`` of the run directory (append-only, one writer) and lines of the run's log.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.rundir import FILE_MODE, dump_json, write_all

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "notebook.jsonl"
INJECTED = "injected-parameters"  # papermill's tag of the cell that it adds
WORDS = 2000


class Journal:
    """The record of one notebook's cells.

    ``failure`` says in words why it failed, and ``exit_code`` with which code a run of it ends.
    """

    def __init__(self, run_dir: str | None, log: int = 1, *, inside: bool = True) -> None:
        self.log, self.inside = log, inside  # inside: of a run that a worker watches
        self.failure: str | None = None
        self.exit_code = 0
        self.stopped = False
        self.left_early = False
        self._file = _claim(run_dir) if run_dir else None
        self._numbers: list[int | None] = []
        self.total = 0

    # ---- which cell ----------------------------------------------------------------------------------------

    def begin(self, cells: Sequence[Any], name: str) -> None:
        """The notebook is about to be executed; cells are counted as its author sees them."""
        for cell in cells:
            injected = INJECTED in cell.metadata.get("tags", [])
            self.total += not injected
            self._numbers.append(None if injected else self.total)
        self._write(type="begin", format=1, notebook=name, cells=self.total)

    def name_of(self, index: int) -> str:
        """``cell 4``, as people count; the cell that papermill adds has no number."""
        number = self._numbers[index] if index < len(self._numbers) else None
        return "the cell of the parameters" if number is None else f"cell {number}"

    # ---- how it goes ---------------------------------------------------------------------------------------

    def cell(self, index: int, count: int) -> None:
        """A code cell begins; *count* is its ``In [count]``."""
        number = self._numbers[index]
        where = f"cell {number} of {self.total}" if number else "parameters"
        self.say_line(f"In [{count}] ({where})")
        self._write(type="cell", cell=number, count=count)

    def cell_end(self, index: int, status: str, count: int | None, error: str | None = None) -> None:
        """A code cell is over: ``ok``, ``error``, ``died`` or ``exit``."""
        self._write(type="cell_end", cell=self._numbers[index], status=status, count=count, error=error)

    def fail(self, words: str, code: int = 1) -> None:
        """The notebook has failed; the first reason counts."""
        if self.failure is None:
            self.failure, self.exit_code = words[:WORDS], code

    def end(self) -> None:
        """The notebook is over."""
        status = "stopped" if self.stopped else "failed" if self.failure else "completed"
        self._write(type="end", status=status, text=self.failure)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def say_line(self, text: str) -> None:
        """Add a line of its own to the run's log."""
        self.say(f"{'' if self._at_line_start() else chr(10)}{text}\n")

    def _at_line_start(self) -> bool:
        """Whether the log ends with a whole line; a log that cannot be read back counts as one that does."""
        try:
            fd = os.open(f"/proc/self/fd/{self.log}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return True
        try:
            size = os.fstat(fd).st_size
            return size == 0 or os.pread(fd, 1, size - 1) == b"\n"
        except OSError:  # a pipe
            return True
        finally:
            os.close(fd)

    def say(self, text: str) -> None:
        """Add to the run's log."""
        write_all(self.log, text.encode("utf-8", "backslashreplace"))

    def _write(self, **event: Any) -> None:
        if self._file is None:
            return
        try:
            write_all(self._file, dump_json({**event, "time": time.time()}))
        except OSError as problem:
            # a full disk: the notebook goes on, and what it does is told by its end
            self.say_line(f"jupyter_mlrun: {NAME} ends here: {problem}")
            os.close(self._file)
            self._file = None


def _claim(run_dir: str) -> int | None:
    """The run's file, which the first notebook of a run gets; other ranks, and notebooks of notebooks, write none."""
    try:
        return os.open(
            os.path.join(run_dir, NAME), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, FILE_MODE
        )
    except FileExistsError:
        return None
