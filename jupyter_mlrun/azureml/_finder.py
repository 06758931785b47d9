"""Makes the modules of the table, what stands for names that are not here, and the plain name ``azureml``.

Reads and writes nothing.  Standard library only, and few modules of it: training scripts import it.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from ._names import MODULES, Absent, Never

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

PACKAGE = __name__.rpartition(".")[0]  # jupyter_mlrun.azureml
ROOT = PACKAGE.rpartition(".")[0]
# what the package azureml-core brings: where it is missing, nobody else has these
_OF_CORE = ("core", "data", "exceptions")
CURE = "pip install jupyter-mlrun"
_made: dict[tuple[str, str], Any] = {}


class _NotHere(type):
    """The class of placeholders: they can be imported and named in ``isinstance``; using one raises."""

    def __call__(cls, *_args: Any, **_kw: Any) -> Any:
        raise cls._kind(cls._text)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):  # pickle, IPython and inspect ask for these, and go on without
            raise AttributeError(name)
        raise cls._kind(cls._text)


def _placeholder(module: str, name: str, kind: type[Exception], text: str) -> type:
    return _NotHere(name, (), {"__module__": module, "__doc__": text, "_kind": kind, "_text": text})


def find(module: str, name: str, place: str) -> Any:
    """What *name* of *module* (``core.run``) is, by its *place* in the table."""
    shown = f"azureml.{module}.{name}"
    if isinstance(place, Absent):
        return _placeholder(f"{PACKAGE}.{module}", name, NotImplementedError, f"{shown} {place}")
    if isinstance(place, Never):
        base = importlib.import_module(f"{ROOT}.errors").JupyterMLRunError
        return type(name, (base,), {"__module__": f"{PACKAGE}.{module}", "__doc__": str(place)})
    for one in place.split():
        where, _, path = one.partition(":")
        try:
            found: Any = importlib.import_module(f"{ROOT}.{where}")
        except ModuleNotFoundError as problem:
            if not f"{ROOT}.{where}.".startswith(f"{problem.name}."):
                raise  # something that it needs, which is another story
            continue  # only what the worker brought is here
        for part in path.split("."):
            found = getattr(found, part)
        return found
    return _placeholder(f"{PACKAGE}.{module}", name, ImportError, f"{shown} needs the whole package here: {CURE}")


def children(module: str) -> list[str]:
    """The submodules that the table has directly under *module* ("" is the top)."""
    start = f"{module}." if module else ""
    return sorted({name[len(start) :].partition(".")[0] for name in MODULES if name.startswith(start)})


def attribute(owner: ModuleType, module: str, name: str) -> Any:
    """The attribute *name* of *module*, kept in it: a name of the table, else a submodule."""
    place = MODULES.get(module, {}).get(name)
    if place is not None:
        # setdefault: two threads may look at once, and both get the first one's
        if isinstance(place, (Absent, Never)):  # one class, whichever of its modules it is taken from
            made = _made.get((name, place)) or _made.setdefault((name, place), find(module, name, place))
            return owner.__dict__.setdefault(name, made)
        return owner.__dict__.setdefault(name, find(module, name, place))
    if f"{module}.{name}".lstrip(".") in MODULES:
        return importlib.import_module(f"{owner.__name__}.{name}")
    raise AttributeError(f"module {owner.__name__!r} has no attribute {name!r}")


class NamesModule(ModuleType):
    """A module whose names come from the table when they are used."""

    def __getattr__(self, name: str) -> Any:
        return attribute(self, self.__name__[len(PACKAGE) + 1 :], name)

    def __dir__(self) -> list[str]:
        short = self.__name__[len(PACKAGE) + 1 :]
        return sorted({*self.__dict__, *MODULES[short], *children(short)})


class NamesFinder:
    """Finds ``jupyter_mlrun.azureml.X`` for every X of the table."""

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """See ``importlib.abc.MetaPathFinder``."""
        if not name.startswith(f"{PACKAGE}.") or name[len(PACKAGE) + 1 :] not in MODULES:
            return None
        return ModuleSpec(name, self, is_package=bool(children(name[len(PACKAGE) + 1 :])))  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty module that looks its names up."""
        short = spec.name[len(PACKAGE) + 1 :]
        return NamesModule(spec.name, f"The names of ``azureml.{short}``; see docs/azureml.md.")

    def exec_module(self, module: ModuleType) -> None:
        """Say what ``from … import *`` brings."""
        names = MODULES[module.__name__[len(PACKAGE) + 1 :]]
        module.__dict__["__all__"] = [name for name in names if not name.startswith("_")]


