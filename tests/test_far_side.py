"""What travels to other computers runs on Python 3.9: its syntax, and the standard library that it uses."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "jupyter_mlrun"
FILES = [
    *(PACKAGE / f"{name}.py" for name in ("_version", "errors", "states", "rundir")),
    *sorted((PACKAGE / "worker").rglob("*.py")),
    *sorted((PACKAGE / "azureml").rglob("*.py")),
]
ids = [str(path.relative_to(PACKAGE)) for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_syntax_is_of_python_3_9(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 9))
    lazy = any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" and node.names[0].name == "annotations"
        for node in tree.body
    )
    annotated = any(isinstance(n, (ast.arg, ast.AnnAssign)) and getattr(n, "annotation", None) for n in ast.walk(tree))
    assert lazy or not annotated, f"{path.name} needs `from __future__ import annotations`: 3.9 evaluates them"


def vermin(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Ask vermin, which knows since when each name of the standard library is there."""
    program = "from vermin import main; main()"
    command = [sys.executable, "-c", program, "--target=3.9-", "--no-tips", "--violations", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_standard_library_is_of_python_3_9() -> None:
    said = vermin(*FILES)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize(
    "source", ["import tomllib", "match 1:\n    case _: pass", "import itertools\nitertools.pairwise([])"]
)
def test_the_test_can_fail(source: str, tmp_path: Path) -> None:
    newer = tmp_path / "newer.py"
    newer.write_text(source)
    assert vermin(newer).returncode != 0
