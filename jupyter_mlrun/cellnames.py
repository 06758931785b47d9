"""Finds which global names a piece of Python needs, which it binds, and how sure that is.

What the compiler made of the code is the judge of scopes (so comprehensions, class bodies, f-strings and
annotations mean what they mean to this Python); the syntax tree only tells what is conditional.
Pure functions: nothing is executed.
"""

from __future__ import annotations

import ast
import builtins
import dis
from bisect import bisect_right
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LOADS = {"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"}
CO_OPTIMIZED = 0x1  # set for functions and comprehensions, not for modules and class bodies
TRIES: tuple[type[ast.Try], ...] = (ast.Try, getattr(ast, "TryStar", ast.Try))  # TryStar: Python 3.11
KERNEL_NAMES = frozenset(
    {"display", "get_ipython", "In", "Out", "_", "__", "___", "_i", "_ii", "_iii", "_ih", "_oh", "_dh"}
)
SITE_NAMES = {"exit", "quit", "copyright", "credits", "license"}  # scripts have them, kernels their own
BUILTINS = frozenset({*dir(builtins), *SITE_NAMES} - KERNEL_NAMES)
UNSURE_CALLS = frozenset({"exec", "eval", "globals", "locals", "vars"})
NAME_ERRORS = frozenset({"NameError", "Exception", "BaseException"})
IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


@dataclass(frozen=True)
class Use:
    """A place where a global name is read or set; ``statement`` counts the top-level statements."""

    name: str
    line: int
    statement: int
    now: bool  # while the statement itself runs, not in a function that is called later


@dataclass(frozen=True)
class Import:
    """One imported module: ``import a.b`` and ``from a.b import c`` are both about ``a.b``."""

    module: str
    line: int
    guarded: bool  # the code catches its failure


@dataclass
class Names:
    """What a piece of code does with global names; builtins are among the loads."""

    loads: list[Use] = field(default_factory=list)
    stores: list[Use] = field(default_factory=list)
    global_stores: set[str] = field(default_factory=set)  # by `global x` inside functions
    early: set[Use] = field(default_factory=set)  # loads that come before all stores, for certain
    conditional: dict[str, int] = field(default_factory=dict)  # perhaps unset where read → line that sets it
    unsure: str | None = None  # why no missing name is certain
    imports: list[Import] = field(default_factory=list)  # in order of lines, relative ones left out
    mentioned: set[str] = field(default_factory=set)  # all names in all scopes

    @property
    def bound(self) -> set[str]:
        """All names that the code may bind."""
        return {store.name for store in self.stores} | self.global_stores

    def lines_set(self) -> dict[str, list[int]]:
        """The lines of the top-level bindings of each name."""
        found: dict[str, list[int]] = {}
        for store in self.stores:
            found.setdefault(store.name, []).append(store.line)
        return found

    def needed(self) -> dict[str, int]:
        """Names that must come from elsewhere (or are builtins), with the first line that reads them."""
        bound = self.bound
        first: dict[str, int] = {}
        for load in sorted(self.loads, key=lambda load: load.line):
            if load.name not in bound or load in self.early:
                first.setdefault(load.name, load.line)
        return first


def is_module_name(name: str) -> bool:
    """``__name__``, ``__file__`` and the like, which every module has."""
    return len(name) > 4 and name.startswith("__") and name.endswith("__")


def analyse(tree: ast.Module, code: CodeType) -> Names:
    """What the module ``tree``, compiled to ``code``, does with global names."""
    nodes = list(ast.walk(tree))  # once: this is the slow part
    names = Names(unsure=_star_import(nodes), imports=_imports(nodes))
    names.mentioned = {node.id for node in nodes if isinstance(node, ast.Name)}
    guarded = list(_try_bodies(nodes, NAME_ERRORS))
    starts = [_first_line(statement) for statement in tree.body]
    first_set: dict[str, int] = {}  # name → the first statement that sets it
    unset: list[Use] = []  # loads before whose instruction nothing sets the name
    for kind, name, line, now in _uses(code, now=True, hidden=frozenset()):
        use = Use(name, line, bisect_right(starts, line) - 1, now)
        if is_module_name(name):
            continue
        if kind == "global":
            names.global_stores.add(name)
        elif kind == "store":
            names.stores.append(use)
            first_set[name] = min(first_set.get(name, use.statement), use.statement)
        elif not _within(line, guarded):
            names.loads.append(use)
            if now and name not in first_set:
                unset.append(use)
            if name in UNSURE_CALLS and names.unsure is None:
                names.unsure = f"{name}() in line {line} may set names"
    branches = list(_branches(nodes))
    for load in unset:
        # the code of `except` stands at the end: the order of instructions alone does not decide
        later = first_set.get(load.name, load.statement) >= load.statement
        if later and load.name not in names.global_stores and not _within(load.line, branches):
            names.early.add(load)
    names.conditional = {**_conditional(tree, names), **_deleted(tree, names)}
    return names


