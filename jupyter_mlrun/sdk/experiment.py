"""``Experiment`` and ``ScriptRunConfig``: what to run, and the runs that came of it.

Reads the listing of a workspace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.records import experiment_name
from jupyter_mlrun.sdk.run import Run, listed
from jupyter_mlrun.store.index import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jupyter_mlrun.sdk.submit import Request
    from jupyter_mlrun.sdk.workspace import Workspace

LONGEST_SECONDS = 2592000


class ScriptRunConfig:
    """A script or command of a folder, with its arguments.  Source: ``azureml.core.ScriptRunConfig``.

    Args:
        source_directory: the folder that is packaged and run in.
        script: the Python file in it; or give *command*.
        arguments: what the script gets; everything becomes text.
        compute_target: the compute's name; None is ``local``.
        command: an argument list, or a line for the shell, instead of a script.
        max_run_duration_seconds: the time limit; the reference's 30 days by default.
    """

    def __init__(
        self,
        source_directory: str | Path,
        script: str | None = None,
        arguments: Sequence[Any] | None = None,
        *,
        compute_target: str | None = None,
        max_run_duration_seconds: float = LONGEST_SECONDS,
        command: str | Sequence[str] | None = None,
    ) -> None:
        if (script is None) == (command is None):
            raise BadInput("a ScriptRunConfig needs a script or a command, one of them")
        self.source_directory = str(source_directory)
        self.script = script
        self.arguments = [str(argument) for argument in arguments or ()]
        self.compute_target = compute_target
        self.command = ["/bin/sh", "-c", command] if isinstance(command, str) else command
        self.max_run_duration_seconds = max_run_duration_seconds

    def to_request(self, experiment: str, tags: dict[str, str] | None) -> Request:
        """The same as a request to ``submit``."""
        from jupyter_mlrun.sdk.submit import Request

        limited = self.max_run_duration_seconds != LONGEST_SECONDS
        return Request(
            script=self.script,
            command=list(self.command) if self.command else None,
            source=self.source_directory,
            arguments=tuple(self.arguments),
            experiment=experiment,
            target=self.compute_target,
            time=self.max_run_duration_seconds if limited else None,
            tags=tuple(f"{key}={value}" for key, value in (tags or {}).items()),
            client="sdk",
        )


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
