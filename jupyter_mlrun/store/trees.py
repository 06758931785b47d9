"""Trees as lists of files: parts of one, several as one, and the manifest that names the result.

Reads and writes ``objects/manifests/<id>.json``; content is never touched (docs/format-objects.md).
"""

from __future__ import annotations

import fnmatch
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, an
from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jupyter_mlrun.store.packs import ObjectStore

Entry = dict[str, Any]  # of a manifest: path, size, executable, chunks; or path, link
_WILD = frozenset("*?[")
LONGEST = 255  # bytes of one step: more than that no file system takes


def clean(path: str, what: str = "path on a datastore") -> str:
    """*path* with ``/`` between its steps and none around it; ``BadInput`` where it leads outside."""
    if not isinstance(path, (str, os.PathLike)):
        raise BadInput(f"{path!r} is no {what}", hint="give text, like data/images")
    steps = [step for step in os.fspath(path).replace("\\", "/").split("/") if step not in ("", ".")]
    if ".." in steps or "\0" in str(path):
        raise BadInput(f"{path!r} is no {what}: it leads outside", hint="name it from the datastore's root, without ..")
    try:
        long = next((step for step in steps if len(os.fsencode(step)) > LONGEST), None)
    except UnicodeEncodeError as problem:
        raise BadInput(f"{path!r} is no {what}: {problem.reason}", hint="leave that letter out") from problem
    if long is not None:
        raise BadInput(f"{long[:40]!r}… is too long for a {what}", hint=f"at most {LONGEST} bytes between two slashes")
    return "/".join(steps)


def is_pattern(path: str) -> bool:
    """Whether *path* has wildcards."""
    return not _WILD.isdisjoint(path)


def base_of(pattern: str) -> str:
    """The folder before the first wildcard."""
    steps = pattern.split("/")
    wild = next((n for n, step in enumerate(steps) if is_pattern(step)), len(steps))
    return "/".join(steps[:wild])


def matches(path: str, pattern: str) -> bool:
    """Whether a path is what *pattern* means: ``*`` and ``?`` within one step, ``**`` any number of steps.

    A pattern that ends at a folder means everything below it.
    """
    return _match(path.split("/"), pattern.split("/"))


def _match(steps: Sequence[str], pattern: Sequence[str]) -> bool:
    places = {0}  # in steps, after as much of the pattern as was seen: linear, whatever the pattern
    for part in pattern:
        if part == "**":
            places = set(range(min(places), len(steps) + 1))
        else:
            places = {n + 1 for n in places if n < len(steps) and fnmatch.fnmatchcase(steps[n], part)}
        if not places:
            return False
    # what lies below a folder that matches belongs to it
    return True


def entries(store: ObjectStore, manifest_id: str, *, below: str = "", at: str = "") -> list[Entry]:
    """The entries of a manifest; with *below* those of that folder, with *at* as they stand in that folder."""
    files = snapshot.read_manifest(store, manifest_id).files
    if below:
        start, top = len(below) + 1, f"{below}/"
        files = [{**e, "path": e["path"][start:]} for e in files if e["path"].startswith(top)]
    if at:
        files = [{**e, "path": f"{at}/{e['path']}"} for e in files]
    return files


@dataclass(frozen=True)
class Merged:
    """What came of putting one tree over another."""

    files: list[Entry]
    replaced: list[str]
    kept: list[str]  # paths at which the lower tree has something else, which stayed


def merge(lower: Iterable[Entry], upper: Iterable[Entry], *, overwrite: bool, folders: Sequence[str] = ()) -> Merged:
    """*upper* over *lower*: with *overwrite* what differs is replaced, else it stays as it was.

    *folders*: paths that are folders besides those of *lower*.
    Raises ``BadInput`` where one has a file and the other a folder.
    """
    found = {entry["path"]: entry for entry in lower}
    known = set(folders)
    for path in (*folders, *found):
        _enter_parents(known, path)
    replaced: list[str] = []
    kept: list[str] = []
    for entry in upper:
        path = entry["path"]
        if path in known:
            raise _in_the_way(path, path, "folder")
        file = _enter_parents(known, path, found)
        if file is not None:
            raise _in_the_way(path, file, "file")
        old = found.get(path)
        if old is not None and old != entry:
            (replaced if overwrite else kept).append(path)
            if not overwrite:
                continue
        found[path] = entry
    return Merged(list(found.values()), replaced, kept)


def _enter_parents(known: set[str], path: str, files: Mapping[str, Any] | None = None) -> str | None:
    """Add the folders above *path* to *known*; returns the first that is one of *files*."""
    folder = path.rpartition("/")[0]
    while folder and folder not in known:  # above one that is known all are
        if files is not None and folder in files:
            return folder
        known.add(folder)
        folder = folder.rpartition("/")[0]
    return None


def _in_the_way(path: str, clash: str, kind: str) -> BadInput:
    return BadInput(f"{path!r} cannot be uploaded: {clash!r} is {an(kind)} there", hint="upload to another target path")


def touch(store: ObjectStore, manifest_ids: Iterable[str]) -> None:
    """Make manifests young that nothing will name any more: ``gc`` leaves them to whoever has just found them."""
    for manifest_id in manifest_ids:
        with suppress(FileNotFoundError):
            os.utime(store.manifests / f"{manifest_id}.json")


def put(store: ObjectStore, files: Iterable[Entry]) -> Snapshot:
    """The manifest of these files, whose content is in the store already."""
    by_folder: dict[str, list[Entry]] = {}
    total = count = 0
    for entry in files:
        by_folder.setdefault(entry["path"].rpartition("/")[0], []).append(entry)
        total += entry.get("size", 0)
        count += 1
    store.make()
    fragments = {folder: snapshot.fragment_of(found) for folder, found in by_folder.items()}
    return Snapshot(snapshot.write_manifest(store, fragments, total), count, total)
