"""Starts the IPython kernel of a notebook run.

What its cells print goes straight into the run's log, whatever becomes of the kernel afterwards, and to the notebook
in bounds.  Started as ``python kernel.py -f CONNECTION_FILE``; writes to the standard output and error it was given.
"""

from __future__ import annotations

import array
import codecs
import fcntl
import os
import select
import sys
import termios
import threading
import time
from collections import deque
from typing import Any

if __name__ == "__main__" and os.path.realpath(sys.path[0] or ".") == os.path.dirname(os.path.realpath(__file__)):
    del sys.path[0]  # cells import from their own folders

os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # its warning about frozen modules is no news to anybody

import zmq
from ipykernel.iostream import OutStream
from ipykernel.kernelapp import IPKernelApp

NAME = "_jupyter_mlrun_kernel"  # this module, which is __main__ only until the cells have theirs
HEAD, TAIL = 768 << 10, 64 << 10  # characters of a cell's text that the notebook keeps
CHUNK = 1 << 16
SETTLE = 2.0  # seconds at most that a cell's end takes what other programs write
WATCH = 1.0  # seconds between looks whether the stream is closed
QUEUED = 64  # messages that wait for the reader before the sender waits
FLUSH_PATIENCE = 600  # seconds; after ipykernel's 10 it writes "flush timed out" into the midst of the log


class Kept:
    """Of the text of one cell: the beginning as it comes, the end when the cell is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """A cell begins."""
        self._room, self._dropped, self._held = HEAD, 0, 0
        self._tail: deque[str] = deque()

    def now(self, text: str) -> str:
        """What of *text* goes to the notebook at once."""
        with self._lock:
            head = text[: self._room]
            if len(text) > len(head):
                self._hold(text, len(head))
            self._room -= len(head)
            return head

    def _hold(self, text: str, start: int) -> None:
        piece = text[max(start, len(text) - TAIL) :]
        self._tail.append(piece)
        self._dropped += len(text) - start - len(piece)
        self._held += len(piece)
        while self._held - len(self._tail[0]) >= TAIL:
            gone = len(self._tail.popleft())
            self._held -= gone
            self._dropped += gone

    def rest(self) -> str:
        """What is left of the cell's text, with a notice where something is missing."""
        with self._lock:
            tail, dropped = "".join(self._tail), self._dropped
            self.begin()
        if not dropped:
            return tail
        return f"\n[… {dropped:,} characters are not kept here; the run's log has them …]\n{tail}"


class LogStream(OutStream):  # type: ignore[misc,unused-ignore]
    """Standard output or error of the cells: to the log at once, to the notebook as ``Kept`` says."""

    logs: dict[str, int] = {}  # noqa: RUF012 -- traitlets has no part in this class
    flush_timeout = FLUSH_PATIENCE

    def __init__(self, session: Any, pub_thread: Any, name: str, *args: Any, **more: Any) -> None:
        self.kept = Kept()
        self._reading = threading.RLock()  # re-entrant: a signal's handler prints in the midst of a print
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        super().__init__(session, pub_thread, name, *args, **more)  # type: ignore[no-untyped-call,unused-ignore]

    def write(self, string: Any) -> int:
        """Write to the log and to the notebook."""
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string)}")
        if os.getpid() == self._master_pid:  # the pipe is not a child's to read
            self._take()  # what other programs wrote before this comes before it
        _put(self.logs[self.name], string.encode("utf-8", "backslashreplace"))
        self._keep(string)
        return len(string)

    def _keep(self, text: str) -> None:
        head = self.kept.now(text)
        if head:
            super().write(head)

    def finish_cell(self) -> None:
        """Send the end of a cell's text."""
        self._settle()
        rest = self.kept.rest()
        if rest:
            super().write(rest)

    def _watch_pipe_fd(self) -> None:
        """Take what other programs and libraries write to the file descriptor."""
        assert self._fid is not None, "the thread is started after it is set"
        poller = select.poll()
        poller.register(self._fid, select.POLLIN)
        try:
            while self._should_watch:  # looked at now and then: a print may take what close() writes to wake us
                events = poller.poll(WATCH * 1000)
                if not self._take() and any(event & select.POLLHUP for _, event in events):
                    return  # nobody can write to it any more
        except Exception:  # as ipykernel has it: told when the stream is closed
            self._exc = sys.exc_info()

    def _take(self) -> bool:
        """Take what is in the pipe now; whether there was anything."""
        if self._fid is None:
            return False
        left = array.array("i", [0])
        with self._reading:
            fcntl.ioctl(self._fid, termios.FIONREAD, left)
            if left[0] and self._should_watch:
                data = os.read(self._fid, CHUNK)
                _put(self.logs[self.name], data)
                self._keep(self._decoder.decode(data))
        return bool(left[0])

    def _settle(self) -> None:
        """Take what has been written to the file descriptor: it belongs to the cell that is over."""
        deadline = time.monotonic() + SETTLE
        while self._take() and time.monotonic() < deadline:
            pass


def _put(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _streams() -> list[LogStream]:
    return [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, LogStream)]


def _begin_cell(*_: object) -> None:
    for stream in _streams():
        stream.kept.begin()


def _finish_cell(*_: object) -> None:
    for stream in _streams():
        stream.finish_cell()


class KernelApp(IPKernelApp):  # type: ignore[misc,unused-ignore]
    """A kernel whose messages wait for their reader instead of getting lost."""

    def init_iopub(self, context: Any) -> None:
        """Where the reader is slower than the cells, the sender waits: nothing is dropped, little is kept."""
        context.setsockopt(zmq.XPUB_NODROP, 1)
        context.setsockopt(zmq.SNDHWM, QUEUED)
        super().init_iopub(context)  # type: ignore[no-untyped-call,unused-ignore]

    def initialize(self, argv: Any = None) -> None:
        """As always, and be told when a cell begins and ends."""
        super().initialize(argv)  # type: ignore[no-untyped-call,unused-ignore]
        assert self.shell is not None, "initialize() makes it"
        # `!command` without a terminal: nobody is there to answer, and a terminal is slow
        self.shell.system = self.shell.system_raw
        self.shell.events.register("pre_run_cell", _begin_cell)
        self.shell.events.register("post_run_cell", _finish_cell)


def main() -> None:
    """Become the kernel."""
    sys.modules[NAME] = sys.modules[__name__]
    LogStream.logs = {"stdout": os.dup(1), "stderr": os.dup(2)}
    KernelApp.launch_instance(outstream_class=f"{NAME}.LogStream")


if __name__ == "__main__":
    main()
