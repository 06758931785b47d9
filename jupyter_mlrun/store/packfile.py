"""One pack and its index, byte for byte.

Reads and writes ``objects/packs/*.pack`` and ``*.idx`` (docs/format-objects.md).
"""

from __future__ import annotations

import hashlib
import os
import struct
from bisect import bisect_left
from typing import TYPE_CHECKING

from jupyter_mlrun.rundir import write_atomic
from jupyter_mlrun.worker.unpack import INDEX_ENTRY, INDEX_HEAD, INDEX_MAGIC, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PACK_HEAD = struct.Struct("<8sII")  # magic, version, zero
PACK_MAGIC = b"JMLRPACK"
FRAME = struct.Struct("<4sQ32s")  # magic, number of bytes, their digest; the bytes follow
FRAME_MAGIC = b"OBJ1"

Entry = tuple[bytes, int, int]


class Index:
    """One ``.idx`` as a set of digests: searched where it lies, or taken into memory when asked often."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()[INDEX_HEAD.size : -32]
        self._count = len(self._data) // INDEX_ENTRY.size
        self._asked = 0
        self._all: set[bytes] | None = None

    def __contains__(self, digest: bytes) -> bool:
        if self._all is not None:
            return digest in self._all
        self._asked += 1
        if self._asked * 16 > self._count:
            self._all = {entry[0] for entry in INDEX_ENTRY.iter_unpack(self._data)}
        place = bisect_left(range(self._count), digest, key=self._digest)
        return place < self._count and self._digest(place) == digest

    def _digest(self, place: int) -> bytes:
        start = place * INDEX_ENTRY.size
        return self._data[start : start + 32]


def write_index(pack: Path, entries: Iterable[Entry]) -> None:
    """Write the sorted index beside a pack; from then on its objects are there."""
    sorted_entries = sorted(entries)
    body = INDEX_HEAD.pack(INDEX_MAGIC, VERSION, len(sorted_entries))
    body += b"".join(INDEX_ENTRY.pack(*entry) for entry in sorted_entries)
    write_atomic(pack.with_suffix(".idx"), body + hashlib.sha256(body).digest())


def frames(pack: Path) -> Iterator[tuple[Entry, bool]]:
    """Every whole object of a pack, in order, and whether its bytes fit its digest."""
    with pack.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        if file.read(PACK_HEAD.size)[:8] != PACK_MAGIC:
            return
        while len(head := file.read(FRAME.size)) == FRAME.size:
            magic, size, digest = FRAME.unpack(head)
            offset = file.tell()
            if magic != FRAME_MAGIC or size > end - offset:
                return
            yield (digest, offset, size), hashlib.sha256(file.read(size)).digest() == digest


def damaged(pack: Path, entries: Iterable[Entry]) -> list[str]:
    """The digests of objects whose bytes, or the frame before them, are not what they were."""
    bad = []
    with pack.open("rb") as file:
        for digest, offset, size in sorted(entries, key=lambda entry: entry[1]):
            data = os.pread(file.fileno(), FRAME.size + size, offset - FRAME.size)
            right = data[: FRAME.size] == FRAME.pack(FRAME_MAGIC, size, digest)
            if not right or hashlib.sha256(data[FRAME.size :]).digest() != digest:
                bad.append(digest.hex())
    return sorted(bad)
