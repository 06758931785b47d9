"""Has a process made ready for warm starts before the first run asks for one, where libraries are to be loaded ahead.

Reads settings and this process' environment; asks the agent, which it starts.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from jupyter_mlrun.agent import client
from jupyter_mlrun.backends import warm
from jupyter_mlrun.errors import JupyterMLRunError
from jupyter_mlrun.sdk import environment
from jupyter_mlrun.sdk.workspace import Workspace
from jupyter_mlrun.settings import default_home
from jupyter_mlrun.worker import startup

if TYPE_CHECKING:
    from jupyter_mlrun.settings import JupyterMLRun


def begin(settings: JupyterMLRun) -> threading.Thread | None:
    """Ask in the background; None where there is nothing to ask for."""
    preload = [name for name in settings.preload if warm.is_allowed(name)]
    if not preload or not settings.warm or not sys.platform.startswith("linux"):
        return None
    asking = threading.Thread(target=_ask, args=(settings, preload), name="jupyter_mlrun warming", daemon=True)
    asking.start()
    return asking


def _ask(settings: JupyterMLRun, preload: list[str]) -> None:
    home = default_home()
    try:
        chosen = environment.chosen(None, Workspace(settings.workspace, home=home))
        env = {**environment.inherited(os.environ), **chosen.environment_variables}
        names = sorted(dict.fromkeys(preload))
        # what is read at start, and no more: the request lies on the disk for a moment
        read = {k: v for k, v in env.items() if k in startup.variables(env, names) or k in startup.WATCHERS}
        what = {
            "kind": "warm",
            "python": chosen.resolve()["python"],
            "preload": names,
            "environment": read,
            "visible_gpus": environment.visible_gpus(os.environ),
            "max_concurrent": settings.max_concurrent,
        }
        client.ensure_agent(home)
        client.request(home, what)
    except JupyterMLRunError as problem:
        # nothing is lost: the first run meets the same problem, and tells it where it is read
        print(f"nothing is loaded ahead: {problem}", file=sys.stderr)
