"""What is stored of a run, as types: the spec that was asked for, the events that happened, the state they make.

Reads and writes nothing; ``docs/format.md`` describes the same as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, IllegalMove, NewerStore
from jupyter_mlrun.rundir import FORMAT
from jupyter_mlrun.states import TERMINAL, EndReason, Status, may_move

if TYPE_CHECKING:
    from collections.abc import Iterable

RUN_ID = re.compile(r"(?P<experiment>[\w-]{1,255})_(?P<created>\d{1,12})_(?P<tail>[0-9a-f]{8})\Z")
SLUG_BYTES = 100


@dataclass(frozen=True)
class Resources:
    """What a run asks of its compute.  ``gpus``: a count, "auto" or "all"; bytes and seconds elsewhere."""

    gpus: int | str = "auto"
    cpus: int | None = None
    memory: int | None = None
    time: float | None = None
    procs: int = 1
    nodes: int = 1


@dataclass(frozen=True)
class Spec:
    """What was asked: written once, with the run's directory, and never changed."""

    run_id: str
    experiment: str
    workspace: str
    created: float
    created_by: dict[str, Any]
    kind: str
    script: str | None
    arguments: list[str]
    snapshot: dict[str, Any] | None
    objects: str
    environment: dict[str, Any]
    command: list[str] | None = None
    display_name: str | None = None
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    target: str = "local"
    resources: Resources = field(default_factory=Resources)
    priority: int = 0
    env_names: list[str] = field(default_factory=list)
    visible_gpus: list[str] | None = None
    limits: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    expansions: dict[str, list[Any]] = field(default_factory=dict)
    preamble: bool = False
    parent: str | None = None
    notebook: str | None = None
    rerun_of: str | None = None
    git: dict[str, Any] | None = None
    left_out: list[list[str]] = field(default_factory=list)
    umask: int = 0o022
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """As ``spec.json`` holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spec:
        """The spec of any released format; a newer one is refused.

        Raises ``ValueError``, ``KeyError`` or ``TypeError`` for what is no spec.
        """
        check_format(data, "spec.json")
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        asked = dict(data["resources"])
        values["resources"] = Resources(**{f.name: asked[f.name] for f in fields(Resources) if f.name in asked})
        made = cls(**values)
        made._check()
        return made

    def _check(self) -> None:
        """That every part is of its kind: whoever reads a spec goes on as if it were."""
        texts = (self.run_id, self.experiment, self.workspace, self.kind, self.objects, self.target)
        maps = (self.created_by, self.environment, self.parameters, self.limits, self.tags, self.properties)
        lists = (self.arguments, self.env_names, self.inputs, self.left_out)
        optional = (self.script, self.display_name, self.parent, self.notebook, self.rerun_of)
        if not (
            all(isinstance(one, str) for one in texts)
            and all(isinstance(one, dict) for one in (*maps, *self.parameters.values()))
            and all(isinstance(one, list) for one in lists)
            and all(one is None or isinstance(one, str) for one in optional)
            and isinstance(self.created, (int, float))
        ):
            raise ValueError("a part of the spec is of another kind")


def check_format(data: Mapping[str, Any], what: str, known: int = FORMAT) -> None:
    """Refuse what a newer program wrote; ``ValueError`` for what is no record at all."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{what} holds no JSON object")  # noqa: TRY004 -- as for text that is no JSON
    found = data.get("format", FORMAT)
    if not isinstance(found, int) or found > known:
        raise NewerStore(
            f"{what} has format {found}; this program knows formats up to {known}",
            hint="upgrade jupyter_mlrun here: pip install -U jupyter-mlrun",
        )


@dataclass(frozen=True)
class Reason:
    """Why a run ended: a code for programs, words for people, and whether it is a guess."""

    code: str
    text: str
    guess: bool = False


