"""Manifests: trees as JSON over content-addressed objects, named by what they hold.

Reads and writes ``objects/manifests/<id>.json`` (docs/format-objects.md).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import CorruptObject, NotFound
from jupyter_mlrun.rundir import FORMAT, read_json, write_atomic
from jupyter_mlrun.worker import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from jupyter_mlrun.store.packs import ObjectStore

_ID = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Snapshot:
    """What a run needs to know of its tree."""

    id: str
    count: int
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """A tree: its id, its entries as the JSON has them, and its bytes."""

    id: str
    files: list[dict[str, Any]]
    bytes: int

    @property
    def count(self) -> int:
        """How many entries it has."""
        return len(self.files)

    def digests(self) -> Iterator[str]:
        """Every object that the tree needs."""
        for entry in self.files:
            yield from entry.get("chunks", ())


def file_entry(path: str, size: int, mode: int, chunks: Sequence[str]) -> str:
    """A file as it stands in the manifest: canonical JSON, written by hand because there may be a million."""
    listed = '"' + '","'.join(chunks) + '"' if chunks else ""
    executable = "true" if mode & 0o100 else "false"
    return f'{{"chunks":[{listed}],"executable":{executable},"path":{quoted(path)},"size":{size}}}'


def link_entry(path: str, target: str) -> str:
    """A link as it stands in the manifest."""
    return f'{{"link":{quoted(target)},"path":{quoted(path)}}}'


def fragment(entries: Mapping[str, str]) -> bytes:
    """A folder's part of the manifest, from its entries by name."""
    return ",".join([entries[name] for name in sorted(entries)]).encode("ascii")


def fragment_of(entries: list[dict[str, Any]]) -> bytes:
    """A folder's entries as they stand in the manifest: canonical JSON, sorted by name, without the brackets."""
    entries.sort(key=lambda entry: str(entry["path"]))
    return json.dumps(entries, sort_keys=True, separators=(",", ":")).encode("ascii")[1:-1]


def entries_of(part: bytes) -> list[dict[str, Any]]:
    """The entries of a folder's part of the manifest."""
    found: list[dict[str, Any]] = json.loads(b"[%s]" % part)
    return found


def texts_of(part: bytes) -> list[str]:
    """The files of a folder's part of the manifest, each as it stands there; the folder has no links.

    After the quote that ends a string comes no letter, so no name can look like the border between two files.
    """
    border = '},{"chunks":['
    first, *rest = part.decode("ascii").split(border)
    if not rest:
        return [first] if first else []
    return [f"{first}}}", *(f"{border[2:]}{text}}}" for text in rest[:-1]), f"{border[2:]}{rest[-1]}"]


def write_manifest(store: ObjectStore, fragments: Mapping[str, bytes], total: int) -> str:
    """Make the manifest exist; one that is there becomes young again, so that gc knows that it is wanted."""
    files = b"[%s]" % b",".join(fragments[path] for path in sorted(fragments) if fragments[path])
    manifest_id = hashlib.sha256(files).hexdigest()
    path = unpack.manifest_path(str(store.root), manifest_id)
    try:
        os.utime(path)
    except FileNotFoundError:
        head = json.dumps({"format": FORMAT, "id": manifest_id, "bytes": total}, separators=(",", ":"))
        write_atomic(path, b'%s,"files":%s}\n' % (head.encode("ascii")[:-1], files))
    return manifest_id


def read_manifest(store: ObjectStore, manifest_id: str) -> Manifest:
    """The manifest with this id, checked against it; ``NotFound`` where there is none."""
    if not _ID.match(str(manifest_id)):  # from a file or a user: it may be anything
        raise NotFound(f"no snapshot {str(manifest_id)[:80]!r} in {store.root}", hint="an id has 64 hexadecimal digits")
    path = unpack.manifest_path(str(store.root), manifest_id)
    try:
        data = read_json(path)
        files = json.dumps(data["files"], sort_keys=True, separators=(",", ":")).encode("ascii")
        manifest = Manifest(manifest_id, data["files"], data["bytes"])
    except FileNotFoundError as problem:
        raise NotFound(f"no snapshot {manifest_id!r} in {store.root}") from problem
    except (ValueError, KeyError, TypeError) as problem:
        raise CorruptObject(f"the manifest {path} is damaged: {problem}") from problem
    if hashlib.sha256(files).hexdigest() != manifest_id:
        raise CorruptObject(f"the manifest {path} is damaged: it does not fit its id")
    return manifest


def list_manifests(store: ObjectStore) -> list[str]:
    """The ids of all manifests."""
    return sorted(path.stem for path in store.manifests.glob("*.json") if not path.name.startswith("."))


def materialise(store: ObjectStore, manifest_id: str, dest: Path) -> None:
    """Make *dest*, which must not exist, a private writable copy of the tree; whole, or not there."""
    read_manifest(store, manifest_id)
    try:
        unpack.materialise(str(store.root), manifest_id, str(dest))
    except FileNotFoundError:  # gc has moved objects to another pack meanwhile
        unpack.materialise(str(store.root), manifest_id, str(dest))
