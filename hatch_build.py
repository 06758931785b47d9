"""Build the JupyterLab extension when Node is there; install without it, and say so, when it is not.

Reads labextension/ and package.json; writes jupyter_mlrun/labextension/ (git-ignored), which the wheel
carries to where Jupyter looks for it.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from hatch_jupyter_builder import npm_builder
from hatch_jupyter_builder.utils import is_stale

NOTICE = (
    "npm is not on PATH: jupyter_mlrun is installed WITHOUT its JupyterLab extension. "
    "Magics, SDK and command line work; install Node 20+ and run the same command again to have it."
)


def build_front_end(target: str, version: str, *, build_dir: str, source_dir: str, build_cmd: str) -> None:
    """hatch-jupyter-builder calls this for each wheel, sdist and editable install."""
    entry = Path(build_dir, "package.json")
    if entry.exists() and not is_stale(entry, source_dir):
        return
    if shutil.which("npm") is None:
        # the folder must exist, since the wheel's shared-data names it; Jupyter ignores it while it is empty
        Path(build_dir).mkdir(parents=True, exist_ok=True)
        logging.getLogger(__name__).warning(NOTICE)
        return
    npm_builder(target, version, npm=["npm"], build_cmd=build_cmd)
