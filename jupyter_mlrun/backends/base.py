"""The contract of a compute: launch a worker near it, see what became of it, ask it to stop.

Backends *see*; the agent *decides*; the store *writes*.  Reads and writes nothing itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_mlrun.rundir import RunDir


class Seen(str, Enum):
    """What a look at a run found."""

    LAUNCHING = "launching"  # asked for, user code has not begun
    RUNNING = "running"  # user code runs, and its worker watches it
    UNWATCHED = "unwatched"  # the worker is gone without having told the end
    ENDED = "ended"  # exit.json is there
    LOST = "lost"  # cannot be seen now; never a reason to start it again


@dataclass(frozen=True)
class Sighting:
    """One answer of ``poll``; ``found`` is the content of ``exit.json`` where it has ended."""

    seen: Seen
    found: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""


class Backend(ABC):
    """A kind of compute.  Handles are JSON text; a new instance must follow an old handle."""

    name: ClassVar[str]

    @abstractmethod
    def submit(self, run: RunDir, grant: Mapping[str, Any], *, generation: int) -> str:
        """Start the worker of this *generation* and return its handle, which alone is enough to find it.

        Calling it again with the same generation is no error: the worker claims its generation
        exclusively, so user code starts once.
        """

    @abstractmethod
    def poll(self, handles: Sequence[str]) -> dict[str, Sighting]:
        """One call for all runs.  Every handle gets an answer; one that cannot be seen is LOST."""

    @abstractmethod
    def cancel(self, handle: str) -> None:
        """Ask the run to stop.  Calling again, or too late, is no error."""