def _star_import(nodes: Iterable[ast.AST]) -> str | None:
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            return f"'from {node.module} import *' in line {node.lineno} may set names"
    return None


def _within(line: int, ranges: Iterable[range]) -> bool:
    return any(line in lines for lines in ranges)


def _first_line(statement: ast.stmt) -> int:
    decorators: Sequence[ast.expr] = getattr(statement, "decorator_list", ())
    return min([statement.lineno, *(one.lineno for one in decorators)])


def _span(nodes: Sequence[ast.stmt | ast.expr | ast.ExceptHandler]) -> range:
    return range(nodes[0].lineno, (nodes[-1].end_lineno or nodes[-1].lineno) + 1) if nodes else range(0)


def _uses(code: CodeType, *, now: bool, hidden: frozenset[str]) -> Iterator[tuple[str, str, int, bool]]:
    """All (load|store|global, name, line, now) of a code object and of those inside it, in their order.

    ``hidden`` are names of an enclosing class body, which its own code finds before the globals.
    """
    in_class = code.co_name != "<module>" and not code.co_flags & CO_OPTIMIZED
    steps = list(_steps(code))
    if in_class:
        hidden = frozenset(name for operation, name, _ in steps if operation == "STORE_NAME")
    own: set[str] = set()
    for operation, name, line in steps:
        if isinstance(name, CodeType):
            yield from _uses(name, now=now and _runs_at_once(name), hidden=hidden)
        elif operation == "STORE_NAME" and in_class:
            own.add(name)
        elif operation in ("STORE_NAME", "STORE_GLOBAL"):
            yield ("store" if now else "global"), name, line, now
        elif operation == "LOAD_FROM_DICT_OR_GLOBALS" and name in hidden:
            continue
        elif operation in LOADS and name not in own:
            yield "load", name, line, now


def _steps(code: CodeType) -> Iterator[tuple[str, Any, int]]:
    """(operation, argument, line) of each instruction; every Python version tells lines differently."""
    ranges = code.co_lines()
    end, line = -1, code.co_firstlineno
    for step in dis.get_instructions(code):
        while step.offset >= end:
            _, end, number = next(ranges)
            line = number or line
        yield step.opname, step.argval, line


def _runs_at_once(code: CodeType) -> bool:
    """Class bodies, comprehensions and type parameters run where they stand; functions run later."""
    return not code.co_flags & CO_OPTIMIZED or (code.co_name[0] == "<" and code.co_name != "<lambda>")


def _try_bodies(nodes: Iterable[ast.AST], caught: frozenset[str]) -> Iterator[range]:
    """Lines in ``try`` bodies whose handlers catch one of these errors."""
    for node in nodes:
        if isinstance(node, TRIES) and any(_catches(handler, caught) for handler in node.handlers):
            yield _span(node.body)


def _catches(handler: ast.ExceptHandler, caught: frozenset[str]) -> bool:
    if handler.type is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in caught for node in ast.walk(handler.type))


def _branches(nodes: Iterable[ast.AST]) -> Iterator[range]:
    """Lines that perhaps never run, or run only after others did in an earlier turn of a loop."""
    for node in nodes:
        if isinstance(node, TRIES):
            yield _span([*node.body, *node.handlers, *node.orelse, *node.finalbody])
        elif isinstance(node, ast.If) and not _is_main_guard(node):
            yield _span(node.body)
            yield _span(node.orelse)
        elif isinstance(node, ast.Match):
            yield from (_span(case.body) for case in node.cases)
        elif isinstance(node, (ast.IfExp, ast.BoolOp)):
            yield _span([node])


