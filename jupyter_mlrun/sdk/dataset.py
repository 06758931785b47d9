"""``Dataset`` and ``FileDataset``: files of the workspace as something that has a name and versions and goes into runs.

Reads datastores; writes ``datasets/NAME/VERSION.json`` (docs/format-data.md).
"""

from __future__ import annotations

import operator
import os
import random
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jupyter_mlrun.errors import BadInput, Conflict, NotFound, StoreError, an
from jupyter_mlrun.sdk import copies
from jupyter_mlrun.sdk.consumption import DatasetConsumptionConfig
from jupyter_mlrun.sdk.copies import MountContext
from jupyter_mlrun.sdk.datastore import DataPath, DataReference, Datastore
from jupyter_mlrun.sdk.places import folder_of
from jupyter_mlrun.store import datastores, snapshot, trees
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.store.registry import Versions, check_name
from jupyter_mlrun.ui.words import count as counted
from jupyter_mlrun.worker import notes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jupyter_mlrun.sdk.workspace import Workspace
    from jupyter_mlrun.store.datastores import Resolved
    from jupyter_mlrun.store.trees import Entry

_ALONE = "data sets are files here; work on them in the script, with os, pandas or pyarrow"


class FileDataset:
    """Files of the workspace, as one tree.  Made by ``Dataset.File.from_files``, ``Dataset.get_by_name`` and uploads.

    One that names paths on a datastore means what lies there when it is used; a registered one is fixed for good.
    Source: ``azureml.data.FileDataset``.
    """

    def __init__(
        self,
        workspace: Workspace,
        paths: Sequence[tuple[str, str]] = (),
        *,
        tree: Resolved | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        self.workspace, self.paths = workspace, tuple(paths)
        self._tree, self._record = tree, dict(record) if record is not None else None

    # ---- who it is ---------------------------------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """The registered version's id, which no other has; None where it is not registered."""
        return str(self._record["id"]) if self._record else None

    @property
    def name(self) -> str | None:
        """The name that it is registered under."""
        return self._record["name"] if self._record else None

    @property
    def version(self) -> int | None:
        """The registered version, from 1."""
        return self._record["version"] if self._record else None

    @property
    def description(self) -> str | None:
        """What was said of it."""
        return self._record.get("description") if self._record else None

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return dict(self._record.get("tags") or {}) if self._record else {}

    @property
    def data_changed_time(self) -> datetime | None:
        """When the registered version was made, in UTC; None where it is not registered."""
        return datetime.fromtimestamp(self._record["created"], timezone.utc) if self._record else None

    @property
    def partition_keys(self) -> list[str]:
        """None: files are not partitioned here."""
        return []

    def resolve(self) -> Resolved:
        """The tree that it is now.  Raises ``NotFound`` where nothing lies at its paths."""
        return self._tree or datastores.resolve(self.workspace.folder, self.paths)

    def entries(self) -> list[Entry]:
        """Its files, as the manifest has them."""
        return self.entries_of(self.resolve())

    def entries_of(self, tree: Resolved) -> list[Entry]:
        """The files of a tree that it was found to be."""
        return trees.entries(self.store, tree.manifest)

    @property
    def store(self) -> ObjectStore:
        """Where its content is."""
        return ObjectStore(self.workspace.folder.objects)

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.resolve().bytes

    # ---- its files ---------------------------------------------------------------------------------------

    def to_path(self) -> list[str]:
        """The paths of its files, each beginning with ``/``."""
        return sorted("/" + entry["path"] for entry in self.entries())

    def download(
        self, target_path: str | None = None, overwrite: bool = False, ignore_not_found: bool = False
    ) -> list[str]:
        """Copy its files into a folder (default: a new temporary one); returns their paths.

        Raises ``Conflict`` for a file that is there already, unless *overwrite*; then nothing was written.
        """
        try:
            found = self.entries()
        except NotFound:
            if ignore_not_found:
                return []
            raise
        if target_path is not None:
            return [str(path) for path in copies.copy_out(self.store, found, Path(target_path), overwrite=overwrite)]
        folder = copies.temporary("dataset-")
        try:
            return [str(path) for path in copies.copy_out(self.store, found, folder)]
        except BaseException:
            copies.remove_folder(folder)
            raise

    def mount(self, mount_point: str | None = None, **_: Any) -> MountContext:
        """Its files in a folder of their own while a ``with`` block (or ``start()`` … ``stop()``) lasts."""
        return MountContext(self, mount_point)

    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        """This as an input called *name*."""
        return DatasetConsumptionConfig(name, self)

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """This as a mounted input with a name of its own."""
        return self._auto_named().as_mount(path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """This as a copied input with a name of its own."""
        return self._auto_named().as_download(path_on_compute)

    def _auto_named(self) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(f"input_{self.resolve().manifest[:8]}", self)

    # ---- parts -------------------------------------------------------------------------------------------

    def take(self, count: int) -> FileDataset:
        """The first *count* files."""
        return self._part(self._sorted()[: _count(count)])

    def skip(self, count: int) -> FileDataset:
        """All but the first *count* files."""
        return self._part(self._sorted()[_count(count) :])

    def take_sample(self, probability: float, seed: int | None = None) -> FileDataset:
        """Each file with this probability."""
        return self.random_split(probability, seed)[0]

    def random_split(self, percentage: float, seed: int | None = None) -> tuple[FileDataset, FileDataset]:
        """Two parts; each file is in the first with probability *percentage* (0 to 1)."""
        if not 0 <= percentage <= 1:
            raise BadInput(f"{percentage!r} is no share of the files", hint="give a number from 0 to 1")
        chance = random.Random(seed)
        parts: tuple[list[Entry], list[Entry]] = ([], [])
        for entry in self._sorted():
            parts[chance.random() >= percentage].append(entry)
        return self._part(parts[0]), self._part(parts[1])

    def _sorted(self) -> list[Entry]:
        return sorted(self.entries(), key=lambda entry: str(entry["path"]))

    def _part(self, files: list[Entry]) -> FileDataset:
        made = trees.put(self.store, files)
        return FileDataset(self.workspace, self.paths, tree=datastores.Resolved(made.id, made.count, made.bytes, None))

    # ---- the registry ------------------------------------------------------------------------------------

    def register(
        self,
        workspace: Workspace | None = None,
        name: str = "",
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        create_new_version: bool = False,
    ) -> FileDataset:
        """Register it as it is now; returns the registered version.

        The same content is the same version.  Raises ``Conflict`` for a name that has other content already, unless
        *create_new_version*.
        """
        if isinstance(workspace, str):
            raise BadInput(f"{workspace!r} is no workspace", hint=f"register(ws, {workspace!r})")
        check_name("dataset", name)
        said = _said(description, tags)
        place = workspace or self.workspace
        if place.folder.path != self.workspace.folder.path:
            raise BadInput(
                f"this data lies in workspace {self.workspace.name!r}, not in {place.name!r}",
                hint=f"download() it and upload it to {place.name!r}",
            )
        tree = self.resolve()

        def is_the_same(old: dict[str, Any]) -> bool:
            if (old["manifest"], old.get("file")) == (tree.manifest, tree.file):
                return True
            if create_new_version:
                return False
            raise Conflict(
                f"there is a dataset {name!r} already, with other content",
                hint="give create_new_version=True, or another name",
            )

        record = {
            "manifest": tree.manifest, "count": tree.count, "bytes": tree.bytes, "file": tree.file,
            "paths": [list(pair) for pair in self.paths], "tags": {}, **said,
        }  # fmt: skip
        registry = Versions(place.folder, "dataset")
        found, fresh = registry.add(name, record, unless=is_the_same)
        if not fresh and said:
            found = registry.annotate(name, found["version"], **said)
        return of_record(place, found)

    @staticmethod
    def get_by_name(workspace: Workspace, name: str, version: int | str = "latest") -> FileDataset:
        """The registered data set; raises ``NotFound`` that says which names or versions there are."""
        return of_record(workspace, Versions(folder_of(workspace), "dataset").get(name, version))

    @staticmethod
    def get_by_id(workspace: Workspace, id: str) -> FileDataset:  # noqa: A002 -- the reference's name
        """The registered data set with this id."""
        for record in Versions(folder_of(workspace), "dataset").records():
            if record["id"] == id:
                return of_record(workspace, record)
        raise NotFound(f"no dataset has the id {id!r}", hint="jupyter mlrun datasets --json shows them")

    @staticmethod
    def get_all(workspace: Workspace) -> dict[str, FileDataset]:
        """The latest version of each name."""
        return all_of(workspace)

    def update(self, description: str | None = None, tags: Mapping[str, str] | None = None) -> FileDataset:
        """Say something else of the registered version; *tags* replaces all tags."""
        change = _said(description, tags)
        if tags is not None:
            name, version = self._registered()
            there = Versions(self.workspace.folder, "dataset").get(name, version)["tags"]
            change["remove_tags"] = sorted(there.keys() - change["tags"].keys())
        return self._say(**change)

    def add_tags(self, tags: Mapping[str, str] | None = None) -> FileDataset:
        """Add tags to the registered version."""
        return self._say(**_said(None, tags or {}))

    def remove_tags(self, tags: Sequence[str] | None = None) -> FileDataset:
        """Take tags away from the registered version."""
        if isinstance(tags, str):
            raise BadInput("the names of tags are given as a list", hint=f"remove_tags([{tags!r}])")
        return self._say(remove_tags=[str(tag) for tag in tags or ()])

    def _say(self, **change: Any) -> FileDataset:
        name, version = self._registered()
        self._record = Versions(self.workspace.folder, "dataset").annotate(name, version, **change)
        return self

    def unregister_all_versions(self) -> None:
        """Forget every version of its name; runs that used one keep its content."""
        name, _ = self._registered()
        registry = Versions(self.workspace.folder, "dataset")
        for version in registry.versions(name):
            with suppress(NotFound):  # somebody else does the same
                # somebody may have just found it
                trees.touch(self.store, [registry.read(name, version)["manifest"]])
                registry.remove(name, version)
        self._record = None

    def _registered(self) -> tuple[str, int]:
        if self._record is None:
            raise BadInput("this dataset is not registered", hint="register it: dataset.register(ws, 'name')")
        return str(self._record["name"]), int(self._record["version"])

    # ---- not here ----------------------------------------------------------------------------------------

    def as_hdfs(self) -> NoReturn:
        """Not here."""
        raise NotImplementedError("FileDataset.as_hdfs is not here: use as_mount() or as_download()")

    def as_cache(self, datacache_store: Any) -> NoReturn:
        """Not here."""
        raise NotImplementedError("FileDataset.as_cache is not here: use as_mount(), which is shared by runs")

    def hydrate(self, datacache_store: Any, replica_count: int | None = None) -> NoReturn:
        """Not here."""
        raise NotImplementedError("FileDataset.hydrate is not here: use as_mount(), which is shared by runs")

    def file_metadata(self, col: str) -> NoReturn:
        """Not here."""
        raise NotImplementedError(f"FileDataset.file_metadata is not here: use to_path() and entries(); {_ALONE}")

    def filter(self, expression: Any) -> NoReturn:
        """Not here."""
        raise NotImplementedError(
            "FileDataset.filter is not here: use a pattern, Dataset.File.from_files((datastore, 'folder/**/*.png'))"
        )

    def get_partition_key_values(self, partition_keys: Any = None) -> NoReturn:
        """Not here."""
        raise NotImplementedError(f"FileDataset.get_partition_key_values is not here: use to_path(); {_ALONE}")

    def __getitem__(self, key: Any) -> NoReturn:
        raise NotImplementedError(f"FileDataset[…] is not here: use to_path(), take() and skip(); {_ALONE}")

    def __iter__(self) -> NoReturn:
        raise TypeError("a FileDataset is no list: use to_path() for the paths of its files")

    def __repr__(self) -> str:
        if self._record is not None:
            return f"FileDataset(name={self.name!r}, version={self.version}, {counted(self._record['count'], 'file')})"
        where = ", ".join(f"{store}/{path}" for store, path in self.paths) or "a part"
        # a part has the paths of the whole: its files tell it apart
        return f"FileDataset({where}, {counted(self._tree.count, 'file')})" if self._tree else f"FileDataset({where})"


class FileDatasetFactory:
    """``Dataset.File``.  Source: ``azureml.data.dataset_factory.FileDatasetFactory``."""

    @staticmethod
    def from_files(
        path: Any, validate: bool = True, partition_format: str | None = None, is_file: bool = False
    ) -> FileDataset:
        """A data set of what lies at *path*.

        Args:
            path: ``(datastore, 'folder/**/*.png')``, a ``DataPath``, a ``DataReference``, or a list of these.
            validate: look now whether anything is there.
            partition_format: not here.
            is_file: whether the path is one file.

        Raises ``NotFound`` where nothing matches, ``BadInput`` for what is no path on a datastore.
        """
        del is_file  # whether it is one file is seen when it is looked at
        if partition_format is not None:
            raise NotImplementedError(f"from_files(partition_format=…) is not here: use to_path(); {_ALONE}")
        pairs = [pair for item in (path if isinstance(path, list) else [path]) for pair in _pairs(item)]
        if not pairs:
            raise BadInput("no paths were given", hint="(datastore, 'path') or a list of these")
        workspace = pairs[0][0].workspace
        if any(store.workspace.folder.path != workspace.folder.path for store, _ in pairs):
            raise BadInput("these datastores are of several workspaces", hint="upload to one of them")
        made = FileDataset(workspace, [(store.name, place) for store, place in pairs])
        if validate:
            made.resolve()
        return made

    @staticmethod
    def upload_directory(
        src_dir: str, target: Any, pattern: str | None = None, overwrite: bool = False, show_progress: bool = True
    ) -> FileDataset:
        """Upload a folder to *target* (``(datastore, path)`` or a ``DataPath``) and give it as a data set."""
        if pattern is not None:
            raise NotImplementedError(
                "upload_directory(pattern=…) is not here: upload, then use from_files((datastore, 'folder/**/*.png'))"
            )
        pairs = _pairs(target)
        if len(pairs) != 1:
            raise BadInput(f"{target!r} is no one place", hint="(datastore, 'path') or a DataPath")
        store, place = pairs[0]
        store.upload(src_dir, place, overwrite, show_progress)
        return FileDataset(store.workspace, [(store.name, place)])


def _pairs(item: Any) -> list[tuple[Datastore, str]]:
    """The paths on datastores that somebody means."""
    if isinstance(item, (DataPath, DataReference)):
        return [(item.datastore, item.path_on_datastore or "")]
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Datastore):
        below = item[1] if isinstance(item[1], list) else [item[1]]
        return [(item[0], trees.clean(path)) for path in below]
    if isinstance(item, (str, os.PathLike)):
        raise _no_path(os.fspath(item))
    raise BadInput(f"{an(type(item).__name__)} is no path on a datastore", hint="(datastore, 'path') or a DataPath")


def _no_path(text: str) -> BadInput:
    """The cure for what is no path on a datastore: an address, or something on this computer."""
    if "://" in text:
        hint = "download it first (nothing is fetched from the network by itself), then %upload_data FILE"
    elif os.path.exists(os.path.expanduser(text)):
        hint = f"it is on this computer: %upload_data {text}, or datastore.upload(...); then (datastore, 'path')"
    else:
        hint = "name the datastore with it: (datastore, 'path'); Dataset.get_by_name(ws, 'name') for a data set"
    return BadInput(f"{text!r} is no path on a datastore", hint=hint)


class _Tabular:
    """``Dataset.Tabular``: not here; says what to use instead."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("__"):
            raise AttributeError(name)

        def absent(*_args: Any, **_options: Any) -> NoReturn:
            raise NotImplementedError(
                f"Dataset.Tabular.{name} is not here: make a Dataset.File, mount it and read it in the script "
                "with pandas (pandas.read_csv, read_parquet, read_json)"
            )

        return absent


class Dataset:
    """Data sets by name, and the ways to make one.  Source: ``azureml.core.Dataset``."""

    File = FileDatasetFactory
    Tabular = _Tabular()
    get_by_name = FileDataset.get_by_name
    get_by_id = FileDataset.get_by_id
    get_all = FileDataset.get_all


def of_record(workspace: Workspace, record: Mapping[str, Any]) -> FileDataset:
    """The data set of a registry's record."""
    try:
        tree = datastores.Resolved(record["manifest"], record["count"], record["bytes"], record.get("file"))
    except KeyError as problem:
        raise StoreError(
            f"the record of dataset {record.get('name')}:{record.get('version')} is damaged: it has no {problem}",
            hint="restore it from a backup",
        ) from problem
    return FileDataset(workspace, [(s, p) for s, p in record.get("paths", ())], tree=tree, record=record)


def all_of(workspace: Workspace) -> dict[str, FileDataset]:
    """The latest version of each registered name."""
    found = Versions(folder_of(workspace), "dataset").latest()
    return {name: of_record(workspace, record) for name, record in found.items()}


def of_manifest(workspace: Workspace, manifest_id: str) -> FileDataset:
    """The data set of a tree that has no name."""
    found = snapshot.read_manifest(ObjectStore(workspace.folder.objects), manifest_id)
    return FileDataset(workspace, tree=datastores.Resolved(manifest_id, found.count, found.bytes, None))


def _said(description: str | None, tags: Mapping[str, str] | None) -> dict[str, Any]:
    """What is said of a data set, as it is kept; nothing where nothing was said."""
    if description is not None and not isinstance(description, str):
        raise BadInput(f"a description is text, not {an(type(description).__name__)}")
    said: dict[str, Any] = {} if tags is None else {"tags": notes.texts(tags, "tags")}
    return said if description is None else {**said, "description": description}


def _count(count: int) -> int:
    try:
        found = operator.index(count)
    except TypeError:
        found = -1
    if found < 0:
        raise BadInput(f"{count!r} is no number of files", hint="give a whole number, 0 or more")
    return found
