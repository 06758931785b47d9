"""``CondaDependencies``: the conda and pip packages that an environment names.

Reads and writes conda's ``environment.yml``.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.sdk import safe_yaml
from jupyter_mlrun.sdk.requirements import check_requirement, conda_name_and_version

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

CHANNELS, PACKAGES, PIP = "channels", "dependencies", "pip"
CONDA_FILE_NAME = "auto_conda_dependencies.yml"
DEFAULT_SDK_ORIGIN = "https://pypi.python.org/simple"
DEFAULT_PACKAGE = "azureml-defaults"


class CondaDependencies:  # noqa: PLW1641 -- it changes, so it has no hash
    """Packages by name, to be changed as a notebook likes.  Source: ``azureml.core.conda_dependencies``.

    Args:
        conda_dependencies_file_path: a conda environment file; without it there are no packages.

    Raises ``BadInput`` with file and line for what is no package: options, addresses, Python tags.
    """

    def __init__(
        self,
        conda_dependencies_file_path: str | PathLike[str] | None = None,
        _underlying_structure: dict[str, Any] | None = None,
    ) -> None:
        self._name: str | None = None
        self._channels: list[str] = []
        self._conda: list[str] = []
        self._pip: list[str] = []
        self._options: list[str] = []
        if conda_dependencies_file_path is not None:
            path = Path(conda_dependencies_file_path).expanduser()
            text = safe_yaml.read_text(path)
            self._take(safe_yaml.load(text, str(path)), str(path), text)
        elif _underlying_structure is not None:
            self._take(copy.deepcopy(_underlying_structure), "the environment", "", options=True)

    @staticmethod
    def create(
        pip_indexurl: str | None = None,
        pip_packages: list[str] | None = None,
        conda_packages: list[str] | None = None,
        python_version: str | None = None,
        pin_sdk_version: bool = True,  # noqa: ARG004 -- the SDK is this package, whatever its version
    ) -> CondaDependencies:
        """Packages given as lists.  *python_version* None takes whatever Python there is (the reference pins one)."""
        made = CondaDependencies()
        made.set_python_version(python_version)
        for package in _many("conda_packages", conda_packages or ()):
            made.add_conda_package(package)
        for package in _many("pip_packages", [DEFAULT_PACKAGE] if pip_packages is None else pip_packages):
            made.add_pip_package(package)
        if pip_indexurl:
            made.set_pip_index_url(pip_indexurl)
        return made

    def _take(self, data: dict[str, Any], where: str, text: str, *, options: bool = False) -> None:
        """Fill this from a parsed environment file; *options*: whether pip's may stand in it."""

        def at(item: object) -> str:
            lines = [n for n, line in enumerate(text.split("\n"), 1) if str(item) in line]
            return f"{where} line {lines[0]}" if lines else where

        name = data.get("name")
        self._name = name if isinstance(name, str) else None
        self._channels = [str(one) for one in _list(data.get(CHANNELS), f"{where}: {CHANNELS}")]
        for item in _list(data.get(PACKAGES), f"{where}: {PACKAGES}"):
            if not isinstance(item, dict):
                conda_name_and_version(item, at(item))
                self._conda.append(item)
                continue
            if set(item) != {PIP}:
                raise BadInput(f"{at(next(iter(item), ''))}: only `pip:` may have a list below it")
            for package in _list(item[PIP], f"{where}: {PIP}"):
                if options and isinstance(package, str) and package.startswith("-"):
                    self._options.append(package)
                    continue
                check_requirement(package, at(package))
                self._pip.append(package)

    # ---- what there is -----------------------------------------------------------------------------------

    @property
    def conda_channels(self) -> list[str]:
        """The channels, in their order."""
        return list(self._channels)

    @property
    def conda_packages(self) -> list[str]:
        """The packages of conda, Python with them."""
        return list(self._conda)

    @property
    def pip_packages(self) -> list[str]:
        """The packages of pip."""
        return list(self._pip)

    @property
    def pip_options(self) -> list[str]:
        """The options of pip; nothing is installed here, so nothing obeys them yet."""
        return list(self._options)

    def get_default_number_of_packages(self) -> int:
        """How many packages there are before any is named."""
        return 0

    def get_python_version(self) -> str | None:
        """The version that Python is pinned to, if it is."""
        for package in self._conda:
            if conda_name_and_version(package, "python")[0] == "python":
                return package[len("python") :].lstrip("= ") or None
        return None

    # ---- changing it -------------------------------------------------------------------------------------

    def set_python_version(self, version: str | None) -> None:
        """Pin Python to *version*, like ``3.11``; None takes any."""
        package = f"python={version}" if version else "python"
        conda_name_and_version(package, f"python_version {version!r}")
        self._conda = [package, *(p for p in self._conda if _conda_name(p) != "python")]

    def add_channel(self, channel: str) -> None:
        """Add a channel; one that is there already stays where it is."""
        if channel not in self._channels:
            self._channels.append(channel)

    def remove_channel(self, channel: str) -> None:
        """Remove a channel; one that is not there is no error."""
        self._channels = [one for one in self._channels if one != channel]

    def add_conda_package(self, conda_package: str) -> None:
        """Add a package like ``numpy=1.24``, in place of one of the same name."""
        name, _ = conda_name_and_version(conda_package, "conda package")
        self._conda = [*(p for p in self._conda if _conda_name(p) != name), conda_package]

    def remove_conda_package(self, conda_package: str) -> None:
        """Remove the package of this name, whatever its version."""
        name, _ = conda_name_and_version(conda_package, "conda package")
        self._conda = [p for p in self._conda if _conda_name(p) != name]

    def add_pip_package(self, pip_package: str) -> None:
        """Add a requirement like ``torch>=2``, in place of one of the same name."""
        name = canonicalize_name(check_requirement(pip_package, "pip package").name)
        self._pip = [*(p for p in self._pip if _pip_name(p) != name), pip_package]

    def remove_pip_package(self, pip_package: str) -> None:
        """Remove the requirement of this name, whatever its version."""
        name = canonicalize_name(check_requirement(pip_package, "pip package").name)
        self._pip = [p for p in self._pip if _pip_name(p) != name]

    def set_pip_requirements(self, pip_requirements: Iterable[str]) -> None:
        """Take these lines of a requirements.txt instead of all pip packages and options."""
        given = _many("pip_requirements", pip_requirements)
        lines = [line.strip() for line in given if line.strip() and not line.lstrip().startswith("#")]
        for line in lines:
            check_requirement(line, "pip requirement")
        self._pip, self._options = lines, []

    def set_pip_option(self, pip_option: str) -> None:
        """Add an option of pip like ``--pre``."""
        if not pip_option.startswith("-") or not pip_option.isprintable():
            raise BadInput(f"{pip_option!r} is no option of pip", hint="an option begins with --")
        self.remove_pip_option(_option_name(pip_option))
        self._options.append(pip_option)

    def remove_pip_option(self, pip_option: str) -> None:
        """Remove the option of this name."""
        self._options = [one for one in self._options if _option_name(one) != _option_name(pip_option)]

    def set_pip_index_url(self, index_url: str) -> None:
        """Say where pip would look; None or an empty text takes it away."""
        self.remove_pip_option("--index-url")
        if index_url:
            self.set_pip_option(f"--index-url {index_url}")

    def add_tensorflow_pip_package(self, core_type: str = "cpu", version: str | None = None) -> None:
        """Add TensorFlow; one distribution serves CPU and GPU now."""
        _check_core(core_type)
        self.add_pip_package(f"tensorflow=={version}" if version else "tensorflow")

    def add_tensorflow_conda_package(self, core_type: str = "cpu", version: str | None = None) -> None:
        """Add TensorFlow from conda; one package serves CPU and GPU now."""
        _check_core(core_type)
        self.add_conda_package(f"tensorflow={version}" if version else "tensorflow")

    def add_cntk_package(self, core_type: str = "cpu") -> None:
        """CNTK has had no release since 2019, and none for a Python of today."""
        raise NotImplementedError(f"add_cntk_package({core_type!r}) is not here: use torch or tensorflow")

    @staticmethod
    def merge_requirements(requirements: Iterable[str]) -> list[str]:
        """The requirements with those of one name made one that asks for all their versions."""
        merged: dict[str, Requirement] = {}
        for text in requirements:
            requirement = check_requirement(text, "requirement")
            known = merged.setdefault(canonicalize_name(requirement.name), requirement)
            if known is not requirement:
                known.specifier &= requirement.specifier
                known.extras |= requirement.extras
        return [str(one) for one in merged.values()]

    @staticmethod
    def sdk_origin_url() -> str:
        """Where the reference's SDK came from."""
        return DEFAULT_SDK_ORIGIN

    # ---- as a file ---------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """As conda's environment file holds it."""
        inner: list[str] = [*self._options, *self._pip]
        packages: list[Any] = [*self._conda, *([{PIP: inner}] if inner else [])]
        named = {"name": self._name} if self._name else {}
        return {**named, **({CHANNELS: list(self._channels)} if self._channels else {}), PACKAGES: packages}

    def serialize_to_string(self) -> str:
        """As the text of conda's environment file."""
        return safe_yaml.dump(self.as_dict())

    def save(self, path: str | PathLike[str] | None = None) -> None:
        """Write the environment file; *path* None is ``auto_conda_dependencies.yml`` here."""
        Path(path or CONDA_FILE_NAME).expanduser().write_text(self.serialize_to_string(), encoding="utf-8")

    def save_to_file(self, base_directory: str | PathLike[str], conda_file_path: str | None = None) -> str:
        """Write the environment file into *base_directory*; returns its path within it."""
        name = conda_file_path or CONDA_FILE_NAME
        self.save(Path(base_directory).expanduser() / name)
        return name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CondaDependencies) and self.as_dict() == other.as_dict()

    def __repr__(self) -> str:
        return f"CondaDependencies({self.as_dict()!r})"


def _list(value: object, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadInput(f"{where} is no list", hint="write one package a line, each behind `- `")
    return value


def _many(what: str, packages: Iterable[str]) -> Iterable[str]:
    """*packages*; a text is none, whose letters would be packages."""
    if isinstance(packages, str):
        raise BadInput(f"{what} {packages!r} is no list", hint=f"{what}={packages.split()!r}")
    return packages


def _conda_name(package: str) -> str:
    return conda_name_and_version(package, "conda package")[0]


def _pip_name(package: str) -> str:
    return canonicalize_name(Requirement(package).name)


def _option_name(option: str) -> str:
    return option.replace("=", " ").partition(" ")[0]


def _check_core(core_type: str) -> None:
    if core_type not in ("cpu", "gpu"):
        raise BadInput(f"core_type {core_type!r} is neither 'cpu' nor 'gpu'")
