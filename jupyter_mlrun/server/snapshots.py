"""The code that a run got: its tree and its files, from the content store.

Reads manifests and packs; writes nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from jupyter_mlrun import differences
from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.store.manifests import read_manifest
from jupyter_mlrun.store.packs import ObjectStore

if TYPE_CHECKING:
    from jupyter_mlrun.records import Spec
    from jupyter_mlrun.server.api_runs import FileKind
    from jupyter_mlrun.store.home import WorkspaceDir

IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}
_JSON = frozenset({".json", ".ipynb", ".geojson"})
_TEXTS = frozenset({
    ".txt", ".log", ".md", ".rst", ".py", ".pyi", ".sh", ".bash", ".toml", ".cfg", ".ini", ".conf", ".yaml", ".yml",
    ".csv", ".tsv", ".jsonl", ".js", ".ts", ".tsx", ".jsx", ".css", ".html", ".htm", ".xml", ".svg", ".sql", ".r",
    ".jl", ".c", ".h", ".cc", ".cpp", ".hpp", ".cu", ".java", ".go", ".rs", ".tex", ".bib", ".diff", ".patch", ".lock",
})  # fmt: skip
_NAMES = frozenset({"makefile", "dockerfile", "license", "readme", ".gitignore", ".dockerignore"})


def kind_of(path: str) -> FileKind:
    """What a file is, by its name."""
    name = os.path.basename(path).lower()
    ending = os.path.splitext(name)[1]
    if ending in IMAGES:
        return "image"
    if ending in _JSON:
        return "json"
    return "text" if ending in _TEXTS or name in _NAMES else "other"


class Code:
    """The snapshot of one run.  Raises ``NotFound`` where it has none."""

    def __init__(self, place: WorkspaceDir, spec: Spec) -> None:
        if spec.snapshot is None:
            raise NotFound(f"run {spec.run_id} has no snapshot", hint="interactive runs have one if they took it")
        self.id = str(spec.snapshot["id"])
        self.store = ObjectStore(place.objects)
        self.files: dict[str, dict[str, Any]] = {
            str(entry["path"]): entry for entry in read_manifest(self.store, self.id).files
        }

    def entry(self, path: str) -> dict[str, Any]:
        """A file's entry; raises ``NotFound``, or ``BadInput`` for a link."""
        found = self.files.get(path)
        if found is None:
            raise NotFound(f"the snapshot has no file {path[:200]!r}")
        if "link" in found:
            raise BadInput(f"{path[:200]!r} is a link to {str(found['link'])[:200]!r}")
        return found

    def read(self, path: str, most: int) -> bytes:
        """The first bytes of a file, at least *most* of them where it has so many."""
        found = b""
        try:
            for digest in self.entry(path)["chunks"]:
                found += self.store.get(digest)
                if len(found) >= most:
                    break
        finally:
            self.store.close()
        return found

    def chunk(self, digest: str) -> bytes:
        """One piece of a file."""
        try:
            return self.store.get(digest)
        finally:
            self.store.close()

    def text(self, path: str, most: int) -> str | None:
        """A file as text; None where there is none, or it is none."""
        found = self.files.get(path)
        if found is None or "link" in found or int(found.get("size", 0)) > most:
            return None
        data = self.read(path, most)
        return None if b"\0" in data else data.decode("utf-8", "replace")


def code_of(place: WorkspaceDir, spec: Spec) -> Code | None:
    """The snapshot of a run; None where it has none, or it is gone."""
    try:
        return Code(place, spec)
    except NotFound:
        return None


def changes_between(a: Code | None, b: Code | None) -> tuple[list[differences.Change], int]:
    """What differs between two snapshots, from *a* to *b*, and how many files are the same; None: there is none."""
    codes = (a, b)
    trees = [{} if code is None else {path: _content(entry) for path, entry in code.files.items()} for code in codes]

    def read(which: int, path: str) -> bytes | None:
        code = codes[which]
        if code is None or "link" in code.files[path] or code.files[path].get("size", 0) > differences.MOST_DIFF_BYTES:
            return None
        return code.read(path, differences.MOST_DIFF_BYTES)

    return differences.changes(trees[0], trees[1], read)


def _content(entry: dict[str, Any]) -> Any:
    return ("link", entry["link"]) if "link" in entry else (tuple(entry["chunks"]), entry.get("executable"))
