"""What users may log: names, steps and values made fit to be stored, and complaints in words about the rest.

Reads and writes nothing.  Standard library only, and little of it: it is imported by every training script.
"""

from __future__ import annotations

import math
import zlib

from .segformat import BOOL, FLOAT, INT, JSON, LEAST_STEP, MOST_STEP, NO_STEP, NONE, STR

try:  # the json package would bring re; its C half is enough to write
    from _json import encode_basestring_ascii
except ImportError:  # another implementation of Python
    from json.encoder import py_encode_basestring_ascii as encode_basestring_ascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Tuple, Union

    Complaint = Optional[Tuple[str, str]]
    Encoded = Tuple[int, Union[float, int, str]]

quote = encode_basestring_ascii  # text as JSON
LONGEST_NAME = 250
LONGEST_TEXT = 1 << 16
LONGEST_JSON = 1 << 20
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Refused(Exception):
    """This cannot be stored; ``kind`` groups complaints, so that each is shown once."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


def clean_name(name: Any) -> Tuple[str, Complaint]:
    """The name as it is stored, and what was wrong with it."""
    complaint: Complaint = None
    if not isinstance(name, str):
        complaint = ("name-type", f"a metric's name is text, not {type(name).__name__}; its str() is used")
        name = str(name)
    if not name:
        raise Refused("name-empty", "a metric needs a name; the value was not kept")
    text = name[:LONGEST_NAME]
    if not text.isprintable() and any(map(_is_control, text)):
        text = "".join(REPLACEMENT if _is_control(c) else c for c in text)
        complaint = ("name-characters", f"control characters in the metric name {text[:60]!r} were replaced")
    data = text.encode()
    if len(name) > LONGEST_NAME or len(data) > LONGEST_NAME:
        text = _cut(name, data)
        complaint = ("name-length", f"a metric's name has at most {LONGEST_NAME} bytes; cut to {text[:60]!r}…")
    return text, complaint


def _is_control(character: str) -> bool:
    # C0, DEL, C1, surrogates, line and paragraph separator: nothing that shows, or that UTF-8 can hold
    code = ord(character)
    return code < 32 or 127 <= code < 160 or 0xD800 <= code < 0xE000 or code in {0x2028, 0x2029}


def _cut(name: str, data: bytes) -> str:
    tail = zlib.crc32(name.encode("utf-8", "surrogatepass"))
    return f"{data[: LONGEST_NAME - 9].decode('utf-8', 'ignore')}~{tail:08x}"


def clean_step(step: Any) -> Tuple[int, Complaint]:
    """The step as it is stored, and what was wrong with it."""
    if step is None:
        return NO_STEP, None
    complaint: Complaint = None
    if hasattr(step, "item"):
        step = step.item()
    if isinstance(step, float):
        complaint = ("step-type", f"a step is a whole number, not {step!r}; its whole part is used")
        if not math.isfinite(step):
            return NO_STEP, ("step-type", f"a step is a whole number, not {step!r}; the points are counted instead")
        step = int(step)
    if not hasattr(step, "__index__"):
        text = f"a step is a whole number, not {type(step).__name__}; the points are counted instead"
        return NO_STEP, ("step-type", text)
    step = step.__index__()
    if not LEAST_STEP <= step <= MOST_STEP:
        return max(LEAST_STEP, min(step, MOST_STEP)), ("step-range", "a step must fit into 64 bits; it was clamped")
    return step, complaint


def encode(value: Any) -> Tuple[Encoded, Complaint]:
    """The value's kind with what is stored: a float, a 64-bit int, or JSON text; and what was wrong with it."""
    if isinstance(value, float):
        return (FLOAT, float(value)), None
    if isinstance(value, int):
        return (BOOL, int(value)) if isinstance(value, bool) else _encode_int(int(value)), None
    if value is None:
        return (NONE, 0), None
    if isinstance(value, str):
        return _encode_text(value)
    return _encode_item(value) if hasattr(value, "item") else (_encode_number(value), None)


def _encode_number(value: Any) -> Encoded:
    """Decimal, Fraction, and whatever else says that it is a number."""
    if hasattr(value, "__index__"):
        return _encode_int(value.__index__())
    if hasattr(value, "__float__") and not hasattr(value, "__len__"):
        return FLOAT, float(value)
    raise _unsupported(value)


def _unsupported(value: Any) -> Refused:
    from ..errors import an

    kind = type(value).__name__
    return Refused(f"value-{kind}", f"a metric's value is a number, a bool, text or None; {an(kind)} was not kept")


def _encode_int(value: int) -> Encoded:
    if -(1 << 63) <= value < 1 << 63:
        return INT, value
    return JSON, str(value)


def _encode_text(value: str) -> Tuple[Encoded, Complaint]:
    complaint: Complaint = None
    if len(value) > LONGEST_TEXT:
        value = value[: LONGEST_TEXT - 1] + "…"
        complaint = ("value-length", f"a metric's text has at most {LONGEST_TEXT:,} characters; it was cut")
    # lone surrogates would break whoever writes the text out again
    whole = value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return (STR, quote(whole)), complaint


def _encode_item(value: Any) -> Tuple[Encoded, Complaint]:
    """NumPy and torch scalars, and arrays of one element."""
    try:
        item = value.item()
    except (ValueError, RuntimeError, TypeError) as problem:
        # arrays and tensors of several elements
        raise _unsupported(value) from problem
    if type(item) is type(value):
        # numpy.longdouble is its own item
        if isinstance(item, complex) or not hasattr(item, "__float__") or "complex" in type(item).__name__:
            raise _unsupported(value)
        return (FLOAT, float(item)), None
    return encode(item)


def encode_json(value: Any) -> Encoded:
    """A table, a list, anything that JSON can hold."""
    import json

    text = json.dumps(value, allow_nan=True)
    if len(text) > LONGEST_JSON:
        raise Refused("value-size", f"a table has at most {LONGEST_JSON >> 20} MiB; it was not kept (log a file)")
    return JSON, text
