"""A notebook as a run beside plain papermill on the same notebook: rows for ``make bench``."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jupyter_mlrun import settings
from jupyter_mlrun.agent import client
from jupyter_mlrun.sdk.submit import Request, submit

REPEATS = 5
PAPERMILL = "import sys, papermill; papermill.execute_notebook(*sys.argv[1:3], progress_bar=False)"


def notebook(sources: list[str]) -> str:
    """A notebook of these cells, as a file has it."""
    cells: list[dict[str, Any]] = [
        {"id": f"c{i}", "cell_type": "code", "source": text, "metadata": {}, "outputs": [], "execution_count": None}
        for i, text in enumerate(sources)
    ]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return json.dumps({"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})


NOTEBOOKS = {
    "20 small cells": ["x = 1\nprint(x)"] * 20,
    "20 MB printed": ["for i in range(20_000):\n    print('x' * 1000)"],
    "2,000 displays": ["from IPython.display import display\nfor i in range(2000):\n    display(i)"],
}


def seconds(work: Callable[[], object]) -> float:
    """How long *work* takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def plain(folder: Path) -> None:
    """papermill by itself, in a process of its own."""
    command = [sys.executable, "-c", PAPERMILL, "in.ipynb", "out.ipynb"]
    subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL)


def run(folder: Path) -> None:
    """The same as a run: from ``submit`` until its end is known."""
    made = submit(Request(script=str(folder / "in.ipynb"), experiment="bench"), settings.load())
    made.wait_for_completion(show_output=False)


def rows() -> Iterator[dict[str, Any]]:
    """Each notebook both ways, in turn."""
    with tempfile.TemporaryDirectory() as base:
        os.environ["JUPYTER_MLRUN_HOME"] = str(Path(base) / "home")
        try:
            folder = Path(base)
            for name, sources in NOTEBOOKS.items():
                (folder / "in.ipynb").write_text(notebook(sources), encoding="utf-8")
                pairs = [(seconds(lambda: run(folder)), seconds(lambda: plain(folder))) for _ in range(REPEATS)]
                ours, peer = (statistics.median(times) for times in zip(*pairs, strict=True))
                yield {
                    "name": f"%submit NOTEBOOK: {name}", "ours": ours, "floor": None, "peer": peer, "unit": "s",
                    "ratio": ours / peer, "budget": None,
                }  # fmt: skip
        finally:
            client.stop_agent(Path(base) / "home")
