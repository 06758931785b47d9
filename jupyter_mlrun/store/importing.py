"""Runs out of an archive: everything is checked, then written aside, and only then there.

Reads an archive (docs/format-archive.md), which is believed in nothing; writes objects, manifests and, each by one
rename, run directories.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, Conflict, CorruptObject, JupyterMLRunError, NewerStore, NotFound, StoreError
from jupyter_mlrun.records import RUN_ID, Spec, experiment_name
from jupyter_mlrun.rundir import FILE_MODE, RunDir, dump_json, make_folder, read_json, sync_folder
from jupyter_mlrun.store import archive, holders, index, runs, snapshot
from jupyter_mlrun.store.packs import CHUNK, ObjectStore
from jupyter_mlrun.worker.unpack import check_path, link_stays_inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from jupyter_mlrun.store.home import WorkspaceDir

_BLOCK = 1 << 20
_ZEROS = bytes(_BLOCK)
_MOST_LISTING = 1 << 30
_DEFLATE = 1032  # no deflated byte gives more
_BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError,
    RuntimeError, NotImplementedError, OverflowError, MemoryError,
)  # fmt: skip


@dataclass
class Imported:
    """What came of it: ids of runs that are new, and of those that were there already."""

    new: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)


@dataclass
class _Archive:
    """An open archive whose listing makes sense."""

    zip: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]
    listing: dict[str, Any]
    say: Callable[[int, str], None]
    done: int = 0

    def blocks(self, name: str, size: int) -> Iterator[bytes]:
        """The bytes of a member, which must be *size*."""
        left = size
        with self.zip.open(self.members[name]) as file:
            while data := file.read(min(_BLOCK, left + 1)):
                left -= len(data)
                if left < 0:
                    break
                self.done += len(data)
                self.say(self.done, name)
                yield data
        if left:
            raise _damaged(self.zip, f"{name} has not the size that is listed")


def _damaged(file: zipfile.ZipFile | Path, why: object) -> BadInput:
    where = file.filename if isinstance(file, zipfile.ZipFile) else file
    return BadInput(
        f"{where} is no archive of runs, or is damaged: {why}", hint="nothing was imported; export it again"
    )


def total_bytes(path: Path) -> int:
    """How many bytes an import has to read; 0 for what is no archive."""
    try:
        with zipfile.ZipFile(path) as file:
            return sum(info.file_size for info in file.infolist())
    except (*_BROKEN, OSError):
        return 0


def import_(path: Path, place: WorkspaceDir, *, say: Callable[[int, str], None] | None = None) -> Imported:
    """Bring the runs of an archive into a workspace; those that are there already are left as they are.

    Args:
        path: the archive.
        place: the workspace; made where it is missing.
        say: told how many bytes were read, and of what.

    Raises ``BadInput`` for what is no archive, is damaged or leads outside, ``NewerStore`` for one that a newer
    program wrote, ``Conflict`` for another run with the same id, ``StoreError`` for a full disk; nothing is there then.
    """
    if not path.is_file():
        raise NotFound(f"{path} is no file", hint="jupyter mlrun export RUN… FILE makes one")
    try:
        with path.open("rb") as raw, zipfile.ZipFile(raw) as file:
            file.filename = str(path)
            found = _Archive(file, *_listing(file, os.fstat(raw.fileno()).st_size), say or (lambda _done, _what: None))
            _check_room(found, place)
            return _bring(found, place)
    except JupyterMLRunError:
        raise
    except RecursionError as problem:
        raise _damaged(path, "its listing is nested too deeply") from problem
    except _BROKEN as problem:
        raise _damaged(path, repr(problem)) from problem
    except OSError as problem:
        raise StoreError(
            f"the import into {place.path} failed: {problem.strerror or problem}",
            hint="nothing was imported; free space or permissions there",
        ) from problem


# ---- what the archive says -------------------------------------------------------------------------------


def _listing(file: zipfile.ZipFile, size: int) -> tuple[dict[str, zipfile.ZipInfo], dict[str, Any]]:
    members = {info.filename: info for info in file.infolist()}
    if len(members) != len(file.infolist()):
        raise _damaged(file, "a name is there twice")
    _check_members(file, members, size)
    if archive.LISTING not in members or members[archive.LISTING].file_size > _MOST_LISTING:
        raise _damaged(file, f"it has no {archive.LISTING}")
    listing = json.loads(file.read(archive.LISTING))
    if not isinstance(listing, dict) or listing.get("kind") != archive.KIND:
        raise _damaged(file, "it is of another kind")
    if not isinstance(listing.get("format"), int) or listing["format"] > archive.FORMAT:
        raise NewerStore(
            f"{file.filename} has format {listing.get('format')}; this program knows formats up to {archive.FORMAT}",
            hint="nothing was imported; upgrade jupyter_mlrun here: pip install -U jupyter-mlrun",
        )
    _check_listing(file, members, listing)
    return members, listing


def _check_members(file: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], size: int) -> None:
    """Sizes that cannot be, and whatever is no plain file."""
    if sum(info.compress_size for info in members.values()) > size:
        raise _damaged(file, "its members lie over each other")
    for name, info in members.items():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir() or kind not in (0, stat.S_IFREG) or info.flag_bits & 0x1:
            raise _damaged(file, f"{name!r} is no plain file")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _damaged(file, f"{name!r} is packed in an unknown way")
        if info.file_size > info.compress_size * _DEFLATE + 64:
            raise _damaged(file, f"{name!r} says that it has {info.file_size} bytes, which cannot be")


def _check_listing(file: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], listing: dict[str, Any]) -> None:
    """That every member is listed once, with its size, and that no path leads outside."""
    expected = {archive.LISTING: members[archive.LISTING].file_size}
    ids = [run["id"] for run in listing["runs"]]
    if not ids or len(set(ids)) != len(ids) or not all(RUN_ID.match(one) for one in ids):
        raise _damaged(file, "its runs have no ids, or the same")
    for run in listing["runs"]:
        for entry in _check_paths(file, run["files"]):
            if expected.setdefault(entry["member"], entry["size"]) != entry["size"] or entry["size"] < 0:
                raise _damaged(file, f"{entry['member']!r} is listed twice")
        if not set(run["manifests"]) <= set(listing["manifests"]):
            raise _damaged(file, f"a snapshot of {run['id']} is missing")
    for manifest_id in listing["manifests"]:
        _check_digest(file, manifest_id)
        name = f"manifests/{manifest_id}.json"
        expected[name] = members[name].file_size if name in members else -1
    for digest, size in listing["objects"].items():
        _check_digest(file, digest)
        if not 0 <= size <= CHUNK:
            raise _damaged(file, f"object {digest} has {size} bytes")
        expected[f"objects/{digest}"] = size
    if expected != {name: info.file_size for name, info in members.items()}:
        odd = sorted(set(expected.keys() ^ members.keys()) or {"a size"})
        raise _damaged(file, f"its listing does not fit what it has: {odd[0]!r}")


def _check_paths(file: zipfile.ZipFile, entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The entries that have bytes; all paths are looked at."""
    plain: set[str] = set()
    links: set[str] = set()
    for entry in entries:
        path = _path(file, entry["path"])
        if path in plain or path in links or path.split("/")[0] in archive.NOT_KEPT:
            raise _damaged(file, f"{path!r} is listed twice, or is no part of a run")
        if "link" in entry:
            if not link_stays_inside(path, entry["link"]) or "\0" in entry["link"]:
                raise _damaged(file, f"the link {path!r} leads outside")
            links.add(path)
        elif "same" in entry:
            if entry["same"] not in plain:
                raise _damaged(file, f"{path!r} is the same as nothing")
            plain.add(path)
        else:
            plain.add(path)
            yield entry
    for path in plain | links:
        steps = path.split("/")
        if any("/".join(steps[:n]) in plain or "/".join(steps[:n]) in links for n in range(1, len(steps))):
            raise _damaged(file, f"{path!r} lies in a file")


