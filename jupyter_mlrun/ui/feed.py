"""Everything a live view needs, without any transport: messages in, frames and answers out.

Reads the run directory through ``reader``; writes nothing by itself.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.store.lines import weight
from jupyter_mlrun.store.livemetrics import OneMetric, part
from jupyter_mlrun.ui.contract import FRAME_BYTES, LONGEST_LINE, MOST_FRAME_LINES, MOST_LINES, MOST_POINTS
from jupyter_mlrun.ui.formpart import form_part, image
from jupyter_mlrun.ui.parts import CellsPart, Numbers, SystemPart
from jupyter_mlrun.ui.reader import UNREADABLE, RunReader, reader_of, words
from jupyter_mlrun.ui.words import number
from jupyter_mlrun.worker import segformat as form

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from jupyter_mlrun.store.lines import LogLines
    from jupyter_mlrun.store.series import Floats
    from jupyter_mlrun.store.sketch import Sketch
    from jupyter_mlrun.ui import contract
    from jupyter_mlrun.ui.reader import Place

    Message = tuple[Any, bytes]

SERIES_BYTES, LOG_BYTES = FRAME_BYTES * 5 // 8, FRAME_BYTES // 4
FEWEST_BUCKETS, BUCKETS = 50, 400
FEWEST_SHARED = 100  # buckets that each series has, however many there are
HEADER_BYTES, ODD_BYTES, FORM_BYTES = 400, 48, 24_000  # of a series, a point that is named, a table, about
COME_BACK_SECONDS = 1.0  # that the log of an ended run may take to be read again
ZOOM_SECONDS = 15.0  # what was read for a zoom is kept so long
POINT, BUCKET = ["step", "time", "value"], ["step", "time", "min", "max", "last"]
NUMBER_KINDS = 1 << form.FLOAT | 1 << form.INT | 1 << form.BOOL
FORM_SECONDS = 1.0  # between two looks at the same rows or table
BEHIND_SECONDS = 2.0  # the end of a log that is faster than its reader is shown so often
_NOTHING = np.empty((0, 3))


@dataclass
class _Sent:
    """What the view has of one series."""

    count: int  # points of all kinds
    numbers: int  # those that are drawn
    held: int  # numbers or buckets that the view keeps
    at: int  # in which frame
    time: float  # when, monotonic


class Feed:
    """One view of one run.

    Args:
        run: its directory.
        waiting: what the run waits for, as the agent says now.
        queue: where it stands in the queue, as data.
        stop: asks for the run to be stopped; what it raises is shown in the view.
    """

    def __init__(
        self,
        run: RunDir | os.PathLike[str] | str,
        *,
        waiting: Callable[[], str | None] | None = None,
        queue: Place | None = None,
        stop: Callable[[], None] | None = None,
    ) -> None:
        self.run = run if isinstance(run, RunDir) else RunDir(run)
        self.seq = 0
        self.hidden = False
        self._waiting, self._queue, self._stop = waiting, queue, stop
        self._reader: RunReader | None = None
        self._buckets = BUCKETS
        self._rank = 0
        self._zoomed: OneMetric | None = None
        self._zoomed_at = 0.0
        self._names: dict[str, str] = {}  # as shown → as logged
        self._shown: dict[str, str] = {}  # as logged → as shown
        self._forget()

    def _forget(self) -> None:
        """The view knows nothing: the next frame is a full one."""
        self._full = True
        self._late = False  # there is more than the last frame took
        self._seen = -1
        self._seen_about = -1
        self._seen_metrics = -1
        self._seen_problem: str | None = None
        self._sent: dict[str, _Sent] = {}
        self._system, self._cells = SystemPart(), CellsPart()
        self._line = 0  # the first that is not sent, or not whole
        self._seen_log: tuple[int, ...] = ()
        self._log_at = -math.inf

    @property
    def reader(self) -> RunReader:
        """What reads the run, for all views of it in this process."""
        if self._reader is None:
            self._reader = reader_of(self.run, self._waiting, self._queue)
        return self._reader

    @property
    def settled(self) -> bool:
        """Whether nothing is to come: the run is over, and the view has all of it."""
        quiet = self.hidden or (not self._late and self._seen == self.reader.version and not self._full)
        return self.reader.over and not self.reader.behind and quiet

    def rest(self) -> None:
        """Let go of what was read; a message makes it come back."""
        self._reader = self._zoomed = None
        self._forget()

    def again(self) -> None:
        """Tell everything anew: nobody said yet that it was heard."""
        self._forget()

    def excuse(self, text: str) -> Message:
        """A frame that says what went wrong beside the run's files; the next good one tells everything anew."""
        self._forget()
        self.seq += 1
        self._seen_problem = words(text)
        header: contract.Frame = {
            "type": "frame",
            "seq": self.seq,
            "full": False,
            "now": time.time(),
            "problem": self._seen_problem,
            "series": [],
        }
        return header, b""

    # ---- frames --------------------------------------------------------------------------------------------

    def frame(self, *, refresh: bool = True) -> Message | None:
        """What changed since the last frame; None where nothing did, or nobody looks.

        *refresh*: read what came, too; whoever serves many views of a run does that once for all.
        """
        if self._zoomed is not None and time.monotonic() - self._zoomed_at > ZOOM_SECONDS:
            self._zoomed = None
        if self.hidden:
            return None
        reader = self.reader
        if refresh:
            reader.refresh()
        if reader.version == self._seen and not self._late and not self._full:
            return None
        full, self._full = self._full, False
        self._seen, self._late = reader.version, False
        numbers = Numbers()
        series = self._series_part(full, numbers)
        made = {
            "run": self._run_part(full),
            "log": self._log_part(full),
            "system": self._system.make(reader.system, reader.system_version, numbers),
            "cells": self._cells.make(reader.cells),
        }
        if not (full or series or any(made.values()) or reader.problem != self._seen_problem):
            return None
        self._seen_problem = reader.problem
        self.seq += 1
        header = {"type": "frame", "seq": self.seq, "full": full, "now": time.time(), "problem": reader.problem}
        header |= {name: value for name, value in made.items() if value is not None}
        header["series"] = series
        if reader.metrics.more:
            header["more_series"] = reader.metrics.more
        return header, numbers.bytes()

    def _run_part(self, full: bool) -> contract.Run | None:
        if self.reader.about_version == self._seen_about and not full:
            return None
        self._seen_about = self.reader.about_version
        return self.reader.about

    # ---- series

    def _series_part(self, full: bool, numbers: Numbers) -> list[contract.Series]:
        metrics = self.reader.metrics
        if metrics.version == self._seen_metrics and not full:
            return []
        self._seen_metrics = metrics.version
        due = self._due()
        each = max(FEWEST_SHARED, min(self._buckets, SERIES_BYTES // (40 * max(1, len(due)))))
        found: list[contract.Series] = []
        forms: list[tuple[contract.Series, Sketch]] = []
        used = 0
        for name in due:
            if used > SERIES_BYTES:
                self._go_on_later()
                break
            series, size = self._one(name, min(each, self._buckets), numbers)
            used += size + HEADER_BYTES + ODD_BYTES * len(series["odd"])
            found.append(series)
            sketch = metrics.sketches[name]
            if sketch.forms is not None:
                forms.append((series, sketch))
                used += FORM_BYTES
        for series, sketch in forms:  # their lines come after all points
            assert sketch.forms is not None
            series["form"] = form_part(self.run, sketch.forms, numbers)
        return found

    def _go_on_later(self) -> None:
        """There is more, and nothing new has to come for it to be told."""
        self._late, self._seen_metrics = True, -1

    def _due(self) -> list[str]:
        """The metrics that have something new, those that waited longest first."""
        metrics, now = self.reader.metrics, time.monotonic()
        due = []
        for name in metrics.shown:
            sent, sketch = self._sent.get(name), metrics.sketches[name]
            if sent is None:
                due.append((-1, name))
            elif sent.count != sketch.count:
                if sketch.forms is not None and now - sent.time < FORM_SECONDS:
                    self._go_on_later()
                else:
                    due.append((sent.at, name))
        return [name for _, name in sorted(due)]

    def _one(self, name: str, buckets: int, numbers: Numbers) -> tuple[contract.Series, int]:
        sketch, sent = self.reader.metrics.sketches[name], self._sent.get(name)
        rows = _appended(sketch, sent, buckets)
        append = sent is not None and rows is not None
        if rows is None:
            rows = sketch.buckets(buckets)
        known = sent.numbers if append and sent is not None else 0
        held = (sent.held if append and sent is not None else 0) + len(rows)
        self._sent[name] = _Sent(sketch.count, sketch.numbers, held, self.seq, time.monotonic())
        last = "" if sketch.forms is not None else words(number(self.reader.metrics.last_of(name)), 200)
        return {
            "name": self._name(name),
            "kind": _kind(sketch),
            "mode": "append" if append else "reset",
            "count": sketch.count,
            "nonfinite": sketch.nonfinite,
            "odd": [(step, at, text) for place, step, at, text in sketch.odd if place >= known],
            "last": last,
            "offset": numbers.add(rows),
            "points": len(rows),
            "columns": POINT if rows.shape[1] == 3 else BUCKET,
        }, rows.nbytes

    def _name(self, name: str) -> str:
        """The name as it is shown: one line, not too long, and no other metric's."""
        shown = self._shown.get(name)
        if shown is None:
            plain = shown = words(name, 300)
            more = 1
            while shown in self._names:
                more += 1
                shown = f"{plain} ({more})"
            self._shown[name], self._names[shown] = shown, name
        return shown

    # ---- log

    def _log_part(self, full: bool) -> contract.Log | None:
        log = self.reader.log(self._rank)
        if log is None:
            return None
        mark = (log.generation, log.read, log.gap[1] if log.gap else 0)
        if mark == self._seen_log and not full:
            return None
        now = time.monotonic()
        if log.behind and now - self._log_at < BEHIND_SECONDS and not (full and not log.read):
            self._late = True
            return None
        anew = full or not self._seen_log or log.generation != self._seen_log[0]
        try:
            made = self._end_of(log, 0 if anew else self._line)
        except OSError:
            # gone between the two looks: the next one says what became of it
            self._late = True
            return None
        self._log_at, self._seen_log = now, mark
        return made

    def _end_of(self, log: LogLines, expected: int) -> contract.Log:
        first = max(expected, log.total - MOST_FRAME_LINES)
        lines = log.lines(first, log.total)
        room, kept = LOG_BYTES, 0
        for line in reversed(lines):
            room -= weight(line)
            if room < 0 and kept:
                break
            kept += 1
        lines = lines[len(lines) - kept :]
        first = log.total - kept
        self._line = log.ended
        return {
            "from": first,
            "lines": lines,
            "total": log.total,
            "bytes": log.size,
            "partial": log.partial,
            "dropped": f"{log.gap[1] - log.gap[0]:,} bytes in the middle were dropped" if log.gap else None,
            "skipped": first - expected,
        }

    # ---- messages ------------------------------------------------------------------------------------------

    def handle(self, message: Any) -> list[Message]:
        """What is answered to a message of the view; nothing to one that is none of the contract's."""
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "hello":
            return self._hello(message)
        if kind == "hide":
            self.hidden = True
            return []
        answer = {
            "range": self._range,
            "lines": self._lines,
            "search": self._search,
            "count": self._count,
            "image": self._image,
            "command": self._command,
        }.get(str(kind))
        if answer is None or not isinstance(message.get("ask"), int):
            return []
        try:
            return [answer(message)]
        except UNREADABLE as problem:
            said = str(problem) if type(problem) is ValueError else f"{type(problem).__name__}: {problem}"
            return [({"type": "refused", "ask": message["ask"], "error": words(said)}, b"")]

    def _hello(self, message: dict[str, Any]) -> list[Message]:
        self._forget()
        self.hidden = False
        self._buckets = _whole(message.get("buckets"), BUCKETS, FEWEST_BUCKETS, MOST_POINTS // 2)
        self._rank = _whole(message.get("log"), 0, 0, 1 << 20)
        made = self.frame()
        return [] if made is None else [made]

    def _range(self, message: dict[str, Any]) -> Message:
        name = self._names.get(message["metric"])
        if name is None:
            raise ValueError(f"there is no metric {message['metric']!r}")
        if self._zoomed is None or self._zoomed.name != name:
            self._zoomed = OneMetric(self.run.metrics, name)
        self._zoomed_at = time.monotonic()
        self._zoomed.refresh()
        series = self._zoomed.series(name)
        low, high = sorted((float(message["from"]), float(message["to"])))
        axis = "time" if message["x"] == "time" else "step"
        rows, exact = part(series, axis, low, high, _whole(message["buckets"], BUCKETS, 1, MOST_POINTS))
        header: contract.Range = {
            "type": "range",
            "ask": message["ask"],
            "metric": message["metric"],
            "x": axis,  # type: ignore[typeddict-item]  # one of the two
            "count": len(rows),
            "nonfinite": int(np.count_nonzero(~np.isfinite(rows[:, 1:]).all(axis=1))),
            "exact": exact,
        }
        return header, np.ascontiguousarray(rows, "<f8").tobytes()

    def _come_back(self) -> None:
        """After a rest, a question must find what was let go of: it is read again, for a second at most."""
        if self.reader.spec is None:
            self.reader.refresh()
            until = time.monotonic() + COME_BACK_SECONDS
            while self.reader.behind and time.monotonic() < until:
                self.reader.refresh()

    def _log_now(self) -> LogLines:
        self._come_back()
        log = self.reader.log(self._rank)
        if log is None:
            raise ValueError(self.reader.problem or "this run has no such log")
        self.reader.refresh()
        return log

    def _lines(self, message: dict[str, Any]) -> Message:
        log = self._log_now()
        first = max(0, int(message["from"]))
        lines = log.lines(first, min(int(message["to"]), first + MOST_LINES), FRAME_BYTES)
        header: Any = {"type": "lines", "ask": message["ask"], "from": first, "lines": lines, "total": log.total}
        return header, b""

    def _search(self, message: dict[str, Any]) -> Message:
        log = self._log_now()
        wanted = str(message["text"])[:LONGEST_LINE]
        line, go_on = log.search(wanted, int(message["from"]), backward=bool(message.get("backward")))
        header: contract.Found = {
            "type": "found",
            "ask": message["ask"],
            "line": line,
            "total": log.total,
            "searched": "all" if go_on is None else "part",
            "next": go_on,
        }
        return header, b""

    def _count(self, message: dict[str, Any]) -> Message:
        log = self._log_now()
        wanted = str(message["text"])[:LONGEST_LINE]
        count, before, go_on = log.count(wanted, int(message["from"]), int(message["at"]))
        header: contract.Counted = {
            "type": "counted",
            "ask": message["ask"],
            "count": count,
            "before": before,
            "total": log.total,
            "next": go_on,
        }
        return header, b""

    def _image(self, message: dict[str, Any]) -> Message:
        self._come_back()
        sketch = self.reader.metrics.sketches.get(self._names.get(message["metric"], ""))
        mime, data = image(self.run, sketch.forms if sketch is not None else None)
        header: contract.Image = {
            "type": "image",
            "ask": message["ask"],
            "metric": message["metric"],
            "mime": mime,  # type: ignore[typeddict-item]  # one of the two
            "size": len(data),
        }
        return header, data + bytes(-len(data) % 8)

    def _command(self, message: dict[str, Any]) -> Message:
        error: str | None = None
        if message.get("name") != "stop" or self._stop is None:
            error = f"this view cannot {words(message.get('name'), 100)}"
        else:
            try:
                self._stop()
            except Exception as problem:  # whatever it is, whoever pressed the button must learn of it
                error = words(problem)
        header: contract.Done = {"type": "done", "ask": message["ask"], "error": error}
        return header, b""


def _appended(sketch: Sketch, sent: _Sent | None, buckets: int) -> Floats | None:
    """The points that the view lacks; None where it is better told all anew."""
    if sent is None:
        return None
    more = sketch.numbers - sent.numbers
    if not more:
        return _NOTHING
    if sent.held + more > MOST_POINTS or more * len(POINT) > buckets * len(BUCKET):
        return None
    return sketch.recent(sent.numbers)


def _kind(sketch: Sketch) -> contract.Kind:
    if sketch.forms is not None and not sketch.numbers:
        return "form"
    if sketch.numbers or sketch.kinds & NUMBER_KINDS:
        return "number"
    return "text" if sketch.kinds == 1 << form.STR else "other"


def _whole(value: Any, default: int, least: int, most: int) -> int:
    """A whole number from a message, made to fit."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return default
    return min(max(int(value), least), most)
