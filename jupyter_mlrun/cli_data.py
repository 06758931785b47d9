"""The verbs about what goes into runs and what comes out of them: data, files, models, archives, computes,
workspaces.

Each calls one function and prints what it returned.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jupyter_mlrun.cli_common import Group, find, home, json_option, print_json, say
from jupyter_mlrun.errors import BadInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_mlrun.sdk.model import Model
    from jupyter_mlrun.sdk.run import Run
    from jupyter_mlrun.sdk.workspace import Workspace

SHOWN = 8
workspace_option = click.option("-w", "--workspace", metavar="NAME", help="The workspace; default: the one in use.")


def _workspace(name: str | None) -> Workspace:
    """The workspace that is meant; nothing is made."""
    from jupyter_mlrun.sdk.workspace import Workspace

    return Workspace(name, home=home())


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    """``K=V`` texts as a dictionary."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise BadInput(f"{text!r} is no tag", hint="write it as NAME=VALUE")
        found[name.strip()] = value
    return found


def _tags(tags: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(tags.items()))


def _age(since: float) -> str:
    from jupyter_mlrun.ui.words import duration

    return duration(max(0.0, time.time() - since))


def _size(count: int) -> str:
    from jupyter_mlrun.ui.words import size

    return size(count)


# ---- data ------------------------------------------------------------------------------------------------


@click.command("upload-data")
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="[TARGET]", required=False)
@click.option("--datastore", metavar="D", help="Where to; default: the workspace's default datastore.")
@click.option("--name", metavar="DATASET", help="The data set's name; default: the last step of TARGET.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there and differ.")
@click.option("-q", "--quiet", is_flag=True, help="Print only NAME:VERSION.")
@workspace_option
def upload_data(
    source: str, target: str | None, datastore: str | None, name: str | None, overwrite: bool, quiet: bool,
    workspace: str | None,
) -> None:  # fmt: skip
    """Upload a folder or file and register it as a data set; twice moves nothing."""
    from jupyter_mlrun.sdk import data

    found = data.upload_data(
        _workspace(workspace), source, target, datastore=datastore, name=name, overwrite=overwrite, progress=not quiet
    )
    label = f"{found.name}:{found.version}"
    if quiet:
        say(label)
    else:
        say(f"data set {label}: give it to a run with -i NAME={label}")


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@workspace_option
@json_option
def datasets(name: str | None, workspace: str | None, as_json: bool) -> None:
    """List data sets; with NAME its versions."""
    from jupyter_mlrun.store.registry import Versions

    place = _workspace(workspace).folder
    registry = Versions(place, "dataset")
    found: list[dict[str, Any]] = [
        {key: record.get(key) for key in ("name", "version", "created", "bytes", "description", "tags")}
        | {"files": record.get("count"), "id": record["id"]}
        for record in _records(registry, name)
    ]
    if as_json:
        print_json(found)
    elif not found:
        click.echo("no data sets yet: jupyter mlrun upload-data SRC")
    else:
        from jupyter_mlrun import cli_draw

        rows = [
            (one["name"], one["version"], one["files"], _size(one["bytes"]), _age(one["created"]), _tags(one["tags"]))
            for one in found
        ]
        cli_draw.listing(("NAME", "VERSION", "FILES", "SIZE", "AGE", "TAGS"), rows, narrow=("NAME", "VERSION", "SIZE"))


def _records(registry: Any, name: str | None) -> list[dict[str, Any]]:
    """The latest record of each name; of one *name* every record, newest first."""
    if name is None:
        return list(registry.latest().values())
    wanted, _, version = name.partition(":")
    latest = registry.get(wanted, version or None)
    if version:
        return [latest]
    return list(registry.records(wanted))[::-1]


