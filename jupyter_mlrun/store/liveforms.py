"""A metric that is made of rows, tables, images …: its newest rows, and each column of numbers as a sketch.

Pure: takes stored values, keeps what a view shows of them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_mlrun.store.series import FORM
from jupyter_mlrun.store.sketch import Sketch
from jupyter_mlrun.worker import segformat as form

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MOST_ROWS = 50  # the newest
MOST_COLUMNS = 30


class FormSketch:
    """What is kept of the forms of one metric."""

    def __init__(self) -> None:
        self.kind = ""  # of the newest: row, table, list, image, confusion_matrix …
        self.count = 0  # forms in all
        self.total = 0  # rows in all
        self.columns: list[str] = []
        self.more_columns = 0
        self.rows: deque[list[Any]] = deque(maxlen=MOST_ROWS)
        self.numbers: dict[str, Sketch] = {}  # of the columns that have any
        self.newest: Mapping[str, Any] = {}
        self._unknown: set[str] = set()

    def add(self, forms: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """More of them, each with its time in nanoseconds."""
        rows: list[dict[str, Any]] = []
        times: list[int] = []
        for at, one in forms:
            found = list(_rows(one))
            rows += found
            times += [at] * len(found)
        self.count += len(forms)
        self.newest = forms[-1][1]
        self.kind = str(self.newest[FORM])
        if rows:
            self._know(rows)
            self._draw(rows, times)
            self.total += len(rows)
            self.rows.extend([row.get(name) for name in self.columns] for row in rows[-MOST_ROWS:])

    def _know(self, rows: list[dict[str, Any]]) -> None:
        """New columns."""
        for name in dict.fromkeys(name for row in rows for name in row):
            if name in self.columns or name in self._unknown:
                continue
            if len(self.columns) >= MOST_COLUMNS:
                self.more_columns += 1
                if len(self._unknown) < 1000:
                    self._unknown.add(name)
                continue
            self.columns.append(name)
            for row in self.rows:
                row.append(None)

    def _draw(self, rows: list[dict[str, Any]], times: list[int]) -> None:
        steps = np.arange(self.total, self.total + len(rows), dtype=np.int64)
        at = np.array(times, np.int64)
        for name in self.columns:
            cells = [_number(row.get(name)) for row in rows]
            if any(cell is not None for cell in cells):
                values = np.array([np.nan if cell is None else cell for cell in cells])
                kinds = np.array([form.NONE if cell is None else form.FLOAT for cell in cells], np.uint8)
                self.numbers.setdefault(name, Sketch()).add(steps, at, values, kinds)


def _rows(one: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of a row, a table or a list; none of what is kept as a file."""
    kind, value = one[FORM], one["value"]
    if kind == "list" and isinstance(value, list):
        yield from ({"value": cell} for cell in value)
    elif kind in ("row", "table") and isinstance(value, dict):
        height = max([len(cells) for cells in value.values() if isinstance(cells, list)], default=1)
        columns = {str(name): cells if isinstance(cells, list) else [cells] for name, cells in value.items()}
        for place in range(height):
            yield {name: cells[place] if place < len(cells) else None for name, cells in columns.items()}


def _number(cell: Any) -> float | None:
    """A cell that can be drawn."""
    if isinstance(cell, bool) or not isinstance(cell, (int, float)):
        return None
    try:
        return float(cell)
    except OverflowError:
        return float("inf") if cell > 0 else float("-inf")
