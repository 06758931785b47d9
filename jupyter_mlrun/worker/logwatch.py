"""Watches the size of one rank's log: keeps its time index, and its head and tail when it grows too large.

The rank writes straight into the file; nothing here is on its way.  Reads and punches
``user_logs/std_log*.txt``, writes ``*.index.jsonl`` beside it.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import Optional

from ..rundir import FILE_MODE, dump_json, write_all

PUNCH_HOLE, KEEP_SIZE = 0x02, 0x01
_BLOCK = 4096
DEFAULT_LIMIT = 2_000_000_000


def punch(fd: int, start: int, end: int) -> bool:
    """Give the bytes [start, end) back to the file system; False where it cannot do that."""
    libc = ctypes.CDLL(None, use_errno=True)
    call = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    if call is None:
        return False
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return bool(call(fd, PUNCH_HOLE | KEEP_SIZE, start, end - start) == 0)


def can_punch(folder: str) -> bool:
    """Whether files in *folder* can have holes punched; tried on a file of its own."""
    path = os.path.join(folder, f".hole.{os.getpid()}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(fd, b"x" * 2 * _BLOCK)
        return punch(fd, 0, _BLOCK)
    finally:
        os.close(fd)
        os.unlink(path)


class LogWatch:
    """One log: looked at again and again by ``look``."""

    def __init__(self, path: str, index: str, limit: int = DEFAULT_LIMIT) -> None:
        self.path, self.limit = path, limit
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.index = os.open(index, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        self.size = 0
        self.hole: Optional[int] = None  # where the hole ends; it begins at half the limit
        self._noted = 0.0

    def look(self, *, last: bool = False) -> int:
        """Note what grew and keep the log within its limit; returns the bytes that came since."""
        size = os.fstat(self.fd).st_size
        grown, self.size = size - self.size, size
        now = time.time()
        if grown and (last or now - self._noted >= 0.1):
            self._write({"offset": size, "time": now})
            self._noted = now
        if size > self.limit:
            self._drop_middle(size)
        return grown

    def _drop_middle(self, size: int) -> None:
        head = self.limit // 2 // _BLOCK * _BLOCK
        end = (size - self.limit // 2) // _BLOCK * _BLOCK
        start = head if self.hole is None else self.hole
        # a step, so that a flood does not mean a system call and an index line per look
        if end - start < max(_BLOCK, self.limit // 16) or not punch(self.fd, start, end):
            return
        self.hole = end
        self._write({"dropped": [head, end], "time": time.time()})

    def _write(self, record: dict) -> None:  # type: ignore[type-arg]
        try:
            write_all(self.index, dump_json(record))
        except OSError:
            # a full disk costs the index a line, never the run its watch
            self._noted = 0.0

    def sync(self) -> None:
        """Make what is in the log survive a power cut."""
        os.fdatasync(self.fd)

    def close(self) -> None:
        """Look once more and let go."""
        self.look(last=True)
        os.close(self.fd)
        os.close(self.index)
