"""``Datastore``: a named place for data in the workspace, and references to paths on it.

Reads and writes ``datastores/`` and the content store, through ``store.datastores``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jupyter_mlrun.errors import BadInput, Conflict, NotFound, StoreError
from jupyter_mlrun.rundir import dump_json, read_json_if_there, write_atomic
from jupyter_mlrun.sdk import copies, uploading
from jupyter_mlrun.sdk.consumption import INPUT_NAME, check_input_name
from jupyter_mlrun.sdk.places import folder_of
from jupyter_mlrun.store import trees
from jupyter_mlrun.store.datastores import DEFAULT, Contents
from jupyter_mlrun.store.registry import Named, check_name
from jupyter_mlrun.words import did_you_mean
from jupyter_mlrun.worker import unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_mlrun.sdk.workspace import Workspace


class Datastore:
    """A named place for data.  ``Datastore(workspace)`` is the default one, ``workspaceblobstore``.

    Its files lie in the workspace's content store: what is uploaded twice is stored once.  Raises ``NotFound`` for a
    name that is not registered.  Source: ``azureml.core.Datastore``.
    """

    datastore_type = "Local"

    def __init__(self, workspace: Workspace, name: str | None = None) -> None:
        self.workspace = workspace
        self.name = name or default_name(workspace)
        if self.name not in names(workspace):
            raise NotFound(f"no datastore {self.name!r}", hint=did_you_mean(self.name, names(workspace)))
        self.account_name = "local"
        self.container_name = str(workspace.folder.path)

    @staticmethod
    def get(workspace: Workspace, datastore_name: str) -> Datastore:
        """The datastore of that name."""
        return Datastore(workspace, datastore_name)

    @staticmethod
    def get_default(workspace: Workspace) -> Datastore:
        """The workspace's default datastore."""
        return Datastore(workspace)

    @staticmethod
    def register_local(workspace: Workspace, datastore_name: str) -> Datastore:
        """Make another datastore of this workspace."""
        Named(folder_of(workspace), "datastore").put(datastore_name, {"type": "local"}, replace=False)
        return Datastore(workspace, datastore_name)

    def set_as_default(self) -> None:
        """Make this the datastore that ``get_default_datastore`` gives."""
        set_default(self.workspace, self.name)

    def unregister(self) -> None:
        """Forget this datastore; data sets that were registered from it keep their content."""
        if self.name == DEFAULT:
            raise Conflict(f"{DEFAULT!r} belongs to every workspace and stays")
        if default_name(self.workspace) == self.name:
            set_default(self.workspace, DEFAULT)
        contents = Contents(self.workspace.folder, self.name)
        trees.touch(contents.store, contents.manifests())
        contents.remove()
        Named(self.workspace.folder, "datastore").remove(self.name)

    # ---- content ---------------------------------------------------------------------------------------

    def upload(
        self,
        src_dir: str | os.PathLike[str],
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Upload a folder; returns a reference to where it lies now.

        Only bytes that the workspace does not have yet are moved; a second time nothing is.  Everything becomes
        visible at once, at the end.

        Args:
            src_dir: the folder; links in it are followed.
            target_path: where on the datastore; None is its root.
            overwrite: replace files that are there and differ; else they stay, and are named.
            show_progress: print ``Uploading …`` and ``Uploaded …, 4 files out of an estimated total of 9``.
        """
        source = Path(src_dir).expanduser()
        if source.is_file():
            raise BadInput(f"{os.fspath(src_dir)!r} is a file", hint="use upload_files for single files")
        if not source.is_dir():
            raise NotFound(
                f"the folder {os.fspath(src_dir)!r} does not exist", hint=f"it was looked for at {source.absolute()}"
            )
        target = trees.clean(target_path or "")
        self._check_registered()
        say = uploading.lines(os.fspath(src_dir)) if show_progress else uploading.silent()
        uploading.upload(self.workspace, self.name, source, target, overwrite=overwrite, say=say)
        return DataReference(self, path_on_datastore=target or None)

    def _check_registered(self) -> None:
        if self.name not in names(self.workspace):
            raise NotFound(f"the datastore {self.name!r} was unregistered", hint="register it again")

    def upload_files(
        self,
        files: Sequence[str | os.PathLike[str]],
        relative_root: str | None = None,
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Upload these files; returns a reference to *target_path*.

        Args:
            files: paths; each keeps its path below *relative_root*.
            relative_root: a folder above all of them; default: the deepest that is.
            target_path: where on the datastore; None is its root.
            overwrite: replace files that are there and differ.
            show_progress: print what is uploaded.
        """
        target = trees.clean(target_path or "")
        named = _named(files, relative_root)
        self._check_registered()
        say = uploading.lines() if show_progress else uploading.silent()
        uploading.upload_files(self.workspace, self.name, named, target, overwrite=overwrite, say=say)
        return DataReference(self, path_on_datastore=target or None)

    def download(
        self, target_path: str, prefix: str | None = None, overwrite: bool = False, show_progress: bool = True
    ) -> int:
        """Copy what lies at *prefix* (default: everything) into the folder *target_path*.

        Returns the number of files; one that is there already stays unless *overwrite*.
        """
        path = trees.clean(prefix or "")
        view = Contents(self.workspace.folder, self.name).view()
        found = view.entries(path)
        if not found:
            raise view.nothing_at(path)
        folder, wanted = Path(target_path), []
        for entry in found:
            file = folder / unpack.check_path(entry["path"])
            if not overwrite and copies.is_there(file) and not copies.is_folder(file):
                if show_progress:
                    print(f"Target already exists. Skipping download for {file}")
            else:
                wanted.append(entry)
        lines = uploading.counted_lines("Downloaded", len(wanted)) if show_progress else lambda _: None
        copies.copy_out(view.store, wanted, folder, overwrite=overwrite, each=lines)
        return len(wanted)

    # ---- references ------------------------------------------------------------------------------------

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataReference:
        """A reference to a path on this datastore."""
        return DataReference(self, data_reference_name, trees.clean(path or "") or None)

    def as_mount(self) -> DataReference:
        """A reference to its root, mounted in a run."""
        return DataReference(self).as_mount()

    def as_download(self, path_on_compute: str | None = None) -> DataReference:
        """A reference to its root, copied for a run."""
        return DataReference(self).as_download(path_on_compute)

    def as_upload(self, path_on_compute: str | None = None) -> NoReturn:
        """Not here: what a run leaves in ./outputs is kept."""
        raise NotImplementedError(_NO_OUTPUT)

    @property
    def is_sas(self) -> bool:
        """Whether it is reached by a shared access signature: never."""
        return False

    def __repr__(self) -> str:
        return f"Datastore(name={self.name!r}, workspace={self.workspace.name!r})"


_NO_OUTPUT = (
    "a run does not upload to datastores by itself: leave files in ./outputs, or call run.upload_folder(...) or "
    "datastore.upload(...) in the script"
)
_REMOTE = (
    "register_azure_blob_container", "register_azure_file_share", "register_azure_data_lake",
    "register_azure_data_lake_gen2", "register_azure_sql_database", "register_azure_postgre_sql",
    "register_azure_my_sql", "register_dbfs", "register_hdfs",
)  # fmt: skip


def _absent(name: str) -> Any:
    def absent(*_args: Any, **_options: Any) -> NoReturn:
        raise NotImplementedError(
            f"Datastore.{name} is not here: data lies in the workspace; copy it in with datastore.upload(...) or "
            "%upload_data, or read it in the script with fsspec"
        )

    absent.__name__ = name
    absent.__doc__ = "Not here; says what to use instead."
    return staticmethod(absent)


for _name in _REMOTE:
    setattr(Datastore, _name, _absent(_name))


class DataReference:
    """A path on a datastore that a run gets; ``str()`` is what goes into its arguments.

    Source: ``azureml.data.data_reference.DataReference``.
    """

    def __init__(
        self,
        datastore: Datastore,
        data_reference_name: str | None = None,
        path_on_datastore: str | None = None,
        mode: str = "mount",
        path_on_compute: str | None = None,
        overwrite: bool = False,
    ) -> None:
        if mode not in ("mount", "download"):
            raise (
                NotImplementedError(_NO_OUTPUT)
                if mode == "upload"
                else BadInput(f"{mode!r} is no mode", hint="mount or download")
            )
        self.datastore, self.path_on_datastore = datastore, trees.clean(path_on_datastore or "") or None
        self.data_reference_name = check_input_name(data_reference_name or self._default_name())
        self.mode, self.path_on_compute, self.overwrite = mode, path_on_compute, overwrite

    def _default_name(self) -> str:
        from hashlib import sha256

        if self.path_on_datastore is None and INPUT_NAME.match(self.datastore.name):
            return self.datastore.name
        text = f"{self.datastore.name}/{self.path_on_datastore or ''}"
        return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32].translate(_LETTERS)

    @staticmethod
    def create(
        data_reference_name: str | None = None, datapath: DataPath | None = None, datapath_compute_binding: Any = None
    ) -> DataReference:
        """A reference to a ``DataPath``."""
        if datapath is None:
            raise BadInput("a DataReference needs a datapath", hint="give a DataPath(datastore, 'path')")
        return datapath.create_data_reference(data_reference_name, datapath_compute_binding)

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataReference:
        """The same, further down."""
        joined = "/".join(filter(None, (self.path_on_datastore, trees.clean(path or ""))))
        return DataReference(self.datastore, data_reference_name, joined or None, self.mode)

    def as_mount(self) -> DataReference:
        """The same, mounted."""
        return self._as("mount", None)

    def as_download(self, path_on_compute: str | None = None, overwrite: bool = False) -> DataReference:
        """The same, copied for the run."""
        return self._as("download", path_on_compute, overwrite=overwrite)

    def as_upload(self, path_on_compute: str | None = None, overwrite: bool = False) -> NoReturn:
        """Not here: what a run leaves in ./outputs is kept."""
        raise NotImplementedError(_NO_OUTPUT)

    def _as(self, mode: str, path_on_compute: str | None, *, overwrite: bool = False) -> DataReference:
        name, path = self.data_reference_name, self.path_on_datastore
        return DataReference(self.datastore, name, path, mode, path_on_compute, overwrite)

    def to_config(self) -> DataReference:
        """As a run configuration holds it: this."""
        return self

    def __str__(self) -> str:
        return f"$AZUREML_DATAREFERENCE_{self.data_reference_name}"

    def __repr__(self) -> str:
        return f"DataReference({self.datastore.name!r}, {self.path_on_datastore!r}, {self.mode!r})"


