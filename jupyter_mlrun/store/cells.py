"""How far a notebook run is, cell by cell.

Reads ``notebook.jsonl``; writes nothing.
"""

from __future__ import annotations

import json
import os
from typing import Any

NAME = "notebook.jsonl"
LIMIT = 16 << 20  # a file that is larger has not been written by us


def events(run_dir: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """What the notebook run said of its cells; none for other runs.  A torn line is passed over."""
    try:
        with open(os.path.join(run_dir, NAME), "rb") as file:
            lines = file.read(LIMIT).splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return found


def progress(run_dir: str | os.PathLike[str]) -> dict[str, int | None] | None:
    """``{"done", "total", "current", "failed"}`` of a notebook run; None for other runs.

    ``done`` counts the cells that are behind, ``total`` all cells of the notebook (text, too); ``current`` is the
    number of the cell that runs, ``failed`` of the one that ended the run badly, each from 1, else None.
    """
    total, done, current, failed = 0, 0, None, None
    told = events(run_dir)
    for event in told:
        kind, cell = event.get("type"), event.get("cell")
        number = cell if isinstance(cell, int) else None
        if kind == "begin":
            total = int(event.get("cells", 0))
        elif kind == "cell":
            current = number
            done = max(done, (number or 1) - 1)
        elif kind == "cell_end":
            current = None
            if event.get("status") in ("error", "died"):
                failed = number
            else:
                done = max(done, number or 0)
        elif kind == "end":
            current = None
            if event.get("status") == "completed" and not any(e.get("status") == "exit" for e in told):
                done = total
    return {"done": done, "total": total, "current": current, "failed": failed} if told else None


def words(found: dict[str, int | None] | None) -> str:
    """``cell 5 of 12`` for a notebook run's progress; nothing for other runs."""
    if found is None:
        return ""
    number, total = found["current"] or found["failed"], found["total"]
    return f"cell {number} of {total}" if number else f"{found['done']} of {total} cells done"
