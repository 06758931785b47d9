"""``Dataset`` and ``FileDataset``: files of the workspace as something that has a name and versions and goes into runs.

Reads datastores; writes ``datasets/NAME/VERSION.json`` (docs/format-data.md).
"""

from __future__ import annotations

import os
import random
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jupyter_mlrun.errors import BadInput, Conflict, NotFound
from jupyter_mlrun.sdk.datastore import DataPath, DataReference, Datastore, write_out
from jupyter_mlrun.store import datastores, snapshot, trees
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.store.registry import Versions
from jupyter_mlrun.worker import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from jupyter_mlrun.sdk.workspace import Workspace
    from jupyter_mlrun.store.datastores import Resolved
    from jupyter_mlrun.store.trees import Entry

INPUT_NAME = re.compile(r"[a-zA-Z_]\w*\Z", re.ASCII)
MODES = ("mount", "download", "direct")
_ALONE = "data sets are files here; work on them in the script, with os, pandas or pyarrow"


class DatasetConsumptionConfig:
    """A data set as an input of a run.  Source: ``azureml.data.dataset_consumption_config``.

    Args:
        name: of the input: ``run.input_datasets[name]``, and a variable of the run.
        dataset: what the run gets.
        mode: ``mount`` (read-only, shared), ``download`` (a writable copy) or ``direct`` (as mount).
        path_on_compute: where the run finds it; relative to its working folder.
    """

    def __init__(
        self, name: str, dataset: FileDataset, mode: str = "direct", path_on_compute: str | None = None
    ) -> None:
        if mode not in MODES:
            raise BadInput(f"{mode!r} is no mode of an input", hint="one of: " + ", ".join(MODES))
        self.name = name
        self.dataset, self.mode, self.path_on_compute = dataset, mode, path_on_compute

    @property
    def name(self) -> str:
        """The input's name."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        if not INPUT_NAME.match(str(name)):
            raise BadInput(f"{name!r} is no name for an input", hint="letters, digits and '_', no digit first")
        self._name = name

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """The same, mounted: read-only, shared with other runs."""
        return DatasetConsumptionConfig(self.name, self.dataset, "mount", path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """The same, as a copy that the run may change."""
        return DatasetConsumptionConfig(self.name, self.dataset, "download", path_on_compute)

    def as_hdfs(self) -> NoReturn:
        """Not here."""
        raise NotImplementedError("there is no HDFS here: use as_mount() or as_download()")

    def __repr__(self) -> str:
        return f"DatasetConsumptionConfig({self.name!r}, {self.dataset!r}, {self.mode!r})"


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
        """The registered version's id; None where it is not registered."""
        return str(self._record["manifest"])[:32] if self._record else None

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
    def data_changed_time(self) -> Any:
        """When the registered version was made, as a ``datetime`` in UTC."""
        from datetime import datetime, timezone

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
        return trees.entries(self._store, self.resolve().manifest)

    @property
    def _store(self) -> ObjectStore:
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

        Raises ``Conflict`` for a file that is there already, unless *overwrite*.
        """
        try:
            found = self.entries()
        except NotFound:
            if ignore_not_found:
                return []
            raise
        folder = Path(target_path or tempfile.mkdtemp(prefix="dataset-"))
        there = [e["path"] for e in found if os.path.lexists(folder / unpack.check_path(e["path"]))]
        if there and not overwrite:
            raise Conflict(
                f"{str(folder)!r} has {len(there)} of these files already, like {there[0]!r}",
                hint="give overwrite=True, or another folder",
            )
        reader = self._store.reader()
        try:
            for entry in found:
                write_out(reader, entry, folder, overwrite=overwrite, show=False)
        finally:
            reader.close()
        return [str(folder / entry["path"]) for entry in found]

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
        made = trees.put(self._store, files)
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
        place = workspace or self.workspace
        registry = Versions(place.folder, "dataset")
        tree = self.resolve()
        if registry.versions(name) and not create_new_version and registry.get(name)["manifest"] != tree.manifest:
            raise Conflict(
                f"there is a dataset {name!r} already, with other content",
                hint="give create_new_version=True, or another name",
            )
        record = {
            "manifest": tree.manifest, "count": tree.count, "bytes": tree.bytes, "file": tree.file,
            "paths": [list(pair) for pair in self.paths], "tags": dict(tags or {}), "description": description,
        }  # fmt: skip
        found, fresh = registry.add(name, record, unless=lambda old: bool(old["manifest"] == tree.manifest))
        if not fresh and (tags or description is not None):
            change = {"tags": dict(tags or {}), **({} if description is None else {"description": description})}
            found = registry.annotate(name, found["version"], **change)
        return of_record(place, found)

    def update(self, description: str | None = None, tags: Mapping[str, str] | None = None) -> FileDataset:
        """Say something else of the registered version; *tags* replaces all tags."""
        change: dict[str, Any] = {} if description is None else {"description": description}
        if tags is not None:
            change.update(tags=dict(tags), remove_tags=sorted(set(self.tags) - set(tags)))
        return self._say(**change)

    def add_tags(self, tags: Mapping[str, str] | None = None) -> FileDataset:
        """Add tags to the registered version."""
        return self._say(tags=dict(tags or {}))

    def remove_tags(self, tags: Sequence[str] | None = None) -> FileDataset:
        """Take tags away from the registered version."""
        return self._say(remove_tags=list(tags or ()))

    def _say(self, **change: Any) -> FileDataset:
        name, version = self._registered()
        self._record = Versions(self.workspace.folder, "dataset").annotate(name, version, **change)
        return self

    def unregister_all_versions(self) -> None:
        """Forget every version of its name."""
        name, _ = self._registered()
        registry = Versions(self.workspace.folder, "dataset")
        for version in registry.versions(name):
            registry.remove(name, version)
        self._record = None

    def _registered(self) -> tuple[str, int]:
        if self._record is None:
            raise BadInput("this dataset is not registered", hint="register it: dataset.register(ws, 'name')")
        return str(self._record["name"]), int(self._record["version"])

    # ---- not here ----------------------------------------------------------------------------------------

    def as_hdfs(self) -> NoReturn:
        """Not here."""
        raise NotImplementedError("there is no HDFS here: use as_mount() or as_download()")

    def as_cache(self, datacache_store: Any) -> NoReturn:
        """Not here."""
        raise NotImplementedError("mounted data is cached by itself: use as_mount()")

    def hydrate(self, datacache_store: Any, replica_count: int | None = None) -> NoReturn:
        """Not here."""
        raise NotImplementedError("mounted data is cached by itself: use as_mount()")

    def file_metadata(self, col: str) -> NoReturn:
        """Not here."""
        raise NotImplementedError(f"there are no metadata columns: use to_path() and entries(); {_ALONE}")

    def filter(self, expression: Any) -> NoReturn:
        """Not here."""
        raise NotImplementedError("filter by path: Dataset.File.from_files((datastore, 'folder/**/*.png'))")

    def get_partition_key_values(self, partition_keys: Any = None) -> NoReturn:
        """Not here."""
        raise NotImplementedError(f"files are not partitioned here; {_ALONE}")

    def __repr__(self) -> str:
        if self._record is not None:
            return f"FileDataset(name={self.name!r}, version={self.version}, {self._record['count']:,} files)"
        return f"FileDataset({', '.join(f'{store}/{path}' for store, path in self.paths) or 'a part'})"


class MountContext:
    """A data set's files in a folder, read-only, while it lasts."""

    def __init__(self, dataset: FileDataset, mount_point: str | None) -> None:
        self.dataset = dataset
        self._own = mount_point is None
        self._folder = mount_point or tempfile.mkdtemp(prefix="mount-")
        self._file = dataset.resolve().file

    @property
    def mount_point(self) -> str:
        """Where the files are; of a data set of one file, the file."""
        return os.path.join(self._folder, self._file) if self._file else self._folder

    def start(self) -> None:
        """Bring the files."""
        for path in self.dataset.download(self._folder, overwrite=True):
            os.chmod(path, 0o400)

    def stop(self) -> None:
        """Take them away again."""
        import shutil

        for entry in self.dataset.entries():
            Path(self._folder, entry["path"]).unlink(missing_ok=True)
        if self._own:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.stop()


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
            raise NotImplementedError(f"partition_format is not here; {_ALONE}")
        items = list(path) if isinstance(path, list) else [path]
        if not items:
            raise BadInput("no paths were given", hint="(datastore, 'path') or a list of these")
        pairs = [_pair(item) for item in items]
        made = FileDataset(pairs[0][0].workspace, [(store.name, place) for store, place in pairs])
        if validate:
            made.resolve()
        return made

    @staticmethod
    def upload_directory(
        src_dir: str, target: Any, pattern: str | None = None, overwrite: bool = False, show_progress: bool = True
    ) -> FileDataset:
        """Upload a folder to *target* (``(datastore, path)`` or a ``DataPath``) and give it as a data set."""
        if pattern is not None:
            raise NotImplementedError("pattern is not here: upload, then from_files((datastore, 'folder/**/*.png'))")
        store, place = _pair(target)
        store.upload(src_dir, place, overwrite, show_progress)
        return FileDataset(store.workspace, [(store.name, place)])


