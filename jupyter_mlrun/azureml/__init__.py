"""The import paths of Azure ML SDK v1: ``azureml.X`` is ``jupyter_mlrun.azureml.X`` here.

All modules below come from one table (``_names``), made when they are imported; their names are looked up when
they are used.  Reads and writes nothing.  Standard library only: it travels to the far side (Python 3.9+).
"""

from __future__ import annotations

import sys

from . import _finder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_finder.install()


def __getattr__(name: str) -> Any:
    return _finder.attribute(sys.modules[__name__], "", name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_finder.children("")})
