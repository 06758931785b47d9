"""What a run is, in words: the facts by which runs are compared, and which overviews show.

Reads specs and metrics that it is given; writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_mlrun.differences import Facts
from jupyter_mlrun.ui.reader import words
from jupyter_mlrun.ui.words import duration, number, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_mlrun.records import Spec


def environment_of(spec: Spec) -> list[tuple[str, str]]:
    """The environment in words."""
    found = []
    for name, value in spec.environment.items():
        if isinstance(value, (str, int, float)) and value != "":
            found.append((words(name.replace("_", " "), 100), words(value)))
    return found


def git_of(spec: Spec) -> dict[str, Any] | None:
    """The state of the repository, where it was recorded."""
    found = spec.git
    if not isinstance(found, dict) or not isinstance(found.get("commit"), str):
        return None
    branch, remote = found.get("branch"), found.get("remote")
    return {
        "commit": words(found["commit"], 100),
        "branch": words(branch, 300) if branch else None,
        "dirty": bool(found.get("dirty")),
        "remote": words(remote, 500) if remote else None,
    }


def resources_of(spec: Spec) -> dict[str, Any]:
    """What was asked for, in words."""
    asked = spec.resources
    return {
        "gpus": words(asked.gpus),
        "cpus": None if asked.cpus is None else str(asked.cpus),
        "memory": None if asked.memory is None else size(asked.memory),
        "time": None if asked.time is None else duration(asked.time),
        "procs": asked.procs,
        "nodes": asked.nodes,
        "priority": spec.priority,
    }


def input_of(one: dict[str, Any]) -> dict[str, Any]:
    """An input as people name it."""
    known = one.get("dataset") or {}
    name, version = known.get("name"), known.get("version")
    what = f"{name}:{version}" if name else one.get("path") or ", ".join("/".join(p) for p in one.get("paths", ()))
    return {
        "name": words(one.get("name")),
        "what": words(what),
        "dataset": words(name) if name else None,
        "version": version if isinstance(version, int) else None,
        "mode": words(one.get("mode", "")),
        "path": words(one["path_on_compute"]) if one.get("path_on_compute") else None,
    }


def facts_of(
    spec: Spec, *, became: Mapping[str, str], metrics: Mapping[str, Any], tags: Mapping[str, str] | None = None
) -> Facts:
    """What is compared of a run.

    Args:
        spec: what it was asked to be.
        became: what became of it, in words (``became_of``); empty for what is compared before it ran.
        metrics: name and last value.
        tags: those that it has now; default: those that it was submitted with.
    """
    git = git_of(spec) or {}
    now = spec.tags if tags is None else tags
    sections: dict[str, dict[str, str]] = {
        "run": dict(became),
        "parameters": {words(name, 200): words(one.get("text")) for name, one in spec.parameters.items()},
        "metrics": {words(name, 300): words(number(value), 200) for name, value in metrics.items()},
        "tags": {words(name, 200): words(value) for name, value in now.items()},
        "environment": dict(environment_of(spec)),
        "inputs": {one["name"]: one["what"] for one in map(input_of, spec.inputs)},
        "resources": {name: str(value) for name, value in resources_of(spec).items() if value is not None},
        "code": {"script": words(spec.script or ""), "snapshot": str((spec.snapshot or {}).get("id", ""))[:12]},
        "git": {name: str(value) for name, value in git.items() if value is not None},
    }
    return Facts(sections)


def became_of(status: str, experiment: str, target: str, seconds: float) -> dict[str, str]:
    """What became of a run, in words; *seconds*: that it ran, negative where it did not."""
    return {
        "status": status,
        "experiment": words(experiment, 200),
        "compute": words(target, 200),
        "duration": duration(seconds) if seconds >= 0 else "-",
    }
