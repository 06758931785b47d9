"""What the server says and hears, as types: Python owns them, the TypeScript is made from them.

Reads this module; ``python -m jupyter_mlrun.server.api`` writes ``labextension/src/api.ts``.

All addresses stand below ``<base_url>jupyter-mlrun/``.  Times are Unix seconds, sizes bytes.  An answer that is no
success is a ``Failure``.  JSON has no infinities: such numbers come as the text ``NaN``, ``Infinity``, ``-Infinity``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, TypedDict

# TypeScript is made with what these names mean
from jupyter_mlrun.server.api_runs import (  # noqa: TC001
    Change,
    ExperimentCount,
    FileKind,
    Problem,
    Real,
    RunQuery,
    RunRow,
    Section,
)
from jupyter_mlrun.ui.contract import FromView  # noqa: TC001
from jupyter_mlrun.ui.typescript import Messages

# ---- GET api/runs/RUN/… ----------------------------------------------------------------------------------------


class MetricInfo(TypedDict):
    """A metric that a run has."""

    name: str
    kind: Literal["number", "text", "other"]
    count: int
    last: str


class MetricList(TypedDict):
    """``metrics`` without a name."""

    metrics: list[MetricInfo]
    more: int  # metrics that are not listed


class Columns(TypedDict):
    """``metrics?name=``: points, or buckets of them with the value of their last point, in the order of x."""

    name: str
    axis: Literal["step", "time"]
    exact: bool  # each is one point
    count: int
    x: list[float]
    min: list[Real]
    max: list[Real]
    last: list[Real]


# ``lines?log=0&from=&to=``: fewer where they are long (ask again from where it ended) or not there.
LineWindow = TypedDict(
    "LineWindow",
    {
        "from": int,
        "lines": list[str],
        "total": int,
        "partial": bool,  # the last line of the log is unfinished
    },
)


class LineFound(TypedDict):
    """``search?log=0&text=&from=&backward=``."""

    line: int | None
    total: int
    next: int | None  # not all was looked at: go on from here


class FileInfo(TypedDict):
    """A file of a run, or of its snapshot."""

    path: str
    size: int
    mtime: float | None
    kind: FileKind


class FileList(TypedDict):
    """``files`` or ``code``: in the order of their paths."""

    files: list[FileInfo]
    total: int  # the first MOST_FILES are listed
    snapshot: str | None


class FileDiff(TypedDict):
    """How a file of one run differs from that of another."""

    path: str
    status: Change
    diff: str  # unified; empty where it is no text, or too long
    why: str | None  # why there is no diff


class ParameterDiff(TypedDict):
    """A value that differs; null where there is none."""

    name: str
    a: str | None
    b: str | None


class Diff(TypedDict):
    """``api/diff?a=RUN&b=RUN``: from a to b."""

    a: str
    b: str
    files: list[FileDiff]
    same: int  # files that are equal
    parameters: list[ParameterDiff]
    environment: list[ParameterDiff]


class SystemSeries(TypedDict):
    """One figure over time."""

    name: str  # cpu, memory, processes, disk_read, disk_written, disk_free, gpu<n>, gpu<n>_memory
    unit: str  # "%" (100 is one core, or a whole GPU), "bytes", "bytes/s", or "" for a count
    times: list[float]
    values: list[float]


class SystemInfo(TypedDict):
    """``system``: what it used of the machine."""

    facts: list[tuple[str, str]]  # label, value
    series: list[SystemSeries]


class Children(TypedDict):
    """``children``: newest first."""

    runs: list[RunRow]
    total: int


# ---- GET api/compare?runs=a,b,c --------------------------------------------------------------------------------


class CompareRow(TypedDict):
    """One line of the table: a value per run, null where it has none."""

    section: Section
    name: str
    values: list[str | None]
    differs: bool


class Comparison(TypedDict):
    """Runs beside one another."""

    runs: list[RunRow]
    rows: list[CompareRow]
    metrics: list[str]  # that at least two of them have: curves to lay over one another


# ---- GET api/machine -------------------------------------------------------------------------------------------


class GpuInfo(TypedDict):
    """One GPU of this machine."""

    index: int
    name: str
    memory: int
    used: int | None
    utilization: float | None  # 0 to 1
    run: str | None  # the run that holds it
    others: str | None  # who else uses it, in words


class CpuInfo(TypedDict):
    """The processors that this server may use."""

    cores: int
    used: float | None  # 0 to 1, since the last look
    load: float | None  # the machine's, of the last minute


class SpaceInfo(TypedDict):
    """Memory, or the disk that the home is on."""

    total: int
    used: int


class QueueRun(TypedDict):
    """A run that goes on."""

    id: str
    name: str


class QueueWait(QueueRun):
    """A run that waits."""

    why: str
    position: int


class Queue(TypedDict):
    """What a compute does."""

    compute: str
    slots: int
    running: list[QueueRun]
    waiting: list[QueueWait]


class Machine(TypedDict):
    """This machine, and the queue of each compute."""

    gpus: list[GpuInfo]
    cpu: CpuInfo
    memory: SpaceInfo
    disk: SpaceInfo
    queues: list[Queue]
    agent: bool  # whether the agent runs; it is started when it is needed


# ---- GET api/submit-form, api/complete -------------------------------------------------------------------------


class FormOption(TypedDict):
    """An option of ``%%submit``."""

    name: str
    flags: list[str]
    metavar: str | None  # null: a switch
    help: str
    repeat: bool


class Named(TypedDict):
    """Something with a name that an option takes."""

    name: str
    about: str


class SubmitForm(TypedDict):
    """What can be chosen."""

    computes: list[Named]
    environments: list[Named]
    datasets: list[Named]
    experiments: list[str]
    options: list[FormOption]
    parameters: list[tuple[str, str]]  # names that the cell (``?cell=``) sets to plain values at its top, and these


# ---- POST, DELETE ----------------------------------------------------------------------------------------------


class RerunBody(TypedDict, total=False):
    """``POST api/runs/RUN/rerun``: what is to be other than it was."""

    name: str
    gpus: str
    cpus: int
    memory: str
    time: str
    priority: int
    parameters: dict[str, str]
    tags: dict[str, str]


class TagBody(TypedDict, total=False):
    """``POST api/runs/RUN/tag``."""

    set: dict[str, str]
    remove: list[str]


class RenameBody(TypedDict, total=False):
    """``POST api/runs/RUN/rename``."""

    name: str
    description: str


class _RegisterBody(TypedDict):
    name: str


class RegisterBody(_RegisterBody, total=False):
    """``POST api/runs/RUN/register``: answered by a ``ModelInfo``."""

    path: str  # as ``files`` names it; default: the name
    description: str
    tags: dict[str, str]


class ManyBody(TypedDict):
    """``POST api/runs/stop``, ``POST api/runs/delete``."""

    runs: list[str]


class OneDone(TypedDict):
    """What became of one run of several."""

    id: str
    error: Problem | None


class ManyDone(TypedDict):
    """Answers ``ManyBody``."""

    runs: list[OneDone]


class RunDone(TypedDict):
    """Answers stop, rerun (the id is the new run's), tag, rename and delete."""

    id: str


# ---- WS api/live -----------------------------------------------------------------------------------------------


class _OpenRuns(TypedDict):
    do: Literal["open"]
    sub: int
    what: Literal["runs"]
    query: RunQuery


class OpenRuns(_OpenRuns, total=False):
    """Follow a list; the same number again with another query moves the window.  ``RunsUpdate`` comes."""

    workspace: str


class _OpenRun(TypedDict):
    do: Literal["open"]
    sub: int
    what: Literal["run"]
    run: str


class OpenRun(_OpenRun, total=False):
    """Follow a run; then ``Say`` a ``Hello``.  The messages of ``contract.ts`` come, each with its ``sub``."""

    workspace: str


class _OpenMachine(TypedDict):
    do: Literal["open"]
    sub: int
    what: Literal["machine"]


class OpenMachine(_OpenMachine, total=False):
    """Follow this machine; a ``MachineUpdate`` comes when something moved."""

    workspace: str


class Close(TypedDict):
    """Follow it no more."""

    do: Literal["close"]
    sub: int


class Say(TypedDict):
    """A message of a run's view."""

    do: Literal["say"]
    sub: int
    message: FromView


class Pong(TypedDict):
    """Answers ``Ping``."""

    do: Literal["pong"]


class RunsUpdate(TypedDict):
    """What changed in a list's window."""

    type: Literal["runs"]
    sub: int
    seq: int
    full: bool  # nothing that was there before counts
    order: list[str] | None  # the ids of the window in their order; null: as it was
    rows: list[RunRow]  # those that changed
    gone: list[str]  # ids that are no longer in the window
    total: int
    counts: dict[str, int]
    experiments: list[ExperimentCount]


class MachineUpdate(Machine):
    """The machine now."""

    type: Literal["machine"]
    sub: int
    seq: int


class SubProblem(TypedDict):
    """A subscription that cannot be served; it is closed where ``final``, else it goes on by itself."""

    type: Literal["problem"]
    sub: int
    error: Problem
    final: bool


class Ping(TypedDict):
    """Nothing new, and the server is there: a page that hears nothing for 3 of these connects again."""

    type: Literal["ping"]
    sub: Literal[0]
    now: float


FromPage = OpenRuns | OpenRun | OpenMachine | Close | Say | Pong
FromServer = RunsUpdate | MachineUpdate | SubProblem | Ping

# ---- the TypeScript --------------------------------------------------------------------------------------------

MESSAGES = Messages(
    __name__,
    Path(__file__).parents[2] / "labextension" / "src" / "api.ts",
    "python -m jupyter_mlrun.server.api",
    above=("jupyter_mlrun.server.api_runs",),
    literals=("Answer", "FileKind", "Change", "Real", "Section"),
    unions=("FromPage", "FromServer"),
    foreign={"./contract.js": ("FromView",)},
)

if __name__ == "__main__":
    sys.exit(MESSAGES.main(sys.argv[1:]))
