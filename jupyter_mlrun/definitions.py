"""Finds the source text of functions and classes that were written in a notebook, and checks it.

Reads sources through ``linecache`` (where IPython keeps its cells) and the history of cells; writes nothing.
"""

from __future__ import annotations

import ast
import linecache
from dataclasses import dataclass
from functools import cached_property
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.celltext import parse_quietly
from jupyter_mlrun.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FUTURE_ANNOTATIONS = 0x1000000  # the only `from __future__` feature that changes anything today
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
IN_CELL = "define it in the cell itself"


@dataclass(frozen=True)
class Source:
    """The text that defines one function or class, and what the compiler makes of it."""

    text: str
    tree: ast.Module
    code: CodeType
    flags: int  # FUTURE_ANNOTATIONS, if it was written under that


def function_source(name: str, value: object) -> Source:
    """The source of a function; decorators belong to it."""
    function = unwrap(value)
    if not isinstance(function, FunctionType):
        raise CellError(f"'{name}' is not a plain function", hint=IN_CELL)
    code = function.__code__
    if function.__name__ == "<lambda>":
        raise CellError(f"'{name}' is a lambda, whose source Python does not keep", hint=f"write def {name}(…): …")
    if set(code.co_freevars) - {"__class__"} or "<locals>" in function.__qualname__:
        raise CellError(f"'{name}' is made inside another function and may hold on to values there", hint=IN_CELL)
    flags = code.co_flags & FUTURE_ANNOTATIONS
    for text in _texts(code.co_filename):
        found = _find(text, function.__name__, code.co_firstlineno)
        if found is None:
            continue
        source = _compile(text, found, flags)
        if value is not function and not found.decorator_list:
            raise CellError(f"'{name}' was wrapped after it was defined", hint="write the wrapper as @decorator")
        if not any(_same(code, one) for one in _codes(source.code)):
            raise _changed(name)
        return source
    raise CellError(f"the source of '{name}' is not available", hint=IN_CELL)


def class_source(name: str, value: type, namespace: Mapping[str, object]) -> Source:
    """The source of a class; for one without methods the history of cells is searched, latest first."""
    if "<locals>" in value.__qualname__:
        raise CellError(f"'{name}' is made inside a function", hint=IN_CELL)
    methods = dict(_methods(value))
    files = [code.co_filename for code in methods.values()]
    texts = [text for file in dict.fromkeys(files) for text in _texts(file)]
    cells = namespace.get("_ih")
    if isinstance(cells, list):
        texts += [cell for cell in reversed(cells) if isinstance(cell, str)]
    found_other = False
    for text in texts:
        found = _find(text, value.__name__, None)
        if found is None:
            continue
        source = _compile(text, found, next((code.co_flags & FUTURE_ANNOTATIONS for code in methods.values()), 0))
        if _is_source_of(source, found, value, methods):
            return source
        found_other = True
    if found_other:
        raise _changed(name)
    raise CellError(f"the source of class '{name}' is not available", hint=IN_CELL)


def unwrap(value: object) -> object:
    """What decorators that keep ``__wrapped__`` stand around; no attribute code of the object runs."""
    seen: set[int] = set()
    while id(value) not in seen:
        seen.add(id(value))
        try:
            value = object.__getattribute__(value, "__dict__").get("__wrapped__", value)
        except AttributeError:
            return value
    return value


def _changed(name: str) -> CellError:
    return CellError(f"the source of '{name}' has changed since it was defined", hint="run its cell again")


def _texts(filename: str) -> Iterator[str]:
    linecache.checkcache(filename)  # a file may have been edited; IPython's cells stay
    text = "".join(linecache.getlines(filename))
    if text:
        yield text


def _find(text: str, name: str, line: int | None) -> Definition | None:
    """The last definition of ``name`` outside of functions and classes (at ``line``, if that is known)."""
    try:
        pending: list[ast.AST] = [ast.parse(text)]
    except (SyntaxError, ValueError):
        return None
    found: Definition | None = None
    while pending:
        node = pending.pop()
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            pending += list(ast.iter_child_nodes(node))
        elif node.name == name and line in (None, _first_line(node)):
            found = node if found is None or node.lineno > found.lineno else found
    return found


def _first_line(node: Definition) -> int:
    return min([node.lineno, *(one.lineno for one in node.decorator_list)])


def _compile(text: str, node: Definition, flags: int) -> Source:
    lines = text.split("\n")[_first_line(node) - 1 : node.end_lineno]
    if node.col_offset:  # taking the indentation away would change strings of several lines
        lines.insert(0, "if True:")
    text = "\n".join(lines) + "\n"
    return Source(text, *parse_quietly(text, flags), flags)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const
            yield from _codes(const)


def _same(one: CodeType, other: CodeType) -> bool:
    """Whether two code objects do the same, wherever they stand."""
    return _essence(one) == _essence(other)


def _essence(code: CodeType) -> tuple[object, ...]:
    consts = [
        _essence(const) if isinstance(const, CodeType) else (type(const), repr(const)) for const in code.co_consts
    ]
    return (
        code.co_name,
        code.co_code,
        code.co_names,
        code.co_varnames,
        code.co_argcount,
        code.co_flags,
        consts,
    )


def _methods(value: type) -> Iterator[tuple[str, CodeType]]:
    """The code of each method that the class body defines."""
    for name, member in vars(value).items():
        for part in _functions_of(member):
            function = unwrap(part)
            if isinstance(function, FunctionType) and function.__qualname__ == f"{value.__qualname__}.{name}":
                yield name, function.__code__


def _functions_of(member: Any) -> list[Any]:
    if isinstance(member, property):
        return [member.fget, member.fset, member.fdel]
    if isinstance(member, cached_property):
        return [member.func]
    return [member.__func__ if isinstance(member, (staticmethod, classmethod)) else member]


def _is_source_of(source: Source, node: Definition, value: type, methods: Mapping[str, CodeType]) -> bool:
    """Whether methods and attributes of the class are those of the text."""
    if not isinstance(node, ast.ClassDef):
        return False
    codes = list(_codes(source.code))
    defined = {one.name for one in node.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))}
    assigned = {
        target.id
        for one in node.body
        for target in (one.targets if isinstance(one, ast.Assign) else [])
        if isinstance(target, ast.Name)
    }
    annotated = {
        one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    }
    has = {*vars(value), *vars(value).get("__annotations__", annotated)}
    written = [code for code in methods.values() if not _is_generated(code)]
    return defined | assigned | annotated <= has and all(any(_same(code, one) for one in codes) for code in written)


def _is_generated(code: CodeType) -> bool:
    """Methods that dataclasses, attrs and the like write have no file."""
    return code.co_filename.startswith("<") and not code.co_filename.startswith("<ipython-input")