# ---- files of runs ---------------------------------------------------------------------------------------


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("file", metavar="[FILE…]", nargs=-1)
@click.option("--to", metavar="DIR", help="Where to; default: here.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
def download(run: str, file: tuple[str, ...], to: str | None, overwrite: bool) -> None:
    """Copy files of a run: names, folders or patterns; without FILE all of them, in a folder named as the run."""
    from jupyter_mlrun.sdk import downloading

    found = find(run)
    done = downloading.download(found, file, Path(to) if to else None, overwrite=overwrite)
    for path in done[:SHOWN]:
        say(str(path))
    if len(done) > SHOWN:
        click.echo(f"and {len(done) - SHOWN} more")


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("folder", metavar="DIR")
def restore(run: str, folder: str) -> None:
    """Put the source of a run, as it was submitted, into a new or empty folder."""
    from jupyter_mlrun.store import placing
    from jupyter_mlrun.store.home import WorkspaceDir
    from jupyter_mlrun.store.packs import ObjectStore

    found = find(run)
    taken = found.spec.snapshot
    if not taken:
        raise NotFound(f"run {found.id} has no snapshot", hint="it was submitted without files")
    store = ObjectStore(WorkspaceDir(found.home, found.spec.workspace).objects)
    made = placing.restore_tree(store, str(taken["id"]), Path(folder))
    files = taken.get("files")
    say(f"{made}: {files} files" if files != 1 else f"{made}: 1 file")


# ---- models ----------------------------------------------------------------------------------------------


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("path", metavar="PATH")
@click.option("--name", metavar="N", required=True, help="The model's name.")
@click.option("--tag", metavar="K=V", multiple=True, help="A tag; repeat it.")
@click.option("--property", "properties", metavar="K=V", multiple=True, help="A property, written once; repeat it.")
@click.option("--description", metavar="TEXT", help="What it is.")
@click.option("--framework", metavar="TEXT", help="What made it, like PyTorch.")
@click.option("-q", "--quiet", is_flag=True, help="Print only NAME:VERSION.")
def register(
    run: str, path: str, name: str, tag: tuple[str, ...], properties: tuple[str, ...], description: str | None,
    framework: str | None, quiet: bool,
) -> None:  # fmt: skip
    """Register a file or folder of a run as the next version of a model."""
    from jupyter_mlrun.sdk.model import register_from_run

    found = find(run)
    made = register_from_run(
        found, name, path, tags=_pairs(tag), properties=_pairs(properties), description=description,
        model_framework=framework,
    )  # fmt: skip
    if quiet:
        say(made.id)
    else:
        say(f"model {made.id}: {made.path} of run {found.id}, {_size(made.size_in_bytes)}")


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@workspace_option
@json_option
def models(name: str | None, workspace: str | None, as_json: bool) -> None:
    """List models; with NAME its versions."""
    from jupyter_mlrun.sdk.model import Model
    from jupyter_mlrun.store.registry import Versions

    place = _workspace(workspace)
    found = [Model.at(place, record) for record in _records(Versions(place.folder, "model"), name)]
    if as_json:
        print_json([one.serialize() for one in found])
    elif not found:
        click.echo("no models yet: jupyter mlrun register RUN PATH --name NAME")
    else:
        from jupyter_mlrun import cli_draw

        columns = ("NAME", "VERSION", "SIZE", "AGE", "RUN", "PATH", "TAGS")
        cli_draw.listing(columns, [_model_row(one) for one in found], narrow=("NAME", "VERSION", "SIZE"))


def _model_row(one: Model) -> tuple[object, ...]:
    run = (one.run_id or "-").rpartition("_")[2]
    age = _age(one.created_time.timestamp())
    return one.name, one.version, _size(one.size_in_bytes), age, run, one.path, _tags(one.tags)


def models_of(run: Run) -> str:
    """What to say of the models that came from a run, which is about to be removed; nothing where there are none."""
    from jupyter_mlrun.sdk.modelrecords import from_run
    from jupyter_mlrun.store.home import WorkspaceDir
    from jupyter_mlrun.store.registry import Versions

    spec = run.spec
    found = from_run(Versions(WorkspaceDir(run.home, spec.workspace), "model"), spec.run_id)
    if not found:
        return ""
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    stay = "a model came from it and stays" if len(found) == 1 else "models came from it and stay"
    return f"{stay}: {', '.join(found[:SHOWN])}{more}"


# ---- archives --------------------------------------------------------------------------------------------


@click.command()
@click.argument("run", metavar="[RUN…]", nargs=-1)
@click.argument("file", metavar="FILE")
@click.option("--all", "everything", is_flag=True, help="Every run of the workspace that has ended.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@workspace_option
def export(run: tuple[str, ...], file: str, everything: bool, overwrite: bool, workspace: str | None) -> None:
    """Write runs that have ended into one file, with all that they need."""
    from jupyter_mlrun.store import archive
    from jupyter_mlrun.store.home import WorkspaceDir
    from jupyter_mlrun.ui.progress import Bar

    if everything == bool(run):
        raise BadInput("which runs?", hint="jupyter mlrun export RUN… FILE, or jupyter mlrun export --all FILE")
    found = _ended(_workspace(workspace)) if everything else list(dict.fromkeys(find(text) for text in run))
    _settle(found)
    given = [(WorkspaceDir(one.home, one.spec.workspace), one.directory) for one in found]
    with Bar(f"export {Path(file).name}", archive.total_bytes(given)) as bar:
        done = archive.export(given, Path(file), overwrite=overwrite, say=lambda count, _: bar.to(count))
    for path, why in done.left_out[:SHOWN]:
        say(f"left out: {path} ({why})", err=True)
    if len(done.left_out) > SHOWN:
        click.echo(f"left out: {len(done.left_out) - SHOWN} more", err=True)
    say(f"{file}: {_runs(len(done.runs))}, {_size(Path(file).stat().st_size)}")


def _ended(workspace: Workspace) -> list[Run]:
    from jupyter_mlrun.sdk.run import Run
    from jupyter_mlrun.store.runs import load, run_dirs

    loaded = [(one, load(one)) for one in run_dirs(workspace.folder)]
    found = [Run.at(one) for one, state in loaded if state is not None and state[1].is_over]
    if not found:
        raise NotFound(f"no run of workspace {workspace.name!r} has ended", hint="jupyter mlrun ps --all")
    return found


def _settle(found: Sequence[Run]) -> None:
    """Have the agent write down ends that it has not seen yet."""
    from jupyter_mlrun.agent import client
    from jupyter_mlrun.store.runs import recorded

    if any(one.state.is_over and not recorded(one.directory).is_over for one in found):
        client.sync(home())


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


@click.command("import")
@click.argument("file", metavar="FILE")
@workspace_option
@json_option
def import_(file: str, workspace: str | None, as_json: bool) -> None:
    """Bring in the runs of a file that export made; those that are here stay as they are."""
    from jupyter_mlrun.store import importing
    from jupyter_mlrun.ui.progress import Bar

    place = _workspace(workspace)
    with Bar(f"import {Path(file).name}", importing.total_bytes(Path(file))) as bar:
        done = importing.import_(Path(file), place.folder, say=lambda count, _: bar.to(count))
    if as_json:
        print_json({"workspace": place.name, "new": done.new, "known": done.known})
        return
    for run_id in done.new:
        click.echo(run_id)
    known = f"; {_runs(len(done.known))} here already" if done.known else ""
    say(f"{_runs(len(done.new))} imported into workspace {place.name}{known}")


# ---- computes ----------------------------------------------------------------------------------------------


@click.group(cls=Group)
def compute() -> None:
    """Where runs can go to."""


@compute.command("list")
@workspace_option
@json_option
def compute_list(workspace: str | None, as_json: bool) -> None:
    """List the computes of the workspace."""
    from jupyter_mlrun.sdk import computes

    found = computes.rows(_workspace(workspace))
    if as_json:
        print_json(found)
        return
    from jupyter_mlrun import cli_draw

    rows = [(one["name"], one["type"], one["vm_size"] or "-", one["max_nodes"] or "-", one["active"]) for one in found]
    cli_draw.listing(("NAME", "TYPE", "SIZE OF NODE", "NODES", "ACTIVE"), rows, narrow=("NAME", "TYPE", "ACTIVE"))


@compute.command("add")
@click.argument("name", metavar="NAME")
@click.option("--vm-size", metavar="SIZE", help="What notebooks ask for, like STANDARD_D2_V2.")
@click.option("--max-nodes", type=click.IntRange(1), help="Most nodes; default: 4.")
@workspace_option
def compute_add(name: str, vm_size: str | None, max_nodes: int | None, workspace: str | None) -> None:
    """Make a compute: a name under which runs come to this machine."""
    from jupyter_mlrun.sdk import computes

    more = {"vm_size": vm_size} if vm_size else {}
    made = computes.add(_workspace(workspace), name, max_nodes=max_nodes, **more)
    say(f"compute {name}: {made['type']}, {made['vm_size']}; its runs go to this machine")


@compute.command("check")
@click.argument("name", metavar="NAME")
@workspace_option
@json_option
def compute_check(name: str, workspace: str | None, as_json: bool) -> None:
    """Say what a compute is and whether runs can go there."""
    from jupyter_mlrun.sdk import computes

    found = computes.check(_workspace(workspace), name)
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        if value is not None:
            say(f"{key:10} {_words(value)}")


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(one)}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value)) or "none"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


