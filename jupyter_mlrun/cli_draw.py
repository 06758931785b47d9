"""The tables of the command line, by rich: as wide as the terminal, plain where it is none."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jupyter_mlrun.states import Status
from jupyter_mlrun.store.text import plain
from jupyter_mlrun.ui.view import LOOKS
from jupyter_mlrun.ui.words import duration, number, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_mlrun.store.index import Row
    from jupyter_mlrun.upkeep import Finding

COLOURS = {"good": "green", "bad": "red", "live": "blue", "wait": "yellow", "dim": "dim"}


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("ID", "AGE", "TIME"))
    return table


def _safe(text: object) -> str:
    """One line of text that neither rich nor a terminal takes for a command."""
    return escape(plain(str(text)).replace("\n", " ").encode("utf-8", "replace").decode())


def runs(rows: Sequence[Row], waiting: Mapping[str, str]) -> None:
    """The runs, active ones first as given."""
    table = _table("", "STATUS", "ID", "EXPERIMENT", "AGE", "TIME", "")
    now = time.time()
    for row in rows:
        icon, look = LOOKS.get(Status(row.status), ("•", "dim"))
        colour = COLOURS[look]
        elapsed = (row.ended or now) - row.started if row.started else None
        said = waiting.get(row.run_id) or (row.reason if row.status != "Completed" else None) or _metrics(row)
        name = f"{row.experiment} ({row.display_name})" if row.display_name else row.experiment
        table.add_row(
            f"[{colour}]{icon}[/]", f"[{colour}]{row.status}[/]", row.run_id.rpartition("_")[2], _safe(name),
            duration(now - row.created), duration(elapsed), _safe(said),
        )  # fmt: skip
    Console(highlight=False).print(table)


def _metrics(row: Row) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in list(row.metrics.items())[:3])


def sizes(found: Sequence[Mapping[str, Any]]) -> None:
    """What takes how much space."""
    table = _table("SIZE", "RUNS", "WORKSPACE", "WHAT")
    for one in found:
        table.add_row(size(one["bytes"]), str(one["runs"] or ""), one["workspace"], _safe(one["what"]))
    Console(highlight=False).print(table)


def findings(found: Sequence[Finding]) -> None:
    """What ``doctor`` found."""
    colours = {"ok": "green", "warn": "yellow", "fail": "red"}
    table = _table("", "", "")
    for one in found:
        cure = f"\n→ {_safe(one.cure)}" if one.cure else ""
        table.add_row(f"[{colours[one.level]}]{one.level}[/]", one.what, _safe(one.text) + cure)
    Console(highlight=False).print(table)
