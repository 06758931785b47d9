"""Data as runs see it: one read-only folder per tree, shared by runs, looked over before and after each.

Reads the content store; writes ``trees/<id>-<n>/`` (the files), ``.json`` beside it (what each was when it was made),
``.harmed`` (somebody wrote into it: nobody gets it any more).  Standard library only (Python 3.9+).
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Tuple

from ..rundir import FILE_MODE, dump_json, make_folder, read_json_if_there, write_atomic
from . import unpack
from .deep import Reach, remove_tree

MOST_NAMED = 5


class Mount:
    """A tree that is in use; while the lock is held nobody removes it."""

    def __init__(self, path: str, lock: int) -> None:
        self.path, self._lock = path, lock

    def harmed(self) -> List[str]:
        """What is not as it was when the tree was made: paths, a few of them; marks the tree if there is any."""
        found = differences(self.path)
        if found:
            write_atomic(self.path + ".harmed", dump_json({"time": time.time(), "paths": found}), sync=False)
        return found

    def release(self) -> None:
        """Let go of it."""
        os.close(self._lock)


def acquire(objects: str, trees: str, manifest_id: str, progress: Optional[unpack.Progress] = None) -> Mount:
    """The tree of a manifest as a read-only folder; made now where there is none that is whole.

    Raises ``CorruptObject`` for damaged content, ``StoreError`` for missing content, ``OSError`` for a full disk; none
    of them leaves a half-made tree behind.
    """
    make_folder(trees)
    short = manifest_id[:32]
    with _exclusive(os.path.join(trees, f"{short}.lock")):
        number = 0
        for number in _numbers(trees, short):
            path = os.path.join(trees, f"{short}-{number}")
            if not os.path.exists(path + ".harmed"):
                mount = Mount(path, _share(path))
                if not mount.harmed():
                    os.utime(path + ".json")  # when it was last of use
                    return mount
                mount.release()
            remove_unused(path)
        path = os.path.join(trees, f"{short}-{number + 1}")
        _build(objects, manifest_id, path, progress)
        return Mount(path, _share(path))


def again(path: str) -> Mount:
    """A tree that a run under way uses: held again by the worker that takes over."""
    return Mount(path, _share(path))


def _numbers(trees: str, short: str) -> List[int]:
    start = short + "-"
    names = (n[len(start) : -5] for n in os.listdir(trees) if n.startswith(start) and n.endswith(".json"))
    return sorted(int(n) for n in names if n.isdigit())


@contextmanager
def _exclusive(path: str) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _share(path: str) -> int:
    fd = os.open(path + ".use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    fcntl.flock(fd, fcntl.LOCK_SH)
    return fd


def _build(objects: str, manifest_id: str, path: str, progress: Optional[unpack.Progress]) -> None:
    aside = f"{path}.{os.getpid()}.new"
    _remove(path)
    _remove(aside)
    try:
        unpack.materialise(objects, manifest_id, aside, progress)
        _protect(aside)
        os.rename(aside, path)
    except BaseException:
        _remove(aside)
        raise
    # last: a tree without this is none
    write_atomic(path + ".json", dump_json({"manifest": manifest_id, "files": [list(one) for one in _look(path)]}))


def _folders(path: str) -> Iterator[Tuple[str, int, List[Tuple[str, os.stat_result]]]]:
    """Each folder of a tree, outer ones first: its path in the tree, open, and what ``stat`` says of its entries."""
    reach = Reach(path)
    stack = [""]
    try:
        while stack:
            below = stack.pop()
            fd = reach.folder(below)
            with os.scandir(fd) as listing:
                entries = [(entry.name, entry.stat(follow_symlinks=False)) for entry in listing]
            stack += [f"{below}/{n}" if below else n for n, info in entries if stat.S_ISDIR(info.st_mode)]
            yield below, fd, entries
    finally:
        reach.close()


def _protect(path: str) -> None:
    """Take the right to write away: an accident is stopped here, malice is found by ``differences``."""
    for _, fd, entries in _folders(path):
        for name, info in entries:
            if stat.S_ISREG(info.st_mode):
                os.chmod(name, 0o500 if info.st_mode & 0o100 else 0o400, dir_fd=fd)
        os.fchmod(fd, 0o500)


def _look(path: str) -> Iterator[Tuple[str, int, int, int, int, int]]:
    """What ``stat`` says of everything in a tree: path, size, mtime, ctime, inode, mode."""
    for below, _, entries in _folders(path):
        for entry, info in entries:
            name = os.fsencode(f"{below}/{entry}" if below else entry).decode("utf-8", "backslashreplace")
            size = 0 if stat.S_ISDIR(info.st_mode) else info.st_size
            yield (name, size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_mode)


def differences(path: str) -> List[str]:
    """The first few paths of a tree that are not as they were; the whole tree where nobody wrote that down."""
    record = read_json_if_there(path + ".json")
    if record is None:
        return ["(all)"]
    then = {one[0]: tuple(one) for one in record["files"]}
    try:
        now = {one[0]: one for one in _look(path)}
    except OSError as problem:
        return [f"(all: {problem.strerror})"]
    return sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))[:MOST_NAMED]


def remove_unused(path: str) -> bool:
    """Remove a tree that no run uses; whether it is gone."""
    fd = os.open(path + ".use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        # the record first: without it the rest is garbage that nobody takes for a tree
        for suffix in (".json", ".harmed", ".use"):
            if os.path.exists(path + suffix):
                os.unlink(path + suffix)
        _remove(path)
        return True
    finally:
        os.close(fd)


def _remove(path: str) -> None:
    """Remove a tree, whose folders may be read-only."""
    if not os.path.lexists(path):
        return
    os.chmod(path, 0o700)
    for _, fd, entries in _folders(path):
        for name, info in entries:
            if stat.S_ISDIR(info.st_mode):
                os.chmod(name, 0o700, dir_fd=fd)
    remove_tree(path)


def listing(trees: str) -> List[Dict[str, Any]]:
    """Every tree: its name, whether it is whole, whether somebody wrote into it, when it was last of use (seconds)."""
    found: List[Dict[str, Any]] = []
    try:
        names = set(os.listdir(trees))
    except FileNotFoundError:
        return found
    for name in sorted(names):
        path = os.path.join(trees, name)
        if os.path.isdir(path) and not os.path.islink(path):
            whole = f"{name}.json" in names
            try:
                used = os.lstat(f"{path}.json" if whole else path).st_mtime
            except FileNotFoundError:
                continue  # removed meanwhile
            found.append({"name": name, "whole": whole, "harmed": f"{name}.harmed" in names, "used": used})
    return found
