"""Puts a stored tree where a user wants it: made aside, and there whole or not at all.

Reads the content store; writes the user's folder.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import Conflict, JupyterMLRunError, StoreError
from jupyter_mlrun.store import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_mlrun.store.packs import ObjectStore


def place(store: ObjectStore, manifest_id: str, target: Path, *, name: str | None = None, over: bool = False) -> Path:
    """The tree at *target*; with *name* only that file of it.

    Args:
        store: where the content is.
        manifest_id: which tree.
        target: the folder (or file) to make; missing parents are made.
        name: the one file of the tree that *target* is to be.
        over: whether what is there already may be replaced, file by file; other files there stay.

    Raises ``Conflict`` where something is in the way, ``StoreError`` where there is no space.
    """
    if os.path.lexists(target) and not over:
        raise _in_the_way(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.parent / f".{secrets.token_hex(6)}.new"
        try:
            snapshot.materialise(store, manifest_id, aside)
            _into_place(aside if name is None else aside / name, target, over=over)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as problem:
        raise StoreError(
            f"{target} cannot be written: {problem.strerror or problem}", hint="free space or permissions there"
        ) from problem
    return target


def _in_the_way(target: Path) -> Conflict:
    return Conflict(f"{target} exists already", hint="choose another folder, or allow it with exist_ok=True")


def _into_place(made: Path, target: Path, *, over: bool) -> None:
    if made.is_dir():
        if target.is_dir() and not target.is_symlink():
            _merge(made, target)
            return
        if over and os.path.lexists(target):
            raise Conflict(f"{target} is no folder", hint="move it away, or choose another folder")
        os.rename(made, target)
    elif over:
        if target.is_dir():
            raise Conflict(f"{target} is a folder", hint="move it away, or choose another folder")
        os.replace(made, target)
    else:
        _as_new(made, target)


def _as_new(made: Path, target: Path) -> None:
    """The file under its name, unless somebody else has put something there meanwhile."""
    try:
        os.link(made, target)
    except FileExistsError as problem:
        raise _in_the_way(target) from problem
    except OSError:  # a file system without hard links
        os.rename(made, target)


def _merge(made: Path, target: Path) -> None:
    """Put each file of *made* into the folder *target*; nothing is changed where one does not fit."""
    paths = list(_files(made))
    for path in paths:
        there = target / path
        steps = [target.joinpath(*path.parts[: n + 1]) for n in range(len(path.parts) - 1)]
        wrong = next((step for step in steps if step.is_symlink() or (step.exists() and not step.is_dir())), None)
        if wrong is None and there.is_dir() and not there.is_symlink():
            wrong = there
        if wrong is not None:
            raise Conflict(f"{wrong} is in the way", hint="move it away, or choose another folder")
    for path in paths:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        os.replace(made / path, target / path)


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in (*names, *links):
            yield Path(folder, name).relative_to(root)


def restore_tree(store: ObjectStore, manifest_id: str, target: Path) -> Path:
    """The tree in *target*, a new or empty folder.

    Raises ``Conflict`` for a folder that has something in it.
    """
    if not os.path.lexists(target):
        return place(store, manifest_id, target)
    if not target.is_dir():
        raise Conflict(f"{target} is no folder", hint="give a new or an empty folder")
    if any(target.iterdir()):
        raise Conflict(f"{target} is not empty", hint="give a new or an empty folder")
    aside = target / f".{secrets.token_hex(4)}.new"
    try:
        snapshot.materialise(store, manifest_id, aside)
        # the folder itself stays: somebody may stand in it
        for entry in sorted(aside.iterdir()):
            os.rename(entry, target / entry.name)
    except (OSError, JupyterMLRunError) as problem:
        shutil.rmtree(aside, ignore_errors=True)
        if isinstance(problem, JupyterMLRunError):
            raise
        raise StoreError(f"{target} cannot be written: {problem.strerror or problem}") from problem
    os.rmdir(aside)
    return target
