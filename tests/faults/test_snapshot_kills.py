"""Snapshots killed at each of their calls, on a full disk, and of folders that do not keep still."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun.errors import Conflict, SnapshotError
from jupyter_mlrun.store import scan as scanning
from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.packs import ObjectStore
from tests.conftest import need

TAKE = """
import sys
from pathlib import Path
from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.packs import ObjectStore
store = ObjectStore(Path(sys.argv[1]))
print(snapshot.take(store, snapshot.scan(Path(sys.argv[2]), store=store)).id)
"""
GC = """
import sys
from pathlib import Path
from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.packs import ObjectStore
store = ObjectStore(Path(sys.argv[1]))
live = {d for m in snapshot.list_manifests(store) for d in snapshot.read_manifest(store, m).digests()}
store.gc(live, grace=-1)
"""


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects").make()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    (path / "main.py").write_bytes(b"print(1)\n")
    return path


def take(store: ObjectStore, source: Path, **options: Any) -> snapshot.Snapshot:
    return snapshot.take(store, snapshot.scan(source, store=store, **options))


def take_or_refuse(store: ObjectStore, source: Path, *names: str) -> snapshot.Snapshot | None:
    """The snapshot; None where it was refused because of one of *names*."""
    try:
        return take(store, source)
    except SnapshotError as problem:
        said = problem.message
    assert any(name in said for name in names), said
    return None


def content(root: Path) -> dict[str, bytes]:
    """Every file and link below *root*."""
    found = {}
    for folder, folders, names in os.walk(root):
        for name in (*names, *(one for one in folders if os.path.islink(os.path.join(folder, one)))):
            path = Path(folder, name)
            there = str(path.relative_to(root))
            found[there] = b"-> " + os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
    return found


def out_of_store(store: ObjectStore, manifest_id: str, place: Path) -> dict[str, bytes]:
    shutil.rmtree(place, ignore_errors=True)
    snapshot.materialise(store, manifest_id, place)
    return content(place)


def check_whole(store: ObjectStore, place: Path) -> None:
    """Every manifest that exists can be had, and no object is damaged."""
    assert not [text for text in store.verify() if "has no index" not in text]
    for manifest_id in snapshot.list_manifests(store):
        out_of_store(store, manifest_id, place)


# ---- kills -------------------------------------------------------------------------------------------------

# strace counts each call for itself
CALLS = ("write", "fsync", "rename", "flock", "mkdir", "unlink", "utimensat")
MOST = 100


def killed_at(call: str, number: int, code: str, *arguments: Path) -> bool:
    """Run *code* in a process that is killed at its *number*-th *call*; False where it had fewer."""
    strace = need(shutil.which("strace"), "strace is not installed")
    words = [strace, "-f", "-qq", "-o", os.devnull, "-e", f"inject={call}:signal=SIGKILL:when={number}"]
    command = [*words, sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode in {0, -signal.SIGKILL, 128 + signal.SIGKILL}, done.stderr.decode()
    return done.returncode != 0


def check_kills(store: ObjectStore, source: Path, place: Path, stride: int) -> int:
    """Kill at every *stride*-th point, and count how often."""
    (source / "sub").mkdir()
    (source / "sub/small").write_bytes(b"small")
    (source / "big.bin").write_bytes(random.Random(7).randbytes(9 << 20))
    killed = 0
    for call in CALLS:
        for number in range(1, MOST, stride):
            shutil.rmtree(store.root)
            if not killed_at(call, number, TAKE, store.root, source):
                break
            killed += 1
            check_whole(store.make(), place)
            assert out_of_store(store, take(store, source).id, place) == content(source)
            store.recover()
            assert not store.verify()
            check_whole(store, place)
        else:
            pytest.fail(f"{MOST} times {call}: the process never came to its end")
    return killed


@pytest.mark.slow
def test_a_kill_at_any_call_leaves_a_whole_store(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    assert check_kills(store, source, tmp_path / "out", stride=1) >= 15


def test_a_kill_leaves_a_whole_store(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    assert check_kills(store, source, tmp_path / "out", stride=4) >= 6


def test_a_killed_gc_leaves_what_is_needed(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    (source / "dead").write_bytes(os.urandom(50_000))
    first = take(store, source)
    (source / "dead").unlink()
    kept = take(store, source)
    # the pack is mostly dead now: gc moves what is left of it
    (store.manifests / f"{first.id}.json").unlink()
    saved = tmp_path / "saved"
    shutil.copytree(store.root, saved)
    killed = 0
    for call in ("write", "fsync", "rename", "unlink"):
        for number in range(1, MOST):
            shutil.rmtree(store.root)
            shutil.copytree(saved, store.root)
            came_that_far = killed_at(call, number, GC, store.root)
            assert out_of_store(ObjectStore(store.root), kept.id, tmp_path / "out") == content(source)
            check_whole(ObjectStore(store.root), tmp_path / "out")
            if not came_that_far:
                break
            killed += 1
        else:
            pytest.fail(f"{MOST} times {call}: gc never came to its end")
    assert killed >= 6


# ---- a full disk -------------------------------------------------------------------------------------------

FULL = """
import os, shutil, sys
from pathlib import Path
from jupyter_mlrun.errors import StoreError
from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.packs import ObjectStore

