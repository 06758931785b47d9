"""What comes from outside made safe to use: JSON bodies and messages of known shape, numbers within limits.

Reads and writes nothing.
"""

from __future__ import annotations

import json
import math
import types
import typing
from typing import Any, Literal, Union

from jupyter_mlrun.errors import BadInput

MOST_ITEMS = 1000  # of a list or an object
LONGEST = 10_000  # characters of a text


class TooLarge(BadInput):
    """More than anybody needs to say."""

    status = 413


def parse(data: bytes | str, most: int) -> Any:
    """The JSON of *data*; ``BadInput`` for what is none, has a name twice, NaN, or is nested too deep."""
    if len(data) > most:
        raise TooLarge(f"more than {most:,} bytes were sent", hint="send less")
    try:
        return json.loads(data, object_pairs_hook=_object, parse_constant=_constant)
    except BadInput:
        raise
    except (ValueError, RecursionError) as problem:
        raise BadInput("what was sent is no JSON that is understood here") from problem


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadInput("an object in what was sent has a name twice")
    return found


def _constant(_: str) -> Any:
    raise BadInput("NaN and infinities are no JSON")


def shaped(data: Any, shape: Any) -> dict[str, Any]:
    """*data* as the TypedDict *shape* says; raises ``BadInput`` that names what is not as it must be."""
    if not isinstance(data, dict):
        raise BadInput("an object is needed here", hint='like {"name": "value"}')
    hints = typing.get_type_hints(shape)
    for name in data:
        if name not in hints:
            raise BadInput(f"{name[:60]!r} means nothing here", hint=f"known are: {', '.join(hints)}")
    for name, kind in hints.items():
        if name in data:
            if not fits(data[name], kind):
                raise BadInput(f"{name!r} is not what it must be", hint=f"it is {_words(kind)}")
        elif name in shape.__required_keys__:
            raise BadInput(f"{name!r} is missing", hint=f"it is {_words(kind)}")
    return data


def fits(value: Any, kind: Any) -> bool:
    """Whether *value* is of the type *kind*: what TypedDicts of messages are made of."""
    if typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind)
        return (
            isinstance(value, dict)
            and kind.__required_keys__ <= set(value) <= set(hints)
            and all(fits(one, hints[name]) for name, one in value.items())
        )
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inside)
    if origin is Literal:
        return isinstance(value, (str, int)) and not isinstance(value, bool) and value in inside
    if origin is list:
        return isinstance(value, list) and len(value) <= MOST_ITEMS and all(fits(one, inside[0]) for one in value)
    if origin is dict:
        return (
            isinstance(value, dict)
            and len(value) <= MOST_ITEMS
            and all(fits(name, str) and fits(one, inside[1]) for name, one in value.items())
        )
    return _plain(value, kind)


def _plain(value: Any, kind: Any) -> bool:
    if kind is str:
        return isinstance(value, str) and len(value) <= LONGEST and _writable(value)
    if kind is type(None):
        return value is None
    if kind is bool:
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if kind is int:
        return isinstance(value, int) and abs(value) < 1 << 53
    return kind is float and abs(value) < 1e300


def _writable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _words(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind)).replace("typing.", "")


def whole(text: str | None, name: str, default: int, least: int, most: int) -> int:
    """A whole number of a query, made to fit; ``BadInput`` for what is none."""
    if text is None or text == "":
        return default
    try:
        return min(max(int(text[:20]), least), most)
    except ValueError as problem:
        raise BadInput(f"{name}={text[:40]!r} is no whole number") from problem


def real(text: str | None, name: str, default: float) -> float:
    """A number of a query; ``BadInput`` for what is none."""
    if text is None or text == "":
        return default
    try:
        found = float(text[:60])
    except ValueError as problem:
        raise BadInput(f"{name}={text[:40]!r} is no number") from problem
    if math.isnan(found):
        raise BadInput(f"{name}={text[:40]!r} is no number")
    return found
