"""What lies on a datastore: trees at paths, in numbered versions of one small file each.

Reads and writes ``datastores/NAME/<number>.json`` (docs/format-data.md).  Each upload writes the next number, under a
lock, so uploads at once all count, and what was there before stays whole until it is replaced.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from bisect import bisect_left
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import NotFound, StoreError
from jupyter_mlrun.records import check_format
from jupyter_mlrun.rundir import FILE_MODE, FORMAT, dump_json, make_folder, read_json, write_once
from jupyter_mlrun.store import trees
from jupyter_mlrun.store.home import need_registries
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.words import close

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jupyter_mlrun.store.home import WorkspaceDir
    from jupyter_mlrun.store.snapshot import Snapshot
    from jupyter_mlrun.store.trees import Entry

DEFAULT = "workspaceblobstore"
KEPT = 5  # versions that stay for readers that have just begun
SHOWN = 1000  # names that are looked through for the one that somebody probably meant


@dataclass(frozen=True)
class Placed:
    """What came of an upload: paths on the datastore that were replaced, and that stayed as they were."""

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


class View:
    """A datastore as it is at one moment: each of its trees is read once, however much is asked.

    ``at`` maps paths to manifests; a file is in the tree of the longest path above it.
    """

    def __init__(self, name: str, store: ObjectStore, at: dict[str, str]) -> None:
        self.name, self.store, self.at = name, store, at
        self._places = sorted(at)
        self._trees: dict[str, tuple[dict[str, Entry], list[str]]] = {}

    def places(self, path: str) -> list[str]:
        """The paths of the trees that have, or may have, what lies at or below *path*."""
        found, above = [], path
        while above:
            above = above.rpartition("/")[0]
            if above in self.at:
                found.append(above)
        if path in self.at:
            found.append(path)
        return found + self.below(path)

    def below(self, path: str) -> list[str]:
        """The paths of the trees below *path*."""
        if not path:
            return [place for place in self._places if place]
        return _below(self._places, path)

    def entries(self, path: str) -> list[Entry]:
        """Every file at or below *path*, with its path from the datastore's root."""
        found: list[Entry] = []
        for place in self.places(path):
            files, names = self._tree(place)
            if not path:
                found += files.values()
                continue
            if path in files:
                found.append(files[path])
            found += [files[name] for name in _below(names, path)]
        return found

    def _tree(self, place: str) -> tuple[dict[str, Entry], list[str]]:
        if place not in self._trees:
            files = {e["path"]: e for e in trees.entries(self.store, self.at[place], at=place)}
            self._trees[place] = files, sorted(files)
        return self._trees[place]

    def nothing_at(self, path: str) -> NotFound:
        """The error that says what lies near *path*."""
        message = f"nothing lies at {path or '/'!r} on datastore {self.name!r}"
        if not self.at:
            return NotFound(message, hint="nothing was uploaded yet: Datastore.upload, or %upload_data")
        steps = path.split("/")
        folder = path
        near: list[Entry] = []
        while folder and not near:
            folder = folder.rpartition("/")[0]
            near = self.entries(folder)
        depth = len(folder.split("/")) if folder else 0
        there = sorted({e["path"].split("/")[depth] for e in near})[:SHOWN]
        best = close(steps[depth], there)
        if best is not None:
            return NotFound(message, hint=f"did you mean {'/'.join((*steps[:depth], best))!r}?")
        return NotFound(message, hint=f"in {folder or '/'!r} there is: {', '.join(there[:8])}")


def _below(names: list[str], path: str) -> list[str]:
    """Those of the sorted *names* that are below *path*."""
    return names[bisect_left(names, f"{path}/") : bisect_left(names, f"{path}0")]  # 0 comes after /


