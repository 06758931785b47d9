"""The verbs that look after a home: ``fsck``, ``du``, ``gc``, ``agent``, ``doctor``.

Each calls one function and prints what it returned.
"""

from __future__ import annotations

import sys

import click

from jupyter_mlrun.cli_common import Group, home, json_option, print_json, say


@click.command()
@click.option("--rebuild", is_flag=True, help="Rebuild the index and index what killed writers left.")
@json_option
def fsck(rebuild: bool, as_json: bool) -> None:
    """Check everything that is stored; changes nothing without --rebuild."""
    from jupyter_mlrun import upkeep
    from jupyter_mlrun.check import check

    place = home()
    done = upkeep.repair(place) if rebuild and place.exists() else None
    found = check(place)
    harm = sum(1 for one in found if one.level == "fail")
    if as_json:
        print_json({"rebuilt": done, "problems": [one.to_json() for one in found]})
    else:
        if done is not None:
            click.echo(f"rebuilt the index: {done['runs']} runs; recovered {done['packs']} packs")
        for one in found:
            say(f"{one.level}  {one}")
        click.echo(f"{harm} problems" if harm else "no problems")
    sys.exit(1 if harm else 0)


@click.command()
@click.option("--runs", type=click.IntRange(0), default=5, metavar="N", help="Name the N largest runs; default: 5.")
@json_option
def du(runs: int, as_json: bool) -> None:
    """Show what takes how much space."""
    from jupyter_mlrun import cli_draw, upkeep

    found, largest = upkeep.du(home()), upkeep.largest_runs(home(), runs)
    if as_json:
        print_json({"parts": found, "largest": largest})
        return
    cli_draw.sizes(found, "WHAT")
    if largest:
        click.echo()
        cli_draw.sizes(largest, "LARGEST RUNS")


@click.command()
@click.option("--dry-run", is_flag=True, help="Delete nothing.")
@json_option
def gc(dry_run: bool, as_json: bool) -> None:
    """Delete what nothing needs: removed runs, leftovers, snapshots without a run."""
    from jupyter_mlrun import upkeep
    from jupyter_mlrun.ui.words import size

    done = upkeep.gc(home(), dry_run=dry_run)
    if as_json:
        print_json(done)
    else:
        would = "would free" if dry_run else "freed"
        files = f", {done['files']} unfinished files" if done["files"] else ""
        click.echo(f"{would} {size(done['bytes'])}: {done['folders']} folders, {done['packs']} packs{files}")
        for why in done["kept"]:
            say(f"kept: {why}", err=True)


@click.group(cls=Group)
def agent() -> None:
    """The process that starts runs and sees how they end."""


@agent.command()
@json_option
def status(as_json: bool) -> None:
    """Say whether the agent runs, and what its queue is."""
    from jupyter_mlrun.agent import client
    from jupyter_mlrun.backends.warm import warm_words

    who, queue = client.agent_of(home()), client.queue_of(home())
    if as_json:
        print_json({"agent": who, "queue": queue if who else None})
    elif who is None:
        click.echo("no agent runs; it starts with the next submit")
    else:
        counts = f"{len(queue['running'])} running, {len(queue['waiting'])} waiting"
        click.echo(f"agent {who['version']}, pid {who['pid']}: {counts}; {warm_words(queue['warm'])}")


@agent.command("stop")
@click.option("--when-idle", is_flag=True, help="When the last run has ended.")
def stop_agent(when_idle: bool) -> None:
    """Stop the agent; runs go on without it."""
    from jupyter_mlrun.agent import client

    if not client.stop_agent(home(), when_idle=when_idle):
        click.echo("no agent runs")
    else:
        click.echo("it will go when the last run has ended" if when_idle else "stopped; runs go on without it")


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check whether this machine and session are fit for runs."""
    from jupyter_mlrun import cli_draw
    from jupyter_mlrun.doctor import doctor as examine
    from jupyter_mlrun.homepath import default_home

    found = examine(default_home())
    if as_json:
        print_json([one.to_json() for one in found])
    else:
        cli_draw.findings(found)
    sys.exit(1 if any(one.level == "fail" for one in found) else 0)


@agent.command("start", hidden=True)
def start_agent() -> None:
    """Start the agent where none runs."""
    from jupyter_mlrun.agent import client

    click.echo(f"agent pid {client.ensure_agent(home())['pid']}")


VERBS = (fsck, du, gc, agent, doctor)
