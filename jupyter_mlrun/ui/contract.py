"""The live view's messages as types: Python owns them, the TypeScript is made from them.

Reads this module; ``python -m jupyter_mlrun.ui.contract`` writes ``labextension/src/contract.ts``.

A message is a JSON object and at most one binary buffer of little-endian float64 numbers.  In steady state the view
says nothing: frames come when something moved, at most ``FRAMES_PER_SECOND``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, TypedDict

from jupyter_mlrun.ui.typescript import Messages

FRAMES_PER_SECOND = 10  # no view gets more frames
FRAME_BYTES = 262_144  # what came is cut to about this size: series to buckets, lines to the newest
MOST_METRICS = 200  # in a frame: the first by name; `more_series` counts the others
MOST_POINTS = 4096  # a view that would hold more of a series says hello, and gets buckets
MOST_FRAME_LINES = 500  # of the log in a frame
MOST_LINES = 2000  # in an answer to `lines`
LONGEST_LINE = 4096  # characters; of a longer line it is said how many were cut
MOST_ODD = 50  # points of a series that are no finite numbers, named one by one
MOST_CELLS = 1000  # of a notebook, named one by one
MOST_SAMPLES = 600  # of one figure of the system that a view keeps
STATIC_CLASS = "jupyter-mlrun-static"  # of a saved output's outermost element, beside `<this>-<view>`

Axis = Literal["step", "time"]
Kind = Literal["number", "text", "form", "other"]
Mode = Literal["append", "reset"]
CellState = Literal["running", "done", "failed"]

# ---- from the view ---------------------------------------------------------------------------------------------


class _Hello(TypedDict):
    type: Literal["hello"]
    view: str
    have: int | None  # the last `seq` that was seen
    buckets: int  # how many a long series may have: about the chart's width in pixels


class Hello(_Hello, total=False):
    """At the start, after a gap in `seq`, when shown again: the answer is a frame with `full`."""

    log: int  # which of `Run.logs` (default 0)


class Hide(TypedDict):
    """No frames until the next hello: the tab is hidden, or the output scrolled away."""

    type: Literal["hide"]


# The points of one metric between two places of an axis (zoom): the answer is a `Range`, or a `Refusal`.
AskRange = TypedDict(
    "AskRange",
    {
        "type": Literal["range"],
        "ask": int,  # the answer has the same number
        "metric": str,
        "x": Axis,
        "from": float,
        "to": float,
        "buckets": int,
    },
)

# Lines by number, from 0, at most MOST_LINES: the answer is a `Lines`, or a `Refusal`.
AskLines = TypedDict(
    "AskLines",
    {
        "type": Literal["lines"],
        "ask": int,
        "from": int,
        "to": int,  # past the last
    },
)

# The next line that contains a text, whatever its case: the answer is a `Found`, or a `Refusal`.
AskSearch = TypedDict(
    "AskSearch",
    {
        "type": Literal["search"],
        "ask": int,
        "text": str,
        "from": int,  # the first line looked at
        "backward": bool,
    },
)


# How many lines contain a text, counted in slices: the answer is a `Counted`, or a `Refusal`.
AskCount = TypedDict(
    "AskCount",
    {
        "type": Literal["count"],
        "ask": int,
        "text": str,
        "from": int,  # the first line looked at
        "at": int,  # those up to this line are counted apart, too
    },
)


class AskImage(TypedDict):
    """The newest image of a metric: the answer is an `Image`, or a `Refusal`."""

    type: Literal["image"]
    ask: int
    metric: str


class AskCommand(TypedDict):
    """Do something: the answer is a `Done`."""

    type: Literal["command"]
    ask: int
    name: Literal["stop"]


# ---- from Python -----------------------------------------------------------------------------------------------


class Queue(TypedDict):
    """Where a waiting run stands in the queue of its machine."""

    place: str  # 2nd of 5
    first: str  # the run that is first in its lane
    waits_for: str  # what the first lacks: runs|slots|cpus|memory|gpus|turn
    cure: str | None  # the option that would start this run now
    by: float | None  # when it is expected to start


class _Run(TypedDict):
    id: str
    name: str  # the name given to it, else its id
    experiment: str
    target: str
    by: str | None  # the user
    status: str  # the reference's words
    shown: str  # the status for people: NotResponding where it cannot be seen
    reason: str | None  # why it ended as it did
    waiting: str | None  # what it waits for
    created: float
    started: float | None
    ended: float | None
    over: bool
    can_stop: bool
    warnings: list[str]  # what was lost or misused while logging
    parameters: list[tuple[str, str]]
    tags: list[tuple[str, str]]
    inputs: list[str]
    links: list[tuple[str, str]]  # label, href
    logs: list[str]  # one per rank


class Run(_Run, total=False):
    """What is known of the run; times are Unix seconds."""

    queue: Queue | None  # the same as data, where it waits in a queue
    start: str | None  # how its first process started: `warm`, or `cold: ` and why


class Form(TypedDict):
    """A metric that is no series of numbers: rows, tables, images, charts' documents.  The newest of each."""

    form: str  # row|table|list|image|confusion_matrix|accuracy_table|residuals|predictions
    count: int  # how often it was logged
    total: int  # rows in all
    columns: list[str]  # of the rows, or of the matrix
    more_columns: int  # that are not sent
    rows: list[list[str]]  # the newest
    lines: list[tuple[int, int, int]]  # column, offset, points: each (row, min, max, last) in the buffer
    matrix: list[list[float]] | None  # of a confusion matrix: a row per true class
    file: str | None  # name of the image or document among the run's files
    problem: str | None  # why it cannot be shown


