"""Snapshots: a folder as a manifest over content-addressed objects; identical trees share an id.

Reads the source folder; writes objects and ``objects/manifests/<id>.json`` (docs/format-objects.md).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import SnapshotError, StoreError
from jupyter_mlrun.store import remembered
from jupyter_mlrun.store.datascan import scan_data
from jupyter_mlrun.store.manifests import (
    Manifest,
    Snapshot,
    fragment_of,
    list_manifests,
    materialise,
    read_manifest,
    write_manifest,
)  # fmt: skip
from jupyter_mlrun.store.packs import CHUNK
from jupyter_mlrun.store.pour import Progress, take_data
from jupyter_mlrun.store.scan import (
    MAX_BYTES,
    MAX_FILES,
    File,
    Folder,
    Known,
    Plan,
    Scanner,
    Stat,
    ignore_hint,
    join,
    unreadable,
)  # fmt: skip
from jupyter_mlrun.worker import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jupyter_mlrun.store.packs import ObjectStore, PackWriter

TRIES = 3
RACY_NS = remembered.RACY_NS
# up to so much that changed is read again next time: that is less work than to write down the whole folder
FEW_FILES, FEW_BYTES = 50, 1 << 20

__all__ = [
    "File", "Manifest", "Plan", "Progress", "Snapshot", "fragment_of", "list_manifests", "materialise",
    "read_manifest", "scan", "scan_data", "take", "take_data", "write_manifest",
]  # fmt: skip


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
    known = remembered.load(store, root) if store is not None else Known()
    return Scanner(Path(os.path.abspath(root)), include, (max_bytes, max_files), known).scan()


def take(store: ObjectStore, plan: Plan | None, *, extra: Mapping[str, bytes] | None = None) -> Snapshot:
    """Store what *plan* names, and the generated files of *extra*; the manifest appears last.

    Raises ``SnapshotError`` for a file that changes while it is read, ``StoreError`` where there is no space.
    """
    store.make()
    if plan and not extra:
        same = remembered.unchanged(store, plan)
        if same is not None:
            return same
    try:
        # gc waits from the look at what is there until the manifest says what is needed of it
        with store.writer() as writer:
            keeper = _Keeper(store, writer, plan)
            folders = [_stored(plan, folder, keeper) for folder in plan.folders] if plan else []
            fragments = {folder.path: folder.fragment or b"" for folder in folders}
            _add_generated(fragments, extra or {}, keeper)
            writer.seal()
            found = Snapshot(
                write_manifest(store, fragments, keeper.bytes),
                sum(folder.count for folder in folders) + len(extra or {}),
                keeper.bytes,
            )
        if plan and not (plan.known.folders and keeper.is_little):
            remembered.remember(store, plan, folders, keeper.packs, None if extra else found)
    except OSError as problem:
        raise StoreError(
            f"the snapshot cannot be written to {store.root}: {problem.strerror or problem}",
            hint="free space there (jupyter mlrun gc) and try again",
        ) from problem
    return found


class _Keeper:
    """Puts bytes into the store unless they are there, and counts what the tree has."""

    def __init__(self, store: ObjectStore, writer: PackWriter, plan: Plan | None) -> None:
        self.store, self.writer = store, writer
        self.bytes = 0
        self.read_files = self.read_bytes = 0
        self.max_bytes = plan.max_bytes if plan else 1 << 62
        self._used: set[str] = set()
        # the objects of a remembered folder are in these packs; while these are there, so are they
        self._trusted = plan is not None and store.has_packs(plan.known.packs)
        if plan is not None and self._trusted:
            self._used.update(plan.known.packs)
        store.refresh()

    @property
    def packs(self) -> list[str]:
        """The packs that have all of it."""
        return sorted({*self._used, *self.writer.names})

    @property
    def is_little(self) -> bool:
        """Whether this snapshot stored something new, and read little for it."""
        return bool(self.writer.names) and self.read_files <= FEW_FILES and self.read_bytes <= FEW_BYTES

    def put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).digest()
        return digest.hex() if self._is_there(digest) else self.writer.put(data, digest)

    def has_all_of(self, fragment: bytes) -> bool:
        """Whether every object that a part of a manifest names is in the store."""
        return self._trusted or all(self.has(entry.get("chunks", ())) for entry in json.loads(b"[%s]" % fragment))

    def has(self, chunks: Sequence[str]) -> bool:
        """Whether the chunks of a remembered file are in the store."""
        return self._trusted or all(self._is_there(bytes.fromhex(chunk)) for chunk in chunks)

    def _is_there(self, digest: bytes) -> bool:
        name = self.store.find(digest)
        if name is not None:
            self._used.add(name)
        return name is not None

    def room(self, path: str, size: int) -> None:
        """Count *size* bytes that were read; a file that grows does not pass the limit."""
        self.bytes += size
        if self.bytes > self.max_bytes:
            raise SnapshotError(
                f"{path!r} brings the snapshot over {self.max_bytes / 1e6:,.0f} MB: it grows while it is read",
                hint=ignore_hint(path),
            )


# ---- reading -------------------------------------------------------------------------------------------


def _stored(plan: Plan, folder: Folder, keeper: _Keeper) -> Folder:
    """The folder with its part of the manifest, and as it may be remembered."""
    if folder.fragment is not None and keeper.has_all_of(folder.fragment):
        keeper.room(folder.path, folder.bytes)
        return folder
    chunks = _remembered_chunks(folder if folder.fragment is not None else folder.before)
    began = time.time_ns()
    entries: list[dict[str, Any]] = [{"path": join(folder.path, name), "link": to} for name, to in folder.links]
    found = Folder(folder.path, folder.signature)
    found.folders, found.left_out, found.warnings, found.count = (
        folder.folders, folder.left_out, folder.warnings, folder.count,
    )  # fmt: skip
    for entry, kept in _read_files(plan, folder, chunks, keeper):
        entries.append(_file_entry(join(folder.path, entry[0]), entry[1], entry[5], kept))
        found.bytes += entry[1]
        # a file as young as this when it was read may have changed since without a trace
        if max(entry[2], entry[3]) < began - RACY_NS:
            found.files.append(entry)
    found.links.extend(folder.links)
    if found.files != folder.files:
        found.signature = b""  # looked at again next time
    found.fragment = fragment_of(entries)
    return found


def _remembered_chunks(folder: Folder | None) -> dict[Stat, list[str]]:
    """The chunks of the files that were read before and may be trusted, by what ``stat`` said of them."""
    if folder is None or not folder.fragment:
        return {}
    by_name = {str(entry["path"]).rpartition("/")[2]: entry for entry in json.loads(b"[%s]" % folder.fragment)}
    # of a file that was too young to be trusted there is an entry in the manifest, but none in ``files``
    return {entry: by_name[entry[0]]["chunks"] for entry in folder.files}


def _read_files(
    plan: Plan, folder: Folder, chunks: dict[Stat, list[str]], keeper: _Keeper
) -> Iterator[tuple[Stat, list[str]]]:
    """What ``stat`` said of each file at the moment it was read, and its chunks."""
    place = _open_folder(plan.root, folder.path) if folder.files else -1
    try:
        for entry in folder.files:
            kept = chunks.get(entry)
            if kept is not None and keeper.has(kept):
                keeper.room(join(folder.path, entry[0]), entry[1])
                yield entry, kept
            else:
                yield _read(place, join(folder.path, entry[0]), entry[0], keeper)
    finally:
        if place >= 0:
            os.close(place)


def _open_folder(root: Path, path: str) -> int:
    """The folder, reached step by step without following a link that was put in the way."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    fd = -1
    try:
        fd = os.open(root, flags)
        for part in path.split("/") if path else ():
            outer, fd = fd, os.open(part, flags | os.O_NOFOLLOW, dir_fd=fd)
            os.close(outer)
    except OSError as problem:
        if fd >= 0:
            os.close(fd)
        raise SnapshotError(
            f"the folder {path or str(root)!r} changed while it was packaged: {problem.strerror or problem}",
            hint="submit again when nothing moves it",
        ) from problem
    return fd


