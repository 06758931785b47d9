"""A snapshot of 20,000 files and 300 MB, cold, unchanged and with one change: rows for ``make bench``."""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.packs import ObjectStore

FOLDERS, EACH, SIZE = 200, 100, 14_990
REPEATS = 7
# the budget of the first one is a time, not a ratio
COLD_MS = 1200.0


def row(name: str, ours: float, floor: float, peer: float | None, budget: float | None) -> dict[str, Any]:
    return {
        "name": name, "ours": ours, "floor": floor, "peer": peer, "unit": "ms", "ratio": ours / floor, "budget": budget,
    }  # fmt: skip


def rows() -> Iterator[dict[str, Any]]:
    """Each figure beside the work that nobody can leave out, and beside ``git add -A``."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "source"
        _make(source)
        yield from _rows(source, Path(name))


def _rows(source: Path, base: Path) -> Iterator[dict[str, Any]]:
    git = _git(source, base / "git")
    store = ObjectStore(base / "objects").make()

    def take() -> None:
        snapshot.take(store, snapshot.scan(source, store=store))

    ours, floor = _ms(take), _ms(lambda: _copy(source, base / "copy"))
    yield row(
        "snapshot, cold (floor: read, SHA-256, write and fsync 300 MB; peer: git add -A)",
        ours, floor, _ms(git) if git else None, COLD_MS / floor,
    )  # fmt: skip
    take()  # now every file is old enough to be trusted
    changed = source / "d0/f0"

    def change() -> None:
        changed.write_bytes(os.urandom(SIZE))

    works: list[Callable[[], None]] = [lambda: _stat_all(source), take, *([git] if git else [])]
    floor, ours, *peer = _interleaved(works, lambda: None)
    yield row("snapshot, unchanged (floor: scandir and stat)", ours, floor, peer[0] if peer else None, 1.3)
    floor, ours, *peer = _interleaved(works, change)
    yield row("snapshot, one file changed (floor: scandir and stat)", ours, floor, peer[0] if peer else None, 1.5)


def _make(source: Path) -> None:
    for number in range(FOLDERS):
        folder = source / f"d{number}"
        folder.mkdir(parents=True)
        for file in range(EACH):
            (folder / f"f{file}").write_bytes(os.urandom(SIZE))


def _git(source: Path, place: Path) -> Callable[[], None] | None:
    program = shutil.which("git")
    if program is None:
        return None
    command = [program, f"--git-dir={place}", f"--work-tree={source}"]
    subprocess.run([*command, "init", "-q"], check=True)

    def add() -> None:
        subprocess.run([*command, "add", "-A"], check=True)

    return add


def _copy(source: Path, target: Path) -> None:
    with target.open("wb") as file:
        for folder, _, names in os.walk(source):
            for name in names:
                data = Path(folder, name).read_bytes()
                file.write(hashlib.sha256(data).digest() + data)
        file.flush()
        os.fsync(file.fileno())
    target.unlink()


def _stat_all(source: Path) -> None:
    stack = [os.fspath(source)]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)


def _ms(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1e3


def _interleaved(works: list[Callable[[], None]], before: Callable[[], None]) -> list[float]:
    """The median milliseconds of each work, taken in turn, with *before* ahead of each."""
    seen: list[list[float]] = [[] for _ in works]
    for _ in range(REPEATS):
        for times, work in zip(seen, works, strict=True):
            before()
            times.append(_ms(work))
    return [statistics.median(times) for times in seen]
