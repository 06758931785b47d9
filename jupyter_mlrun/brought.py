"""Brings names of the notebook into a run (``--use``): data by value, code by source, imports as imports.

Reads the namespace and the sources of its cells; writes nothing and runs none of the user's code.
"""

from __future__ import annotations

import builtins
import sys
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING

from jupyter_mlrun.cellnames import BUILTINS, KERNEL_NAMES, analyse, attribute_chains
from jupyter_mlrun.definitions import IN_CELL, Source, class_source, function_source, unwrap
from jupyter_mlrun.errors import BadInput, CellError, an
from jupyter_mlrun.literals import not_plain, source_of, type_name
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    import ast
    from collections.abc import Collection, Iterable, Mapping

MAX_BYTES = 1_000_000
BY_FILE = "make it in the cell, or save it in a folder and submit with -s"
KERNEL_CURES = {
    "display": "use print(), or save pictures to ./outputs",
    "get_ipython": "leave it to the notebook, or use the Python function that it stands for",
}
KERNEL_CURE = "give the value a name of its own, and bring that by --use"


@dataclass(frozen=True)
class Brought:
    """One name that travels with the cell: ``kind`` is data, function, class, module or import."""

    name: str
    kind: str
    how: str


@dataclass(frozen=True)
class Item:
    """A brought name, the text that defines it, and the names that this text needs."""

    brought: Brought
    text: str
    module: str | None = None  # what the text imports
    now: frozenset[str] = frozenset()  # needed while the text runs
    later: frozenset[str] = frozenset()  # needed when what it defines is called
    tree: ast.Module | None = None
    future: bool = False  # written under `from __future__ import annotations`


@dataclass
class Carrier:
    """Collects names and all that they need."""

    namespace: Mapping[str, object]
    given: Collection[str]  # defined otherwise: parameters
    bound: Collection[str]  # what the cell binds itself
    items: dict[str, Item] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def bring(self, name: str) -> None:
        """Bring one name that the user asked for, with its needs."""
        if name in self.given:
            raise BadInput(f"'{name}' is given both by -p and by --use", hint="keep one of the two")
        if name not in self.namespace:
            raise BadInput(
                f"--use {name}: the notebook has no such name",
                hint=did_you_mean(name, public(self.namespace)),
            )
        pending = [(name, "")]
        while pending:
            one, user = pending.pop()
            if one in self.items or one in self.given:
                continue
            item = self._item(one, user)
            if item is not None:
                self.items[one] = item
                pending += [(other, one) for other in sorted(item.now | item.later, reverse=True)]

    def _item(self, name: str, user: str) -> Item | None:
        """The item for a name; None where the run has that name anyhow, or nobody has it."""
        where = f" (needed by '{user}')" if user else ""
        if user and name in KERNEL_NAMES:
            raise kernel_name(name, None, where)
        if name not in self.namespace:
            if name not in BUILTINS and name not in self.bound:
                self.warnings.append(f"'{name}'{where} is defined neither in the cell nor in the notebook")
            return None
        value = self.namespace[name]
        if user and name in BUILTINS and is_builtin(name, value):
            return None
        try:
            return item_of(name, value, self.namespace)
        except CellError as error:
            if user and name in self.bound:
                return None  # the cell defines it before it calls what needs it
            raise CellError(f"--use cannot bring '{name}'{where}: {error.message}", hint=error.hint) from None

    def ordered(self, cell: ast.Module) -> list[Item]:
        """All items, each after those that its text needs; ``cell`` tells which submodules are used."""
        size = sum(len(item.text.encode()) for item in self.items.values())
        if size > MAX_BYTES:
            largest = max(self.items.values(), key=lambda item: len(item.text))
            raise CellError(
                f"--use would bring {size:,} bytes, over {MAX_BYTES:,}, most for '{largest.brought.name}'",
                hint=BY_FILE,
            )
        trees = [cell, *(item.tree for item in self.items.values() if item.tree is not None)]
        items = {name: _with_submodules(item, self.namespace[name], trees) for name, item in self.items.items()}
        return [items[name] for name in _order(items)]


def public(names: Iterable[str]) -> list[str]:
    """The names that a user wrote: those of IPython's own begin with an underscore."""
    return [name for name in names if not name.startswith("_") and name not in KERNEL_NAMES]


def kernel_name(name: str, line: int | None, where: str = "") -> CellError:
    """The error for ``display``, ``get_ipython``, ``_`` and the like."""
    return CellError(
        f"'{name}'{where} belongs to the notebook; a run does not have it",
        line=line,
        hint=KERNEL_CURES.get(name, KERNEL_CURE),
    )


def is_builtin(name: str, value: object) -> bool:
    """Whether the notebook's value is Python's own, or IPython's stand-in for it (``open``, ``exit``)."""
    home = value.__globals__.get("__name__") if isinstance(value, FunctionType) else type(value).__module__
    return getattr(builtins, name, None) is value or str(home).startswith(("IPython", "ipykernel"))


