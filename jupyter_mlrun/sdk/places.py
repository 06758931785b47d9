"""The folder of what must be a workspace: arguments in the wrong order are told at once.

Reads and writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.store.home import WorkspaceDir

if TYPE_CHECKING:
    from jupyter_mlrun.sdk.experiment import Experiment
    from jupyter_mlrun.sdk.workspace import Workspace


def folder_of(workspace: Workspace) -> WorkspaceDir:
    """The workspace's folder.  Raises ``BadInput`` for what is no workspace."""
    found = getattr(workspace, "folder", None)
    if isinstance(found, WorkspaceDir):
        return found
    raise BadInput(
        f"{_named(workspace)} is no workspace",
        hint="a workspace comes first, then the name: ws = Workspace.from_config()",
    )


def workspace_of(experiment: Experiment) -> Workspace:
    """The experiment's workspace.  Raises ``BadInput`` for what is no experiment."""
    found = getattr(experiment, "workspace", None)
    if isinstance(getattr(found, "folder", None), WorkspaceDir):
        return experiment.workspace
    raise BadInput(
        f"{_named(experiment)} is no experiment",
        hint="give Experiment(ws, name); by its id alone, a run is Run.get(ws, run_id)",
    )


def _named(thing: object) -> str:
    return repr(thing)[:80] if isinstance(thing, str) else f"an object of {type(thing).__name__}"
