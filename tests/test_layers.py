"""A module imports only from modules above it. Read with ast, so that imports inside functions count too."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "jupyter_mlrun"

# From the top: each line may use the lines above it. "x/*": the modules of a folder may use one another.
LAYERS = [
    "_version",
    "errors",
    "states",
    "rundir",
    "words",
    "literals",
    "homepath",
    "settings",
    "records",
    "worker/*",
    "azureml/*",
    "store/*",
    "cellnames",
    "celllines",
    "options",
    "parameters",
    "celltext",
    "definitions",
    "localmodules",
    "brought",
    "package",
    "differences",
    "portal",
    "ui/*",
    "backends/*",
    "agent/*",
    "live",
    "sdk/*",
    "engine/*",
    "server/*",
    "check",
    "doctor",
    "upkeep",
    "cli_common",
    "cli_draw",
    "cli_rows",
    "cli_logs",
    "cli_upkeep",
    "cli_data",
    "cli_compare",
    "cli_ui",
    "cli",
    "magics",
    "testing",
]
# The far side: it travels to computers that have Python and nothing else.
FAR_SIDE = ["errors", "states", "rundir", "worker/*", "azureml/*"]
# The package's front door names every public module, and loads each when it is first used.
FRONT_DOOR = "__init__"


class Import(NamedTuple):
    line: int
    target: str  # "store.runs" for ours, "os.path" for others
    ours: bool
    at_top: bool


def module_name(path: Path) -> str:
    """What jupyter_mlrun/store/runs.py is called here: store.runs.  A folder's __init__ is one of its modules."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def modules() -> list[str]:
    return sorted(module_name(path) for path in PACKAGE.rglob("*.py"))


def path_of(module: str) -> Path:
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py")


def layer_of(module: str) -> int | None:
    """The module's place in LAYERS; None for a module that nobody gave a place."""
    top = module.split(".", maxsplit=1)[0]
    return next((place for place, name in enumerate(LAYERS) if name in {module, f"{top}/*"}), None)


def is_far_side(module: str) -> bool:
    """Whether it travels; a folder named alone is its __init__."""
    return module in FAR_SIDE or f"{module.split('.', maxsplit=1)[0]}/*" in FAR_SIDE


def resolve(dotted: str, name: str | None = None) -> str:
    """Which of our modules `from jupyter_mlrun.dotted import name` means."""
    parts = [part for part in dotted.split(".") if part]
    if name is not None:
        longer = PACKAGE.joinpath(*parts, name)
        if longer.with_suffix(".py").exists() or longer.is_dir() or (not parts and name in LAYERS):
            return ".".join([*parts, name])
    return ".".join(parts) or FRONT_DOOR


def imports_of(module: str, source: str | None = None) -> Iterator[Import]:
    tree = ast.parse(path_of(module).read_text(encoding="utf-8") if source is None else source)
    inside = {
        id(node)
        for scope in ast.walk(tree)
        if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(scope)
    }
    folder = module.split(".")[:-1]
    for node in ast.walk(tree):
        at_top = id(node) not in inside
        if isinstance(node, ast.Import):
            for alias in node.names:
                head, _, rest = alias.name.partition(".")
                ours = head == "jupyter_mlrun"
                yield Import(node.lineno, resolve(rest) if ours else alias.name, ours, at_top)
        elif isinstance(node, ast.ImportFrom):
            head, _, rest = (node.module or "").partition(".")
            if node.level:
                base = folder[: len(folder) - (node.level - 1)]
                rest = ".".join([*base, *([node.module] if node.module else [])])
            elif head != "jupyter_mlrun":
                yield Import(node.lineno, node.module or "", ours=False, at_top=at_top)
                continue
            for alias in node.names:
                yield Import(node.lineno, resolve(rest, alias.name), ours=True, at_top=at_top)


def violations(module: str, source: str | None = None) -> list[str]:
    """What is wrong with the imports of *module*, one sentence each."""
    here = layer_of(module)
    if here is None:
        return [f"{module} has no place in the order: give it a line in LAYERS (tests/test_layers.py)."]
    found = []
    for item in imports_of(module, source):
        where = f"{module}, line {item.line}, imports {item.target}"
        if not item.ours:
            if is_far_side(module) and item.target.split(".")[0] not in sys.stdlib_module_names:
                found.append(f"{where}, which is not in the standard library: the far side has nothing else.")
            continue
        there = layer_of(item.target)
        if item.target == FRONT_DOOR:
            found.append(f"{where}: name the module that has it instead of the package's front door.")
        elif is_far_side(module) and not is_far_side(item.target):
            found.append(f"{where}, which does not travel to the far side ({', '.join(FAR_SIDE)}).")
        elif there is None:
            found.append(f"{where}, which has no place in the order.")
        elif there > here:
            found.append(f"{where}, which stands below it ({LAYERS[there]} is under {LAYERS[here]}).")
    return found


@pytest.mark.parametrize("module", [m for m in modules() if m != FRONT_DOOR])
def test_module_imports_only_from_above(module: str) -> None:
    assert not violations(module), "\n" + "\n".join(violations(module))


def test_the_front_door_loads_nothing_but_the_version() -> None:
    eager = [item for item in imports_of(FRONT_DOOR) if item.at_top and item.ours]
    assert [item.target for item in eager] == ["_version"]


def test_every_layer_exists() -> None:
    missing = [name for name in LAYERS if not (PACKAGE / name.removesuffix("/*")).with_suffix(".py").exists()]
    missing = [name for name in missing if not (name.endswith("/*") and (PACKAGE / name[:-2]).is_dir())]
    planned = {"cli", "magics", "testing", "package"}  # leave this set once they are there
    assert set(missing) <= planned, f"LAYERS names what is not there: {sorted(set(missing) - planned)}"


@pytest.mark.parametrize("module", modules())
def test_module_says_its_duty(module: str) -> None:
    tree = ast.parse(path_of(module).read_text(encoding="utf-8"))
    assert not tree.body or ast.get_docstring(tree), (
        f"{module} has no docstring: one sentence of duty, then what it reads and writes"
    )


@pytest.mark.parametrize(
    ("module", "source", "says"),
    [
        ("records", "from jupyter_mlrun.store import runs", "below"),
        ("records", "def f():\n    from .agent.client import request", "below"),
        ("store.index", "from ..sdk import run", "below"),
        ("worker.main", "import numpy", "standard library"),
        ("worker.main", "from jupyter_mlrun import settings", "far side"),
        ("errors", "def f():\n    import psutil", "standard library"),
        ("store.runs", "from jupyter_mlrun import log", "front door"),
        ("nowhere", "", "no place"),
    ],
)
def test_the_test_can_fail(module: str, source: str, says: str) -> None:
    assert [says in sentence for sentence in violations(module, source)] == [True]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("agent.main", "from jupyter_mlrun.agent.queue import plan\nfrom jupyter_mlrun import settings"),
        ("worker.main", "import os.path\nfrom . import process\nfrom ..rundir import RunDir"),
    ],
)
def test_what_is_allowed_is_allowed(module: str, source: str) -> None:
    assert violations(module, source) == []
