"""Snapshots: a folder as a manifest over content-addressed objects; identical trees share an id.

Reads the source folder; writes objects, ``objects/manifests/<id>.json`` and ``objects/cache/``
(docs/format-objects.md).
"""

from __future__ import annotations

import hashlib
import json
import marshal
import os
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import NotFound, SnapshotError, StoreError
from jupyter_mlrun.rundir import FORMAT, dump_json, read_json, write_atomic
from jupyter_mlrun.store.scan import MAX_BYTES, MAX_FILES, File, Folder, Plan, Scanner, join
from jupyter_mlrun.worker.unpack import PackReader, manifest_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jupyter_mlrun.store.packs import ObjectStore, PackWriter

CHUNK = 4 << 20
TRIES = 3
# a file changed this shortly before it was read may change again without a new time
RACY_NS = 50_000_000

__all__ = ["File", "Manifest", "Plan", "list_manifests", "read_manifest", "scan", "take"]


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


def scan(
    root: Path,
    *,
    include: Sequence[str] = (),
    max_bytes: int = MAX_BYTES,
    max_files: int = MAX_FILES,
    store: ObjectStore | None = None,
) -> Plan:
    """Look at *root* without reading or writing a byte of content.

    With *store*, folders that have not changed since its last snapshot of *root* are taken as they were.
    Raises ``SnapshotError`` for what cannot be packaged, and over the limits within about two seconds.
    """
    if max_bytes > MAX_BYTES:
        max_files = max(max_files, 10**9)  # whoever allows more bytes allows the files that have them
    known = _load_cache(store, root) if store is not None else {}
    return Scanner(Path(os.path.abspath(root)), include, (max_bytes, max_files), known).scan()


def take(store: ObjectStore, plan: Plan | None, *, extra: Mapping[str, bytes] | None = None) -> Snapshot:
    """Store what *plan* names, and the generated files of *extra*; the manifest appears last.

    Raises ``SnapshotError`` for a file that changes while it is read, ``StoreError`` where there is no space.
    """
    store.make()
    signature = plan.signature if plan else ""
    if plan and not extra:
        same = _unchanged(store, plan.root, signature)
        if same is not None:
            return same
    try:
        # gc waits from the look at what is there until the manifest says what is needed of it
        with store.writer() as writer:
            reader = store.reader()
            try:
                keeper = _Keeper(reader, writer)
                files = [*(_from_plan(plan, keeper) if plan else ()), *_generated(plan, extra or {}, keeper)]
            finally:
                reader.close()
            writer.seal()
            manifest = _manifest(files)
            _write_manifest(Path(manifest_path(str(store.root), manifest.id)), manifest)
        if plan:
            _save_cache(store, plan, signature, None if extra else manifest)
    except OSError as problem:
        raise StoreError(
            f"the snapshot cannot be written to {store.root}: {problem.strerror or problem}",
            hint="free space there (jupyter mlrun gc) and try again",
        ) from problem
    return Snapshot(manifest.id, manifest.count, manifest.bytes)


def _write_manifest(path: Path, manifest: Manifest) -> None:
    """Make the manifest exist; one that is there becomes young again, so that gc knows that it is wanted."""
    try:
        os.utime(path)
    except FileNotFoundError:
        document = {"format": FORMAT, "id": manifest.id, "bytes": manifest.bytes, "files": manifest.files}
        write_atomic(path, dump_json(document))


class _Keeper:
    """Puts bytes into the store unless they are there."""

    def __init__(self, reader: PackReader, writer: PackWriter) -> None:
        self.there = reader.places
        self.writer = writer
        self.fresh: set[bytes] = set()

    def put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).digest()
        if digest not in self.there and digest not in self.fresh:
            self.writer.put(data, digest)
            self.fresh.add(digest)
        return digest.hex()

    def has(self, chunks: Sequence[str]) -> bool:
        return all(bytes.fromhex(c) in self.there or bytes.fromhex(c) in self.fresh for c in chunks)


def _from_plan(plan: Plan, keeper: _Keeper) -> Iterator[dict[str, Any]]:
    for folder in plan.folders:
        kept: dict[str, Any] = {}
        place = _open_folder(plan.root, folder) if folder.files else -1
        try:
            for entry in folder.files:
                before = folder.chunks.get(entry[0])
                if before is None or before[0] != entry or not keeper.has(before[1]):
                    before = _read(place, join(folder.path, entry[0]), entry[0], keeper)
                kept[entry[0]] = before
                yield {
                    "path": join(folder.path, entry[0]),
                    "size": before[0][1],
                    "executable": bool(entry[5] & 0o100),
                    "chunks": before[1],
                }
        finally:
            if place >= 0:
                os.close(place)
        racy = time.time_ns() - RACY_NS
        folder.chunks = {name: value for name, value in kept.items() if value[0][2] < racy and value[0][3] < racy}
        if len(folder.chunks) < len(kept):
            folder.signature = b""  # looked at again next time
        yield from ({"path": join(folder.path, name), "link": target} for name, target in folder.links)