def _path(file: zipfile.ZipFile, path: str) -> str:
    try:
        return check_path(path)
    except CorruptObject as problem:
        raise _damaged(file, f"the path {path!r} leads outside") from problem


def _check_digest(file: zipfile.ZipFile, text: object) -> None:
    if not isinstance(text, str) or len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise _damaged(file, f"{text!r} is no digest")


def _check_room(found: _Archive, place: WorkspaceDir) -> None:
    folder = place.path
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    # what has become much smaller is mostly zeros, of which a hole is made
    needed = sum(min(info.file_size, 20 * info.compress_size) for info in found.members.values())
    if needed > free:
        raise StoreError(
            f"the import needs {needed:,} bytes and {folder} has {free:,}", hint="free space there: jupyter mlrun gc"
        )


# ---- what becomes of it ------------------------------------------------------------------------------------


def _bring(found: _Archive, place: WorkspaceDir) -> Imported:
    place.make()
    aside = place.tmp / f"import-{secrets.token_hex(4)}.{os.getpid()}"
    make_folder(aside)
    done = Imported()
    try:
        staged: list[tuple[RunDir, Path]] = []
        for run in found.listing["runs"]:
            final = runs.place(place, run["id"])
            made = _stage(found, run, aside / final.name, place)
            if _is_there(made, final):
                done.known.append(run["id"])
            else:
                staged.append((made, final))
        _bring_objects(found, place)
        for made, final in staged:
            run_id = made.run_id
            _into_place(made, final, done)
            if run_id not in done.known:
                done.new.append(run_id)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return done


