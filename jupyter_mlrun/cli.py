"""``jupyter mlrun VERB …``: each verb parses, calls one function and prints.

Errors are one line and a hint on stderr: exit 2 for wrong use, 1 for a failure, no traceback without ``--debug``.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jupyter_mlrun import cli_compare, cli_data, cli_ui, cli_upkeep
from jupyter_mlrun._version import __version__
from jupyter_mlrun.cli_common import Group, Terminal, find, home, json_option, print_json, say
from jupyter_mlrun.errors import BadInput, Conflict, JupyterMLRunError
from jupyter_mlrun.options import OPTIONS
from jupyter_mlrun.parameters import parse_parameters

if TYPE_CHECKING:
    from jupyter_mlrun.sdk.run import Run

Command = TypeVar("Command", bound=Callable[..., Any])
WAIT_SECONDS = 60.0
_ARGUMENTS = "jupyter_mlrun.arguments"
_NO_VERB: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())  # older clicks print the help themselves


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jupyter mlrun")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Train on machines of your own: submit scripts as runs, watch them, keep them."""
    if debug:
        os.environ["JUPYTER_MLRUN_DEBUG"] = "1"


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


class ScriptCommand(click.Command):
    """A verb whose line may end in ``-- ARG …``, which are the script's and not ours."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta[_ARGUMENTS] = tuple(args[cut + 1 :])
        return super().parse_args(ctx, args[:cut])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- ARG …]"]


@cli.command(cls=ScriptCommand)
@click.argument("script", metavar="SCRIPT.py|NOTEBOOK.ipynb")
@_submit_options
@click.pass_context
def submit(ctx: click.Context, /, script: str, *, block: bool, quiet: bool, dry_run: bool, **options: Any) -> None:
    """Submit a script or a notebook as a run."""
    from jupyter_mlrun import settings
    from jupyter_mlrun.sdk import submit as sdk
    from jupyter_mlrun.sdk.inputs import describe, names_of, place_names

    arguments: tuple[str, ...] = ctx.meta[_ARGUMENTS]
    given = {name: value for name, value in options.items() if value is not None}
    arguments = tuple(place_names(arguments, names_of(given.get("inputs", ()))))
    request = sdk.Request(script=script, arguments=arguments, cwd=os.getcwd(), client="cli", **given)
    if given.get("experiment") is None:
        request = sdk.Request(**{**request.__dict__, "experiment": Path(script).stem})
    config = settings.load()
    if dry_run:
        say(sdk.dry_run(request, config))
        return
    run = sdk.submit(request, config)
    if quiet:
        click.echo(run.id)
    else:
        click.echo(f"{run.spec.experiment} → {run.spec.target}: run {run.id}")
        for one in run.spec.inputs:
            say(f"  input {describe(one)}")
        for path, why in run.spec.left_out[:8]:
            say(f"  left out: {path} ({why})")
        click.echo(f"  follow it: jupyter mlrun logs -f {run.id.rpartition('_')[2]}")
    if block:
        sys.exit(_wait([run], show=not quiet))


def _wait(runs: Sequence[Run], *, show: bool) -> int:
    """Wait for each; the exit code of the last that failed, else 0.  Ctrl-C detaches."""
    code = 0
    for run in runs:
        try:
            with redirect_stdout(Terminal(sys.stdout)):
                run.wait_for_completion(show_output=show, raise_on_error=False)
        except KeyboardInterrupt:
            return 130
        code = run.state.process_exit_code or code
    return code


@cli.command()
@click.option("--all", "everything", is_flag=True, help="All runs, not the newest 20.")
@click.option("-e", "--experiment", help="Only this experiment.")
@click.option("--status", help="Only this status.")
@click.option("--limit", type=click.IntRange(1), help="How many; default: 20.")
@json_option
def ps(everything: bool, experiment: str | None, status: str | None, limit: int | None, as_json: bool) -> None:
    """List runs: what runs, what waits and why, how the others ended."""
    from jupyter_mlrun import cli_rows

    most = limit or (None if everything else 20)
    rows = cli_rows.rows(home(), limit=most, experiment=experiment, status=status)
    waiting = cli_rows.waiting(home(), rows)
    if as_json:
        places = cli_rows.details(home(), rows)
        told = [(row, waiting.get(row.run_id, row.reason), places.get(row.run_id)) for row in rows]
        print_json([{**row.to_json(), "reason": why, "queue": place} for row, why, place in told])
    elif not rows:
        click.echo("no such runs" if status or experiment else "no runs yet: jupyter mlrun submit SCRIPT.py")
    else:
        from jupyter_mlrun import cli_draw

        cli_draw.runs(rows, waiting)


@cli.command()
@click.argument("run", metavar="RUN")
@json_option
def show(run: str, as_json: bool) -> None:
    """Show one run."""
    from jupyter_mlrun.agent import client
    from jupyter_mlrun.ui import view

    found = find(run)
    queue = client.queue_of(home())
    if as_json:
        place = queue["details"].get(found.id)
        told = {**found.get_details(), "metrics": found.get_metrics(), "queue": place, "start": _start_of(found)}
        print_json({"spec": found.spec.to_json(), **told})
        return
    say(view.as_text(found.directory, waiting=queue["waiting"].get(found.id)))


def _start_of(run: Run) -> str | None:
    """``warm``, or ``cold: `` and why; None before it has started."""
    from jupyter_mlrun.store import runs

    return runs.start_of(run.directory) or None


@cli.command()
@click.argument("run", metavar="RUN")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@click.option("--rank", type=click.IntRange(0), default=0, help="The log of this rank.")
@click.option("-n", "--lines", type=click.IntRange(0), help="Only the last lines.")
@click.option("--raw", is_flag=True, help="With escape sequences, byte for byte.")
def logs(run: str, follow: bool, rank: int, lines: int | None, raw: bool) -> None:
    """Print the log of a run."""
    from jupyter_mlrun import cli_logs

    found = find(run)
    ranks = found.spec.resources.procs
    if rank >= ranks:
        raise BadInput(f"run {found.id} has no rank {rank}", hint=f"its ranks are 0 to {ranks - 1}")
    cli_logs.show(found, rank, ranks, follow=follow, lines=lines, raw=raw)


@cli.command()
@click.argument("run", metavar="RUN…", nargs=-1, required=True)
@click.option("-q", "--quiet", is_flag=True, help="Do not print the log.")
def wait(run: tuple[str, ...], quiet: bool) -> None:
    """Wait for runs; the exit code is theirs."""
    sys.exit(_wait([find(text) for text in run], show=not quiet))


@cli.command()
@click.argument("run", metavar="RUN…", nargs=-1, required=True)
def stop(run: tuple[str, ...]) -> None:
    """Stop runs, with everything that they started."""
    from jupyter_mlrun.sdk.follow import follow

    asked = []
    for one in dict.fromkeys([find(text) for text in run]):
        if one.state.is_over:
            click.echo(f"{one.id} is over: {one.status}")
            continue
        _is_ours(one)
        one.cancel()
        asked.append(one)
    late = []
    for one in asked:
        state = follow(one, None, until=_later(one.spec.limits.get("stop_grace", 10) + WAIT_SECONDS))
        click.echo(f"{one.id}: {state.shown}")
        if not state.is_over:
            late.append(one.id)
    if late:
        raise JupyterMLRunError(f"{late[0]} does not end", hint="it will be ended as soon as that is possible")


def _later(seconds: float) -> Callable[[object], bool]:
    deadline = time.monotonic() + seconds
    return lambda _: time.monotonic() > deadline


def _is_ours(run: Run) -> None:
    """Refuse a run that another machine's agent follows: a request here would reach nobody."""
    from jupyter_mlrun.worker import process

    by = run.spec.created_by
    if by.get("host_id", process.host_id()) != process.host_id():
        raise Conflict(f"run {run.id} belongs to {by.get('host', 'another machine')}", hint="stop it there")


