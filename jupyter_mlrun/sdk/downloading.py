"""Files of a run copied to where somebody wants them, each under its own name, as ``cp -r`` would.

Reads run directories; writes the user's folder, each file whole or not at all.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import BadInput, Conflict, NotFound, StoreError
from jupyter_mlrun.store import trees
from jupyter_mlrun.worker import runfiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_mlrun.sdk.run import Run


def download(run: Run, wanted: Sequence[str], to: Path | None = None, *, overwrite: bool = False) -> list[Path]:
    """Copy files, folders and patterns of *run* into the folder *to* (default: here); returns the new paths.

    Without *wanted* all of the run's files, in a folder with the run's id.  Nothing is written where one of them is
    not there, or is in the way.

    Raises ``NotFound`` that lists the files there are, ``Conflict`` for files that exist unless *overwrite*.
    """
    there = dict(runfiles.choose(run.directory, ""))
    folder = to or Path()
    plan: dict[str, str] = {}
    for text in wanted:
        for name, target in _meant(run, there, text).items():
            if plan.setdefault(target, name) != name:
                raise BadInput(
                    f"{plan[target]} and {name} would both become {target}", hint="copy them into two folders: --to DIR"
                )
    if not wanted:
        plan = {f"{run.id}/{name}": name for name in there}
        if not plan:
            raise NotFound(f"run {run.id} has no files", hint="it keeps what it writes into ./outputs")
    _check(plan, folder, overwrite=overwrite)
    try:
        for target, name in plan.items():
            runfiles.copy_out(there[name], str(folder / target))
    except OSError as problem:
        raise StoreError(
            f"{problem.filename or folder} cannot be written: {problem.strerror or problem}",
            hint="free space or permissions there",
        ) from problem
    return [folder / target for target in plan]


def _meant(run: Run, there: Mapping[str, str], text: str) -> dict[str, str]:
    """What *text* names: each file with the path that its copy gets."""
    name = trees.clean(text, "file of a run")
    base = name.rpartition("/")[2]
    if name in there:
        return {name: base}
    below = {one: f"{base}/{one[len(name) + 1 :]}" for one in there if one.startswith(f"{name}/")}
    if below or not trees.is_pattern(name):
        if not below:
            hint = runfiles.hint_of(name, sorted(there))
            raise NotFound(f"run {run.id} has no file {text!r}", hint=hint)
        return below
    found = [one for one in there if trees.matches(one, name)]
    if not found:
        hint = runfiles.hint_of(name, sorted(there))
        raise NotFound(f"run {run.id} has no file like {text!r}", hint=hint)
    start = len(trees.base_of(name))
    return {one: one[start:].lstrip("/") for one in found}


def _check(plan: Mapping[str, str], folder: Path, *, overwrite: bool) -> None:
    """Find what is in the way before anything is written."""
    wrong = next((path for path in (folder, *folder.parents) if os.path.lexists(path) and not path.is_dir()), None)
    if wrong is not None:
        raise Conflict(f"{wrong} is no folder", hint="choose another with --to")
    for target in plan:
        path = folder / target
        if path.is_dir() or (os.path.lexists(path) and not overwrite):
            what = "is a folder" if path.is_dir() else "exists already"
            raise Conflict(f"{path} {what}", hint="choose another folder with --to, or allow it with --overwrite")
        for parent in path.parents[: len(Path(target).parts) - 1]:
            if os.path.lexists(parent) and not parent.is_dir():
                raise Conflict(f"{parent} is no folder", hint="choose another folder with --to")
