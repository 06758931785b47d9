"""Logs as text: by offset, bounded, with what was dropped named and control sequences made harmless.

Reads ``user_logs/std_log*.txt`` and ``*.index.jsonl``.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_mlrun.rundir import RunDir

WINDOW = 256 << 10
LONGEST_LINE = 4096
# CSI and two-character sequences; then OSC, DCS, SOS, PM, APC up to their end or the line's
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """*text* as a terminal would have left it: escapes gone, progress bars in their last state."""
    lines = _ESCAPES.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(_line(line) for line in lines)


def _line(line: str) -> str:
    if "\r" in line:
        # a bar that ends in \r shows what came before it
        line = next((part for part in reversed(line.split("\r")) if part), "")
    if "\b" in line:
        line = _rubbed_out(line)
    line = _CONTROLS.sub("", line)
    if len(line) > LONGEST_LINE:
        line = f"{line[:LONGEST_LINE]} … [{len(line) - LONGEST_LINE:,} more characters in this line]"
    return line


def _rubbed_out(line: str) -> str:
    kept: list[str] = []
    for character in line:
        if character != "\b":
            kept.append(character)
        elif kept:
            kept.pop()
    return "".join(kept)


def dropped(run: RunDir, rank: int = 0, ranks: int = 1) -> tuple[int, int] | None:
    """The bytes [start, end) that a log over its limit gave back; None where it kept all."""
    try:
        data = run.log_index(rank, ranks).read_bytes()
    except FileNotFoundError:
        return None
    found = None
    for line in data.splitlines():
        if b"dropped" in line:
            try:
                start, end = json.loads(line)["dropped"]
            except (ValueError, KeyError, TypeError):
                continue  # a torn line
            found = (int(start), int(end))
    return found


def read(path: Path, offset: int, limit: int = 1 << 20) -> bytes:
    """At most *limit* bytes (1 MiB) from *offset*, both made to fit the file."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(min(max(offset, 0), length))
            return file.read(min(max(limit, 0), 1 << 20))
    except FileNotFoundError:
        return b""


def tail(run: RunDir, rank: int = 0, ranks: int = 1, *, lines: int = 200, window: int = WINDOW) -> str:
    """The last lines of a rank's log, plain; a log that dropped bytes says so."""
    path = run.log(rank, ranks)
    length = path.stat().st_size if path.exists() else 0
    start = max(0, length - window)
    gap = dropped(run, rank, ranks)
    if gap is not None:
        start = max(start, gap[1]) if length > gap[1] else start
    text = read(path, start, window).decode("utf-8", "replace")
    if start and (gap is None or start > gap[1]):
        text = text.partition("\n")[2] or text
    shown = plain(text).split("\n")
    if shown and not shown[-1]:
        shown.pop()
    if gap is not None and start == gap[1]:
        shown.insert(0, f"[{gap[1] - gap[0]:,} bytes dropped here: the log grew over its limit]")
    return "\n".join(shown[-lines:]) if lines > 0 else ""


class Follower:
    """What a log grew by, as text; a file that was replaced or cut is read from its beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self._inode: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def more(self, limit: int = 1 << 20) -> str:
        """The next piece; empty when nothing came."""
        return self.decode(self.more_bytes(limit))

    def decode(self, data: bytes) -> str:
        """The text of the next bytes; a character that they cut waits for its rest."""
        return self._decoder.decode(data)

    def more_bytes(self, limit: int = 1 << 20) -> bytes:
        """The next piece as it was written."""
        try:
            info = self.path.stat()
        except FileNotFoundError:
            return b""
        if info.st_ino != self._inode or info.st_size < self.offset:
            self._inode, self.offset = info.st_ino, 0
            self._decoder.reset()
        data = read(self.path, self.offset, limit)
        self.offset += len(data)
        return data
