"""Opens a file of a run by the name that its list has, and nothing else, whatever the name and whatever links say.

Reads the run's folders of files; writes nothing.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.server.snapshots import kind_of
from jupyter_mlrun.ui.reader import words
from jupyter_mlrun.worker import runfiles

if TYPE_CHECKING:
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.server.api import FileInfo

_HINT = "api/runs/RUN/files lists what there is"


def open_file(run: RunDir, name: str) -> tuple[int, os.stat_result]:
    """A descriptor of the file *name*, which the caller closes, and what it is.

    Raises ``BadInput`` for a name that leads elsewhere, ``NotFound`` where there is no such file, or a link leads out
    of the run's files.
    """
    kept = runfiles.clean_name(name)
    root = os.path.realpath(run.path)
    for path in _places(run, kept):
        inside = _within(root, path)
        if inside is None:
            continue
        fd = _open(root, inside)
        if fd is not None:
            return fd, os.fstat(fd)
    raise NotFound(f"run {run.path.name} has no file {words(name, 200)!r}", hint=_HINT)


def _places(run: RunDir, name: str) -> list[str]:
    found = [os.path.join(run.artifacts, name)]
    if name.split("/", 1)[0] in runfiles.TOPS:
        found.insert(0, os.path.join(run.path, name))
    return found


def _within(root: str, path: str) -> list[str] | None:
    """The steps from *root* to what *path* really is; None where that is none of the run's files for people."""
    real = os.path.realpath(path)
    if not real.startswith(root + os.sep):
        return None
    steps = real[len(root) + 1 :].split(os.sep)
    return steps if len(steps) > 1 and steps[0] in (*runfiles.TOPS, "artifacts") else None


def _open(root: str, steps: list[str]) -> int | None:
    """Open step by step, through no link: what was looked at is what is opened."""
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for n, step in enumerate(steps):
            last = n + 1 == len(steps)
            # a pipe must not make us wait
            more = os.O_NONBLOCK if last else os.O_DIRECTORY
            try:
                inner = os.open(step, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | more, dir_fd=fd)
            finally:
                os.close(fd)
            fd = inner
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as problem:  # a link that came meanwhile, a socket
        raise NotFound(f"this file cannot be read: {problem.strerror}", hint=_HINT) from problem
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise BadInput("this is no regular file")
    return fd


def list_files(run: RunDir, most: int) -> tuple[list[FileInfo], int]:
    """The files of a run in the order of their names, the first *most* of them; how many there are."""
    root = os.path.realpath(run.path)
    chosen = runfiles.choose(run, None)
    found: list[FileInfo] = []
    for name, path in chosen[:most]:
        try:
            info = os.stat(path)
        except OSError:  # gone meanwhile
            continue
        away = os.path.islink(path) and _within(root, path) is None
        found.append({
            "path": _name(name),
            "size": 0 if away else info.st_size,
            "mtime": info.st_mtime,
            "kind": "link" if away else kind_of(name),
        })  # fmt: skip
    return found, len(chosen)


def _name(name: str) -> str:
    return name.encode("utf-8", "replace").decode()
