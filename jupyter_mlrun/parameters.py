"""Reads ``-p KEY=VALUE``, puts the values into a cell, and expands ``{x}`` in option values.

Pure functions over text: reads nothing, writes nothing.
"""

from __future__ import annotations

import ast
import json
import keyword
import os
import re
import unicodedata
from dataclasses import dataclass
from numbers import Number
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import BadInput, CellError, an
from jupyter_mlrun.literals import source_of
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

WORDS = {"true": True, "false": False, "null": None}
FORM = "write -p KEY=VALUE, for example -p lr=0.1"


@dataclass(frozen=True)
class Parameter:
    """One ``-p KEY=VALUE``: the text as it was given, and what it means in Python."""

    name: str
    text: str
    value: object


def parse_parameter(text: str) -> Parameter:
    """``lr=0.1`` → Parameter("lr", "0.1", 0.1)."""
    key, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"parameter '{text}' has no value", hint=FORM)
    name = unicodedata.normalize("NFKC", key.strip())  # as Python reads identifiers
    if not name.isidentifier() or keyword.iskeyword(name):
        raise BadInput(
            f"'{key}' cannot be a parameter: it is not a Python name",
            hint="use letters, digits and '_'; a script takes others after '--': -- --learning-rate 0.1",
        )
    if name.startswith("__") and name.endswith("__"):
        raise BadInput(f"'{name}' cannot be a parameter: Python itself uses that name", hint="choose another name")
    check_text(value, f"the value of parameter '{name}'")
    return Parameter(name, value, _value(name, value))


def parse_parameters(texts: Sequence[str]) -> dict[str, Parameter]:
    """All ``-p`` of one command, in their order; a name given twice is an error."""
    parameters: dict[str, Parameter] = {}
    for text in texts:
        parameter = parse_parameter(text)
        if parameter.name in parameters:
            raise BadInput(f"parameter '{parameter.name}' is given twice", hint="keep one of the two -p options")
        parameters[parameter.name] = parameter
    return parameters


def _value(name: str, text: str) -> object:
    """A Python literal, true/false/null, else the text itself."""
    if text in WORDS:
        return WORDS[text]
    try:
        value = ast.literal_eval(text)
        source_of(value)  # `...` is a literal to Python, but stays a string here
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        if re.fullmatch(r"\s*[-+]?[\d_]{4300,}\s*", text):
            raise BadInput(
                f"parameter '{name}' has more digits than Python reads", hint="write it in hexadecimal: 0x…"
            ) from None
        return text
    return value


def check_text(text: str, what: str) -> None:
    """Neither a command line nor a file can hold NUL or lone surrogates: say so now, not at the launch."""
    for at, char in enumerate(text):
        if char == "\0" or "\ud800" <= char <= "\udfff":
            raise BadInput(f"{what} contains {char_name(char)} at position {at + 1}", hint="remove that character")


def char_name(char: str) -> str:
    """How to name a character that cannot be shown."""
    return "a NUL character" if char == "\0" else f"a lone surrogate (U+{ord(char):04X})"


def fill_defaults(
    text: str, tree: ast.Module, parameters: Mapping[str, Parameter], bound: Mapping[str, Iterable[int]]
) -> tuple[str, set[str]]:
    """Replace each top-level ``KEY = <literal>`` by the parameter's value, on the same lines.

    ``bound`` says on which lines a name is bound at top level.  Returns the text, and the parameters
    that have such a line; any other top-level assignment to a parameter is a CellError.
    """
    filled: dict[str, ast.expr] = {}
    others = {name: list(bound.get(name, ())) for name in parameters}
    for statement in tree.body:
        name, value = _default(statement)
        if value is None or name not in parameters:
            continue
        if name in filled:
            raise CellError(
                f"'{name}' is given by -p, but its default is set twice, in lines "
                f"{filled[name].lineno} and {value.lineno}",
                line=value.lineno,
                hint="keep one of the two lines",
            )
        filled[name] = value
        lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
        others[name].remove(next(line for line in others[name] if line in lines))
    for name, lines_left in others.items():
        if lines_left:
            raise CellError(
                f"'{name}' is given by -p, but this line sets it to something else",
                line=lines_left[0],
                hint=f"set it once, as a plain '{name} = <literal>', or give the parameter another name",
            )
    return _replace(text, [(value, parameters[name].value) for name, value in filled.items()]), set(filled)


def _default(statement: ast.stmt) -> tuple[str, ast.expr | None]:
    """The name and the literal of ``KEY = <literal>`` or ``KEY: type = <literal>``, else no literal."""
    target: ast.expr
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target, value = statement.target, statement.value
    else:
        return "", None
    if not isinstance(target, ast.Name):
        return "", None
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return "", None
    return target.id, value


def _replace(text: str, edits: list[tuple[ast.expr, object]]) -> str:
    """Put values where expressions stand, last first, so that positions stay true."""
    lines = [line.encode() for line in text.split("\n")]  # ast counts columns in UTF-8 bytes
    for node, value in sorted(edits, key=lambda edit: (edit[0].lineno, edit[0].col_offset), reverse=True):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        new = source_of(value).encode()
        if first == last:
            lines[first] = before + new + after
        else:  # brackets let the value span as many lines as the old one
            blank = [b""] * (last - first - 1)
            lines[first : last + 1] = [before + b"(" + new, *blank, b")" + after]
    return b"\n".join(lines).decode()


_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def expand(text: str, names: Mapping[str, object]) -> str:
    """Replace ``{x}`` by the value of ``x``; ``{{`` and ``}}`` are braces, ``$x`` is left alone.

    Only names: no attributes, no expressions, no formats.  A JSON object stays as it is.
    """
    if _is_json_object(text):
        return text

    def put(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        if found[1] is None or not found[1].isidentifier():
            raise BadInput(
                f"'{found[0]}' in '{text}' is not the name of an input or a variable",
                hint="write {name}, and {{ or }} for a brace itself",
            )
        return _shown(found[1], names, text)

    return _BRACES.sub(put, text)


def _is_json_object(text: str) -> bool:
    """``{"a": 1}`` is what a program wants to be given, and never a name."""
    if not (text.startswith("{") and text.endswith("}") and '"' in text):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _shown(name: str, names: Mapping[str, object], text: str) -> str:
    if name not in names:
        raise BadInput(
            f"'{{{name}}}' in '{text}': there is no input or variable '{name}'",
            hint=f"{did_you_mean(name, names)} (a brace itself is written {{{{)",
        )
    value = names[name]
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if isinstance(value, (str, Number)):
        return str(value)
    raise BadInput(
        f"'{{{name}}}' in '{text}' is {an(type(value).__name__)}, which has no plain text",
        hint="use a string, a number or a path",
    )
