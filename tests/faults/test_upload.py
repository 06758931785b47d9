"""Uploads that are killed at each of their calls, on a full disk, of files that move or may not be read."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_mlrun.errors import SnapshotError
from jupyter_mlrun.store import packs, pour, reading, snapshot
from jupyter_mlrun.store.packs import ObjectStore
from tests.conftest import need
from tests.faults.test_snapshot_kills import check_whole, content, killed_at, meanwhile, on_a_small_disk, out_of_store
from tests.test_upload_engine import stored, upload

# small packs, so that several are sealed on the way
TAKE = """
import sys
from pathlib import Path
from jupyter_mlrun.store import packs, snapshot
from jupyter_mlrun.store.packs import ObjectStore
packs.FULL_PACK = 6 << 20
store = ObjectStore(Path(sys.argv[1]))
snapshot.take_data(store, snapshot.scan_data(Path(sys.argv[2]), store=store))
"""
# strace counts each call for each thread
CALLS = ("write", "writev", "preadv", "fsync", "rename", "flock", "mkdir", "unlink", "utimensat")
MOST = 100


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects").make()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    (path / "sub").mkdir(parents=True)
    (path / "main.py").write_bytes(b"print(1)\n")
    return path


# ---- kills -------------------------------------------------------------------------------------------------


def check_kills(store: ObjectStore, source: Path, place: Path, stride: int) -> int:
    """Kill at every *stride*-th point, upload again, and count how often."""
    (source / "sub/small").write_bytes(b"small")
    (source / "sub/link").symlink_to("small")
    (source / "big.bin").write_bytes(random.Random(7).randbytes(17 << 20))
    with (source / "holes").open("wb") as file:
        file.truncate(20 << 20)
        file.seek(13 << 20)
        file.write(b"x")
    followed = {name: (source / name).read_bytes() for name in content(source)}
    killed = 0
    for call in CALLS:
        for number in range(1, MOST, stride):
            shutil.rmtree(store.root)
            if not killed_at(call, number, TAKE, store.root, source):
                break
            killed += 1
            check_whole(store.make(), place)
            seen = snapshot.list_manifests(store)
            taken = upload(store, source)
            assert seen in ([], [taken.id]), "what is seen is complete"
            assert out_of_store(store, taken.id, place) == followed
            assert len(stored(store)) == len(set(stored(store))), "nothing is stored twice"
            leftover = [path for path in store.packs.glob("*.pack") if not path.with_suffix(".idx").exists()]
            assert not any(path.stat().st_size for path in leftover), "nothing is left over"
            assert len(store.verify()) == len(leftover)
        else:
            pytest.fail(f"{MOST} times {call}: the process never came to its end")
    return killed


@pytest.mark.slow
def test_a_kill_at_any_call_leaves_a_whole_store(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    assert check_kills(store, source, tmp_path / "out", stride=1) >= 25


def test_a_kill_leaves_a_whole_store(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    assert check_kills(store, source, tmp_path / "out", stride=5) >= 7


def test_what_a_killed_upload_wrote_is_not_written_again(store: ObjectStore, source: Path) -> None:
    (source / "big.bin").write_bytes(random.Random(7).randbytes(33 << 20))
    # the second pack is not sealed: its index is the second file that is put in place
    assert killed_at("rename", 2, TAKE, store.root, source)
    assert snapshot.list_manifests(store) == []
    before = sum(path.stat().st_size for path in store.packs.glob("*.pack"))
    assert before > 8 << 20
    told: list[snapshot.Progress] = []
    taken = upload(store, source, told)
    assert told[-1].bytes_new <= taken.bytes - before + (5 << 20), "but for what was cut in two"
    assert store.verify() == []


# ---- a full disk -------------------------------------------------------------------------------------------

FULL = """
import os, shutil, sys
from pathlib import Path
from jupyter_mlrun.errors import StoreError
from jupyter_mlrun.store import packs, snapshot
from jupyter_mlrun.store.packs import ObjectStore

