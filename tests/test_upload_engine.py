"""Uploads: what is taken of a folder or file, what is read again, and what comes out."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_mlrun.errors import CorruptObject, SnapshotError
from jupyter_mlrun.store import packs, pour, reading, remembered, snapshot
from jupyter_mlrun.store.packs import CHUNK, ObjectStore
from jupyter_mlrun.store.snapshot import Progress
from jupyter_mlrun.worker import unpack
from jupyter_mlrun.worker.deep import remove_tree
from tests.test_snapshot import put, tree


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects").make()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    put(
        path,
        **{"main.py": b"1", "sub/deep/data.bin": bytes(1000), "sub/empty": b"", "run.sh": b"#!", ".gitignore": b"*"},
    )
    (path / "run.sh").chmod(0o755)
    return path


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as old enough to be remembered: ctime cannot be set back."""
    monkeypatch.setattr(remembered, "RACY_NS", -(10**12))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were opened to be read."""
    seen: list[str] = []
    real = reading.open_source

    def noted(base: str, one: reading.Source) -> tuple[int, os.stat_result]:
        seen.append(one.path)
        return real(base, one)

    monkeypatch.setattr(reading, "open_source", noted)
    monkeypatch.setattr(pour, "open_source", noted)
    return seen


def upload(store: ObjectStore, source: Path, told: list[Progress] | None = None) -> snapshot.Snapshot:
    plan = snapshot.scan_data(source, store=store)
    return snapshot.take_data(store, plan, progress=None if told is None else told.append)


def out(store: ObjectStore, taken: snapshot.Snapshot, place: Path) -> dict[bytes, object]:
    snapshot.materialise(store, taken.id, place)
    return tree(place)


def stored(store: ObjectStore) -> list[bytes]:
    """The digests of all objects, one for each time that it is stored."""
    return [entry[0] for path in store.packs.glob("*.idx") for entry in unpack.read_index(str(path))]


# ---- what is taken -----------------------------------------------------------------------------------------


def test_everything_comes_out_as_it_went_in(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    put(source, **{".env": b"S=1", ".git/config": b"x", "__pycache__/a.pyc": b"y", "big": os.urandom(2 * CHUNK + 5)})
    taken = upload(store, source)
    assert out(store, taken, tmp_path / "copy") == tree(source)
    assert (taken.count, taken.bytes) == (9, sum(p.stat().st_size for p in source.rglob("*") if p.is_file()))


def test_an_upload_and_a_snapshot_of_one_tree_are_one(store: ObjectStore, source: Path) -> None:
    (source / ".gitignore").unlink()
    names = ['q"uote', "back\\slash", "new\nline", "é", os.fsdecode(b"\xff"), "},{", "a b", "\x7f"]
    for number, name in enumerate(names):
        put(source / "odd", **{name: b"%d" % number})
        put(source / "odd" / f"{name}.d", inside=b"x" * number)
    put(source, big=random.Random(1).randbytes(CHUNK + 1))
    plan = snapshot.scan(source)
    assert upload(store, source) == snapshot.take(store, plan)


def test_many_small_files_are_one_tree(store: ObjectStore, tmp_path: Path) -> None:
    root, dice = tmp_path / "many", random.Random(3)
    for number in range(700):
        put(root / f"d{number % 7}", **{f"f{number}": dice.randbytes(dice.choice([0, 1, 44, 4000, 70_000]))})
    taken = upload(store, root)
    assert out(store, taken, tmp_path / "copy") == tree(root)
    assert taken == snapshot.take(ObjectStore(tmp_path / "other"), snapshot.scan(root))
    assert len(stored(store)) == len(set(stored(store))), "an object is stored once"


@pytest.mark.parametrize("size", [CHUNK - 45, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, reading.BUFFER + 1])
def test_sizes_around_a_chunk(store: ObjectStore, tmp_path: Path, size: int) -> None:
    put(tmp_path / "in", a=b"a" * 9, b=random.Random(size).randbytes(size), c=b"c")
    assert out(store, upload(store, tmp_path / "in"), tmp_path / "copy") == tree(tmp_path / "in")


def test_one_file_is_a_tree_of_one(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    taken = upload(store, source / "run.sh")
    assert out(store, taken, tmp_path / "copy") == {b"run.sh": (b"#!", True)}
    assert upload(store, source / "run.sh") == taken


@pytest.mark.parametrize("size", [0, CHUNK, CHUNK * 3 + 1])
def test_one_empty_or_large_file(store: ObjectStore, tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    put(tmp_path / "in", one=data)
    assert out(store, upload(store, tmp_path / "in/one"), tmp_path / "copy") == {b"one": (data, False)}


def test_an_empty_folder_has_no_files(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "in/a/b").mkdir(parents=True)
    assert (upload(store, tmp_path / "in").count, list(snapshot.scan_data(tmp_path / "in").paths())) == (0, [])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="nowhere"):
        snapshot.scan_data(tmp_path / "nowhere")


def test_the_look_writes_nothing(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    snapshot.scan_data(source, store=store)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_signature_needs_no_store_and_sees_changes(source: Path) -> None:
    first = snapshot.scan_data(source).signature
    assert snapshot.scan_data(source).signature == first
    put(source, **{"sub/deep/new": b"x"})
    second = snapshot.scan_data(source).signature
    put(source, **{"main.py": b"22"})
    assert len({first, second, snapshot.scan_data(source).signature}) == 3
    assert snapshot.scan_data(source / "main.py").signature != snapshot.scan_data(source / "run.sh").signature


# ---- links and special files -------------------------------------------------------------------------------


def test_links_become_what_they_lead_to(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", x=b"x", **{"y/z": b"z"})
    (source / "file").symlink_to("main.py")
    (source / "out").symlink_to(tmp_path / "elsewhere")
    (source / "twice").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root").symlink_to(source)
    taken = upload(store, tmp_path / "root")
    found = out(store, taken, tmp_path / "copy")
    assert found[b"file"] == (b"1", False)
    assert found[b"out/y/z"] == found[b"twice/y/z"] == (b"z", False)
    assert taken.count == 5 + 1 + 2 * 2


def test_circles_and_dead_ends_are_left_out_and_named(store: ObjectStore, source: Path) -> None:
    links = {
        "self": "self", "here": ".", "sub/up": "..", "sub/deep/top": str(source), "a": "b", "b": "a",
        "dangling": "nowhere", "under": "main.py/x",
    }  # fmt: skip
    for name, target in links.items():
        (source / name).symlink_to(target)
    plan = snapshot.scan_data(source, store=store)
    assert {path for path, _ in plan.left_out} == set(links)
    assert {why for _, why in plan.left_out} == {
        "a link that leads nowhere",
        "a link to itself or to a folder above it",
    }
    assert snapshot.take_data(store, plan).count == plan.count == 5


def test_links_that_multiply_are_refused(source: Path) -> None:
    for level in range(40):
        (source / f"l{level}").mkdir()
        for name in "ab":
            (source / f"l{level}" / name).symlink_to(f"../l{level + 1}")
    (source / "l40").mkdir()
    with pytest.raises(SnapshotError, match=r"links .* lead to one folder over 1,000 times"):
        snapshot.scan_data(source)


@pytest.fixture
def special(source: Path, socket_folder: Path) -> Iterator[set[str]]:
    os.mkfifo(source / "pipe")
    (source / "to-pipe").symlink_to("pipe")
    (source / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(socket_folder / "s"))
        os.rename(socket_folder / "s", source / "sub/door")
        yield {"pipe", "to-pipe", "zero", "sub/door"}


def test_special_files_are_left_out_and_named(store: ObjectStore, source: Path, special: set[str]) -> None:
    plan = snapshot.scan_data(source, store=store)
    assert {path for path, _ in plan.left_out} == special
    assert {why for _, why in plan.left_out} == {"a FIFO", "a device", "a socket"}
    assert snapshot.take_data(store, plan).count == 5
    assert snapshot.scan_data(source, store=store).left_out == plan.left_out


@pytest.mark.parametrize("name", ["pipe", "zero"])
@pytest.mark.usefixtures("special")
def test_a_special_file_alone_is_refused(source: Path, name: str) -> None:
    with pytest.raises(SnapshotError, match=r"is a (FIFO|device)"):
        snapshot.scan_data(source / name)


def test_the_store_is_no_part_of_what_it_stores(source: Path) -> None:
    store = ObjectStore(source / "home/objects").make()
    first = upload(store, source)
    assert upload(store, source) == first
    assert first.count == 5


# ---- what is read again ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("settled")
def test_a_second_upload_opens_no_file(store: ObjectStore, source: Path, opened: list[str]) -> None:
    put(source, big=os.urandom(CHUNK + 1))
    told: list[Progress] = []
    first = upload(store, source, told)
    assert len(opened) == first.count == sum(one.event == "end" for one in told)
    opened.clear()
    told.clear()
    packs_before = sorted(store.packs.iterdir())
    assert upload(store, source, told) == first
    assert (opened, told, sorted(store.packs.iterdir())) == ([], [], packs_before)


@pytest.mark.usefixtures("settled")
def test_only_what_changed_is_read(store: ObjectStore, source: Path, tmp_path: Path, opened: list[str]) -> None:
    first = upload(store, source)
    opened.clear()
    put(source, **{"sub/empty": b"not any more", "sub/new": b"new"})
    second = upload(store, source)
    assert sorted(opened) == ["sub/empty", "sub/new"]
    assert second.id != first.id
    assert out(store, second, tmp_path / "copy") == tree(source)
    opened.clear()
    assert upload(store, source) == second
    assert opened == []


@pytest.mark.usefixtures("settled")
def test_names_that_look_like_a_manifest_are_kept_as_they_are(store: ObjectStore, tmp_path: Path) -> None:
    odd = ['},{"chunks":[', "},{", '"},{"', "]", os.fsdecode(b"\xff},"), "z"]
    put(tmp_path / "in", **{name: name.encode("utf-8", "surrogateescape") for name in odd})
    upload(store, tmp_path / "in")
    put(tmp_path / "in", z=b"other")
    assert upload(store, tmp_path / "in") == upload(ObjectStore(tmp_path / "fresh"), tmp_path / "in")


@pytest.mark.usefixtures("settled")
def test_of_a_large_file_only_the_changed_chunk_is_stored(store: ObjectStore, tmp_path: Path) -> None:
    data = bytearray(random.Random(5).randbytes(5 * CHUNK))
    put(tmp_path / "in", big=bytes(data))
    upload(store, tmp_path / "in")
    data[2 * CHUNK + 17] ^= 1
    put(tmp_path / "in", big=bytes(data))
    told: list[Progress] = []
    taken = upload(store, tmp_path / "in", told)
    assert told[-1].bytes_new == CHUNK
    assert out(store, taken, tmp_path / "copy") == tree(tmp_path / "in")


def test_a_file_as_young_as_its_upload_is_read_again(store: ObjectStore, source: Path, opened: list[str]) -> None:
    os.utime(source / "main.py", (4e9, 4e9))
    upload(store, source)
    opened.clear()
    upload(store, source)
    assert "main.py" in opened


@pytest.mark.usefixtures("settled")
def test_objects_that_are_gone_are_stored_again(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    first = upload(store, source)
    for path in store.packs.iterdir():
        path.unlink()
    assert upload(store, source) == first
    assert out(store, first, tmp_path / "copy") == tree(source)


@pytest.mark.usefixtures("settled")
def test_a_snapshot_and_an_upload_of_one_folder_are_remembered_apart(
    store: ObjectStore, source: Path, opened: list[str]
) -> None:
    first, other = upload(store, source), snapshot.take(store, snapshot.scan(source, store=store))
    opened.clear()
    assert (upload(store, source), opened) == (first, [])
    assert snapshot.take(store, snapshot.scan(source, store=store)) == other


def test_the_same_content_elsewhere_is_not_stored_again(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    first = upload(store, source)
    snapshot.materialise(store, first.id, tmp_path / "copy")
    told: list[Progress] = []
    assert upload(store, tmp_path / "copy", told) == first
    assert told[-1].bytes_new == 0


# ---- how it goes -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("settled")
def test_progress_begins_and_ends_each_file(store: ObjectStore, source: Path) -> None:
    put(source, big=os.urandom(2 * CHUNK), copy=b"1")
    told: list[Progress] = []
    taken = upload(store, source, told)
    begun, ended = ([p.path for p in told if p.event == event] for event in ("begin", "end"))
    assert sorted(begun) == sorted(ended) == sorted(snapshot.scan_data(source).paths())
    last = told[-1]
    assert (last.files_done, last.files_total) == (taken.count, taken.count)
    assert (last.bytes_done, last.bytes_total) == (taken.bytes, taken.bytes)
    assert last.bytes_new == taken.bytes - 1, "the copy is no new content"
    done = [p.bytes_done for p in told]
    assert done == sorted(done)


def test_what_was_stored_before_an_interrupt_is_not_stored_again(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "FULL_PACK", 6 << 20)
    put(tmp_path / "in", **{f"f{n}": random.Random(n).randbytes(CHUNK) for n in range(8)})
    first: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        first.append(progress)
        if progress.files_done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        snapshot.take_data(store, snapshot.scan_data(tmp_path / "in"), progress=interrupt)
    assert snapshot.list_manifests(store) == []
    told: list[Progress] = []
    taken = upload(store, tmp_path / "in", told)
    assert told[-1].bytes_new <= taken.bytes - first[-1].bytes_new < taken.bytes
    assert len(stored(store)) == len(set(stored(store))) == 8
    assert out(store, taken, tmp_path / "copy") == tree(tmp_path / "in")
    assert store.verify() == []


# ---- sparse and deep ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("settled")
def test_holes_are_not_read_and_come_out_as_holes(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in/sparse"
    path.parent.mkdir()
    with path.open("wb") as file:
        for place in (0, 50 << 30, (100 << 30) - 15):
            file.seek(place)
            file.write(b"%015d" % place)
    if path.stat().st_blocks * 512 > 1 << 30:
        pytest.skip("no sparse files here")
    chunks: list[int] = []
    real = reading.read_chunk

    def noted(big: reading.Big, number: int, buffer: memoryview) -> tuple[bytes, int]:
        chunks.append(number)
        return real(big, number, buffer)

    monkeypatch.setattr(pour, "read_chunk", noted)
    taken = upload(store, tmp_path / "in")
    assert taken.bytes == 100 << 30
    assert sorted(chunks) == [0, 12_800, 25_599]
    assert len(stored(store)) == 4, "three, and the zeros"
    snapshot.materialise(store, taken.id, tmp_path / "copy")
    made = tmp_path / "copy/sparse"
    assert made.stat().st_size == 100 << 30
    assert made.stat().st_blocks * 512 <= 4 * CHUNK
    with made.open("rb") as copy:
        for place in (0, 50 << 30, (100 << 30) - 15):
            copy.seek(place)
            assert copy.read(15) == b"%015d" % place


@pytest.mark.parametrize("size", [CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 100])
def test_a_file_that_is_one_hole(store: ObjectStore, tmp_path: Path, size: int) -> None:
    (tmp_path / "in").mkdir()
    with (tmp_path / "in/hole").open("wb") as file:
        file.truncate(size)
    assert out(store, upload(store, tmp_path / "in"), tmp_path / "copy") == {b"hole": (bytes(size), False)}


def test_zeros_have_the_digest_that_is_known() -> None:
    assert hashlib.sha256(bytes(unpack.CHUNK)).hexdigest() == unpack.ZEROS


def test_a_file_larger_than_any_is_refused(store: ObjectStore, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pour, "MOST_SIZE", 999)
    with pytest.raises(SnapshotError, match=r"sub/deep/data\.bin"):
        upload(store, source)
    assert not list(store.packs.iterdir())


DEPTH = 4096


def test_a_tree_of_4096_levels(store: ObjectStore, tmp_path: Path) -> None:
    try:
        (tmp_path / "in").mkdir()
        fd = os.open(tmp_path / "in", os.O_RDONLY)
        for _ in range(DEPTH):
            os.mkdir("d", dir_fd=fd)
            outer, fd = fd, os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(outer)
        with os.fdopen(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=fd), "wb") as file:
            file.write(b"deep")
        os.close(fd)
        taken = upload(store, tmp_path / "in")
        (entry,) = snapshot.read_manifest(store, taken.id).files
        assert entry["path"] == "d/" * DEPTH + "leaf"
        snapshot.materialise(store, taken.id, tmp_path / "copy")
        fd = os.open(tmp_path / "copy", os.O_RDONLY)
        for _ in range(DEPTH):
            outer, fd = fd, os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(outer)
        with os.fdopen(os.open("leaf", os.O_RDONLY, dir_fd=fd), "rb") as file:
            assert file.read() == b"deep"
        os.close(fd)
    finally:
        remove_tree(str(tmp_path / "in"))
        remove_tree(str(tmp_path / "copy"))
    assert not (tmp_path / "in").exists()
    assert not (tmp_path / "copy").exists()


def test_attributes_are_no_part_of_it(store: ObjectStore, source: Path) -> None:
    first = upload(store, source)
    try:
        os.setxattr(source / "main.py", "user.note", b"x")
    except OSError:
        pytest.skip("no extended attributes here")
    assert upload(store, source) == first


# ---- damage ------------------------------------------------------------------------------------------------


def test_damage_names_the_file_and_the_object(store: ObjectStore, tmp_path: Path) -> None:
    put(tmp_path / "in", **{f"f{n}": random.Random(n).randbytes(CHUNK) for n in range(6)})
    taken = upload(store, tmp_path / "in")
    entry = next(e for e in snapshot.read_manifest(store, taken.id).files if e["path"] == "f3")
    reader = store.reader()
    pack, offset, _ = reader.places[bytes.fromhex(entry["chunks"][0])]
    with open(pack, "r+b") as file:
        file.seek(offset + 7)
        byte = file.read(1)
        file.seek(offset + 7)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(CorruptObject) as caught:
        snapshot.materialise(store, taken.id, tmp_path / "copy")
    assert "'f3'" in caught.value.message
    assert entry["chunks"][0] in caught.value.message
    assert not (tmp_path / "copy").exists()
    with pytest.raises(CorruptObject, match="f3"):
        unpack.write_file(str(tmp_path / "one"), entry, reader)
    assert not (tmp_path / "one").exists()
    reader.close()


def test_a_manifest_whose_sizes_lie_makes_nothing(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    entries = snapshot.read_manifest(store, upload(store, source).id).files
    changes: list[dict[str, object]] = [
        {"size": 999}, {"size": 1001}, {"size": CHUNK + 1}, {"size": -1}, {"chunks": []},
    ]  # fmt: skip
    for change in changes:
        lying = [{**e, **(change if e["path"] == "sub/deep/data.bin" else {})} for e in entries]
        forged = snapshot.write_manifest(store, {"": snapshot.fragment_of(lying)}, 1)
        with pytest.raises(CorruptObject, match=r"data\.bin"):
            snapshot.materialise(store, forged, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()


def test_what_is_made_is_private(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    snapshot.materialise(store, upload(store, source).id, tmp_path / "copy")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "copy").rglob("*")}
    assert modes == {0o600, 0o700}
