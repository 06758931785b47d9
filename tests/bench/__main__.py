"""Run the benchmarks beside this file: ours, the floor under it, and the best peer, as one table.

Each module has ``rows()``, which yields dicts with the keys of ``COLUMNS``.
Reads tests/bench/*.py; writes bench.json.
Usage: ``python tests/bench [NAME …] [--json FILE]``; a NAME picks the modules whose name contains it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
COLUMNS = ("name", "ours", "floor", "peer", "unit", "ratio", "budget")
REQUIRED = {"name", "ours", "unit"}


def modules(wanted: list[str]) -> list[Path]:
    found = sorted(path for path in HERE.glob("*.py") if not path.name.startswith("_"))
    return [path for path in found if not wanted or any(name in path.stem for name in wanted)]


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of one module, each checked."""
    spec = importlib.util.spec_from_file_location(f"bench_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for row in module.rows():
        if not set(row) >= REQUIRED or not set(row) <= set(COLUMNS):
            raise ValueError(f"{path.name}: a row has {sorted(row)}; it needs {sorted(REQUIRED)} of {COLUMNS}")
        yield {"module": path.stem, **dict.fromkeys(COLUMNS), **row}


def collect(paths: list[Path], console: Console) -> tuple[list[dict[str, Any]], list[str]]:
    """All rows, and the names of the modules that broke: one of them does not hide the rest."""
    rows: list[dict[str, Any]] = []
    broken: list[str] = []
    for path in paths:
        console.print(f"[dim]{path.stem} …[/dim]")
        try:
            rows.extend(rows_of(path))
        except Exception:  # whatever a benchmark raises is shown, and fails the command at its end
            broken.append(path.stem)
            console.print(traceback.format_exc(), style="red", markup=False)
    return rows, broken


def shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else str(value)


def over_budget(row: dict[str, Any]) -> bool:
    return row["ratio"] is not None and row["budget"] is not None and row["ratio"] > row["budget"]


def table(rows: list[dict[str, Any]]) -> Table:
    drawn = Table("what", "ours", "floor", "best peer", "unit", "ratio to floor", "budget", "")
    for row in rows:
        mark = "" if row["budget"] is None else ("[red]over[/red]" if over_budget(row) else "[green]ok[/green]")
        drawn.add_row(*(shown(row[column]) for column in COLUMNS), mark)
    return drawn


def main() -> int:
    parser = argparse.ArgumentParser(description="Benchmarks of jupyter_mlrun.")
    parser.add_argument("name", nargs="*", help="only modules whose name contains this")
    parser.add_argument("--json", default="bench.json", help="where the rows are written (default: bench.json)")
    asked = parser.parse_args()
    console = Console()
    paths = modules(asked.name)
    rows, broken = collect(paths, console)
    console.print(table(rows))
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    Path(asked.json).write_text(json.dumps({"machine": machine, "broken": broken, "rows": rows}, indent=1) + "\n")
    if not paths:
        console.print(f"no benchmark here is called {' or '.join(asked.name) or 'anything'}")
    if broken:
        console.print(f"broken: {', '.join(broken)}", style="red")
    return 1 if broken or (asked.name and not paths) else 0


if __name__ == "__main__":
    sys.exit(main())