# a name of a variable cannot begin with a digit
_LETTERS = str.maketrans("0123456789", "ghijklmnop")


class DataPath:
    """A path on a datastore.  Source: ``azureml.data.datapath.DataPath``."""

    def __init__(
        self, datastore: Datastore | None = None, path_on_datastore: str | None = None, name: str | None = None
    ) -> None:
        if datastore is None:
            raise BadInput("a DataPath needs a datastore", hint="DataPath(datastore, 'folder')")
        self.datastore, self.name = datastore, name
        self.path_on_datastore = trees.clean(path_on_datastore or "")

    @property
    def datastore_name(self) -> str:
        """The datastore's name."""
        return self.datastore.name

    def create_data_reference(
        self, data_reference_name: str | None = None, datapath_compute_binding: Any = None
    ) -> DataReference:
        """A reference to it."""
        if datapath_compute_binding is not None:
            raise NotImplementedError("a DataPathComputeBinding is not here: use as_mount() or as_download()")
        return DataReference(self.datastore, data_reference_name, self.path_on_datastore or None)

    @staticmethod
    def create_from_data_reference(data_reference: DataReference) -> DataPath:
        """The path that a reference has."""
        return DataPath(data_reference.datastore, data_reference.path_on_datastore)


# ---- the workspace's -----------------------------------------------------------------------------------


