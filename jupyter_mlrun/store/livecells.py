"""How far a notebook run is, for views that stay open: each cell's state and time, brought up to date as it moves.

Reads ``notebook.jsonl`` while it grows, each byte once; writes nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from jupyter_mlrun.store.cells import NAME

if TYPE_CHECKING:
    from pathlib import Path

STEP = 4 << 20  # bytes read at once
BAD = ("error", "died")


@dataclass
class Cell:
    """One cell that began."""

    state: Literal["running", "done", "failed"]
    began: float  # unix seconds
    seconds: float | None = None
    version: int = 0  # of the reader, when it last changed


class CellReader:
    """The cells of a notebook run; ``refresh`` reads what came.  ``total`` is 0 for other runs."""

    def __init__(self, run_dir: Path, most: int) -> None:
        self.path = run_dir / NAME
        self.version = 0
        self.total = self.done = 0
        self.current: int | None = None
        self.failed: int | None = None
        self.error: str | None = None
        self.cells: dict[int, Cell] = {}
        self._most = most
        self._offset = 0
        self._exited = False

    def refresh(self) -> bool:
        """Whether anything came."""
        try:
            if os.stat(self.path).st_size <= self._offset:
                return False
            with open(self.path, "rb") as file:
                file.seek(self._offset)
                data = file.read(STEP)
        except FileNotFoundError:
            return False
        end = data.rfind(b"\n") + 1
        self._offset += end
        self.version += bool(end)
        for line in data[:end].splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue  # torn by a kill
            if isinstance(event, dict):
                self._take(event)
        return bool(end)

    def _take(self, event: dict[str, Any]) -> None:
        kind, number, at = event.get("type"), event.get("cell"), _time(event.get("time"))
        cell = number if isinstance(number, int) and number > 0 else None
        if kind == "begin":
            total = event.get("cells")
            self.total = total if isinstance(total, int) else 0
        elif kind == "cell":
            self.current = cell
            self.done = max(self.done, (cell or 1) - 1)
            if cell is not None and cell <= self._most:
                self.cells[cell] = Cell("running", at, None, self.version)
        elif kind == "cell_end":
            self._end_cell(cell, str(event.get("status")), event.get("error"), at)
        elif kind == "end":
            self.current = None
            if event.get("status") == "completed" and not self._exited:
                self.done = self.total

    def _end_cell(self, cell: int | None, status: str, error: Any, at: float) -> None:
        self.current = None
        self._exited = self._exited or status == "exit"
        if status in BAD:
            self.failed = cell
            self.error = str(error) if error else None
        else:
            self.done = max(self.done, cell or 0)
        known = self.cells.get(cell or 0)
        if known is not None:
            known.state = "failed" if status in BAD else "done"
            known.seconds, known.version = max(0.0, at - known.began), self.version

    def said(self) -> str:
        """``cell 5 of 12``; nothing for other runs."""
        if not self.total:
            return ""
        number = self.current or self.failed
        return f"cell {number} of {self.total}" if number else f"{self.done} of {self.total} cells done"


def _time(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and abs(value) < 1e12 else 0.0
