"""Files of a run or a folder put into the content store, as they are: a model's content.

Reads the files, follows no link that leads outside; writes objects and a manifest (docs/format-objects.md).
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, Conflict
from jupyter_mlrun.store import trees
from jupyter_mlrun.store.packs import CHUNK
from jupyter_mlrun.worker.unpack import link_stays_inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_mlrun.store.packs import ObjectStore, PackWriter
    from jupyter_mlrun.store.snapshot import Snapshot

TRIES = 3


@dataclass
class Files:
    """What a tree is to hold: its paths, and where their bytes are; links that stay inside stay links."""

    files: dict[str, Path] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def only(self, wanted: Callable[[str], bool], root: Path) -> Files:
        """Those that are wanted; a link becomes what it leads to, which may not be among them."""
        found = Files({name: path for name, path in self.files.items() if wanted(name)})
        for name in filter(wanted, self.links):
            found.files[name] = one_file(root / name, root)
        return found


def one_file(path: Path, inside: Path) -> Path:
    """*path*, or the file that it leads to; it must lie in *inside*.

    Raises ``BadInput`` for a link that leads out of *inside* or to no regular file.
    """
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(inside)):
        raise BadInput(f"{path.name!r} is a link that leads out of {inside}, to {real}", hint="copy the file there")
    _check_kind(path.name, os.stat(real).st_mode if real.exists() else 0)
    return real


def below(root: Path, inside: Path | None = None) -> Files:
    """Everything in the folder *root*.

    Args:
        root: the folder.
        inside: where links may lead to (a run's directory); default: *root*.

    Raises ``BadInput`` for a link that leads elsewhere, and for what is neither file, folder nor link.
    """
    found = Files()
    stack = [""]
    while stack:
        folder = stack.pop()
        with os.scandir(root / folder) as listed:
            entries = list(listed)
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_symlink():
                _add_link(found, root, name, inside or root)
            elif entry.is_dir(follow_symlinks=False):
                stack.append(name)
            else:
                _check_kind(name, entry.stat(follow_symlinks=False).st_mode)
                found.files[name] = root / name
    return found


def _add_link(found: Files, root: Path, name: str, inside: Path) -> None:
    target = os.readlink(root / name)
    real = Path(os.path.realpath(root / name))
    if real.exists() and link_stays_inside(name, target) and real.is_relative_to(os.path.realpath(root)):
        found.links[name] = target
    else:
        found.files[name] = one_file(root / name, inside)


def _check_kind(name: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no file" if mode else "a link that leads nowhere"
        raise BadInput(f"{name!r} is {kind} and cannot be kept", hint="remove it, or put a file in its place")


def keep(store: ObjectStore, wanted: Files) -> Snapshot:
    """Store the files; what the store has already is not written again.

    Raises ``Conflict`` for a file that is being written to, ``StoreError`` where there is no space.
    """
    # gc waits from the look at what is there until the manifest says what is needed of it
    with store.writer() as writer:
        store.refresh()
        entries = [_kept(store, writer, name, path) for name, path in sorted(wanted.files.items())]
        entries += [{"path": name, "link": target} for name, target in wanted.links.items()]
        writer.seal()
        return trees.put(store, entries)


def _kept(store: ObjectStore, writer: PackWriter, name: str, path: Path) -> dict[str, Any]:
    for _ in range(TRIES):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as problem:
            raise BadInput(f"{name!r} cannot be read: {problem.strerror or problem}") from problem
        with os.fdopen(fd, "rb", buffering=0) as file:
            before = os.fstat(fd)
            _check_kind(name, before.st_mode)
            chunks, size = [], 0
            while data := _read(file, name):
                digest = hashlib.sha256(data).digest()
                chunks.append(digest.hex() if store.find(digest) else writer.put(data, digest))
                size += len(data)
            after = os.fstat(fd)
        if size == after.st_size and before.st_mtime_ns == after.st_mtime_ns:
            return {"path": name, "size": size, "executable": bool(before.st_mode & 0o100), "chunks": chunks}
    raise Conflict(f"{name!r} changes while it is read", hint="try again when it is written")


def _read(file: Any, name: str) -> bytes:
    """The next chunk, whole unless it is the last."""
    data = bytearray()
    try:
        while len(data) < CHUNK and (more := file.read(CHUNK - len(data))):
            data += more
    except OSError as problem:
        raise BadInput(f"{name!r} cannot be read: {problem.strerror or problem}") from problem
    return bytes(data)