class AliasFinder:
    """Finds plain ``azureml.X``: ours for every X of the table, else what another distribution has under that name.

    With *others_first*, another distribution's module wins also over ours, except for what azureml-core brings.
    """

    def __init__(self, *, others_first: bool) -> None:
        self.others_first = others_first

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """See ``importlib.abc.MetaPathFinder``."""
        if name == "azureml":
            return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]
        if not name.startswith("azureml."):
            return None
        parent = sys.modules.get(name.rpartition(".")[0])
        if parent is not sys.modules[PACKAGE] and not isinstance(parent, NamesModule):
            return None  # inside somebody else's package, which has a path of its own
        short = name.partition(".")[2]
        if short not in MODULES:
            return _elsewhere(name)
        if self.others_first and short.partition(".")[0] not in _OF_CORE:
            other = _elsewhere(name)
            if other is not None and other.loader is not None:
                return other
        return ModuleSpec(name, self)  # type: ignore[arg-type]

    def create_module(self, _spec: ModuleSpec) -> None:
        """Any module will do: ``exec_module`` puts ours in its place."""

    def exec_module(self, module: ModuleType) -> None:
        """Put our module under the plain name: one object with two names."""
        sys.modules[module.__name__] = importlib.import_module(PACKAGE + module.__name__[len("azureml") :])


def _elsewhere(name: str) -> ModuleSpec | None:
    """Another distribution's module of this name: distributions may share the folder ``azureml``."""
    folders = name.split(".")[:-1]
    return PathFinder.find_spec(name, [os.path.join(entry, *folders) for entry in sys.path])


def install() -> None:
    """Make the modules of the table importable."""
    if not _finders(NamesFinder):
        sys.meta_path.insert(0, NamesFinder())


def take_name(*, others_first: bool = False) -> None:
    """Make plain ``azureml`` mean ours in this process.  Raises ``Conflict`` where a real one is in use already."""
    ours = importlib.import_module(PACKAGE)
    there = sys.modules.get("azureml")
    real = sys.modules.get("azureml.core")
    if there is not ours and real is not None:
        errors = importlib.import_module(f"{ROOT}.errors")
        raise errors.Conflict(
            f"azureml cannot become jupyter_mlrun.azureml: another azureml.core was imported before "
            f"({getattr(real, '__file__', None) or real!r})",
            hint="restart the kernel (or the program) and import jupyter_mlrun.azureml.alias before azureml",
        )
    for name, module in list(sys.modules.items()):
        # what other distributions of that name loaded stays theirs, and reachable
        if there is not ours and name.startswith("azureml.") and name.count(".") == 1:
            ours.__dict__.setdefault(name.partition(".")[2], module)
    sys.modules["azureml"] = ours
    for old in _finders(AliasFinder):
        sys.meta_path.remove(old)
    sys.meta_path.insert(0, AliasFinder(others_first=others_first))


def _finders(kind: type) -> Sequence[Any]:
    return [finder for finder in sys.meta_path if type(finder).__name__ == kind.__name__ and _is_ours(finder)]


def _is_ours(finder: Any) -> bool:
    # by name, so that a module that was loaded anew finds what its earlier self left
    return type(finder).__module__ == __name__
