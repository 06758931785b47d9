"""What lies on a datastore: trees at paths, in numbered versions of one small file each.

Reads and writes ``datastores/NAME/<number>.json`` (docs/format-data.md).  Each upload writes the next number by
exclusive creation, so uploads at once all count, and what was there before stays whole until it is replaced.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import NotFound
from jupyter_mlrun.records import check_format
from jupyter_mlrun.rundir import FORMAT, dump_json, make_folder, read_json, write_once
from jupyter_mlrun.store import trees
from jupyter_mlrun.store.home import need_registries
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jupyter_mlrun.store.home import WorkspaceDir
    from jupyter_mlrun.store.snapshot import Snapshot
    from jupyter_mlrun.store.trees import Entry

DEFAULT = "workspaceblobstore"
KEPT = 5  # versions that stay for readers that have just begun


@dataclass(frozen=True)
class Placed:
    """What came of an upload: paths of the target that were replaced, and that stayed as they were."""

    replaced: list[str]
    kept: list[str]
    changed: bool


@dataclass(frozen=True)
class Resolved:
    """The tree that paths on datastores mean; ``file`` where it is one file alone."""

    manifest: str
    count: int
    bytes: int
    file: str | None


class Contents:
    """The trees of one datastore.  ``at`` maps paths to manifests; no path is below another."""

    def __init__(self, place: WorkspaceDir, name: str) -> None:
        self.place, self.name = place, name
        self.folder = place.path / "datastores" / name
        self.store = ObjectStore(place.objects)

    def numbers(self) -> list[int]:
        """The versions that are there, in order."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return sorted(int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal())

    def read(self) -> tuple[int, dict[str, str]]:
        """The latest version's number and its paths with their manifests."""
        while True:
            numbers = self.numbers()
            if not numbers:
                return 0, {}
            path = self._path(numbers[-1])
            try:
                data = read_json(path)
            except FileNotFoundError:
                continue  # replaced by several since we looked
            check_format(data, str(path))
            return numbers[-1], dict(data["at"])

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.json"

    def put(self, target: str, tree: Snapshot, *, overwrite: bool) -> Placed:
        """Lay *tree* at the path *target*, over what is there; visible at once and as a whole."""
        need_registries(self.place)
        make_folder(self.folder)
        while True:
            number, at = self.read()
            if at.get(target) == tree.id:
                return Placed([], [], changed=False)
            now, placed = self._with(dict(at), target, tree, overwrite=overwrite)
            if now == at:
                return placed
            if write_once(self._path(number + 1), dump_json({"format": FORMAT, "at": now})):
                self._forget(number + 1 - KEPT)
                return placed

    def _with(
        self, at: dict[str, str], target: str, tree: Snapshot, *, overwrite: bool
    ) -> tuple[dict[str, str], Placed]:
        """The paths as they are once *tree* lies at *target*."""
        above = next((path for path in at if _is_above(path, target)), None)
        below = [path for path in at if _is_above(target, path)]
        place = target if above is None else above
        if above is None and not below and target not in at:
            return {**at, target: tree.id}, Placed([], [], changed=True)
        lower: list[Entry] = []
        for path in (place, *below):
            if path in at:
                lower += trees.entries(self.store, at.pop(path), at=_relative(path, place))
        upper = trees.entries(self.store, tree.id, at=_relative(target, place))
        merged = trees.merge(lower, upper, overwrite=overwrite)
        at[place] = trees.put(self.store, merged.files).id
        return at, Placed(merged.replaced, merged.kept, changed=True)

    def _forget(self, last: int) -> None:
        for number in self.numbers():
            if number <= last:
                self._path(number).unlink(missing_ok=True)

    def entries(self, path: str) -> list[Entry]:
        """Every file at or below *path*, with its path from the datastore's root."""
        _, at = self.read()
        found = []
        for place, manifest in sorted(at.items()):
            if place == path or _is_above(path, place) or _is_above(place, path):
                files = trees.entries(self.store, manifest, at=place)
                found += [e for e in files if e["path"] == path or _is_above(path, e["path"])]
        return found

    def manifests(self) -> Iterator[str]:
        """Every manifest that any version names: what ``gc`` must keep."""
        for number in self.numbers():
            try:
                yield from read_json(self._path(number))["at"].values()
            except FileNotFoundError:
                continue


def _is_above(path: str, other: str) -> bool:
    return path != other and (not path or other.startswith(f"{path}/"))


def _relative(path: str, place: str) -> str:
    return path[len(place) :].strip("/")


def resolve(place: WorkspaceDir, paths: Sequence[tuple[str, str]]) -> Resolved:
    """The tree that (datastore, path or pattern) pairs mean together.

    Its paths are relative to the folder before the first wildcard, or to what several pairs have in common.
    Raises ``NotFound`` that says what lies near where nothing matches.
    """
    if len(paths) == 1:
        name, path = paths[0]
        contents = Contents(place, name)
        manifest = contents.read()[1].get(path)
        if manifest is not None:
            files = trees.entries(contents.store, manifest)
            return Resolved(manifest, len(files), sum(e.get("size", 0) for e in files), None)
    found: dict[str, Entry] = {}
    bases = []
    for name, path in paths:
        contents = Contents(place, name)
        base = trees.base_of(path)
        files = [e for e in contents.entries(base) if e["path"] == path or trees.matches(e["path"], path)]
        if not files:
            raise _nothing_at(contents, path)
        bases.append(base.rpartition("/")[0] if any(e["path"] == base for e in files) else base)
        found.update((e["path"], e) for e in files)
    top = _common(bases)
    files = [{**e, "path": _relative(e["path"], top)} for e in found.values()]
    single = len(paths) == 1 and len(files) == 1 and found.keys() == {paths[0][1]}
    tree = trees.put(ObjectStore(place.objects), files)
    return Resolved(tree.id, tree.count, tree.bytes, files[0]["path"] if single else None)


def _common(paths: Sequence[str]) -> str:
    if len(paths) == 1:
        return paths[0]
    steps = [path.split("/") for path in paths]
    shared = []
    for parts in zip(*steps, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared)


def _nothing_at(contents: Contents, path: str) -> NotFound:
    _, at = contents.read()
    known = sorted(at)
    hint = did_you_mean(path, known) if known else "nothing was uploaded yet: Datastore.upload, or %upload_data"
    return NotFound(f"nothing lies at {path!r} on datastore {contents.name!r}", hint=hint)