@compute.command("rm")
@click.argument("name", metavar="NAME…", nargs=-1, required=True)
@workspace_option
def compute_rm(name: tuple[str, ...], workspace: str | None) -> None:
    """Forget computes."""
    from jupyter_mlrun.sdk import computes

    for one in dict.fromkeys(name):
        computes.remove(_workspace(workspace), one)
        say(f"removed {one}")


# ---- workspaces --------------------------------------------------------------------------------------------


@click.group(cls=Group)
def workspace() -> None:
    """Parts of the home, each with runs, data and models of its own."""


@workspace.command("list")
@json_option
def workspace_list(as_json: bool) -> None:
    """List the workspaces; the one in use has a sign."""
    from jupyter_mlrun.sdk import workspaces

    found = workspaces.workspaces(home())
    if as_json:
        print_json(found)
    elif not found:
        click.echo("no workspaces yet: the first submit makes one")
    else:
        from jupyter_mlrun import cli_draw

        rows = [("*" if one["current"] else "", one["name"], one["runs"], one["active"], one["path"]) for one in found]
        cli_draw.listing(("", "NAME", "RUNS", "ACTIVE", "PATH"), rows, narrow=("", "NAME", "RUNS"))


@workspace.command("use")
@click.argument("name", metavar="NAME")
def workspace_use(name: str) -> None:
    """Have runs go to a workspace from now on; it need not be there yet."""
    from jupyter_mlrun.sdk import workspaces

    path = workspaces.use(name)
    say(f"workspace {name} is in use from now on ({path})")
    known = [one["name"] for one in workspaces.workspaces(home())]
    if name not in known:
        say(f"it is new, the first run makes it; known: {', '.join(known[:SHOWN]) or 'none yet'}")


@workspace.command("rm")
@click.argument("name", metavar="NAME")
@click.option("--force", is_flag=True, help="With its runs, data sets and models.")
def workspace_rm(name: str, force: bool) -> None:
    """Remove a workspace."""
    from jupyter_mlrun.sdk import workspaces

    workspaces.remove(name, home(), force=force)
    say(f"removed workspace {name}")


VERBS = (upload_data, datasets, download, restore, register, models, export, import_, compute, workspace)
