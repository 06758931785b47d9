"""Which interpreter a run uses, and which variables it inherits.

Reads this process' environment, and through ``environments`` what is installed.
"""

from __future__ import annotations

import fnmatch
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_mlrun.sdk.environments import Environment
    from jupyter_mlrun.sdk.workspace import Workspace

# the variables of a kernel, a display and a login session: they mean nothing in a run, or give it away
LEFT_OUT = (
    "JPY_*", "JUPYTER_*TOKEN*", "JUPYTER_SERVER_*", "KERNEL_*", "JUPYTERHUB_*", "JUPYTER_MLRUN_RUN_*",
    "JUPYTER_MLRUN_AGENT", "JUPYTER_MLRUN_EXPERIMENT", "AZUREML_*", "IPYTHON*",
    "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "SESSION_MANAGER", "WINDOWID",
    "XDG_SESSION_*", "XDG_SEAT*", "XDG_VTNR", "SSH_*", "TMUX*", "STY", "TERM_SESSION_ID", "VSCODE_*",
    "PYDEVD_*", "COLUMNS", "LINES", "OLDPWD", "_", "SHLVL",
)  # fmt: skip
_IS_LEFT_OUT = re.compile("|".join(map(fnmatch.translate, LEFT_OUT))).match
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
    found = {k: v for k, v in environ.items() if not _IS_LEFT_OUT(k)}
    if found.get("MPLBACKEND", "").startswith("module://"):
        del found["MPLBACKEND"]  # a kernel's own, which draws into its cells
    return found


def own_variables(pairs: Sequence[str]) -> dict[str, str]:
    """``--env-var K=V`` as a mapping; a reserved or misshapen name is ``BadInput``."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadInput(f"--env-var {pair!r} is not NAME=VALUE", hint="a name has letters, digits and '_' only")
        check_variable(name, value, f"--env-var {pair!r}", shown=f"--env-var {name}")
        found[name] = value
    return found


def check_variable(name: str, value: str, where: str, *, shown: str | None = None) -> None:
    """``BadInput`` that begins with *where* (*shown* for a reserved name) for a variable that a run cannot have."""
    if not name.isidentifier() or not name.isascii() or "\0" in value:
        raise BadInput(f"{where} is not NAME=VALUE", hint="a name has letters, digits and '_' only")
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in RESERVED):
        raise BadInput(f"{shown or f'{where}: {name}'}: the run sets this variable itself", hint="choose another name")


def chosen(env: str | None, workspace: Workspace | None = None) -> Environment:
    """The environment that ``--env`` means; *env* None means this interpreter as it is.

    A registered or curated name, a requirements.txt, or a conda file.  Raises ``NotFound`` with the names there are,
    and ``BadInput`` for a file that is none of these.
    """
    from jupyter_mlrun.sdk.environments import Environment, environments

    if env is None:
        return Environment("this interpreter")
    path = Path(env).expanduser()
    known = environments(workspace) if workspace is not None else {}
    if not env.startswith((".", "/", "~")) and (found := known.get(env)) is not None:
        return found
    if not path.is_file():
        raise NotFound(
            f"no environment {env!r}: no file and no registered environment is called that",
            hint=f"{did_you_mean(env, known)}; or give a requirements.txt, or leave --env out",
        )
    if path.suffix in (".yml", ".yaml"):
        found = Environment.from_conda_specification("conda file", path)
    elif path.suffix in (".txt", ".in"):
        found = Environment.from_pip_requirements("requirements", path)
    else:
        raise BadInput(
            f"--env {env}: only requirements.txt and conda's .yml are read; others come in a later release",
            hint=f"install what it needs into {sys.executable} and leave --env out",
        )
    found.name = path.name
    return found


def interpreter(env: str | None, workspace: Workspace | None = None) -> dict[str, Any]:
    """The interpreter of a run as the spec keeps it, if it has what *env* requires; see ``chosen``.

    Raises ``BadInput`` with what it lacks.
    """
    return chosen(env, workspace).resolve()


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
