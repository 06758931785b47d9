"""The files under metric segments: made whole, grown by reserved steps, mapped where that is safe.

Writes ``<run_dir>/metrics/*``; reads /proc/self/mountinfo.  Standard library only (Python 3.9+).
"""

from __future__ import annotations

import mmap
import os
import struct
import sys

from . import segformat as form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

MOUNTS = "/proc/self/mountinfo"
# file systems where a mapping is coherent with read() and space that was reserved stays reserved
MAPPABLE = {"ext2", "ext3", "ext4", "xfs", "tmpfs", "ramfs", "overlay", "f2fs"}
_UNTRACKED: Dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}


def can_map(folder: str) -> bool:
    """Whether files in *folder* may be mapped: local file systems of Linux, little-endian machines."""
    if sys.platform != "linux" or sys.byteorder != "little":
        return False
    place, kind = "", ""
    path = os.path.realpath(folder) + "/"
    try:
        with open(MOUNTS, "rb") as file:
            for line in file:
                left, _, right = line.partition(b" - ")
                point = os.fsdecode(left.split()[4].decode("unicode_escape").encode("latin-1")).rstrip("/") + "/"
                # of two mounts at one place the later hides the earlier
                if path.startswith(point) and len(point) >= len(place):
                    place, kind = point, right.split()[0].decode()
    except (OSError, ValueError, IndexError):
        return False
    return kind in MAPPABLE


class SegmentFile:
    """One segment file: made whole with its header, then grown block by block (or by appending)."""

    def __init__(self, path: str, header: form.Header, mapped: bool) -> None:
        self.path, self.size, self.record_size, self.salt = path, header.size, header.record_size, header.salt
        self.unit = header.unit
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if mapped:
                os.posix_fallocate(fd, 0, header.size)
            if os.pwrite(fd, header.pack(), 0) != header.size:
                raise OSError("the disk is full")
            self._counters = _map(fd, 0, form.PAGE).cast("Q") if mapped else None
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(fd)
        # a mapped file is opened anew for each block: the user may close all descriptors at any time
        self._fd = -1 if mapped else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def block(self, number: int) -> memoryview:
        """Block *number*, mapped; calling again, from wherever, gives the same bytes."""
        unit = self.unit * self.record_size
        start = self.size + form.block_start(number) * unit
        length = form.block_length(number) * unit
        fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            # a full disk is an error here; without this it would be a SIGBUS in the training loop
            os.posix_fallocate(fd, start, length)
            return _map(fd, start, length)
        finally:
            os.close(fd)

    def append(self, record: bytes) -> None:
        """Add *record* where mapping is not to be trusted."""
        written = os.write(self._fd, record)
        if written != len(record):
            size = os.fstat(self._fd).st_size - self.size
            os.ftruncate(self._fd, self.size + size - size % self.record_size)
            raise OSError("the disk is full")

    def count(self, at: int, number: int) -> None:
        """Write a counter of the header."""
        if self._counters is not None:
            self._counters[at >> 3] = number
            return
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(fd, struct.pack("<Q", number), at)
        finally:
            os.close(fd)

    def remove(self) -> None:
        """Nobody used it: another thread was first."""
        if self._fd >= 0:
            os.close(self._fd)
        os.unlink(self.path)


def _map(fd: int, start: int, length: int) -> memoryview:
    slack = start % mmap.ALLOCATIONGRANULARITY
    return memoryview(mmap.mmap(fd, length + slack, offset=start - slack, **_UNTRACKED))[slack:]


def append_line(path: str, line: str) -> None:
    """Add a line to a side file.  It begins with a line end, too: one that a full disk tore harms no other."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        data = f"\n{line}\n".encode("ascii")
        if os.write(fd, data) != len(data):
            raise OSError("the disk is full")
    finally:
        os.close(fd)
