"""Submitting: what was asked becomes a package, a snapshot and a recorded run, in that order.

Everything that can be wrong is found before the run exists.  Reads the source folder and the environment;
writes objects, a manifest and the run directory, and wakes the agent.
"""

from __future__ import annotations

import ast
import getpass
import json
import os
import socket
import sys
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun import package
from jupyter_mlrun._version import __version__
from jupyter_mlrun.agent import client
from jupyter_mlrun.backends import local, warm
from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.records import Resources, Spec, experiment_name
from jupyter_mlrun.sdk import computes, environment, notebook
from jupyter_mlrun.sdk import inputs as data
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.workspace import Workspace
from jupyter_mlrun.settings import JupyterMLRun, default_home, parse_size, parse_time
from jupyter_mlrun.store import gitstate, runs, snapshot
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.words import did_you_mean
from jupyter_mlrun.worker import process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST_NAME = 200


@dataclass(frozen=True)
class Request:
    """What a magic, the command line or the SDK asks for; the options of ``options.py`` by name."""

    cell: str | None = None
    script: str | None = None
    command: list[str] | None = None
    experiment: str | None = None
    target: str | None = None
    env: str | None = None
    source: str | None = None
    parameters: tuple[str, ...] = ()
    use: tuple[str, ...] = ()
    namespace: Mapping[str, object] | None = None
    arguments: tuple[str, ...] = ()
    gpus: str | int = "auto"
    cpus: int | None = None
    memory: str | int | None = None
    time: str | float | None = None
    procs: int = 1
    nodes: int = 1
    priority: int = 0
    env_vars: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    max_snapshot: str | int | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    cwd: str | None = None
    notebook: str | None = None
    client: str = "sdk"
    rerun_of: str | None = None
    inputs: tuple[str, ...] = ()  # NAME=DATA
    bound: Mapping[str, Any] | None = None  # name -> DatasetConsumptionConfig or DataReference, from the SDK
    expand: bool = False  # whether $NAME in arguments stands for an input or a variable of the compute
    environment: Any = None  # an Environment, instead of env
    variables: Mapping[str, str] | None = None  # for the run, beside env_vars
    preamble: bool = False  # whether the log begins with what the reference's driver wrote
    parent: str | None = None
    properties: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Prepared:
    """A request that has been checked: what would be submitted."""

    request: Request
    experiment: str
    target: str
    package: package.Package
    plan: snapshot.Plan | None
    files: dict[str, bytes]
    resources: Resources
    environment: dict[str, Any]
    variables: dict[str, str]
    tags: dict[str, str]
    inputs: list[dict[str, Any]]
    expansions: dict[str, list[Any]]

    @property
    def left_out(self) -> list[list[str]]:
        """What stays out of the snapshot, and why."""
        return [[str(path), why] for path, why in self.plan.left_out] if self.plan else []


def prepare(request: Request, settings: JupyterMLRun, workspace: Workspace | None = None) -> Prepared:
    """Check everything and decide everything; writes nothing but manifests of parts of data sets."""
    workspace = workspace or Workspace(settings.workspace, home=default_home())
    target = request.target or settings.target
    computes.backend_of(workspace, target)
    if os.name == "nt":
        raise BadInput("local runs do not work on Windows", hint="use WSL2")
    resources = _resources(request)
    local.look().check(resources, environment.visible_gpus(os.environ))
    chosen = request.environment or environment.chosen(request.env, workspace)
    interpreter = chosen.resolve()
    if notebook.is_notebook(request.script):
        notebook.check_interpreter(interpreter)
    own = environment.own_variables(request.env_vars)
    variables = {**chosen.environment_variables, **(request.variables or {}), **own}
    tags = _tags(request.tags)
    check_name(request.name)
    plan, files = _source(request, settings)
    taken = {**environment.inherited(os.environ), **variables}
    inputs = data.of_request(workspace, request.inputs, request.bound, taken, Path(request.cwd or "."))
    shown, parts = data.expansions(request.arguments, [one["name"] for one in inputs], expand=request.expand)
    packaged = _package(replace(request, arguments=tuple(shown)), plan, files)
    before = len(packaged.arguments) - len(shown)  # what parameters put in front
    return Prepared(
        request=request,
        experiment=experiment_name(request.experiment or "notebook"),
        target=target,
        package=packaged,
        plan=plan,
        files={**files, **packaged.files},
        resources=resources,
        environment=interpreter,
        variables=variables,
        tags=tags,
        inputs=inputs,
        expansions={str(before + place): found for place, found in parts.items()},
    )


