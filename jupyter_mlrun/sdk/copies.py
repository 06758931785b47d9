"""Files of the content store copied to where somebody wants them, for a while or for good.

Reads the content store; writes the user's folder, each file whole or not at all.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import Conflict, CorruptObject, StoreError
from jupyter_mlrun.rundir import remove_if_there, write_all
from jupyter_mlrun.worker import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from jupyter_mlrun.sdk.dataset import FileDataset
    from jupyter_mlrun.store.packs import ObjectStore
    from jupyter_mlrun.store.trees import Entry

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CURE = "give overwrite=True, or another folder"


def copy_out(
    store: ObjectStore,
    files: Sequence[Entry],
    folder: Path,
    *,
    overwrite: bool = False,
    each: Callable[[Path], None] = lambda _: None,
) -> list[Path]:
    """Write *files* into *folder*, which is made; returns their paths.  *each* is told of each that is there now.

    Nothing is written where something is in the way.  Raises ``Conflict`` for that, unless *overwrite* and it is a
    file, and ``StoreError`` where there is no space.
    """
    paths = [folder / unpack.check_path(entry["path"]) for entry in files]
    _check(folder, paths, overwrite=overwrite)
    try:
        # links last, so that no file is written through one
        for entry, path in sorted(zip(files, paths, strict=True), key=lambda pair: "link" in pair[0]):
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(store, entry, path)
            each(path)
    except OSError as problem:
        raise StoreError(
            f"{problem.filename or folder} cannot be written: {problem.strerror or problem}",
            hint="free space or permissions there",
        ) from problem
    finally:
        store.close()
    return paths


def is_there(path: Path) -> bool:
    """Whether something has this name, also a link that leads nowhere."""
    return os.path.lexists(path)


def is_folder(path: Path) -> bool:
    """Whether a folder, and no link to one, has this name."""
    return path.is_dir() and not path.is_symlink()


def _check(folder: Path, paths: Sequence[Path], *, overwrite: bool) -> None:
    """Find what is in the way before anything is written."""
    if is_there(folder) and not folder.is_dir():
        raise Conflict(f"{folder} is no folder", hint="give a folder, or a name that nothing has")
    there = [path for path in paths if is_there(path)]
    for path in there:
        if is_folder(path):
            raise Conflict(f"{path} is a folder, where a file is to be", hint="move it away, or choose another folder")
    if there and not overwrite:
        more = f", and {len(there) - 1:,} more of these files" if len(there) > 1 else ""
        raise Conflict(f"{there[0]} exists already{more}", hint=_CURE)
    for parent in sorted({path.parent for path in paths}):
        for step in (parent, *parent.parents):
            if step == folder:
                break
            if is_there(step) and not is_folder(step):  # a link to a folder leads elsewhere
                raise Conflict(f"{step} is no folder", hint="move it away, or choose another folder")


def _write(store: ObjectStore, entry: Entry, path: Path) -> None:
    aside = path.with_name(f".{secrets.token_hex(6)}.new")
    try:
        if "link" in entry:
            if not unpack.link_stays_inside(entry["path"], entry["link"]):
                raise CorruptObject(f"a manifest has a link {entry['path']!r} that leads outside")
            os.symlink(entry["link"], aside)
        else:
            fd = os.open(aside, _FLAGS, 0o700 if entry.get("executable") else 0o600)
            try:
                for digest in entry["chunks"]:
                    write_all(fd, store.get(digest))
            finally:
                os.close(fd)
        os.replace(aside, path)
    except BaseException:
        remove_if_there(aside)
        raise


class MountContext:
    """A data set's files in a folder, read-only, while it lasts: ``with dataset.mount() as mounted: …``.

    The folder must be empty, or not be there.  Source: ``azureml.data.context_managers.DatasetContextManager``.
    """

    def __init__(self, dataset: FileDataset, mount_point: str | os.PathLike[str] | None = None) -> None:
        self.dataset = dataset
        self._folder = Path(mount_point or Path(tempfile.gettempdir(), f"mount-{secrets.token_hex(6)}"))
        self._tree = dataset.resolve()
        self._files: list[Path] | None = None
        self._folders: set[Path] = set()
        self._made = False

    @property
    def mount_point(self) -> str:
        """Where the files are; of a data set of one file, the file."""
        return str(self._folder / self._tree.file if self._tree.file else self._folder)

    def start(self) -> None:
        """Bring the files.  Raises ``Conflict`` for a folder that has something in it."""
        if self._files is not None:
            raise Conflict(f"{self._folder} is mounted already", hint="stop() ends it")
        if is_there(self._folder) and not (self._folder.is_dir() and not any(self._folder.iterdir())):
            raise Conflict(f"{self._folder} is not an empty folder", hint="choose another mount_point, or none")
        self._made = not self._folder.exists()
        self._files = []
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files = self.dataset.entries_of(self._tree)
            self._folders = {(self._folder / entry["path"]).parent for entry in files}
            copy_out(self.dataset.store, files, self._folder, each=self._keep)
        except BaseException:
            self.stop()
            raise

    def _keep(self, path: Path) -> None:
        assert self._files is not None, "it is being started"
        self._files.append(path)
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o500)

    def stop(self) -> None:
        """Take them away again; what somebody else has put there stays."""
        files, self._files = self._files, None
        for path in files or ():
            remove_if_there(path)
        for folder in _between(self._folder, self._folders):
            _remove_if_empty(folder)
        if files is not None and self._made:
            _remove_if_empty(self._folder)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.stop()


def _between(top: Path, folders: Iterable[Path]) -> list[Path]:
    """These folders and those between them and *top*, the innermost first."""
    found: set[Path] = set()
    for folder in folders:
        while folder != top and folder not in found:
            found.add(folder)
            folder = folder.parent  # noqa: PLW2901 -- one step up
    return sorted(found, key=lambda folder: -len(folder.parts))


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def temporary(prefix: str) -> Path:
    """A new folder of this user alone."""
    return Path(tempfile.mkdtemp(prefix=prefix))


def remove_folder(folder: Path) -> None:
    """Remove a folder that was made here."""
    shutil.rmtree(folder, ignore_errors=True)
