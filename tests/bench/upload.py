"""An upload of 10,000 files of 100 KB, and of one file of 1 GiB: first, again and with 1 % changed."""

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

from jupyter_mlrun.store import remembered, snapshot
from jupyter_mlrun.store.packs import ObjectStore

FOLDERS, EACH, SIZE = 100, 100, 100_000
LARGE = 1 << 30
REPEATS = 3
BLOCK = 4 << 20


Work = Callable[[Path], None]


def row(name: str, ours: float, floor: float, peer: list[float], budget: float | None) -> dict[str, Any]:
    return {
        "name": name, "ours": ours, "floor": floor, "peer": peer[0] if peer else None, "unit": "ms",
        "ratio": ours / floor, "budget": budget,
    }  # fmt: skip


def rows() -> Iterator[dict[str, Any]]:
    """Each figure beside ``cp -r`` (which neither hashes nor syncs) or what must be looked at, and ``rsync -a``."""
    cases: list[tuple[str, Work, Work, Work]] = [
        (f"{FOLDERS * EACH:,} files of 100 KB", _make_many, _change_many, _look),
        ("one file of 1 GiB", _make_one, _change_one, _hash),
    ]
    for what, make, change, least in cases:
        with tempfile.TemporaryDirectory() as name:
            source = Path(name) / "source"
            source.mkdir()
            make(source)
            os.sync()
            yield from _rows(what, source, change, least)


def _rows(what: str, source: Path, change: Work, least: Work) -> Iterator[dict[str, Any]]:
    base = source.parent
    store, copy, synced, out = ObjectStore(base / "objects"), base / "copy", base / "synced", base / "out"

    def upload() -> None:
        snapshot.take_data(store, snapshot.scan_data(source, store=store))

    def copied() -> None:
        subprocess.run(["cp", "-r", source, copy], check=True)

    def sync() -> None:
        subprocess.run(["rsync", "-a", f"{source}/", f"{synced}/"], check=True)

    def clear() -> None:
        for path in (store.root, copy, synced, out):
            shutil.rmtree(path, ignore_errors=True)
        os.sync()

    peers = [sync] if shutil.which("rsync") else []
    ours, floor, *peer = _in_turn([upload, copied, *peers], clear, each=True)
    yield row(f"upload of {what}, first (floor: cp -r; peer: rsync -a)", ours, floor, peer, 2.0)
    for work in (upload, *peers):
        work()
    _settle()
    upload()
    ours, floor, *peer = _in_turn([upload, lambda: _look(source), *peers], lambda: None)
    yield row("… again (floor: scandir and stat)", ours, floor, peer, None)
    before = _stored(store)
    ours, floor, *peer = _in_turn([upload, lambda: least(source), *peers], lambda: change(source))
    written = (_stored(store) - before) / REPEATS / 1e6
    yield row(f"… 1 % changed, {written:.1f} MB written (floor: {least.__doc__})", ours, floor, peer, None)
    made = snapshot.take_data(store, snapshot.scan_data(source, store=store)).id

    def clear_copies() -> None:
        for path in (out, copy):
            shutil.rmtree(path, ignore_errors=True)
        os.sync()

    ours, floor = _in_turn([lambda: snapshot.materialise(store, made, out), copied], clear_copies, each=True)
    yield row("… out again, every byte checked (floor: cp -r)", ours, floor, [], None)


def _make_many(source: Path) -> None:
    for number in range(FOLDERS):
        (source / f"d{number}").mkdir()
        for file in range(EACH):
            (source / f"d{number}/f{file}").write_bytes(os.urandom(SIZE))


def _change_many(source: Path) -> None:
    """Other bytes in one file of each folder, the same one each time."""
    for number in range(FOLDERS * EACH // 100):
        (source / f"d{number % FOLDERS}/f{number // FOLDERS}").write_bytes(os.urandom(SIZE))
    _settle()


def _make_one(source: Path) -> None:
    with (source / "model.bin").open("wb") as file:
        for _ in range(LARGE // BLOCK):
            file.write(os.urandom(BLOCK))


def _change_one(source: Path) -> None:
    """Other bytes in 1 % of it, in one piece."""
    with (source / "model.bin").open("r+b") as file:
        file.seek(LARGE * 2 // 5)
        file.write(os.urandom(LARGE // 100))
    _settle()


def _settle() -> None:
    """Files as young as this are read twice; that is not what is measured."""
    time.sleep(2 * remembered.RACY_NS / 1e9)


def _stored(store: ObjectStore) -> int:
    return sum(path.stat().st_size for path in store.root.rglob("*") if path.is_file())


def _hash(source: Path) -> None:
    """read and SHA-256 with one thread"""
    with (source / "model.bin").open("rb") as file:
        digest = hashlib.sha256()
        for data in iter(lambda: file.read(BLOCK), b""):
            digest.update(data)


def _look(source: Path) -> None:
    """scandir and stat"""
    stack = [os.fspath(source)]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)


def _in_turn(works: list[Callable[[], None]], before: Callable[[], None], *, each: bool = False) -> list[float]:
    """The median milliseconds of each work, taken in turn, with *before* ahead of each round, or of each work."""
    seen: list[list[float]] = [[] for _ in works]
    for _ in range(REPEATS):
        if not each:
            before()
        for times, work in zip(seen, works, strict=True):
            if each:
                before()
            begun = time.perf_counter()
            work()
            times.append((time.perf_counter() - begun) * 1e3)
    return [statistics.median(times) for times in seen]
