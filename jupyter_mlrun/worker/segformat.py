"""The bytes of metric segments: header, records, checks and block sizes (docs/format-metrics.md explains them).

Reads and writes nothing by itself.  Standard library only: it travels to the far side (Python 3.9+).
"""

from __future__ import annotations

import struct
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

MAGIC = b"\x93JMRSEG\n"
VERSION = 1
SCALARS_END = ".s.seg"
ROWS_END = ".r.seg"
NAMES_END = ".names"
TEXTS_END = ".values"

# kinds of segments
SCALAR = 1
ROW = 2

# kinds of values; they are the low byte of a record's head, so none is 0
FLOAT = 1
INT = 2
BOOL = 3
NONE = 4
STR = 5
JSON = 6
KINDS = ("", "float", "int", "bool", "none", "str", "json")
TEXT_KINDS = (STR, JSON)

NO_STEP = -(1 << 63)  # "none was given": readers count the points of the metric
LEAST_STEP = NO_STEP + 1
MOST_STEP = (1 << 63) - 1

WORD = (1 << 64) - 1
MOST_NAMES = 1 << 24

# A scalar record is four words: word, step, time, value.  Its first word is the XOR of the other three, the
# first two of them multiplied so that the same bit flipped in two words does not cancel, with a code of the
# record's head (name and kind).  Solved for the head, damage of any kind gives a number far over 32 bits.
SCALAR_SIZE = 32
STEP_FACTOR = 5
TIME_FACTOR = 3
HEAD_FACTOR = 0x9E3779B97F4A7C15
HEAD_INVERSE = pow(HEAD_FACTOR, -1, 1 << 64)
# A row record is: word, step, time, values; the word is the CRC-32 of the rest over this mark.
ROW_MARK = 1
ROW_FIXED = 24
FEWEST_IN_ROW = 4  # narrower rows are written as scalars: as fast, and quicker to verify

PAGE = 4096
FIRST_BLOCK = 16 << 10
_HEADER = struct.Struct("<8s8IQ2q2QI")
_CHECKED = 64  # the header's bytes before its counters
DROPPED_AT = 64
MISUSED_AT = 72
META_AT = _HEADER.size


class Header:
    """What a segment says about itself."""

    def __init__(self, kind: int, record_size: int, unit: int, rank: int, pid: int, salt: int, meta: bytes) -> None:
        self.kind, self.record_size, self.unit = kind, record_size, unit
        self.rank, self.pid, self.salt, self.meta = rank, pid, salt, meta
        self.size = -(-(META_AT + len(meta)) // PAGE) * PAGE
        self.started_ns = self.monotonic_ns = self.dropped = self.misused = 0

    def pack(self) -> bytes:
        """The header's bytes, whole pages of them."""
        numbers = (VERSION, self.size, self.record_size, self.unit, self.kind, self.rank, self.pid, len(self.meta))
        fields = (MAGIC, *numbers, self.salt, self.started_ns, self.monotonic_ns, self.dropped, self.misused)
        check = zlib.crc32(self.meta, zlib.crc32(_HEADER.pack(*fields, 0)[:_CHECKED]))
        return (_HEADER.pack(*fields, check) + self.meta).ljust(self.size, b"\0")


def parse_header(data: bytes) -> Optional[Header]:
    """The header at the start of *data*; None while it is not complete; ``ValueError`` where it is none of ours."""
    if len(data) < META_AT or not any(data[:META_AT]):
        return None
    fields = _HEADER.unpack_from(data)
    magic, version, size, record_size, unit, kind, rank, pid, meta_size, salt = fields[:10]
    if magic != MAGIC:
        raise ValueError("not a metric segment")
    if version > VERSION:
        raise ValueError(f"written by a newer version (format {version}, known {VERSION})")
    if META_AT + meta_size > size:
        raise ValueError("damaged header")
    if len(data) < size:
        return None
    header = Header(kind, record_size, unit, rank, pid, salt, data[META_AT : META_AT + meta_size])
    if zlib.crc32(header.meta, zlib.crc32(data[:_CHECKED])) != fields[14] or header.size != size:
        raise ValueError("damaged header")
    header.started_ns, header.monotonic_ns, header.dropped, header.misused = fields[10:14]
    return header


def head_code(head: int, salt: int) -> int:
    """What stands for *head* in the XOR of a record, as a signed word."""
    return signed((head * HEAD_FACTOR ^ salt) & WORD)


def signed(word: int) -> int:
    """The signed integer with the same 64 bits."""
    return word - (1 << 64) if word >> 63 else word


def block_start(number: int) -> int:
    """Where block *number* starts, in units: 0, 1, 2, 4, 8, 16, 32, 48 … (a short run takes little space)."""
    if number <= 5:
        return 1 << number >> 1
    return (number - 4) * 16


def block_length(number: int) -> int:
    """How long block *number* is, in units: 1, 1, 2, 4, 8, 16, 16 …."""
    return block_start(number + 1) - block_start(number)
