"""What can be chosen when something is submitted: computes, environments, data sets, experiments, options.

Reads the workspace's registries and lists; writes nothing.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from jupyter_mlrun.options import OPTIONS
from jupyter_mlrun.sdk import computes
from jupyter_mlrun.sdk.workspace import Workspace
from jupyter_mlrun.server.base import Handler
from jupyter_mlrun.store.registry import Versions
from jupyter_mlrun.ui.reader import words

if TYPE_CHECKING:
    from jupyter_mlrun.server.api import Named, SubmitForm
    from jupyter_mlrun.server.service import Service
    from jupyter_mlrun.store.home import WorkspaceDir

MOST = 500
MOST_CELL = 60_000


class FormHandler(Handler):
    """``api/submit-form`` and ``api/complete``."""

    async def get(self) -> None:
        cell = (self.query("cell") or "")[:MOST_CELL]
        self.answer(await self.work(_form, self.service, self.workspace(), cell))


def _form(service: Service, place: WorkspaceDir, cell: str) -> SubmitForm:
    shelf = service.shelf(place)
    shelf.refresh()
    experiments = sorted({entry.row.experiment for entry in shelf.entries})
    return {
        "computes": _computes(place),
        "environments": _versions(place, "environment"),
        "datasets": _versions(place, "dataset"),
        "experiments": [words(name, 300) for name in experiments[:MOST]],
        "options": [
            {
                "name": one.name,
                "flags": list(one.flags),
                "metavar": one.metavar,
                "help": one.help,
                "repeat": one.repeat,
            }
            for one in OPTIONS
            if one.only != "cli"
        ],
        "parameters": parameters_of(cell),
    }


def _computes(place: WorkspaceDir) -> list[Named]:
    if not place.path.is_dir():  # nothing was submitted yet
        return [{"name": computes.LOCAL, "about": "Local"}]
    workspace = Workspace(place.name, home=place.home)
    found: list[Named] = []
    for name in computes.known(workspace):
        record = computes.record_of(workspace, name) or {}
        about = ", ".join(str(record[key]) for key in ("type", "vm_size") if record.get(key))
        found.append({"name": words(name, 200), "about": words(about, 200)})
    return found


def _versions(place: WorkspaceDir, kind: str) -> list[Named]:
    found = Versions(place, kind).all_versions()
    return [
        {"name": words(name, 300), "about": f"version {max(numbers)}"}
        for name, numbers in sorted(found.items())[:MOST]
        if numbers
    ]


def parameters_of(cell: str) -> list[tuple[str, str]]:
    """The names that a cell sets to plain values at its top level, and these: what ``-p`` can change."""
    lines = cell.split("\n")
    if lines and lines[0].lstrip().startswith("%%"):
        lines[0] = ""
    text = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: dict[str, str] = {}
    for one in tree.body:
        target = one.targets[0] if isinstance(one, ast.Assign) and len(one.targets) == 1 else None
        target = one.target if isinstance(one, ast.AnnAssign) else target
        value = one.value if isinstance(one, (ast.Assign, ast.AnnAssign)) else None
        if isinstance(target, ast.Name) and value is not None and _is_plain(value):
            found[target.id] = words(ast.unparse(value), 200)
    return list(found.items())[:100]


def _is_plain(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True
