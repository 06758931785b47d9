"""``ScriptRunConfig``: what to run, with what, where.

Reads and writes nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, an
from jupyter_mlrun.sdk import once
from jupyter_mlrun.sdk.distributed import (
    DockerConfiguration,
    MpiConfiguration,
    PyTorchConfiguration,
    TensorflowConfiguration,
)
from jupyter_mlrun.sdk.environments import Environment
from jupyter_mlrun.sdk.runconfiguration import RunConfiguration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from jupyter_mlrun.sdk.distributed import Distributed
    from jupyter_mlrun.sdk.submit import Request

__all__ = [
    "DockerConfiguration", "MpiConfiguration", "PyTorchConfiguration", "RunConfiguration", "ScriptRunConfig",
    "TensorflowConfiguration",
]  # fmt: skip
LONGEST_SECONDS = 2592000


class ScriptRunConfig:
    """A script or command of a folder, with its arguments.  Source: ``azureml.core.ScriptRunConfig``.

    Args:
        source_directory: the folder that is packaged and run in.
        script: the Python file in it; or give *command*.
        arguments: what the script gets.  Inputs (``dataset.as_named_input("x").as_mount()``) and data references
            become paths, everything else text.
        run_config: where and with what; what *compute_target*, *environment* and the like say is ignored then.
        compute_target: the compute, or its name; None is the one that the settings name, ``local``.
        environment: an ``Environment``; None is the submitter's interpreter.
        distributed_job_config: how many processes.
        resume_from: not here.
        max_run_duration_seconds: the time limit; the reference's 30 days by default.
        command: an argument list, or a line for the shell, instead of a script.
        docker_runtime_config: recorded.

    Raises ``BadInput`` for a data set that is no input yet, and for neither or both of *script* and *command*.
    """

    def __init__(
        self,
        source_directory: str | PathLike[str],
        script: str | None = None,
        arguments: Sequence[Any] | None = None,
        run_config: RunConfiguration | None = None,
        _telemetry_values: Any = None,
        compute_target: Any = None,
        environment: Environment | None = None,
        distributed_job_config: Distributed | None = None,
        resume_from: Any = None,
        max_run_duration_seconds: float = LONGEST_SECONDS,
        command: str | Sequence[Any] | None = None,
        docker_runtime_config: DockerConfiguration | None = None,
    ) -> None:
        if resume_from is not None:
            raise NotImplementedError(
                "resume_from is not here: give a checkpoint among the arguments, from run.download_file()"
            )
        self.source_directory = str(source_directory)
        others = {
            "compute_target": compute_target, "environment": environment,
            "distributed_job_config": distributed_job_config, "docker_runtime_config": docker_runtime_config,
        }  # fmt: skip
        self.run_config = _filled(others) if run_config is None else _given(run_config, others)
        named = script is not None or command is not None
        self.script = script if named else self.run_config.script or None
        self.command = command if named else self.run_config.command or None
        if isinstance(arguments, str):  # a list of it would have its letters
            raise BadInput(f"the arguments {arguments!r} are no list", hint=f"arguments={arguments.split()!r}")
        self.arguments: list[Any] = list(self.run_config.arguments if arguments is None else arguments)
        # what was said at the beginning, so that a later word is known as one
        self._said = list(self.arguments), list(self.run_config.arguments)
        kept = self.run_config.max_run_duration_seconds
        limited = max_run_duration_seconds != LONGEST_SECONDS
        self.max_run_duration_seconds = max_run_duration_seconds if limited or kept is None else kept
        if (self.script is None) == (self.command is None):
            raise BadInput("a ScriptRunConfig needs a script or a command, one of them")
        _check(self.arguments)

    @property
    def compute_target(self) -> str:
        """The name of the compute."""
        return self.run_config.target

    def to_request(self, experiment: str, tags: dict[str, str] | None) -> Request:
        """The same as a request to ``submit``.  Raises ``BadInput`` for arguments and counts that cannot be."""
        from jupyter_mlrun.sdk.submit import Request

        config = self.run_config
        command, words = _command(self.command)
        arguments = self._arguments()
        bound = _bound([*words, *arguments], config)
        nodes, procs = config.shape()
        env = config.environment
        if env is not None and not isinstance(env, Environment):
            raise BadInput(f"{env!r} is no environment", hint="give Environment.get(workspace, name)")
        if config.docker.use_docker:
            once.warn("Docker is not used: runs use an interpreter of this machine in place")
        return Request(
            script=self.script,
            command=command,
            source=self.source_directory,
            arguments=tuple(_word(one) for one in [*words, *arguments]),
            experiment=experiment,
            target=config.named_target,
            time=self.max_run_duration_seconds if self.max_run_duration_seconds != LONGEST_SECONDS else None,
            nodes=nodes,
            procs=procs,
            gpus=_gpus(procs),
            tags=tuple(f"{key}={value}" for key, value in (tags or {}).items()),
            bound=bound,
            expand=True,
            environment=env,
            variables=_path(env) if command else None,
            preamble=True,
            client="sdk",
        )

    def _arguments(self) -> list[Any]:
        """``arguments``, or those of ``run_config`` where only they were set after this was made."""
        own, theirs = list(self.arguments), list(self.run_config.arguments or ())
        if theirs == self._said[1] or theirs == own:
            return own
        if own != self._said[0]:
            raise BadInput(
                f"arguments are {own!r}, and run_config.arguments {theirs!r}",
                hint="set one of them: config.arguments",
            )
        return theirs

    def __repr__(self) -> str:
        what = f"script={self.script!r}" if self.script else f"command={self.command!r}"
        return f"ScriptRunConfig(source_directory={self.source_directory!r}, {what})"


def _filled(others: dict[str, Any]) -> RunConfiguration:
    made = RunConfiguration()
    made.target = others["compute_target"]
    if others["environment"] is not None:
        made.environment = others["environment"]
    made.distribute(others["distributed_job_config"])
    made.docker = others["docker_runtime_config"] or made.docker
    return made


def _given(config: RunConfiguration, others: dict[str, Any]) -> RunConfiguration:
    if not isinstance(config, RunConfiguration):
        raise BadInput(f"{an(type(config).__name__)} is no run_config", hint="give a RunConfiguration()")
    ignored = [name for name, value in others.items() if value is not None]
    if ignored:
        once.warn(f"run_config was given: {', '.join(ignored)} of ScriptRunConfig is ignored, set it on run_config")
    return config


def _check(arguments: Sequence[Any]) -> None:
    """Raises ``BadInput`` for what cannot be an argument."""
    from jupyter_mlrun.sdk.data import FileDataset

    for one in arguments:
        if isinstance(one, FileDataset):
            raise BadInput(
                "a data set stands among the arguments",
                hint="make it an input: dataset.as_named_input('data').as_mount()",
            )
        if "\0" in str(one):
            raise BadInput(f"the argument {str(one)[:60]!r} has a NUL character, which no process can get")


def _command(command: str | Sequence[Any] | None) -> tuple[list[str] | None, list[Any]]:
    """The program, and the words after it, in which inputs may stand."""
    if command is None:
        return None, []
    if isinstance(command, str):
        return ["/bin/sh", "-c", command, "sh"], []
    words = list(command)
    _check(words)
    return [str(words[0])], words[1:]


def _word(one: Any) -> str:
    from jupyter_mlrun.sdk import inputs
    from jupyter_mlrun.sdk.data import DatasetConsumptionConfig

    return inputs.marked(one.name) if isinstance(one, DatasetConsumptionConfig) else str(one)


def _bound(arguments: Sequence[Any], config: RunConfiguration) -> dict[str, Any]:
    """Every input by name.  Raises ``BadInput`` where two of them have one name."""
    from jupyter_mlrun.sdk.data import DataReference, DatasetConsumptionConfig, FileDataset

    _check(arguments)
    found: dict[str, Any] = {}
    pairs: list[tuple[str, Any]] = [(one.name, one) for one in arguments if isinstance(one, DatasetConsumptionConfig)]
    pairs += [(one.data_reference_name, one) for one in arguments if isinstance(one, DataReference)]
    for name, one in [*pairs, *config.data.items(), *config.data_references.items()]:
        if not isinstance(one, (DatasetConsumptionConfig, DataReference, FileDataset)):
            raise BadInput(
                f"the input {name!r} is {an(type(one).__name__)}", hint="dataset.as_named_input(name).as_mount()"
            )
        if found.setdefault(name, one) is not one and not _same(found[name], one):
            raise BadInput(f"two inputs are called {name!r}", hint="give one of them another name")
    return found


def _same(one: Any, other: Any) -> bool:
    """Whether two objects mean the same input."""
    keys = ("dataset", "datastore", "path_on_datastore", "mode", "path_on_compute")
    return type(one) is type(other) and all(
        getattr(one, key, None) is getattr(other, key, None)
        or str(getattr(one, key, None)) == str(getattr(other, key, None))
        for key in keys
    )


def _gpus(procs: int) -> str | int:
    """A GPU for each process, as far as there are any; for one process what is usual."""
    from jupyter_mlrun.backends import local
    from jupyter_mlrun.sdk.environment import visible_gpus

    if procs == 1:
        return "auto"
    return min(procs, len(local.look().visible(visible_gpus(os.environ)))) or "auto"


def _path(env: Environment | None) -> dict[str, str]:
    """So that ``python`` in a command is the run's interpreter."""
    python = (env or Environment("this interpreter")).python_path()
    return {"PATH": os.pathsep.join([os.path.dirname(python), os.environ.get("PATH", os.defpath)])}
