"""Trees as lists of files: parts of one, several as one, and the manifest that names the result.

Reads and writes ``objects/manifests/<id>.json``; content is never touched (docs/format-objects.md).
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from jupyter_mlrun.store.packs import ObjectStore

Entry = dict[str, Any]  # of a manifest: path, size, executable, chunks; or path, link
_WILD = frozenset("*?[")


def clean(path: str, what: str = "path on a datastore") -> str:
    """*path* with ``/`` between its steps and none around it; ``BadInput`` where it leads outside."""
    steps = [step for step in str(path).replace("\\", "/").split("/") if step not in ("", ".")]
    if ".." in steps or "\0" in str(path):
        raise BadInput(f"{path!r} is no {what}: it leads outside", hint="name it from the datastore's root, without ..")
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
        start = len(below) + 1
        files = [{**e, "path": e["path"][start:]} for e in files if e["path"].startswith(f"{below}/")]
    if at:
        files = [{**e, "path": f"{at}/{e['path']}"} for e in files]
    return files


@dataclass(frozen=True)
class Merged:
    """What came of putting one tree over another."""

    files: list[Entry]
    replaced: list[str]
    kept: list[str]  # paths at which the lower tree has something else, which stayed


def merge(lower: Iterable[Entry], upper: Iterable[Entry], *, overwrite: bool) -> Merged:
    """*upper* over *lower*: with *overwrite* what differs is replaced, else it stays as it was.

    Raises ``BadInput`` where one has a file and the other a folder.
    """
    found = {entry["path"]: entry for entry in lower}
    folders = {folder for path in found for folder in _parents(path)}
    replaced: list[str] = []
    kept: list[str] = []
    for entry in upper:
        path = entry["path"]
        clash = path if path in folders else next((p for p in _parents(path) if p in found), None)
        if clash is not None:
            raise BadInput(
                f"{path!r} cannot be uploaded: {clash!r} is a {'folder' if clash in folders else 'file'} there",
                hint="upload to another target path",
            )
        old = found.get(path)
        if old is not None and old != entry:
            (replaced if overwrite else kept).append(path)
            if not overwrite:
                continue
        found[path] = entry
    return Merged(list(found.values()), replaced, kept)


def _parents(path: str) -> list[str]:
    steps = path.split("/")[:-1]
    return ["/".join(steps[: n + 1]) for n in range(len(steps))]


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


def select(files: Iterable[Entry], wanted: Callable[[str], bool]) -> list[Entry]:
    """The entries whose path is wanted."""
    return [entry for entry in files if wanted(entry["path"])]


def describe(entry: Mapping[str, Any]) -> str:
    """``path (size)`` for people."""
    return f"{entry['path']} ({entry.get('size', 0):,} bytes)"
