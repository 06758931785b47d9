"""Every file name of a run directory in one place, and the ways to write files that a kill leaves whole.

Reads and writes nothing by itself.  Standard library only: it travels to the far side (Python 3.9+).
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

FORMAT = 1
FILE_MODE = 0o600
FOLDER_MODE = 0o700


class RunDir:
    """The places inside one run directory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.spec = self.path / "spec.json"
        self.events = self.path / "events.jsonl"
        self.exit = self.path / "exit.json"
        self.environment = self.path / "env.json"
        self.stop = self.path / "stop.json"
        self.metrics = self.path / "metrics"
        self.user_logs = self.path / "user_logs"
        self.driver_logs = self.path / "azureml-logs"
        self.logs = self.path / "logs"
        self.outputs = self.path / "outputs"
        self.work = self.path / "work"
        self.page = self.path / "run.html"
        self.annotations = self.path / "annotations.jsonl"
        self.verdict = self.path / "verdict.json"
        self.artifacts = self.path / "artifacts"
        self.inputs = self.path / "inputs"
        self.input_paths = self.path / "inputs.json"
        self.grant = self.path / "grant.json"
        self.worker_log = self.path / "worker.log"
        self.system = self.path / "system.jsonl"

    @property
    def run_id(self) -> str:
        """The id, which the spec knows best: long experiment names are cut in folder names."""
        return str(read_json(self.spec)["run_id"])

    def folders(self) -> tuple[Path, ...]:
        """The folders that exist from the beginning."""
        return (self.metrics, self.user_logs, self.driver_logs, self.logs, self.outputs)

    def worker(self, generation: int) -> Path:
        """The claim of the *generation*-th worker: who it is; linked into place exactly once."""
        return self.path / f"worker-{generation}.json"

    def rank(self, rank: int) -> Path:
        """Who rank *rank* is; linked by the rank itself before user code starts, so it starts once."""
        return self.path / f"rank-{rank}.json"

    def rank_exit(self, rank: int) -> Path:
        """How rank *rank* ended, in its own words (written by the bootstrap of Python ranks)."""
        return self.path / f"rank-{rank}.exit.json"

    def reaped(self, rank: int) -> Path:
        """How rank *rank* ended, as the agent saw when no worker was left to see it."""
        return self.path / f"rank-{rank}.reaped.json"

    def log(self, rank: int = 0, ranks: int = 1) -> Path:
        """Standard output and error of one rank."""
        return self.user_logs / (f"std_log_process_{rank}.txt" if ranks > 1 else "std_log.txt")

    def log_index(self, rank: int = 0, ranks: int = 1) -> Path:
        """Sparse (offset, time) pairs of the rank's log, and what was dropped from it."""
        return self.log(rank, ranks).with_suffix(".index.jsonl")

    def driver_log(self, rank: int = 0, ranks: int = 1) -> Path:
        """The reference's name for the same file."""
        return self.driver_logs / (f"70_driver_log_{rank}.txt" if ranks > 1 else "70_driver_log.txt")


def read_json(path: str | os.PathLike[str]) -> Any:
    """The JSON document at *path*; ``OSError`` and ``ValueError`` are the caller's."""
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        except RecursionError as problem:
            raise ValueError("it is nested too deep") from problem


def read_json_if_there(path: str | os.PathLike[str]) -> Any:
    """The JSON document at *path*, or None where there is no such file."""
    try:
        return read_json(path)
    except FileNotFoundError:
        return None


def dump_json(value: Any) -> bytes:
    """One line of valid JSON: NaN and lone surrogates never reach a file."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make *path* and missing parents, each 0700 from its first moment, whatever the umask."""
    text = os.fspath(path)
    if os.path.isdir(text):
        return
    parent = os.path.dirname(text)
    if parent and parent != text:
        make_folder(parent)
    try:
        os.mkdir(text, FOLDER_MODE)
    except FileExistsError:
        if not os.path.isdir(text):
            raise


def write_new(path: str | os.PathLike[str], data: bytes, *, sync: bool = True) -> None:
    """Create *path* with *data* (0600); it must not exist."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        write_all(fd, data)
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_atomic(path: str | os.PathLike[str], data: bytes, *, sync: bool = True) -> None:
    """Replace *path* by *data*: readers see the old bytes or the new ones, never a part."""
    aside = _aside(path)
    try:
        write_new(aside, data, sync=sync)
        os.replace(aside, path)
    except BaseException:
        remove_if_there(aside)
        raise
    if sync:
        sync_folder(os.path.dirname(os.fspath(path)))


def write_once(path: str | os.PathLike[str], data: bytes, *, sync: bool = True) -> bool:
    """Write *path* unless it exists already; whether this call was the one that wrote it."""
    aside = _aside(path)
    try:
        write_new(aside, data, sync=sync)
        try:
            os.link(aside, path)
        except FileExistsError:
            return False
    finally:
        remove_if_there(aside)
    if sync:
        sync_folder(os.path.dirname(os.fspath(path)))
    return True


def append_line(path: str | os.PathLike[str], line: bytes, *, sync: bool = True) -> None:
    """Append one line; a torn line that a kill left behind is ended first, so that it harms no other."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
    try:
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        try:
            write_all(fd, b"\n" + line if torn else line)
        except OSError:
            # a full disk may have taken a part of the line
            os.ftruncate(fd, size)
            raise
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Make names in the folder *path* survive a power cut."""
    fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_if_there(path: str | os.PathLike[str]) -> None:
    """Remove a file; one that is gone already is as good."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _aside(path: str | os.PathLike[str]) -> str:
    folder, name = os.path.split(os.fspath(path))
    return os.path.join(folder, f".{name}.{os.getpid()}.{secrets.token_hex(4)}.new")
