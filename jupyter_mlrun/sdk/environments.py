"""``Environment``: what a run's interpreter must have, kept by name and version, and used in place.

Reads and writes ``environments/NAME/VERSION.json`` of the workspace; reads and writes folders that a user names.
"""

from __future__ import annotations

import copy
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jupyter_mlrun.errors import BadInput, Conflict, NotFound
from jupyter_mlrun.sdk import curated, once, sections
from jupyter_mlrun.sdk.conda import CondaDependencies
from jupyter_mlrun.sdk.dicts import Names
from jupyter_mlrun.sdk.environment import check_variable
from jupyter_mlrun.sdk.places import folder_of
from jupyter_mlrun.sdk.requirements import Interpreter, compare, interpreter_at, read_requirements, this_interpreter
from jupyter_mlrun.sdk.safe_yaml import read_text
from jupyter_mlrun.sdk.sections import DockerSection, PythonSection
from jupyter_mlrun.store.registry import Versions, check_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from jupyter_mlrun.sdk.workspace import Workspace

__all__ = ["DockerSection", "Environment", "PythonSection", "environments"]
_CONDA_FILE, _DOCKERFILE, _DEFINITION = "conda_dependencies.yml", "BaseDockerfile", "azureml_environment.json"
_NO_BUILD = (
    "is not here: environments are used in place, and building them comes in a later release; "
    "install what is needed with `pip install` into the interpreter that runs use"
)
_NO_IMAGE = "is not here: runs use no images; name packages with from_conda_specification or from_pip_requirements"


