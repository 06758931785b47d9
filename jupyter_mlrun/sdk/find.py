"""Finds the run that somebody means: an id, a unique prefix of one or of its tail, a name, or ``@1``.

Reads the listing of each workspace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store.home import WorkspaceDir, open_home, workspaces
from jupyter_mlrun.store.index import Row, listing
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN = 10


def find(home: Path, text: str, workspace: str | None = None) -> Run:
    """The run that *text* names.

    Raises ``NotFound`` where there is none, ``BadInput`` with the candidates where there are several, and
    ``NewerStore`` for a home that a newer program made.
    """
    open_home(home, create=False)
    places = workspaces(home) if workspace is None else [WorkspaceDir(home, workspace)]
    rows = sorted((row for place in places for row in listing(place)), key=lambda row: row.created, reverse=True)
    return Run.at(RunDir(_choose(rows, text).path))


def _choose(rows: list[Row], text: str) -> Row:
    if text.startswith("@"):
        number = int(text[1:]) if text[1:].isdigit() else 0
        if not 1 <= number <= len(rows):
            raise NotFound(f"no run {text!r}: there are {len(rows)} runs", hint="@1 is the latest, @2 the one before")
        return rows[number - 1]
    for test in (_is_id, _is_name, _is_prefix):
        found = [row for row in rows if text and test(row, text)]
        if len(found) == 1:
            return found[0]
        if found:
            names = "\n    ".join(row.run_id for row in found[:_SHOWN])
            more = f"\n    and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise BadInput(f"{text!r} means {len(found)} runs:\n    {names}{more}", hint="give more of the id")
    known = [row.run_id for row in rows] + [row.display_name for row in rows if row.display_name]
    raise NotFound(f"no run {text!r}", hint=did_you_mean(text, known) if known else "there are no runs yet")


def _is_id(row: Row, text: str) -> bool:
    return row.run_id == text


def _is_name(row: Row, text: str) -> bool:
    return row.display_name == text


def _is_prefix(row: Row, text: str) -> bool:
    return row.run_id.startswith(text) or row.run_id.rpartition("_")[2].startswith(text)
