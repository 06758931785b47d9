"""Servers that are as patient as their tests: a machine that stands still for a while is no disk that hangs.

``python patient.py MODULE ARGUMENTS…`` runs a module (``jupyterlab``, say) as ``python -m`` does, with such a server.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAM = str(Path(__file__))


def be_patient(change: Callable[[Any, str, float], None] = setattr) -> None:
    """Let servers made from now on wait as long as tests do, wherever they would refuse, or answer with a part.

    *change*: sets an attribute of a module.
    """
    from jupyter_mlrun.server import channel, code, commands, logs, service
    from tests.support import PATIENCE

    change(service, "READ_SECONDS", PATIENCE)
    change(service, "COMMAND_SECONDS", PATIENCE)
    change(commands, "ANSWER_SECONDS", PATIENCE)
    change(code, "DIFF_SECONDS", PATIENCE)
    change(logs, "LOG_SECONDS", PATIENCE)
    change(channel, "HANG_SECONDS", PATIENCE)


def main() -> None:
    """Run the module that is named."""
    sys.path[0] = str(Path(__file__).parent.parent)
    be_patient()
    sys.path[0] = os.getcwd()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
