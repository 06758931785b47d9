"""Runs as one file: a zip archive with their directories and everything that their snapshots and inputs need.

Reads run directories and the content store; writes the archive, whole or not at all (docs/format-archive.md).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun._version import __version__
from jupyter_mlrun.errors import BadInput, Conflict, StoreError
from jupyter_mlrun.rundir import FILE_MODE, dump_json, remove_if_there
from jupyter_mlrun.rundir import FORMAT as FILE_FORMAT
from jupyter_mlrun.store import holders, runs, snapshot
from jupyter_mlrun.store.packs import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import BinaryIO

    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.store.home import WorkspaceDir

    Progress = Callable[[int, str], None]

FORMAT = 1
KIND = "jupyter_mlrun runs"
LISTING = "contents.json"
# of a run directory: values of variables, working copies, and what is made anew
NOT_KEPT = frozenset({"env.json", "work", "inputs", "run.html"})
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same runs make the same archive
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Exported:
    """What came of it: the runs' ids, the bytes that went in, and what could not be taken with the reason."""

    runs: list[str]
    bytes: int
    left_out: list[tuple[str, str]]


@dataclass
class _Writer:
    zip: zipfile.ZipFile
    say: Progress
    done: int = 0
    odd: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def member(self, name: str) -> str:
        """A member's name for a file of this name, whose bytes may be no UTF-8."""
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            self.odd += 1
            return f"odd/{self.odd}"
        return name

    def put(self, name: str, data: bytes) -> None:
        """A member whose bytes are at hand."""
        self.zip.writestr(_info(name, data[:_BLOCK]), data)
        self._count(len(data), name)

    def put_file(self, name: str, file: BinaryIO) -> dict[str, Any]:
        """A member with everything that *file* gives; its size and digest."""
        digest, size = hashlib.sha256(), 0
        data = file.read(_BLOCK)
        with self.zip.open(_info(name, data), "w", force_zip64=True) as member:
            while data:
                digest.update(data)
                size += len(data)
                member.write(data)
                self._count(len(data), name)
                data = file.read(_BLOCK)
        return {"size": size, "sha256": digest.hexdigest()}

    def _count(self, size: int, name: str) -> None:
        self.done += size
        self.say(self.done, name)


def _info(name: str, start: bytes) -> zipfile.ZipInfo:
    """A member's head: what does not get smaller (weights, images) is stored as it is."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.external_attr = (stat.S_IFREG | FILE_MODE) << 16
    smaller = len(zlib.compress(start[:65536], 1)) < 0.9 * len(start[:65536])
    info.compress_type = zipfile.ZIP_DEFLATED if smaller else zipfile.ZIP_STORED
    return info


def total_bytes(found: Iterable[tuple[WorkspaceDir, RunDir]]) -> int:
    """About how many bytes an archive of these runs has to read."""
    total = 0
    for _, run in found:
        total += sum(info.st_size for _, info in _entries(run) if stat.S_ISREG(info.st_mode))
        spec = runs.read_spec(run)
        total += int((spec.snapshot or {}).get("bytes", 0)) + sum(int(one.get("bytes") or 0) for one in spec.inputs)
    return total


def export(
    found: Sequence[tuple[WorkspaceDir, RunDir]], target: Path, *, overwrite: bool = False, say: Progress | None = None
) -> Exported:
    """Write an archive of runs that have ended, with their snapshots and inputs.

    Args:
        found: the runs, each with its workspace.
        target: the archive; it appears when it is whole.
        overwrite: whether a file of that name may be replaced.
        say: told how many bytes were read, and of what.

    Raises ``Conflict`` for a run that is active or a *target* that exists, ``StoreError`` for a full disk.
    """
    _check(found, target, overwrite=overwrite)
    aside = target.with_name(f".{secrets.token_hex(6)}.new")
    try:
        with _unnamed(aside) as file:
            with zipfile.ZipFile(file, "w", allowZip64=True) as made:
                writer = _Writer(made, say or (lambda _done, _what: None))
                made.writestr(_info(LISTING, b" " * 100), dump_json(_fill(writer, found)))
            file.flush()
            os.fsync(file.fileno())
            _into_place(file.fileno(), aside, target, overwrite=overwrite)
    except OSError as problem:
        raise StoreError(
            f"{target} cannot be written: {problem.strerror or problem}",
            hint="nothing was left behind; free space or permissions there",
        ) from problem
    finally:
        remove_if_there(aside)
    return Exported([runs.read_spec(run).run_id for _, run in found], writer.done, writer.left_out)


def _check(found: Sequence[tuple[WorkspaceDir, RunDir]], target: Path, *, overwrite: bool) -> None:
    if target.is_dir() or (os.path.lexists(target) and not overwrite):
        what, more = ("is a folder", "") if target.is_dir() else ("exists already", ", or allow it with --overwrite")
        raise Conflict(f"{target} {what}", hint=f"give the archive another name{more}")
    seen: dict[str, WorkspaceDir] = {}
    for place, run in found:
        state = runs.recorded(run)
        run_id = runs.read_spec(run).run_id
        if not state.is_over:
            raise Conflict(f"run {run_id} is {state.shown}", hint=f"wait for it: jupyter mlrun wait {run_id}")
        if seen.setdefault(run_id, place) is not place:
            raise BadInput(f"run {run_id} is in two workspaces", hint="make an archive of each")


def _unnamed(aside: Path) -> BinaryIO:
    """A file without a name, so that a kill leaves nothing; *aside* where the file system has no such files."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        fd = os.open(aside.absolute().parent, flags | os.O_TMPFILE, FILE_MODE)
    except (OSError, AttributeError):
        fd = os.open(aside, flags | os.O_CREAT | os.O_EXCL, FILE_MODE)
    return os.fdopen(fd, "w+b")


