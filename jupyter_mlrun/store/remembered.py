"""What is remembered of a source folder, so that an unchanged one is not read again.

Reads and writes ``objects/cache/`` (docs/format-objects.md); a damaged or older file counts as none.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
from typing import TYPE_CHECKING

from jupyter_mlrun.rundir import write_atomic
from jupyter_mlrun.store.manifests import Snapshot
from jupyter_mlrun.store.scan import Folder, Known
from jupyter_mlrun.worker import unpack

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_mlrun.store.packs import ObjectStore
    from jupyter_mlrun.store.scan import Plan

# goes up when Folder.dump changes; marshal's own format may change with the interpreter
CACHE_FORMAT = 2
# a file changed this shortly before it was read may change again without a new time
RACY_NS = 50_000_000


def cache_path(store: ObjectStore, root: Path, kind: str = "") -> Path:
    """Where a root is remembered; a snapshot of it and an upload of it are two things."""
    text = os.fsencode(os.path.abspath(root)) + (b"\0" + kind.encode() if kind else b"")
    key = hashlib.sha256(text).hexdigest()[:24]
    return store.root / "cache" / f"{key}.{CACHE_FORMAT}.{sys.implementation.cache_tag}"


def load(store: ObjectStore, root: Path, kind: str = "") -> Known:
    """What is remembered of *root*; nothing where that cannot be read."""
    try:
        data = cache_path(store, root, kind).read_bytes()
    except OSError:
        return Known()
    if hashlib.sha256(memoryview(data)[32:]).digest() != data[:32]:
        return Known()
    packs, signature, snapshot, folders = marshal.loads(memoryview(data)[32:])  # noqa: S302 -- ours, and checked
    return Known({values[0]: Folder.load(values) for values in folders}, packs, signature, snapshot)


def save(store: ObjectStore, root: Path, known: Known, kind: str = "") -> None:
    """Remember *root*; not brought to the disk, because a torn file counts as none."""
    folders = [folder.dump() for folder in known.folders.values()]
    data = marshal.dumps((known.packs, known.signature, known.snapshot, folders))
    path = cache_path(store, root, kind)
    # ext4 brings a file to the disk at once when it takes another's place
    path.unlink(missing_ok=True)
    write_atomic(path, hashlib.sha256(data).digest() + data, sync=False)


def remember(store: ObjectStore, plan: Plan, folders: list[Folder], packs: list[str], found: Snapshot | None) -> None:
    """Remember what came of *plan*: its folders as they were stored, and the snapshot where it is of them alone."""
    signature = plan.signature
    if found is None and signature == plan.known.signature and packs == plan.known.packs:
        return
    whole = all(folder.signature for folder in folders)
    snapshot = (found.id, found.count, found.bytes) if found and whole else None
    by_path = {folder.path: folder for folder in folders}
    save(store, plan.root, Known(by_path, packs, signature if whole else "", snapshot), plan.kind)


def unchanged(store: ObjectStore, plan: Plan) -> Snapshot | None:
    """The last snapshot, where nothing has changed since."""
    known = plan.known
    if known.snapshot is None or known.signature != plan.signature or not store.has_packs(known.packs):
        return None
    if known.snapshot[2] > plan.max_bytes:
        return None
    try:
        os.utime(unpack.manifest_path(str(store.root), known.snapshot[0]))  # wanted again: gc leaves it
    except FileNotFoundError:
        return None
    return Snapshot(*known.snapshot)
