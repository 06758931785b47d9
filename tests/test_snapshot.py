"""Snapshots: what they hold, what they cost when nothing changed, and what comes out again."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from jupyter_mlrun.errors import BadInput, CorruptObject, NotFound, SnapshotError
from jupyter_mlrun.store import remembered, snapshot
from jupyter_mlrun.store.packs import CHUNK, ObjectStore

LONG_AGO = 1_600_000_000


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects").make()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    put(
        path, **{"main.py": b"print(1)\n", "sub/deep/data.bin": bytes(1000), "sub/empty": b"", "run.sh": b"#!/bin/sh\n"}
    )
    (path / "run.sh").chmod(0o755)
    (path / "link").symlink_to("sub/deep")
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files whose content was read."""
    seen: list[str] = []
    real = snapshot._read

    def read(place: int, path: str, name: str, keeper: snapshot._Keeper) -> object:
        seen.append(path)
        return real(place, path, name, keeper)

    monkeypatch.setattr(snapshot, "_read", read)
    return seen


def put(root: Path, /, **files: bytes) -> None:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def take(store: ObjectStore, source: Path, **options: object) -> snapshot.Snapshot:
    return snapshot.take(store, snapshot.scan(source, store=store, **options))  # type: ignore[arg-type]


def settle() -> None:
    """Let files become older than those that may change again unseen."""
    until = time.time_ns() + 2 * snapshot.RACY_NS
    while time.time_ns() < until:
        os.sched_yield()


def tree(root: Path) -> dict[bytes, object]:
    """Every file's bytes and executable bit, every link's target, by the bytes of its name."""
    found: dict[bytes, object] = {}
    for folder, folders, names in os.walk(os.fsencode(root)):
        for name in (*folders, *names):
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                found[os.path.relpath(path, os.fsencode(root))] = os.readlink(path)
            elif stat.S_ISREG(mode):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, os.fsencode(root))] = (file.read(), bool(mode & 0o100))
    return found


