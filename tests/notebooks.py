"""Notebooks for tests: made of cells, executed by the engine in this process or submitted as runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.engines import papermill_engines
from papermill.exceptions import PapermillExecutionError

from jupyter_mlrun import settings
from jupyter_mlrun.engine.engine import Engine
from jupyter_mlrun.engine.journal import Journal
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.submit import Request, submit

papermill_engines.register("jupyter_mlrun", Engine)


def notebook(*cells: str | tuple[str, str], metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A notebook; a cell is its source, or source and tag.  Sources that begin with ``# ##`` are text."""
    made: list[dict[str, Any]] = []
    for number, cell in enumerate(cells):
        source, tag = cell if isinstance(cell, tuple) else (cell, "")
        tags = {"tags": [tag]} if tag else {}
        one: dict[str, Any] = {"id": f"c{number}", "cell_type": "code", "source": source, "metadata": tags}
        if source.startswith("# ##"):
            one["cell_type"] = "markdown"
        else:
            one.update(outputs=[], execution_count=None)
        made.append(one)
    return {"cells": made, "metadata": dict(metadata or {}), "nbformat": 4, "nbformat_minor": 5}


def write(path: Path, *cells: str | tuple[str, str], **more: Any) -> Path:
    """Write a notebook to *path*."""
    path.write_text(json.dumps(notebook(*cells, **more)), encoding="utf-8")
    return path


@dataclass
class Executed:
    """What an execution left."""

    journal: Journal
    cells: list[dict[str, Any]]
    log: str
    events: list[dict[str, Any]]

    def text(self, index: int = -1) -> str:
        """What the cell at *index* printed, as the notebook has it."""
        return "".join("".join(one.get("text", "")) for one in self.cells[index]["outputs"])


def _not_under_test() -> None:
    """Make ipykernel do what it does for users: under pytest, it leaves file descriptors alone."""
    os.environ.pop("PYTEST_CURRENT_TEST", None)


def execute(folder: Path, *cells: str | tuple[str, str], **more: Any) -> Executed:
    """Execute a notebook by the engine, in this process, with its record and log in *folder*."""
    _not_under_test()
    source, output, log = write(folder / "in.ipynb", *cells), folder / "out.ipynb", folder / "log.txt"
    fd = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    journal = Journal(str(folder), fd)
    try:
        papermill.execute_notebook(
            str(source), str(output), engine_name="jupyter_mlrun", progress_bar=False, journal=journal, **more
        )
    except (PapermillExecutionError, DeadKernelError):
        assert journal.failure is not None or "raises-exception" in source.read_text()
    finally:
        os.close(fd)
    events = [json.loads(line) for line in (folder / "notebook.jsonl").read_text().splitlines()]
    marks = "papermill-error-cell-tag"
    found = nbformat.read(output, as_version=4)["cells"]
    kept = [cell for cell in found if marks not in cell["metadata"].get("tags", [])]
    return Executed(journal, kept, log.read_text(errors="replace"), events)


def submit_notebook(path: Path, *parameters: str, **options: Any) -> Run:
    """Submit a notebook as a run."""
    _not_under_test()
    config = settings.load()
    config.stop_grace = options.pop("stop_grace", 2.0)
    return submit(Request(script=str(path), parameters=parameters, **{"experiment": "test", **options}), config)


def executed(run: Run, name: str = "in.ipynb") -> dict[str, Any]:
    """The executed notebook that a run kept."""
    found: dict[str, Any] = nbformat.read(run.directory.outputs / name, as_version=4)
    return found