@dataclass(frozen=True)
class RunState:
    """What the events of a run add up to."""

    status: Status = Status.NOT_STARTED
    reason: Reason | None = None
    seq: int = -1
    created: float | None = None
    queued: float | None = None
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    last_lines: tuple[str, ...] = ()
    generation: int = 0
    note: str | None = None
    requests: frozenset[str] = frozenset()
    unseen_since: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self.status in TERMINAL

    @property
    def shown(self) -> Status:
        """The status for people: a run that cannot be seen is NotResponding, whatever it was."""
        if self.unseen_since is not None and not self.is_over:
            return Status.NOT_RESPONDING
        return self.status

    @property
    def process_exit_code(self) -> int:
        """The exit code as a shell would give it: 128 + signal; 1 for an end without one."""
        if self.status is Status.COMPLETED:
            return 0
        if self.signal:
            return 128 + self.signal
        return self.exit_code or 1


def fold(events: Iterable[Mapping[str, Any]]) -> RunState:
    """The state that these events make, in their order; events of unknown type are passed over."""
    state = RunState()
    for event in events:
        state = after(state, event)
    return state


def after(state: RunState, event: Mapping[str, Any]) -> RunState:
    """The state after one more event."""
    kind = event.get("type")
    changes: dict[str, Any] = {"seq": int(event.get("seq", state.seq + 1))}
    if event.get("request"):
        changes["requests"] = state.requests | {str(event["request"])}
    if "generation" in event:
        changes["generation"] = int(event["generation"])
    if kind == "created":
        changes["created"] = event["time"]
    elif kind == "status":
        changes.update(_after_status(state, event))
    elif kind == "note":
        changes["note"] = event["text"]
    elif kind == "seen":
        changes["unseen_since"] = None if event["seen"] else event["time"]
    return replace(state, **changes)


def _after_status(state: RunState, event: Mapping[str, Any]) -> dict[str, Any]:
    status = Status(event["status"])
    changes: dict[str, Any] = {"status": status, "note": event.get("note")}
    if status is Status.QUEUED:
        changes["queued"] = event["time"]
    if status is Status.RUNNING:
        changes["started"] = event.get("started", event["time"])
    if status in TERMINAL:
        reason = event.get("reason") or {}
        changes.update(
            ended=event.get("ended", event["time"]),
            started=event.get("started", state.started),
            exit_code=event.get("exit_code"),
            signal=event.get("signal"),
            last_lines=tuple(event.get("last_lines", ())),
            reason=Reason(reason.get("code", ""), reason.get("text", ""), bool(reason.get("guess"))),
        )
    return changes


def status_event(state: RunState, to: Status, **more: Any) -> dict[str, Any]:
    """The event that moves a run from *state* to *to*; an illegal move raises."""
    guessed = state.reason is not None and state.reason.guess
    if not may_move(state.status, to, guessed=guessed):
        raise IllegalMove(f"a run cannot go from {state.status} to {to}")
    return {"type": "status", "status": str(to), **more}


def end_event(state: RunState, found: Mapping[str, Any]) -> dict[str, Any]:
    """The event for an end as ``exit.json`` tells it; ``ValueError`` for what tells none."""
    if not isinstance(found, Mapping):
        raise ValueError("exit.json holds no JSON object")  # noqa: TRY004 -- as for text that is no JSON
    reason = {
        "code": found.get("reason", EndReason.EXIT_CODE.value),
        "text": found.get("text", ""),
        "guess": bool(found.get("guess")),
    }
    keys = ("ended", "started", "exit_code", "signal", "last_lines", "memory")
    more = {key: found[key] for key in keys if found.get(key) is not None}
    return status_event(state, Status(found["status"]), reason=reason, **more)


def experiment_name(text: str) -> str:
    """*text* with everything but unicode letters, digits, ``_`` and ``-`` made ``-``."""
    cleaned = re.sub(r"[^\w-]", "-", text.strip(), flags=re.UNICODE)[:255]
    if not cleaned.strip("-"):
        raise BadInput(
            f"{text!r} leaves nothing for an experiment's name",
            hint="use letters, digits, '_' or '-', up to 255 of them",
        )
    return cleaned


def slug(name: str) -> str:
    """A folder name for *name*: itself, or cut with a digest where it is too long for a file system."""
    data = name.encode("utf-8")
    if len(data) <= SLUG_BYTES:
        return name
    import hashlib

    head = data[: SLUG_BYTES - 13].decode("utf-8", "ignore")
    return f"{head}-{hashlib.sha256(data).hexdigest()[:12]}"
