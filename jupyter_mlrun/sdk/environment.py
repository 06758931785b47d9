"""Which interpreter a run uses, and which variables it inherits.

Reads the installed distributions and this process' environment.
"""

from __future__ import annotations

import fnmatch
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement

from jupyter_mlrun.errors import BadInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# the variables of a kernel, a display and a login session: they mean nothing in a run, or give it away
LEFT_OUT = (
    "JPY_*", "JUPYTER_*TOKEN*", "JUPYTER_SERVER_*", "KERNEL_*", "JUPYTERHUB_*", "JUPYTER_MLRUN_RUN_*",
    "JUPYTER_MLRUN_AGENT", "JUPYTER_MLRUN_EXPERIMENT", "AZUREML_*", "IPYTHON*",
    "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "SESSION_MANAGER", "WINDOWID",
    "XDG_SESSION_*", "XDG_SEAT*", "XDG_VTNR", "SSH_*", "TMUX*", "STY", "TERM_SESSION_ID", "VSCODE_*",
    "PYDEVD_*", "COLUMNS", "LINES", "OLDPWD", "_", "SHLVL",
)  # fmt: skip
RESERVED = (
    "JUPYTER_MLRUN_*",
    "AZUREML_*",
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "NODE_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
)


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What a local run gets of the submitter's environment: all of it, less ``LEFT_OUT``."""
    found = {k: v for k, v in environ.items() if not any(fnmatch.fnmatchcase(k, p) for p in LEFT_OUT)}
    if found.get("MPLBACKEND", "").startswith("module://"):
        del found["MPLBACKEND"]  # a kernel's own, which draws into its cells
    return found


def own_variables(pairs: Sequence[str]) -> dict[str, str]:
    """``--env-var K=V`` as a mapping; a reserved or misshapen name is ``BadInput``."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier() or not name.isascii() or "\0" in value:
            raise BadInput(f"--env-var {pair!r} is not NAME=VALUE", hint="a name has letters, digits and '_' only")
        if any(fnmatch.fnmatchcase(name, p) for p in RESERVED):
            raise BadInput(f"--env-var {name}: the run sets this variable itself", hint="choose another name")
        found[name] = value
    return found


def interpreter(env: str | None) -> dict[str, Any]:
    """The environment of a run as the spec keeps it: this interpreter, if it has what *env* requires.

    *env*: None, or a requirements.txt.  Raises ``NotFound`` for a file or name that is not there, and
    ``BadInput`` with the missing distributions.
    """
    found: dict[str, Any] = {"name": "this interpreter", "python": sys.executable, "version": platform.python_version()}
    if env is None:
        return found
    path = Path(env).expanduser()
    if not path.is_file():
        raise NotFound(
            f"no environment {env!r}: it is no file, and no environments are registered",
            hint="give a requirements.txt, or leave --env out to use this interpreter",
        )
    if path.suffix not in (".txt", ".in"):
        raise BadInput(
            f"--env {env}: environments are not built yet; a requirements.txt that this interpreter satisfies works",
            hint=f"install what it needs into {sys.executable} and leave --env out",
        )
    missing = [text for text in _requirements(path) if not _is_satisfied(Requirement(text))]
    if missing:
        raise BadInput(
            f"this interpreter lacks what {env} requires: {', '.join(missing)}",
            hint=f"{sys.executable} -m pip install -r {env}",
        )
    return {**found, "name": path.name, "requirements": _requirements(path)}


def _requirements(path: Path) -> list[str]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        try:
            Requirement(text)
        except InvalidRequirement as problem:
            raise BadInput(
                f"{path} line {number}: {text!r} is not a requirement: {problem}".splitlines()[0],
                hint="name distributions with versions, like numpy>=1.24; options and addresses are refused",
            ) from problem
        found.append(text)
    return found


def _is_satisfied(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


def visible_gpus(environ: Mapping[str, str]) -> list[str] | None:
    """The tokens of the submitter's ``CUDA_VISIBLE_DEVICES``; None where it is not set."""
    text = environ.get("CUDA_VISIBLE_DEVICES")
    if text is None:
        return None
    return [token.strip() for token in text.split(",") if token.strip()]


def current_umask() -> int:
    """This process' umask, read without changing it."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    except OSError:
        return 0o022
    return 0o022


def interpreter_exists(spec_environment: Mapping[str, Any]) -> bool:
    """Whether the interpreter that a spec names is still there."""
    return os.access(str(spec_environment["python"]), os.X_OK)
