"""Reads the content store and makes working folders from it: the far side's half of ``store.packs``.

Reads ``objects/packs/*.idx``, ``*.pack`` and ``objects/manifests/*.json`` (docs/format-objects.md); writes the
working folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
from typing import Any, Dict, List, Tuple

from ..errors import CorruptObject, StoreError
from ..rundir import read_json, write_all

INDEX_MAGIC = b"JMLRPIDX"
INDEX_HEAD = struct.Struct("<8sII")  # magic, version, entries
INDEX_ENTRY = struct.Struct("<32sQQ")  # digest, offset of the bytes in the pack, their number
VERSION = 1


def read_index(path: str) -> List[Tuple[bytes, int, int]]:
    """The entries of one ``.idx``; ``CorruptObject`` where its own digest does not fit."""
    with open(path, "rb") as file:
        data = file.read()
    body, digest = data[:-32], data[-32:]
    if len(data) < INDEX_HEAD.size + 32 or hashlib.sha256(body).digest() != digest:
        raise CorruptObject(f"{path} is damaged", hint="jupyter mlrun fsck --rebuild makes it anew from its pack")
    magic, version, count = INDEX_HEAD.unpack_from(body)
    if magic != INDEX_MAGIC or version != VERSION or len(body) != INDEX_HEAD.size + count * INDEX_ENTRY.size:
        raise CorruptObject(f"{path} is no index of this format")
    return list(INDEX_ENTRY.iter_unpack(body[INDEX_HEAD.size :]))


class PackReader:
    """Finds and reads objects by digest."""

    def __init__(self, objects: str) -> None:
        self.folder = os.path.join(objects, "packs")
        self.places: Dict[bytes, Tuple[str, int, int]] = {}
        self._seen: set = set()  # type: ignore[type-arg]
        self._open: Dict[str, int] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take in indexes that have come since."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return
        for name in names:
            if name.endswith(".idx") and name not in self._seen:
                pack = os.path.join(self.folder, name[:-4] + ".pack")
                for digest, offset, size in read_index(os.path.join(self.folder, name)):
                    self.places[digest] = (pack, offset, size)
                self._seen.add(name)

    def read(self, digest: bytes) -> bytes:
        """The bytes of an object, checked against its digest."""
        if digest not in self.places:
            self.refresh()
        if digest not in self.places:
            raise StoreError(
                f"object {digest.hex()} is not in {self.folder}", hint="jupyter mlrun fsck shows the damage"
            )
        pack, offset, size = self.places[digest]
        if pack not in self._open:
            self._open[pack] = os.open(pack, os.O_RDONLY | os.O_CLOEXEC)
        data = os.pread(self._open[pack], size, offset)
        if len(data) != size or hashlib.sha256(data).digest() != digest:
            raise CorruptObject(
                f"object {digest.hex()} in {pack} is damaged", hint="jupyter mlrun fsck names the runs that need it"
            )
        return data

    def close(self) -> None:
        """Let go of the packs."""
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()


def manifest_path(objects: str, manifest_id: str) -> str:
    """Where the manifest with this id is."""
    return os.path.join(objects, "manifests", manifest_id + ".json")


def check_path(path: str) -> str:
    """A manifest's path, if it leads nowhere but into the folder."""
    parts = path.split("/")
    if not path or path.startswith("/") or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise CorruptObject(f"a manifest names the path {path!r}, which leads outside")
    return path


def link_stays_inside(path: str, target: str) -> bool:
    """Whether a link at *path* (relative to the root) with this target points into the root."""
    if target.startswith("/"):
        return False
    joined = os.path.normpath(os.path.join(os.path.dirname(path), target))
    return joined != ".." and not joined.startswith("../")


def materialise(objects: str, manifest_id: str, target: str) -> None:
    """Make *target*, which must not exist, a private writable copy of the tree; whole, or not there."""
    try:
        files: List[Dict[str, Any]] = read_json(manifest_path(objects, manifest_id))["files"]
    except (KeyError, TypeError, ValueError) as problem:
        raise CorruptObject(f"the manifest {manifest_id} is damaged: {problem!r}") from problem
    reader = PackReader(objects)
    os.mkdir(target, 0o700)
    try:
        _fill(target, files, reader)
    except (FileExistsError, KeyError, TypeError, AttributeError, ValueError) as problem:
        # the folder was empty: a path that exists is one that the manifest names twice
        shutil.rmtree(target, ignore_errors=True)
        raise CorruptObject(f"the manifest {manifest_id} is damaged: {problem!r}") from problem
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    finally:
        reader.close()


def _fill(target: str, files: List[Dict[str, Any]], reader: PackReader) -> None:
    folders = {""}
    for entry in files:
        path = check_path(entry["path"])
        _make_folders(target, os.path.dirname(path), folders)
        if "link" not in entry:
            write_file(os.path.join(target, path), entry, reader)
    # last, so that no file can be written through a link
    for entry in files:
        if "link" in entry:
            if not link_stays_inside(entry["path"], entry["link"]):
                raise CorruptObject(f"a manifest has a link {entry['path']!r} that leads outside")
            os.symlink(entry["link"], os.path.join(target, entry["path"]))


def _make_folders(target: str, path: str, made: set) -> None:  # type: ignore[type-arg]
    if path in made:
        return
    _make_folders(target, os.path.dirname(path), made)
    os.mkdir(os.path.join(target, path), 0o700)
    made.add(path)


def write_file(path: str, entry: Dict[str, Any], reader: PackReader) -> None:
    """Write one file of a tree, which must not exist, from its chunks."""
    mode = 0o700 if entry.get("executable") else 0o600
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        for digest in entry["chunks"]:
            write_all(fd, reader.read(bytes.fromhex(digest)))
    finally:
        os.close(fd)