def _read(place: int, path: str, name: str, keeper: _Keeper) -> tuple[Stat, list[str]]:
    """The file's entry and chunks, as it was at one moment; a file that does not keep still is refused."""
    why = "it changed while it was read"
    for _ in range(TRIES):
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
        except PermissionError as problem:
            raise unreadable(path, problem) from problem
        except OSError as problem:
            why = problem.strerror or str(problem)
            continue
        try:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                why = "it is no regular file any more"
                continue
            counted = keeper.bytes
            keeper.room(path, before.st_size)
            chunks, size = _chunks(fd, path, before.st_size, keeper)
            after = os.fstat(fd)
        finally:
            os.close(fd)
        s = _stat(name, after)
        if s == _stat(name, before) and size == s[1]:
            keeper.read_files += 1
            keeper.read_bytes += size
            return s, chunks
        keeper.bytes = counted
    raise SnapshotError(
        f"{path!r} cannot be packaged: {why}", hint="submit again when nothing writes to it, or ignore it"
    )


def _stat(name: str, s: os.stat_result) -> Stat:
    return (name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_mode)


def _chunks(fd: int, path: str, size: int, keeper: _Keeper) -> tuple[list[str], int]:
    """The chunks of the first *size* bytes, and how many there were; one that grows is not followed."""
    found, total = [], 0
    while total < size:
        try:
            data = _read_full(fd, min(CHUNK, size - total))
        except OSError as problem:
            raise unreadable(path, problem) from problem
        if not data:
            break
        total += len(data)
        found.append(keeper.put(data))
    return found, total


def _read_full(fd: int, wanted: int) -> bytes:
    data = os.read(fd, wanted)
    while data and len(data) < wanted and (more := os.read(fd, wanted - len(data))):
        data += more
    return data


# ---- manifests -----------------------------------------------------------------------------------------


def _file_entry(path: str, size: int, mode: int, chunks: list[str]) -> dict[str, Any]:
    return {"path": path, "size": size, "executable": bool(mode & 0o100), "chunks": chunks}


def _add_generated(fragments: dict[str, bytes], extra: Mapping[str, bytes], keeper: _Keeper) -> None:
    for path, data in extra.items():
        folder, _, name = unpack.check_path(path).rpartition("/")
        entries = json.loads(b"[%s]" % fragments.get(folder, b""))
        is_folder = any(other == path or other.startswith(f"{path}/") for other in fragments)
        if is_folder or _first_file_on(path, fragments):
            raise SnapshotError(f"the folder has {path!r} already, or a file in its way", hint=f"rename {name!r}")
        chunks = [keeper.put(data[i : i + CHUNK]) for i in range(0, len(data), CHUNK)]
        keeper.bytes += len(data)
        fragments[folder] = fragment_of([*entries, _file_entry(path, len(data), 0, chunks)])


def _first_file_on(path: str, fragments: Mapping[str, bytes]) -> str | None:
    """*path*, or the first folder on the way to it, where that is a file or a link already."""
    steps = path.split("/")
    for n in range(1, len(steps) + 1):
        here = "/".join(steps[:n])
        entries = json.loads(b"[%s]" % fragments.get("/".join(steps[: n - 1]), b""))
        if any(entry["path"] == here for entry in entries):
            return here
    return None
