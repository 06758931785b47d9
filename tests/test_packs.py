"""The content store: written by many, damaged, collected, recovered."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_mlrun.errors import Conflict, CorruptObject, StoreError
from jupyter_mlrun.store import packs
from jupyter_mlrun.store.packs import CHUNK, ObjectStore
from jupyter_mlrun.worker import unpack

DAY = 86400.0


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects").make()


def put(store: ObjectStore, *values: bytes) -> list[str]:
    """Store these in a pack of their own."""
    with store.writer() as writer:
        return [writer.put(value) for value in values]


def only(store: ObjectStore, ending: str = "pack") -> Path:
    (path,) = store.packs.glob(f"*.{ending}")
    return path


def later(store: ObjectStore, live: set[str] | Callable[[], set[str]]) -> dict[str, int]:
    return store.gc(live, now=time.time() + 2 * DAY)


def test_what_was_put_is_read(store: ObjectStore) -> None:
    values = [b"", b"a", bytes(range(256)) * 100]
    names = put(store, *values)
    assert names == [hashlib.sha256(value).hexdigest() for value in values]
    assert [store.get(name) for name in names] == values
    assert store.verify() == []
    assert store.missing([*names, "0" * 64]) == ["0" * 64]


def test_a_pack_that_gc_replaces_while_it_is_read(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    (name,) = put(store, b"hello")
    real = unpack.read_index

    def read_index(path: str) -> list[tuple[bytes, int, int]]:
        if not (store.packs / "z.idx").exists():
            for file in list(store.packs.iterdir()):
                file.rename(file.with_name(f"z{file.suffix}"))
        return real(path)

    monkeypatch.setattr(unpack, "read_index", read_index)
    assert store.get(name) == b"hello"


def test_the_bytes_are_as_documented(store: ObjectStore) -> None:
    (name,) = put(store, b"hello")
    digest = bytes.fromhex(name)
    head = b"JMLRPACK" + struct.pack("<II", 1, 0)
    assert only(store).read_bytes() == head + b"OBJ1" + struct.pack("<Q", 5) + digest + b"hello"
    body = b"JMLRPIDX" + struct.pack("<II", 1, 1) + digest + struct.pack("<QQ", 60, 5)
    assert only(store, "idx").read_bytes() == body + hashlib.sha256(body).digest()
    assert {path.stat().st_mode & 0o777 for path in store.packs.iterdir()} == {0o600}


def test_a_writer_stores_an_object_once(store: ObjectStore) -> None:
    put(store, b"same", b"same")
    assert only(store).stat().st_size == 16 + 44 + 4


def test_a_stream_is_cut(store: ObjectStore) -> None:
    data = os.urandom(CHUNK + 5)
    with store.writer() as writer:
        names = writer.put_stream(io.BytesIO(data))
    assert b"".join(map(store.get, names)) == data
    assert [len(store.get(name)) for name in names] == [CHUNK, 5]


def test_a_full_pack_is_followed_by_another(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "FULL_PACK", 1000)
    names = put(store, *(bytes([n]) * 600 for n in range(6)))
    assert len(list(store.packs.glob("*.pack"))) == 3
    assert store.missing(names) == []


def test_an_error_leaves_nothing(store: ObjectStore) -> None:
    def fail() -> None:
        with store.writer() as writer:
            writer.put(os.urandom(5 << 20))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(store.packs.iterdir()) == []


def test_nothing_is_visible_before_it_is_sealed(store: ObjectStore) -> None:
    with store.writer() as writer:
        name = writer.put(b"x")
        assert store.missing([name])
        assert store.verify() == [], "a pack that is being written is no damage"
    assert not store.missing([name])


@pytest.mark.parametrize("place", [16, 20, 30, -1])
def test_a_flipped_bit_is_found_and_named(store: ObjectStore, place: int) -> None:
    (name,) = put(store, b"hello")
    data = bytearray(only(store).read_bytes())
    data[place] ^= 1
    only(store).write_bytes(data)
    assert [name in text for text in store.verify()] == [True]
    if place == -1:
        with pytest.raises(CorruptObject, match=name):
            store.get(name)


def test_a_damaged_index_is_named_and_made_anew(store: ObjectStore) -> None:
    (name,) = put(store, b"hello")
    index = only(store, "idx")
    index.write_bytes(index.read_bytes()[:-1] + b"?")
    assert str(index) in store.verify()[0]
    with pytest.raises(CorruptObject):
        store.get(name)
    assert store.recover() == 1
    assert store.get(name) == b"hello"
    assert store.recover() == 0


@pytest.mark.parametrize("torn", [0, 1, 43, 44, 60])
def test_a_pack_without_index_gives_its_whole_objects(store: ObjectStore, torn: int) -> None:
    names = put(store, b"first", b"second", b"x" * 100)
    only(store, "idx").unlink()
    pack = only(store)
    os.truncate(pack, pack.stat().st_size - torn)
    assert "no index" in store.verify()[0]
    assert store.recover() == 1
    assert store.verify() == []
    assert store.missing(names) == ([names[2]] if torn else [])
    assert store.get(names[1]) == b"second"


@pytest.mark.parametrize("data", [b"", b"JMLR", b"\0" * 100, b"JMLRPACK" + b"\xff" * 100])
def test_garbage_gives_no_objects(store: ObjectStore, data: bytes) -> None:
    (store.packs / "garbage.pack").write_bytes(data)
    assert store.recover() == 1
    assert store.verify() == []


def test_what_is_not_there_is_said(store: ObjectStore) -> None:
    with pytest.raises(StoreError, match="0000"):
        store.get("0" * 64)


class TestGc:
    def test_keeps_what_lives_and_removes_what_does_not(self, store: ObjectStore) -> None:
        (dead,), (alive,) = put(store, b"dead"), put(store, b"alive")
        assert later(store, {alive})["packs"] == 1
        assert store.get(alive) == b"alive"
        assert store.missing([dead, alive]) == [dead]
        assert store.verify() == []

    def test_keeps_the_young(self, store: ObjectStore) -> None:
        put(store, b"young")
        assert store.gc(set()) == {"packs": 0, "bytes": 0}
        assert only(store).exists()

    def test_refuses_while_somebody_writes(self, store: ObjectStore) -> None:
        put(store, b"dead")
        with store.writer(), pytest.raises(Conflict):
            later(store, set())
        assert later(store, set())["packs"] == 1

    def test_writes_mostly_dead_packs_anew(self, store: ObjectStore) -> None:
        alive, _ = put(store, b"alive", bytes(10_000))
        reader = store.reader()
        assert later(store, {alive})["bytes"] > 9_000
        assert store.get(alive) == b"alive"
        assert only(store).stat().st_size < 200
        reader.close()

    def test_gathers_many_small_packs(self, store: ObjectStore) -> None:
        names = [put(store, bytes([n]))[0] for n in range(packs.MANY_PACKS + 2)]
        later(store, set(names))
        assert only(store).exists()
        assert [store.get(name) for name in names] == [bytes([n]) for n in range(packs.MANY_PACKS + 2)]

    def test_stops_at_damage_before_it_deletes_the_good_copy(self, store: ObjectStore) -> None:
        alive, _ = put(store, b"alive", bytes(10_000))
        data = bytearray(only(store).read_bytes())
        data[60] ^= 1
        only(store).write_bytes(data)
        with pytest.raises(CorruptObject):
            later(store, {alive})
        assert only(store).stat().st_size > 10_000

    def test_an_object_in_two_packs_keeps_one(self, store: ObjectStore) -> None:
        put(store, b"twice")
        (name,) = put(store, b"twice")
        later(store, {name})
        assert store.get(name) == b"twice"
        assert only(store).exists()

    def test_removes_what_a_killed_writer_left(self, store: ObjectStore) -> None:
        put(store, b"x")
        only(store, "idx").unlink()
        assert later(store, set())["packs"] == 1

    def test_removes_files_that_were_being_written_aside(self, store: ObjectStore) -> None:
        aside = store.packs / ".a.idx.1.abcd.new"
        aside.write_bytes(b"x")
        assert later(store, set())["packs"] == 0
        assert not aside.exists()

    def test_reads_go_on_when_a_pack_moves(self, store: ObjectStore) -> None:
        alive, _ = put(store, b"alive", b"other" * 3000)
        assert store.get(alive) == b"alive"
        fresh = ObjectStore(store.root)
        assert fresh.missing([alive]) == []
        fresh._reader = fresh.reader()
        later(store, {alive})
        assert fresh.get(alive) == b"alive"


WRITE = """
import sys
from pathlib import Path
from jupyter_mlrun.store.packs import ObjectStore
with ObjectStore(Path(sys.argv[1])).writer() as writer:
    print("ready", flush=True)
    sys.stdin.read()
    for n in range(2000):
        writer.put(b"%d" % n)
"""


def test_many_processes_write_at_once(store: ObjectStore) -> None:
    command = [sys.executable, "-c", WRITE, str(store.root)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    for child in children:
        child.communicate()
        assert child.returncode == 0
    assert len(list(store.packs.glob("*.pack"))) == 3
    assert store.verify() == []
    assert store.missing([hashlib.sha256(b"%d" % n).hexdigest() for n in range(2000)]) == []
