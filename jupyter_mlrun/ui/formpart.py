"""Metrics that are rows, tables, images or charts' documents, as a view is told of them.

Reads artifacts of the run directory, regular files of bounded size only; writes nothing.
"""

from __future__ import annotations

import json
import math
import os
import stat
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_mlrun.errors import JupyterMLRunError
from jupyter_mlrun.store.sketch import HIGH, LAST, LOW, STEP
from jupyter_mlrun.ui.reader import words
from jupyter_mlrun.ui.words import number
from jupyter_mlrun.worker import runfiles

if TYPE_CHECKING:
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.store.liveforms import FormSketch
    from jupyter_mlrun.store.series import Floats
    from jupyter_mlrun.ui import contract
    from jupyter_mlrun.ui.parts import Numbers

CELL_CHARS, NAME_CHARS = 80, 100
POINTS = 200  # of a column's line
MOST_LINES = 8
MOST_CLASSES = 30
DOCUMENT_BYTES, IMAGE_BYTES, IMAGE_PIXELS = 1 << 20, 2 << 20, 25_000_000
TABLES = ("row", "table", "list")


def form_part(run: RunDir, found: FormSketch, numbers: Numbers) -> contract.Form:
    """What a view shows of the forms of one metric; lines of its columns go into *numbers*."""
    made: contract.Form = {
        "form": words(found.kind, NAME_CHARS),
        "count": found.count,
        "total": found.total,
        "columns": [],
        "more_columns": found.more_columns,
        "rows": [],
        "lines": [],
        "matrix": None,
        "file": None,
        "problem": None,
    }
    if found.kind in TABLES:
        made["columns"] = [words(name, NAME_CHARS) for name in found.columns]
        made["rows"] = [[_cell(cell) for cell in row] for row in found.rows]
        if found.kind == "row":
            made["lines"] = _lines(found, numbers)
        return made
    artifact = found.newest.get("artifact")
    made["file"] = words(artifact, NAME_CHARS) if artifact else None
    if found.kind == "confusion_matrix":
        try:
            made["columns"], made["matrix"] = _confusion(_read(run, artifact, DOCUMENT_BYTES))
        except (OSError, ValueError, LookupError, TypeError, RecursionError, JupyterMLRunError) as problem:
            made["problem"] = words(f"it cannot be shown: {problem}")
    return made


def _cell(cell: Any) -> str:
    return "" if cell is None else words(number(cell), CELL_CHARS)


def _lines(found: FormSketch, numbers: Numbers) -> list[tuple[int, int, int]]:
    """The columns of numbers that have two or more, each as (row, min, max, last)."""
    made: list[tuple[int, int, int]] = []
    for place, name in enumerate(found.columns):
        sketch = found.numbers.get(name)
        if sketch is not None and sketch.numbers > 1 and len(made) < MOST_LINES:
            rows = _four(sketch.buckets(POINTS))
            made.append((place, numbers.add(rows), len(rows)))
    return made


def _four(table: Floats) -> Floats:
    return table[:, [STEP, 2, 2, 2]] if table.shape[1] == 3 else table[:, [STEP, LOW, HIGH, LAST]]


def _read(run: RunDir, name: Any, most: int) -> bytes:
    """An artifact of the run.  Raises ``ValueError`` for one that is too large, or no regular file."""
    path = runfiles.place(run, runfiles.clean_name(name))
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no regular file")
        if found.st_size > most:
            raise ValueError(f"it has {found.st_size:,} bytes; at most {most:,} are shown")
        return file.read(most)


@lru_cache(maxsize=32)
def _confusion(data: bytes) -> tuple[list[str], list[list[float]]]:
    """Class labels and the matrix, a row per true class."""
    document = json.loads(data)["data"]
    matrix = np.asarray(document["matrix"], np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError("its matrix is not square")
    size = len(matrix)
    if size > MOST_CLASSES:
        raise ValueError(f"it has {size} classes; at most {MOST_CLASSES} are shown")
    labels = [words(label, NAME_CHARS) for label in document.get("class_labels") or range(size)][:size]
    labels += [str(place) for place in range(len(labels), size)]
    cells = [[value if math.isfinite(value) else 0.0 for value in row] for row in matrix.tolist()]
    return labels, cells


def image(run: RunDir, found: FormSketch | None) -> tuple[str, bytes]:
    """The newest image of a metric and its type.  Raises ``ValueError`` for what is none that is shown."""
    artifact = found.newest.get("artifact") if found is not None and found.kind == "image" else None
    if not artifact:
        raise ValueError("this metric has no image")
    data = _read(run, artifact, IMAGE_BYTES)
    mime, size = _kind_of(data)
    if size is None:
        raise ValueError("only PNG and JPEG are shown")
    if size[0] * size[1] > IMAGE_PIXELS:
        raise ValueError(f"it has {size[0]:,} by {size[1]:,} pixels; at most {IMAGE_PIXELS:,} are shown")
    return mime, data


def _kind_of(data: bytes) -> tuple[str, tuple[int, int] | None]:
    """The type by the first bytes, and width and height; no size for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return "image/png", (width, height)
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg", _jpeg_size(data)
    return "", None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None
