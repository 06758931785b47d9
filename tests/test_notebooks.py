"""Each notebook runs from top to bottom by papermill, as a user would run it."""

from __future__ import annotations

import os
from pathlib import Path

import papermill
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path: Path, home: Path, tmp_path: Path) -> None:
    os.environ.pop("JUPYTER_MLRUN_RUN_ID", None)
    done = papermill.execute_notebook(str(path), str(tmp_path / path.name), cwd=str(tmp_path), progress_bar=False)
    shown = [output for cell in done.cells for output in cell.get("outputs", ())]
    html = "".join("".join(output.get("data", {}).get("text/html", "")) for output in shown)
    assert "<svg" in html, "the run shows itself, with a chart"