def names(workspace: Workspace) -> list[str]:
    """The names of a workspace's datastores."""
    return sorted({DEFAULT, *Named(folder_of(workspace), "datastore").names()})


def default_name(workspace: Workspace) -> str:
    """The name of the default datastore."""
    path = folder_of(workspace).path / "datastore.json"
    try:
        found = (read_json_if_there(path) or {}).get("default")
    except (ValueError, AttributeError) as problem:
        raise StoreError(f"{path} is damaged: {problem}", hint="choose the default datastore again") from problem
    # one that was unregistered is no default any more
    return found if found in names(workspace) else DEFAULT


def set_default(workspace: Workspace, name: str) -> None:
    """Make *name* the default datastore."""
    check_name("datastore", name)
    Datastore(workspace, name)
    workspace.folder.make()
    write_atomic(workspace.folder.path / "datastore.json", dump_json({"default": name}))


def _named(files: Sequence[str | os.PathLike[str]], relative_root: str | None) -> dict[str, str]:
    """The absolute paths of files, with what each is called below the root."""
    if isinstance(files, (str, os.PathLike)) or not files:
        raise BadInput(f"{files!r} is no list of files", hint="give a list: upload_files(['data/a.csv'])")
    paths = [os.path.abspath(os.path.expanduser(file)) for file in files]
    for given, path in zip(files, paths, strict=True):
        if os.path.isdir(path):
            raise BadInput(f"{os.fspath(given)!r} is a folder", hint="use upload for folders")
        if not os.path.isfile(path):
            raise NotFound(f"the file {os.fspath(given)!r} does not exist", hint=f"it was looked for at {path}")
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    if relative_root is not None:
        top = os.path.abspath(os.path.expanduser(relative_root))
        if os.path.commonpath([root, top]) != top:
            outside = next(path for path in paths if os.path.commonpath([path, top]) != top)
            raise BadInput(f"{outside!r} is not below {relative_root!r}", hint="give a folder above all files")
        root = top
    return {path: os.path.relpath(path, root) for path in paths}
