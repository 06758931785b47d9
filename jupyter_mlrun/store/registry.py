"""Registries: what has a name and versions, as files that are claimed by exclusive creation.

Reads and writes ``datasets/NAME/VERSION.json``, ``models/NAME/VERSION/model.json``,
``environments/NAME/VERSION.json`` and ``computes/NAME.json``, ``datastores/NAME.json`` (docs/format-data.md).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from jupyter_mlrun.errors import BadInput, Conflict, NotFound, StoreError, an
from jupyter_mlrun.records import check_format
from jupyter_mlrun.rundir import (
    FILE_MODE,
    FORMAT,
    dump_json,
    make_folder,
    read_json,
    sync_folder,
    write_atomic,
    write_once,
)  # fmt: skip
from jupyter_mlrun.store.home import need_registries
from jupyter_mlrun.words import did_you_mean
from jupyter_mlrun.worker import notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from jupyter_mlrun.store.home import WorkspaceDir

# bytes: with what is put around it while it is written, a name stays below the 255 that file systems take
LONGEST = 200
_NAME = re.compile(r"\w[\w. -]*\Z")
# a name with one of these means a file of another kind somewhere, or a version here
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?\Z")

# of which kind the parts of a record are that are read without a further look
_KINDS: dict[str, tuple[type, ...]] = {
    "manifest": (str,),
    "root": (str,),
    "count": (int,),
    "bytes": (int,),
    "created": (int, float),
    "tags": (dict, type(None)),
    "properties": (dict, type(None)),
    "description": (str, type(None)),
    "paths": (list,),
    "datasets": (list, type(None)),
    "definition": (dict,),
}


def _can_be(name: object) -> bool:
    """Whether something may have this name; whoever looks for one that nothing can have need not look."""
    return isinstance(name, str) and bool(_NAME.match(name)) and len(name.encode("utf-8", "replace")) <= LONGEST


def check_name(kind: str, name: object) -> str:
    """*name*, if a dataset, model, environment, compute or datastore may have it; else ``BadInput``."""
    if not isinstance(name, str) or not name:
        raise BadInput(f"{name!r} is no name for {an(kind)}", hint="a name is text, like cifar10")
    if name.casefold() == "latest":
        raise BadInput(
            f"{an(kind)} cannot be called {name!r}", hint="that means the newest version; choose another name"
        )
    if not _can_be(name) or _RESERVED.match(name) or name != name.strip(". "):
        raise BadInput(
            f"{name[:60]!r} is no name for {an(kind)}",
            hint="letters, digits, '_', '-', '.' and spaces between them, the first a letter, digit or '_'; "
            f"at most {LONGEST} bytes",
        )
    return name


def _refuse_other_case(kind: str, name: str, names: Iterable[str]) -> None:
    for other in names:
        if other != name and other.casefold() == name.casefold():
            raise Conflict(f"there is {an(kind)} {other!r} already", hint=f"use that name, or one that is not {name!r}")


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):  # a file that is none of ours has no names in it
        return []


def _unwritable(path: Path, problem: OSError) -> StoreError:
    return StoreError(
        f"{path} cannot be written: {problem.strerror or problem}", hint="free space or permissions there"
    )


class _Record(dict[str, Any]):
    """What a file holds; ``StoreError`` that names the file where somebody took a part out."""

    def __init__(self, path: Path, cure: str, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.path, self.cure = path, cure

    def __missing__(self, key: str) -> NoReturn:
        raise StoreError(f"{self.path} is damaged: it has no {key!r}", hint=self.cure)


def _read(path: Path, cure: str) -> dict[str, Any]:
    """The record at *path*; ``FileNotFoundError`` is the caller's."""
    try:
        values = read_json(path)
        check_format(values, str(path))
        odd = next((key for key, kinds in _KINDS.items() if key in values and not isinstance(values[key], kinds)), None)
        if odd is not None:
            raise ValueError(f"{odd!r} is {str(values[odd])[:60]!r}")
    except ValueError as problem:
        raise StoreError(f"{path} is damaged: {problem}", hint=cure) from problem
    return _Record(path, cure, values)


