"""Reads the content store and makes working folders from it: the far side's half of ``store.packs``.

Reads ``objects/packs/*.idx``, ``*.pack`` and ``objects/manifests/*.json`` (docs/format-objects.md); writes the
working folder.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple, TypeVar

from ..errors import CorruptObject, StoreError
from ..rundir import read_json
from .deep import LONG, Reach, link_below, open_below, remove_tree

INDEX_MAGIC = b"JMLRPIDX"
INDEX_HEAD = struct.Struct("<8sII")  # magic, version, entries
INDEX_ENTRY = struct.Struct("<32sQQ")  # digest, offset of the bytes in the pack, their number
VERSION = 1
CHUNK = 4 << 20
# the digest of a whole chunk of zeros
ZEROS = "bb9f8df61474d25e71fa00722318cd387396ca1736605e1248821cc0de3d3af8"
# from so many bytes on, several threads write
_MUCH = 16 << 20
_THREADS = max(2, min(8, os.cpu_count() or 2))
_CHUNKS = 16
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_Data = TypeVar("_Data", bytes, memoryview)
Progress = Callable[[int, int], None]


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
    """Finds and reads objects by digest; several threads may ask it.

    *ahead*: read every index at once, so that ``places`` has all objects; else as many as it takes, the newest first.
    """

    def __init__(self, objects: str, *, ahead: bool = True) -> None:
        self.folder = os.path.join(objects, "packs")
        self.places: Dict[bytes, Tuple[str, int, int]] = {}
        self._seen: set = set()  # type: ignore[type-arg]
        self._open: Dict[str, int] = {}
        self._lock = threading.Lock()
        if ahead:
            self.refresh()

    def refresh(self, wanted: Optional[bytes] = None) -> None:
        """Take in indexes that have not been read; with *wanted*, until that object is found."""
        try:
            names = [name for name in os.listdir(self.folder) if name.endswith(".idx") and name not in self._seen]
        except FileNotFoundError:
            return
        if wanted is not None:
            # what a run needs was mostly stored just before it
            names.sort(key=self._age)
        for name in names:
            pack = os.path.join(self.folder, name[:-4] + ".pack")
            self._seen.add(name)
            try:
                entries = read_index(os.path.join(self.folder, name))
            except FileNotFoundError:
                self.refresh(wanted)  # what gc takes away was put into another pack before
                return
            for digest, offset, size in entries:
                self.places[digest] = (pack, offset, size)
            if wanted in self.places:
                return

    def _age(self, name: str) -> int:
        try:
            return -os.stat(os.path.join(self.folder, name)).st_mtime_ns
        except FileNotFoundError:  # packs were merged meanwhile: reading it shows that
            return 0

    def read(self, digest: bytes) -> bytes:
        """The bytes of an object, checked against its digest."""
        pack, offset, size, fd = self._place(digest)
        return self._checked(digest, pack, os.pread(fd, size, offset), size)

    def read_into(self, digest: bytes, buffer: bytearray) -> memoryview:
        """The same in memory that is used over and over; *buffer* grows where it must."""
        pack, offset, size, fd = self._place(digest)
        if len(buffer) < size:
            buffer.extend(bytes(max(size, min(CHUNK, 2 * len(buffer))) - len(buffer)))
        view = memoryview(buffer)[:size]
        got = os.preadv(fd, [view], offset)
        return self._checked(digest, pack, view[:got], size)

    def _place(self, digest: bytes) -> Tuple[str, int, int, int]:
        """Where an object is: the pack, the offset and number of its bytes, and the open pack."""
        with self._lock:
            if digest not in self.places:
                self.refresh(digest)
            if digest not in self.places:
                raise StoreError(
                    f"object {digest.hex()} is not in {self.folder}", hint="jupyter mlrun fsck shows the damage"
                )
            pack, offset, size = self.places[digest]
            if pack not in self._open:
                self._open[pack] = os.open(pack, os.O_RDONLY | os.O_CLOEXEC)
            return pack, offset, size, self._open[pack]

    def _checked(self, digest: bytes, pack: str, data: _Data, size: int) -> _Data:
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


def materialise(objects: str, manifest_id: str, target: str, progress: Optional[Progress] = None) -> None:
    """Make *target*, which must not exist, a private writable copy of the tree; whole, or not there.

    *progress* is called with the number of each file, from 0 on, before it is written, and of all of them.
    Raises ``CorruptObject`` that names the file and the object for damaged content.
    """
    try:
        files: List[Dict[str, Any]] = read_json(manifest_path(objects, manifest_id))["files"]
    except (KeyError, TypeError, ValueError) as problem:
        raise CorruptObject(f"the manifest {manifest_id} is damaged: {problem!r}") from problem
    reader = PackReader(objects, ahead=False)
    os.mkdir(target, 0o700)
    try:
        _fill(target, files, reader, progress)
    except (FileExistsError, KeyError, TypeError, AttributeError, ValueError) as problem:
        # the folder was empty: a path that exists is one that the manifest names twice
        remove_tree(target)
        raise CorruptObject(f"the manifest {manifest_id} is damaged: {problem!r}") from problem
    except BaseException:
        remove_tree(target)
        raise
    finally:
        reader.close()


def _fill(target: str, files: List[Dict[str, Any]], reader: PackReader, progress: Optional[Progress]) -> None:
    folders = {""}
    total = 0
    for entry in files:
        _make_folders(target, os.path.dirname(check_path(entry["path"])), folders)
        total += entry["size"] if "link" not in entry else 0
    parts = _parts(target, _counted([entry for entry in files if "link" not in entry], progress))
    if total < _MUCH:
        _write_parts(target, parts, reader)
    else:
        _write_in_threads(target, parts, reader)
    # last, so that no file can be written through a link
    for entry in files:
        if "link" in entry:
            if not link_stays_inside(entry["path"], entry["link"]):
                raise CorruptObject(f"a manifest has a link {entry['path']!r} that leads outside")
            link_below(target, entry["path"], entry["link"])


def _counted(entries: List[Dict[str, Any]], progress: Optional[Progress]) -> Iterator[Dict[str, Any]]:
    for number, entry in enumerate(entries):
        if progress is not None:
            progress(number, len(entries))
        yield entry


def _make_folders(target: str, path: str, made: set) -> None:  # type: ignore[type-arg]
    missing = []
    while path not in made:
        missing.append(path)
        path = os.path.dirname(path)
    reach = Reach(target)
    try:
        for folder in reversed(missing):
            if len(target) + len(folder) < LONG:
                os.mkdir(f"{target}/{folder}", 0o700)
            else:
                os.mkdir(os.path.basename(folder), 0o700, dir_fd=reach.folder(os.path.dirname(folder)))
    finally:
        reach.close()
    made.update(missing)


# a file that is there, or a part of it: the entry, the first chunk and the one after the last
_Part = Tuple[Dict[str, Any], int, int]


def _parts(target: str, entries: Iterable[Dict[str, Any]]) -> Iterator[_Part]:
    """What is to be written, in parts of at most ``_CHUNKS`` chunks; a file of several is made when its turn comes."""
    for entry in entries:
        count = len(entry["chunks"])
        if count != -(-entry["size"] // CHUNK):
            raise CorruptObject(f"a manifest has {count} objects for the {entry['size']} bytes of {entry['path']!r}")
        if count <= _CHUNKS:
            yield entry, 0, count
            continue
        os.close(open_below(target, entry["path"], _CREATE, _mode(entry)))
        for first in range(0, count, _CHUNKS):
            yield entry, first, min(first + _CHUNKS, count)


def _write_in_threads(target: str, parts: Iterator[_Part], reader: PackReader) -> None:
    # costs 10 ms to import, which small trees need not pay
    from concurrent.futures import ThreadPoolExecutor

    lock, failed = threading.Lock(), threading.Event()

    def taken() -> Iterator[_Part]:
        while not failed.is_set():
            with lock:
                part = next(parts, None)
            if part is None:
                return
            yield part

    def work() -> None:
        try:
            _write_parts(target, taken(), reader)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(_THREADS) as pool:
        for done in [pool.submit(work) for _ in range(_THREADS)]:
            done.result()


def _write_parts(target: str, parts: Iterable[_Part], reader: PackReader) -> None:
    buffer = bytearray()  # a new page of memory costs more than a small file: it grows with what is read
    for entry, first, end in parts:
        flags = _CREATE if end - first == len(entry["chunks"]) else os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = open_below(target, entry["path"], flags, _mode(entry))
        try:
            _write_chunks(fd, entry, (first, end), reader, buffer)
        finally:
            os.close(fd)


def _mode(entry: Dict[str, Any]) -> int:
    return 0o700 if entry.get("executable") else 0o600


def _write_chunks(
    fd: int, entry: Dict[str, Any], chunks: Tuple[int, int], reader: PackReader, buffer: bytearray
) -> None:
    """Write some of a file's chunks where they belong; chunks of zeros become holes."""
    size = entry["size"]
    for number in range(*chunks):
        digest, place = entry["chunks"][number], number * CHUNK
        wanted = min(CHUNK, size - place)
        if digest == ZEROS and wanted == CHUNK:
            if place + wanted == size:
                os.ftruncate(fd, size)
            continue
        try:
            data = reader.read_into(bytes.fromhex(digest), buffer)
        except (CorruptObject, StoreError) as problem:
            raise type(problem)(f"{entry['path']!r}: {problem.message}", hint=problem.hint) from problem
        if len(data) != wanted:
            raise CorruptObject(f"{entry['path']!r}: object {digest} has {len(data)} bytes instead of {wanted}")
        while data:
            written = os.pwrite(fd, data, place)
            place, data = place + written, data[written:]


def write_file(path: str, entry: Dict[str, Any], reader: PackReader) -> None:
    """Write one file of a tree, which must not exist, from its chunks; whole, or not there.

    Raises ``CorruptObject`` that names the file and the object for damaged content.
    """
    fd = os.open(path, _CREATE, _mode(entry))
    try:
        _write_chunks(fd, entry, (0, len(entry["chunks"])), reader, bytearray())
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)
