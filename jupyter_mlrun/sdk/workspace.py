"""``Workspace``: one folder of the home, with its experiments and runs.

Reads ``config.json`` as the reference does; writes it in ``write_config``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_mlrun import settings
from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir

if TYPE_CHECKING:
    from jupyter_mlrun.sdk.run import Run

_FOLDERS = (".azureml", "aml_config", ".")
_FILES = ("config.json", "project.json")


class Workspace:
    """One folder of the home.  Source: ``azureml.core.Workspace``."""

    def __init__(self, name: str | None = None, *, home: Path | None = None) -> None:
        self.name = name or settings.load().workspace
        self.home = home or settings.default_home()
        self.folder = WorkspaceDir(self.home, self.name)

    @classmethod
    def from_config(cls, path: str | Path | None = None) -> Workspace:
        """The workspace that ``config.json`` names, searched from *path* (default: here) upward.

        With no file at all, the default workspace.  Raises ``BadInput`` for a file that cannot be read, and
        ``NotFound`` for a *path* that is not there.
        """
        start = Path(path) if path is not None else Path.cwd()
        if not start.exists():
            raise NotFound(f"{start} does not exist", hint="give a folder, or the file itself")
        found = start if start.is_file() else _search(start.absolute())
        if found is None:
            return cls()
        try:
            name = json.loads(found.read_text(encoding="utf-8"))["workspace_name"]
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise BadInput(
                f"{found} is no workspace configuration: {problem!r}",
                hint='it holds {"workspace_name": "…"}; remove it to use the default workspace',
            ) from problem
        return cls(str(name))

    def write_config(self, path: str | Path | None = None, file_name: str | None = None) -> Path:
        """Write ``<path>/.azureml/config.json``, which ``from_config`` finds; returns where it is."""
        folder = Path(path or ".") / ".azureml"
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / (file_name or "config.json")
        target.write_text(json.dumps({"workspace_name": self.name}, indent=2) + "\n", encoding="utf-8")
        return target

    def get_run(self, run_id: str) -> Run:
        """The run with this id."""
        from jupyter_mlrun.rundir import RunDir
        from jupyter_mlrun.sdk.run import Run

        path = runs.place(self.folder, run_id)
        if not path.is_dir():
            raise NotFound(f"no run {run_id!r} in workspace {self.name!r}", hint="jupyter mlrun ps --all")
        return Run.at(RunDir(path))

    def __repr__(self) -> str:
        return f"Workspace(name={self.name!r}, home={str(self.home)!r})"


def _search(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        for inner in _FOLDERS:
            for name in _FILES:
                path = folder / inner / name
                if path.is_file() and (inner != "." or _names_workspace(path)):
                    return path
    return None


def _names_workspace(path: Path) -> bool:
    """Whether a plain ``config.json`` is one of ours: other programs use that name too."""
    try:
        return "workspace_name" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False