packs.FULL_PACK = 300_000
disk, source = Path(sys.argv[1]), Path(sys.argv[2])
refused = 0
for number in range(20):
    store = ObjectStore(disk / "objects").make()
    with (disk / "filler").open("wb") as filler:
        left = os.statvfs(disk)
        filler.write(bytes(max(0, left.f_bavail * left.f_frsize - 4096 * number * 24)))
    try:
        snapshot.take_data(store, snapshot.scan_data(source, store=store))
    except StoreError as problem:
        refused += 1
        assert "space" in (problem.hint or ""), problem
        assert not list(store.manifests.iterdir()), "a manifest without its objects"
        assert not list(store.packs.iterdir()), "the room was not given back"
    (disk / "filler").unlink()
    found = snapshot.take_data(store, snapshot.scan_data(source, store=store))
    assert not store.verify()
    snapshot.materialise(store, found.id, disk / "out")
    for path in source.iterdir():
        if path.is_file():
            assert (disk / "out" / path.name).read_bytes() == path.read_bytes()
    shutil.rmtree(disk / "out")
    shutil.rmtree(store.root)
assert 3 < refused < 20, refused
"""


def test_a_full_disk_is_said_and_has_its_room_back(source: Path, tmp_path: Path) -> None:
    on_a_small_disk(FULL, source, tmp_path / "disk")


def test_room_is_not_taken_from_who_needs_it(
    store: ObjectStore, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two uploads of the same bytes one fails: what the other has built on stays."""
    monkeypatch.setattr(packs, "FULL_PACK", 1 << 20)
    (source / "big").write_bytes(random.Random(1).randbytes(5 << 20))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/part").write_bytes((source / "big").read_bytes()[: 4 << 20])
    real, taken = snapshot.write_manifest, []

    def full(at: ObjectStore, parts: dict[str, bytes], total: int) -> str:
        monkeypatch.setattr(pour, "write_manifest", real)
        taken.append(upload(ObjectStore(store.root), tmp_path / "other"))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pour, "write_manifest", full)
    with pytest.raises(Exception, match="No space left"):
        upload(store, source)
    assert out_of_store(store, taken[0].id, tmp_path / "out") == content(tmp_path / "other")
    assert snapshot.list_manifests(store) == [taken[0].id]


# ---- files that do not keep still --------------------------------------------------------------------------


def upload_or_refuse(store: ObjectStore, source: Path, name: str) -> snapshot.Snapshot | None:
    """The upload; None where it was refused because of the file *name*."""
    try:
        return upload(store, source)
    except SnapshotError as problem:
        said = problem.message
    assert repr(name) in said
    return None


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x" * 70_000)
    if path.stat().st_size > 30 << 20:
        os.truncate(path, 9 << 20)


def cut(path: Path) -> None:
    os.truncate(path, random.choice([0, 1, 5 << 20, 9 << 20, 14 << 20]))


