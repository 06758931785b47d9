"""The tables of the command line, by rich: as wide as the terminal, plain where it is none."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from jupyter_mlrun.states import Status
from jupyter_mlrun.store.text import plain
from jupyter_mlrun.ui.words import LOOKS, duration, number, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_mlrun.doctor import Finding
    from jupyter_mlrun.store.index import Row

COLOURS = {"good": "green", "bad": "red", "live": "blue", "wait": "yellow", "dim": "dim"}


NARROW, ENDLESS = 72, 2000
_LEAST = {"": 1, "ID": 8, "AGE": 6, "SIZE": 7, "RUNS": 4, "VERSION": 7, "FILES": 5, "RUN": 8}


def _width() -> int:
    """Columns to draw in: the terminal's, or as many as it takes where nobody looks."""
    told = os.environ.get("COLUMNS", "")
    if told.isdigit() and int(told) > 0:
        return int(told)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else ENDLESS


def _table(*columns: str) -> Table:
    """A table whose last column takes the rest, folded; names give way before numbers do."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns[:-1]:
        table.add_column(column, overflow="ellipsis", no_wrap=True, min_width=_LEAST.get(column))
    table.add_column(columns[-1], overflow="fold")
    return table


def _print(table: Table) -> None:
    console = Console(highlight=False, width=_width(), force_jupyter=False)
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().splitlines():
        print(line.rstrip())


def _safe(text: object) -> str:
    """One line of text that neither rich nor a terminal takes for a command."""
    return escape(plain(str(text)).replace("\n", " ").encode("utf-8", "replace").decode())


def runs(rows: Sequence[Row], waiting: Mapping[str, str]) -> None:
    """The runs, active ones first as given."""
    narrow = _width() < NARROW
    columns = ("", "ID", "AGE", "EXPERIMENT") if narrow else ("", "STATUS", "ID", "EXPERIMENT", "AGE", "TIME", "")
    table = _table(*columns)
    now = time.time()
    for row in rows:
        icon, look = LOOKS.get(Status(row.status), ("•", "dim"))
        colour = COLOURS[look]
        icon = f"[{colour}]{icon if _can_show(icon) else row.status[:4]}[/]"
        elapsed = (row.ended or now) - row.started if row.started else None
        said = waiting.get(row.run_id) or (row.reason if row.status != "Completed" else None) or _metrics(row)
        name = f"{row.display_name} ({row.experiment})" if row.display_name else row.experiment
        tail, age = row.run_id.rpartition("_")[2], duration(now - row.created)
        if narrow:
            words = f"{name}: {said}" if said else name
            line = Text(plain(words).replace("\n", " "))
            line.truncate(max(4, _width() - 24), overflow="ellipsis")
            table.add_row(icon, tail, " ".join(age.split()[:2]), line)
        else:
            status = f"[{colour}]{row.status}[/]"
            table.add_row(icon, status, tail, _safe(name), age, duration(elapsed), _safe(said))
    _print(table)


def _can_show(sign: str) -> bool:
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _metrics(row: Row) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in list(row.metrics.items())[:3])


def sizes(found: Sequence[Mapping[str, Any]], title: str) -> None:
    """What takes how much space."""
    table = _table("SIZE", "RUNS", "WORKSPACE", title)
    for one in found:
        table.add_row(size(one["bytes"]), str(one["runs"] or ""), one["workspace"], _safe(one["what"]))
    _print(table)


def listing(columns: Sequence[str], rows: Sequence[Sequence[object]], narrow: Sequence[str]) -> None:
    """Rows of text under *columns*; where there is little room only those of *narrow*."""
    shown = [n for n, name in enumerate(columns) if _width() >= NARROW or name in narrow]
    table = _table(*(columns[n] for n in shown))
    for row in rows:
        table.add_row(*(_safe(row[n]) for n in shown))
    _print(table)


def findings(found: Sequence[Finding]) -> None:
    """What ``doctor`` found."""
    colours = {"ok": "green", "warn": "yellow", "fail": "red"}
    table = _table("", "", "")
    for one in found:
        cure = f"\n→ {_safe(one.cure)}" if one.cure else ""
        table.add_row(f"[{colours[one.level]}]{one.level}[/]", one.what, _safe(one.text) + cure)
    _print(table)


def comparison(names: Sequence[str], rows: Sequence[Any]) -> None:
    """``compare``: a line for each fact, a column for each run."""
    table = _table("", "", *(_safe(name) for name in names), "")
    section = ""
    for row in rows:
        first, section = ("" if row.section == section else row.section), row.section
        mark = "≠" if row.differs else ""
        values = ("-" if value is None else _safe(value) for value in row.values)
        table.add_row(first, Text(f"{row.name[:200]} {mark}".strip()), *values, "")
    _print(table)
