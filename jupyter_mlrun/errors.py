"""Every error that a user can meet: one tree, each with a cure, an HTTP status and an exit code.

JupyterMLRunError
├── BadInput                  what was asked cannot be right (CLI exit 2)
│   ├── CellError             … and it stands at a line of the cell
│   └── SnapshotError         … the folder cannot be packaged as it is
├── NotFound                  no such run, compute, workspace, file
├── Conflict                  it exists already, or is in use
│   └── IllegalMove           a state change that the table in states.py forbids
├── StoreError                the home cannot be read or written
│   ├── NewerStore            written by a newer program; left untouched
│   ├── CorruptObject         stored bytes do not match their digest
│   └── DamagedRun            a file of a run does not hold what belongs there
├── AgentError                the agent cannot be started or reached
├── RunFailed                 the run that was waited for ended badly
└── RunEnvironmentError       a call that needs a run was made outside of one

Standard library only: it travels to the far side (Python 3.9+).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs training scripts some milliseconds
    from typing import ClassVar


def an(noun: str) -> str:
    """*noun* with its article: a list, an int."""
    return f"an {noun}" if noun[:1].lower() in tuple("aeio") else f"a {noun}"


class JupyterMLRunError(Exception):
    """Base of all errors raised on purpose.

    The message says what went wrong and with which thing; ``hint`` says how to cure it.
    """

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  → {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        # keyword-only arguments do not survive the default pickling of exceptions
        return (_rebuild, (type(self), self.message, self.hint, self.__dict__))

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback: the message and the cure."""
        return [f"{type(self).__name__}: {self}"]


def _rebuild(
    kind: type[JupyterMLRunError], message: str, hint: str | None, state: dict[str, object]
) -> JupyterMLRunError:
    error = kind.__new__(kind)
    JupyterMLRunError.__init__(error, message, hint=hint)
    error.__dict__.update(state)
    return error


class BadInput(JupyterMLRunError):
    """What was asked cannot be right, whatever the state of the world."""

    status = 400
    exit_code = 2


class CellError(BadInput):
    """Something is wrong at a line of the cell (``line`` counts from 1, the magic's line not counted)."""

    def __init__(self, message: str, *, line: int | None = None, hint: str | None = None) -> None:
        super().__init__(message if line is None else f"cell line {line}: {message}", hint=hint)
        self.line = line


class SnapshotError(BadInput):
    """The source folder cannot be packaged as it is."""


class NotFound(JupyterMLRunError):
    """Nothing here has that name."""

    status = 404


class Conflict(JupyterMLRunError):
    """The thing exists already or is in use."""

    status = 409


class IllegalMove(Conflict):
    """A change of state that the table in ``states.py`` does not allow."""


class StoreError(JupyterMLRunError):
    """The home folder cannot be read or written."""

    status = 503


class NewerStore(StoreError):
    """The store was written by a newer version of this program; nothing was touched."""


class CorruptObject(StoreError):
    """Stored bytes do not match their digest."""


class DamagedRun(StoreError, ValueError):
    """A file of a run does not hold what belongs there."""


class AgentError(JupyterMLRunError):
    """The agent cannot be started or does not answer."""

    status = 503


class RunFailed(JupyterMLRunError):
    """A run that was waited for ended as Failed or Canceled."""


class RunEnvironmentError(JupyterMLRunError):
    """A call that only makes sense inside a run was made outside of one."""

    status = 400
