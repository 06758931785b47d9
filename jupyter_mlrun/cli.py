"""``jupyter mlrun VERB …``: each verb parses, calls one function and prints.

Errors are one line and a hint on stderr: exit 2 for wrong use, 1 for a failure, no traceback without ``--debug``.
"""

from __future__ import annotations

import io
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from jupyter_mlrun._version import __version__
from jupyter_mlrun.errors import BadInput, Conflict, JupyterMLRunError
from jupyter_mlrun.options import OPTIONS

if TYPE_CHECKING:
    from jupyter_mlrun.sdk.run import Run
    from jupyter_mlrun.store.index import Row

Command = TypeVar("Command", bound=Callable[..., Any])
WAIT_SECONDS = 60.0


class _Group(click.Group):
    """Lists the verbs in the order of a run's life, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(self.commands)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jupyter mlrun")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Train on machines of your own: submit scripts as runs, watch them, keep them."""
    if debug:
        os.environ["JUPYTER_MLRUN_DEBUG"] = "1"


def _home() -> Path:
    from jupyter_mlrun.settings import default_home

    return default_home()


def _find(text: str) -> Run:
    from jupyter_mlrun.sdk.find import find

    return find(_home(), text)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(_valid(value), indent=2, default=str, allow_nan=False))


def _valid(value: Any) -> Any:
    """The same as JSON can hold it: NaN and the infinities become words that ``float`` reads."""
    if isinstance(value, dict):
        return {str(key): _valid(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_valid(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _say(text: str, *, err: bool = False) -> None:
    """Print text that has names from elsewhere in it."""
    click.echo(_for_terminal(text), err=err)


class _Terminal(io.TextIOBase):
    """A stream that passes on what does nothing to a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(_for_terminal(text))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()


def _submit_options(command: Command) -> Command:
    """The options of ``options.py``, but those of the magic alone."""
    for option in reversed([o for o in OPTIONS if o.only != "magic"]):
        if option.metavar is None:
            made = click.option(*option.flags, option.name, is_flag=True, help=option.help)
        else:
            made = click.option(
                *option.flags, option.name, multiple=option.repeat, type=option.kind, metavar=option.metavar,
                default=None, help=option.help,
            )  # fmt: skip
        command = made(command)
    return command


@cli.command()
@click.argument("script", metavar="SCRIPT.py")
@click.argument("arguments", nargs=-1, metavar="[-- ARG …]")
@_submit_options
def submit(script: str, arguments: tuple[str, ...], *, block: bool, quiet: bool, dry_run: bool, **options: Any) -> None:
    """Submit a script as a run."""
    from jupyter_mlrun import settings
    from jupyter_mlrun.sdk import submit as sdk

    given = {name: value for name, value in options.items() if value is not None}
    request = sdk.Request(script=script, arguments=arguments, cwd=os.getcwd(), client="cli", **given)
    if given.get("experiment") is None:
        request = sdk.Request(**{**request.__dict__, "experiment": Path(script).stem})
    config = settings.load()
    if dry_run:
        _say(sdk.dry_run(request, config))
        return
    run = sdk.submit(request, config)
    if quiet:
        click.echo(run.id)
    else:
        click.echo(f"{run.spec.experiment} → {run.spec.target}: run {run.id}")
        for path, why in run.spec.left_out[:8]:
            _say(f"  left out: {path} ({why})")
        click.echo(f"  follow it: jupyter mlrun logs -f {run.id.rpartition('_')[2]}")
    if block:
        sys.exit(_wait([run], show=not quiet))


def _wait(runs: Sequence[Run], *, show: bool) -> int:
    """Wait for each; the exit code of the last that failed, else 0.  Ctrl-C detaches."""
    code = 0
    for run in runs:
        try:
            with redirect_stdout(_Terminal(sys.stdout)):
                run.wait_for_completion(show_output=show, raise_on_error=False)
        except KeyboardInterrupt:
            return 130
        code = run.state.process_exit_code or code
    return code


@cli.command()
@click.option("--all", "everything", is_flag=True, help="All runs, not the newest 20.")
@click.option("-e", "--experiment", help="Only this experiment.")
@click.option("--status", help="Only this status.")
@click.option("--limit", type=click.IntRange(1), default=20, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def ps(everything: bool, experiment: str | None, status: str | None, limit: int, as_json: bool) -> None:
    """List runs: what runs, what waits and why, how the others ended."""
    rows = _rows(experiment, None if everything or experiment or status else limit)
    if status:
        rows = [row for row in rows if row.status.lower() == status.lower()]
    waiting = _waiting(rows)
    if as_json:
        _print_json([{**row.to_json(), "reason": waiting.get(row.run_id, row.reason)} for row in rows])
        return
    if not rows:
        click.echo("no runs yet: jupyter mlrun submit SCRIPT.py" if not status else "no such runs")
        return
    from jupyter_mlrun import cli_draw

    cli_draw.runs(sorted(rows, key=lambda row: (row.over, -row.created)), waiting)


def _rows(experiment: str | None, limit: int | None) -> list[Row]:
    """The newest runs of all workspaces, as they are now: an agent looks first where any is active."""
    from jupyter_mlrun.agent import client
    from jupyter_mlrun.store.home import open_home, workspaces
    from jupyter_mlrun.store.index import listing

    home = open_home(_home(), create=False)

    def read() -> list[Row]:
        rows = [row for place in workspaces(home) for row in listing(place, experiment=experiment, limit=limit)]
        rows.sort(key=lambda row: row.created, reverse=True)
        return rows[:limit] if limit is not None else rows

    rows = read()
    if any(not row.over for row in rows) and os.access(home, os.W_OK):
        client.sync(home)
        rows = read()
    return rows


def _waiting(rows: Sequence[Row]) -> dict[str, str]:
    """Why each queued run waits, as the agent says now."""
    from jupyter_mlrun.agent import client

    return dict(client.queue_of(_home())["waiting"]) if any(not row.over for row in rows) else {}


@cli.command()
@click.argument("run", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(run: str, as_json: bool) -> None:
    """Show one run."""
    from jupyter_mlrun.agent import client
    from jupyter_mlrun.ui import view

    found = _find(run)
    if as_json:
        _print_json({"spec": found.spec.to_json(), **found.get_details(), "metrics": found.get_metrics()})
        return
    _say(view.as_text(found.directory, waiting=client.queue_of(_home())["waiting"].get(found.id)))


@cli.command()
@click.argument("run", metavar="RUN")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@click.option("--rank", type=click.IntRange(0), default=0, help="The log of this rank.")
@click.option("-n", "--lines", type=click.IntRange(0), help="Only the last lines.")
@click.option("--raw", is_flag=True, help="With escape sequences, byte for byte.")
def logs(run: str, follow: bool, rank: int, lines: int | None, raw: bool) -> None:
    """Print the log of a run."""
    from jupyter_mlrun.store import text

    found = _find(run)
    ranks = found.spec.resources.procs
    if rank >= ranks:
        raise BadInput(f"run {found.id} has no rank {rank}", hint=f"its ranks are 0 to {ranks - 1}")
    if not follow and lines is not None:
        click.echo(text.tail(found.directory, rank, ranks, lines=lines))
        return
    reader = text.Follower(found.directory.log(rank, ranks))
    gap = text.dropped(found.directory, rank, ranks)
    while True:
        over = bool(found.state.is_over)
        while piece := reader.more_bytes():
            click.echo(piece if raw else _for_terminal(reader.decode(piece)), nl=False)
            if gap is not None and gap[0] <= reader.offset < gap[1]:
                click.echo(f"\n[{gap[1] - gap[0]:,} bytes dropped here: the log grew over its limit]")
                reader.offset = gap[1]
        if over or not follow:
            return
        sys.stdout.flush()
        time.sleep(0.1)


def _for_terminal(piece: str) -> str:
    """Colours, tabs and carriage returns stay; whatever else would act on the terminal goes."""
    import re

    kept = re.sub(r"\x1b(?!\[[0-9;]*m)(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|.?)", "", piece)
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f\x80-\x9f]", "", kept)


@cli.command()
@click.argument("run", metavar="RUN…", nargs=-1, required=True)
@click.option("-q", "--quiet", is_flag=True, help="Do not print the log.")
def wait(run: tuple[str, ...], quiet: bool) -> None:
    """Wait for runs; the exit code is theirs."""
    sys.exit(_wait([_find(text) for text in run], show=not quiet))


@cli.command()
@click.argument("run", metavar="RUN…", nargs=-1, required=True)
def stop(run: tuple[str, ...]) -> None:
    """Stop runs, with everything that they started."""
    found = [_find(text) for text in run]
    for one in found:
        if one.state.is_over:
            click.echo(f"{one.id} is over: {one.status}")
            continue
        one.cancel()
        deadline = time.monotonic() + one.spec.limits.get("stop_grace", 10) + WAIT_SECONDS
        while time.monotonic() < deadline and not one.state.is_over:
            time.sleep(0.05)
        click.echo(f"{one.id}: {one.status}")


@cli.command()
@click.argument("run", metavar="RUN")
@click.option("-b", "--block", is_flag=True, help="Wait here; Ctrl-C detaches.")
def rerun(run: str, block: bool) -> None:
    """Submit the same again."""
    made = _find(run).rerun()
    click.echo(made.id)
    if block:
        sys.exit(_wait([made], show=True))


@cli.command()
@click.argument("run", metavar="RUN…", nargs=-1, required=True)
def rm(run: tuple[str, ...]) -> None:
    """Remove runs and everything they left."""
    found = [_find(text) for text in run]
    active = [one for one in found if not one.state.is_over]
    if active:
        raise Conflict(f"{active[0].id} is {active[0].status}", hint=f"jupyter mlrun stop {active[0].id}")
    for one in dict.fromkeys(found):
        name = one.id
        one.delete()
        click.echo(f"removed {name}")


@cli.command()
@click.option("--rebuild", is_flag=True, help="Rebuild the index and index what killed writers left.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def fsck(rebuild: bool, as_json: bool) -> None:
    """Check everything that is stored; changes nothing without --rebuild."""
    from jupyter_mlrun import upkeep
    from jupyter_mlrun.store.home import open_home

    home = open_home(_home(), create=False)
    done = upkeep.repair(home) if rebuild else None
    found = upkeep.problems(home)
    if as_json:
        _print_json({"rebuilt": done, "problems": found})
    else:
        if done is not None:
            click.echo(f"rebuilt the index: {done['runs']} runs; recovered {done['packs']} packs")
        for line in found:
            _say(line)
        click.echo(f"{len(found)} problems" if found else "no problems")
    sys.exit(1 if found else 0)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def du(as_json: bool) -> None:
    """Show what takes how much space."""
    from jupyter_mlrun import cli_draw, upkeep

    found = upkeep.du(_home())
    if as_json:
        _print_json(found)
    else:
        cli_draw.sizes(found)


@cli.command()
@click.option("--dry-run", is_flag=True, help="Delete nothing.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def gc(dry_run: bool, as_json: bool) -> None:
    """Delete what nothing needs: removed runs, leftovers, snapshots without a run."""
    from jupyter_mlrun import upkeep
    from jupyter_mlrun.ui.words import size

    done = upkeep.gc(_home(), dry_run=dry_run)
    if as_json:
        _print_json(done)
    else:
        would = "would free" if dry_run else "freed"
        click.echo(f"{would} {size(done['bytes'])}: {done['folders']} folders, {done['packs']} packs")


@cli.group(cls=_Group)
def agent() -> None:
    """The process that starts runs and sees how they end."""


@agent.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(as_json: bool) -> None:
    """Say whether the agent runs, and what its queue is."""
    from jupyter_mlrun.agent import client

    who, queue = client.agent_of(_home()), client.queue_of(_home())
    if as_json:
        _print_json({"agent": who, "queue": queue if who else None})
    elif who is None:
        click.echo("no agent runs; it starts with the next submit")
    else:
        counts = f"{len(queue['running'])} running, {len(queue['waiting'])} waiting"
        click.echo(f"agent {who['version']}, pid {who['pid']}: {counts}")


@agent.command("stop")
@click.option("--when-idle", is_flag=True, help="When the last run has ended.")
def stop_agent(when_idle: bool) -> None:
    """Stop the agent; runs go on without it."""
    from jupyter_mlrun.agent import client

    if not client.stop_agent(_home(), when_idle=when_idle):
        click.echo("no agent runs")
    else:
        click.echo("it will go when the last run has ended" if when_idle else "stopped; runs go on without it")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor(as_json: bool) -> None:
    """Check whether this machine and session are fit for runs."""
    from jupyter_mlrun import cli_draw, upkeep

    found = upkeep.doctor(_home())
    if as_json:
        _print_json([one.to_json() for one in found])
    else:
        cli_draw.findings(found)
    sys.exit(1 if any(one.level == "fail" for one in found) else 0)


def _tell(problem: JupyterMLRunError) -> int:
    _say(f"jupyter mlrun: {problem.message}", err=True)
    if problem.hint:
        _say(f"  hint: {problem.hint}", err=True)
    return problem.exit_code


def _invoke(arguments: list[str] | None, prog: str) -> int:  # noqa: PLR0911 -- a return for each way to leave
    """Run one command line; its exit code."""
    try:
        cli.main(args=arguments, prog_name=prog, standalone_mode=False)
    except SystemExit as done:
        return int(done.code or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except click.ClickException as problem:
        problem.show()
        return problem.exit_code
    except JupyterMLRunError as problem:
        if os.environ.get("JUPYTER_MLRUN_DEBUG"):
            raise
        return _tell(problem)
    except OSError as problem:
        if isinstance(problem, BrokenPipeError) or os.environ.get("JUPYTER_MLRUN_DEBUG"):
            raise
        return _tell(JupyterMLRunError(f"{problem.filename or ''}: {problem.strerror or problem}".lstrip(": ")))
    return 0


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        # a terminal or pipe that knows fewer letters than we print gets what it can show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = _invoke(None, "jupyter mlrun")
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read us has had enough; nothing may be printed any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 141
    sys.exit(code)


def run_here(arguments: list[str]) -> None:
    """``%mlrun``: the same in a notebook; a failure is an error there."""
    try:
        cli.main(args=arguments, prog_name="%mlrun", standalone_mode=False)
    except SystemExit as done:
        if done.code:
            raise JupyterMLRunError(f"%mlrun {' '.join(arguments[:1])}: exit code {done.code}") from None
    except click.ClickException as problem:
        raise BadInput(problem.format_message(), hint="%mlrun --help") from None
