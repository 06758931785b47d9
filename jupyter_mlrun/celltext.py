"""Turns the text of a cell into plain Python with the same line numbers, or says at which line it cannot.

Pure functions over text.  The transformer of IPython is used only where a cell is not plain Python already.
"""

from __future__ import annotations

import ast
import io
import re
import threading
import tokenize
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import CellError
from jupyter_mlrun.parameters import char_name

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import CodeType

_WARNINGS = threading.Lock()  # the filters of `warnings` belong to the whole process
CO_COROUTINE = 0x80  # as in `inspect`, which is slow to import


@dataclass(frozen=True)
class PlainCell:
    """A cell as plain Python, compiled, and what had to be changed for that, in words."""

    text: str
    tree: ast.Module
    code: CodeType
    notes: tuple[str, ...] = ()

    @property
    def needs_await(self) -> bool:
        """Whether something at top level awaits."""
        return bool(self.code.co_flags & CO_COROUTINE)


def clean(cell: str) -> str:
    """The cell without byte order mark and with LF line ends; what no file can hold is an error."""
    text = cell.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    bad = re.search("[\0\ud800-\udfff]", text)
    if bad is not None:
        column = bad.start() - text.rfind("\n", 0, bad.start())
        raise CellError(
            f"{char_name(bad[0])} at column {column}",
            line=text.count("\n", 0, bad.start()) + 1,
            hint="delete that character; in a string, write an escape such as \\x00",
        )
    _check_coding(text)
    return text


def _check_coding(text: str) -> None:
    """A coding comment would make Python read the file differently from the notebook."""
    head = "\n".join(text.split("\n", 2)[:2]).encode()
    try:
        coding, _ = tokenize.detect_encoding(io.BytesIO(head).readline)
    except SyntaxError:
        coding = "unknown"
    if coding != "utf-8":
        raise CellError("a coding comment names another encoding than UTF-8", line=1, hint="delete that comment")


def to_python(text: str, known: Collection[str] = ()) -> PlainCell:
    """The cleaned text as plain Python; ``known`` are the names that are defined before the cell."""
    try:
        return _compiled(text, text)
    except CellError:
        rewritten = _rewrite(text, ())
        if rewritten is None:
            raise
    first = _compiled(rewritten[0], text)
    shell_names = {*known, *_bound_anywhere(first.tree)}
    final = _rewrite(text, shell_names) or rewritten
    plain = _compiled(final[0], text)
    return PlainCell(plain.text, plain.tree, plain.code, final[1])


def _rewrite(text: str, names: Collection[str]) -> tuple[str, tuple[str, ...]] | None:
    """IPython's syntax replaced in place; None if there is none (or no IPython to recognise it)."""
    try:
        from jupyter_mlrun.celllines import replace_ipython_lines
    except ImportError:
        return None
    return replace_ipython_lines(text, names)


def parse_quietly(text: str, flags: int) -> tuple[ast.Module, CodeType]:
    """Syntax tree and code of a text, without the compiler's warnings: who runs it will see them."""
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, "<cell>"), compile(text, "<cell>", "exec", flags, dont_inherit=True)


def _compiled(text: str, original: str) -> PlainCell:
    try:
        tree, code = parse_quietly(text, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError as error:
        raise _syntax_error(error, text, original) from None
    except (ValueError, MemoryError, RecursionError, OverflowError) as error:
        raise CellError(f"Python cannot compile this cell: {str(error) or type(error).__name__}") from None
    return PlainCell(text, tree, code)


def _syntax_error(error: SyntaxError, compiled: str, original: str) -> CellError:
    """The error with the line of the cell and, unless that line was rewritten, a caret under the place."""
    lines = original.split("\n")
    number = min(max(error.lineno or 1, 1), len(lines))
    line = lines[number - 1]
    shown = [f"syntax error: {error.msg}", f"    {line.rstrip()}"]
    if error.offset and compiled.split("\n")[number - 1] == line:
        end = error.end_offset if error.end_lineno == error.lineno and error.end_offset else error.offset + 1
        # tabs are repeated, so that the caret stands where the line shows the place
        before = re.sub(r"[^\t]", " ", line[: error.offset - 1])
        shown.append(f"    {before}{'^' * max(min(end, len(line) + 1) - error.offset, 1)}")
    hint = None
    if re.match(r"\s*(pip|conda|mamba|uv)\s+\w", line):
        hint = "name the packages by --env requirements.txt"
    elif re.match(r"\s*(>>>|In \[)", line):
        hint = "remove the prompts"
    return CellError("\n".join(shown), line=number, hint=hint)


def _bound_anywhere(tree: ast.Module) -> set[str]:
    """Every name that the cell binds in any scope."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
    return names
