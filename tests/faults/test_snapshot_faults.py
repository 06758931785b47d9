"""Folders and stores that somebody else plays with: links, pipes, limits, changes under way, hostile manifests."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun.errors import CorruptObject, JupyterMLRunError, SnapshotError
from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.worker import unpack
from tests.conftest import need


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects").make()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    (path / "sub").mkdir(parents=True)
    (path / "main.py").write_bytes(b"print(1)\n")
    return path


def take(store: ObjectStore, source: Path, **options: Any) -> snapshot.Snapshot:
    return snapshot.take(store, snapshot.scan(source, store=store, **options))


def is_empty(store: ObjectStore) -> bool:
    return not [path for folder in (store.packs, store.manifests) for path in folder.iterdir()]


# ---- links and special files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    ["/", "/etc/passwd", "/proc/self/environ", "/dev/zero", "../..", "../../outside", "sub/../../outside", "a/../.."],
)
def test_a_link_that_leads_out_is_refused_by_name(store: ObjectStore, source: Path, target: str) -> None:
    (source / "sub/way-out").symlink_to(target)
    with pytest.raises(SnapshotError, match="sub/way-out") as caught:
        take(store, source)
    assert "/sub/way-out" in str(caught.value.hint), "the line that leaves it out"
    assert is_empty(store)


def test_a_link_that_leads_out_may_be_ignored(store: ObjectStore, source: Path) -> None:
    (source / "way-out").symlink_to("/")
    (source / ".gitignore").write_text("/way-out\n")
    assert take(store, source).count == 2


def test_links_inside_are_kept_as_links(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    links = {
        "loop": "loop",
        "self": ".",
        "dangling": "nowhere",
        "sub/up": "..",
        "sub/main": "../main.py",
        "a": "b",
        "b": "a",
    }
    for name, target in links.items():
        (source / name).symlink_to(target)
    taken = take(store, source)
    snapshot.materialise(store, taken.id, tmp_path / "copy")
    assert {name: os.readlink(tmp_path / "copy" / name) for name in links} == links
    assert taken.count == 1 + len(links)


def test_a_fifo_is_refused_and_never_opened(store: ObjectStore, source: Path) -> None:
    os.mkfifo(source / "pipe")
    with pytest.raises(SnapshotError, match=r"pipe.*FIFO"):
        take(store, source)


@pytest.mark.parametrize("name", ["tls.key", ".gitignore", ".amlignore"])
def test_a_fifo_under_a_name_that_is_read_does_not_block(store: ObjectStore, source: Path, name: str) -> None:
    os.mkfifo(source / name)
    with pytest.raises(SnapshotError, match="FIFO"):
        take(store, source)


def test_a_file_that_became_a_fifo_does_not_block(store: ObjectStore, source: Path) -> None:
    plan = snapshot.scan(source)
    (source / "main.py").unlink()
    os.mkfifo(source / "main.py")
    with pytest.raises(SnapshotError, match=r"main\.py"):
        snapshot.take(store, plan)
    assert is_empty(store)


def test_a_socket_is_refused(store: ObjectStore, source: Path, socket_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(socket_folder / "s"))
        os.rename(socket_folder / "s", source / "sub/door")
        with pytest.raises(SnapshotError, match=r"sub/door.*socket"):
            take(store, source)


def test_a_device_is_refused(store: ObjectStore, source: Path) -> None:
    try:
        os.mknod(source / "zero", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root can make a device")
    with pytest.raises(SnapshotError, match=r"zero.*device"):
        take(store, source)


@pytest.mark.parametrize("what", ["main.py", "sub", ".gitignore"])
def test_what_cannot_be_read_is_named(tmp_path: Path, what: str) -> None:
    if os.getuid():
        pytest.skip("only root can become somebody else")
    setpriv = need(shutil.which("setpriv"), "setpriv is not installed")
    code = """
import os, sys, tempfile
from pathlib import Path
from jupyter_mlrun.errors import SnapshotError
from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.packs import ObjectStore
os.setresuid(65534, 65534, 65534)
with tempfile.TemporaryDirectory() as name:
    root = Path(name) / "source"
    (root / "sub").mkdir(parents=True)
    (root / "main.py").write_text("x")
    (root / ".gitignore").write_text("y")
    (root / sys.argv[1]).chmod(0)
    store = ObjectStore(Path(name) / "objects")
    try:
        snapshot.take(store, snapshot.scan(root, store=store))
    except SnapshotError as problem:
        assert sys.argv[1] in problem.message and "Permission denied" in problem.message, problem
        print("refused")
    (root / sys.argv[1]).chmod(0o700)
