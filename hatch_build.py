"""Build the JupyterLab extension when Node is there; install without it, and say so, when it is not.

Reads labextension/, schema/, package.json and package-lock.json; writes node_modules/, jupyter_mlrun/labextension/ and
jupyter_mlrun/ui/static/ (all git-ignored); the wheel carries the second to where Jupyter looks for it, and the third,
the live view, inside the package.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path

from hatch_jupyter_builder.utils import is_stale

VIEW = Path("jupyter_mlrun/ui/static/widget.js")
NOTICE = (
    "npm is not on PATH: jupyter_mlrun is installed WITHOUT its JupyterLab extension and its live view. "
    "Magics, SDK, command line and static views work; install Node 20+ and run the same command again to have them."
)


def build_front_end(_target: str, _version: str, *, build_dir: str, source_dir: str, build_cmd: str) -> None:
    """hatch-jupyter-builder calls this for each wheel, sdist and editable install."""
    made = (Path(build_dir, "package.json"), VIEW)
    sources = (source_dir, "schema")
    if not any(not path.exists() or any(is_stale(path, source) for source in sources) for path in made):
        return
    npm = shutil.which("npm")
    if npm is None:
        # the folder must exist, since the wheel's shared-data names it; Jupyter ignores it while it is empty
        Path(build_dir).mkdir(parents=True, exist_ok=True)
        logging.getLogger(__name__).warning(NOTICE)
        return
    # never `npm install`: it rewrites the lock file, if only its date, and make would install all over again
    if is_stale("node_modules/.package-lock.json", "package-lock.json"):
        subprocess.run([npm, "ci"], check=True)
    subprocess.run([npm, "run", build_cmd], check=True)
