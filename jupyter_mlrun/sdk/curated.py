"""Interpreters that are there already: what a curated name means here, and where conda's environments lie.

Reads conda's list of environments.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import NotFound
from jupyter_mlrun.sdk import once
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from jupyter_mlrun.sdk.requirements import Interpreter

RESERVED = ("AzureML", "Microsoft")
# what a curated name speaks of → the distributions that it was made for
_MADE_FOR = {
    "pytorch": ["torch", "torchvision"], "acpt": ["torch", "torchvision"], "torch": ["torch", "torchvision"],
    "tensorflow": ["tensorflow"], "sklearn": ["scikit-learn"], "scikit": ["scikit-learn"], "lightgbm": ["lightgbm"],
    "chainer": ["chainer"], "xgboost": ["xgboost"],
}  # fmt: skip


def is_curated(name: str) -> bool:
    """Whether *name* is one that the reference keeps for its own environments, like AzureML-PyTorch-1.6-CPU."""
    return name.lower().startswith(tuple(f"{prefix.lower()}-" for prefix in RESERVED))


def packages(name: str) -> list[str]:
    """The distributions that a curated name speaks of; their versions are whatever there is."""
    return next((list(found) for word, found in _MADE_FOR.items() if word in name.lower()), [])


def say(name: str, python: Interpreter) -> None:
    """Tell once what a curated name means here."""
    there = [f"Python {python.version}"]
    missing = []
    for package in packages(name):
        version = python.version_of(package)
        there += [f"{package} {version}"] if version else []
        missing += [] if version else [package]
    lacking = f"; not installed: {', '.join(missing)} (pip install {' '.join(missing)})" if missing else ""
    once.warn(f"{name} is not built: runs use this interpreter in place, with {', '.join(there)}{lacking}")


def conda_interpreter(name: str) -> str:
    """The interpreter of the conda environment *name*, or of the one that lies at that path.

    Raises ``NotFound`` that lists the environments there are.
    """
    there = _conda_environments()
    folder = there.get(name) or Path(name).expanduser()
    python = folder / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise NotFound(f"no conda environment {name!r}", hint=did_you_mean(name, there))
    return str(python.absolute())


def _conda_environments() -> dict[str, Path]:
    """Conda's environments by name, as it lists them itself, and those in its usual folders."""
    listed: list[Path] = []
    try:
        text = (Path.home() / ".conda" / "environments.txt").read_text(encoding="utf-8", errors="replace")
        listed = [Path(line.strip()) for line in text.splitlines() if line.strip()]
    except (OSError, RuntimeError):
        listed = []
    roots = [Path(os.environ[key]) for key in ("CONDA_ROOT", "MAMBA_ROOT_PREFIX") if os.environ.get(key)]
    if os.environ.get("CONDA_EXE"):
        roots.append(Path(os.environ["CONDA_EXE"]).parent.parent)
    found = {path.name: path for path in listed if os.access(path / "bin" / "python", os.X_OK)}
    for root in roots:
        if os.access(root / "bin" / "python", os.X_OK):
            found["base"] = root
        for path in sorted(root.glob("envs/*")):
            if os.access(path / "bin" / "python", os.X_OK):
                found.setdefault(path.name, path)
    if os.environ.get("CONDA_PREFIX"):
        here = Path(os.environ["CONDA_PREFIX"])
        found.setdefault(os.environ.get("CONDA_DEFAULT_ENV") or here.name, here)
    return found