"""
    command = [setpriv, "--regid=65534", "--clear-groups", sys.executable, "-c", code, what]
    said = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")
    assert said.stdout == "refused\n", said.stderr


# ---- limits ----------------------------------------------------------------------------------------------


def test_a_sparse_terabyte_is_refused_unread(store: ObjectStore, source: Path) -> None:
    with (source / "sub/huge.bin").open("wb") as file:
        file.truncate(1 << 40)
    begun = time.process_time()
    with pytest.raises(SnapshotError, match="1,099,511") as caught:
        take(store, source)
    assert time.process_time() - begun < 2
    assert "/sub/" in str(caught.value.hint)
    assert "--max-snapshot" in str(caught.value.hint)
    assert is_empty(store)


def test_too_many_files_name_where_they_are(store: ObjectStore, source: Path) -> None:
    for number in range(30):
        (source / f"sub/{number}").touch()
    with pytest.raises(SnapshotError, match=r"31 files.*limits are 20 files") as caught:
        take(store, source, max_files=20)
    assert "sub/" in caught.value.message
    assert "/sub/" in str(caught.value.hint)
    (source / ".gitignore").write_text("/sub/\n")
    assert take(store, source, max_files=20).count == 2


def test_a_limit_that_is_reached_exactly_is_kept(store: ObjectStore, source: Path) -> None:
    assert take(store, source, max_bytes=9, max_files=1).bytes == 9
    with pytest.raises(SnapshotError):
        take(store, source, max_bytes=8)


def test_a_remembered_folder_keeps_the_limit_of_today(
    store: ObjectStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "RACY_NS", 0)
    take(store, source)
    with pytest.raises(SnapshotError):
        take(store, source, max_bytes=8)


def test_a_file_that_grows_past_the_limit_is_refused(store: ObjectStore, source: Path) -> None:
    plan = snapshot.scan(source, max_bytes=1000)
    (source / "main.py").write_bytes(bytes(2000))
    with pytest.raises(SnapshotError, match=r"main\.py"):
        snapshot.take(store, plan)
    assert is_empty(store)


# ---- changes under way -----------------------------------------------------------------------------------


def swap(path: Path, how: str) -> None:
    if how == "gone":
        path.unlink()
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "link":
        path.unlink()
        path.symlink_to("/etc/passwd")
    else:
        shutil.rmtree(path.parent)
        path.parent.symlink_to("/etc")


@pytest.mark.parametrize("how", ["gone", "folder", "link", "folder is a link"])
def test_what_was_replaced_after_the_look_is_refused(store: ObjectStore, source: Path, how: str) -> None:
    (source / "sub/passwd").write_text("mine")
    plan = snapshot.scan(source)
    swap(source / "sub/passwd", how)
    with pytest.raises(SnapshotError, match="sub"):
        snapshot.take(store, plan)
    assert is_empty(store)


def test_a_file_that_never_keeps_still_is_refused(
    store: ObjectStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = snapshot._read_full

    def read(fd: int, wanted: int) -> bytes:
        data = real(fd, wanted)
        with (source / "main.py").open("ab") as file:
            file.write(b"more")
        return data

    monkeypatch.setattr(snapshot, "_read_full", read)
    with pytest.raises(SnapshotError, match=r"main\.py.*changed while it was read"):
        take(store, source)
    assert is_empty(store)


@pytest.fixture
def mutator(source: Path) -> Iterator[None]:
    """Somebody who rewrites, cuts, removes and replaces files all the time."""
    done = threading.Event()

    def play() -> None:
        number = 0
        while not done.is_set():
            number += 1
            path = source / f"sub/{number % 7}"
            letter = b"abcdefg"[number % 7 : number % 7 + 1]
            fresh = source.parent / "fresh"
            fresh.write_bytes(letter * (1 + number % 5000))
            os.replace(fresh, path)
            if number % 11 == 0:
                path.unlink()
            elif number % 5 == 0:
                os.truncate(path, number % 100)

    player = threading.Thread(target=play)
    player.start()
    yield
    done.set()
    player.join()


def test_a_busy_folder_gives_a_consistent_tree_or_an_error(
    store: ObjectStore, source: Path, tmp_path: Path, mutator: None
) -> None:
    for number in range(60):
        try:
            taken = take(store, source)
        except SnapshotError:
            continue
        copy = tmp_path / f"copy{number}"
        snapshot.materialise(store, taken.id, copy)
        entries = snapshot.read_manifest(store, taken.id).files
        assert sum(entry["size"] for entry in entries) == taken.bytes
        for entry in entries:
            data = (copy / entry["path"]).read_bytes()
            assert len(data) == entry["size"]
            assert len(set(data)) <= 1 or entry["path"] == "main.py", "never a mixture of two"
    assert store.verify() == []


TAKE = """
import sys
from pathlib import Path
from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.packs import ObjectStore
store = ObjectStore(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
print(snapshot.take(store, snapshot.scan(Path(sys.argv[2]), store=store)).id)
"""


def test_two_processes_take_the_same_tree_at_once(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    for number in range(300):
        (source / f"sub/{number}").write_bytes(b"%d" % number * 100)
    command = [sys.executable, "-c", TAKE, str(store.root), str(source)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    said = set()
    for child in children:
        assert child.stdout is not None
        said.add(child.stdout.read())
        child.stdout.close()
        assert child.wait() == 0
    (taken,) = said
    snapshot.materialise(store, taken.strip(), tmp_path / "copy")
    assert len(list((tmp_path / "copy/sub").iterdir())) == 300
    assert store.verify() == []


# ---- secrets ---------------------------------------------------------------------------------------------


def test_no_secret_reaches_the_store(store: ObjectStore, source: Path) -> None:
    sentinel = b"SENTINEL-a8f3"
    for name in (".env", ".netrc", "id_rsa", ".git/config", ".ssh/id_work", "sub/.aws/credentials", "sub/key.pem"):
        (source / name).parent.mkdir(exist_ok=True, parents=True)
        (source / name).write_bytes(b"-----BEGIN PRIVATE KEY-----\n" + sentinel)
    assert take(store, source).count == 1
    assert not [path for path in store.root.rglob("*") if path.is_file() and sentinel in path.read_bytes()]


# ---- hostile manifests -----------------------------------------------------------------------------------


def forge(store: ObjectStore, entries: list[Any]) -> str:
    """A manifest with these entries that fits its id."""
    files = json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()
    name = hashlib.sha256(files).hexdigest()
    path = store.manifests / f"{name}.json"
    path.write_bytes(b'{"format":1,"id":"%s","bytes":1,"files":%s}\n' % (name.encode(), files))
    return name


def entry(path: Any, chunk: str) -> dict[str, Any]:
    return {"path": path, "size": 1, "executable": False, "chunks": [chunk]}


HOSTILE: dict[str, list[Any]] = {
    "climbs": [entry("../evil", "X")],
    "climbs later": [entry("a/../../evil", "X")],
    "absolute": [entry("/tmp/evil-of-a-manifest", "X")],
    "empty name": [entry("", "X")],
    "dot": [entry("a/./b", "X")],
    "nul": [entry("a\0b", "X")],
    "link out": [{"path": "l", "link": "../outside"}],
    "absolute link": [{"path": "l", "link": "/etc"}],
    "link path climbs": [{"path": "../l", "link": "x"}],
    "through a link": [{"path": "l", "link": "."}, entry("l/../../evil", "X")],
    "link, then a file in it": [{"path": "a", "link": "b"}, entry("a/x", "X")],
    "twice": [entry("a", "X"), entry("a", "X")],
    "no path": [{"size": 1}],
    "no text": [entry(7, "X")],
    "unknown object": [entry("good", "X"), entry("bad", "0" * 64)],
    "no digest": [entry("a", "xyz")],
    "no list": [7],
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("how", ["client", "worker"])
def test_a_hostile_manifest_makes_nothing(store: ObjectStore, tmp_path: Path, name: str, how: str) -> None:
    with store.writer() as writer:
        good = writer.put(b"x")
    forged = forge(store, json.loads(json.dumps(HOSTILE[name]).replace('"X"', f'"{good}"')))
    before = {path for path in tmp_path.rglob("*") if store.root not in path.parents}
    copy = tmp_path / "copy"

    def make() -> None:
        if how == "client":
            snapshot.materialise(store, forged, copy)
        else:
            unpack.materialise(str(store.root), forged, str(copy))

    with pytest.raises(JupyterMLRunError):
        make()
    assert {path for path in tmp_path.rglob("*") if store.root not in path.parents} == before
    assert not Path("/tmp/evil-of-a-manifest").exists()


def test_a_damaged_object_stops_the_copy(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    taken = take(store, source)
    (pack,) = store.packs.glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[-1] ^= 1
    pack.write_bytes(data)
    with pytest.raises(CorruptObject):
        snapshot.materialise(store, taken.id, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_nothing_that_exists_is_written_to(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    taken = take(store, source)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/mine").write_text("x")
    with pytest.raises(FileExistsError):
        unpack.materialise(str(store.root), taken.id, str(tmp_path / "copy"))
    assert (tmp_path / "copy/mine").read_text() == "x"