def _pair(item: Any) -> tuple[Datastore, str]:
    if isinstance(item, DataPath):
        return item.datastore, item.path_on_datastore
    if isinstance(item, DataReference):
        return item.datastore, item.path_on_datastore or ""
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Datastore):
        return item[0], trees.clean(item[1])
    if isinstance(item, str):
        raise BadInput(
            f"{item!r} is no path on a datastore",
            hint="upload it first: %upload_data, or datastore.upload(...); then (datastore, 'path')",
        )
    raise BadInput(f"a {type(item).__name__} is no path on a datastore", hint="(datastore, 'path') or a DataPath")


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

    @staticmethod
    def get_by_name(workspace: Workspace, name: str, version: int | str = "latest") -> FileDataset:
        """The registered data set; raises ``NotFound`` that says which names or versions there are."""
        return of_record(workspace, Versions(workspace.folder, "dataset").get(name, version))

    @staticmethod
    def get_by_id(workspace: Workspace, id: str) -> FileDataset:  # noqa: A002 -- the reference's name
        """The registered data set with this id."""
        for record in Versions(workspace.folder, "dataset").records():
            if record["manifest"].startswith(id) and len(id) >= 8:
                return of_record(workspace, record)
        raise NotFound(f"no dataset has the id {id!r}", hint="jupyter mlrun datasets lists them")

    @staticmethod
    def get_all(workspace: Workspace) -> dict[str, FileDataset]:
        """The latest version of each name."""
        return all_of(workspace)


def of_record(workspace: Workspace, record: Mapping[str, Any]) -> FileDataset:
    """The data set of a registry's record."""
    tree = datastores.Resolved(record["manifest"], record["count"], record["bytes"], record.get("file"))
    return FileDataset(workspace, [(s, p) for s, p in record.get("paths", ())], tree=tree, record=record)


def all_of(workspace: Workspace) -> dict[str, FileDataset]:
    """The latest version of each registered name."""
    registry = Versions(workspace.folder, "dataset")
    return {name: of_record(workspace, registry.get(name)) for name in registry.names()}


def of_manifest(workspace: Workspace, manifest_id: str) -> FileDataset:
    """The data set of a tree that has no name."""
    found = snapshot.read_manifest(ObjectStore(workspace.folder.objects), manifest_id)
    return FileDataset(workspace, tree=datastores.Resolved(manifest_id, found.count, found.bytes, None))


def _count(count: int) -> int:
    if count < 0:
        raise BadInput(f"{count!r} is no number of files")
    return count
