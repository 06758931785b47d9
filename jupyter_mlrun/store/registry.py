"""Registries: what has a name and versions, as files that are claimed by exclusive creation.

Reads and writes ``datasets/NAME/VERSION.json``, ``models/NAME/VERSION/model.json``,
``environments/NAME/VERSION.json`` and ``computes/NAME.json``, ``datastores/NAME.json`` (docs/format-data.md).
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, Conflict, NotFound, StoreError
from jupyter_mlrun.records import check_format
from jupyter_mlrun.rundir import FORMAT, dump_json, make_folder, read_json, sync_folder, write_atomic, write_once
from jupyter_mlrun.store.home import need_registries
from jupyter_mlrun.words import did_you_mean
from jupyter_mlrun.worker import notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jupyter_mlrun.store.home import WorkspaceDir

LONGEST = 255
_NAME = re.compile(r"\w[\w. -]*\Z")
# a name with one of these means a file of another kind somewhere, or a version here
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?\Z")


def check_name(kind: str, name: object) -> str:
    """*name*, if a dataset, model, environment, compute or datastore may have it; else ``BadInput``."""
    if not isinstance(name, str) or not name:
        raise BadInput(f"{name!r} is no name for a {kind}", hint="a name is text, like cifar10")
    good = _NAME.match(name) and not _RESERVED.match(name) and name == name.strip(". ")
    if not good or name == "latest" or len(name.encode("utf-8", "replace")) > LONGEST - 20:
        raise BadInput(
            f"{name[:60]!r} is no name for a {kind}",
            hint="letters, digits, '_', '-', '.' and spaces between them, the first a letter, digit or '_'; "
            f"at most {LONGEST - 20} bytes",
        )
    return name


def _same_but_for_case(folder: Path, kind: str, name: str) -> None:
    for other in _names(folder):
        if other != name and other.casefold() == name.casefold():
            raise Conflict(f"there is a {kind} {other!r} already", hint=f"use that name, or one that is not {name!r}")


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    except FileNotFoundError:
        return []


class Versions:
    """Things of one kind with names and whole-number versions: datasets, models, environments.

    A version is there, whole and for good, once its file is; only what is said *of* it (tags, description) may
    change, in a file beside it.
    """

    def __init__(self, place: WorkspaceDir, kind: str) -> None:
        self.place, self.kind = place, kind
        self.folder = place.path / f"{kind}s"

    def names(self) -> list[str]:
        """Every name that has a version."""
        return [name for name in _names(self.folder) if self.versions(name)]

    def versions(self, name: str) -> list[int]:
        """The versions of *name*, in order; none where there is no such name."""
        if not _NAME.match(str(name)):
            return []
        numbers = {file.partition(".")[0] for file in _names(self.folder / name)}
        return sorted(int(n) for n in numbers if n.isdecimal() and self.path(name, int(n)).exists())

    def get(self, name: str, version: int | str | None = None) -> dict[str, Any]:
        """The record of one version (the latest where *version* is None or "latest"), with what was said of it.

        Raises ``NotFound`` that says which names or versions there are.
        """
        there = self.versions(name)
        if not there:
            raise NotFound(f"no {self.kind} {name!r}", hint=did_you_mean(str(name), self.names()))
        if version is None or version == "latest":
            return self._read(name, there[-1])
        if not str(version).isdigit() or int(version) not in there or str(int(version)) != str(version):
            shown = ", ".join(map(str, there[-10:]))
            raise NotFound(f"{self.kind} {name!r} has no version {version!r}", hint=f"it has: {shown}")
        return self._read(name, int(version))

    def _read(self, name: str, version: int) -> dict[str, Any]:
        path = self.path(name, version)
        try:
            record: dict[str, Any] = read_json(path)
            check_format(record, str(path))
        except FileNotFoundError as problem:
            raise NotFound(f"{self.kind} {name!r} version {version} was removed") from problem
        except (ValueError, AttributeError) as problem:
            raise StoreError(f"{path} is damaged: {problem}", hint="restore it from a backup") from problem
        said = notes.read(str(self.notes_of(name, version)))
        record["tags"] = notes.over(record.get("tags") or {}, said)
        record["properties"] = {**(record.get("properties") or {}), **said["properties"]}
        record["description"] = said.get("description", record.get("description"))
        return record

    def path(self, name: str, version: int) -> Path:
        """The file of one version."""
        if self.kind == "model":
            return self.folder / name / str(version) / "model.json"
        return self.folder / name / f"{version}.json"

    def notes_of(self, name: str, version: int) -> Path:
        """What was said of it since."""
        path = self.path(name, version)
        return path.with_name("notes.jsonl") if self.kind == "model" else path.with_suffix(".notes.jsonl")

    def add(
        self, name: str, record: dict[str, Any], *, unless: Callable[[dict[str, Any]], bool] | None = None
    ) -> tuple[dict[str, Any], bool]:
        """Make the next version of *name*; returns its record and whether it is new.

        *unless*: given the record of the latest version, whether that is the same, so that no new one is needed.
        Two processes that add at once get two versions.
        """
        check_name(self.kind, name)
        need_registries(self.place)
        _same_but_for_case(self.folder, self.kind, name)
        make_folder(self.folder / name)
        sync_folder(self.folder)
        while True:
            there = self.versions(name)
            if there and unless is not None:
                latest = self._read(name, there[-1])
                if unless(latest):
                    return latest, False
            version = max(self._highest(name), there[-1] if there else 0) + 1
            full = {"format": FORMAT, "name": name, "version": version, "created": time.time(), **record}
            make_folder(self.path(name, version).parent)
            if write_once(self.path(name, version), dump_json(full)):
                return self._read(name, version), True

    def _highest(self, name: str) -> int:
        """The highest version that was ever removed: a number is never given out twice."""
        try:
            return int((self.folder / name / ".highest").read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0

    def annotate(self, name: str, version: int, **change: Any) -> dict[str, Any]:
        """Say something of a version: tags, remove_tags, properties, description; returns the record now."""
        self.get(name, version)
        notes.annotate(str(self.notes_of(name, version)), **change)
        return self._read(name, version)

    def remove(self, name: str, version: int) -> None:
        """Forget a version; its content goes when ``gc`` finds that nothing else needs it."""
        self.get(name, version)
        highest = max(self._highest(name), self.versions(name)[-1])
        write_atomic(self.folder / name / ".highest", str(highest).encode("ascii"))
        self.path(name, version).unlink(missing_ok=True)
        self.notes_of(name, version).unlink(missing_ok=True)

    def records(self) -> Iterator[dict[str, Any]]:
        """Every version of every name."""
        for name in self.names():
            for version in self.versions(name):
                yield self._read(name, version)


class Named:
    """Things of one kind with a name and no versions: computes, datastores."""

    def __init__(self, place: WorkspaceDir, kind: str) -> None:
        self.place, self.kind = place, kind
        self.folder = place.path / f"{kind}s"

    def names(self) -> list[str]:
        """Every name."""
        return [name[:-5] for name in _names(self.folder) if name.endswith(".json")]

    def get(self, name: str) -> dict[str, Any] | None:
        """The record of *name*; None where there is none."""
        if not _NAME.match(str(name)):
            return None
        path = self.folder / f"{name}.json"
        try:
            record: dict[str, Any] = read_json(path)
            check_format(record, str(path))
        except FileNotFoundError:
            return None
        except (ValueError, AttributeError) as problem:
            raise StoreError(f"{path} is damaged: {problem}", hint="remove it and make it again") from problem
        return record

    def put(self, name: str, record: dict[str, Any], *, replace: bool = True) -> dict[str, Any]:
        """Write the record of *name*; without *replace* one that is there is a ``Conflict``."""
        check_name(self.kind, name)
        need_registries(self.place)
        make_folder(self.folder)
        _same_but_for_case(self.folder, self.kind, f"{name}.json")
        full = {"format": FORMAT, "name": name, "created": time.time(), **record}
        path = self.folder / f"{name}.json"
        if replace:
            write_atomic(path, dump_json(full))
        elif not write_once(path, dump_json(full)):
            raise Conflict(f"there is a {self.kind} {name!r} already", hint="choose another name, or remove it first")
        return full

    def remove(self, name: str) -> None:
        """Forget *name*; one that is not there is a ``NotFound``."""
        if self.get(name) is None:
            raise NotFound(f"no {self.kind} {name!r}", hint=did_you_mean(str(name), self.names()))
        (self.folder / f"{name}.json").unlink(missing_ok=True)
