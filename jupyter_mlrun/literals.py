"""Writes plain Python values as source text that evaluates to an equal value, whatever they contain.

Pure functions.  The text looks up no name, so nothing in a cell can change what it means.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import an

if TYPE_CHECKING:
    from collections.abc import Iterator

HUGE_BITS = 10_000  # Python refuses to write longer integers in decimal (4,300 digits)
MAX_DEPTH = 80  # Python's parser refuses 200 nested brackets, older ones 100


def source_of(value: object) -> str:
    """Source text for a value: all that ``ast.literal_eval`` can return, and nan and the infinities."""
    if value is None or isinstance(value, (bool, str, bytes)):
        return repr(value)
    if isinstance(value, (int, float, complex)):
        return _number(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{source_of(key)}: {source_of(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple, set)):
        return _sequence(value)
    raise TypeError(f"not a literal: {type_name(value)}")


def _sequence(value: list[object] | tuple[object, ...] | set[object]) -> str:
    items = [source_of(item) for item in value]
    if isinstance(value, list):
        return f"[{', '.join(items)}]"
    if isinstance(value, tuple):
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    # sorted, so that the same parameter always gives the same script
    return f"{{{', '.join(sorted(items))}}}" if items else "{*()}"


def _number(value: complex) -> str:
    if isinstance(value, int):
        return repr(value) if value.bit_length() < HUGE_BITS else hex(value)
    if isinstance(value, float):
        return _float(value)
    return f"({_float(value.real)} + {_float(value.imag)}j)"


def _float(value: float) -> str:
    if math.isnan(value):
        return "(1e999 - 1e999)"
    if math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    return repr(value)


def not_plain(value: object) -> str | None:
    """Why ``value`` cannot travel by value (its first part that is not plain data); None if it can."""
    return next(_faults(value, "", ()), None)


def _faults(value: object, where: str, above: tuple[int, ...]) -> Iterator[str]:
    if value is None or type(value) in (bool, int, float, str):
        return
    inside = (*above, id(value))
    if id(value) in above:
        yield f"{where or 'it'} contains itself"
    elif len(above) >= MAX_DEPTH:
        yield f"it is nested more than {MAX_DEPTH} levels deep"
    elif isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        for at, item in enumerate(value):
            yield from _faults(item, f"{where}[{at}]", inside)
    elif isinstance(value, dict) and type(value) is dict:
        for key, item in value.items():
            yield from _faults(key, f"a key of {where or 'it'}", inside)
            yield from _faults(item, f"{where}[{_short(key)}]", inside)
    else:
        yield f"{where or 'it'} is {an(type_name(value))}"


def _short(key: object) -> str:
    if isinstance(key, (list, tuple, dict)):
        return "…"
    text = repr(key)
    return text if len(text) <= 40 else text[:37] + "..."


def type_name(value: object) -> str:
    """``numpy.ndarray``, ``socket.socket``, ``int``: the type as a person would write it."""
    kind = type(value)
    module = kind.__module__
    return kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"
