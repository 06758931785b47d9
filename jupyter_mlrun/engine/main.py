"""The program of a notebook's run: executes the notebook through papermill, and ends as the notebook did.

Started by the bootstrap as ``main.py NOTEBOOK`` in the working folder.  Reads ``spec.json``; writes
``outputs/NOTEBOOK`` and, through the engine, ``notebook.jsonl`` and the log.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any, NoReturn

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUTPUTS = "outputs"


class Leave(SystemExit):
    """The end of the run, with its reason for ``rank-<n>.exit.json``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code)
        self.reason = reason


def output_name(notebook: str, rank: int) -> str:
    """Where the executed notebook goes: ``outputs/train.ipynb``, of further ranks ``outputs/train.rank1.ipynb``."""
    stem, kind = os.path.splitext(os.path.basename(notebook))
    return f"{OUTPUTS}/{stem}{f'.rank{rank}' if rank else ''}{kind}"


def _skip_slow_import() -> None:
    """Do without what takes jsonschema over a second to import: a grammar of addresses, which notebooks have none of.

    Where it is missing jsonschema does without it by itself.
    """
    slow = "rfc3987_syntax"
    if slow in sys.modules:
        return
    sys.modules[slow] = None  # type: ignore[assignment]
    try:
        importlib.import_module("nbformat")
    finally:
        del sys.modules[slow]


def main(notebook: str) -> None:
    """Execute *notebook*.  Raises ``Leave`` where it failed."""
    _skip_slow_import()
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from jupyter_mlrun.engine.journal import Journal
    from jupyter_mlrun.errors import JupyterMLRunError

    rank = int(os.environ.get("RANK") or 0)
    journal = Journal(os.environ["JUPYTER_MLRUN_RUN_DIR"] if not rank else None)
    folder = os.path.dirname(os.path.abspath(notebook))
    if folder != os.getcwd():
        # cells import what lies beside their notebook, as scripts do
        old = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{old}" if old else folder
    try:
        _execute(notebook, output_name(notebook, rank), journal)
    except (PapermillExecutionError, DeadKernelError):
        # the journal has the words; an error that the cell's author allowed is no failure
        if journal.failure is None:
            _unmark(output_name(notebook, rank))
    except JupyterMLRunError as problem:
        _leave(journal, 1, problem.message)
    if journal.failure is not None:
        _leave(journal, journal.exit_code, journal.failure)


def _execute(notebook: str, output: str, journal: Any) -> None:
    import papermill
    from papermill.engines import papermill_engines
    from papermill.log import logger

    from jupyter_mlrun.engine.engine import Engine, is_python
    from jupyter_mlrun.engine.values import parameters_of, translate_exactly
    from jupyter_mlrun.rundir import RunDir, read_json

    # what papermill warns of (no tagged cell, unknown parameters) was checked before the run existed
    logger.setLevel("ERROR")
    papermill_engines.register("jupyter_mlrun", Engine)
    spec = read_json(RunDir(os.environ["JUPYTER_MLRUN_RUN_DIR"]).spec)
    translate_exactly(spec["parameters"])
    with open(notebook, encoding="utf-8-sig") as file:
        metadata = json.load(file).get("metadata", {})
    python = is_python(metadata)
    papermill.execute_notebook(
        _braces(notebook), _braces(output), parameters_of(spec["parameters"]), engine_name="jupyter_mlrun",
        kernel_name="python3" if python else None, language="python" if python else None,
        progress_bar=False, journal=journal,
    )  # fmt: skip


def _braces(path: str) -> str:
    """The path for papermill, which fills parameters into it; a path of ours has none."""
    return path.replace("{", "{{").replace("}", "}}")


def _unmark(output: str) -> None:
    """Take papermill's marks of an error away: the cell is tagged ``raises-exception``."""
    import nbformat
    from papermill.execute import remove_error_markers

    from jupyter_mlrun.engine.saving import write_whole

    with open(output, encoding="utf-8") as file:
        notebook = nbformat.read(file, as_version=4)
    write_whole(output, nbformat.writes(remove_error_markers(notebook)))


def _leave(journal: Any, code: int, reason: str) -> NoReturn:
    journal.say_line(f"jupyter_mlrun: {reason}")
    raise Leave(code, reason)


if __name__ == "__main__":
    sys.path[0] = HOME  # the modules beside this one are no top-level modules
    main(sys.argv[1])
