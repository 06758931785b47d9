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
from jupyter_mlrun.store.scan import Folder, Known

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_mlrun.store.packs import ObjectStore

# goes up when Folder.dump changes; marshal's own format may change with the interpreter
CACHE_FORMAT = 2


def cache_path(store: ObjectStore, root: Path) -> Path:
    """Where a root is remembered."""
    key = hashlib.sha256(os.fsencode(os.path.abspath(root))).hexdigest()[:24]
    return store.root / "cache" / f"{key}.{CACHE_FORMAT}.{sys.implementation.cache_tag}"


def load(store: ObjectStore, root: Path) -> Known:
    """What is remembered of *root*; nothing where that cannot be read."""
    try:
        data = cache_path(store, root).read_bytes()
    except OSError:
        return Known()
    if hashlib.sha256(memoryview(data)[32:]).digest() != data[:32]:
        return Known()
    packs, signature, snapshot, folders = marshal.loads(memoryview(data)[32:])  # noqa: S302 -- ours, and checked
    return Known({values[0]: Folder.load(values) for values in folders}, packs, signature, snapshot)


def save(store: ObjectStore, root: Path, known: Known) -> None:
    """Remember *root*; not brought to the disk, because a torn file counts as none."""
    folders = [folder.dump() for folder in known.folders.values()]
    data = marshal.dumps((known.packs, known.signature, known.snapshot, folders))
    path = cache_path(store, root)
    # ext4 brings a file to the disk at once when it takes another's place
    path.unlink(missing_ok=True)
    write_atomic(path, hashlib.sha256(data).digest() + data, sync=False)
