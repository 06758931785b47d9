"""Turns a cell, or a script of the snapshot, into script files, parameters and arguments.

Pure functions: nothing is written, and none of the user's code is run.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from jupyter_mlrun.brought import Brought, Carrier, Item, is_builtin, item_of, kernel_name, public
from jupyter_mlrun.cellnames import BUILTINS, KERNEL_NAMES, Names, analyse, attribute_chains
from jupyter_mlrun.celltext import clean, to_python
from jupyter_mlrun.errors import BadInput, CellError
from jupyter_mlrun.literals import source_of
from jupyter_mlrun.localmodules import outside_snapshot
from jupyter_mlrun.parameters import (
    Parameter,
    check_text,
    expand,
    fill_defaults,
    parse_parameter,
    parse_parameters,
)
from jupyter_mlrun.words import close, did_you_mean

if TYPE_CHECKING:
    import ast
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

__all__ = ["Brought", "Package", "Parameter", "expand", "package_cell", "package_script", "parse_parameter"]

HEADER = "# Written by jupyter_mlrun: what the cell needs; then it runs the cell itself, {cell}.\n"
# the builtins are kept as defaults, so that a parameter or a brought function may have their names
LOADER = """

def _run_cell(open=open, compile=compile, exec=exec, globals=globals):
    import os

    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), {cell!r})
    with open(path, encoding="utf-8") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, globals())


"""
AWAITING_LOADER = """

