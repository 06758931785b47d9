"""What an environment asks of an interpreter, and whether this one has it.

Reads requirements files and the installed distributions; writes nothing.
"""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.sdk.safe_yaml import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_COMMENT = re.compile(r"(^|\s)#.*$")
_CONDA = re.compile(
    r"(?:[\w./-]+::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)\s*(?P<version>[=<>!~]{1,2}[^\s\[\]]*(?:\s*,\s*[^\s\[\]]+)*)?\Z"
)
_VERSION = re.compile(r"[0-9A-Za-z.*+!_-]+\Z")

# conda's name → the distributions of which one must be there
_OTHER_NAMES = {
    "pytorch": ("torch",), "pytorch-cpu": ("torch",), "pytorch-gpu": ("torch",), "torchvision-cpu": ("torchvision",),
    "opencv": ("opencv-python", "opencv-python-headless", "opencv-contrib-python"),
    "py-opencv": ("opencv-python", "opencv-python-headless", "opencv-contrib-python"),
    "matplotlib-base": ("matplotlib",), "seaborn-base": ("seaborn",), "dask-core": ("dask",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-gpu"),
    "tensorflow-gpu": ("tensorflow", "tensorflow-gpu"), "tensorflow-base": ("tensorflow", "tensorflow-cpu"),
    "tensorflow-mkl": ("tensorflow", "tensorflow-cpu"), "keras-gpu": ("keras",),
    "py-xgboost": ("xgboost",), "py-xgboost-cpu": ("xgboost",), "py-xgboost-gpu": ("xgboost",),
    "pytables": ("tables",), "msgpack-python": ("msgpack",), "ruamel_yaml": ("ruamel.yaml",),
    "psycopg2": ("psycopg2", "psycopg2-binary"), "faiss": ("faiss-cpu", "faiss-gpu"), "pyqt": ("pyqt5", "pyqt6"),
    "mysql-connector-python": ("mysql-connector-python",), "sentence-transformers": ("sentence-transformers",),
}  # fmt: skip


def _words(text: str) -> list[str]:
    return text.split()


# what conda installs and pip does not, or what says nothing about the code that runs
_CONDA_ONLY = frozenset(_words("""
    mkl mkl-dnn mkl-include intel-openmp blas openblas libblas liblapack cudatoolkit cudatoolkit-dev cuda cudnn
    cupti  nccl cutensor pytorch-cuda pytorch-mutex cpuonly nomkl openmpi mpich mpi msmpi pip conda gcc gxx
    gcc_linux-64  gxx_linux-64 gfortran compilers c-compiler cxx-compiler make git git-lfs ffmpeg openssl
    ca-certificates readline  sqlite tk xz zlib ncurses libffi bzip2 zstd lz4-c yaml nodejs openjdk r-base jpeg
    libjpeg-turbo libpng libtiff  freetype hdf5 libopencv libgcc libgcc-ng libgomp libstdcxx-ng libuv libsndfile
    graphviz pandoc curl wget
"""))  # fmt: skip


@dataclass(frozen=True)
class Need:
    """One requirement: any of these distributions will do; *text* is how the user wrote it."""

    text: str
    any_of: tuple[Requirement, ...]

    def is_met(self) -> bool:
        """Whether this interpreter has it."""
        return any(is_satisfied(one) for one in self.any_of)


def read_requirements(path: Path) -> list[str]:
    """The requirements that a requirements.txt lists.

    Raises ``BadInput`` with file and line for what is no requirement: options, addresses, other files.
    """
    found = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        text = _COMMENT.sub("", line).strip(" \t\r")
        if text:
            check_requirement(text, f"{path} line {number}")
            found.append(text)
    return found


def check_requirement(text: object, where: str) -> Requirement:
    """*text* as a requirement: a distribution, perhaps with versions; anything more is ``BadInput``."""
    try:
        if not isinstance(text, str):
            raise InvalidRequirement(f"it is a {type(text).__name__}, not text")
        found = Requirement(text)
        if found.url is not None:
            raise InvalidRequirement("it names an address")
        if not text.isprintable():
            raise InvalidRequirement("it has characters that cannot be seen")
    except InvalidRequirement as problem:
        raise BadInput(
            f"{where}: {str(text)[:200]!r} is not a requirement: {problem}".splitlines()[0],
            hint="name distributions with versions, like numpy>=1.24; options and addresses are refused",
        ) from problem
    return found


def is_satisfied(requirement: Requirement) -> bool:
    """Whether this interpreter has a distribution that *requirement* allows."""
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        version = metadata.version(requirement.name)
        return requirement.specifier.contains(version, prereleases=True)
    except (metadata.PackageNotFoundError, InvalidVersion, TypeError):  # or its metadata is damaged
        return False


def is_sdk(name: str) -> bool:
    """Whether a distribution belongs to the cloud's SDK, which this package stands in for."""
    plain = canonicalize_name(name)
    return plain == "azureml" or plain.startswith("azureml-")


def conda_name_and_version(text: object, where: str) -> tuple[str, str]:
    """``numpy=1.24`` as a name and a pip specifier (``==1.24.*``); what is neither is ``BadInput``."""
    plain = " ".join(text.split()) if isinstance(text, str) and text.isprintable() else ""
    match = _CONDA.match(re.sub(r"^(\S+) (?=[0-9])", r"\1=", re.sub(r" (?=[=<>!~])", "", plain)))
    specifier = _specifier(match["version"] or "") if match else None
    if match is None or specifier is None:
        raise BadInput(
            f"{where}: {str(text)[:200]!r} is not a conda package",
            hint="write it like numpy, numpy=1.24 or numpy>=1.24,<3; pip's packages stand under `- pip:`",
        )
    return match["name"].lower(), specifier


def _specifier(version: str) -> str | None:
    """A version of conda as pip would write it; None where it cannot be read."""
    parts = []
    for clause in filter(None, version.replace(" ", "").split(",")):
        match = re.match(r"(==?|!=|>=?|<=?|~=)?(.*)", clause)
        assert match is not None
        sign, number = match[1] or "=", match[2]
        number = number.partition("=")[0]  # a build: numpy=1.24=py311_0
        if not _VERSION.match(number):
            return None
        if number == "*":
            continue
        if sign == "=":
            number = f"{number.rstrip('.*')}.*"
        parts.append(("==" if sign == "=" else sign) + number)
    try:
        SpecifierSet(",".join(parts))
    except InvalidSpecifier:
        return None
    return ",".join(parts)


def lacking(
    conda: Sequence[str] = (), pip: Iterable[str] = (), *, where: str = "the environment"
) -> tuple[list[str], list[str]]:
    """What this interpreter lacks of these conda and pip packages, as pip would be asked; and notes."""
    missing: list[str] = []
    notes: list[str] = []
    needs: list[Need] = []
    for text in conda:
        name, specifier = conda_name_and_version(text, where)
        if name == "python":
            if not SpecifierSet(specifier).contains(platform.python_version(), prereleases=True):
                missing.append(f"python{specifier}")
        elif is_sdk(name) or name in _CONDA_ONLY or name.startswith(("_", "cuda-")):
            notes.append(f"{name}: not looked for")
        else:
            names = _OTHER_NAMES.get(name, (name.strip("_.-"),))
            needs.append(Need(text, tuple(Requirement(one + specifier) for one in names)))
    for text in pip:
        requirement = check_requirement(text, where)
        if is_sdk(requirement.name):
            notes.append(f"{requirement.name}: this package stands in for it")
        else:
            needs.append(Need(text, (requirement,)))
    missing += [str(need.any_of[0]) for need in needs if not need.is_met()]
    return missing, notes