def _into_place(fd: int, aside: Path, target: Path, *, overwrite: bool) -> None:
    """Give the file its name: at once, so that a kill leaves no other."""
    folder = os.open(target.absolute().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    unnamed = not os.path.lexists(aside)
    # with a folder's descriptor Python calls linkat, which follows to the file without a name
    source = f"/proc/self/fd/{fd}" if unnamed else aside
    try:
        if overwrite:
            if unnamed:
                os.link(source, aside.name, dst_dir_fd=folder, follow_symlinks=True)
            os.replace(aside, target)
        else:
            os.link(source, target.name, dst_dir_fd=folder, follow_symlinks=True)
        os.fsync(folder)
    except FileExistsError as problem:
        raise Conflict(
            f"{target} exists already", hint="give the archive another name, or allow it with --overwrite"
        ) from problem
    except OSError:
        if unnamed or overwrite:
            raise
        os.rename(aside, target)  # a file system without hard links
    finally:
        os.close(folder)


def _fill(writer: _Writer, found: Sequence[tuple[WorkspaceDir, RunDir]]) -> dict[str, Any]:
    """Write every member but the listing; returns the listing."""
    listing: dict[str, Any] = {"format": FORMAT, "kind": KIND, "by": __version__, "made": time.time(), "runs": []}
    manifests: dict[str, ObjectStore] = {}
    for place, run in found:
        spec = runs.read_spec(run)
        needed = sorted(set(holders.of_run(run, spec)))
        listing["runs"].append(
            {"id": spec.run_id, "files": list(_put_files(writer, run, spec.run_id)), "manifests": needed}
        )
        for manifest in needed:
            manifests.setdefault(manifest, ObjectStore(place.objects))
    listing["manifests"] = sorted(manifests)
    listing["objects"] = _put_objects(writer, manifests)
    return listing


def _entries(run: RunDir) -> Iterator[tuple[str, os.stat_result]]:
    """Every file of a run that is kept, by its path, in order."""
    for folder, folders, names in os.walk(run.path):
        if Path(folder) == run.path:
            folders[:] = [name for name in folders if name not in NOT_KEPT]
            names = [name for name in names if name not in NOT_KEPT]  # noqa: PLW2901 -- what is left to see
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted((*names, *links)):
            if name.endswith((".lock", ".new")) and (name.startswith(".") or Path(folder) == run.path):
                continue
            path = os.path.join(folder, name)
            with suppress(FileNotFoundError):  # somebody has removed it since
                yield os.path.relpath(path, run.path), os.lstat(path)


def _put_files(writer: _Writer, run: RunDir, run_id: str) -> Iterator[dict[str, Any]]:
    names: dict[tuple[int, int], str] = {}  # the log has two names
    for path, info in _entries(run):
        if stat.S_ISLNK(info.st_mode):
            target = _link_inside(run.path, path)
            if target is None:
                writer.left_out.append((f"{run_id}: {path}", "a link that leads out of the run, or nowhere"))
            else:
                yield {"path": path, "link": target}
        elif not stat.S_ISREG(info.st_mode):
            writer.left_out.append((f"{run_id}: {path}", "neither file nor link"))
        elif (info.st_dev, info.st_ino) in names:
            yield {"path": path, "same": names[info.st_dev, info.st_ino]}
        else:
            fd = os.open(run.path / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(fd, "rb") as file:
                member = writer.member(f"runs/{run_id}/{path}")
                kept = writer.put_file(member, file)
            names[info.st_dev, info.st_ino] = path
            more = {"executable": True} if info.st_mode & 0o100 else {}
            yield {"path": path, "member": member, **kept, "mtime": info.st_mtime_ns, **more}


def _link_inside(root: Path, path: str) -> str | None:
    """Where a link of a run leads, from where it stands; None where that is not a file or folder of the run."""
    base = os.path.realpath(root)
    real = os.path.realpath(root / path)
    if not os.path.exists(real) or not real.startswith(f"{base}{os.sep}"):
        return None
    inside = os.path.relpath(real, base)
    if inside.split(os.sep)[0] in NOT_KEPT:
        return None
    return os.path.relpath(inside, os.path.dirname(path) or ".")


def _put_objects(writer: _Writer, manifests: dict[str, ObjectStore]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for manifest_id, store in sorted(manifests.items()):
        manifest = snapshot.read_manifest(store, manifest_id)  # checked against its id
        listed = {"format": FILE_FORMAT, "id": manifest.id, "bytes": manifest.bytes, "files": manifest.files}
        writer.put(f"manifests/{manifest_id}.json", dump_json(listed))
        for digest in manifest.digests():
            if digest not in sizes:
                data = store.get(digest)  # checked against its digest
                writer.put(f"objects/{digest}", data)
                sizes[digest] = len(data)
        store.close()
    return sizes
