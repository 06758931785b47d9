"""The home folder and its workspaces: made private, checked for owner and format, never migrated in silence.

Reads and writes ``<home>/format.json`` and ``<home>/<workspace>/``.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import BadInput, StoreError
from jupyter_mlrun.records import check_format
from jupyter_mlrun.rundir import FORMAT, dump_json, make_folder, read_json, write_atomic, write_once

if TYPE_CHECKING:
    from pathlib import Path

# 2: workspaces may have datasets and models, whose objects a program that knows format 1 would collect
HOME_FORMAT = 2
WORKSPACE_NAME = re.compile(r"[a-zA-Z0-9][\w-]{1,254}\Z")


def open_home(path: Path, *, create: bool = True) -> Path:
    """The home at *path*, ready for use.

    Raises ``StoreError`` for a home that is not ours, open to others, or cannot be written, and
    ``NewerStore`` for one that a newer program made; in each case nothing was changed.
    """
    if not path.exists() and not create:
        return path
    try:
        make_folder(path)
    except OSError as problem:
        raise StoreError(
            f"the home {path} cannot be made: {problem.strerror or problem}",
            hint="set JUPYTER_MLRUN_HOME to a folder that you can write",
        ) from problem
    _check_owner(path)
    marker = path / "format.json"
    try:
        if marker.exists():
            check_format(read_json(marker), f"the home {path}", HOME_FORMAT)
        elif create:
            write_once(marker, dump_json({"format": FORMAT}))
    except ValueError as problem:
        raise StoreError(
            f"{marker} is damaged: {problem}", hint=f'put {{"format": {FORMAT}}} into it, or restore a backup'
        ) from problem
    except OSError as problem:
        raise _unwritable(path, problem) from problem
    return path


def need_registries(place: WorkspaceDir) -> None:
    """Mark the home as one that has datasets or models, before the first is made: older programs keep off then."""
    place.make()
    marker = place.home / "format.json"
    if read_json(marker).get("format") != HOME_FORMAT:
        write_atomic(marker, dump_json({"format": HOME_FORMAT}))


def _unwritable(path: Path, problem: OSError) -> StoreError:
    return StoreError(
        f"the home {path} cannot be written: {problem.strerror or problem}",
        hint="free space or permissions there, or set JUPYTER_MLRUN_HOME to another folder",
    )


def _check_owner(path: Path) -> None:
    if not hasattr(os, "getuid"):
        return
    info = path.stat()
    if not stat.S_ISDIR(info.st_mode):
        raise StoreError(f"the home {path} is not a folder", hint="set JUPYTER_MLRUN_HOME to a folder")
    if info.st_uid != os.getuid():
        raise StoreError(
            f"the home {path} belongs to another user (uid {info.st_uid})",
            hint="set JUPYTER_MLRUN_HOME to a folder of your own",
        )
    if info.st_mode & 0o022:
        raise StoreError(f"the home {path} can be written by other users", hint=f"chmod 700 '{path}'")


class WorkspaceDir:
    """The places inside one workspace."""

    def __init__(self, home: Path, name: str) -> None:
        if not WORKSPACE_NAME.match(name):
            raise BadInput(
                f"{name!r} is no name for a workspace",
                hint="2 to 255 letters, digits, '_' or '-', the first a letter or digit",
            )
        self.home, self.name = home, name
        self.path = home / name
        self.runs = self.path / "runs"
        self.tmp = self.path / "tmp"
        self.trash = self.path / "trash"
        self.objects = self.path / "objects"
        self.index = self.path / "index.sqlite"
        self.trees = self.path / "trees"

    def make(self) -> WorkspaceDir:
        """Make its folders."""
        open_home(self.home)
        try:
            for folder in (self.runs, self.tmp, self.trash, self.objects):
                make_folder(folder)
        except OSError as problem:
            raise _unwritable(self.home, problem) from problem
        return self


def workspaces(home: Path) -> list[WorkspaceDir]:
    """Every workspace of a home, by name."""
    if not home.is_dir():
        return []
    names = sorted(entry.name for entry in os.scandir(home) if entry.is_dir(follow_symlinks=False))
    return [WorkspaceDir(home, name) for name in names if WORKSPACE_NAME.match(name)]
