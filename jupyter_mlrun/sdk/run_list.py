"""Which runs: of an experiment, of a parent, with these tags, of this type.

Reads the listing of a workspace, and the spec of each run that it gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, JupyterMLRunError
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.sdk.run_details import type_of
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.index import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jupyter_mlrun.records import Spec
    from jupyter_mlrun.store.home import WorkspaceDir


class Filter:
    """What is asked of runs: *tags* and *properties* are a name that must be there, or names with values."""

    def __init__(
        self,
        *,
        type: str | None = None,  # noqa: A002 -- the reference's name
        tags: str | Mapping[str, Any] | None = None,
        properties: str | Mapping[str, Any] | None = None,
        status: str | None = None,
        children: bool = True,
    ) -> None:
        self.type, self.status = type, status
        self.tags, self.properties = _wanted(tags, "tags"), _wanted(properties, "properties")
        self.children = children

    def takes(self, run: RunDir, spec: Spec, status: str | None = None) -> bool:
        """Whether it is one of them; *status*: where it is known already."""
        if not self.children and spec.parent:
            return False
        if self.type is not None and self.type not in (spec.kind, type_of(spec)):
            return False
        if self.status is not None and self.status != (status or str(runs.observe(run).shown)):
            return False
        return _has(spec.tags, self.tags) and _has(spec.properties, self.properties)


def _wanted(asked: str | Mapping[str, Any] | None, what: str) -> dict[str, str | None]:
    if asked is None:
        return {}
    if isinstance(asked, str):
        return {asked: None}
    if not hasattr(asked, "items"):
        raise BadInput(f"{what} are asked for as a name or a dict, not as {type(asked).__name__}")
    return {name: None if value is None else str(value) for name, value in asked.items()}


def _has(there: Mapping[str, str], wanted: Mapping[str, str | None]) -> bool:
    return all(name in there and value in (None, there[name]) for name, value in wanted.items())


def find(
    place: WorkspaceDir, wanted: Filter, *, experiment: str | None = None, since: float = 0.0
) -> Iterator[tuple[RunDir, Spec]]:
    """The runs that are wanted, newest first; *since*: only those that were created then or later.

    A run that is damaged or removed meanwhile is passed over.
    """
    for row in listing(place, experiment=experiment):
        if row.created < since:
            continue
        run = RunDir(row.path)
        try:
            spec = runs.read_spec(run)
        except (OSError, ValueError, KeyError, TypeError, JupyterMLRunError):
            continue
        if wanted.takes(run, spec, row.status):
            yield run, spec


def children(place: WorkspaceDir, parent: Spec, wanted: Filter, *, recursive: bool) -> Iterator[tuple[RunDir, Spec]]:
    """The runs whose parent is *parent*, newest first; with *recursive* each followed by its own."""
    # a child is of its parent's experiment and younger, and most runs of an experiment are nobody's children
    every = list(find(place, Filter(), experiment=parent.experiment, since=parent.created))
    by_parent: dict[str, list[tuple[RunDir, Spec]]] = {}
    for run, spec in every:
        if spec.parent:
            by_parent.setdefault(spec.parent, []).append((run, spec))
    waiting = by_parent.pop(parent.run_id, [])[::-1]
    while waiting:
        run, spec = waiting.pop()
        if recursive:
            waiting += by_parent.pop(spec.run_id, [])[::-1]
        if wanted.takes(run, spec):
            yield run, spec