@cli.command()
@click.argument("run", metavar="RUN")
@click.option("-p", "parameters", multiple=True, metavar="KEY=VALUE", help="Another value for a script's parameter.")
@click.option("--name", metavar="NAME", help="What the new run is called.")
@click.option("-b", "--block", is_flag=True, help="Wait here; Ctrl-C detaches.")
def rerun(run: str, parameters: tuple[str, ...], name: str | None, block: bool) -> None:
    """Submit the same again."""
    texts = {key: one.text for key, one in parse_parameters(parameters).items()}
    made = find(run).rerun(texts, name)
    click.echo(made.id)
    if block:
        sys.exit(_wait([made], show=True))


@cli.command()
@click.argument("run", metavar="RUN…", nargs=-1, required=True)
def rm(run: tuple[str, ...]) -> None:
    """Remove runs and everything they left."""
    found = [find(text) for text in run]
    active = [one for one in found if not one.state.is_over]
    if active:
        raise Conflict(f"{active[0].id} is {active[0].status}", hint=f"jupyter mlrun stop {active[0].id}")
    for one in dict.fromkeys(found):
        name, models = one.id, cli_data.models_of(one)
        one.delete()
        click.echo(f"removed {name}")
        if models:
            say(f"  {models}")


for _verb in (*cli_compare.VERBS, *cli_data.VERBS, *cli_ui.VERBS, *cli_upkeep.VERBS):
    cli.add_command(_verb)