disk, source = Path(sys.argv[1]), Path(sys.argv[2])
refused = 0
for number in range(20):
    store = ObjectStore(disk / "objects").make()
    with (disk / "filler").open("wb") as filler:
        left = os.statvfs(disk)
        filler.write(bytes(max(0, left.f_bavail * left.f_frsize - 4096 * number * 24)))
    try:
        snapshot.take(store, snapshot.scan(source, store=store))
    except StoreError as problem:
        refused += 1
        assert "space" in (problem.hint or ""), problem
        assert not list(store.manifests.iterdir()), "a manifest without its objects"
        assert not list(store.packs.glob("*.pack")), "something was left behind"
    (disk / "filler").unlink()
    found = snapshot.take(store, snapshot.scan(source, store=store))
    assert not store.verify()
    snapshot.materialise(store, found.id, disk / "out")
    for path in source.iterdir():
        assert (disk / "out" / path.name).read_bytes() == path.read_bytes()
    shutil.rmtree(disk / "out")
    shutil.rmtree(store.root)
assert 3 < refused < 20, refused
"""


def on_a_small_disk(program: str, source: Path, disk: Path) -> None:
    """Run *program* with a disk of 8 MiB, mounted at *disk* for it alone, and a *source* of 1.2 MB."""
    disk.mkdir()
    for i in range(30):
        (source / f"f{i}").write_bytes(random.Random(i).randbytes(40_000))
    unshare = need(shutil.which("unshare"), "unshare is not installed")
    flags = next((f for f in ("-m", "-rm") if not subprocess.run([unshare, f, "true"], check=False).returncode), None)
    if flags is None:
        pytest.skip("no mount namespaces here")
    mount = 'mount -t tmpfs -o size=8m,mode=700 none "$1" && exec "$2" -c "$3" "$1" "$4"'
    words = [unshare, flags, "sh", "-c", mount, "sh", str(disk), sys.executable, program, str(source)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_full_disk_is_said_and_leaves_nothing(source: Path, tmp_path: Path) -> None:
    on_a_small_disk(FULL, source, tmp_path / "disk")


# ---- folders that do not keep still ------------------------------------------------------------------------


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Do *work* over and over in a thread."""
    ended = threading.Event()
    problems: list[BaseException] = []

    def loop() -> None:
        try:
            while not ended.is_set():
                work()
        except BaseException as problem:  # told by the test's own thread
            problems.append(problem)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert not problems, problems