class Contents:
    """The trees of one datastore."""

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
                check_format(data, str(path))
                return numbers[-1], {str(place): str(manifest) for place, manifest in data["at"].items()}
            except FileNotFoundError:
                continue  # replaced by several since we looked
            except (ValueError, KeyError, TypeError, AttributeError) as problem:
                raise StoreError(f"{path} is damaged: {problem!r}", hint="restore it from a backup") from problem

    def view(self) -> View:
        """What lies there now."""
        return View(self.name, self.store, self.read()[1])

    def entries(self, path: str) -> list[Entry]:
        """Every file at or below *path*, with its path from the datastore's root."""
        return self.view().entries(path)

    def manifests(self) -> list[str]:
        """What ``gc`` must keep.  Manifests of earlier versions were made young when they were replaced."""
        return list(self.read()[1].values())

    def remove(self) -> None:
        """Forget what lies there; ``gc`` sweeps what a kill leaves of it."""
        away = self.place.trash / f"{self.name}.datastore.{time.time_ns()}"
        with suppress(FileNotFoundError):  # nothing was ever uploaded
            os.rename(self.folder, away)
            shutil.rmtree(away)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.json"

    # ---- laying down -------------------------------------------------------------------------------------

    def put(self, target: str, tree: Snapshot, *, overwrite: bool) -> Placed:
        """Lay *tree* at the path *target*, over what is there; visible at once and as a whole.

        Raises ``BadInput`` where a file is to lie where a folder is, or the other way round.
        """
        need_registries(self.place)
        try:
            make_folder(self.folder)
            with self._alone():
                return self._put(target, tree, overwrite=overwrite)
        except OSError as problem:
            raise StoreError(
                f"{self.folder} cannot be written: {problem.strerror or problem}",
                hint="free space there (jupyter mlrun gc) and try again",
            ) from problem

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else lays anything down meanwhile: a number that was forgotten would be free again."""
        fd = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _put(self, target: str, tree: Snapshot, *, overwrite: bool) -> Placed:
        while True:
            number, at = self.read()
            now, placed = self._with(View(self.name, self.store, at), target, tree, overwrite=overwrite)
            if now == at:
                return placed
            trees.touch(self.store, set(at.values()) - set(now.values()))
            if write_once(self._path(number + 1), dump_json({"format": FORMAT, "at": now})):
                self._forget(number + 1 - KEPT)
                return placed

    def _with(self, view: View, target: str, tree: Snapshot, *, overwrite: bool) -> tuple[dict[str, str], Placed]:
        """The paths as they are once *tree* lies at *target*."""
        places, below = view.places(target), view.below(target)
        if not places or (not below and view.at.get(target) == tree.id):
            return {**view.at, target: tree.id}, Placed([], [], changed=not places)
        over = [place for place in places if place not in below]
        home = max(over, key=len) if over else target
        now, replaced, kept = dict(view.at), list[str](), list[str]()
        for place, files in _shares(trees.entries(self.store, tree.id, at=target), below, home).items():
            lower = trees.entries(self.store, now[place], at=place) if place in now else []
            folders = [other for other in below if _is_above(place, other)]
            merged = trees.merge(lower, files, overwrite=overwrite, folders=folders)
            replaced += merged.replaced
            kept += merged.kept
            now[place] = trees.put(self.store, _relative(merged.files, place)).id
        return now, Placed(replaced, kept, changed=now != view.at)

    def _forget(self, last: int) -> None:
        for number in self.numbers():
            if number <= last:
                self._path(number).unlink(missing_ok=True)


def _shares(files: list[Entry], below: list[str], home: str) -> dict[str, list[Entry]]:
    """Which of *files* go into the trees *below*, and which into the tree at *home*."""
    known = set(below)
    shares: dict[str, list[Entry]] = {}
    for entry in files:
        place = entry["path"]
        while place and place not in known:
            place = place.rpartition("/")[0] if known else ""
        shares.setdefault(place if place in known else home, []).append(entry)
    return shares


def _is_above(path: str, other: str) -> bool:
    return path != other and (not path or other.startswith(f"{path}/"))


def _relative(files: list[Entry], folder: str) -> list[Entry]:
    start = len(folder) + 1 if folder else 0
    return [{**e, "path": e["path"][start:]} for e in files]


# ---- what paths mean -------------------------------------------------------------------------------------


def resolve(place: WorkspaceDir, paths: Sequence[tuple[str, str]]) -> Resolved:
    """The tree that (datastore, path or pattern) pairs mean together.

    Its paths are relative to the folder before the first wildcard, or to what several pairs have in common; where
    these are of several datastores, they begin with the datastore's name.  A name that exists wins over a pattern.
    Raises ``NotFound`` that says what lies near where nothing matches.
    """
    views = {name: Contents(place, name).view() for name in sorted({name for name, _ in paths})}
    store = ObjectStore(place.objects)
    if len(paths) == 1:
        name, path = paths[0]
        manifest = views[name].at.get(path)
        if manifest is not None and not views[name].below(path):
            files = trees.entries(store, manifest)
            return Resolved(manifest, len(files), sum(e.get("size", 0) for e in files), None)
    found: dict[str, Entry] = {}
    bases = []
    for name, path in paths:
        base, files = _meant(views[name], path)
        before = f"{name}/" if len(views) > 1 else ""
        bases.append(f"{before}{base}".rstrip("/"))
        found.update((before + e["path"], e) for e in files)
    top = _common(bases)
    named = _relative([{**e, "path": path} for path, e in found.items()], top)
    tree = trees.put(store, named)
    single = len(paths) == 1 and len(named) == 1 and paths[0][1] in found
    return Resolved(tree.id, tree.count, tree.bytes, named[0]["path"] if single else None)


def _meant(view: View, path: str) -> tuple[str, list[Entry]]:
    """The folder that the paths of a path or pattern begin in, and its files."""
    base, files = path, view.entries(path)
    if not files and trees.is_pattern(path):
        base = trees.base_of(path)
        files = [e for e in view.entries(base) if trees.matches(e["path"], path)]
    if not files:
        raise view.nothing_at(path)
    is_file = base and any(e["path"] == base for e in files)
    return base.rpartition("/")[0] if is_file else base, files


def _common(paths: Sequence[str]) -> str:
    """The folder that is at or above all of them."""
    if len(paths) == 1:
        return paths[0]
    shared = []
    for parts in zip(*(path.split("/") for path in paths), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared)
