"""Metrics as the user's process writes them: fixed-size records in memory-mapped segments, one set per process.

Writes ``<run_dir>/metrics/*`` (through ``segfile``); reads nothing.  No thread, no lock, no system call for a
record: each takes its place from an atomic counter, so threads, signal handlers and finalizers may log at any
moment, and what was logged outlives SIGKILL.  Standard library only (Python 3.9+), and few modules of it.
"""

from __future__ import annotations

import os
import struct
import weakref
import zlib
from itertools import count
from operator import itemgetter
from time import monotonic, time_ns

from . import segformat as form
from .metricinput import Refused, clean_name, clean_step, encode, encode_json, quote
from .segfile import SegmentFile, append_line, can_map
from .segformat import FEWEST_IN_ROW, FLOAT, INT, NO_STEP, ROW_MARK, WORD, head_code, signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

    Link = Tuple[int, Dict[int, "Window"]]
    # the source of places, five views of the same bytes (each starting one field later), and what comes after
    Window = Tuple[Callable[[], int], Any, Any, Any, Any, Any, Link]
    ReadyRow = Tuple[Callable[[Any], Tuple[Any, ...]], Tuple[type, ...], "_Row"]
    RowWindow = Tuple[Callable[[], int], Any, Any, int, Tuple[int, Dict[int, "RowWindow"]]]

RUN_DIR = "JUPYTER_MLRUN_RUN_DIR"
STRICT = "JUPYTER_MLRUN_STRICT"
RETRY_SECONDS = 0.02  # between attempts to grow on a full disk
MANY_NAMES = 10_000
MOST_SCHEMAS = 64  # row segments of one process; other combinations are written as scalars
KEPT_TEXTS = 1024  # texts that are remembered, so that a repeated one is stored once


class _Row:
    """The row segment of one schema: an ordered tuple of names and kinds."""

    def __init__(self, file: SegmentFile, kinds: Tuple[int, ...], grow: Callable[..., memoryview]) -> None:
        self._file, self._grow = file, grow
        self._pack = struct.Struct("<qq" + "".join("d" if k == FLOAT else "q" for k in kinds)).pack
        self._size, self._salt = file.record_size, file.salt & 0xFFFFFFFF
        empty = memoryview(bytearray())
        self._window: RowWindow = (count().__next__, empty, empty, 0, (-1, {}))

    def put(self, step: int, values: Any) -> None:
        """Write one record; ``struct.error`` where a value is not of its column's kind."""
        body = self._pack(step, time_ns(), *values)
        word = zlib.crc32(body, self._salt) << 32 | ROW_MARK
        if not self._file.unit:
            self._file.append(struct.pack("<Q", word) + body)
            return
        while True:
            take, view, words, room, link = self._window
            place = take()
            if place < room:
                break
            self._window = link[1].get(0) or link[1].setdefault(0, self._next(link[0] + 1))
        start = place * self._size
        view[start + 8 : start + self._size] = body
        words[start >> 3] = word

    def _next(self, number: int) -> RowWindow:
        view = self._grow(self._file, number)
        return count().__next__, view, view.cast("Q"), len(view) // self._size, (number, {})


