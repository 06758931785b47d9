"""Which files a model is to have, found in a run or in a folder; and where they lie when it is used.

Reads run directories and local folders; writes ``azureml-models/NAME/VERSION/`` of the current folder.
"""

from __future__ import annotations

import difflib
import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, NotFound, StoreError
from jupyter_mlrun.rundir import dump_json, read_json, write_new
from jupyter_mlrun.store import keep, placing, trees
from jupyter_mlrun.worker import runfiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_mlrun.sdk.run import Run
    from jupyter_mlrun.store.packs import ObjectStore

_MARK = ".jupyter_mlrun.json"
_SHOWN = 12


@dataclass(frozen=True)
class Found:
    """The files of a model that is to be: *path* as it was named, *root* the name that it gets when downloaded."""

    files: keep.Files
    path: str
    root: str
    single: bool


# ---- in a folder -------------------------------------------------------------------------------------------


def local(path: Path, children: Sequence[str] | None = None) -> Found:
    """The file or folder at *path*; of a folder only *children* where some are given."""
    if not os.path.exists(path):  # also where the name is too long for one
        raise _nothing_at(path)
    place = Path(os.path.abspath(path))
    if not place.is_dir():
        # the link itself was named, so what it leads to is meant
        real = keep.one_file(Path(os.path.realpath(place)), Path("/"))
        return Found(keep.Files({place.name: real}), str(path), place.name, single=True)
    files = keep.below(place)
    if children is not None:
        files = _children(files, place, [_steps(str(child)) for child in children])
    if not files.files:
        raise NotFound(f"the folder {path} has no files", hint="give the folder that has the model's files")
    return Found(files, str(path), place.name or "model", single=False)


def _children(files: keep.Files, place: Path, children: list[str]) -> keep.Files:
    names = [*files.files, *files.links]
    for child in children:
        if not any(_lies_in(name, child) for name in names):
            raise NotFound(f"{place} has no {child!r}", hint=_listing(child, names, "it has"))
    return files.only(lambda name: any(_lies_in(name, child) for child in children), place)


def _lies_in(name: str, folder: str) -> bool:
    return folder in ("", name) or name.startswith(f"{folder}/")


def _nothing_at(path: Path) -> NotFound:
    if os.path.lexists(path):
        return NotFound(f"{path} is a link that leads nowhere", hint=f"it leads to {os.readlink(path)}")
    folder = path.parent
    while not os.path.isdir(folder):
        folder = folder.parent
    names = sorted(os.listdir(folder))
    wanted = path.relative_to(folder).parts[0]
    return NotFound(f"{path} does not exist", hint=_listing(wanted, names, f"in {folder.absolute()} there is"))


# ---- in a run ----------------------------------------------------------------------------------------------


def of_run(run: Run, path: str) -> Found:
    """The file or folder of *run* that *path* names; ``outputs/*.pt`` names several."""
    there = dict(runfiles.choose(run.directory, ""))
    names = sorted(there)
    wanted = _in_run(run, path)
    if wanted in there:
        files = keep.Files({wanted.rpartition("/")[2]: keep.one_file(Path(there[wanted]), run.path)})
        return Found(files, wanted, wanted.rpartition("/")[2], single=True)
    if trees.is_pattern(wanted):
        return _matching(run, wanted, there)
    if not wanted or not any(name.startswith(f"{wanted}/") for name in names):
        hint = _listing(wanted, names, "it has") + "; save it in ./outputs, or call run.upload_file() first"
        raise NotFound(f"run {run.id} has no file or folder {path!r}", hint=hint)
    return Found(_folder(run, wanted, names), wanted, wanted.rpartition("/")[2], single=False)


def _in_run(run: Run, path: str) -> str:
    """*path* as ``get_file_names`` would have it."""
    if os.path.isabs(path):
        real = Path(os.path.realpath(path))
        base = Path(os.path.realpath(run.path))
        if not real.is_relative_to(base):
            raise BadInput(f"{path!r} is no file of run {run.id}", hint="name it as in the run, like outputs/model.pt")
        return real.relative_to(base).as_posix().removeprefix(f"{run.directory.artifacts.name}/")
    return _steps(path)


def _steps(path: str) -> str:
    return trees.clean(path, "path of a model")


