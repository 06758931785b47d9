"""Configuration: traitlets, then ``[tool.jupyter_mlrun]`` of pyproject.toml, then ``JUPYTER_MLRUN_*``; later wins.

Reads ``jupyter_mlrun_config.{py,json}`` on Jupyter's config path, pyproject.toml upward from the working
folder, and the environment.
"""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import Bool, Float, Int, List, TraitError, Unicode
from traitlets.config import Config, Configurable
from traitlets.config.loader import JSONFileConfigLoader, PyFileConfigLoader

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.homepath import default_home
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PREFIX = "JUPYTER_MLRUN_"
__all__ = ["JupyterMLRun", "default_home", "load", "parse_size", "parse_time"]
# set by us inside runs and for the agent; not settings
NOT_SETTINGS = {"HOME", "RUN_ID", "RUN_DIR", "EXPERIMENT", "AGENT", "STRICT", "DEBUG"}
_SIZE = re.compile(r"(?i)\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*\Z")
_TIME = re.compile(r"(?i)\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*\Z")


class JupyterMLRun(Configurable):
    """Settings of jupyter_mlrun (``c.JupyterMLRun.… = …``, ``%config JupyterMLRun``)."""

    workspace = Unicode("default", help="Workspace that runs go to when nothing names one.").tag(config=True)
    target = Unicode("local", help="Compute that runs go to when nothing names one.").tag(config=True)
    max_concurrent = Int(
        0, min=0, help="Local runs at once; 0: as many as have GPUs, and max(2, cores // 4) without."
    ).tag(config=True)
    gpu_free_memory = Float(
        0.9, min=0.0, max=1.0, help="Part of a GPU's memory that must be free before a run gets it; 0: do not look."
    ).tag(config=True)
    max_log_bytes = Int(2_000_000_000, min=65_536, help="Bytes of one rank's log before its middle is dropped.").tag(
        config=True
    )
    max_snapshot = Unicode("300MB", help="Largest source folder that is packaged without asking.").tag(config=True)
    stop_grace = Float(10.0, min=0.0, help="Seconds between SIGTERM and SIGKILL when a run is stopped.").tag(
        config=True
    )
    warm = Bool(True, help="Start local runs as forks of a process that is ready.").tag(config=True)
    preload = List(Unicode(), help="Modules that this process has imported, such as torch.").tag(config=True)
    live_view = Bool(True, help="Keep the output of a submitted cell up to date while it is shown.").tag(config=True)


def load(config: Config | None = None, *, start: Path | None = None) -> JupyterMLRun:
    """The settings in force.  *config*: traitlets' own (a kernel's); None reads Jupyter's config files.

    Raises ``BadInput`` for a file that cannot be read, an unknown name or a value of the wrong kind.
    """
    base = _config_files() if config is None else config
    try:
        found = JupyterMLRun(config=base)
    except TraitError as problem:
        raise BadInput(f"configuration of JupyterMLRun: {problem}", hint="correct the value") from problem
    _apply(found, _from_pyproject(start or Path.cwd()), "pyproject.toml [tool.jupyter_mlrun]")
    _apply(found, _from_environment(os.environ), "the environment")
    return found


def _config_files() -> Config:
    from jupyter_core.paths import jupyter_config_path

    found = Config()
    for folder in reversed(jupyter_config_path()):
        for loader, name in (
            (PyFileConfigLoader, "jupyter_mlrun_config.py"),
            (JSONFileConfigLoader, "jupyter_mlrun_config.json"),
        ):
            path = Path(folder) / name
            if not path.is_file():
                continue
            try:
                found.merge(loader(name, path=folder).load_config())
            except Exception as problem:  # a config file is code: anything may come out of it
                raise BadInput(
                    f"{path} cannot be read: {type(problem).__name__}: {problem}",
                    hint="correct the file, or move it away",
                ) from problem
    return found


def _from_pyproject(start: Path) -> dict[str, Any]:
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        try:
            section = _section(path.read_bytes())
        except (OSError, ValueError) as problem:
            raise BadInput(f"{path} cannot be read: {problem}", hint="correct the file") from problem
        if section is not None:
            if not isinstance(section, dict):
                raise BadInput(f"{path}: [tool.jupyter_mlrun] is not a table")
            return section
    return {}


@lru_cache(maxsize=8)
def _section(content: bytes) -> Any:
    """Our table of a pyproject.toml, which costs milliseconds to read: each submit asks."""
    return tomllib.loads(content.decode("utf-8")).get("tool", {}).get("jupyter_mlrun")


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    names = JupyterMLRun.class_own_traits()
    found = {}
    for key, value in environ.items():
        name = key[len(PREFIX) :].lower()
        if key.startswith(PREFIX) and name in names:
            found[name] = value
    return found


def _apply(settings: JupyterMLRun, values: Mapping[str, Any], where: str) -> None:
    known = JupyterMLRun.class_own_traits()
    for name, value in values.items():
        if name not in known:
            raise BadInput(f"{where}: no setting {name!r}", hint=did_you_mean(name, known))
        try:
            setattr(settings, name, _from_text(known[name], value) if isinstance(value, str) else value)
        except (TraitError, ValueError) as problem:
            raise BadInput(f"{where}: {name} = {value!r}: {problem}", hint="correct the value") from problem


def _from_text(trait: Any, text: str) -> Any:
    """A list is written with commas."""
    if isinstance(trait, List):
        return [part.strip() for part in text.split(",") if part.strip()]
    return trait.from_string(text)


def parse_size(text: str | int) -> int:
    """Bytes of ``300MB``, ``1.5g``, ``2GiB`` or a number."""
    match = _SIZE.match(str(text))
    if not match:
        raise BadInput(f"{text!r} is not a size", hint="write it like 300MB, 1.5GB or 2GiB")
    step = 1024 if match[3] else 1000
    return int(float(match[1]) * step ** " kmgt".index(match[2].lower() or " "))


def parse_time(text: str | float) -> float:
    """Seconds of ``90``, ``30m``, ``2h``, ``1d`` or ``H:MM:SS``."""
    parts = str(text).split(":")
    if 1 < len(parts) <= 3 and all(part.isdigit() for part in parts):
        seconds = 0.0
        for part in parts:
            seconds = seconds * 60 + int(part)
    else:
        match = _TIME.match(str(text))
        if not match:
            raise BadInput(f"{text!r} is not a time", hint="write it like 90s, 30m, 2h, 1d or 1:30:00")
        seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2].lower()]
    if not seconds > 0:
        raise BadInput(f"a time limit of {text!r} leaves no time", hint="give more than 0 seconds")
    return seconds