class MetricWriter:
    """Writes the metrics of one process; ``log`` and ``log_row`` never raise into training, and never wait.

    Args:
        metrics_dir: the run's ``metrics`` folder; made where it is missing.
        rank: of this process, for the header.
        mapped: False appends instead; None looks at the file system.
    """

    def __init__(self, metrics_dir: str, rank: int = 0, mapped: Optional[bool] = None) -> None:
        self.metrics_dir, self.rank = os.path.abspath(metrics_dir), rank
        self.strict = os.environ.get(STRICT, "") not in {"", "0"}
        self._mapped = mapped
        self._warned: Dict[str, bool] = {}
        self._reset()
        _writers.add(self)

    def _reset(self) -> None:
        """Start anew, as a process that has written nothing yet: at the start, and in a forked child."""
        self.dropped = self.misused = 0
        self._next_dropped, self._next_misused = count(1).__next__, count(1).__next__
        self._base = f"r{self.rank}-{os.getpid()}-{time_ns():x}-{os.urandom(3).hex()}"
        self._attempts, self._next_name, self._next_text = count().__next__, count().__next__, count().__next__
        self._files: Dict[Any, SegmentFile] = {}
        self._rows: Dict[Any, _Row] = {}  # by schema
        self._ready_rows: Dict[Any, ReadyRow] = {}  # by names and Python types, as they come
        self._latest_rows: Dict[int, ReadyRow] = {}  # by the number of metrics
        self._float_codes: Dict[Any, int] = {}
        self._int_codes: Dict[Any, int] = {}
        self._name_ids: Dict[Any, int] = {}
        self._text_ids: Dict[str, int] = {}
        self._retry_at = 0.0
        self._closed: Optional[Window] = None  # where writing goes on after close()
        self._window = self._no_window()

    @staticmethod
    def _no_window() -> Window:
        # using it raises IndexError, as a full window does
        empty = memoryview(bytearray()).cast("q")
        return (count().__next__, empty, empty, empty, empty.cast("B").cast("d"), empty, (-1, {}))

    def log(self, name: str, value: Any, step: Optional[int] = None) -> None:
        """Store one value of a metric."""
        try:
            if type(value) is float:
                code = self._float_codes[name]
            elif type(value) is int:
                code = self._int_codes[name]
            else:
                raise TypeError
            if type(step) is int:
                whole, mixed = step, step * 5
            elif step is None:
                whole = mixed = NO_STEP
            else:
                raise TypeError
            take, words, steps, times, values, bits, _ = self._window
            # this place is ours alone; the factors 5 and 3 are segformat's
            i = take() << 2
            steps[i] = whole
            times[i] = now = time_ns()
            if type(value) is float:
                values[i] = value
            else:
                bits[i] = value
            words[i] = mixed ^ now * 3 ^ bits[i] ^ code
        except Exception:  # noqa: S110 -- a new name, another type, a full window, a huge step: see below
            pass
        else:
            return
        self._log_slowly(name, value, step)

    def log_row(self, metrics: Mapping[str, Any], step: Optional[int] = None) -> None:
        """Store the values of several metrics at one step."""
        if type(metrics) is dict and len(metrics) < FEWEST_IN_ROW:
            for name, value in list(metrics.items()):
                self.log(name, value, step)
            return
        try:
            # most loops log the same metrics each time
            pick, types, row = self._latest_rows[len(metrics)]
            values = pick(metrics)
            if tuple(map(type, values)) != types:
                raise TypeError
            if type(step) is int and step != NO_STEP:
                row.put(step, values)
            elif step is None:
                row.put(NO_STEP, values)
            else:
                raise TypeError
        except Exception:  # noqa: S110 -- as in log()
            pass
        else:
            return
        self.guarded(lambda: self._put_row(metrics, self._step(step)))

    def log_json(self, name: str, value: Any, step: Optional[int] = None) -> None:
        """Store a table, a list, anything that JSON can hold, as one value."""
        self.guarded(lambda: self._put_one(self._name_id(name), encode_json(value), self._step(step)))

    def flush(self) -> None:
        """Bring what was logged to the disk, where it outlives a power cut."""
        self.guarded(self._sync)

    def close(self) -> None:
        """Flush; what is logged later is kept all the same, with a warning."""
        self.flush()
        if self._closed is None:
            # the slow way notices
            self._closed, self._window = self._window, self._no_window()

    # --- the slow way -------------------------------------------------------------------------------------

    def _log_slowly(self, name: Any, value: Any, step: Any) -> None:
        if isinstance(value, float) and type(value) is not float:
            # numpy.float64, which means and losses are made of
            self.log(name, float.__float__(value), step)
            return
        self.guarded(lambda: self._put_one(self._name_id(name), self._encode(value), self._step(step)))

    def guarded(self, act: Callable[[], None]) -> None:
        """Do *act*; whatever goes wrong is counted and said once, and training goes on.

        ``JUPYTER_MLRUN_STRICT=1`` raises instead.  For what builds on this writer (``logforms``).
        """
        try:
            act()
        except OSError as problem:
            self._drop(problem)
        except Refused as refused:
            self._complain(refused.kind, refused.text)
        except Exception as problem:
            if self.strict:
                raise
            # a user's own __index__, __float__ or keys() may raise anything
            self._complain("error", f"a metric was not kept: {type(problem).__name__}: {problem}")

    def _put_one(self, name_id: int, encoded: Tuple[int, Union[float, int, str]], step: int) -> None:
        kind, value = encoded
        if isinstance(value, str):
            value = self._text_id(value)
        if self._closed is not None:
            self._warn("closed", "a metric was logged after the run was finished; it is kept")
            self._window, self._closed = self._closed, None
        file = self._scalars()
        head = name_id << 8 | kind
        if not file.unit:
            now = time_ns()
            data = struct.pack("<qqd" if kind == FLOAT else "<qqq", step, now, value)
            word = step * 5 ^ now * 3 ^ struct.unpack_from("<q", data, 16)[0] ^ head_code(head, file.salt)
            file.append(struct.pack("<Q", word & WORD) + data)
            return
        while True:
            take, words, steps, times, values, bits, link = self._window
            i = take() << 2
            if i < len(words):
                break
            self._window = link[1].get(0) or link[1].setdefault(0, self._next_window(link[0] + 1))
        steps[i] = step
        times[i] = now = time_ns()
        if kind == FLOAT:
            values[i] = value
        else:
            bits[i] = value
        words[i] = signed((step * 5 ^ now * 3 ^ bits[i] ^ head_code(head, file.salt)) & WORD)

    def _put_row(self, metrics: Any, step: int) -> None:
        if not hasattr(metrics, "items"):
            raise Refused("row", f"several metrics are given as a dict, not as {type(metrics).__name__}")
        key = tuple(metrics), tuple(map(type, metrics.values()))
        ready = self._ready_rows.get(key)
        if ready is not None and ready is not self._latest_rows[len(metrics)]:
            # loops that log two sets of metrics in turn
            self._latest_rows[len(metrics)] = ready
            self.log_row(metrics, step if step != NO_STEP else None)
            return
        items: List[Tuple[Any, str, int, Any]] = []
        for name, value in metrics.items():
            try:
                items.append((name, self._name(name), *self._encode(value)))
            except Refused as refused:
                self._complain(refused.kind, refused.text)
        row = self._row(tuple(item[1:3] for item in items))
        if row is None:
            for _, name, kind, value in items:
                self._put_one(self._name_id(name), (kind, value), step)
            return
        row.put(step, [self._text_id(v) if kind in form.TEXT_KINDS else v for _, _, kind, v in items])
        as_it_came = key[0] == tuple(item[1] for item in items)
        if as_it_came and all(t in {int, bool} or issubclass(t, float) for t in key[1]):
            self._latest_rows[len(items)] = self._ready_rows[key] = (itemgetter(*key[0]), key[1], row)

    def _row(self, schema: Tuple[Tuple[str, int], ...]) -> Optional[_Row]:
        """The row segment of *schema*; None where scalars serve better."""
        row = self._rows.get(schema)
        if row is None and len(schema) >= FEWEST_IN_ROW and len(self._rows) < MOST_SCHEMAS:
            self._scalars()  # it has the counters, so it is there first
            kinds = tuple(kind for _, kind in schema)
            row = self._rows.setdefault(schema, _Row(self._file(schema), kinds, self._grow))
        return row

    def _scalars(self) -> SegmentFile:
        return self._files.get(None) or self._file(None)

    def _file(self, schema: Optional[Tuple[Tuple[str, int], ...]]) -> SegmentFile:
        """The file of a schema, or of scalars (None).  Of several threads that make it one wins."""
        self._may_grow()
        os.makedirs(self.metrics_dir, 0o700, exist_ok=True)
        if self._mapped is None:
            self._mapped = can_map(self.metrics_dir)
        size, kind, meta, end = form.SCALAR_SIZE, form.SCALAR, b"", form.SCALARS_END
        if schema is not None:
            size, kind, end = form.ROW_FIXED + 8 * len(schema), form.ROW, form.ROWS_END
            meta = f"[{', '.join(f'[{quote(n)}, {k}]' for n, k in schema)}]".encode("ascii")
        unit = max(1, form.FIRST_BLOCK // size) if self._mapped else 0
        salt = int.from_bytes(os.urandom(8), "little")
        header = form.Header(kind, size, unit, self.rank, os.getpid(), salt, meta)
        header.started_ns, header.monotonic_ns = time_ns(), int(monotonic() * 1e9)
        if schema is None:
            header.dropped, header.misused = self.dropped, self.misused
        mine = SegmentFile(self._path(f".{self._attempts()}{end}"), header, self._mapped)
        file = self._files.setdefault(schema, mine)
        if file is not mine:
            mine.remove()
        return file

    def _path(self, end: str) -> str:
        return os.path.join(self.metrics_dir, self._base + end)

    def _next_window(self, number: int) -> Window:
        view = self._grow(self._scalars(), number)
        longs = view.cast("q")
        return count().__next__, longs, longs[1:], longs[2:], view.cast("d")[3:], longs[3:], (number, {})

    def _grow(self, file: SegmentFile, number: int) -> memoryview:
        self._may_grow()
        return file.block(number)

    def _may_grow(self) -> None:
        # a full disk is asked again now and then, not by each call
        if self._retry_at and monotonic() < self._retry_at:
            raise OSError("the disk is full")

    # --- names, steps, values -----------------------------------------------------------------------------

    def _name(self, name: Any) -> str:
        text, complaint = clean_name(name)
        if complaint:
            self._complain(*complaint)
        return text

    def _name_id(self, name: Any) -> int:
        known = self._name_ids.get(name) if isinstance(name, str) else None
        if known is not None:
            return known
        text = self._name(name)
        file = self._scalars()
        known = self._name_ids.get(text)
        if known is None:
            self._may_grow()
            number = self._next_name()
            if number >= form.MOST_NAMES:
                raise Refused("names", "too many different metric names; the value was not kept")
            if number == MANY_NAMES:
                self._warn("many-names", f"more than {MANY_NAMES:,} metric names: views will show them in pages")
            # before any record that uses it; of two threads that come here at once both ids are good
            append_line(self._path(form.NAMES_END), f"[{number}, {quote(text)}]")
            known = self._name_ids.setdefault(text, number)
        if isinstance(name, str) and len(name) <= 1000:
            self._name_ids[name] = known
            self._float_codes[name] = head_code(known << 8 | FLOAT, file.salt)
            self._int_codes[name] = head_code(known << 8 | INT, file.salt)
        return known

    def _step(self, step: Any) -> int:
        number, complaint = clean_step(step)
        if complaint:
            self._complain(*complaint)
        return number

    def _encode(self, value: Any) -> Tuple[int, Union[float, int, str]]:
        try:
            encoded, complaint = encode(value)
        except Refused:
            raise
        except Exception as problem:
            # a user's own __float__ may raise anything; the other values of its row are not harmed
            from ..errors import an

            text = f"{an(type(value).__name__)} was not kept: {type(problem).__name__}: {problem}"
            raise Refused(f"value-{type(value).__name__}", text) from problem
        if complaint:
            self._complain(*complaint)
        return encoded

    def _text_id(self, text: str) -> int:
        known = self._text_ids.get(text)
        if known is None:
            self._may_grow()
            self._scalars()  # makes the folder
            known = self._next_text()
            append_line(self._path(form.TEXTS_END), f"[{known}, {text}]")
            if len(text) < 256 and len(self._text_ids) < KEPT_TEXTS:
                self._text_ids[text] = known
        return known

    # --- what went wrong ----------------------------------------------------------------------------------

    def _drop(self, problem: OSError) -> None:
        """A value could not be stored: the disk is full, or the folder is gone."""
        self._retry_at = monotonic() + RETRY_SECONDS
        self.dropped = self._next_dropped()
        self._note(form.DROPPED_AT, self.dropped)
        self._warn("dropped", f"metrics cannot be stored and are dropped (counted): {problem}")

    def _complain(self, kind: str, text: str) -> None:
        if self.strict:
            from ..errors import BadInput

            raise BadInput(text, hint=f"unset {STRICT} to have it warned about and counted instead")
        self.misused = self._next_misused()
        try:
            self._scalars()
        except OSError:
            # nowhere to count yet; the header takes the number over once there is one
            self._warn("dropped", "metrics cannot be stored")
        self._note(form.MISUSED_AT, self.misused)
        self._warn(kind, text)

    def _note(self, at: int, number: int) -> None:
        file = self._files.get(None)
        if file is not None:
            try:
                file.count(at, number)
            except OSError as problem:
                self._warn("count", f"counters cannot be written: {problem}")

    def _warn(self, kind: str, text: str) -> None:
        if self._warned.setdefault(kind, False):
            return
        self._warned[kind] = True
        try:
            # not sys.stderr: it is not re-entrant, and may be gone already
            os.write(2, f"jupyter_mlrun: {text} (said once)\n".encode("utf-8", "replace"))
        except OSError:
            # nobody listens; the counters say it too
            return

    def _sync(self) -> None:
        sides = [self._path(form.NAMES_END), self._path(form.TEXTS_END)]
        for path in [file.path for file in list(self._files.values())] + [p for p in sides if os.path.exists(p)]:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


_writers: weakref.WeakSet[MetricWriter] = weakref.WeakSet()
_of_process: Dict[Tuple[str, int], MetricWriter] = {}


def for_process(metrics_dir: Optional[str] = None, rank: Optional[int] = None) -> MetricWriter:
    """This process' writer for a folder; by default the folder and the rank that the worker set.

    A forked child uses the same object, and writes segments of its own.
    """
    if metrics_dir is None:
        metrics_dir = os.path.join(os.environ[RUN_DIR], "metrics")
    if rank is None:
        text = os.environ.get("RANK", "")
        rank = int(text) if text.isdigit() else 0
    key = (os.path.abspath(metrics_dir), rank)
    return _of_process.get(key) or _of_process.setdefault(key, MetricWriter(metrics_dir, rank))


def _after_fork() -> None:
    for writer in list(_writers):
        writer._reset()  # noqa: SLF001 -- one module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