def _matching(run: Run, pattern: str, there: Mapping[str, str]) -> Found:
    found = [name for name in sorted(there) if trees.matches(name, pattern)]
    if not found:
        raise NotFound(f"run {run.id} has no file like {pattern!r}", hint=_listing(pattern, sorted(there), "it has"))
    base = trees.base_of(pattern)
    files = {
        name[len(base) + 1 :] if base else name: keep.one_file(Path(there[name]), run.path) for name in found
    }  # fmt: skip
    if len(files) == 1:
        name = found[0].rpartition("/")[2]
        return Found(keep.Files({name: next(iter(files.values()))}), found[0], name, single=True)
    return Found(keep.Files(files), pattern, base.rpartition("/")[2] or "model", single=False)


def _folder(run: Run, wanted: str, names: Sequence[str]) -> keep.Files:
    """Everything below a folder of the run, what it wrote itself and what was uploaded."""
    found = keep.Files()
    for base in (run.directory.artifacts, run.path):  # what a run wrote itself wins
        place = base / wanted
        if not place.is_dir():
            continue
        if os.path.realpath(place) != os.path.join(os.path.realpath(base), wanted):
            raise BadInput(f"{wanted!r} is a link to another folder", hint="name the folder itself")
        below = keep.below(place, run.path)
        found.files.update(below.files)
        found.links.update(below.links)
    if not {f"{wanted}/{name}" for name in (*found.files, *found.links)}.intersection(names):
        raise NotFound(f"run {run.id} has no files in {wanted!r}", hint=_listing(wanted, names, "it has"))
    return found


def _listing(wanted: str, names: Sequence[str], lead: str) -> str:
    """What there is, near matches first."""
    if not names:
        return f"{lead} none yet" if lead == "it has" else f"{lead} nothing"
    tail = wanted.rpartition("/")[2]
    by_tail = {name: name.rpartition("/")[2] for name in names}
    near = set(difflib.get_close_matches(wanted, names, n=3))
    alike = set(difflib.get_close_matches(tail, set(by_tail.values()), n=3))
    ordered = sorted(names, key=lambda name: (by_tail[name] != tail, name not in near, by_tail[name] not in alike))
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return f"{lead}: {', '.join(ordered[:_SHOWN])}{more}"


# ---- where it is used --------------------------------------------------------------------------------------


def cached(folder: Path, version: int | str | None) -> Path | None:
    """The file or folder that lies in ``azureml-models/NAME/VERSION``; the latest where *version* is None."""
    if not os.path.isdir(folder):
        return None
    numbers = sorted(
        int(path.name) for path in folder.iterdir() if path.name.isdecimal() and path.name.isascii() and path.is_dir()
    )
    if version is None and numbers:
        version = numbers[-1]
    if version is None or str(version) not in map(str, numbers):
        return None
    entries = sorted(path for path in (folder / str(version)).iterdir() if path.name != _MARK)
    return entries[0] if len(entries) == 1 else folder / str(version)


def materialise(store: ObjectStore, record: dict[str, Any], folder: Path) -> Path:
    """The model's file or folder in *folder*, read-only; made there unless it is there.

    Any number of processes may ask at once; each finds it whole.
    """
    target = folder / str(record["root"])
    if _is_it(folder, record["manifest"]):
        return target
    if folder.is_dir() and not (folder / _MARK).exists():
        return cached(folder.parent, folder.name) or target  # somebody put it there by hand: it is meant
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.new")
    try:
        aside.mkdir(parents=True, mode=0o700)
        name = record["root"] if record["single"] else None
        placing.place(store, record["manifest"], aside / str(record["root"]), name=name)
        _make_read_only(aside)
        write_new(aside / _MARK, dump_json({"manifest": record["manifest"]}), sync=False)
        if folder.exists() and not _is_it(folder, record["manifest"]):
            os.rename(folder, aside / "before")  # of another home
        with suppress(FileExistsError):
            _rename_new(aside, folder)
    except OSError as problem:
        raise StoreError(
            f"the model cannot be put into {folder}: {problem.strerror or problem}",
            hint="free space or permissions there, or use Model.download() to another folder",
        ) from problem
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _rename_new(aside: Path, folder: Path) -> None:
    shutil.rmtree(aside / "before", ignore_errors=True)
    try:
        os.rename(aside, folder)
    except OSError as problem:
        if folder.is_dir():
            raise FileExistsError from problem  # another process was quicker
        raise


def _is_it(folder: Path, manifest_id: str) -> bool:
    try:
        return bool(read_json(folder / _MARK)["manifest"] == manifest_id)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _make_read_only(folder: Path) -> None:
    for path, _, names in os.walk(folder):
        for name in names:
            file = os.path.join(path, name)
            if not os.path.islink(file):
                os.chmod(file, os.stat(file).st_mode & 0o555)