class _Series(TypedDict):
    name: str
    kind: Kind  # text and others have no points
    mode: Mode
    count: int  # points in all
    nonfinite: int  # of them, those that are NaN or infinite
    odd: list[tuple[float, float, str]]  # step, time, NaN|Infinity|-Infinity: the newest MOST_ODD since the last frame
    last: str  # the last value, for people
    offset: int  # into the buffer, in float64s
    points: int  # so many times len(columns) float64s, point after point
    columns: list[str]  # step, time, value; or step, time, min, max, last of buckets


class Series(_Series, total=False):
    """What came of one metric (`append`), or all of it anew (`reset`), with its numbers in the buffer.

    Points are in the order of their steps after a `reset`, in the order in which they were logged after an `append`:
    steps may repeat and go back, so a view sorts by its axis.  A value may be NaN or infinite.
    """

    form: Form  # where it has one that changed


class Usage(TypedDict):
    """What came of one figure of the system: (time, value) pairs in the buffer."""

    name: str  # cpu, memory, processes, disk_read, disk_written, disk_free, gpu<n>, gpu<n>_memory
    unit: str  # % (100 is one core, or a whole GPU), bytes, bytes/s, or nothing for a count
    mode: Mode
    most: float | None  # the largest value that there can be
    offset: int
    points: int


class System(TypedDict):
    """What the run uses of its machine."""

    cores: int
    memory: float  # bytes
    gpus: list[tuple[str, float]]  # name, bytes of memory
    usage: list[Usage]


class Cells(TypedDict):
    """How far a notebook run is; cells are counted from 1, text cells included."""

    total: int
    done: int  # cells that are behind
    current: int | None
    failed: int | None
    said: str  # cell 5 of 12
    error: str | None  # name of the exception that ended it
    changed: list[tuple[int, CellState, float, float | None]]  # number, state, when it began, seconds


# The end of the log: `lines` replace everything from line `from` on (its last line may have been unfinished).
Log = TypedDict(
    "Log",
    {
        "from": int,
        "lines": list[str],
        "total": int,  # lines so far, an unfinished one included
        "bytes": int,
        "partial": bool,  # the last line is unfinished
        "dropped": str | None,  # what a log over its limit gave back, in words
        "skipped": int,  # lines before `from` that came and were not sent: ask for them by number
    },
)


class _Frame(TypedDict):
    type: Literal["frame"]
    seq: int  # rises by 1 per frame of a view
    full: bool  # nothing that was there before counts: the first frame, and the answer to each hello
    now: float
    problem: str | None  # why the run cannot be shown (removed, damaged, of a newer format …); what was shown stays
    series: list[Series]  # those that changed


class Frame(_Frame, total=False):
    """What changed since the frame before."""

    run: Run  # absent where nothing changed
    log: Log  # as above
    system: System  # as above
    cells: Cells  # as above
    more_series: int  # metrics that are not sent


class Range(TypedDict):
    """`count` times (x, min, max, last) float64 in the buffer, in the order of x."""

    type: Literal["range"]
    ask: int
    metric: str
    x: Axis
    count: int
    nonfinite: int
    exact: bool  # every point is there, not buckets


# The lines asked for: fewer where they are long (ask again from where it ended) or not there.
Lines = TypedDict(
    "Lines",
    {
        "type": Literal["lines"],
        "ask": int,
        "from": int,
        "lines": list[str],
        "total": int,
    },
)


class Found(TypedDict):
    """Where a text is."""

    type: Literal["found"]
    ask: int
    line: int | None
    total: int
    searched: Literal["all", "part"]  # part: go on from `next`
    next: int | None


class Counted(TypedDict):
    """How many lines of a slice contain a text."""

    type: Literal["counted"]
    ask: int
    count: int
    before: int  # of them, those up to the line that was asked for
    total: int
    next: int | None  # where the next slice begins; null: that was the last


class Image(TypedDict):
    """A picture: its bytes are the first `size` of the buffer, which is as long as a multiple of 8."""

    type: Literal["image"]
    ask: int
    metric: str
    mime: Literal["image/png", "image/jpeg"]
    size: int


class Done(TypedDict):
    """What became of a command."""

    type: Literal["done"]
    ask: int
    error: str | None


class Refusal(TypedDict):
    """A question that cannot be answered."""

    type: Literal["refused"]
    ask: int
    error: str


FromView = Hello | Hide | AskRange | AskLines | AskSearch | AskCount | AskImage | AskCommand
FromPython = Frame | Range | Lines | Found | Counted | Image | Done | Refusal

# ---- the TypeScript --------------------------------------------------------------------------------------------

MESSAGES = Messages(
    __name__,
    Path(__file__).parents[2] / "labextension" / "src" / "contract.ts",
    "python -m jupyter_mlrun.ui.contract",
    literals=("Axis", "Kind", "Mode", "CellState"),
    unions=("FromView", "FromPython"),
)

if __name__ == "__main__":
    sys.exit(MESSAGES.main(sys.argv[1:]))