def _resources(request: Request) -> Resources:
    gpus = request.gpus
    if isinstance(gpus, str) and gpus not in ("auto", "all"):
        if not gpus.isdigit():
            raise BadInput(f"--gpus {gpus!r} is no count of GPUs", hint="give a number, auto or all")
        gpus = int(gpus)
    for name, value, least in (
        ("--memory", None if request.memory is None else parse_size(request.memory), 1),
        ("--cpus", request.cpus, 1), ("--procs", request.procs, 1), ("-n", request.nodes, 1), ("--gpus", gpus, 0),
    ):  # fmt: skip
        if isinstance(value, int) and value < least:
            raise BadInput(f"{name} {value} is less than {least}")
    return Resources(
        gpus=gpus,
        cpus=request.cpus,
        memory=None if request.memory is None else parse_size(request.memory),
        time=None if request.time is None else parse_time(request.time),
        procs=request.procs,
        nodes=request.nodes,
    )


def check_name(name: str | None) -> None:
    """Raise ``BadInput`` for what is no name for a run."""
    if name is not None and (not name.strip() or len(name) > LONGEST_NAME or not name.isprintable()):
        raise BadInput(
            f"--name {name[:40]!r} is no name for a run", hint=f"1 to {LONGEST_NAME} characters that can be printed"
        )


