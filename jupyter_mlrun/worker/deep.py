"""Paths of any length: what is longer than one call takes is reached step by step.

Reads and writes what it is told to.  Standard library only (Python 3.9+).
"""

from __future__ import annotations

import errno
import os
import shutil
from typing import Iterator, List, Tuple

# a path with so many letters may have more bytes than one call takes (4,096 on Linux)
LONG = 1000
_PIECE = 2000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_below(base: str, path: str, flags: int, mode: int = 0o600) -> int:
    """Open *path* below *base*; follows links unless *flags* say otherwise."""
    text = f"{base}/{path}" if path else base
    if len(text) < LONG:
        return os.open(text, flags, mode)
    reach = Reach(base)
    try:
        return os.open(os.path.basename(path) or ".", flags, mode, dir_fd=reach.folder(os.path.dirname(path)))
    finally:
        reach.close()


def link_below(base: str, path: str, target: str) -> None:
    """Make *path* below *base* a symbolic link."""
    if len(base) + len(path) < LONG:
        os.symlink(target, f"{base}/{path}")
        return
    reach = Reach(base)
    try:
        os.symlink(target, os.path.basename(path), dir_fd=reach.folder(os.path.dirname(path)))
    finally:
        reach.close()


class Reach:
    """One folder below *base* after the other; each stays open until the next, which is often below it."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._path, self._fd = "", -1

    def folder(self, path: str) -> int:
        """The folder, open; it belongs to this."""
        if self._fd < 0 or not (path == self._path or path.startswith(self._path + "/" if self._path else "")):
            self.close()
            self._fd = os.open(self.base, _FOLDER)
        try:
            for piece in _pieces(path[len(self._path) :].strip("/")):
                outer, self._fd = self._fd, os.open(piece, _FOLDER, dir_fd=self._fd)
                os.close(outer)
        except OSError:
            self.close()
            raise
        self._path = path
        return self._fd

    def close(self) -> None:
        """Let go of the folder."""
        if self._fd >= 0:
            os.close(self._fd)
        self._path, self._fd = "", -1


def remove_tree(path: str) -> None:
    """Remove a folder and all that is in it, however deep; one that is gone is as good."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except (RecursionError, OSError):
        _remove_deep(path)


def _remove_deep(top: str) -> None:
    """Down and up again with one open folder."""
    fd = os.open(top, _FOLDER | os.O_NOFOLLOW)
    names: List[str] = []
    ids = [_id(fd)]
    try:
        folders = [_emptied(fd)]
        while names or folders[-1]:
            if folders[-1]:
                names.append(folders[-1].pop())
                outer, fd = fd, os.open(names[-1], _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
                os.close(outer)
                ids.append(_id(fd))
                folders.append(_emptied(fd))
            else:
                inner, fd = fd, os.open("..", _FOLDER, dir_fd=fd)
                os.close(inner)
                ids.pop()
                folders.pop()
                if _id(fd) != ids[-1]:
                    raise OSError(errno.ESTALE, "somebody moves folders in it", top)
                os.rmdir(names.pop(), dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(top)


def _id(fd: int) -> Tuple[int, int]:
    s = os.fstat(fd)
    return s.st_dev, s.st_ino


def _emptied(fd: int) -> List[str]:
    """Remove what is no folder; the names of the folders."""
    with os.scandir(fd) as listing:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
    for name, is_folder in entries:
        if not is_folder:
            os.unlink(name, dir_fd=fd)
    return [name for name, is_folder in entries if is_folder]


def _pieces(path: str) -> Iterator[str]:
    """*path* in parts that are short enough for one call each."""
    piece: List[str] = []
    size = 0
    for step in path.split("/") if path else ():
        length = len(os.fsencode(step)) + 1
        if piece and size + length > _PIECE:
            yield "/".join(piece)
            piece, size = [], 0
        piece.append(step)
        size += length
    if piece:
        yield "/".join(piece)
