"""A run seen from inside: ``log`` and the run that this process belongs to.

Reads the variables that the worker set; writes metrics through ``segment``.  Standard library only, and few
modules of it: this is imported by every training script.
"""

from __future__ import annotations

import os
import sys

from . import segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Optional, Union

RUN_DIR = "JUPYTER_MLRUN_RUN_DIR"
_state: dict = {"writer": None, "warned": set()}  # type: ignore[type-arg]


def _warn_once(text: str) -> None:
    if text not in _state["warned"]:
        _state["warned"].add(text)
        sys.stderr.write("jupyter_mlrun: " + text + "\n")


def _writer() -> Optional[segment.MetricWriter]:
    run_dir = os.environ.get(RUN_DIR)
    if not run_dir:
        return None
    rank = os.environ.get("RANK", "0")
    return segment.for_process(os.path.join(run_dir, "metrics"), int(rank) if rank.isdigit() else 0)


def log(
    name: Union[str, Mapping[str, Any]],
    value: Any = None,
    description: str = "",
    step: Optional[int] = None,
) -> None:
    """Log one metric (``log("loss", 0.3, step=7)``) or several of one step (``log({"loss": 0.3}, step=7)``).

    Costs about a microsecond, loses nothing to ``kill -9`` and never raises into training: misuse warns once
    and is counted (``JUPYTER_MLRUN_STRICT=1`` raises).  Outside of a run it says so once and does nothing.

    Args:
        name: the metric, or a mapping of metrics to values that belong to one step.
        value: int, float, bool, str, None, or anything with ``.item()`` (NumPy and torch scalars).
        description: accepted for the reference's sake; not kept.
        step: a whole number; None counts the points of each metric.
    """
    writer = _writer()
    if writer is None:
        _warn_once("log() does nothing here: this process belongs to no run (submit the cell with %%submit)")
        return
    if isinstance(name, str):
        writer.log(name, value, step)
    else:
        writer.log_row(name, value if step is None and value is not None else step)


class RunContext:
    """The run that this process belongs to; what it can do without anything installed."""

    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir

    @classmethod
    def get_context(cls, allow_offline: bool = True) -> RunContext:
        """The run that this process belongs to.

        Raises ``RunEnvironmentError`` outside of a run.  Source: ``azureml.core.Run.get_context``.
        """
        run_dir = os.environ.get(RUN_DIR)
        if run_dir:
            return cls._of(run_dir)
        from ..errors import RunEnvironmentError

        raise RunEnvironmentError(
            "this process belongs to no run",
            hint="submit it: %%submit in a notebook, or jupyter mlrun submit SCRIPT.py",
        )

    @classmethod
    def _of(cls, run_dir: str) -> RunContext:
        return cls(run_dir)

    @property
    def id(self) -> str:
        """The run's id, ``<experiment>_<unix time>_<8 hex>``."""
        return os.environ["JUPYTER_MLRUN_RUN_ID"]

    def log(self, name: str, value: Any, description: str = "", step: Optional[int] = None) -> None:
        """Log one value of a metric; see ``jupyter_mlrun.log``."""
        log(name, value, description, step)

    def flush(self, timeout_seconds: float = 300) -> None:
        """Bring what was logged to the disk.  Readers see it at once without that."""
        writer = _writer()
        if writer is not None:
            writer.flush()
