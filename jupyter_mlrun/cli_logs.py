"""What ``logs`` prints: a log from its beginning or its last lines on, followed until the run is over.

Reads the log by offset; what a log over its limit gave back is named and passed over.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from jupyter_mlrun.agent import client
from jupyter_mlrun.cli_common import for_terminal
from jupyter_mlrun.store import text

if TYPE_CHECKING:
    from jupyter_mlrun.sdk.run import Run

POLL_SECONDS, AGENT_SECONDS = 0.1, 2.0
CHUNK = 1 << 20


def show(run: Run, rank: int, ranks: int, *, follow: bool, lines: int | None, raw: bool) -> None:
    """Print the log of one rank; with *follow*, until the run is over."""
    if lines is not None and not follow and not raw:
        click.echo(text.tail(run.directory, rank, ranks, lines=lines))
        return
    reader = text.Follower(run.directory.log(rank, ranks))
    if lines is not None:
        reader.more_bytes(0)  # opens it: its beginning is passed over
        reader.offset = _last_lines(reader, lines)
    next_check = 0.0
    while True:
        over = run.state.is_over
        _print_rest(run, reader, (rank, ranks), raw=raw)
        if over or not follow:
            return
        sys.stdout.flush()
        if time.monotonic() >= next_check and os.access(run.home, os.W_OK):
            client.ensure_agent(run.home)  # one that was killed is replaced while we wait
            next_check = time.monotonic() + AGENT_SECONDS
        time.sleep(POLL_SECONDS)


def _print_rest(run: Run, reader: text.Follower, which: tuple[int, int], *, raw: bool) -> None:
    gap = text.dropped(run.directory, *which)
    while True:
        if gap is not None and gap[0] <= reader.offset < gap[1]:
            click.echo(f"\n[{gap[1] - gap[0]:,} bytes dropped here: the log grew over its limit]")
            reader.offset = gap[1]
        before_gap = gap is not None and reader.offset < gap[0]
        piece = reader.more_bytes(min(CHUNK, gap[0] - reader.offset) if gap and before_gap else CHUNK)
        if not piece:
            return
        click.echo(piece if raw else for_terminal(reader.decode(piece)), nl=False)


def _last_lines(reader: text.Follower, lines: int) -> int:
    """The offset that the last *lines* lines of the last megabyte begin at."""
    size = reader.path.stat().st_size if reader.path.exists() else 0
    start = max(0, size - CHUNK)
    data = text.read(reader.path, start, size - start)
    at = len(data) - 1 if data.endswith(b"\n") else len(data)
    for _ in range(lines):
        at = data.rfind(b"\n", 0, at)
        if at < 0:
            return start
    return start + at + 1
