"""The files of a run by name: put there, listed, found and copied out.

Reads and writes ``outputs/``, ``logs/`` and ``artifacts/`` of the run directory; reads its logs.  Standard
library only (Python 3.9+), and imported when it is first used.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from ..errors import BadInput, Conflict, NotFound
from ..rundir import FILE_MODE, RunDir, make_folder, remove_if_there, sync_folder, write_once

# folders whose names stand in front of their files' names; what is in artifacts/ has none
TOPS = ("azureml-logs", "logs", "outputs", "user_logs")
_OPEN_TOPS = ("logs", "outputs")
_UNFINISHED = re.compile(r"\..*\.\d+\.[0-9a-f]{8}\.new\Z")
_SUFFIX = re.compile(r"\.\w{1,20}\Z", re.ASCII)
_SHOWN = 20


def clean_name(name: Any) -> str:
    """A file's name as it is kept: parts divided by ``/``.  Raises ``BadInput`` for what leads elsewhere."""
    text = os.fspath(name) if isinstance(name, os.PathLike) else name
    cure = "give a path like outputs/model.pt"
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f"{name!r} is no name for a file", hint=cure)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith("/") or ".." in parts or "\0" in text or not parts:
        raise BadInput(f"the name {text!r} leads out of the run", hint=cure)
    if text.endswith("/"):
        raise BadInput(f"{text!r} names a folder", hint="upload_folder(name, path) takes folders")
    if any(_length(part) > 255 for part in parts):
        raise BadInput(f"a part of the name {text[:60]!r}… has more than 255 bytes", hint="make it shorter")
    return "/".join(parts)


def _length(part: str) -> int:
    """Bytes of a part of a path.  Raises ``BadInput`` for what no file can be called."""
    try:
        return len(os.fsencode(part))
    except UnicodeEncodeError as problem:
        raise BadInput(
            f"{part[:60]!r} is no name for a file: {problem.reason}", hint="leave that letter out"
        ) from problem


def place(run: RunDir, name: str) -> str:
    """Where the file of that (clean) name is kept."""
    top = name.split("/", 1)[0]
    return str((run.path if top in _OPEN_TOPS and top != name else run.artifacts) / name)


def upload(run: RunDir, name: Any, source: Any, *, sync: bool = True) -> str:
    """Keep a copy of the file or stream *source* as *name*, replacing what had that name; returns the name.

    Raises ``NotFound`` where *source* is not there, ``BadInput`` for a folder or a name that leads elsewhere.
    """
    kept = clean_name(name)
    if hasattr(source, "read"):
        _put(run, kept, source, sync)
        return kept
    path = os.fsdecode(source)
    _check_source(path)
    target = place(run, kept)
    if os.path.exists(target) and os.path.samefile(path, target):
        return kept  # ./outputs is the run's own folder: it is there already
    with open(path, "rb") as file:
        _put(run, kept, file, sync)
    return kept


def upload_folder(run: RunDir, name: Any, path: Any) -> List[str]:
    """Keep a copy of every file below the folder *path* under *name*; returns their names."""
    folder = os.fsdecode(path)
    if not os.path.isdir(folder):
        kind = "is a file: upload_file takes it" if os.path.isfile(folder) else "is not there"
        raise NotFound(f"the folder {folder!r} {kind}", hint=f"it was looked for from {os.getcwd()}")
    text = str(os.fspath(name)).rstrip("/")
    top = "" if text in ("", ".") and not str(name).startswith("/") else clean_name(text or name)
    # listed first: the target may lie below the source
    found = sorted(_below(folder))
    return [upload(run, f"{top}/{part}" if top else part, os.path.join(folder, part), sync=False) for part in found]


def upload_all(run: RunDir, names: Sequence[Any], paths: Sequence[Any]) -> List[str]:
    """Keep a copy of each of *paths* under the name beside it; all are looked at before the first is copied."""
    if len(names) != len(paths):
        raise BadInput(f"{len(names)} names for {len(paths)} paths", hint="give a name for each path")
    for name, path in zip(names, paths):  # noqa: B905 -- Python 3.9; the lengths were compared
        clean_name(name)
        _check_source(os.fsdecode(path))
    return [upload(run, name, path) for name, path in zip(names, paths)]  # noqa: B905 -- as above


def collect(run: RunDir, folder: str, since: float) -> None:
    """Keep what came into *folder* since then (unix seconds) as ``outputs/…``; what is kept already stays."""
    if not os.path.isdir(folder) or os.path.realpath(folder) == os.path.realpath(run.outputs):
        return
    for part in sorted(_below(folder)):
        path, name = os.path.join(folder, part), f"outputs/{part}"
        info, target = os.stat(path), place(run, name)
        # the clock of a file system may be a little behind
        if info.st_mtime < since - 0.05:
            continue
        try:
            kept = os.stat(target)
            if (kept.st_size, kept.st_mtime_ns) == (info.st_size, info.st_mtime_ns):
                continue
        except FileNotFoundError:
            pass
        upload(run, name, path, sync=False)
        os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def _check_source(path: str) -> None:
    if os.path.isdir(path):
        raise BadInput(f"{path!r} is a folder", hint="upload_folder(name, path) takes folders")
    if not os.path.exists(path):
        folder = os.path.dirname(path) or "."
        near = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        raise NotFound(f"no file {path!r} in {os.getcwd()}", hint=hint_of(os.path.basename(path), near))
    if not os.path.isfile(path):  # a pipe or a device may never end
        raise BadInput(f"{path!r} is no regular file", hint="open it, and give what open() returns")