class Environment:
    """The packages, interpreter and variables of runs.  Source: ``azureml.core.Environment``.

    Nothing is built: a run uses an interpreter of this machine in place, if it has what the environment asks for.

    Args:
        name: letters, digits, ``_ - .`` and spaces; ``BadInput`` for others.
        python: the section of Python, made anew without it.
        docker: the section of Docker, which is recorded and not used.
    """

    def __init__(
        self, name: str, *, python: PythonSection | None = None, docker: DockerSection | None = None, **other: Any
    ) -> None:
        self.name: str = check_name("environment", name)
        self.python = python or PythonSection()
        self.docker = docker or DockerSection()
        self.version: str | None = None
        self.inferencing_stack_version: str | None = other.pop("inferencing_stack_version", None)
        self._variables: dict[str, str] = {}
        self.environment_variables = other.pop("environment_variables", {})
        self._curated = False
        self._source: str | None = None  # the file that it was read from, for messages
        if other:
            raise BadInput(f"Environment() has no argument {next(iter(other))!r}")

    @property
    def environment_variables(self) -> dict[str, str]:
        """What the run finds in its environment, beside what it inherits."""
        return self._variables

    @environment_variables.setter
    def environment_variables(self, value: Mapping[str, Any] | None) -> None:
        self._variables = {str(name): str(one) for name, one in (value or {}).items()}

    # ---- made of what there is ---------------------------------------------------------------------------

    @staticmethod
    def from_conda_specification(name: str, file_path: str | PathLike[str]) -> Environment:
        """Of conda's ``environment.yml``.  Raises ``NotFound``, or ``BadInput`` with the line that is no package."""
        made = Environment(name)
        made.python.conda_dependencies = CondaDependencies(file_path)
        made._source = str(file_path)
        return made

    @staticmethod
    def from_pip_requirements(name: str, file_path: str | PathLike[str], pip_version: str | None = None) -> Environment:
        """Of a ``requirements.txt``; *pip_version* is recorded.  Raises as ``from_conda_specification``."""
        made = Environment(name)
        made.python.conda_dependencies = CondaDependencies.create(
            conda_packages=[f"pip={pip_version}"] if pip_version else [],
            pip_packages=read_requirements(Path(file_path).expanduser()),
        )
        made._source = str(file_path)
        return made

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str) -> Environment:
        """Of a conda environment of this machine: runs use its interpreter, as it is.

        Raises ``NotFound`` that says which there are.
        """
        made = Environment(name)
        made.python.user_managed_dependencies = True
        made.python.interpreter_path = curated.conda_interpreter(conda_environment_name)
        return made

    @staticmethod
    def from_docker_image(
        name: str,
        image: str,
        container_registry: Any = None,
        conda_specification: str | PathLike[str] | None = None,
        pip_requirements: str | PathLike[str] | None = None,
    ) -> Environment:
        """Of an image's packages: the image is recorded and not used, the packages are looked for here."""
        if conda_specification is not None and pip_requirements is not None:
            raise BadInput("give conda_specification or pip_requirements, not both")
        made = Environment(name)
        if conda_specification is not None:
            made = Environment.from_conda_specification(name, conda_specification)
        elif pip_requirements is not None:
            made = Environment.from_pip_requirements(name, pip_requirements)
        made.docker.base_image = image
        made.docker.base_image_registry = container_registry
        once.warn(f"environment {name!r}: Docker is not used, the image {image} is only recorded")
        return made

    @staticmethod
    def from_dockerfile(
        name: str,
        dockerfile: str | PathLike[str],
        conda_specification: str | PathLike[str] | None = None,
        pip_requirements: str | PathLike[str] | None = None,
    ) -> Environment:
        """Of a Dockerfile, or its text: recorded and not used; the packages are looked for here."""
        path = Path(dockerfile)
        text = str(dockerfile) if "\n" in str(dockerfile) else read_text(path) if path.is_file() else str(dockerfile)
        made = Environment.from_docker_image(name, "of a Dockerfile", None, conda_specification, pip_requirements)
        made.docker.base_image, made.docker.base_dockerfile = None, text
        return made

    @staticmethod
    def from_docker_build_context(name: str, docker_build_context: Any) -> NoReturn:
        """Not here."""
        raise NotImplementedError(f"Environment.from_docker_build_context {_NO_IMAGE}")

    # ---- the registry ------------------------------------------------------------------------------------

    def register(self, workspace: Workspace) -> Environment:
        """Keep it in *workspace*; returns it as it is there.  What the latest version says already is that version.

        Raises ``BadInput`` for the names that are the reference's own.
        """
        if self.name.startswith(curated.RESERVED):
            raise BadInput(
                f"{self.name!r} cannot be registered: names with 'AzureML' and 'Microsoft' are kept for curated ones",
                hint="clone it first: environment.clone('my-environment')",
            )
        definition = self.as_dict()
        record, _ = Versions(folder_of(workspace), "environment").add(
            self.name, {"definition": definition}, unless=lambda latest: latest.get("definition") == definition
        )
        return _of_record(record)

    @staticmethod
    def get(workspace: Workspace, name: str, version: str | int | None = None, label: str | None = None) -> Environment:
        """The environment of this name; the latest version without *version*.

        Curated names (``AzureML-…``) mean this interpreter, which is said once.  Raises ``NotFound`` with the names
        or versions there are.
        """
        if label not in (None, "latest"):
            raise NotImplementedError(f"the label {label!r} is not here: environments have versions, give version=")
        registry = Versions(folder_of(workspace), "environment")
        if curated.is_curated(str(name)) and not registry.versions(name):
            return curated_environment(name)
        return _of_record(registry.get(name, version))

    @staticmethod
    def list(workspace: Workspace) -> dict[str, Environment]:
        """The latest version of each registered environment, by name."""
        found = Versions(folder_of(workspace), "environment").latest()
        return {name: _of_record(record) for name, record in found.items()}

    @staticmethod
    def label(workspace: Workspace, name: str, version: str, labels: Any) -> NoReturn:
        """Not here."""
        raise NotImplementedError("Environment.label is not here: give versions, Environment.get(ws, name, version)")

    def clone(self, new_name: str) -> Environment:
        """The same under another name, not registered."""
        made = copy.deepcopy(self)
        made.name, made.version, made._curated = check_name("environment", new_name), None, False
        return made

    # ---- as files ----------------------------------------------------------------------------------------

    def save_to_directory(self, path: str | PathLike[str], overwrite: bool = False) -> None:
        """Write ``conda_dependencies.yml``, ``azureml_environment.json``, and ``BaseDockerfile`` where there is one.

        Raises ``Conflict`` for a folder that is there, without *overwrite*.
        """
        folder = Path(path).expanduser()
        if folder.exists() and not overwrite:
            raise Conflict(f"{folder} exists already", hint="choose another folder, or give overwrite=True")
        folder.mkdir(parents=True, exist_ok=True)
        self.python.conda_dependencies.save(folder / _CONDA_FILE)
        if self.docker.base_dockerfile is not None:
            (folder / _DOCKERFILE).write_text(self.docker.base_dockerfile, encoding="utf-8")
        definition = {"name": self.name, "version": self.version, **self.as_dict()}
        (folder / _DEFINITION).write_text(json.dumps(definition, indent=4) + "\n", encoding="utf-8")

    @staticmethod
    def load_from_directory(path: str | PathLike[str]) -> Environment:
        """What ``save_to_directory`` wrote; the files of packages and of Docker count where they were changed.

        Raises ``NotFound`` for a folder without it, ``BadInput`` for one that makes no sense.
        """
        folder = Path(path).expanduser()
        text = read_text(folder / _DEFINITION)
        try:
            definition = json.loads(text)
            made = Environment.of_definition(str(definition["name"]), definition)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise BadInput(f"{folder / _DEFINITION} is no environment: {problem!r}") from problem
        made.version = None
        if (folder / _CONDA_FILE).is_file():
            made.python.conda_dependencies = CondaDependencies(folder / _CONDA_FILE)
            made._source = str(folder / _CONDA_FILE)
        if (folder / _DOCKERFILE).is_file():
            made.docker.base_dockerfile = read_text(folder / _DOCKERFILE)
        return made

    def as_dict(self) -> dict[str, Any]:
        """All but name and version, as the registry keeps it."""
        return {
            "python": self.python.as_dict(),
            "docker": self.docker.as_dict(),
            "environmentVariables": dict(self._variables),
            "inferencingStackVersion": self.inferencing_stack_version,
        }

    @staticmethod
    def of_definition(name: str, definition: Mapping[str, Any]) -> Environment:
        """What ``as_dict`` gave, under *name*."""
        made = Environment(name)
        made.python = PythonSection.of_dict(definition.get("python") or {})
        made.docker = DockerSection.of_dict(definition.get("docker") or {})
        made.environment_variables = definition.get("environmentVariables") or {}
        made.inferencing_stack_version = definition.get("inferencingStackVersion")
        return made

    # ---- for a run ---------------------------------------------------------------------------------------

    def resolve(self) -> dict[str, Any]:
        """The interpreter that a run uses, with what was asked of it, as the run's record keeps it.

        Raises ``BadInput`` that names each package that is missing or has another version, and the cures.
        """
        for name, value in self._variables.items():
            check_variable(name, value, f"environment {self.name!r}")
        python = self._interpreter()
        if self._curated:
            curated.say(self.name, python)
        elif not self.python.user_managed_dependencies:
            self._check(python)
        asked = self.python.conda_dependencies
        return {
            "name": self.name,
            "python": python.path,
            "version": python.version,
            "requirements": asked.pip_packages,
            "conda": asked.conda_packages,
            **({"environment_version": self.version} if self.version else {}),
        }

    def python_path(self) -> str:
        """The interpreter that runs use.  Raises ``NotFound`` for one that is not there."""
        path = self.python.interpreter_path
        if self.python.user_managed_dependencies and path not in sections.OURS:
            return sections.program(path)
        return this_interpreter().path

    def _interpreter(self) -> Interpreter:
        path = self.python_path()
        here = this_interpreter()
        return here if path == here.path else interpreter_at(path)

    def _check(self, python: Interpreter) -> None:
        asked = self.python.conda_dependencies
        where = self._source or f"environment {self.name!r}"
        found = compare(asked.conda_packages, asked.pip_packages, python, where=where)
        if found.lacks:
            missing = [lack for lack in found.lacks if not lack.want.startswith("python=")]
            cures = (
                [shlex.join([python.path, "-m", "pip", "install", *(one.want for one in missing)])] if missing else []
            )
            raise BadInput(
                f"this interpreter lacks what {where} requires: {', '.join(map(str, found.lacks))}",
                hint=", or ".join([*cures, f"loosen the versions in {where}"])
                + " (building environments comes in a later release)",
            )
        if found.python is not None:
            once.warn(f"{where} asks for {found.python}; its runs use Python {python.version} ({python.path})")

    # ---- not here ----------------------------------------------------------------------------------------

    def build(self, workspace: Workspace, image_build_compute: Any = None) -> NoReturn:
        """Not here yet."""
        raise NotImplementedError(f"Environment.build {_NO_BUILD}")

    def build_local(self, workspace: Workspace, platform: Any = None, **kwargs: Any) -> NoReturn:
        """Not here yet."""
        raise NotImplementedError(f"Environment.build_local {_NO_BUILD}")

    def get_image_details(self, workspace: Workspace) -> NoReturn:
        """Not here."""
        raise NotImplementedError(f"Environment.get_image_details {_NO_IMAGE}")

    @staticmethod
    def add_private_pip_wheel(workspace: Workspace, file_path: Any, exist_ok: bool = False) -> NoReturn:
        """Not here."""
        raise NotImplementedError(
            "Environment.add_private_pip_wheel is not here: install the wheel into the interpreter that runs use"
        )

    @property
    def spark(self) -> NoReturn:
        """Not here."""
        raise NotImplementedError("Environment.spark is not here: there is no Spark; name packages in python")

    @property
    def r(self) -> NoReturn:
        """Not here."""
        raise NotImplementedError("Environment.r is not here: run Rscript with ScriptRunConfig(command=[…])")

    def __repr__(self) -> str:
        return f"Environment(Name: {self.name},\nVersion: {self.version})"


def _of_record(record: Mapping[str, Any]) -> Environment:
    made = Environment.of_definition(str(record["name"]), record["definition"])
    made.version = str(record["version"])
    return made


def curated_environment(name: str) -> Environment:
    """The environment that a curated name means: this interpreter, with the packages that the name speaks of."""
    made = Environment(name)
    made.version, made._curated = "1", True
    made.python.conda_dependencies = CondaDependencies.create(pip_packages=curated.packages(name))
    curated.say(name, this_interpreter())
    return made


def environments(workspace: Workspace) -> Names[Environment]:
    """The workspace's environments by name; curated names are there without being listed."""

    def find(name: str) -> Environment | None:
        try:
            return Environment.get(workspace, name)
        except NotFound:
            return None

    return Names("environment", lambda: Environment.list(workspace), find, also="curated names begin with AzureML-")
