"""The sections of an ``Environment``: Python, which counts, and Docker, which is recorded.

Reads a conda file that a section names; writes nothing.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.sdk import once
from jupyter_mlrun.sdk.conda import CondaDependencies

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"
OURS = ("python", "", None)  # interpreter_path that means the interpreter of the submitter


class PythonSection:
    """Which interpreter, with what.  Source: ``azureml.core.environment.PythonSection``.

    Attributes:
        user_managed_dependencies: the interpreter has what it needs; nothing is checked.
        interpreter_path: with the above, the interpreter; ``python`` is the one that submits.
        conda_dependencies: the packages.
        base_conda_environment: recorded.
    """

    # a misspelt attribute is an error, not a setting that nobody reads
    __slots__ = ("_file", "base_conda_environment", "conda_dependencies", "interpreter_path",
                 "user_managed_dependencies")  # fmt: skip

    def __init__(self, **kwargs: Any) -> None:
        self.user_managed_dependencies: bool = bool(kwargs.pop("user_managed_dependencies", False))
        self.interpreter_path: str = kwargs.pop("interpreter_path", "python")
        self.base_conda_environment: str | None = kwargs.pop("base_conda_environment", None)
        self.conda_dependencies: CondaDependencies = kwargs.pop("conda_dependencies", None) or CondaDependencies.create(
            pip_packages=[]
        )
        self._file: str | None = None
        if "conda_dependencies_file" in kwargs:
            self.conda_dependencies_file = kwargs.pop("conda_dependencies_file")
        _no_more("PythonSection", kwargs)

    @property
    def conda_dependencies_file(self) -> str | None:
        """The conda file of the packages; setting it reads it."""
        return self._file

    @conda_dependencies_file.setter
    def conda_dependencies_file(self, value: str | None) -> None:
        if value is not None:
            self.conda_dependencies = CondaDependencies(value)
        self._file = value

    def as_dict(self) -> dict[str, Any]:
        """As the registry keeps it."""
        return {
            "userManagedDependencies": self.user_managed_dependencies,
            "interpreterPath": self.interpreter_path,
            "baseCondaEnvironment": self.base_conda_environment,
            "condaDependencies": self.conda_dependencies.as_dict(),
        }

    @staticmethod
    def of_dict(data: Mapping[str, Any]) -> PythonSection:
        """What ``as_dict`` gave, or the reference's file holds."""
        packages = data.get("condaDependencies")
        return PythonSection(
            user_managed_dependencies=data.get("userManagedDependencies", False),
            interpreter_path=str(data.get("interpreterPath") or "python"),
            base_conda_environment=data.get("baseCondaEnvironment"),
            conda_dependencies=None if packages is None else CondaDependencies(_underlying_structure=dict(packages)),
        )


class DockerSection:
    """What a container would be; recorded, since runs use an interpreter in place.

    Source: ``azureml.core.environment.DockerSection``.
    """

    __slots__ = ("_enabled", "arguments", "base_dockerfile", "base_image", "base_image_registry", "build_context",
                 "gpu_support", "platform", "shared_volumes", "shm_size")  # fmt: skip

    def __init__(self, **kwargs: Any) -> None:
        self._enabled = False
        self.base_image: str | None = kwargs.pop("base_image", DEFAULT_IMAGE)
        self.base_dockerfile: str | None = kwargs.pop("base_dockerfile", None)
        self.base_image_registry: Any = kwargs.pop("base_image_registry", None) or Registry()
        self.arguments: list[str] = list(kwargs.pop("arguments", ()))
        self.shm_size: str | None = kwargs.pop("shm_size", None)
        self.shared_volumes: bool = kwargs.pop("shared_volumes", True)
        self.gpu_support: bool = kwargs.pop("gpu_support", False)
        self.platform: Any = kwargs.pop("platform", None)
        self.build_context: Any = kwargs.pop("build_context", None)
        self.enabled = kwargs.pop("enabled", False)
        _no_more("DockerSection", kwargs)

    @property
    def enabled(self) -> bool:
        """Whether a container was asked for; said once to be recorded only."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool = False) -> None:
        if value:
            once.warn("Docker is not used: runs use an interpreter of this machine in place, images are only recorded")
        self._enabled = bool(value)

    def as_dict(self) -> dict[str, Any]:
        """As the registry keeps it."""
        return {
            "enabled": self._enabled,
            "baseImage": self.base_image,
            "baseDockerfile": self.base_dockerfile,
            "arguments": list(self.arguments),
            "shmSize": self.shm_size,
            "sharedVolumes": self.shared_volumes,
        }

    @staticmethod
    def of_dict(data: Mapping[str, Any]) -> DockerSection:
        """What ``as_dict`` gave, or the reference's file holds."""
        made = DockerSection(
            base_image=data.get("baseImage"), base_dockerfile=data.get("baseDockerfile"),
            arguments=data.get("arguments") or (), shm_size=data.get("shmSize"),
            shared_volumes=data.get("sharedVolumes", True),
        )  # fmt: skip
        made._enabled = bool(data.get("enabled", False))
        return made


class Registry:
    """Where an image would come from; nothing is kept of it.  Source: ``azureml.core.container_registry``."""

    def __init__(self) -> None:
        self.address: str | None = None
        self.username: str | None = None
        self.password: str | None = None


def _no_more(what: str, kwargs: Mapping[str, Any]) -> None:
    if kwargs:
        raise BadInput(f"{what}() has no argument {next(iter(kwargs))!r}")


def program(path: str) -> str:
    """The absolute path of an interpreter that an environment names; ``NotFound`` where there is none."""
    found = shutil.which(os.path.expanduser(path))
    if found is None:
        raise NotFound(
            f"the interpreter {path!r} does not exist, or cannot be executed",
            hint="set environment.python.interpreter_path to a Python of this machine",
        )
    return os.path.abspath(found)
