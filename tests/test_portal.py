"""Importing what scripts and notebooks import loads no web server."""

from __future__ import annotations

import subprocess
import sys


def test_the_core_knows_no_web_server() -> None:
    code = (
        "import sys, jupyter_mlrun, jupyter_mlrun.cli, jupyter_mlrun.portal, jupyter_mlrun.differences\n"
        "from jupyter_mlrun import Run, Workspace, log\n"
        "sys.exit(any(name.split('.')[0] in ('tornado', 'jupyter_server') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
