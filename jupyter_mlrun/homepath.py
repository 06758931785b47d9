"""Where data lives, known without loading the settings: listings start faster so.

Reads ``JUPYTER_MLRUN_HOME`` and ``XDG_DATA_HOME``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jupyter_mlrun.errors import BadInput


def default_home() -> Path:
    """Where data lives: ``JUPYTER_MLRUN_HOME``, else the user's data folder."""
    named = os.environ.get("JUPYTER_MLRUN_HOME")
    if named:
        return Path(named).expanduser().absolute()
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    elif os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or _home_folder() / ".local" / "share")
    return (base / "jupyter_mlrun").absolute()


def shown(path: Path) -> str:
    """*path* as its owner would write it; the account's name stays out of notebooks that others see."""
    try:
        return f"~/{path.relative_to(Path.home())}" if Path.home() != Path(path.anchor) else str(path)
    except (ValueError, RuntimeError):  # elsewhere; no home folder is known
        return str(path)


def _home_folder() -> Path:
    try:
        return Path.home()
    except RuntimeError as problem:
        raise BadInput(
            "no home folder is known for this user", hint="set JUPYTER_MLRUN_HOME to a folder of yours"
        ) from problem
