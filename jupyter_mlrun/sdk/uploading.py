"""Uploading: a folder or files become a tree in the content store, and the tree is laid on a datastore.

Reads the source; writes objects, a manifest and the datastore's contents, in that order: a kill leaves nothing that
can be seen, and what was stored is not stored again.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from jupyter_mlrun.errors import BadInput, SnapshotError
from jupyter_mlrun.store import snapshot, trees
from jupyter_mlrun.store.datascan import NO_LIMIT
from jupyter_mlrun.store.datastores import Contents
from jupyter_mlrun.store.home import need_registries
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.store.scan import Folder, Known, Plan
from jupyter_mlrun.ui.progress import Bar
from jupyter_mlrun.ui.words import count, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from jupyter_mlrun.sdk.workspace import Workspace
    from jupyter_mlrun.store.datastores import Placed
    from jupyter_mlrun.store.snapshot import Progress, Snapshot

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

    def stopped(self, problem: BaseException) -> None:
        """It did not come to its end."""

    def done(self, uploaded: Uploaded) -> None:
        """It is there."""


class Silent:
    """Says nothing, but what was left out or stayed as it was; *cure* is how to replace that."""

    def __init__(self, cure: str = "overwrite=True") -> None:
        self.cure = cure

    def start(self, plan: Plan) -> None:
        """Names what cannot be uploaded."""
        for path, why in plan.left_out[:SHOWN]:
            print(f"left out: {path} ({why})")
        if len(plan.left_out) > SHOWN:
            print(f"left out: {len(plan.left_out) - SHOWN:,} more")

    def step(self, progress: Progress) -> None:
        """Nothing."""

    def stopped(self, problem: BaseException) -> None:
        """Nothing."""

    def done(self, uploaded: Uploaded) -> None:
        """Names files that are there with other content."""
        kept = uploaded.placed.kept
        for path in kept[:SHOWN]:
            print(f"Target already exists. Skipping upload for {path}")
        if kept:
            differ, them = ("differs", "it") if len(kept) == 1 else ("differ", "them")
            print(f"{count(len(kept), 'file')} {differ} from what is there, which stays: {self.cure} replaces {them}")


def _say_how_to_go_on(problem: BaseException) -> None:
    """That nothing is lost, where that is so."""
    if isinstance(problem, BadInput) and not isinstance(problem, SnapshotError):
        return
    how = "was interrupted" if isinstance(problem, KeyboardInterrupt) else "stopped"
    text = f"The upload {how}. What is stored stays: run it again, and it goes on where it stopped."
    print(text, file=sys.stderr)


class Lines(Silent):
    """Says it in the reference's lines; of very many files only the lines that a reader can follow."""

    MOST = 500

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__()
        self.prefix = prefix
        self._seen = {"begin": 0, "end": 0}

    def start(self, plan: Plan) -> None:
        """Finds out how files are called here, unless that was said."""
        super().start(plan)
        if self.prefix is None:
            self.prefix = os.path.relpath(plan.root).removeprefix(".")

    def step(self, progress: Progress) -> None:
        """``Uploading X`` and ``Uploaded X, n files out of an estimated total of N``."""
        if progress.event not in self._seen:
            return
        self._seen[progress.event] += 1
        every = -(-progress.files_total // self.MOST)
        if self._seen[progress.event] % every and progress.files_done != progress.files_total:
            return
        # as the user wrote it: ./data stays ./data
        path = os.path.join(self.prefix or "", progress.path).rstrip("/")
        if progress.event == "begin":
            print(f"Uploading {path}")
        else:
            print(f"Uploaded {path}, {progress.files_done} files out of an estimated total of {progress.files_total}")

    def stopped(self, problem: BaseException) -> None:
        """That nothing is lost."""
        _say_how_to_go_on(problem)

    def done(self, uploaded: Uploaded) -> None:
        """``Uploaded N files``."""
        super().done(uploaded)
        same = uploaded.tree.count - uploaded.files
        print(f"Uploaded {uploaded.files} files" + (f", {same} were there already" if same else ""))


class Bars(Silent):
    """A progress bar, and one line at the end."""

    def __init__(self, title: str) -> None:
        super().__init__("--overwrite")
        self.title = title
        self.bar: Bar | None = None

    def start(self, plan: Plan) -> None:
        """Make it."""
        super().start(plan)
        self.bar = Bar(self.title, plan.bytes)

    def step(self, progress: Progress) -> None:
        """Draw how far it is."""
        if self.bar is not None:
            self.bar.to(progress.bytes_done, f"{progress.files_done:,} of {progress.files_total:,} files")

    def stopped(self, problem: BaseException) -> None:
        """End it, and say that nothing is lost."""
        if self.bar is not None:
            self.bar.__exit__(type(problem), problem, None)
        _say_how_to_go_on(problem)

    def done(self, uploaded: Uploaded) -> None:
        """Say what was moved."""
        if self.bar is not None:
            self.bar.__exit__(None, None, None)
        tree = uploaded.tree
        moved = f"{count(uploaded.files, 'file')} moved, {size(uploaded.bytes)} new"
        print(f"{count(tree.count, 'file')}, {size(tree.bytes)}: {moved if uploaded.files else 'nothing moved'}")
        # last, where it is seen: the data set is not what the folder is
        super().done(uploaded)


def upload(workspace: Workspace, datastore: str, source: Path, target: str, *, overwrite: bool, say: Say) -> Uploaded:
    """Upload a folder or one file to *target*.

    Raises ``SnapshotError`` that names what cannot be read or keeps changing, ``StoreError`` for a full disk.
    """
    need_registries(workspace.folder)
    store = ObjectStore(workspace.folder.objects)
    plan = snapshot.scan_data(source, store=store)
    if not plan.count:
        raise BadInput(f"{os.fspath(source)!r} has no files", hint="nothing was uploaded; give a folder that has some")
    return _upload(workspace, datastore, plan, target, overwrite=overwrite, say=say)


def upload_files(
    workspace: Workspace, datastore: str, files: Mapping[str, str], target: str, *, overwrite: bool, say: Say
) -> Uploaded:
    """Upload single files: *files* has their absolute paths, with the path that each gets below *target*."""
    need_registries(workspace.folder)
    root = os.path.commonpath([os.path.dirname(path) for path in files])
    names = {os.path.relpath(path, root): name for path, name in files.items()}
    return _upload(workspace, datastore, _plan_of(root, names), target, names, overwrite=overwrite, say=say)


def _plan_of(root: str, paths: Iterable[str]) -> Plan:
    """A plan of these files alone; nothing is remembered of it."""
    folders: dict[str, Folder] = {}
    for path in paths:
        folder, name = os.path.split(path)
        s = os.stat(os.path.join(root, path))
        found = folders.setdefault(folder, Folder(folder, b""))
        found.files.append((name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_mode))
        found.count += 1
        found.bytes += s.st_size
    total = sum(folder.bytes for folder in folders.values())
    count = sum(folder.count for folder in folders.values())
    listed = [folders[path] for path in sorted(folders)]
    return Plan(Path(root), listed, [], [], count, total, NO_LIMIT, Known(), "files")


def _upload(
    workspace: Workspace,
    datastore: str,
    plan: Plan,
    target: str,
    names: Mapping[str, str] | None = None,
    *,
    overwrite: bool,
    say: Say,
) -> Uploaded:
    store = ObjectStore(workspace.folder.objects)
    counter = _Counter(say)
    say.start(plan)
    try:
        tree = snapshot.take_data(store, plan, progress=counter)
        if names is not None:
            found = [{**e, "path": names[e["path"]]} for e in trees.entries(store, tree.id)]
            tree = trees.put(store, trees.merge([], found, overwrite=True).files)
        placed = Contents(workspace.folder, datastore).put(target, tree, overwrite=overwrite)
    except BaseException as problem:
        say.stopped(problem)
        raise
    # a file that is younger than its times can tell is read again, and one that differs too: nothing of it arrives
    moved = (counter.files, counter.bytes) if placed.changed else (0, 0)
    uploaded = Uploaded(tree, placed, *moved)
    say.done(uploaded)
    return uploaded


class _Counter:
    """Counts what is moved."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.files = self.bytes = 0

    def __call__(self, progress: Progress) -> None:
        self.bytes = progress.bytes_new
        self.files += progress.event == "end"
        self.say.step(progress)


def lines(prefix: str | None = None) -> Say:
    """The reference's lines, paths beginning with *prefix* (default: as they are called from here)."""
    return Lines(prefix)


def counted_lines(what: str, total: int) -> Callable[[Path], None]:
    """Prints ``Downloaded X, n files out of an estimated total of N``; of very many files only some."""
    done, every = 0, -(-total // Lines.MOST) or 1

    def say(path: Path) -> None:
        nonlocal done
        done += 1
        if done % every == 0 or done == total:
            print(f"{what} {path}, {done} files out of an estimated total of {total}")

    return say


def bars(title: str) -> Say:
    """A progress bar."""
    return Bars(title)


def silent(cure: str = "overwrite=True") -> Say:
    """Nothing but warnings; *cure* is how files that differ can be replaced."""
    return Silent(cure)