def test_a_tree_comes_out_as_it_went_in(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    taken = take(store, source)
    snapshot.materialise(store, taken.id, tmp_path / "copy")
    assert tree(tmp_path / "copy") == tree(source)
    assert (taken.count, taken.bytes) == (5, 1019)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert modes == {0o600, 0o700}


def test_the_manifest_is_as_documented(store: ObjectStore, source: Path) -> None:
    taken = take(store, source)
    text = (store.manifests / f"{taken.id}.json").read_text("ascii")
    data = json.loads(text)
    assert text.count("\n") == 1
    assert {key: data[key] for key in ("format", "id", "bytes")} == {"format": 1, "id": taken.id, "bytes": 1019}
    by_path = {entry["path"]: entry for entry in data["files"]}
    assert by_path["link"] == {"path": "link", "link": "sub/deep"}
    assert by_path["run.sh"]["executable"]
    assert by_path["sub/empty"] == {"path": "sub/empty", "size": 0, "executable": False, "chunks": []}


def test_equal_trees_share_an_id(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    taken = take(store, source)
    snapshot.materialise(store, taken.id, tmp_path / "copy")
    packs = list(store.packs.iterdir())
    assert take(store, tmp_path / "copy") == taken
    assert take(ObjectStore(tmp_path / "other"), source) == taken
    assert sorted(store.packs.iterdir()) == sorted(packs), "what is there is not stored again"
    (tmp_path / "copy/run.sh").chmod(0o644)
    assert take(store, tmp_path / "copy").id != taken.id


def test_a_large_file_is_cut(store: ObjectStore, tmp_path: Path) -> None:
    data = os.urandom(2 * CHUNK + 7)
    put(tmp_path / "big", model=data)
    taken = take(store, tmp_path / "big")
    (entry,) = snapshot.read_manifest(store, taken.id).files
    assert len(entry["chunks"]) == 3
    snapshot.materialise(store, taken.id, tmp_path / "copy")
    assert (tmp_path / "copy/model").read_bytes() == data


def test_odd_names_come_back_byte_for_byte(store: ObjectStore, tmp_path: Path) -> None:
    root = os.fsencode(tmp_path / "odd")
    os.mkdir(root)
    names = [
        b"\xff\xfe\x80", b"new\nline", b"-rf", b"--", b"n" * 255, "\u00e9".encode(), "e\u0301".encode(),
        b"...", b"..a", b"a ",
        b" ", b"\\", b"'\"", b"CON", b"dot.", b"A", b"a", b"\x7f\x1b[31m", "😀".encode(), b"*", b"!x", b"#x",
    ]  # fmt: skip
    for number, name in enumerate(names):
        os.mkdir(os.path.join(root, b"d%d" % number))
        for path in (name, os.path.join(b"d%d" % number, name)):
            with open(os.path.join(root, path), "wb") as file:
                file.write(name)
    os.symlink(b"\xff\xfe\x80", os.path.join(root, b"link\xff"))
    os.mkdir(os.path.join(root, b"dir\xff"))
    put(Path(os.fsdecode(os.path.join(root, b"dir\xff"))), inside=b"x")
    taken = take(store, tmp_path / "odd")
    snapshot.materialise(store, taken.id, tmp_path / "copy")
    assert tree(tmp_path / "copy") == tree(tmp_path / "odd")
    assert len(tree(tmp_path / "copy")) == 2 * len(names) + 2
    assert take(store, tmp_path / "odd") == taken


def test_an_empty_folder_is_a_snapshot(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    taken = take(store, tmp_path / "empty")
    snapshot.materialise(store, taken.id, tmp_path / "copy")
    assert (taken.count, tree(tmp_path / "copy")) == (0, {})


class TestUnchanged:
    def test_reads_no_file(self, store: ObjectStore, source: Path, reads: list[str]) -> None:
        settle()
        first = take(store, source)
        assert len(reads) == 4
        reads.clear()
        assert take(store, source) == first
        assert reads == []

    def test_one_changed_file_is_read_alone(self, store: ObjectStore, source: Path, reads: list[str]) -> None:
        settle()
        first = take(store, source)
        reads.clear()
        put(source, **{"sub/empty": b"x"})
        second = take(store, source)
        assert reads == ["sub/empty"]
        assert second.id != first.id
        assert snapshot.read_manifest(store, second.id).count == 5

    def test_a_change_with_size_and_time_put_back_is_seen(
        self, store: ObjectStore, source: Path, reads: list[str]
    ) -> None:
        os.utime(source / "main.py", (LONG_AGO, LONG_AGO))
        settle()
        first = take(store, source)
        put(source, **{"main.py": b"print(2)\n"})
        os.utime(source / "main.py", (LONG_AGO, LONG_AGO))
        assert take(store, source).id != first.id

    def test_a_file_as_young_as_its_snapshot_is_read_again(
        self, store: ObjectStore, tmp_path: Path, reads: list[str]
    ) -> None:
        ahead = time.time() + 3600
        put(tmp_path / "young", a=b"1")
        os.utime(tmp_path / "young/a", (ahead, ahead))
        for _ in range(2):
            take(store, tmp_path / "young")
        assert reads == ["a", "a"]

    def test_changes_of_every_kind_are_seen(self, store: ObjectStore, source: Path, tmp_path: Path) -> None:
        settle()
        seen = {take(store, source).id}

        def changed() -> bool:
            taken = take(store, source)
            fresh = take(ObjectStore(tmp_path / f"fresh{len(seen)}"), source)
            assert taken == fresh, "what is remembered and what is there are the same"
            seen.add(taken.id)
            return len(seen) == count + 1

        def replace_link() -> None:
            (source / "link").unlink()
            (source / "link").symlink_to("main.py")

        def replace_file() -> None:
            (source / "main.py").unlink()
            put(source, **{"main.py/inside": b"x"})

        for change in (
            lambda: (source / "run.sh").chmod(0o644),
            (source / "sub/empty").unlink,
            lambda: put(source, **{"sub/deep/new": b"x"}),
            lambda: (source / "sub").rename(source / "moved"),
            lambda: put(source, **{".gitignore": b"moved/deep/new\n"}),
            lambda: put(source, **{".amlignore": b"run.sh\n"}),
            replace_link,
            replace_file,
        ):
            count = len(seen)
            change()
            assert changed()

    def test_other_includes_are_another_snapshot(self, store: ObjectStore, source: Path) -> None:
        put(source, **{".env": b"SECRET=1\n"})
        settle()
        without = take(store, source)
        assert take(store, source, include=[".env"]).count == without.count + 1
        assert take(store, source) == without

    @pytest.mark.parametrize("damage", [b"", b"\0", b"garbage" * 100, None])
    def test_a_damaged_memory_counts_as_none(
        self, store: ObjectStore, source: Path, reads: list[str], damage: bytes | None
    ) -> None:
        settle()
        first = take(store, source)
        reads.clear()
        path = remembered.cache_path(store, source)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data) if damage is None else damage)
        assert take(store, source) == first
        assert len(reads) == 4

    def test_objects_that_gc_took_are_stored_again(self, store: ObjectStore, source: Path) -> None:
        settle()
        first = take(store, source)
        store.gc(set(), now=time.time() + 1e6)
        assert take(store, source) == first
        assert store.missing(snapshot.read_manifest(store, first.id).digests()) == []


class TestGenerated:
    def test_files_are_added(self, store: ObjectStore, source: Path, tmp_path: Path) -> None:
        plan = snapshot.scan(source, store=store)
        taken = snapshot.take(store, plan, extra={"cell.py": b"1", "sub/cell.py": b"2"})
        snapshot.materialise(store, taken.id, tmp_path / "copy")
        assert (tmp_path / "copy/sub/cell.py").read_bytes() == b"2"
        assert taken.count == 7
        put(source, **{"cell.py": b"1", "sub/cell.py": b"2"})
        assert take(store, source).id == taken.id

    @pytest.mark.parametrize("name", ["main.py", "sub", "link"])
    def test_none_takes_the_place_of_another(self, store: ObjectStore, source: Path, name: str) -> None:
        with pytest.raises(SnapshotError, match=name):
            snapshot.take(store, snapshot.scan(source), extra={name: b"x"})
        assert snapshot.list_manifests(store) == []

    @pytest.mark.parametrize("name", ["main.py/x", "link/x"])
    def test_none_lies_in_a_file(self, store: ObjectStore, source: Path, name: str) -> None:
        with pytest.raises(SnapshotError):
            snapshot.take(store, snapshot.scan(source), extra={name: b"x"})

    @pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "", "a//b"])
    def test_none_leads_outside(self, store: ObjectStore, name: str) -> None:
        with pytest.raises((BadInput, CorruptObject, SnapshotError)):
            snapshot.take(store, None, extra={name: b"x"})


def test_what_a_run_rewrites_changes_nothing_else(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    taken = take(store, source)
    for name in ("one", "two"):
        snapshot.materialise(store, taken.id, tmp_path / name)
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.write_bytes(b"overwritten")
    assert tree(tmp_path / "two") == tree(source)
    assert store.verify() == []
    snapshot.materialise(store, taken.id, tmp_path / "three")
    assert tree(tmp_path / "three") == tree(source)


def test_a_manifest_that_is_not_there_or_damaged_is_said(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        snapshot.read_manifest(store, "0" * 64)
    taken = take(store, source)
    path = store.manifests / f"{taken.id}.json"
    path.write_bytes(path.read_bytes().replace(b"main.py", b"mian.py"))
    with pytest.raises(CorruptObject):
        snapshot.materialise(store, taken.id, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
