"""What is written of a model, and which models somebody means.

Reads the registry ``models/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, NotFound, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jupyter_mlrun.store.registry import Versions

    Wanted = str | Mapping[str, str] | Sequence[str | Sequence[str]] | None

Record = dict[str, Any]
CUSTOM = "Custom"


def said(
    tags: Any, properties: Any, description: Any, datasets: Any, framework: Any, framework_version: Any,
    sample_input: Any, sample_output: Any, resources: Any,
) -> Record:  # fmt: skip
    """What is said of a model, as its record holds it."""
    return {
        "tags": texts(tags),
        "properties": texts(properties),
        "description": None if description is None else str(description),
        "framework": str(framework or CUSTOM),
        "framework_version": None if framework_version is None else str(framework_version),
        "datasets": datasets_of(datasets or ()),
        "sample_input_dataset": _dataset(sample_input),
        "sample_output_dataset": _dataset(sample_output),
        "resource_configuration": _resources(resources),
    }


def texts(given: Mapping[str, Any] | None) -> dict[str, str]:
    """Tags or properties as text.  Raises ``BadInput`` for what is no dictionary."""
    if given is not None and not hasattr(given, "items"):
        raise BadInput(f"{given!r} are no tags or properties", hint='a dictionary: {"name": "value"}')
    return {str(name): str(value) for name, value in (given or {}).items()}


def datasets_of(given: Iterable[tuple[str, Any]]) -> list[Record]:
    """What is recorded of (purpose, dataset) pairs."""
    try:
        return [{"purpose": str(purpose), "dataset": _dataset(dataset)} for purpose, dataset in given]
    except (TypeError, ValueError) as problem:
        raise BadInput("datasets of a model are (purpose, dataset) pairs", hint='[("training", dataset)]') from problem


def _dataset(given: Any) -> Record | None:
    if given is None:
        return None
    names = ("name", "version", "id")
    return {name: _plain(getattr(given, name, given if name == "id" else None)) for name in names}


def _plain(value: Any) -> str | int | None:
    return value if value is None or isinstance(value, int) else str(value)


def _resources(given: Any) -> Record | None:
    if given is None:
        return None
    values = given if hasattr(given, "items") else vars(given)
    return {str(key).lstrip("_"): _plain(value) for key, value in values.items()}


def references(versions: Versions, record: Record) -> list[Record]:
    """The datasets that were said to belong to a model, when it was registered and since."""
    found = list(record.get("datasets") or ())
    try:
        lines = versions.notes_of(record["name"], record["version"]).read_bytes().split(b"\n")
    except FileNotFoundError:
        return found
    for line in lines:
        # most lines are about tags; a torn one is passed over, as by everybody who reads notes
        with suppress(ValueError):
            found.extend(json.loads(line).get("datasets", ()) if b'"datasets"' in line else ())
    return found


class Filter:
    """Which models are wanted."""

    def __init__(
        self, tags: Wanted, properties: Wanted, run_id: str | None, framework: str | None, dataset: str | None = None
    ) -> None:
        self.tags, self.properties = dict(_pairs(tags)), dict(_pairs(properties))
        self.run_id, self.framework, self.dataset = run_id, framework, dataset

    def fits(self, versions: Versions, record: Record) -> bool:
        """Whether this one is wanted."""
        return (
            _has(record["tags"], self.tags)
            and _has(record["properties"], self.properties)
            and self.run_id in (None, record.get("run_id"))
            and self.framework in (None, record.get("framework"))
            and (self.dataset is None or any(self._names(one) for one in references(versions, record)))
        )

    def _names(self, reference: Record) -> bool:
        one = reference["dataset"] or {}
        return self.dataset in (one.get("id"), f"{one.get('name')}:{one.get('version')}")

    def __bool__(self) -> bool:
        return bool(self.tags or self.properties or self.run_id or self.framework or self.dataset)

    def __repr__(self) -> str:
        return ", ".join(f"{key}={value!r}" for key, value in vars(self).items() if value)


def _has(there: Mapping[str, str], wanted: Mapping[str, str | None]) -> bool:
    return all(name in there and value in (None, there[name]) for name, value in wanted.items())


def _pairs(given: Wanted) -> Iterator[tuple[str, str | None]]:
    """Names with the values that they must have; None: any."""
    if isinstance(given, str):
        yield given, None
    elif isinstance(given, Mapping):
        yield from ((str(name), str(value)) for name, value in given.items())
    else:
        for one in given or ():
            parts = [one] if isinstance(one, str) else [str(part) for part in one]
            if not 1 <= len(parts) <= 2:
                raise BadInput(f"{one!r} is no filter", hint='a name, or a pair: ("name", "value")')
            yield parts[0], parts[1] if len(parts) == 2 else None


def fitting(versions: Versions, name: str | None, wanted: Filter) -> Iterator[Record]:
    """The records of *name*, or of every name, that are wanted."""
    for record in versions.records(name):
        if wanted.fits(versions, record):
            yield record


def choose(versions: Versions, name: str | None, version: int | str | None, wanted: Filter) -> Record:
    """The record of the version that is meant: the latest of those that are wanted.

    Raises ``NotFound`` that says what there is instead.
    """
    if name is None and not wanted:
        raise BadInput("which model?", hint='give a name, or an id like "birds:3"')
    if name is not None and (version is not None or not wanted):
        record = versions.get(name, version)
        if wanted.fits(versions, record):
            return record
        raise NotFound(f"model {name}:{record['version']} is not one with {wanted!r}", hint="leave the version away")
    found = list(fitting(versions, name, wanted))
    if not found:
        if name is not None:
            versions.get(name)  # no such name at all is the better answer
        raise NotFound(f"no model {name or ''} with {wanted!r}".replace("  ", " "), hint="jupyter mlrun models")
    return max(found, key=lambda record: record["version"] if name is not None else record["created"])


def from_run(versions: Versions, run_id: str) -> list[str]:
    """The ids of the models that came from a run; one that cannot be read is passed over."""
    found = []
    for name, numbers in versions.all_versions().items():
        for version in numbers:
            with suppress(NotFound, StoreError):  # fsck names what is damaged
                if versions.read(name, version).get("run_id") == run_id:
                    found.append(f"{name}:{version}")
    return found
