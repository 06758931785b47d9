"""Uploading: a folder or files become a tree in the content store, and the tree is laid on a datastore.

Reads the source; writes objects, a manifest and the datastore's contents, in that order: a kill leaves nothing that
can be seen, and what was stored is not stored again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jupyter_mlrun.errors import BadInput, SnapshotError
from jupyter_mlrun.store import snapshot, trees
from jupyter_mlrun.store.datastores import Contents
from jupyter_mlrun.store.home import need_registries
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.ui.progress import Bar
from jupyter_mlrun.worker.finish import size_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jupyter_mlrun.sdk.workspace import Workspace
    from jupyter_mlrun.store.datastores import Placed
    from jupyter_mlrun.store.snapshot import Plan, Progress, Snapshot

SHOWN = 20


@dataclass(frozen=True)
class Uploaded:
    """What came of an upload: the tree, how it was laid down, and the files and bytes that were moved for it."""

    tree: Snapshot
    placed: Placed
    files: int
    bytes: int


class Say(Protocol):
    """Tells how an upload goes."""

    def start(self, plan: Plan) -> None:
        """It begins."""

    def step(self, progress: Progress) -> None:
        """A file begins or has ended."""

    def done(self, uploaded: Uploaded, target: str) -> None:
        """It is there."""


class Silent:
    """Says nothing, but what was left out or stayed as it was."""

    def start(self, plan: Plan) -> None:
        """Names what cannot be uploaded."""
        for path, why in plan.left_out[:SHOWN]:
            print(f"left out: {path} ({why})")
        if len(plan.left_out) > SHOWN:
            print(f"left out: {len(plan.left_out) - SHOWN} more")

    def step(self, progress: Progress) -> None:
        """Nothing."""

    def done(self, uploaded: Uploaded, target: str) -> None:
        """Names files that are there with other content."""
        kept = uploaded.placed.kept
        for path in kept[:SHOWN]:
            print(f"Target already exists. Skipping upload for {'/'.join(filter(None, (target, path)))}")
        if kept:
            print(f"{len(kept)} files differ from what is there and were kept; overwrite=True replaces them")


class Lines(Silent):
    """Says it in the reference's lines; of very many files only the lines that a reader can follow."""

    MOST = 500

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def step(self, progress: Progress) -> None:
        """``Uploading X`` and ``Uploaded X, n files out of an estimated total of N``."""
        every = -(-progress.files_total // self.MOST)
        if progress.files_done % every and progress.files_done != progress.files_total:
            return
        path = os.path.join(self.prefix, progress.path)
        if progress.event == "begin":
            print(f"Uploading {path}")
        else:
            print(f"Uploaded {path}, {progress.files_done} files out of an estimated total of {progress.files_total}")

    def done(self, uploaded: Uploaded, target: str) -> None:
        """``Uploaded N files``."""
        super().done(uploaded, target)
        same = uploaded.tree.count - uploaded.files
        print(f"Uploaded {uploaded.files} files" + (f", {same} were there already" if same else ""))


class Bars(Silent):
    """A progress bar, and one line at the end."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar: Bar | None = None

    def start(self, plan: Plan) -> None:
        """Draw it empty."""
        super().start(plan)
        self.bar = Bar(self.title, plan.bytes).__enter__()

    def step(self, progress: Progress) -> None:
        """Draw how far it is."""
        if self.bar is not None:
            self.bar.to(progress.bytes_done, f"{progress.files_done} of {progress.files_total} files")

    def done(self, uploaded: Uploaded, target: str) -> None:
        """Say what was moved."""
        if self.bar is not None:
            self.bar.__exit__(None, None, None)
        super().done(uploaded, target)
        tree = uploaded.tree
        moved = f"{uploaded.files:,} files moved" if uploaded.files else "nothing moved"
        print(f"{tree.count:,} files, {size_text(tree.bytes)}: {moved}, {size_text(uploaded.bytes)} new")


def upload(workspace: Workspace, datastore: str, source: Path, target: str, *, overwrite: bool, say: Say) -> Uploaded:
    """Upload a folder or one file to *target*.

    Raises ``SnapshotError`` that names what cannot be read or keeps changing, ``StoreError`` for a full disk.
    """
    need_registries(workspace.folder)
    store = ObjectStore(workspace.folder.objects)
    plan = snapshot.scan_data(source, store=store)
    if not plan.count:
        raise BadInput(f"{os.fspath(source)!r} has no files", hint="nothing was uploaded; give a folder that has some")
    say.start(plan)
    counter = _Counter(say)
    tree = snapshot.take_data(store, plan, progress=counter)
    placed = Contents(workspace.folder, datastore).put(target, tree, overwrite=overwrite)
    uploaded = Uploaded(tree, placed, counter.files, counter.bytes)
    say.done(uploaded, target)
    return uploaded


def upload_files(
    workspace: Workspace, datastore: str, files: Sequence[tuple[Path, str]], target: str, *, overwrite: bool, say: Say
) -> Uploaded:
    """Upload single files, each under the name given with it."""
    need_registries(workspace.folder)
    store = ObjectStore(workspace.folder.objects)
    missing = [str(path) for path, _ in files if not path.is_file()]
    if missing or not files:
        raise SnapshotError(f"no such file: {', '.join(missing[:SHOWN])}" if missing else "no files to upload")
    found, counter = [], _Counter(say, total=len(files))
    for path, name in files:
        plan = snapshot.scan_data(path, store=store)
        tree = snapshot.take_data(store, plan, progress=counter)
        (entry,) = trees.entries(store, tree.id)
        found.append({**entry, "path": trees.clean(name, "name for a file")})
    whole = trees.put(store, trees.merge([], found, overwrite=True).files)
    placed = Contents(workspace.folder, datastore).put(target, whole, overwrite=overwrite)
    uploaded = Uploaded(whole, placed, counter.files, counter.bytes)
    say.done(uploaded, target)
    return uploaded


class _Counter:
    """Counts what was moved, over one or several trees."""

    def __init__(self, say: Say, total: int | None = None) -> None:
        self.say, self.total = say, total
        self.files = self.bytes = self._before = 0

    def __call__(self, progress: Progress) -> None:
        if progress.event == "end":
            self.files += 1
            if self.total is None:
                self.bytes = progress.bytes_new
            else:
                self.bytes += progress.bytes_new
        if self.total is not None:
            progress = progress._replace(files_done=self.files, files_total=self.total)
        self.say.step(progress)


def lines(prefix: str) -> Say:
    """The reference's lines, paths beginning with *prefix*."""
    return Lines(prefix)


def bars(title: str) -> Say:
    """A progress bar."""
    return Bars(title)


def silent() -> Say:
    """Nothing but warnings."""
    return Silent()
