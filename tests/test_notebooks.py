"""Each notebook runs from top to bottom by papermill, as a user would run it."""

from __future__ import annotations

import os
from pathlib import Path

import papermill
import pytest
from traitlets.config import Config

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path: Path, home: Path, tmp_path: Path, socket_folder: Path) -> None:
    os.environ.pop("JUPYTER_MLRUN_RUN_ID", None)
    os.environ["JUPYTER_RUNTIME_DIR"] = str(socket_folder)
    sockets = Config({"KernelManager": {"transport": "ipc"}})  # ports may be taken between their choice and their use
    done = papermill.execute_notebook(
        str(path), str(tmp_path / path.name), cwd=str(tmp_path), progress_bar=False, config=sockets
    )
    shown = [output for cell in done.cells for output in cell.get("outputs", ())]
    html = "".join("".join(output.get("data", {}).get("text/html", "")) for output in shown)
    assert "<svg" in html, "the run shows itself, with a chart"