def _tell(problem: JupyterMLRunError) -> int:
    say(f"jupyter mlrun: {problem.message}", err=True)
    if problem.hint:
        say(f"  hint: {problem.hint}", err=True)
    return problem.exit_code


def _execute(arguments: Sequence[str], prog: str) -> None:
    """Run one command line; whatever it raises is the caller's."""
    with cli.make_context(prog, list(arguments)) as context:
        cli.invoke(context)


def _invoke(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    if "--debug" in arguments[:cut]:  # wherever it stands
        os.environ["JUPYTER_MLRUN_DEBUG"] = "1"
        arguments = [word for word in arguments[:cut] if word != "--debug"] + arguments[cut:]
    try:
        _execute(arguments, "jupyter mlrun")
    except SystemExit as done:
        return int(done.code or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        raise
    except Exception as problem:  # nobody is left to catch it: a user reads what went wrong, not where
        if os.environ.get("JUPYTER_MLRUN_DEBUG", "0") != "0":
            raise
        return _explain(problem)
    return 0


def _explain(problem: Exception) -> int:
    """One line and a hint for an error; its exit code."""
    if isinstance(problem, click.UsageError):
        message = problem.format_message()
        if isinstance(problem, _NO_VERB):
            problem.show()
            return BadInput.exit_code
        path = problem.ctx.command_path if problem.ctx else "jupyter mlrun"
        script = isinstance(problem.ctx and problem.ctx.command, ScriptCommand)
        more = "; the script's own arguments stand behind --" if script else ""
        return _tell(BadInput(message, hint=f"{path} --help{more}"))
    if isinstance(problem, JupyterMLRunError):
        return _tell(problem)
    if isinstance(problem, OSError):
        return _tell(JupyterMLRunError(f"{problem.filename or ''}: {problem.strerror or problem}".lstrip(": ")))
    said = " ".join(f"{type(problem).__name__}: {problem}".split())
    return _tell(JupyterMLRunError(f"this should not happen: {said}", hint="--debug shows where; please report it"))


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        # a terminal or pipe that knows fewer letters than we print gets what it can show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = _invoke(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read us has had enough; nothing may be printed any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 141
    sys.exit(code)


def run_here(arguments: list[str]) -> None:
    """``%mlrun``: the same in a notebook; a failure is an error there."""
    try:
        _execute(arguments, "%mlrun")
    except SystemExit as done:
        if done.code and arguments[:1] != ["wait"]:  # a summary of the run has been printed
            raise JupyterMLRunError(f"%mlrun {' '.join(arguments[:1])}: exit code {done.code}") from None
    except click.exceptions.Exit:
        return  # the help was asked for
    except click.ClickException as problem:
        raise BadInput(problem.format_message(), hint="%mlrun --help") from None