def _run_cell(open=open, compile=compile, eval=eval, globals=globals):
    import ast
    import asyncio
    import os

    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), {cell!r})
    with open(path, encoding="utf-8") as file:
        code = compile(file.read(), path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    asyncio.run(eval(code, globals()))


"""
CALL = "\n_run_cell()\n"


@dataclass(frozen=True)
class Package:
    """What a run executes: an entry script, the files to add to the snapshot, and the arguments."""

    kind: str  # "cell", "script" or "notebook"
    script: str  # relative to the working folder, with forward slashes
    files: dict[str, bytes] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    parameters: dict[str, Parameter] = field(default_factory=dict)
    brought: tuple[Brought, ...] = ()
    warnings: tuple[str, ...] = ()
    needs_await: bool = False


def package_cell(
    cell: str,
    *,
    parameters: Sequence[str] = (),
    use: Sequence[str] = (),
    namespace: Mapping[str, object] | None = None,
    present: Collection[str] = (),
    cwd: Path | None = None,
    source: Path | None = None,
    arguments: Sequence[str] = (),
) -> Package:
    """The package of a cell.

    ``namespace`` is the notebook's, ``present`` are the paths in the snapshot of the folder ``source``.
    Everything that can be known to fail fails here, as a CellError with the line of the cell.
    """
    given = parse_parameters(parameters)
    wanted = _wanted(use, namespace)
    plain = to_python(clean(cell), {*given, *wanted})
    names = analyse(plain.tree, plain.code)
    text, filled = fill_defaults(plain.text, plain.tree, given, names.lines_set())
    carrier = Carrier(namespace or {}, given, names.bound)
    for name in wanted:
        carrier.bring(name)
    items = carrier.ordered(plain.tree)
    judge = _Judge(names, namespace or {}, {*given, *carrier.items})
    judge.refuse_missing()
    before = [parameter for parameter in given.values() if parameter.name not in filled]
    local = _local_modules(plain.tree, names, items, present, cwd, source)
    script, files = _files(text, plain.needs_await, before, items, _taken(present, names))
    return Package(
        kind="cell",
        script=script,
        files=files,
        arguments=_checked(arguments),
        parameters=given,
        brought=tuple(item.brought for item in items),
        warnings=(*plain.notes, *judge.doubts(), *_unread(before, names, items), *carrier.warnings, *local),
        needs_await=plain.needs_await,
    )


def _wanted(use: Sequence[str], namespace: Mapping[str, object] | None) -> list[str]:
    """The names of all --use options, each of which may hold several."""
    names = [name.strip() for option in use for name in option.split(",") if name.strip()]
    if names and namespace is None:
        raise BadInput("--use works in a notebook only", hint="define the names in the script")
    return list(dict.fromkeys(names))


def package_script(
    script: str, *, present: Collection[str], parameters: Sequence[str] = (), arguments: Sequence[str] = ()
) -> Package:
    """The package of a script in the snapshot; parameters become ``--KEY VALUE``, before ``arguments``."""
    path = in_snapshot(script, present)
    given = parse_parameters(parameters)
    options = [part for parameter in given.values() for part in (f"--{parameter.name}", parameter.text)]
    return Package("script", path, arguments=(*options, *_checked(arguments)), parameters=given)


def in_snapshot(script: str, present: Collection[str]) -> str:
    """The path of a script in the snapshot, with forward slashes.  Raises ``BadInput`` where it is not in there."""
    path = posixpath.normpath(script.replace("\\", "/"))
    if path not in present:
        raise BadInput(f"script '{script}' is not in the snapshot", hint=_where_is(path, present))
    return path


def _where_is(path: str, present: Collection[str]) -> str:
    same_name = sorted(one for one in present if posixpath.basename(one) == posixpath.basename(path))
    if same_name:
        return f"did you mean '{same_name[0]}'?"
    return did_you_mean(path, [one for one in present if one.endswith((".py", ".ipynb"))])


def _checked(arguments: Sequence[str]) -> tuple[str, ...]:
    for number, argument in enumerate(arguments, 1):
        check_text(argument, f"argument {number}")
    return tuple(arguments)


@dataclass(frozen=True)
class _Judge:
    """Decides about the names that the cell reads and does not set."""

    names: Names
    namespace: Mapping[str, object]
    provided: Collection[str]  # parameters and brought names

    def _missing(self) -> dict[str, int]:
        return {
            name: line
            for name, line in self.names.needed().items()
            if name not in self.provided and name not in BUILTINS
        }

    def refuse_missing(self) -> None:
        """Raise for names that nobody brings, if that is certain."""
        missing = self._missing()
        if not missing or self.names.unsure is not None:
            return
        name, line = next(iter(missing.items()))
        if name in KERNEL_NAMES:
            raise kernel_name(name, line)
        others = [f"'{other}' (line {at})" for other, at in missing.items() if other != name]
        also = f"; the same goes for {', '.join(others)}" if others else ""
        if name in self.namespace:
            message = f"'{name}' is in the notebook, and nobody brings it into the run{also}"
            raise CellError(message, line=line, hint=self._cure(missing))
        if name in self.names.bound:
            raise CellError(f"'{name}' is read before the cell sets it{also}", line=line, hint="set it above that line")
        guess = close(name, {*public(self.namespace), *self.names.bound, *BUILTINS})
        hint = f"did you mean '{guess}'?" if guess is not None else "define it in the cell"
        raise CellError(f"'{name}' is defined neither in the cell nor in the notebook{also}", line=line, hint=hint)

    def _cure(self, missing: Collection[str]) -> str:
        """--use for all of the names, or why one of them cannot be brought."""
        there = [name for name in missing if name in self.namespace and name not in KERNEL_NAMES]
        for name in there:
            try:
                item_of(name, self.namespace[name], self.namespace)
            except CellError as error:
                return f"--use cannot bring '{name}' ({error.message}): {error.hint}"
        return f"--use {','.join(there)}"

    def doubts(self) -> list[str]:
        """What may go wrong, but not for certain."""
        found = [
            f"cell line {at}: nobody brings '{name}', but {self.names.unsure}" for name, at in self._missing().items()
        ]
        for name, line in self.names.conditional.items():
            if name not in self.provided and name not in BUILTINS:
                found.append(f"cell line {line}: '{name}' may be unset where it is read later")
        for name, line in self.names.needed().items():
            redefined = name in self.namespace and not is_builtin(name, self.namespace[name])
            if name in BUILTINS and name not in self.provided and redefined:
                found.append(f"cell line {line}: '{name}' is Python's own in a run; --use {name} brings the notebook's")
        return found


def _unread(before: Sequence[Parameter], names: Names, items: Sequence[Item]) -> list[str]:
    """A parameter that nothing reads is more often than not a slip of the pen."""
    read = names.mentioned.union(*(item.now | item.later for item in items))
    return [
        f"parameter '{one.name}' is read nowhere in the cell ({did_you_mean(one.name, read)})"
        for one in before
        if one.name not in read
    ]


def _local_modules(
    tree: ast.Module,
    names: Names,
    items: Sequence[Item],
    present: Collection[str],
    cwd: Path | None,
    source: Path | None,
) -> list[str]:
    """Raise for modules of the user that the run would lack; warn where that is not certain."""
    hint = "give their folder by -s (for this one: -s .)" if source is None else f"put it into '{source}'"
    doubts: list[str] = []
    for one in names.imports:
        place = outside_snapshot(one.module, present=present, cwd=cwd)
        if place is None:
            continue
        message = f"module '{one.module}' ({place}) is not in the snapshot"
        if not one.guarded and "sys.path" not in attribute_chains(tree, "sys"):
            raise CellError(message, line=one.line, hint=hint)
        doubts.append(f"cell line {one.line}: {message}")
    for item in items:
        place = outside_snapshot(item.module, present=present, cwd=cwd) if item.module is not None else None
        if place is not None:
            raise CellError(
                f"--use {item.brought.name}: '{item.text.strip()}' needs {place}, outside the snapshot",
                hint=hint,
            )
    return doubts


def _taken(present: Collection[str], names: Names) -> set[str]:
    """Names that a generated file must not have; one named like an imported module would hide that module."""
    top = {path.partition("/")[0] for path in present}
    return top | {f"{one.module.partition('.')[0]}.py" for one in names.imports}


def _files(
    text: str, awaits: bool, before: Sequence[Parameter], items: Sequence[Item], taken: Collection[str]
) -> tuple[str, dict[str, bytes]]:
    """The entry script, and all generated files by name; none has a name that is ``taken``."""
    cell = _free("cell", taken)
    files = {cell: text.encode()}
    if not before and not items and not awaits:
        return cell, files
    main = _free("cell_main", taken)
    future = "from __future__ import annotations\n" if any(item.future for item in items) else ""
    loader = (AWAITING_LOADER if awaits else LOADER).format(cell=cell)
    values = "".join(f"{one.name} = {source_of(one.value)}\n" for one in before)
    needs = "".join(item.text for item in items)
    files[main] = (HEADER.format(cell=cell) + future + loader + values + needs + CALL).encode()
    return main, files


def _free(stem: str, taken: Collection[str]) -> str:
    folded = {name.casefold() for name in taken}  # some file systems see no difference
    names = (f"{stem}_{number}.py" if number else f"{stem}.py" for number in count())
    return next(name for name in names if name.casefold() not in folded)
