"""Turns a notebook of the snapshot into a package: checked, with its parameters, before the run exists.

Pure functions over the notebook's text, but for the look at what the run's interpreter has installed.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.literals import source_of
from jupyter_mlrun.package import Package
from jupyter_mlrun.parameters import Parameter, parse_parameters
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

KIND = "notebook"
SUFFIX = ".ipynb"
TAG = "parameters"
NEEDS = ("papermill", "nbclient", "ipykernel")
KINDS = {"code", "markdown", "raw"}
_PROBE = "import importlib.util as u, sys; print([n for n in sys.argv[1:] if u.find_spec(n) is None])"


@dataclass(frozen=True)
class Cell:
    """One cell; ``number`` counts from 1."""

    number: int
    kind: str
    source: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Notebook:
    """A notebook as far as a submission needs it."""

    path: str
    cells: tuple[Cell, ...]
    language: str
    kernel: str | None

    @property
    def is_python(self) -> bool:
        """Whether the run's own interpreter is its kernel."""
        return self.language.lower() in {"python", "ipython"}


def is_notebook(script: str | None) -> bool:
    """Whether a script's name is a notebook's."""
    return script is not None and script.endswith(SUFFIX)


# ---- reading ---------------------------------------------------------------------------------------------------


def read(path: str, content: bytes) -> Notebook:
    """The notebook with this content.  Raises ``BadInput`` for what is none, or of another format."""
    again = "open it in Jupyter and save it again"
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as problem:
        raise BadInput(f"{path} is no notebook: {str(problem) or 'nested too deeply'}", hint=again) from problem
    version = found.get("nbformat") if isinstance(found, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise BadInput(f"{path} is no notebook: it has no 'nbformat'", hint=again)
    if version != 4:
        cure = again if version < 4 else "save it in format 4: jupyter nbconvert --to notebook --nbformat 4"
        raise BadInput(f"{path} has notebook format {version}; format 4 is executed", hint=cure)
    metadata, cells = found.get("metadata", {}), found.get("cells")
    if not isinstance(metadata, dict) or not isinstance(cells, list):
        raise BadInput(f"{path} is no notebook: its cells or its metadata are missing", hint=again)
    kernel, told = _mapping(metadata.get("kernelspec")), _mapping(metadata.get("language_info"))
    language = str(kernel.get("language") or told.get("name") or "python")
    name = kernel.get("name")
    made = tuple(_cell(path, number, cell) for number, cell in enumerate(cells, 1))
    return Notebook(path, made, language, str(name) if name else None)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _cell(path: str, number: int, cell: object) -> Cell:
    found = _mapping(cell)
    source, metadata = found.get("source"), found.get("metadata", {})
    if isinstance(source, list) and all(isinstance(part, str) for part in source):
        source = "".join(source)
    if found.get("cell_type") not in KINDS or not isinstance(source, str) or not isinstance(metadata, dict):
        raise BadInput(f"{path}: cell {number} is no cell of a notebook", hint="open it in Jupyter and save it again")
    tags = metadata.get("tags", [])
    return Cell(number, found["cell_type"], source, tuple(map(str, tags)) if isinstance(tags, list) else ())


# ---- packaging -------------------------------------------------------------------------------------------------


def package(
    path: str, content: bytes, *, parameters: Sequence[str] = (), arguments: Sequence[str] = (), use: Sequence[str] = ()
) -> Package:
    """The package of a notebook at *path* of the snapshot.

    Raises ``BadInput`` for what is no notebook, for code that Python cannot read, for a parameter that the cell
    tagged ``parameters`` does not have, and for a kernel that is not there.
    """
    if arguments:
        raise BadInput("a notebook takes no arguments after --", hint="give parameters: -p KEY=VALUE")
    if use:
        raise BadInput("--use is for cells: a notebook brings its own names", hint="give values by -p KEY=VALUE")
    notebook = read(path, content)
    given = parse_parameters(parameters)
    if not notebook.is_python:
        _check_kernel(notebook)
        return Package(KIND, path, parameters=given)
    trees = dict(_trees(notebook))
    tagged = next((cell for cell in notebook.cells if cell.kind == "code" and TAG in cell.tags), None)
    known = _defaults(trees[tagged.number]) if tagged is not None and tagged.number in trees else None
    if known is not None:
        _check_known(notebook, given, known)
    notes = [*_described(given, known or {}), *_set_again(notebook, given, trees, tagged)]
    if given and tagged is None:
        notes.insert(0, "no cell is tagged 'parameters': their values are set before the first cell")
    if notebook.kernel not in (None, "python3", "python"):
        notes.append(f"kernel '{notebook.kernel}' of the notebook is not used: the run's own Python is")
    return Package(KIND, path, parameters=given, warnings=tuple(notes))


def _trees(notebook: Notebook) -> Iterator[tuple[int, ast.Module]]:
    """The syntax tree of each code cell, as IPython reads it.  Raises ``BadInput`` where it cannot."""
    from IPython.core.inputtransformer2 import TransformerManager

    from jupyter_mlrun.celltext import parse_quietly

    sure = not any("load_ext" in cell.source or "input_transformers" in cell.source for cell in notebook.cells)
    for cell in notebook.cells:
        if cell.kind != "code" or not cell.source.strip():
            continue
        try:
            text = TransformerManager().transform_cell(cell.source)
            yield cell.number, parse_quietly(text, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)[0]
        except (SyntaxError, ValueError, MemoryError, RecursionError) as problem:
            # an extension may give the notebook a syntax of its own; a cell may raise on purpose
            if not sure or {"raises-exception", "skip-execution"} & set(cell.tags):
                continue
            line = getattr(problem, "lineno", None)
            where = f"cell {cell.number}" + (f" line {line}" if line else "")
            why = getattr(problem, "msg", None) or problem
            raise BadInput(f"{notebook.path}: {where}: {why}", hint="correct the cell") from problem


def _defaults(tree: ast.Module) -> dict[str, str]:
    """The names that the tagged cell sets, each with its default as it is written."""
    found = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            names = [one.id for target in statement.targets for one in ast.walk(target) if isinstance(one, ast.Name)]
            found.update(dict.fromkeys(names, ast.unparse(statement.value)))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found[statement.target.id] = ast.unparse(statement.value) if statement.value is not None else "not set"
    return found


def _check_known(notebook: Notebook, given: Mapping[str, Parameter], known: Mapping[str, str]) -> None:
    for name in given:
        if name not in known:
            has = ", ".join(f"{one} = {_short(default)}" for one, default in known.items()) or "none"
            raise BadInput(
                f"{notebook.path} has no parameter '{name}'; its parameters are: {has}",
                hint=did_you_mean(name, known) if known else "set its default in the cell tagged 'parameters'",
            )


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


def _described(given: Mapping[str, Parameter], known: Mapping[str, str]) -> Iterator[str]:
    """Each parameter with its value, and those that keep their default."""
    for name, one in given.items():
        default = f" (default {_short(known[name])})" if name in known else ""
        yield f"parameter {name} = {_short(source_of(one.value))}{default}"
    for name, default in known.items():
        if name not in given:
            yield f"parameter {name} keeps its default {_short(default)}"


def _set_again(
    notebook: Notebook, given: Mapping[str, Parameter], trees: Mapping[int, ast.Module], tagged: Cell | None
) -> Iterator[str]:
    """Where a cell after the parameters sets one of them to something else: that value wins."""
    after = tagged.number if tagged is not None else 0
    for cell in notebook.cells:
        if cell.number <= after or cell.number not in trees or "injected-parameters" in cell.tags:
            continue
        for name in _defaults(trees[cell.number]).keys() & given.keys():
            cure = "" if tagged is not None else ": tag that cell 'parameters'"
            yield f"cell {cell.number} sets '{name}' again, so -p {name} has no effect after it{cure}"


# ---- what the run needs ----------------------------------------------------------------------------------------


def _check_kernel(notebook: Notebook) -> None:
    """A notebook of another language needs its kernel here."""
    from jupyter_client.kernelspec import KernelSpecManager

    known = KernelSpecManager().find_kernel_specs()
    if notebook.kernel not in known:
        wanted = f"kernel '{notebook.kernel}'" if notebook.kernel else f"a kernel for {notebook.language}"
        raise BadInput(
            f"{notebook.path} needs {wanted} ({notebook.language}), which is not installed here",
            hint=f"install it (jupyter kernelspec list shows: {', '.join(sorted(known)) or 'none'})",
        )


def check_interpreter(environment: Mapping[str, Any]) -> None:
    """``BadInput`` for an interpreter that cannot execute notebooks."""
    python = str(environment["python"])
    if os.path.realpath(python) == os.path.realpath(sys.executable) and sys.prefix in python:
        import importlib.util

        lacks = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    else:
        command = [python, "-c", _PROBE, *NEEDS]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.returncode:
            raise BadInput(f"the run's Python does not start: {python}", hint=asked.stderr.strip()[-300:] or None)
        lacks = ast.literal_eval(asked.stdout)
    if lacks:
        raise BadInput(
            f"a notebook needs {' and '.join(lacks)} in the run's Python, {python}",
            hint=f"{python} -m pip install papermill ipykernel",
        )
