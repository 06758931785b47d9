"""Data in one place: what the package, the magics and the command line take from the modules about data.

Reads and writes through ``datastore``, ``dataset`` and ``uploading``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import NotFound
from jupyter_mlrun.sdk import uploading
from jupyter_mlrun.sdk.consumption import DatasetConsumptionConfig
from jupyter_mlrun.sdk.dataset import Dataset, FileDataset, all_of
from jupyter_mlrun.sdk.datastore import DataPath, DataReference, Datastore, default_name, names, set_default
from jupyter_mlrun.store import trees
from jupyter_mlrun.store.registry import Versions
from jupyter_mlrun.ui.words import count

if TYPE_CHECKING:
    from jupyter_mlrun.sdk.workspace import Workspace

__all__ = [
    "DataPath", "DataReference", "Dataset", "DatasetConsumptionConfig", "Datastore", "FileDataset", "datasets",
    "datastores", "default_datastore", "set_default_datastore", "upload_data",
]  # fmt: skip


def datasets(workspace: Workspace) -> dict[str, FileDataset]:
    """The latest version of each registered data set."""
    return all_of(workspace)


def datastores(workspace: Workspace) -> dict[str, Datastore]:
    """The workspace's datastores."""
    return {name: Datastore(workspace, name) for name in names(workspace)}


def default_datastore(workspace: Workspace) -> Datastore:
    """The default datastore."""
    return Datastore(workspace, default_name(workspace))


def set_default_datastore(workspace: Workspace, name: str) -> None:
    """Make *name* the default datastore."""
    set_default(workspace, name)


def upload_data(
    workspace: Workspace,
    source: str | os.PathLike[str],
    target: str | None = None,
    *,
    datastore: str | None = None,
    name: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> FileDataset:
    """Upload a folder or file and register it: what ``%upload_data`` and ``jupyter mlrun upload-data`` do.

    Twice, it moves nothing and gives the same version.

    Args:
        workspace: where to.
        source: the folder or file.
        target: the folder on the datastore; default: for a folder its name, for a file none.
        datastore: its name; default: the workspace's default one.
        name: the data set's name; default: made of the target's last step.
        overwrite: replace files that are there and differ.
        progress: draw a bar, and say what was moved.
    """
    path = Path(source).expanduser()
    if not path.exists():
        near = os.path.abspath(path.parent)
        raise NotFound(f"{os.fspath(source)!r} does not exist", hint=f"it was looked for in {near}")
    stem = os.path.basename(os.path.abspath(path))
    place = trees.clean(target if target is not None else "" if path.is_file() else stem)
    inside = "/".join(filter(None, (place, stem))) if path.is_file() else place
    called = name or re.sub(r"[^\w.-]+", "-", place.rpartition("/")[2] or stem).strip("-.") or "data"
    Versions(workspace.folder, "dataset").check(called)
    store = Datastore(workspace, datastore)
    say = uploading.bars(f"upload {stem}") if progress else uploading.silent("--overwrite")
    uploaded = uploading.upload(workspace, store.name, path, place, overwrite=overwrite, say=say)
    made = FileDataset(workspace, [(store.name, inside)]).register(workspace, called, create_new_version=True)
    more = made.resolve().count - uploaded.tree.count
    if more > 0 and progress:
        print(
            f"{made.name}:{made.version} has {count(more, 'file')} more, from earlier uploads to {inside!r}: "
            f"to leave them out, upload to another TARGET with --name {called}"
        )
    return made