def _number(text: str) -> int:
    """The version that *text* is; 0 for anything else."""
    return int(text) if text.isdecimal() and text.isascii() and not text.startswith("0") else 0


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
        return list(self.all_versions())

    def all_versions(self) -> dict[str, list[int]]:
        """The versions of every name that has one."""
        found = {name: self.versions(name) for name in _names(self.folder)}
        return {name: versions for name, versions in found.items() if versions}

    def versions(self, name: str) -> list[int]:
        """The versions of *name*, in order; none where there is no such name."""
        if not _can_be(name):
            return []
        there = _names(self.folder / name)
        if self.kind == "model":  # a folder without its record is one of a registration that was killed
            return sorted(n for n in map(_number, there) if n and self.path(name, n).exists())
        return sorted(n for n in (_number(file[:-5]) for file in there if file.endswith(".json")) if n)

    def get(self, name: str, version: int | str | None = None) -> dict[str, Any]:
        """The record of one version (the latest where *version* is None or "latest"), with what was said of it.

        Raises ``NotFound`` that says which names or versions there are.
        """
        there = self.versions(name)
        if not there:
            raise NotFound(f"no {self.kind} {name!r}", hint=did_you_mean(str(name), self.names()))
        if version is None or version == "latest":
            return self.read(name, there[-1])
        for number in there:
            if str(number) == str(version):
                return self.read(name, number)
        shown = ", ".join(map(str, there[-10:]))
        raise NotFound(f"{self.kind} {name!r} has no version {version!r}", hint=f"it has: {shown}")

    def read(self, name: str, version: int) -> dict[str, Any]:
        """The record of a version that was listed; ``NotFound`` where it was removed since."""
        try:
            record = _read(self.path(name, version), "restore it from a backup")
        except FileNotFoundError as problem:
            raise NotFound(f"{self.kind} {name!r} version {version} was removed") from problem
        record.update(name=name, version=version)  # whatever somebody has copied or edited there
        said = notes.read(str(self.notes_of(name, version)))
        record["tags"] = notes.over(record.get("tags") or {}, said)
        record["properties"] = {**(record.get("properties") or {}), **said["properties"]}
        record["description"] = said.get("description", record.get("description"))
        # numbers are never given out twice, so this means one version for good
        text = f"{self.kind}/{name}/{version}/{record.get('manifest')}"
        record.setdefault("id", hashlib.sha256(text.encode()).hexdigest()[:32])
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

    def check(self, name: str) -> str:
        """*name*, if a version of it can be added.

        Raises ``BadInput`` for one that cannot be, ``Conflict`` where another differs in case alone.
        """
        check_name(self.kind, name)
        alike = [other for other in _names(self.folder) if other.casefold() == name.casefold()]
        _refuse_other_case(self.kind, name, filter(self.versions, alike))
        return name

    def add(
        self, name: str, record: dict[str, Any], *, unless: Callable[[dict[str, Any]], bool] | None = None
    ) -> tuple[dict[str, Any], bool]:
        """Make the next version of *name*; returns its record and whether it is new.

        *unless*: given the record of the latest version, whether that is the same, so that no new one is needed.
        Two processes that add at once get two versions.
        """
        self.check(name)
        need_registries(self.place)
        try:
            return self._add(name, record, unless)
        except OSError as problem:
            raise _unwritable(self.folder / name, problem) from problem

    def _add(
        self, name: str, record: dict[str, Any], unless: Callable[[dict[str, Any]], bool] | None
    ) -> tuple[dict[str, Any], bool]:
        make_folder(self.folder / name)
        sync_folder(self.folder)
        with self._alone_with(name):
            while True:
                there = self.versions(name)
                if there and unless is not None:
                    latest = self.read(name, there[-1])
                    if unless(latest):
                        return latest, False
                version = max(self._highest(name), *there, 0) + 1
                full = {"format": FORMAT, "name": name, "version": version, "created": time.time(), **record}
                make_folder(self.path(name, version).parent)
                if write_once(self.path(name, version), dump_json(full)):
                    return self.read(name, version), True

    @contextmanager
    def _alone_with(self, name: str) -> Iterator[None]:
        """Nobody else gives out a number of *name* or removes one meanwhile; a kill lets go."""
        fd = os.open(self.folder / name / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _highest(self, name: str) -> int:
        """The highest version that was ever removed: a number is never given out twice."""
        try:
            return int((self.folder / name / ".highest").read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0

    def annotate(self, name: str, version: int, **change: Any) -> dict[str, Any]:
        """Say something of a version: tags, remove_tags, properties, description; returns the record now."""
        self._check_is_there(name, version)
        notes.annotate(str(self.notes_of(name, version)), **change)
        return self.read(name, version)

    def _check_is_there(self, name: str, version: int) -> None:
        if not (_can_be(name) and self.path(name, version).exists()):
            self.get(name, version)  # says what there is instead

    def remove(self, name: str, version: int) -> None:
        """Forget a version; its content goes when ``gc`` finds that nothing else needs it."""
        self._check_is_there(name, version)
        with self._alone_with(name):
            highest = max(self._highest(name), version)
            write_atomic(self.folder / name / ".highest", str(highest).encode("ascii"))
            self.path(name, version).unlink(missing_ok=True)
            self.notes_of(name, version).unlink(missing_ok=True)

    def records(self, name: str | None = None) -> Iterator[dict[str, Any]]:
        """Every version of *name*, or of every name, in order."""
        for one, versions in (self.all_versions() if name is None else {name: self.versions(name)}).items():
            for version in versions:
                with suppress(NotFound):  # removed since it was listed
                    yield self.read(one, version)

    def latest(self) -> dict[str, dict[str, Any]]:
        """The record of the latest version of each name."""
        found: dict[str, dict[str, Any]] = {}
        for name, versions in self.all_versions().items():
            for version in reversed(versions):
                with suppress(NotFound):  # as above
                    found[name] = self.read(name, version)
                    break
        return found


class Named:
    """Things of one kind with a name and no versions: computes, datastores."""

    def __init__(self, place: WorkspaceDir, kind: str) -> None:
        self.place, self.kind = place, kind
        self.folder = place.path / f"{kind}s"

    def names(self) -> list[str]:
        """Every name."""
        return [name[:-5] for name in _names(self.folder) if name.endswith(".json") and (self.folder / name).is_file()]

    def get(self, name: str) -> dict[str, Any] | None:
        """The record of *name*; None where there is none."""
        if not _can_be(name):
            return None
        try:
            return _read(self.folder / f"{name}.json", "remove it and make it again")
        except (FileNotFoundError, IsADirectoryError):
            return None

    def put(self, name: str, record: dict[str, Any], *, replace: bool = True) -> dict[str, Any]:
        """Write the record of *name*; without *replace* one that is there is a ``Conflict``."""
        check_name(self.kind, name)
        if name.casefold().endswith(".json"):  # the name of another one's file
            raise BadInput(f"{name!r} is no name for {an(self.kind)}", hint="leave .json away")
        need_registries(self.place)
        _refuse_other_case(self.kind, name, self.names())
        full = {"format": FORMAT, "name": name, "created": time.time(), **record}
        path = self.folder / f"{name}.json"
        try:
            make_folder(self.folder)
            if replace:
                write_atomic(path, dump_json(full))
                return full
            made = write_once(path, dump_json(full))
        except OSError as problem:
            raise _unwritable(path, problem) from problem
        if not made:
            raise Conflict(f"there is {an(self.kind)} {name!r} already", hint="choose another name, or remove it first")
        return full

    def remove(self, name: str) -> None:
        """Forget *name*; one that is not there is a ``NotFound``."""
        if self.get(name) is None:
            raise NotFound(f"no {self.kind} {name!r}", hint=did_you_mean(str(name), self.names()))
        (self.folder / f"{name}.json").unlink(missing_ok=True)