def item_of(name: str, value: object, namespace: Mapping[str, object]) -> Item:
    """How ``name`` can travel; CellError with a cure if it cannot."""
    if isinstance(value, ModuleType):
        return _module(name, value)
    home = _home(value)
    if home is not None:
        module, attribute = home
        text = f"from {module} import {attribute}" + (f" as {name}" if name != attribute else "")
        return Item(Brought(name, "import", text), text + "\n", module)
    if isinstance(value, type) or isinstance(unwrap(value), FunctionType):
        return _defined(name, value, namespace)
    if isinstance(value, MethodType):
        raise CellError(f"it is a method of {an(type_name(value.__self__))}", hint=IN_CELL)
    if isinstance(value, (str, list, tuple, dict)) and len(value) > MAX_BYTES:
        raise CellError(f"it is larger than {MAX_BYTES:,} bytes", hint=BY_FILE)
    reason = not_plain(value)
    if reason is not None:
        raise CellError(f"{reason}, not plain data (None, bool, int, float, str, list, tuple, dict)", hint=BY_FILE)
    text = source_of(value)
    return Item(Brought(name, "data", f"by value, {len(text.encode()):,} bytes"), f"{name} = {text}\n")


def _module(name: str, value: ModuleType) -> Item:
    module = value.__name__
    if module == "__main__" or sys.modules.get(module) is not value or value.__spec__ is None:
        raise CellError(f"it is a module that cannot be imported as '{module}'", hint=IN_CELL)
    text = f"import {module}" + (f" as {name}" if name != module else "")
    return Item(Brought(name, "module", text), text + "\n", module)


def _home(value: object) -> tuple[str, str] | None:
    """The module and attribute that a class or function can be imported from; the shortest public path."""
    if not callable(value):
        return None
    name = getattr(value, "__name__", None)
    module = getattr(value, "__module__", None)
    if not isinstance(name, str) or not name.isidentifier():
        return None
    parents: list[str] = []
    if isinstance(module, str):
        parts = module.split(".")
        parents = [".".join(parts[: count + 1]) for count in range(len(parts))]
    elif not isinstance(value, (type, FunctionType, MethodType)):  # C functions may not say where they are from
        parents = sorted((one for one in sys.modules if not _is_private(one)), key=lambda one: (one.count("."), one))
    for parent in parents:
        found = sys.modules.get(parent)
        if parent != "__main__" and isinstance(found, ModuleType) and vars(found).get(name) is value:
            return (parent, name) if found.__spec__ is not None else None
    return None


def _is_private(module: str) -> bool:
    return any(part.startswith("_") for part in module.split("."))


def _defined(name: str, value: object, namespace: Mapping[str, object]) -> Item:
    """A function or class of the notebook, by source; a second name of it is an assignment."""
    original = getattr(unwrap(value), "__name__", name)
    if original != name and namespace.get(original) is value:
        text = f"{name} = {original}"
        return Item(
            Brought(name, "class" if isinstance(value, type) else "function", text),
            text + "\n",
            None,
            frozenset({original}),
        )
    if isinstance(value, type):
        return _from_source(name, "class", class_source(name, value, namespace))
    source = function_source(name, value)
    if original != name:
        raise CellError(f"it was defined as '{original}', which is now something else", hint=IN_CELL)
    return _from_source(name, "function", source)


def _from_source(name: str, kind: str, source: Source) -> Item:
    names = analyse(source.tree, source.code)
    needed = set(names.needed())
    now = frozenset(load.name for load in names.loads if load.now) & needed
    lines = source.text.count("\n")
    how = f"by source, {lines} line{'s' if lines != 1 else ''}"
    return Item(
        Brought(name, kind, how),
        source.text,
        None,
        now,
        frozenset(needed) - now,
        source.tree,
        bool(source.flags),
    )


def _with_submodules(item: Item, value: object, trees: list[ast.Module]) -> Item:
    """``import a`` does not import ``a.b``: add the submodules that the code reads from the name."""
    if not isinstance(value, ModuleType):
        return item
    chains = {chain for tree in trees for chain in attribute_chains(tree, item.brought.name)}
    used = {value.__name__ + chain.removeprefix(item.brought.name) for chain in chains}
    found = sorted(module for module in used if isinstance(sys.modules.get(module), ModuleType))
    if item.brought.name == value.__name__:
        text = item.text + "".join(f"import {module}\n" for module in found)
    else:  # an import statement would bind one more name
        text = item.text + "".join(f"__import__({module!r})\n" for module in found)
    brought = Brought(item.brought.name, "module", "; ".join(text.splitlines()))
    return Item(brought, text, item.module)


def _order(items: Mapping[str, Item]) -> list[str]:
    """Definitions after what they need; functions that need each other only when called, in any order."""
    needs = {name: {other for other in item.now | item.later if other in items} for name, item in items.items()}
    while True:
        sorter = TopologicalSorter({name: sorted(others) for name, others in sorted(needs.items())})
        try:
            return list(sorter.static_order())
        except CycleError as error:
            cycle: list[str] = error.args[1]
            if not any(_cut(needs, items, one, other) for one, other in zip(cycle[1:], cycle, strict=False)):
                raise CellError(
                    f"--use: these need each other to be defined: {', '.join(cycle)}", hint=IN_CELL
                ) from None


def _cut(needs: dict[str, set[str]], items: Mapping[str, Item], name: str, other: str) -> bool:
    """Drop the wish that ``other`` come before ``name``, if it is only a wish."""
    if other in needs[name] and other not in items[name].now:
        needs[name].discard(other)
        return True
    return False