def _below(folder: str) -> Iterator[str]:
    seen = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()  # a link that leads back up
            continue
        seen.add(real)
        for file in files:
            path = os.path.join(here, file)
            if os.path.isfile(path):
                yield os.path.relpath(path, folder)


def _put(run: RunDir, name: str, source: Any, sync: bool) -> None:
    """Write aside in the run's own folder, then rename: readers see the old file or the new one."""
    target = place(run, name)
    if name.split("/", 1)[0] in TOPS and target.startswith(str(run.artifacts)) and os.path.exists(run.path / name):
        raise Conflict(f"{name!r} is written by the run itself", hint="choose another name")
    aside = str(run.path / f".upload.{os.getpid()}.{secrets.token_hex(4)}.new")
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(fd, "wb") as file:
            _copy(source, file)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        try:
            make_folder(os.path.dirname(target))
            os.replace(aside, target)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as problem:
            raise Conflict(
                f"{name!r} cannot be kept: a file or folder of the run is in its way", hint="choose another name"
            ) from problem
        if sync:
            sync_folder(os.path.dirname(target))
    finally:
        remove_if_there(aside)


def _copy(source: Any, file: Any) -> None:
    while True:
        data = source.read(1 << 20)
        if not data:
            return
        file.write(data.encode() if isinstance(data, str) else data)


def keep_artifact(run: RunDir, name: str, suffix: str, data: bytes) -> str:
    """Keep *data* as ``<name>_<unix time><suffix>``; one that was kept in the same second gets a number."""
    stem = re.sub(r"[^\w.-]+", "_", name).encode("utf-8", "replace")[:150].decode("utf-8", "ignore")
    stem = stem.strip(".") or "image"
    suffix = suffix if _SUFFIX.match(suffix) else ""
    make_folder(run.artifacts)
    moment = int(time.time())
    number = 0
    while True:
        found = f"{stem}_{moment}{f'_{number}' if number else ''}{suffix}"
        if write_once(run.artifacts / found, data):
            return found
        number += 1


def names(run: RunDir) -> List[str]:
    """Every file of the run, sorted."""
    return sorted(_files(run))


def _files(run: RunDir) -> Dict[str, str]:
    """Each file's name with where it is."""
    found: Dict[str, str] = {}
    for top in ("", *TOPS):  # what a run wrote itself comes last and wins
        base = str(run.path / top) if top else str(run.artifacts)
        for here, _, files in os.walk(base):
            for file in files:
                path = os.path.join(here, file)
                name = os.path.relpath(path, run.path if top else run.artifacts)
                hidden = _UNFINISHED.match(file) or (top == "user_logs" and name.endswith(".index.jsonl"))
                if not hidden and os.path.isfile(path):  # nobody can copy a pipe, or a link that leads nowhere
                    found[name] = path
    return found


def find(run: RunDir, name: Any) -> str:
    """Where the file of that name is.  Raises ``NotFound`` that lists the files there are."""
    files = _files(run)
    cleaned = os.path.normpath(str(name))
    if cleaned in files:
        return files[cleaned]
    raise NotFound(f"run {run.run_id} has no file {str(name)!r}", hint=hint_of(cleaned, sorted(files)))


def hint_of(name: str, there: Sequence[str]) -> str:
    """What is there, what is like *name* first."""
    import difflib

    if not there:
        return "there are no files"
    near = difflib.get_close_matches(name, there, n=3)
    near += [other for other in there if other.endswith("/" + os.path.basename(name)) and other not in near]
    listed = near + [other for other in there if other not in near]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    start = f"did you mean {near[0]!r}? " if near else ""
    return f"{start}there are: {', '.join(listed[:_SHOWN])}{more}"


def download(run: RunDir, name: Any, target: Any = None) -> str:
    """Copy a file of the run here; returns where it is now.  See ``Run.download_file``."""
    source = find(run, name)
    text = os.path.basename(source) if target is None else os.fspath(target)
    if os.path.isdir(text) or text.endswith(os.sep):
        text = os.path.join(text, os.path.basename(source))
    copy_out(source, text)
    return text


def copy_out(source: str, target: str) -> None:
    """Copy one file: *target* is the old file or the whole new one, at every moment."""
    folder = os.path.dirname(os.path.abspath(target))
    os.makedirs(folder, exist_ok=True)
    aside = os.path.join(folder, f".{secrets.token_hex(6)}.new")  # a longer name may be too long
    try:
        shutil.copyfile(source, aside)  # with the user's own umask, not with the run's 0600
        info = os.stat(source)
        os.utime(aside, ns=(info.st_atime_ns, info.st_mtime_ns))
        os.replace(aside, target)
    finally:
        remove_if_there(aside)


def choose(run: RunDir, prefix: Any) -> List[Tuple[str, str]]:
    """(name, path) of each file whose name begins with *prefix*.

    Raises ``NotFound`` that lists the files there are, where none does.
    """
    files = sorted(_files(run).items())
    text = str(prefix or "")
    while text.startswith("./"):
        text = text[2:]
    found = [(name, path) for name, path in files if name.startswith(text)]
    if text and not found:
        hint = hint_of(text, [name for name, _ in files])
        raise NotFound(f"run {run.run_id} has no files that begin with {text!r}", hint=hint)
    return found