def _tags(pairs: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if not key.strip():
            raise BadInput(f"--tag {pair!r} has no name", hint="write it like --tag stage=test")
        found[key.strip()] = value
    return found


def _root(request: Request) -> Path:
    """Where what is submitted comes from."""
    base = Path(request.cwd or ".").absolute()
    if request.source is not None:
        return base / Path(request.source).expanduser()
    return base if request.script is None else (base / Path(request.script).expanduser()).parent


def _source(request: Request, settings: JupyterMLRun) -> tuple[snapshot.Plan | None, dict[str, bytes]]:
    """The scanned source folder, or the lone script's bytes."""
    base = Path(request.cwd or ".").absolute()
    if request.source is not None:
        root = base / Path(request.source).expanduser()
        if not root.is_dir():
            raise NotFound(f"the source folder {request.source!r} does not exist", hint=f"it was looked for at {root}")
        store = ObjectStore(WorkspaceDir(default_home(), settings.workspace).objects)
        limit = parse_size(request.max_snapshot or settings.max_snapshot)
        return snapshot.scan(root, include=request.include, max_bytes=limit, store=store), {}
    if request.script is None:
        return None, {}
    path = base / Path(request.script).expanduser()
    if not path.is_file():
        near = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise NotFound(f"no script {request.script!r}", hint=did_you_mean(path.name, near))
    content = path.read_bytes()
    if not notebook.is_notebook(path.name):
        _check_syntax(path, content)
    return None, {path.name: content}


def _check_syntax(path: Path, content: bytes) -> None:
    """A script that Python cannot read is refused before it waits in a queue."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(content, str(path), "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except (SyntaxError, ValueError) as problem:
        line = getattr(problem, "lineno", None)
        where = f"{path.name} line {line}" if line else path.name
        raise BadInput(f"{where}: {getattr(problem, 'msg', None) or problem}", hint="correct the script") from problem


def _package(request: Request, plan: snapshot.Plan | None, files: Mapping[str, bytes]) -> package.Package:
    present = [*files, *(plan.paths() if plan else ())]
    if request.cell is not None:
        return package.package_cell(
            request.cell,
            parameters=request.parameters,
            use=request.use,
            namespace=request.namespace,
            present=present,
            cwd=Path(request.cwd) if request.cwd else None,
            source=Path(request.source).absolute() if request.source else None,
            arguments=request.arguments,
        )
    if request.command is not None:
        return package.Package(kind="command", script="", files={}, arguments=request.arguments)
    script = request.script or ""
    if plan is None:
        script = Path(script).name
    elif Path(script).is_absolute() or script not in present:
        script = _inside(script, Path(request.cwd or "."), Path(request.source or "."), present)
    if notebook.is_notebook(script):
        path = package.in_snapshot(script, present)
        root = Path(request.cwd or ".") / Path(request.source or ".").expanduser()
        content = files[path] if plan is None else (root / path).read_bytes()
        return notebook.package(
            path, content, parameters=request.parameters, arguments=request.arguments, use=request.use
        )
    return package.package_script(script, present=present, parameters=request.parameters, arguments=request.arguments)


def _inside(script: str, cwd: Path, source: Path, present: list[str]) -> str:
    """A script named from the working folder, as a path within the source folder."""
    path = Path(os.path.relpath((cwd / script).absolute(), (cwd / source).absolute()))
    return str(path) if str(path) in present else script


def submit(
    request: Request, settings: JupyterMLRun, *, workspace: Workspace | None = None, prepared: Prepared | None = None
) -> Run:
    """Make the run exist and wake the agent; returns at once."""
    workspace = workspace or Workspace(settings.workspace, home=default_home())
    ready = prepared or prepare(request, settings, workspace)
    place = workspace.folder.make()
    with gitstate.Asked(_root(ready.request)) as git:  # it answers while the snapshot is taken
        manifest = snapshot.take(ObjectStore(place.objects), ready.plan, extra=ready.files)
        spec = replace(_spec(ready, settings, place.name, str(place.objects), manifest), git=git.answer())
    values = {**environment.inherited(os.environ), **ready.variables}
    run = runs.record(place, replace(spec, env_names=sorted(values)), values)
    client.ensure_agent(place.home)
    client.ring(place.home)
    return Run.at(run)


def _spec(ready: Prepared, settings: JupyterMLRun, workspace: str, objects: str, manifest: Any) -> Spec:
    request, packaged = ready.request, ready.package
    return Spec(
        run_id=runs.new_run_id(ready.experiment),
        experiment=ready.experiment,
        workspace=workspace,
        created=time.time(),
        created_by=_submitter(request.client),
        kind=packaged.kind,
        script=packaged.script or None,
        command=request.command,
        arguments=list(packaged.arguments),
        inputs=ready.inputs,
        expansions=ready.expansions,
        preamble=request.preamble or bool(ready.inputs),
        parent=request.parent,
        properties=dict(request.properties or {}),
        snapshot={"id": manifest.id, "files": manifest.count, "bytes": manifest.bytes},
        objects=objects,
        environment=ready.environment,
        display_name=request.name,
        parameters={name: {"text": p.text, "value": json_value(p.value)} for name, p in packaged.parameters.items()},
        target=ready.target,
        resources=ready.resources,
        priority=request.priority,
        visible_gpus=environment.visible_gpus(os.environ),
        limits={
            "max_log_bytes": settings.max_log_bytes,
            "stop_grace": settings.stop_grace,
            "max_concurrent": settings.max_concurrent,
            "gpu_free_memory": settings.gpu_free_memory,
        },
        start={"warm": settings.warm, "preload": warm.choose(settings.preload)},
        tags=ready.tags,
        notebook=request.notebook,
        rerun_of=request.rerun_of,
        left_out=ready.left_out[:200],
        umask=environment.current_umask(),
    )


def json_value(value: object) -> object:
    """A parameter's value as JSON has it; what JSON has not (bytes, sets, infinity) as Python writes it."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return repr(value)
    return value


def _submitter(kind: str) -> dict[str, Any]:
    return {
        "user": _user(),
        "host": socket.gethostname(),
        "host_id": process.host_id(),
        "pid": os.getpid(),
        "client": kind,
        "version": __version__,
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a uid without a name, as in containers
        return str(os.getuid())


def rerun(run: Run, change: Callable[[Spec], Spec] = lambda spec: spec) -> Run:
    """The same snapshot, parameters and options once more, with the variables' values of this process.

    Names on stderr which variables the first run had and this process has not.  *change*: makes the spec another one.
    """
    old = change(run.spec)
    if not environment.interpreter_exists(old.environment):
        raise NotFound(f"the interpreter of run {old.run_id} is gone: {old.environment['python']}")
    now = environment.inherited(os.environ)
    missing = sorted(set(old.env_names) - set(now))
    if missing:
        print(f"not set here, but in the first run: {', '.join(missing)}", file=sys.stderr)
    place = run.experiment.workspace.folder
    spec = replace(
        Spec.from_json(runs.settled(old.to_json(), place)),
        run_id=runs.new_run_id(old.experiment),
        created=time.time(),
        created_by=_submitter("rerun"),
        env_names=sorted(now),
        visible_gpus=environment.visible_gpus(os.environ),
        rerun_of=old.run_id,
    )
    made = runs.record(place, spec, now)
    client.ensure_agent(place.home)
    client.ring(place.home)
    return Run.at(made)


def dry_run(request: Request, settings: JupyterMLRun) -> str:
    """What ``submit`` would do, in words: files, sizes, what stays out, the scripts and the command."""
    ready = prepare(request, settings)
    lines = [f"experiment {ready.experiment} on {ready.target}; nothing was submitted", "", "files:"]
    sizes = {name: len(data) for name, data in ready.files.items()}
    if ready.plan:
        sizes.update({str(file.path): file.size for file in ready.plan.files})
    lines += [f"  {size:>12,}  {name}" for name, size in sorted(sizes.items())]
    lines += [f"  {sum(sizes.values()):>12,}  bytes in {len(sizes)} file{'s' * (len(sizes) != 1)}"]
    if ready.left_out:
        lines += ["", "left out:", *(f"  {path}  ({why})" for path, why in ready.left_out)]
    packaged = ready.package
    lines += ["", *(f"note: {text}" for text in packaged.warnings)]
    lines += [f"brought: {b.name} ({b.kind}, {b.how})" for b in packaged.brought]
    for name, content in packaged.files.items():
        lines += [f"--- {name} ---", content.decode("utf-8", "replace").rstrip("\n"), ""]
    lines += [f"input {data.describe(one)}" for one in ready.inputs]
    arguments, _ = data.expansions(packaged.arguments, [one["name"] for one in ready.inputs], expand=False)
    program = [ready.environment["python"], *(["-m", "papermill"] if packaged.kind == notebook.KIND else [])]
    command = [*(request.command or [*program, packaged.script]), *arguments]
    lines += [f"command: {' '.join(map(str, command))}"]
    return "\n".join(lines)
