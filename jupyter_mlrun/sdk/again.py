"""A run once more, with something other than it was: resources, name, tags, parameters.

Reads the run's spec; what it makes is submitted by ``submit``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.backends import local
from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.parameters import parse_parameters
from jupyter_mlrun.sdk import submit
from jupyter_mlrun.settings import parse_size, parse_time
from jupyter_mlrun.worker import notes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_mlrun.records import Resources, Spec
    from jupyter_mlrun.sdk.run import Run


def again(run: Run, changes: Mapping[str, Any]) -> Run:
    """Submit *run* again with *changes*: ``name gpus cpus memory time priority parameters tags``.

    Raises ``BadInput`` for a change that cannot be, before anything is written.
    """
    if run.type is None:
        raise BadInput(f"run {run.id} was a process of its user: it cannot be run again", hint="submit a script")
    return submit.rerun(run, lambda spec: _changed(spec, changes))


def _changed(spec: Spec, changes: Mapping[str, Any]) -> Spec:
    name = changes.get("name", spec.display_name)
    if "name" in changes:
        submit.check_name(name)
    resources = _resources(spec.resources, changes)
    local.look().check(resources, spec.visible_gpus)
    made = replace(
        spec,
        display_name=name,
        resources=resources,
        priority=changes.get("priority", spec.priority),
        tags={**spec.tags, **notes.texts(changes.get("tags") or {}, "tags")},
    )
    return _with_parameters(made, changes["parameters"]) if changes.get("parameters") else made


def _resources(old: Resources, changes: Mapping[str, Any]) -> Resources:
    gpus: int | str = changes.get("gpus", old.gpus)
    if isinstance(gpus, str) and gpus not in ("auto", "all"):
        if not gpus.isdigit():
            raise BadInput(f"{gpus[:40]!r} is no count of GPUs", hint="give a number, auto or all")
        gpus = int(gpus)
    cpus = changes.get("cpus", old.cpus)
    if cpus is not None and cpus < 1:
        raise BadInput(f"{cpus} CPU cores are less than 1")
    return replace(
        old,
        gpus=gpus,
        cpus=cpus,
        memory=parse_size(changes["memory"]) if "memory" in changes else old.memory,
        time=parse_time(changes["time"]) if "time" in changes else old.time,
    )


def _with_parameters(spec: Spec, texts: Mapping[str, str]) -> Spec:
    """A script gets them as ``--KEY VALUE``, before its arguments; a notebook's are filled in; a cell has its own."""
    if spec.kind not in {"script", "notebook"}:
        raise BadInput(
            f"the parameters of a {spec.kind} are a part of its source", hint="change them there, and submit it"
        )
    unknown = [name for name in texts if name not in spec.parameters]
    if unknown:
        had = f"it had: {', '.join(spec.parameters)}" if spec.parameters else "it had none: submit it anew with -p"
        raise BadInput(f"the run had no parameter {unknown[0][:60]!r}", hint=had)
    given = parse_parameters([f"{name}={text}" for name, text in texts.items()])
    kept = {
        name: {"text": given[name].text, "value": submit.json_value(given[name].value)} if name in given else old
        for name, old in spec.parameters.items()
    }
    if spec.kind == "notebook":
        return replace(spec, parameters=kept)
    options = [part for name, one in kept.items() for part in (f"--{name}", str(one["text"]))]
    return replace(spec, parameters=kept, arguments=[*options, *spec.arguments[2 * len(spec.parameters) :]])
