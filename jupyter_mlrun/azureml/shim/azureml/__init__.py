"""Plain ``azureml`` inside runs: a real one where there is one, else ``jupyter_mlrun.azureml``.

Its folder stands on ``sys.path`` of a rank, and on ``PYTHONPATH`` for whatever Python a rank starts: before the
installed packages, hence the look at the rest of ``sys.path``.  Costs nothing until somebody imports ``azureml``.
Reads ``sys.path``; writes nothing.  Standard library only (Python 3.9+).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from importlib.machinery import PathFinder


def _has_core(folders: list[str]) -> bool:
    spec = PathFinder.find_spec("azureml.core", [os.path.join(folder, "azureml") for folder in folders])
    return spec is not None and spec.loader is not None


def _is_forced() -> bool:
    """Whether ``python -m jupyter_mlrun.azureml`` started us; a run that its script submits decides for itself."""
    return os.environ.get("AZUREML_IS_JUPYTER_MLRUN") == os.environ.get("JUPYTER_MLRUN_RUN_DIR", "outside")


def _become() -> None:
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    others = [entry for entry in sys.path if os.path.abspath(entry) != here]
    forced = _is_forced()
    if not forced and _has_core(others):
        # as if we had never been here
        sys.path[:] = others
        del sys.modules["azureml"]
        importlib.import_module("azureml")
        return
    if importlib.util.find_spec("jupyter_mlrun") is None:
        sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(here))))
    finder = importlib.import_module("jupyter_mlrun.azureml._finder")
    finder.take_name(others_first=not forced)


_become()