def _is_main_guard(node: ast.If) -> bool:
    return ast.unparse(node.test) in ("__name__ == '__main__'", "'__main__' == __name__")


def _conditional(tree: ast.Module, names: Names) -> dict[str, int]:
    """Names that only conditional statements set, and that are read outside of those."""
    certain = (_certain(tree.body) or set()) | names.global_stores
    lines = names.lines_set()
    setters = {(store.name, store.statement) for store in names.stores}
    return {
        load.name: lines[load.name][0]
        for load in names.loads
        if load.name in lines and load.name not in certain and (load.name, load.statement) not in setters
    }


def _deleted(tree: ast.Module, names: Names) -> dict[str, int]:
    """Names that are read after a top-level ``del``, and not set again between."""
    found: dict[str, int] = {}
    for index, statement in enumerate(tree.body):
        if not isinstance(statement, ast.Delete):
            continue
        for name in {target.id for target in statement.targets if isinstance(target, ast.Name)}:
            after = [load.statement for load in names.loads if load.name == name and load.statement > index]
            again = [store.statement for store in names.stores if store.name == name and store.statement > index]
            if after and not (again and min(again) <= min(after)):
                found[name] = statement.lineno
    return found


def _certain(body: Sequence[ast.stmt]) -> set[str] | None:
    """Names that are set when the statements have run; None if their end is never reached.

    Loops are taken to run at least once.
    """
    names: set[str] = set()
    for statement in body:
        if isinstance(statement, (ast.Raise, ast.Return)) or _is_exit(statement):
            return None
        found = _certain_of(statement)
        if found is None:
            return None
        names |= found
    return names


def _is_exit(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func) in ("exit", "quit", "sys.exit", "os._exit")


def _certain_of(statement: ast.stmt) -> set[str] | None:
    if isinstance(statement, ast.If):
        otherwise = None if _is_main_guard(statement) else _certain(statement.orelse)
        return _either([_certain(statement.body), otherwise])
    if isinstance(statement, TRIES):
        tried = _certain([*statement.body, *statement.orelse])
        either = _either([tried, *(_certain(handler.body) for handler in statement.handlers)])
        return None if either is None else either | (_certain(statement.finalbody) or set())
    if isinstance(statement, ast.Match):
        whole = any(isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None for case in statement.cases)
        found = [_certain(case.body) for case in statement.cases]
        return _either(found if whole else [*found, set()])
    if isinstance(statement, (ast.For, ast.AsyncFor, ast.While)):
        return _targets(statement) | (_certain(statement.body) or set())
    if isinstance(statement, (ast.With, ast.AsyncWith)):
        inside = _certain(statement.body)
        return None if inside is None else inside | _targets(statement)
    return _targets(statement)


def _either(branches: Iterable[set[str] | None]) -> set[str] | None:
    """Names that all branches set; branches whose end is never reached do not count."""
    reached = [branch for branch in branches if branch is not None]
    return set.intersection(*reached) if reached else None


def _targets(statement: ast.stmt) -> set[str]:
    """Names that the statement itself sets (of a compound one: its head)."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    parts: list[ast.AST] = [statement]
    if isinstance(statement, (ast.For, ast.AsyncFor)):
        parts = [statement.target, statement.iter]
    elif isinstance(statement, ast.While):
        parts = [statement.test]
    elif isinstance(statement, (ast.With, ast.AsyncWith)):
        parts = list(statement.items)
    nodes = (node for part in parts for node in ast.walk(part))
    found = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    alias = getattr(statement, "name", None)  # `type X = …`
    return found | ({alias.id} if isinstance(alias, ast.Name) else set())


def _imports(nodes: Sequence[ast.AST]) -> list[Import]:
    guarded = list(_try_bodies(nodes, IMPORT_ERRORS))
    found: list[Import] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno, _within(node.lineno, guarded)) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            found.append(Import(node.module, node.lineno, _within(node.lineno, guarded)))
    return sorted(found, key=lambda one: one.line)


def attribute_chains(tree: ast.AST, name: str) -> set[str]:
    """``a.b.c`` for every attribute that is read from the name ``a``."""
    chains = (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _root(node) == name)
    return set(chains)


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
