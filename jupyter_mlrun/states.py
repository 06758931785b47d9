"""The statuses of a run, the legal moves between them, and the reasons for which runs end.

The names are Azure ML SDK v1's.  One table says which move is allowed; ``store.runs.move`` is the one
function that makes a move.  Standard library only: it travels to the far side (Python 3.9+).
"""

from __future__ import annotations

from enum import Enum


class Status(str, Enum):
    """What is known of a run.  ``NotResponding`` means "cannot be seen", never "failed"."""

    NOT_STARTED = "NotStarted"
    QUEUED = "Queued"
    PREPARING = "Preparing"
    PROVISIONING = "Provisioning"
    STARTING = "Starting"
    RUNNING = "Running"
    CANCEL_REQUESTED = "CancelRequested"
    CANCELED = "Canceled"
    FINALIZING = "Finalizing"
    COMPLETED = "Completed"
    FAILED = "Failed"
    UNAPPROVED = "Unapproved"
    NOT_RESPONDING = "NotResponding"
    PAUSING = "Pausing"
    PAUSED = "Paused"

    def __str__(self) -> str:
        return self.value


S = Status
_ENDS = {S.COMPLETED, S.FAILED, S.CANCELED}
_STOPPABLE = {S.CANCEL_REQUESTED, S.CANCELED, S.FAILED}

MOVES: dict[Status, set[Status]] = {
    S.NOT_STARTED: {S.QUEUED, S.PREPARING, S.PROVISIONING, S.STARTING, S.RUNNING} | _STOPPABLE,
    S.QUEUED: {S.PREPARING, S.PROVISIONING, S.STARTING, S.RUNNING} | _STOPPABLE,
    S.PREPARING: {S.QUEUED, S.PROVISIONING, S.STARTING, S.RUNNING} | _STOPPABLE,
    S.PROVISIONING: {S.QUEUED, S.STARTING, S.RUNNING} | _STOPPABLE,
    # from here on user code may have run: every end is possible, going back is not
    S.STARTING: {S.RUNNING, S.FINALIZING, S.CANCEL_REQUESTED} | _ENDS,
    S.RUNNING: {S.FINALIZING, S.CANCEL_REQUESTED} | _ENDS,
    S.FINALIZING: {S.CANCEL_REQUESTED} | _ENDS,
    S.CANCEL_REQUESTED: _ENDS,
    S.COMPLETED: set(),
    S.FAILED: set(),
    S.CANCELED: set(),
    # a view of a run that cannot be seen, and names of the reference that nothing here enters
    S.NOT_RESPONDING: set(),
    S.UNAPPROVED: set(),
    S.PAUSING: set(),
    S.PAUSED: set(),
}
assert set(MOVES) == set(Status), "every status needs its row in MOVES"

TERMINAL = frozenset(_ENDS)
POST_PROCESSING = frozenset({S.CANCEL_REQUESTED, S.FINALIZING})
WAITING = frozenset({S.NOT_STARTED, S.QUEUED, S.PREPARING, S.PROVISIONING})


class EndReason(str, Enum):
    """Why a run ended; the words for people stand beside it in the event."""

    FINISHED = "finished"
    EXIT_CODE = "exit_code"
    SIGNAL = "signal"
    OUT_OF_MEMORY = "out_of_memory"
    TIME_LIMIT = "time_limit"
    STOPPED = "stopped"
    LAUNCH_FAILED = "launch_failed"
    NODE_LOST = "node_lost"
    ENDED_UNSEEN = "ended_unseen"
    DECLARED = "declared"

    def __str__(self) -> str:
        return self.value


def may_move(old: Status, new: Status, *, guessed: bool = False) -> bool:
    """Whether a run may go from *old* to *new*.

    A terminal status is final, unless it was a guess (*guessed*) and evidence says otherwise.
    """
    if old in TERMINAL:
        return guessed and new in TERMINAL
    return new in MOVES[old]
