"""The verbs ``compare`` and ``diff``: runs beside one another, and what changed in the code from one to another.

Reads runs and snapshots; writes nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from jupyter_mlrun.cli_common import find, json_option, print_json, say
from jupyter_mlrun.errors import BadInput

if TYPE_CHECKING:
    from jupyter_mlrun.differences import Change
    from jupyter_mlrun.sdk.compare import Comparison
    from jupyter_mlrun.sdk.run import Run

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@click.argument("run", metavar="RUN RUN…", nargs=-1, required=True)
@click.option("-m", "--metric", "metrics", multiple=True, metavar="NAME", help="Curves in a notebook: only this one.")
@click.option("--smoothing", type=float, default=0.0, help="Of the curves, 0 to below 1.")
@click.option("--all", "everything", is_flag=True, help="What is the same, too.")
@json_option
@click.pass_context
def compare(
    ctx: click.Context, /, run: tuple[str, ...], metrics: tuple[str, ...], *, smoothing: float, everything: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Show runs beside one another: what differs in what they were given, and in what became of them."""
    from jupyter_mlrun.sdk import compare as sdk

    found = sdk.compare([find(text) for text in run], metrics=metrics or None, smoothing=smoothing)
    if as_json:
        print_json(found.to_json())
    elif ctx.find_root().info_name == "%mlrun":
        _display(found)
    else:
        _print(found, everything=everything or len(found.runs) == 1)


def _display(found: Comparison) -> None:
    """In a notebook: the curves, and the table."""
    from IPython.display import display

    made = found.figure()
    if made.data:
        display(made)
    display(found)


def _print(found: Comparison, *, everything: bool) -> None:
    from jupyter_mlrun import cli_draw

    rows = found.table if everything else found.differences
    if rows:
        cli_draw.comparison(found.names, rows)
    same = len(found.table) - len(found.differences)
    if not everything:
        click.echo(f"{same} are the same: --all shows them" if rows else "nothing differs")


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--names", is_flag=True, help="Only which files differ.")
@json_option
def diff(a: str, b: str, *, names: bool, as_json: bool) -> None:
    """Show what changed from run A to run B: parameters, environment, and code line by line."""
    old, new = find(a), find(b)
    if old == new:
        raise BadInput(f"{a!r} and {b!r} are the same run")
    changes, same = _changes(old, new)
    facts = _facts(old, new)
    if as_json:
        files = [{"path": one.path, "status": one.status, "diff": one.diff, "why": one.why} for one in changes]
        print_json({"a": old.id, "b": new.id, "files": files, "same": same, **facts})
        return
    for section, pairs in facts.items():
        for one in pairs:
            say(f"{section}: {one['name']}: {_value(one['a'])} → {_value(one['b'])}")
    for change in changes:
        _show(change, names=names)
    count = len(changes)
    say(f"{count or 'no'} {'file differs' if count == 1 else 'files differ'}, {same} the same", err=True)


def _changes(old: Run, new: Run) -> tuple[list[Change], int]:
    from jupyter_mlrun.server.snapshots import changes_between, code_of
    from jupyter_mlrun.store.home import WorkspaceDir

    return changes_between(*(code_of(WorkspaceDir(run.home, run.spec.workspace), run.spec) for run in (old, new)))


def _facts(old: Run, new: Run) -> dict[str, list[dict[str, str | None]]]:
    from jupyter_mlrun.differences import pairs
    from jupyter_mlrun.sdk.facts import facts_of

    both: list[Any] = [facts_of(run.spec, became={}, metrics={}).sections for run in (old, new)]
    return {
        section: [{"name": name, "a": a, "b": b} for name, a, b in pairs(both[0][section], both[1][section])]
        for section in ("parameters", "environment")
    }


def _value(value: str | None) -> str:
    return "nothing" if value is None else value


def _show(change: Change, *, names: bool) -> None:
    if names or not change.diff:
        say(f"{change.status}: {change.path}" + ("" if names or not change.why else f" ({change.why})"))
        return
    colours = sys.stdout.isatty()
    for line in change.diff.splitlines():
        colour = None if line.startswith(("+++", "---")) else _COLOURS.get(line[:1])
        say(click.style(line, fg=colour) if colours and colour else line)


VERBS = (compare, diff)