def vanish(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(b"back")


def become_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
    path.unlink()
    path.write_bytes(b"file")


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    path.rmdir()
    path.write_bytes(b"file")


@pytest.mark.parametrize("change", [append, cut, vanish, become_fifo, become_folder], ids=lambda f: f.__name__)
@pytest.mark.parametrize("size", [1000, 9 << 20])
def test_what_moves_is_whole_or_refused(
    store: ObjectStore, source: Path, tmp_path: Path, change: Callable[[Path], None], size: int
) -> None:
    (source / "still").write_bytes(b"still")
    moving = source / "moving"
    moving.write_bytes(bytes(size))
    with meanwhile(lambda: change(moving)):
        for _ in range(30):
            taken = upload_or_refuse(store, source, "moving")
            if taken is None:
                continue
            entries = {entry["path"]: entry for entry in snapshot.read_manifest(store, taken.id).files}
            found = out_of_store(store, taken.id, tmp_path / "out")
            assert found["still"] == b"still"
            assert {name: len(data) for name, data in found.items()} == {p: e["size"] for p, e in entries.items()}
            assert taken.bytes == sum(map(len, found.values()))
    check_whole(store, tmp_path / "out")


@pytest.mark.parametrize("size", [100_000, 9 << 20])
def test_a_file_that_is_replaced_is_one_of_its_versions(
    store: ObjectStore, source: Path, tmp_path: Path, size: int
) -> None:
    versions = [bytes([65 + i]) * (size + i) for i in range(3)]
    aside, path = tmp_path / "aside", source / "data"
    path.write_bytes(versions[0])

    def replace() -> None:
        aside.write_bytes(random.choice(versions))
        os.replace(aside, path)

    with meanwhile(replace):
        for _ in range(20):
            taken = upload_or_refuse(store, source, "data")
            if taken is not None:
                assert out_of_store(store, taken.id, tmp_path / "out")["data"] in versions


@pytest.mark.parametrize("size", [100, 9 << 20])
@pytest.mark.parametrize("change", ["append", "truncate", "replace"])
@pytest.mark.parametrize("times", [1, reading.TRIES])
def test_a_change_under_way_is_read_again_or_refused(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, change: str, times: int
) -> None:
    path = tmp_path / "in/data"
    path.parent.mkdir()
    path.write_bytes(b"a" * size)
    real = os.preadv
    seen: list[int] = []

    def preadv(fd: int, views: list[memoryview], place: int) -> int:
        got = real(fd, views, place)
        if place == 0 and len(views[0]) > 50 and len(seen) < times:
            seen.append(place)
            if change == "append":
                with path.open("ab") as file:
                    file.write(b"b")
            elif change == "truncate":
                os.truncate(path, size - len(seen) * 10)
            else:  # in place
                with path.open("r+b") as file:
                    file.write(b"c" * len(seen))
        return got

    monkeypatch.setattr(os, "preadv", preadv)
    if times < reading.TRIES:
        taken = upload(store, tmp_path / "in")
        monkeypatch.undo()
        assert out_of_store(store, taken.id, tmp_path / "out") == {"data": path.read_bytes()}
    else:
        with pytest.raises(SnapshotError, match=r"'data'.*changed while it was read"):
            upload(store, tmp_path / "in")
        assert snapshot.list_manifests(store) == []


# ---- what may not be read ----------------------------------------------------------------------------------

UNREADABLE = """
import os, sys, tempfile
from pathlib import Path
from jupyter_mlrun.errors import SnapshotError
from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.packs import ObjectStore
os.setresuid(65534, 65534, 65534)
with tempfile.TemporaryDirectory() as name:
    root = Path(name) / "source"
    (root / "closed").mkdir(parents=True)
    (root / "no-way-in").mkdir()
    (root / "no-way-in/x").write_text("x")
    (root / "mine").write_text("x")
    (root / "mine").chmod(0o600)
    for number in range(30):
        (root / f"f{number:02}").write_text("x")
        (root / f"f{number:02}").chmod(0)
    (root / "closed").chmod(0)
    (root / "no-way-in").chmod(0o600)
    store = ObjectStore(Path(name) / "objects").make()
    before = sorted(store.root.rglob("*"))
    for given in (store, None):
        try:
            snapshot.scan_data(root, store=given)
        except SnapshotError as problem:
            print(problem)
    assert sorted(store.root.rglob("*")) == before
    for path in root.iterdir():
        path.chmod(0o700)
    print(snapshot.take_data(store, snapshot.scan_data(root, store=store)).count)
"""


def test_what_cannot_be_read_is_named_before_anything_is_written() -> None:
    if os.getuid():
        pytest.skip("only root can become somebody else")
    setpriv = need(shutil.which("setpriv"), "setpriv is not installed")
    command = [setpriv, "--regid=65534", "--clear-groups", sys.executable, "-c", UNREADABLE]
    said = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("32 of the files and folders") == 2, said.stdout
    assert said.stdout.count("closed' (Permission denied)") == 2
    assert said.stdout.count("(Permission denied)") == 2 * 20
    assert said.stdout.count("and 12 more") == 2
    assert "mine" not in said.stdout
    assert said.stdout.splitlines()[-1] == "32"