def _into_place(made: RunDir, final: Path, done: Imported) -> None:
    run_id = made.run_id
    make_folder(final.parent)
    try:
        os.rename(made.path, final)
    except OSError:
        if not _is_there(made, final):
            raise
        done.known.append(run_id)  # another import was quicker
        return
    sync_folder(final.parent)


def _stage(found: _Archive, run: dict[str, Any], folder: Path, place: WorkspaceDir) -> RunDir:
    """Write the run's directory aside and look whether it is the directory of a run that has ended."""
    made = RunDir(folder)
    for one in (folder, *made.folders()):
        make_folder(one)
    for entry in run["files"]:
        path = folder / entry["path"]
        make_folder(path.parent)
        if "same" in entry:
            os.link(folder / entry["same"], path)
        elif "link" not in entry:
            _write(found, entry, path)
    for entry in run["files"]:
        if "link" in entry:  # last, so that no file can be written through a link
            os.symlink(entry["link"], folder / entry["path"])
    _check_run(found, run, made)
    _settle(made, place)
    for one in (folder, *made.folders()):
        sync_folder(one)
    return made


def _write(found: _Archive, entry: dict[str, Any], path: Path) -> None:
    """One file, checked against its digest; blocks of zeros become holes."""
    digest = hashlib.sha256()
    mode = 0o700 if entry.get("executable") is True else FILE_MODE
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb", buffering=0) as file:
        for data in found.blocks(entry["member"], entry["size"]):
            digest.update(data)
            _put(file, data)
        file.truncate()
        os.fsync(fd)
    if digest.hexdigest() != entry["sha256"]:
        raise _damaged(found.zip, f"{entry['member']} does not fit its digest")
    moment = int(entry.get("mtime", 0))
    if 0 < moment < 1 << 62:
        os.utime(path, ns=(moment, moment))


def _put(file: BinaryIO, data: bytes) -> None:
    if len(data) == _BLOCK and data == _ZEROS:
        file.seek(_BLOCK, os.SEEK_CUR)
        return
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _check_run(found: _Archive, run: dict[str, Any], made: RunDir) -> None:
    """Whether these files are what they say: a run with this id that is over, so that nobody will start it."""
    if made.path.joinpath("spec.json").is_symlink() or made.events.is_symlink() or made.exit.is_symlink():
        raise _damaged(found.zip, f"files of {run['id']} are links")
    try:
        data = read_json(made.spec)
        spec = Spec.from_json(data)
        state = runs.recorded(made)
        index.row_of(made, spec, state).to_json()
        needed = set(holders.of_run(made, spec))
    except (OSError, *_BROKEN) as problem:
        raise _damaged(found.zip, f"run {run['id']} cannot be read: {problem!r}") from problem
    if spec.run_id != run["id"] or not _is_sound(spec) or spec.experiment != experiment_name(spec.experiment):
        raise _damaged(found.zip, f"run {run['id']} is not what it says")
    if not state.is_over:
        raise BadInput(f"run {run['id']} of {found.zip.filename} has not ended", hint="nothing was imported")
    if not needed <= set(run["manifests"]):
        raise _damaged(found.zip, f"a snapshot of {run['id']} is missing")


