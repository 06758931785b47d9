"""Snapshot of 20,000 files, 300 MB: first, unchanged, one file changed; beside git and bare loops."""

from __future__ import annotations

import os
import random
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

FOLDERS, FILES, SIZE = 200, 100, 15_000
REPEATS = 5
COLD_BUDGET_MS = 1200.0


def rows() -> Iterator[dict[str, Any]]:
    """Each figure beside the floor that it cannot go below; ``peer`` is ``git add -A``."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        root = make_tree(base / "source")
        store = ObjectStore(base / "objects")
        cold, written, git_cold = first(base, root)
        note = f"snapshot of {FOLDERS * FILES:,} files, {FOLDERS * FILES * SIZE / 1e6:.0f} MB"
        yield {
            "name": f"{note}: first (floor: read, write and fsync one file)", "ours": cold, "floor": written,
            "peer": git_cold, "unit": "ms", "ratio": cold / written, "budget": COLD_BUDGET_MS / written,
        }  # fmt: skip
        take(store, root)
        same, scanned, git_same = interleaved(lambda: take(store, root), lambda: bare(root), lambda: git_add(root))
        yield row(f"{note}: unchanged (floor: scandir and stat)", same, scanned, git_same, 1.3)
        changed, scanned, git_changed = interleaved(
            lambda: take(store, root), lambda: bare(root), lambda: git_add(root), before=lambda: change(root)
        )
        yield row(f"{note}: one changed (floor: scandir and stat)", changed, scanned, git_changed, 1.5)


def row(name: str, ours: float, floor: float, peer: float | None, budget: float) -> dict[str, Any]:
    """One line of the table; ``ratio`` is ours to the floor."""
    return {
        "name": name, "ours": ours, "floor": floor, "peer": peer, "unit": "ms", "ratio": ours / floor, "budget": budget,
    }  # fmt: skip


def make_tree(root: Path) -> Path:
    """Files that do not compress, in folders two deep, with an ignore file as projects have."""
    source = random.Random(1)
    for number in range(FOLDERS):
        folder = root / f"d{number % 10}" / f"f{number}"
        folder.mkdir(parents=True)
        for file in range(FILES):
            (folder / f"file_{file}.dat").write_bytes(source.randbytes(SIZE))
    (root / ".gitignore").write_text("*.pyc\nbuild/\n*.log\n/data/raw/\n!keep.log\n*.egg-info/\nnode_modules/\n*.tmp\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    # what is as young as its snapshot is read again next time
    old = time.time_ns() - 10**9
    for path in root.rglob("*.dat"):
        os.utime(path, ns=(old, old))
    return root


def take(store: ObjectStore, root: Path) -> str:
    """What a submit does with the folder."""
    plan = snapshot.scan(root, store=store, max_bytes=4 * 10**8)
    return snapshot.take(store, plan).id


def bare(root: Path) -> int:
    """The least that tells whether something has changed."""
    stack, count = [os.fspath(root)], 0
    while stack:
        with os.scandir(stack.pop()) as listing:
            for entry in listing:
                entry.stat(follow_symlinks=False)
                count += 1
                if entry.is_dir(follow_symlinks=False) and entry.name != ".git":
                    stack.append(entry.path)
    return count


def write_bytes(root: Path, target: Path) -> None:
    """The least that copies the bytes."""
    with target.open("wb") as out:
        for path in root.rglob("*.dat"):
            out.write(path.read_bytes())
        out.flush()
        os.fsync(out.fileno())


def git_add(root: Path) -> None:
    subprocess.run(["git", "-C", str(root), "add", "-A"], check=True)


def change(root: Path) -> None:
    path = root / "d3" / "f3" / "file_3.dat"
    path.write_bytes(os.urandom(SIZE))
    old = time.time_ns() - 10**8
    os.utime(path, ns=(old, old))


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1e3


def first(base: Path, root: Path) -> list[float]:
    """Medians of ours, the bare copy and git, each into a fresh place."""
    seen: list[list[float]] = [[], [], []]
    for number in range(3):
        store = ObjectStore(base / f"cold{number}")
        seen[0].append(timed(lambda store=store: take(store, root)))  # type: ignore[misc]
        shutil.rmtree(store.root)
        seen[1].append(timed(lambda: write_bytes(root, base / "copy")))
        (base / "copy").unlink()
    seen[2].append(timed(lambda: git_add(root)))
    return [statistics.median(times) for times in seen]


def interleaved(*works: Callable[[], object], before: Callable[[], None] = lambda: None) -> list[float]:
    """The median milliseconds of each work, taken in turn."""
    seen: list[list[float]] = [[] for _ in works]
    for _ in range(REPEATS):
        before()
        for times, work in zip(seen, works, strict=True):
            times.append(timed(work))
    return [statistics.median(times) for times in seen]
