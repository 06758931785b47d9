"""``RunConfiguration``: where and with what a script runs, as an object and as a ``.runconfig`` file.

Reads and writes ``.azureml/NAME.runconfig`` in folders that a user names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, NotFound, an
from jupyter_mlrun.sdk import safe_yaml
from jupyter_mlrun.sdk.distributed import (
    DockerConfiguration,
    MpiConfiguration,
    PyTorchConfiguration,
    TensorflowConfiguration,
)
from jupyter_mlrun.sdk.environments import Environment
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from jupyter_mlrun.sdk.conda import CondaDependencies
    from jupyter_mlrun.sdk.distributed import Distributed

SUFFIX = ".runconfig"
LOCAL = "local"
_FRAMEWORKS = ("Python", "PyTorch", "TensorFlow")
_COMMUNICATORS = ("None", "Mpi", "IntelMpi", "OpenMpi", "Nccl", "Gloo", "ParameterServer")


class RunConfiguration:
    """Where and with what a script runs.  Source: ``azureml.core.runconfig.RunConfiguration``.

    Attributes:
        script, arguments, command: as in ``ScriptRunConfig``.
        target: the name of a compute, or the compute itself; ``local`` at first.
        environment: an ``Environment``; one without packages at first, which is the submitter's interpreter.
        node_count: nodes.
        data: inputs by name, as ``dataset.as_named_input(name).as_mount()`` gives them.
        data_references: ``DataReference`` by name.
        mpi, pytorch, tensorflow: how many processes; the one that *communicator* and *framework* name counts.
        docker: recorded.
        max_run_duration_seconds: the time limit; None is none.
    """

    def __init__(
        self,
        script: str | None = None,
        arguments: Sequence[Any] | None = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: CondaDependencies | None = None,
        _history_enabled: bool | None = None,
        _path: str | None = None,
        _name: str | None = None,
        command: str | Sequence[Any] | None = None,
    ) -> None:
        self.script, self.command = script, command
        self.arguments: list[Any] = list(arguments or ())
        self.framework = framework or "Python"
        self.communicator = communicator or "None"
        self._target: str | None = None
        self.environment: Any = Environment("this interpreter")
        if conda_dependencies is not None:
            self.environment.python.conda_dependencies = conda_dependencies
        self.node_count = 1
        self.max_run_duration_seconds: float | None = None
        self.data: dict[str, Any] = {}
        self.data_references: dict[str, Any] = {}
        self.output_data: dict[str, Any] = {}
        self.mpi, self.pytorch = MpiConfiguration(), PyTorchConfiguration()
        self.tensorflow = TensorflowConfiguration()
        self.docker = DockerConfiguration()
        self._distributed: Distributed | None = None

    @property
    def target(self) -> str:
        """The name of the compute."""
        return self._target or LOCAL

    @target.setter
    def target(self, target: Any) -> None:
        name = getattr(target, "name", target)
        if name is not None and not isinstance(name, str):
            raise BadInput(f"{target!r} is no compute", hint="give its name, or ComputeTarget(workspace, name)")
        self._target = name

    @property
    def named_target(self) -> str | None:
        """The name of the compute, None where none was named."""
        return self._target

    @property
    def environment_variables(self) -> dict[str, str]:
        """Those of the environment."""
        found: dict[str, str] = self.environment.environment_variables
        return found

    @environment_variables.setter
    def environment_variables(self, value: Mapping[str, Any]) -> None:
        self.environment.environment_variables = value

    @property
    def auto_prepare_environment(self) -> bool:
        """Nothing is prepared: environments are used in place."""
        return False

    @auto_prepare_environment.setter
    def auto_prepare_environment(self, _: bool) -> None:
        """Taken, as the reference does now."""

    def distribute(self, how: Distributed | None) -> None:
        """Run as *how* says; None is one process on each node."""
        self._distributed = how
        if how is None:
            return
        if not isinstance(how, (MpiConfiguration, PyTorchConfiguration, TensorflowConfiguration)):
            raise BadInput(
                f"{an(type(how).__name__)} is no distributed_job_config",
                hint="MpiConfiguration(…), PyTorchConfiguration(…) or TensorflowConfiguration(…)",
            )
        self.node_count = how.node_count
        if isinstance(how, MpiConfiguration):
            self.mpi, self.communicator = how, "Mpi"
        elif isinstance(how, PyTorchConfiguration):
            self.pytorch, self.framework, self.communicator = how, "PyTorch", how.communication_backend
        else:
            self.tensorflow, self.framework = how, "TensorFlow"

    def shape(self) -> tuple[int, int]:
        """Nodes, and processes on each.  Raises ``BadInput`` for counts that do not fit."""
        framework = _one_of("framework", self.framework, _FRAMEWORKS)
        communicator = _one_of("communicator", self.communicator, _COMMUNICATORS)
        how: Distributed | None = self._distributed
        if how is None and "mpi" in communicator:
            how = self.mpi
        elif how is None and framework == "pytorch":
            how = self.pytorch
        elif how is None and framework == "tensorflow":
            how = self.tensorflow
        if how is None:
            return self.node_count, 1
        nodes = how.node_count if how.node_count > 1 else self.node_count
        if isinstance(how, PyTorchConfiguration) and nodes != how.node_count:
            how = PyTorchConfiguration(how.communication_backend, how.process_count, nodes)
        return nodes, how.processes

    # ---- as a file -----------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """As a ``.runconfig`` file holds it.  Inputs are of a moment, and not in it."""
        env: Environment = self.environment
        command = self.command if self.command is None or isinstance(self.command, str) else _words(self.command)
        return {
            "script": self.script,
            "arguments": _words(self.arguments),
            "command": command,
            "target": self.target,
            "framework": self.framework,
            "communicator": self.communicator,
            "maxRunDurationSeconds": self.max_run_duration_seconds,
            "nodeCount": self.node_count,
            "environment": {"name": env.name, "version": env.version, **env.as_dict()},
            "mpi": {"processCountPerNode": self.mpi.process_count_per_node, "nodeCount": self.mpi.node_count},
            "pytorch": {
                "communicationBackend": self.pytorch.communication_backend,
                "processCount": self.pytorch.process_count,
                "nodeCount": self.pytorch.node_count,
            },
            "tensorflow": {
                "workerCount": self.tensorflow.worker_count,
                "parameterServerCount": self.tensorflow.parameter_server_count,
            },
            "docker": {
                "useDocker": self.docker.use_docker,
                "sharedVolumes": self.docker.shared_volumes,
                "arguments": list(self.docker.arguments),
                "shmSize": self.docker.shm_size,
            },
        }

    def save(
        self, path: str | PathLike[str] | None = None, name: str | None = None, separate_environment_yaml: bool = False
    ) -> None:
        """Write it as YAML.

        Args:
            path: the folder above ``.azureml``, or a file; default: here.
            name: of the file, without ``.runconfig``; default: ``local``.
            separate_environment_yaml: also write the conda file beside it.
        """
        target = _file(path, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(safe_yaml.dump(self.as_dict()), encoding="utf-8")
        if separate_environment_yaml:
            self.environment.python.conda_dependencies.save(target.with_suffix(".environment.yml"))

    @staticmethod
    def load(path: str | PathLike[str], name: str | None = None) -> RunConfiguration:
        """What ``save`` or the reference wrote.

        Raises ``NotFound`` for a file that is not there, ``BadInput`` for one that makes no sense.
        """
        target = _file(path, name)
        data = safe_yaml.load(safe_yaml.read_text(target), str(target))
        try:
            return _of_dict(data)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise BadInput(
                f"{target} is no run configuration: {problem!r}", hint="correct it, or save it anew"
            ) from problem

    @staticmethod
    def delete(path: str | PathLike[str], name: str) -> None:
        """Remove the file of that name.  Raises ``NotFound`` where there is none."""
        target = _file(path, name)
        if not target.is_file():
            raise NotFound(f"{target} does not exist")
        target.unlink()

    def __repr__(self) -> str:
        return f"RunConfiguration(target={self.target!r}, environment={self.environment.name!r})"


def _one_of(what: str, value: Any, known: tuple[str, ...]) -> str:
    """*value* in small letters, if it is known in any."""
    if str(value).lower() not in map(str.lower, known):
        raise BadInput(f"no {what} {value!r}", hint=did_you_mean(str(value), known))
    return str(value).lower()


def _words(values: Sequence[Any]) -> list[str]:
    """Arguments as text; inputs as the reference writes them."""
    from jupyter_mlrun.sdk.data import DatasetConsumptionConfig

    return [
        f"DatasetConsumptionConfig:{one.name}" if isinstance(one, DatasetConsumptionConfig) else str(one)
        for one in values
    ]


def _file(path: str | PathLike[str] | None, name: str | None) -> Path:
    """The ``.runconfig`` that *path* and *name* mean."""
    base = Path(path or ".").expanduser()
    if base.suffix == SUFFIX or (name is None and base.is_file()):
        return base
    file = f"{name or LOCAL}{SUFFIX}"
    if "/" in file or "\0" in file:
        raise BadInput(f"{name!r} is no name for a run configuration")
    for folder in (base / ".azureml", base / "aml_config", base):
        if (folder / file).is_file():
            return folder / file
    return base / ".azureml" / file


def _of_dict(data: Mapping[str, Any]) -> RunConfiguration:
    made = RunConfiguration(
        data.get("script"), data.get("arguments") or (), data.get("framework"), data.get("communicator"),
        command=data.get("command") or None,
    )  # fmt: skip
    made.target = data.get("target")
    made.node_count = int(data.get("nodeCount") or 1)
    made.max_run_duration_seconds = data.get("maxRunDurationSeconds")
    env = data.get("environment") or {}
    made.environment = Environment.of_definition(str(env.get("name") or "this interpreter"), env)
    made.environment.version = env.get("version")
    mpi, torch, flow = (data.get(key) or {} for key in ("mpi", "pytorch", "tensorflow"))
    made.mpi = MpiConfiguration(mpi.get("processCountPerNode") or 1, mpi.get("nodeCount") or 1)
    made.pytorch = PyTorchConfiguration(
        torch.get("communicationBackend") or "Nccl", torch.get("processCount"), torch.get("nodeCount") or 1
    )
    made.tensorflow = TensorflowConfiguration(flow.get("workerCount") or 1, flow.get("parameterServerCount", 1))
    docker = data.get("docker") or {}
    made.docker = DockerConfiguration(
        bool(docker.get("useDocker")), docker.get("sharedVolumes", True), docker.get("arguments"), docker.get("shmSize")
    )
    return made
