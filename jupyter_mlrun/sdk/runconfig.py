"""``ScriptRunConfig``: what to run, with what, where.

Reads and writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jupyter_mlrun.sdk.submit import Request

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
