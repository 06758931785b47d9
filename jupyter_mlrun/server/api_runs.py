"""What the server says of runs, as types: a line of a list, and everything that an overview shows.

Reads and writes nothing; ``api.py`` makes TypeScript of it.
"""

from __future__ import annotations

from typing import Literal, TypedDict

PREFIX = "jupyter-mlrun"  # where everything lives, below the server's base URL
MOST_ROWS = 500  # runs in one answer, or in one window of the live list
MOST_SPARK = 40  # points of a row's curve
MOST_FILES = 5000  # files in one answer
MOST_COMPARED = 100  # runs beside one another
MOST_PREVIEW = 2_000_000  # bytes of a file that is shown, not downloaded
PING_SECONDS = 15  # the live channel is silent no longer than this
MOST_HEARD = 65_536  # bytes of a message from the page; a longer one closes the channel

Answer = Literal[
    "BadInput", "Forbidden", "NotFound", "NotAllowed", "Conflict", "TooLarge", "Range", "Busy", "Store", "Agent",
    "Internal",
]  # fmt: skip
FileKind = Literal["image", "text", "json", "other", "link"]
Change = Literal["added", "removed", "changed"]
Real = float | Literal["NaN", "Infinity", "-Infinity"]
Section = Literal["run", "parameters", "metrics", "tags", "environment", "inputs", "resources", "code", "git"]

# ---- errors ----------------------------------------------------------------------------------------------------


class Problem(TypedDict):
    """What went wrong: a word for programs, words for people, and the cure."""

    kind: Answer
    message: str
    hint: str | None


class Failure(TypedDict):
    """The body of every answer that is no success."""

    error: Problem


# ---- GET api/about ---------------------------------------------------------------------------------------------


class About(TypedDict):
    """Who answers."""

    version: str
    workspace: str  # the one that is meant where none is named
    workspaces: list[str]
    home: str
    user: str  # of the server's process
    can_write: bool  # whether this visitor may tag, rename, register, delete
    can_execute: bool  # whether this visitor may stop and rerun


# ---- GET api/runs ----------------------------------------------------------------------------------------------


class Primary(TypedDict):
    """The metric that tells best how a run goes, and its curve."""

    name: str
    last: str  # for people, at most 20 characters
    spark: list[float | None] | None  # at most MOST_SPARK values, null is a gap; null: not read yet, it follows


class RunRow(TypedDict):
    """One line of a list."""

    id: str
    name: str  # the name given to it, else its id
    experiment: str
    kind: str  # cell, script, command, notebook or interactive
    status: str  # the reference's words
    shown: str  # the status for people: NotResponding where it cannot be seen
    reason: str | None  # why it ended as it did
    waiting: str | None  # what it waits for
    created: float
    started: float | None
    ended: float | None
    over: bool
    can_stop: bool
    target: str  # the compute
    by: str | None  # the user
    tags: dict[str, str]
    parameters: dict[str, str]
    primary: Primary | None
    metrics: dict[str, str]  # the last values, each of at most 20 characters
    progress: str | None  # such as "cell 3 of 12"
    fraction: float | None  # how much of it is done, where that is known
    parent: str | None
    notebook: str | None


class ExperimentCount(TypedDict):
    """How many runs an experiment has, of those that fit the question whatever their experiment."""

    name: str
    runs: int
    active: int


class RunQuery(TypedDict, total=False):
    """Which runs, in which order: the query string of ``api/runs``, and ``query`` of the live list."""

    text: str  # words that must all stand in id, name, experiment, parameters, tags or script
    status: str  # one or several, with commas; "active" and "over" are several
    experiment: str
    tag: str  # NAME or NAME=VALUE; several with commas
    compute: str
    parent: str  # only children of this run
    sort: str  # created, name, status, elapsed, experiment or metric:NAME; with "-" before it the largest first
    offset: int
    limit: int  # at most MOST_ROWS


class RunList(TypedDict):
    """A window of the runs that fit."""

    runs: list[RunRow]
    total: int  # that fit
    counts: dict[str, int]  # by status, of those that fit whatever their status
    experiments: list[ExperimentCount]


# ---- GET api/runs/RUN ------------------------------------------------------------------------------------------


class Git(TypedDict):
    """Which state of a repository the run was submitted from."""

    commit: str
    branch: str | None
    dirty: bool  # something was not committed
    remote: str | None  # without user and password


class TraceLine(TypedDict):
    """One place of a traceback."""

    file: str
    line: int
    function: str
    text: str  # the source there, where it is known
    cell_line: int | None  # the line of the cell; null for other files
    code: str | None  # the path in the run's snapshot; null for files outside of it


class End(TypedDict):
    """How a run ended."""

    status: str
    code: str  # the reason, for programs
    reason: str
    guess: bool  # nobody saw it
    exit_code: int | None
    signal: int | None
    last_lines: list[str]
    error: str | None  # the last line of the traceback
    traceback: list[TraceLine]
    hints: list[str]  # options that may help when it is run again


class InputInfo(TypedDict):
    """Data that the run got."""

    name: str
    what: str  # for people
    dataset: str | None
    version: int | None
    mode: str
    path: str | None  # where the run saw it


class ModelInfo(TypedDict):
    """A model that came of the run."""

    name: str
    version: int


class ResourceInfo(TypedDict):
    """What was asked for, in words."""

    gpus: str
    cpus: str | None
    memory: str | None
    time: str | None
    procs: int
    nodes: int
    priority: int


class SnapshotInfo(TypedDict):
    """The code that the run got."""

    id: str
    files: int
    bytes: int
    left_out: list[tuple[str, str]]  # path, why


class RunFull(RunRow):
    """Everything that an overview shows."""

    description: str | None
    host: str | None
    client: str | None  # notebook, cli or sdk
    queued: float | None
    now: float  # the server's clock
    script: str | None
    command: list[str] | None
    arguments: list[str]
    cell: str | None  # the source of the cell
    properties: dict[str, str]
    environment: list[tuple[str, str]]  # label, value
    variables: list[str]  # names of the variables that it got; values are never shown
    git: Git | None
    inputs: list[InputInfo]
    resources: ResourceInfo
    snapshot: SnapshotInfo | None
    rerun_of: str | None
    children: int
    models: list[ModelInfo]
    logs: list[str]  # one per rank
    warnings: list[str]
    start: str  # warm, or cold and why
    end: End | None
    folder: str  # where it lies, to copy
    workspace: str