def _is_sound(spec: Spec) -> bool:
    """Whether what the spec's parts hold is of the kind that everybody who reads it expects."""
    texts = (*spec.tags.values(), *spec.properties.values(), *spec.arguments)
    return all(isinstance(one, dict) for one in spec.inputs) and all(isinstance(one, str) for one in texts)


def _settle(made: RunDir, place: WorkspaceDir) -> None:
    """Let the spec name the workspace and the stores that it is in now."""
    data = runs.settled(read_json(made.spec), place)
    aside = made.path / ".spec.new"
    with aside.open("xb") as file:
        os.fchmod(file.fileno(), FILE_MODE)
        file.write(dump_json(data))
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, made.spec)


def _is_there(made: RunDir, final: Path) -> bool:
    """Whether *final* is the same run.  Raises ``Conflict`` where another run has its id."""
    if not os.path.lexists(final):
        return False
    try:
        if _identity(RunDir(final)) == _identity(made):
            return True
    except (OSError, ValueError, AttributeError):
        pass  # what cannot be read is not the same
    raise Conflict(
        f"there is another run with the id {made.run_id} in {final.parents[2]}",
        hint="nothing was imported; import into another workspace with -w NAME, or remove that run first",
    )


def _identity(run: RunDir) -> dict[str, Any]:
    data = read_json(run.spec)
    kept = {key: value for key, value in data.items() if key not in ("workspace", "objects", "inputs")}
    inputs = [{k: v for k, v in one.items() if k not in ("objects", "trees")} for one in data.get("inputs") or ()]
    return {**kept, "inputs": inputs}


def _bring_objects(found: _Archive, place: WorkspaceDir) -> None:
    """Put objects and then manifests into the store, all checked; without a run, gc takes them away again."""
    store = ObjectStore(place.objects)
    with store.writer() as writer:
        store.refresh()
        for digest, size in found.listing["objects"].items():
            data = b"".join(found.blocks(f"objects/{digest}", size))
            raw = hashlib.sha256(data).digest()
            if raw.hex() != digest:
                raise _damaged(found.zip, f"object {digest} does not fit its digest")
            if store.find(raw) is None:
                writer.put(data, raw)
        trees = [_tree(found, manifest_id) for manifest_id in found.listing["manifests"]]
        writer.seal()
        for manifest_id, fragments, total in trees:
            if snapshot.write_manifest(store, fragments, total) != manifest_id:
                raise _damaged(found.zip, f"the snapshot {manifest_id} does not fit its id")


def _tree(found: _Archive, manifest_id: str) -> tuple[str, dict[str, bytes], int]:
    """The parts of a manifest, once everything in it is as it must be."""
    name = f"manifests/{manifest_id}.json"
    data = json.loads(b"".join(found.blocks(name, found.members[name].file_size)))
    files = data["files"]
    text = json.dumps(files, sort_keys=True, separators=(",", ":")).encode("ascii")
    if hashlib.sha256(text).hexdigest() != manifest_id:
        raise _damaged(found.zip, f"{name} does not fit its id")
    by_folder: dict[str, list[dict[str, Any]]] = {}
    total = 0
    for entry in files:
        path = _path(found.zip, entry["path"])
        if "link" in entry:
            if not link_stays_inside(path, entry["link"]):
                raise _damaged(found.zip, f"the link {path!r} of a snapshot leads outside")
        else:
            sizes = [found.listing["objects"][digest] for digest in entry["chunks"]]
            if sum(sizes) != entry["size"]:
                raise _damaged(found.zip, f"{path!r} of a snapshot has not the size that it says")
            total += entry["size"]
        by_folder.setdefault(path.rpartition("/")[0], []).append(entry)
    return manifest_id, {folder: snapshot.fragment_of(part) for folder, part in by_folder.items()}, total
