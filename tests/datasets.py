"""What tests of data need: folders with files, a workspace, and a look at what lies where."""

from __future__ import annotations

import os
from pathlib import Path

from jupyter_mlrun.sdk.data import Dataset, Datastore, FileDataset
from jupyter_mlrun.sdk.workspace import Workspace


def folder_of(base: Path, **files: str) -> Path:
    """A folder with these files: ``a__b_txt="x"`` is a file ``a/b.txt`` that holds x."""
    return write(base, {name.replace("__", "/").replace("_", "."): text for name, text in files.items()})


def write(base: Path, files: dict[str, str]) -> Path:
    """A folder with these files."""
    for name, text in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return base


def content(base: Path) -> dict[str, str]:
    """Every file below *base*, and what it holds."""
    return {
        os.path.relpath(os.path.join(folder, name), base): Path(folder, name).read_text(encoding="utf-8")
        for folder, _, names in os.walk(base)
        for name in names
    }


def uploaded(workspace: Workspace, base: Path, target: str, **files: str) -> FileDataset:
    """A data set of these files, uploaded to *target*."""
    store = Datastore(workspace)
    store.upload(folder_of(base, **files), target, overwrite=True, show_progress=False)
    return Dataset.File.from_files((store, target))


def content_of(dataset: FileDataset, place: Path) -> dict[str, str]:
    """The files of a data set, downloaded to *place*."""
    dataset.download(str(place))
    return content(place)
