"""What ``log_list``, ``log_row``, ``log_table``, ``log_image`` and the charts' documents store: JSON with a mark.

Reads what the user gives; writes images and documents into ``<run_dir>/artifacts``.  Standard library only
(Python 3.9+), and imported when it is first used.
"""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING, Any, Dict

from ..errors import an
from ..rundir import RunDir
from . import runfiles
from .metricinput import Refused, encode
from .segformat import BOOL, NONE

if TYPE_CHECKING:
    from .segment import MetricWriter

MARK = "$form"  # the key that tells a form from other JSON: {"$form": "row", "value": …}
DOCUMENTS = ("confusion_matrix", "accuracy_table", "residuals", "predictions")
_KEYS = ("schema_type", "schema_version", "data")


def log_list(writer: MetricWriter, name: str, value: Any) -> None:
    """Store each element as a point; a list of none or one as a list, so that it is read back as one."""

    def act() -> None:
        values = _column(value)
        if values is None:
            raise Refused("list", f"log_list takes a list, not {an(type(value).__name__)}; nothing was kept")
        if len(values) < 2:
            writer.log_json(name, {MARK: "list", "value": values})
        else:
            for element in values:
                writer.log(name, element)

    writer.guarded(act)


def log_row(writer: MetricWriter, name: str, cells: Dict[str, Any]) -> None:
    """Store one row; a cell that cannot be kept is counted, and the others are kept."""

    def act() -> None:
        kept: Dict[str, Any] = {}
        refused = None
        for column, cell in cells.items():
            try:
                kept[column] = scalar(cell)
            except Refused as problem:
                refused = problem
        if kept:
            writer.log_json(name, {MARK: "row", "value": kept})
        elif refused is None:
            raise Refused("row-empty", "log_row needs columns: log_row(name, x=1, y=2)")
        if refused is not None:
            raise Refused(refused.kind, f"{refused.text} (log_row takes scalars; log_table takes lists)")

    writer.guarded(act)


def log_table(writer: MetricWriter, name: str, value: Any) -> None:
    """Store a table: a mapping of columns to scalars, or to lists of one length (a pandas DataFrame is one)."""
    writer.guarded(lambda: writer.log_json(name, {MARK: "table", "value": _table(value)}))


def log_image(writer: MetricWriter, run_dir: str, name: str, path: Any, plot: Any) -> None:
    """Keep an image as the artifact ``<name>_<unix time>.png``; the metric's value is its address."""

    def act() -> None:
        data, suffix = _image(path, plot)
        _keep(writer, run_dir, name, "image", suffix, data)

    writer.guarded(act)


def log_document(writer: MetricWriter, run_dir: str, kind: str, name: str, value: Any) -> None:
    """Keep the data of a chart as the artifact ``<name>_<unix time>.json``."""
    writer.guarded(lambda: _keep(writer, run_dir, name, kind, ".json", _document(kind, value)))


def _keep(writer: MetricWriter, run_dir: str, name: str, form: str, suffix: str, data: bytes) -> None:
    run = RunDir(run_dir)
    artifact = runfiles.keep_artifact(run, str(name), suffix, data)
    address = f"aml://artifactId/ExperimentRun/dcid.{run.run_id}/{artifact}"
    writer.log_json(name, {MARK: form, "value": address, "artifact": artifact})


def scalar(value: Any) -> Any:
    """One cell as JSON has it: numbers of every library stay numbers; ``Refused`` for what is none."""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    (kind, stored), _ = encode(value)
    if kind == BOOL:
        return bool(stored)
    if kind == NONE:
        return None
    return json.loads(stored) if isinstance(stored, str) else stored


def _column(value: Any) -> Any:
    """The elements of a list, tuple, generator, array or tensor; None for what has no elements."""
    if isinstance(value, (str, bytes, dict)) or (hasattr(value, "ndim") and value.ndim == 0):
        return None
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not hasattr(value, "__iter__"):
        return None
    return [scalar(element) for element in value]


def _table(value: Any) -> Dict[str, Any]:
    if hasattr(value, "to_dict") and not isinstance(value, dict):
        value = value.to_dict("list")
    if not hasattr(value, "items"):
        kind = type(value).__name__
        raise Refused("table", f"log_table takes a dict of columns, not {an(kind)}; nothing was kept")
    columns: Dict[str, Any] = {}
    for name, cells in value.items():
        column = _column(cells)
        columns[str(name)] = scalar(cells) if column is None else column
    lengths = {len(column) if isinstance(column, list) else 1 for column in columns.values()}
    if len(lengths) > 1:
        found = ", ".join(f"{n} has {len(c) if isinstance(c, list) else 1}" for n, c in list(columns.items())[:10])
        raise Refused("table-length", f"the columns of a table have one length: {found}; nothing was kept")
    return columns


def _image(path: Any, plot: Any) -> Any:
    if (path is None) == (plot is None):
        raise Refused("image", "log_image takes path=FILE or plot=matplotlib.pyplot, one of them")
    if path is not None:
        text = os.fspath(path)
        if not os.path.isfile(text):
            raise Refused("image-file", f"log_image found no file {text!r} in {os.getcwd()}; nothing was kept")
        try:
            with open(text, "rb") as file:
                return file.read(), os.path.splitext(text)[1] or ".png"
        except OSError as problem:
            raise Refused("image-file", f"log_image cannot read {text!r}: {problem.strerror}") from problem
    if not hasattr(plot, "savefig"):
        raise Refused("image-plot", f"{an(type(plot).__name__)} is no plot: it has no savefig(); nothing was kept")
    buffer = io.BytesIO()
    plot.savefig(buffer, format="png")
    return buffer.getvalue(), ".png"


def _document(kind: str, value: Any) -> bytes:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as problem:
            raise Refused(kind, f"log_{kind} was given text that is no JSON: {problem}") from problem
    if not isinstance(value, dict) or any(key not in value for key in _KEYS):
        raise Refused(kind, f"log_{kind} takes JSON text or a dict with the keys {', '.join(_KEYS)}")
    if value["schema_type"] != kind:
        raise Refused(kind, f"log_{kind} was given schema_type {value['schema_type']!r}; it takes {kind!r}")
    return json.dumps(value, default=_plain).encode()


def _plain(value: Any) -> Any:
    """Arrays and numbers of other libraries inside a document."""
    return value.tolist() if hasattr(value, "tolist") else scalar(value)