def vanish(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(b"back")


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    path.rmdir()
    path.write_bytes(b"file")


def become_link(path: Path) -> None:
    aside = path.with_name("aside")
    aside.symlink_to("/proc/self/environ")
    os.replace(aside, path)
    aside.write_bytes(b"file")
    os.replace(aside, path)


def become_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
    path.unlink()
    path.write_bytes(b"file")


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x" * 5000)
    if path.stat().st_size > 200_000:
        os.truncate(path, 0)


@pytest.mark.parametrize("change", [vanish, become_folder, become_link, become_fifo, grow], ids=lambda f: f.__name__)
def test_what_moves_is_whole_or_refused(
    store: ObjectStore, source: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    (source / "still").write_bytes(b"still")
    moving = source / "moving"
    moving.write_bytes(b"file")
    with meanwhile(lambda: change(moving)):
        for _ in range(150):
            found = take_or_refuse(store, source, "moving", "aside")
            if found is None:
                continue
            tree = out_of_store(store, found.id, tmp_path / "out")
            assert tree["still"] == b"still"
            assert all(not data.startswith(b"-> /") for data in tree.values())
    check_whole(store, tmp_path / "out")


def test_a_file_that_is_replaced_is_one_of_its_versions(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    versions = [bytes([65 + i]) * 100_000 for i in range(4)]
    aside, path = tmp_path / "aside", source / "data"
    path.write_bytes(versions[0])

    def replace() -> None:
        aside.write_bytes(random.choice(versions))
        os.replace(aside, path)

    seen = 0
    with meanwhile(replace):
        for _ in range(60):
            found = take_or_refuse(store, source, "data")
            if found is None:
                continue
            seen += 1
            assert out_of_store(store, found.id, tmp_path / "out")["data"] in versions
    assert seen


def test_a_file_that_changes_twice_is_read_a_third_time(
    store: ObjectStore, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = snapshot._chunks
    tries = []

    def interrupted(fd: int, path: str, size: int, keeper: Any) -> Any:
        found = read(fd, path, size, keeper)
        tries.append(path)
        if len(tries) < snapshot.TRIES:
            (source / "main.py").write_bytes(b"x" * (100 + len(tries)))
        return found

    monkeypatch.setattr(snapshot, "_chunks", interrupted)
    found = take(store, source)
    assert tries == ["main.py"] * 3
    assert out_of_store(store, found.id, tmp_path / "out") == {"main.py": b"x" * 102}
    assert found.bytes == 102


def test_a_file_read_in_the_moment_of_its_change_is_read_again_next_time(
    store: ObjectStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git's racy rule: a change within one tick of the clock leaves no trace in the times."""
    (source / "other.py").write_bytes(b"x")
    read, late = snapshot._chunks, 0
    # the look begins in the moment of the first change, however late this line or the other change comes
    began = min(path.stat().st_ctime_ns for path in source.iterdir())

    def slow(*arguments: Any) -> Any:
        nonlocal late
        late += 10**9  # as if reading took a second: what is young was young when it was read
        return read(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "_chunks", slow)
        patch.setattr(time, "time_ns", lambda: began + late)
        take(store, source)
    read_again = []

    def noted(*arguments: Any) -> Any:
        read_again.append(arguments[1])
        return read(*arguments)

    monkeypatch.setattr(snapshot, "_chunks", noted)
    take(store, source)
    assert sorted(read_again) == ["main.py", "other.py"]


def test_a_file_that_goes_while_its_folder_is_listed_is_not_there(
    store: ObjectStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(3):
        (source / f"gone{i}").touch()

    def batches(listing: Iterator[Any], size: int) -> list[Any]:
        found = list(listing)
        for path in source.glob("gone*"):
            path.unlink()
        return found

    monkeypatch.setattr(scanning, "islice", batches)
    assert take(store, source).count == 1


# ---- links, and folders without end ------------------------------------------------------------------------


def test_a_link_cannot_climb_out_through_another_link(store: ObjectStore, source: Path) -> None:
    """By its text "p/q/a/../../x" is "p/x"; but ``a`` is a link to "r", and r/../../x is outside."""
    (source / "p/q").mkdir(parents=True)
    (source / "r").mkdir()
    (source / "p/q/a").symlink_to("../../r")
    (source / "loot").symlink_to("p/q/a/../../x")
    with pytest.raises(SnapshotError, match="'loot' leads out of the folder"):
        take(store, source)


@pytest.mark.parametrize("where", ["data", "data/a/b"])
def test_a_million_files_are_not_looked_at_one_by_one(
    source: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    folder = source / where
    folder.mkdir(parents=True)
    for i in range(300):
        (folder / f"f{i}").touch()
    monkeypatch.setattr(scanning, "GUARD_SECONDS", -1.0)
    monkeypatch.setattr(scanning, "_BATCH", 10)
    looked = []
    real = scanning.Scanner._sort

    def counted(self: scanning.Scanner, *arguments: Any) -> None:
        looked.append(1)
        real(self, *arguments)

    monkeypatch.setattr(scanning.Scanner, "_sort", counted)
    with pytest.raises(SnapshotError, match=r"at least (2[1-9]|3\d) files"):
        snapshot.scan(source, max_files=20)
    assert len(looked) < 60


def test_ignored_files_of_a_huge_folder_do_not_count(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(300):
        (source / f"f{i}.png").touch()
    (source / ".gitignore").write_text("*.png\n")
    monkeypatch.setattr(scanning, "GUARD_SECONDS", -1.0)
    monkeypatch.setattr(scanning, "_BATCH", 10)
    assert set(snapshot.scan(source, max_files=20).paths()) == {".gitignore", "main.py"}


# ---- what is remembered is no proof ------------------------------------------------------------------------


@pytest.fixture
def settled(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as old enough to be remembered: ctime cannot be set back."""
    monkeypatch.setattr(snapshot, "RACY_NS", -(10**12))


def test_gc_leaves_a_writer_alone_whatever_the_clock_says(store: ObjectStore) -> None:
    with store.writer() as writer:
        digest = writer.put(b"on its way")
        with pytest.raises(Conflict):
            store.gc(set(), grace=0, now=time.time() + 10**9)
    assert store.get(digest) == b"on its way"
    assert store.gc({digest}, grace=0, now=time.time() + 10**9)["packs"] == 0
    assert store.get(digest) == b"on its way"


@pytest.mark.usefixtures("settled")
def test_a_snapshot_after_gc_writes_anew_what_went(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    first = take(store, source)
    assert all(folder.fragment for folder in snapshot.scan(source, store=store).folders), "it is not remembered"
    (store.manifests / f"{first.id}.json").unlink()
    store.gc(set(), grace=0, now=time.time() + 10)
    assert not list(store.packs.glob("*.pack"))
    assert take(store, source) == first
    assert out_of_store(store, first.id, tmp_path / "out") == content(source)


@pytest.mark.usefixtures("settled")
def test_packs_that_somebody_deleted_are_written_again(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    first = take(store, source)
    for path in store.packs.iterdir():
        path.unlink()
    assert take(store, source) == first
    assert out_of_store(store, first.id, tmp_path / "out") == content(source)


@pytest.mark.usefixtures("settled")
def test_a_little_change_is_remembered_when_it_is_seen_again(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    (source / "sub").mkdir()
    (source / "sub/x").write_bytes(b"x")
    take(store, source)
    (cache,) = (store.root / "cache").iterdir()
    before = cache.read_bytes()
    (source / "sub/x").write_bytes(b"changed")
    changed = take(store, source)
    assert cache.read_bytes() == before
    assert take(store, source) == changed
    assert cache.read_bytes() != before
    assert all(folder.fragment for folder in snapshot.scan(source, store=store).folders)
    assert take(store, source) == changed
    assert out_of_store(store, changed.id, tmp_path / "out") == content(source)
