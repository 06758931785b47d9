"""Paths of any length: what is longer than one call takes is reached step by step.

Reads and writes what it is told to.  Standard library only (Python 3.9+).
"""

from __future__ import annotations

import os
import secrets
import shutil
from typing import Iterator, List

# a path with so many letters may have more bytes than one call takes (4,096 on Linux)
LONG = 1000
_PIECE = 2000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_below(base: str, path: str, flags: int, mode: int = 0o600) -> int:
    """Open *path* below *base*; follows links unless *flags* say otherwise."""
    text = f"{base}/{path}" if path else base
    if len(text) < LONG:
        return os.open(text, flags, mode)
    outer = _parent(base, path)
    try:
        return os.open(os.path.basename(path) or ".", flags, mode, dir_fd=outer)
    finally:
        os.close(outer)


def make_folder_below(base: str, path: str) -> None:
    """Make the folder *path* below *base*, 0700; its parent must be there."""
    if len(base) + len(path) < LONG:
        os.mkdir(f"{base}/{path}", 0o700)
        return
    outer = _parent(base, path)
    try:
        os.mkdir(os.path.basename(path), 0o700, dir_fd=outer)
    finally:
        os.close(outer)


def link_below(base: str, path: str, target: str) -> None:
    """Make *path* below *base* a symbolic link."""
    if len(base) + len(path) < LONG:
        os.symlink(target, f"{base}/{path}")
        return
    outer = _parent(base, path)
    try:
        os.symlink(target, os.path.basename(path), dir_fd=outer)
    finally:
        os.close(outer)


def remove_tree(path: str) -> None:
    """Remove a folder and all that is in it, however deep; one that is gone is as good."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except (RecursionError, OSError):
        _flatten(path)


def _flatten(top: str) -> None:
    """Bring what lies deep up to the top, level by level, so that no path becomes long."""
    deeper = True
    while deeper:
        deeper = False
        for entry in list(os.scandir(top)):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            for inner in list(os.scandir(entry.path)):
                if inner.is_dir(follow_symlinks=False):
                    os.rename(inner.path, os.path.join(top, secrets.token_hex(8)))
                    deeper = True
                else:
                    os.unlink(inner.path)
            os.rmdir(entry.path)
    os.rmdir(top)


def _parent(base: str, path: str) -> int:
    """The folder that *path* is in."""
    fd = os.open(base, _FOLDER)
    try:
        for piece in _pieces(os.path.dirname(path)):
            outer, fd = fd, os.open(piece, _FOLDER, dir_fd=fd)
            os.close(outer)
    except BaseException:
        os.close(fd)
        raise
    return fd


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
