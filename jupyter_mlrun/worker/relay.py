"""Carries a rank's output through a pipe where its log cannot have holes: head to the file, tail in memory.

The fallback of logwatch for file systems without hole punching.  A kill of the worker costs what the
pipe and the kept tail held.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Deque

from ..rundir import write_all
from . import process

_TAIL = 8 * 1024 * 1024


class Relay:
    """A pipe whose far end is the rank's standard output, and the thread that empties it."""

    def __init__(self, log: int, limit: int) -> None:
        self.reader, self.writer = os.pipe()
        self.log, self.limit = log, limit
        self.dropped = 0
        self._kept: Deque[bytes] = deque()
        self._kept_bytes = 0
        self._thread = threading.Thread(target=self._pump, name="log relay", daemon=True)

    def start(self) -> None:
        """Begin, once the rank has its end of the pipe."""
        os.close(self.writer)
        self._thread.start()

    def _pump(self) -> None:
        written = 0
        while True:
            data = os.read(self.reader, 1 << 20)
            if not data:
                return
            if written < self.limit - _TAIL:
                write_all(self.log, data)
                written += len(data)
                continue
            self._kept.append(data)
            self._kept_bytes += len(data)
            while self._kept_bytes - len(self._kept[0]) >= _TAIL:
                gone = len(self._kept.popleft())
                self._kept_bytes -= gone
                self.dropped += gone

    def finish(self, wait: float = 2.0) -> None:
        """Write the kept tail; output of a child that still holds the pipe after *wait* s is left behind."""
        patience = process.Patience(wait)
        while self._thread.is_alive() and not patience.over():
            self._thread.join(0.05)
        if self.dropped:
            write_all(self.log, f"\n[jupyter_mlrun: {self.dropped} bytes dropped here]\n".encode("ascii"))
        for data in list(self._kept):
            write_all(self.log, data)
