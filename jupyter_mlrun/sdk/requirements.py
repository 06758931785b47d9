"""What an environment asks of an interpreter, and whether this one has it.

Reads requirements files and the installed distributions; writes nothing.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from jupyter_mlrun.errors import BadInput, an
from jupyter_mlrun.sdk.safe_yaml import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

OLDEST = (3, 9)
_COMMENT = re.compile(r"(^|\s)#.*$")
_CREDENTIALS = re.compile(r"://[^/\s@]+@")
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


# printed by another interpreter: what it is, and which distributions it has
_ASK = """
import sys; sys.path[:] = [place for place in sys.path if place]
import json, os, platform
from importlib import metadata
found = {}
for one in metadata.distributions():
    name = one.metadata["Name"]
    if name:
        found.setdefault(name, one.version)
marks = {"implementation_name": sys.implementation.name, "os_name": os.name, "sys_platform": sys.platform,
  "platform_machine": platform.machine(), "platform_release": platform.release(), "platform_system": platform.system(),
  "platform_version": platform.version(), "python_full_version": platform.python_version(),
  "platform_python_implementation": platform.python_implementation(),
  "implementation_version": platform.python_version(), "python_version": "%d.%d" % sys.version_info[:2]}
print(json.dumps({"versions": found, "marks": marks}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python and what is installed in it; *versions* None: this process', looked up one by one."""

    path: str
    version: str
    versions: Mapping[str, str] | None = None
    marks: Mapping[str, str] | None = None

    def version_of(self, name: str) -> str | None:
        """The version of a distribution; None where it is not installed, or damaged."""
        if self.versions is not None:
            return self.versions.get(canonicalize_name(name))
        try:
            found: str | None = metadata.version(name)
        except metadata.PackageNotFoundError:
            return None
        return found

    def has(self, requirement: Requirement) -> bool:
        """Whether it has a distribution that *requirement* allows, or need not have one."""
        if requirement.marker is not None and not requirement.marker.evaluate(dict(self.marks) if self.marks else None):
            return True
        version = self.version_of(requirement.name)
        try:
            return version is not None and requirement.specifier.contains(version, prereleases=True)
        except InvalidVersion:
            return False


def this_interpreter() -> Interpreter:
    """The one that runs this."""
    return Interpreter(sys.executable, platform.python_version())


def interpreter_at(path: str) -> Interpreter:
    """The Python at *path*, asked what it has.  Raises ``BadInput`` where it cannot be asked or is too old."""
    try:
        answer = subprocess.run([path, "-c", _ASK], capture_output=True, text=True, check=True, timeout=60)
        found = json.loads(answer.stdout)
        version = str(found["marks"]["python_full_version"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as problem:
        said = (getattr(problem, "stderr", None) or str(problem)).strip()
        raise BadInput(
            f"the interpreter {path} does not work: {said.splitlines()[-1] if said else type(problem).__name__}",
            hint="name a Python 3.9 or newer as interpreter_path",
        ) from problem
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise BadInput(f"the interpreter {path} is Python {version}", hint="runs need Python 3.9 or newer")
    versions: dict[str, str] = {canonicalize_name(name): there for name, there in found["versions"].items()}
    return Interpreter(path, version, versions, found["marks"])


@dataclass(frozen=True)
class Need:
    """One requirement: any of these distributions will do."""

    any_of: tuple[Requirement, ...]

    def lack(self, of: Interpreter) -> Lack | None:
        """What *of* has instead, if it has not this."""
        if any(of.has(one) for one in self.any_of):
            return None
        there = [version for one in self.any_of if (version := of.version_of(one.name))]
        return Lack(str(self.any_of[0]), there[0] if there else None)


@dataclass(frozen=True)
class Lack:
    """A requirement that is not met, as pip would be asked for it, and the version that is there instead."""

    want: str
    have: str | None

    def __str__(self) -> str:
        return f"{self.want} ({'not installed' if self.have is None else f'here: {self.have}'})"


@dataclass(frozen=True)
class Findings:
    """What an interpreter lacks, and how its Python differs from the one that was asked for."""

    lacks: list[Lack]
    python: str | None = None  # asked for, and another one of the same major version is here


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


def _why(problem: InvalidRequirement) -> str:
    """Its first line: the others repeat the text."""
    return str(problem).partition("\n")[0]


def _shown(text: object) -> str:
    """A line for an error: cut, and without what may be a password in an address."""
    return repr(_CREDENTIALS.sub("://…@", str(text))[:200])


def check_requirement(text: object, where: str) -> Requirement:
    """*text* as a requirement: a distribution, perhaps with versions; anything more is ``BadInput``."""
    try:
        if not isinstance(text, str):
            raise InvalidRequirement(f"it is {an(type(text).__name__)}, not text")
        found = Requirement(text)
        if found.url is not None:
            raise InvalidRequirement("it names an address")
        if not text.isprintable():
            raise InvalidRequirement("it has characters that cannot be seen")
    except InvalidRequirement as problem:
        raise BadInput(
            f"{where}: {_shown(text)} is not a requirement: {_why(problem)}",
            hint="name distributions with versions, like numpy>=1.24; options and addresses are refused",
        ) from problem
    return found


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
            f"{where}: {_shown(text)} is not a conda package",
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


def compare(conda: Sequence[str], pip: Iterable[str], of: Interpreter, *, where: str = "the environment") -> Findings:
    """What *of* lacks of these conda and pip packages.

    Python itself is compared by its major version: what pins 3.6 runs with 3.11, and the difference is reported.
    """
    lacks: list[Lack] = []
    needs: list[Need] = []
    other: str | None = None
    for text in conda:
        name, specifier = conda_name_and_version(text, where)
        if name == "python":
            if not _same_major(specifier, of.version):
                lacks.append(Lack(f"python{specifier}", of.version))
            elif not SpecifierSet(specifier).contains(of.version, prereleases=True):
                other = text
        elif not (is_sdk(name) or name in _CONDA_ONLY or name.startswith(("_", "cuda-"))):
            names = _OTHER_NAMES.get(name, (name.strip("_.-"),))
            needs.append(Need(tuple(Requirement(one + specifier) for one in names)))
    wanted = (check_requirement(text, where) for text in pip)
    needs += [Need((_real(one),)) for one in wanted if not is_sdk(one.name)]
    return Findings(lacks + [lack for need in needs if (lack := need.lack(of))], other)


def _real(one: Requirement) -> Requirement:
    """``sklearn`` is on PyPI only to say that it is called scikit-learn; its versions are not those."""
    return Requirement("scikit-learn") if one.name == "sklearn" else one


def _same_major(specifier: str, version: str) -> bool:
    """Whether *specifier* allows any Python of the same major version as *version*."""
    allowed, major = SpecifierSet(specifier), version.partition(".")[0]
    named = [str(one.version).removesuffix(".*") for one in allowed]
    tried = [one for one in named if one.partition(".")[0] == major] + [f"{major}.{minor}.0" for minor in range(60)]
    return any(allowed.contains(one, prereleases=True) for one in tried)
