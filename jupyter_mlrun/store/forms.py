"""A run's metrics in the shapes of the reference's ``get_metrics``: values, lists, dicts of lists.

Reads ``<run_dir>/metrics``; writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_mlrun.store.series import FORM, MetricReader, Series, is_form

if TYPE_CHECKING:
    import os
    from collections.abc import Callable


def metrics(
    metrics_dir: str | os.PathLike[str], name: str | None = None, populate: Callable[[str], Any] | None = None
) -> dict[str, Any]:
    """All metrics as the reference's ``get_metrics`` gives them: one point its value, several a list.

    A list is a list, however long; one row or table is a dict, several are a dict of lists.

    Args:
        metrics_dir: the run's ``metrics`` folder.
        name: only this metric; an unknown one gives ``{}``.
        populate: gives the document of an artifact, to be put in place of its address.
    """
    reader = MetricReader(metrics_dir)
    reader.refresh()
    names = reader.names() if name is None else [name for known in reader.names() if known == name]
    return {name: _as_asked(reader.series(name), populate) for name in names}


def _as_asked(series: Series, populate: Callable[[str], Any] | None) -> Any:
    values = series.raw
    if series.has_forms:
        kinds = {value[FORM] if is_form(value) else "" for value in values}
        if kinds <= {"row", "table"}:
            return _joined([value["value"] for value in values])
        if kinds <= {"", "list"}:
            return _chained(values)
        values = [_document(value, populate) if is_form(value) else value for value in values]
    elif len(values) > 1 and isinstance(values[0], dict):
        keys = values[0].keys()
        if all(isinstance(value, dict) and value.keys() == keys for value in values):
            return {key: [value[key] for value in values] for key in values[0]}
    return values[0] if len(values) == 1 else values


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows and tables one under the other; a column that one of them has not is None there."""
    if len(parts) == 1:
        return parts[0]
    found: dict[str, list[Any]] = {}
    count = 0
    for part in parts:
        height = max([len(cell) for cell in part.values() if isinstance(cell, list)], default=1)
        for column in part:
            found.setdefault(column, [None] * count)
        for column, cells in found.items():
            given = part.get(column)
            cells.extend(given if isinstance(given, list) else [given] * height)
        count += height
    return dict(found)


def _chained(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found.extend(value["value"] if is_form(value) else [value])
    return found


def _document(form_: dict[str, Any], populate: Callable[[str], Any] | None) -> Any:
    if populate is None or form_[FORM] == "image" or "artifact" not in form_:
        return form_["value"]
    return populate(form_["artifact"])
