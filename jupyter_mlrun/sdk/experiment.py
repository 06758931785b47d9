"""``Experiment``: a name, and the runs under it.

Reads the listing of a workspace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.records import experiment_name
from jupyter_mlrun.sdk.run import Run, listed
from jupyter_mlrun.store.index import listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_mlrun.sdk.runconfig import ScriptRunConfig
    from jupyter_mlrun.sdk.workspace import Workspace


class Experiment:
    """A name that runs are grouped under.  Source: ``azureml.core.Experiment``."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        if name != experiment_name(name):
            raise BadInput(f"{name!r} is no name for an experiment", hint=f"like this: {experiment_name(name)!r}")
        self.workspace, self.name = workspace, name

    def submit(self, config: ScriptRunConfig, tags: dict[str, str] | None = None) -> Run:
        """Package and record *config* as a run; it starts as soon as its compute has room."""
        from jupyter_mlrun import settings
        from jupyter_mlrun.sdk.submit import submit

        return submit(config.to_request(self.name, tags), settings.load(), workspace=self.workspace)

    def get_runs(self, tags: str | dict[str, str] | None = None) -> Iterator[Run]:
        """The experiment's runs, newest first; *tags*: a key that must be there, or keys with values."""
        rows = listing(self.workspace.folder, experiment=self.name)
        wanted = {tags: None} if isinstance(tags, str) else dict(tags or {})
        return listed(r for r in rows if all(k in r.tags and v in (None, r.tags[k]) for k, v in wanted.items()))

    def __repr__(self) -> str:
        return f"Experiment(Name: {self.name},\nWorkspace: {self.workspace.name})"
