"""Train from a notebook on machines of your own: ``%load_ext jupyter_mlrun``, then ``%%submit`` a cell.

Names are loaded when they are first used, so that a training script pays for ``log`` alone.
"""

from __future__ import annotations

import importlib

from ._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# the first place that is there wins: on a compute without the whole package, runs get what the worker brought
_PLACES = {
    "log": ("worker.context",),
    "Run": ("sdk.run", "worker.context:RunContext"),
    "Workspace": ("sdk.workspace",),
    "Experiment": ("sdk.experiment",),
    "ScriptRunConfig": ("sdk.runconfig",),
    "MpiConfiguration": ("sdk.runconfig",),
    "PyTorchConfiguration": ("sdk.runconfig",),
    "Environment": ("sdk.environments",),
    "ComputeTarget": ("sdk.compute",),
    "AmlCompute": ("sdk.compute",),
    "Datastore": ("sdk.data",),
    "Dataset": ("sdk.data",),
    "Model": ("sdk.model",),
    "RunDetails": ("sdk.details",),
    "compare": ("sdk.compare",),
    "JupyterMLRunError": ("errors",),
    "BadInput": ("errors",),
    "CellError": ("errors",),
    "SnapshotError": ("errors",),
    "NotFound": ("errors",),
    "Conflict": ("errors",),
    "IllegalMove": ("errors",),
    "StoreError": ("errors",),
    "NewerStore": ("errors",),
    "CorruptObject": ("errors",),
    "DamagedRun": ("errors",),
    "AgentError": ("errors",),
    "RunFailed": ("errors",),
    "RunEnvironmentError": ("errors",),
}

__all__ = ["__version__", *_PLACES]  # noqa: PLE0604 -- the keys are strings


def __getattr__(name: str) -> Any:
    for place in _PLACES.get(name, ()):
        module, _, other = place.partition(":")
        try:
            found = getattr(importlib.import_module("." + module, __name__), other or name)
        except ModuleNotFoundError as problem:
            if not (problem.name or "").startswith(__name__):
                raise
            continue
        globals()[name] = found
        return found
    if name in _PLACES:
        raise ImportError(f"jupyter_mlrun.{name} needs the whole package here: pip install jupyter-mlrun")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext jupyter_mlrun``: bring the magics; a second time changes nothing."""
    from . import magics

    magics.load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext jupyter_mlrun``: take the magics away."""
    from . import magics

    magics.unload(shell)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """What a Jupyter server loads."""
    from .server.app import MLRunApp

    return [{"module": __name__ + ".server.app", "app": MLRunApp}]