def _open_folder(root: Path, folder: Folder) -> int:
    """The folder, reached step by step without following a link that was put in the way."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    fd = os.open(root, flags)
    for part in folder.path.split("/") if folder.path else ():
        try:
            inner = os.open(part, flags | os.O_NOFOLLOW, dir_fd=fd)
        except OSError as problem:
            raise SnapshotError(f"the folder {folder.path!r} changed while it was packaged") from problem
        finally:
            os.close(fd)
        fd = inner
    return fd


def _read(place: int, path: str, name: str, keeper: _Keeper) -> tuple[tuple[Any, ...], list[str]]:
    """The file's entry and chunks, as it was at one moment; a file that does not keep still is refused."""
    why = "it changed while it was read"
    for _ in range(TRIES):
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
        except OSError as problem:
            why = problem.strerror or str(problem)
            continue
        try:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                why = "it is no regular file any more"
                continue
            chunks, size = _chunks(fd, before.st_size, keeper)
            after = os.fstat(fd)
        finally:
            os.close(fd)
        if size == after.st_size and before.st_mtime_ns == after.st_mtime_ns and before.st_size == size:
            s = after
            return (name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_mode), chunks
    raise SnapshotError(
        f"{path!r} cannot be packaged: {why}", hint="submit again when nothing writes to it, or ignore it"
    )


def _chunks(fd: int, size: int, keeper: _Keeper) -> tuple[list[str], int]:
    found, total = [], 0
    # one byte more than there was: a file that grows is noticed, not followed
    while total <= size:
        data = _read_full(fd, min(CHUNK, size + 1 - total))
        if not data:
            break
        total += len(data)
        if total <= size:
            found.append(keeper.put(data))
    return found, total


def _read_full(fd: int, wanted: int) -> bytes:
    data = os.read(fd, wanted)
    while data and len(data) < wanted and (more := os.read(fd, wanted - len(data))):
        data += more
    return data


def _generated(plan: Plan | None, extra: Mapping[str, bytes], keeper: _Keeper) -> Iterator[dict[str, Any]]:
    present = set(plan.paths()) if plan and extra else set()
    for name, data in extra.items():
        if name in present:
            raise SnapshotError(f"the folder has a file {name!r} already", hint="rename it")
        chunks = [keeper.put(data[i : i + CHUNK]) for i in range(0, len(data), CHUNK)]
        yield {"path": name, "size": len(data), "executable": False, "chunks": chunks}


def _manifest(files: list[dict[str, Any]]) -> Manifest:
    files.sort(key=lambda entry: str(entry["path"]))
    text = json.dumps(files, sort_keys=True, separators=(",", ":"))
    return Manifest(hashlib.sha256(text.encode("ascii")).hexdigest(), files, sum(e.get("size", 0) for e in files))


def read_manifest(store: ObjectStore, manifest_id: str) -> Manifest:
    """The manifest with this id; ``NotFound`` where there is none."""
    try:
        data = read_json(manifest_path(str(store.root), manifest_id))
    except FileNotFoundError as problem:
        raise NotFound(f"no snapshot {manifest_id!r} in {store.root}") from problem
    return Manifest(manifest_id, data["files"], data["bytes"])


def list_manifests(store: ObjectStore) -> list[str]:
    """The ids of all manifests."""
    return sorted(path.stem for path in store.manifests.glob("*.json") if not path.name.startswith("."))


# ---- what is remembered of a folder ------------------------------------------------------------------


def _cache_path(store: ObjectStore, root: Path) -> Path:
    key = hashlib.sha256(os.fsencode(os.path.abspath(root))).hexdigest()[:24]
    return store.root / "cache" / f"{key}.{sys.implementation.cache_tag}"


def _load_cache(store: ObjectStore, root: Path) -> dict[str, Folder]:
    """The folders of the last snapshot of *root*; nothing where that cannot be read."""
    try:
        data = _cache_path(store, root).read_bytes()
    except OSError:
        return {}
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        return {}
    return {values[0]: Folder(*values) for values in marshal.loads(data[32:])}  # noqa: S302 -- ours, and checked


def _save_cache(store: ObjectStore, plan: Plan, signature: str, manifest: Manifest | None) -> None:
    path = _cache_path(store, plan.root)
    values = [(f.path, f.signature, f.files, f.links, f.folders, f.left_out, f.chunks, f.bytes) for f in plan.folders]
    data = marshal.dumps(values)
    write_atomic(path, hashlib.sha256(data).digest() + data, sync=False)
    if manifest is not None and all(f.signature for f in plan.folders):
        same = {"signature": signature, "manifest": manifest.id, "count": manifest.count, "bytes": manifest.bytes}
        write_atomic(path.with_suffix(".same.json"), dump_json(same), sync=False)


def _unchanged(store: ObjectStore, root: Path, signature: str) -> Snapshot | None:
    """The the last snapshot, where nothing has changed since."""
    try:
        same = read_json(_cache_path(store, root).with_suffix(".same.json"))
    except (OSError, ValueError):
        return None
    if same.get("signature") != signature:
        return None
    try:
        os.utime(manifest_path(str(store.root), same["manifest"]))  # wanted again: gc leaves it
    except FileNotFoundError:
        return None
    return Snapshot(same["manifest"], same["count"], same["bytes"])
