"""Waits for a run and prints its log as it grows, as the reference's ``wait_for_completion`` does.

Reads the log by offset and the run's state.
"""

from __future__ import annotations

import codecs
import time
from typing import TYPE_CHECKING, TextIO

from jupyter_mlrun.agent import client
from jupyter_mlrun.sdk.run import POLL_SECONDS, Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jupyter_mlrun.records import RunState

# an agent that was killed is replaced while we wait
AGENT_SECONDS = 2.0
_CHUNK = 1 << 16


class LogPrinter:
    """Copies what a log grew by to a text stream; a character cut in two waits for its rest."""

    def __init__(self, path: Path, stream: TextIO) -> None:
        self.path, self.stream = path, stream
        self.offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def advance(self) -> bool:
        """Print what came; whether something did."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return False
        moved = False
        with file:
            file.seek(self.offset)
            while data := file.read(_CHUNK):
                self.offset += len(data)
                self.stream.write(self._decoder.decode(data.replace(b"\0", b"")))
                moved = True
        if moved:
            self.stream.flush()
        return moved


def follow(run: Run, stream: TextIO | None, *, until: Callable[[RunState], bool] | None = None) -> RunState:
    """Return the run's state once it is over; with *stream*, print header, log and summary to it."""
    spec = run.spec
    log = run.directory.log(0, spec.resources.procs)
    printer = LogPrinter(log, stream) if stream is not None else None
    if stream is not None:
        stream.write(f"RunId: {spec.run_id}\nWeb View: {run.get_portal_url()}\n\n")
        stream.write(f"Streaming {log.relative_to(run.path)}\n{'=' * 40}\n\n")
        stream.flush()  # a run that prints nothing for long is seen to be followed
    next_check = 0.0
    while True:
        state = run.state
        if printer is not None:
            printer.advance()
        if state.is_over or (until is not None and until(state)):
            break
        if time.monotonic() >= next_check:
            client.ensure_agent(run.home)
            next_check = time.monotonic() + AGENT_SECONDS
        time.sleep(POLL_SECONDS)
    if stream is not None:
        stream.write(f"\n\nExecution Summary\n{'=' * 17}\nRunId: {spec.run_id}\nStatus: {state.shown}\n")
        if state.reason is not None:
            stream.write(f"Reason: {state.reason.text}\n")
        stream.flush()
    return state
