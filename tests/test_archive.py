"""Archives: what goes out comes in again, anywhere; and what is no such archive leaves nothing."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun import check, upkeep
from jupyter_mlrun.errors import BadInput, Conflict, JupyterMLRunError, NewerStore, NotFound
from jupyter_mlrun.rundir import RunDir, append_line, dump_json, read_json
from jupyter_mlrun.sdk.find import find
from jupyter_mlrun.store import runs, snapshot
from jupyter_mlrun.store.archive import LISTING, export
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.importing import import_
from jupyter_mlrun.store.packs import ObjectStore
from tests.runs import ended_run, recorded_run

Change = Callable[[dict[str, bytes], dict[str, Any]], None]


@pytest.fixture
def place(home: Path) -> WorkspaceDir:
    return WorkspaceDir(home, "default").make()


@pytest.fixture
def other(tmp_path: Path) -> WorkspaceDir:
    """A workspace of another home, not made yet."""
    return WorkspaceDir(tmp_path / "other home", "second")


@pytest.fixture
def run(place: WorkspaceDir) -> RunDir:
    made = ended_run(place, content=b"print(1)\n" * 1000)
    (made.outputs / "sub").mkdir()
    (made.outputs / "sub/weights.bin").write_bytes(os.urandom(3 << 20))
    (made.outputs / "zeros.bin").write_bytes(bytes(5 << 20))
    (made.outputs / "empty").write_bytes(b"")
    (made.outputs / "latest").symlink_to("sub/weights.bin")
    (made.outputs / "folder").symlink_to("sub")
    (made.outputs / "go.sh").write_bytes(b"#!/bin/sh\n")
    (made.outputs / "go.sh").chmod(0o700)
    os.link(made.log(), made.driver_log())
    return made


@pytest.fixture
def archive(place: WorkspaceDir, run: RunDir, tmp_path: Path) -> Path:
    export([(place, run)], tmp_path / "a.zip")
    return tmp_path / "a.zip"


def files(folder: Path) -> dict[str, bytes]:
    """Every file and link of a run directory but its spec."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = b"-> " + os.fsencode(os.readlink(path))
        elif path.is_file() and name not in {"spec.json", "env.json"}:
            found[name] = path.read_bytes()
    return found


def visible(place: WorkspaceDir) -> list[str]:
    """What anybody could see of an import: runs and trees; and nothing may lie aside."""
    left = list(place.tmp.iterdir()) if place.tmp.is_dir() else []
    assert not left, "an import leaves nothing aside"
    manifests = snapshot.list_manifests(ObjectStore(place.objects)) if place.objects.is_dir() else []
    return [run.run_id for run in runs.run_dirs(place)] + manifests


# ---- there and back ----------------------------------------------------------------------------------------


def test_a_run_goes_out_and_comes_in(place: WorkspaceDir, other: WorkspaceDir, run: RunDir, archive: Path) -> None:
    run_id = run.run_id
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    done = import_(archive, other)
    assert (done.new, done.known) == ([run_id], [])
    came = find(other.home, run_id)
    assert files(came.path) == files(run.path)
    assert came.status == "Completed"
    assert os.path.samefile(came.directory.log(), came.directory.driver_log()), "two names of one file"
    assert os.access(came.path / "outputs/go.sh", os.X_OK)
    assert (came.path / "outputs/zeros.bin").stat().st_blocks < 1000, "zeros are a hole"
    assert (came.path / "outputs/empty").stat().st_mtime_ns == (run.outputs / "empty").stat().st_mtime_ns
    spec = came.spec
    assert (spec.workspace, spec.objects) == ("second", str(other.objects))
    assert {**spec.to_json(), "workspace": 0, "objects": 0} == {
        **runs.read_spec(run).to_json(), "workspace": 0, "objects": 0
    }  # fmt: skip
    assert spec.snapshot is not None
    snapshot.materialise(ObjectStore(other.objects), spec.snapshot["id"], other.path / "src")
    assert (other.path / "src/main.py").read_bytes() == b"print(1)\n" * 1000
    assert [str(one) for one in check.check(other.home) if one.level == "fail"] == []
    modes = {stat.S_IMODE(path.lstat().st_mode) for path in came.path.rglob("*") if not path.is_symlink()}
    assert modes == {0o600, 0o700}
    assert not (came.path / "env.json").exists(), "values of variables stay at home"


def test_again_changes_nothing(other: WorkspaceDir, archive: Path) -> None:
    (run_id,) = import_(archive, other).new
    came = find(other.home, run_id).directory
    append_line(came.annotations, b'{"tags": {"said": "here"}}\n')
    before = files(came.path)
    done = import_(archive, other)
    assert (done.new, done.known) == ([], [run_id])
    assert files(came.path) == before
    assert import_(archive, WorkspaceDir(other.home, "third")).new == [run_id], "another workspace has its own"


def test_home_again(place: WorkspaceDir, run: RunDir, archive: Path) -> None:
    run_id, before = run.run_id, files(run.path)
    assert import_(archive, place).known == [run_id]
    runs.trash(place, run)
    upkeep.gc(place.home, grace=-1)
    assert visible(place) == []
    assert import_(archive, place).new == [run_id]
    assert files(find(place.home, run_id).path) == before


def test_several_runs_and_what_they_share(place: WorkspaceDir, other: WorkspaceDir, tmp_path: Path) -> None:
    found = [ended_run(place, number=n, experiment=f"e-{n % 2}", content=b"the same") for n in range(4)]
    export([(place, run) for run in found], tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as made:
        assert sum(name.startswith("objects/") for name in made.namelist()) == 1
    assert sorted(import_(tmp_path / "a.zip", other).new) == sorted(run.run_id for run in found)


def test_inputs_come_along(place: WorkspaceDir, other: WorkspaceDir, tmp_path: Path) -> None:
    tree = snapshot.take(ObjectStore(place.objects), None, extra={"data.txt": b"data"})
    given = {
        "name": "d",
        "mode": "mount",
        "manifest": tree.id,
        "objects": str(place.objects),
        "trees": str(place.trees),
    }
    run = ended_run(place, inputs=[given])
    export([(place, run)], tmp_path / "a.zip")
    (run_id,) = import_(tmp_path / "a.zip", other).new
    (came,) = find(other.home, run_id).spec.inputs
    assert came == {**given, "objects": str(other.objects), "trees": str(other.trees)}
    assert snapshot.read_manifest(ObjectStore(other.objects), tree.id).count == 1
    assert import_(tmp_path / "a.zip", other).known == [run_id]


def test_names_that_are_no_text(place: WorkspaceDir, other: WorkspaceDir, tmp_path: Path) -> None:
    run = ended_run(place)
    odd = [b"\xff\xfe", b"a\nb", "鳥".encode(), b"back\\slash", b"%ff", b" ", b"x" * 250]
    for name in odd:
        Path(os.fsdecode(bytes(run.outputs) + b"/" + name)).write_bytes(name)
    export([(place, run)], tmp_path / "a.zip")
    import_(tmp_path / "a.zip", other)
    assert files(find(other.home, run.run_id).path) == files(run.path)


def test_what_cannot_be_taken_is_named(place: WorkspaceDir, other: WorkspaceDir, tmp_path: Path) -> None:
    run = ended_run(place)
    os.mkfifo(run.outputs / "pipe")
    (run.outputs / "away").symlink_to("/etc/hostname")
    (run.outputs / "nowhere").symlink_to("nothing")
    (run.outputs / "absolute").symlink_to(run.log())
    (run.work).mkdir()
    (run.work / "scratch").write_bytes(b"scratch")
    done = export([(place, run)], tmp_path / "a.zip")
    assert [name.rpartition("/")[2] for name, _ in done.left_out] == ["away", "nowhere", "pipe"]
    import_(tmp_path / "a.zip", other)
    came = find(other.home, run.run_id)
    assert os.readlink(came.path / "outputs/absolute") == "../user_logs/std_log.txt"
    assert sorted(os.listdir(came.path / "outputs")) == ["absolute"]
    assert not (came.path / "work").exists()


def test_equal_runs_make_equal_members(place: WorkspaceDir, run: RunDir, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        export([(place, run)], tmp_path / name)
    with zipfile.ZipFile(tmp_path / "a.zip") as a, zipfile.ZipFile(tmp_path / "b.zip") as b:
        assert [(i.filename, i.CRC) for i in a.infolist()][:-1] == [(i.filename, i.CRC) for i in b.infolist()][:-1]
        assert a.testzip() is None


# ---- what is refused when it goes out ----------------------------------------------------------------------


def test_what_export_refuses(place: WorkspaceDir, run: RunDir, archive: Path, tmp_path: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(Conflict, match="exists already"):
        export([(place, run)], archive)
    with pytest.raises(Conflict, match="is a folder"):
        export([(place, run)], tmp_path, overwrite=True)
    active = recorded_run(place, number=5)
    with pytest.raises(Conflict, match="NotStarted"):
        export([(place, run), (place, active)], archive, overwrite=True)
    assert archive.read_bytes() == before
    export([(place, run)], archive, overwrite=True)
    with pytest.raises(JupyterMLRunError, match="cannot be written"):
        export([(place, run)], tmp_path / "nothing/a.zip")
    taken = runs.read_spec(run).snapshot
    assert taken is not None
    os.unlink(place.objects / "manifests" / f"{taken['id']}.json")
    with pytest.raises(NotFound, match="no snapshot"):
        export([(place, run)], tmp_path / "b.zip")
    assert sorted(path.name for path in tmp_path.glob("*.zip*")) == ["a.zip"]
    assert not list(tmp_path.glob(".*.new"))


# ---- what is refused when it comes in ----------------------------------------------------------------------


def remade(archive: Path, change: Change, **how: Any) -> Path:
    """The archive with something changed, and everything else as it must be."""
    with zipfile.ZipFile(archive) as old:
        members = {name: old.read(name) for name in old.namelist()}
    listing = json.loads(members.pop(LISTING))
    change(members, listing)
    target = archive.with_name("changed.zip")
    with zipfile.ZipFile(target, "w", **how) as new:
        for name, data in members.items():
            new.writestr(name, data)
        new.writestr(LISTING, json.dumps(listing))
    return target


def entry(listing: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in listing["runs"][0]["files"] if one["path"] == path)
    return found


def put(members: dict[str, bytes], listing: dict[str, Any], path: str, data: bytes) -> None:
    """Change a file of the run, with its size and digest."""
    one = entry(listing, path)
    members[one["member"]] = data
    one.update(size=len(data), sha256=hashlib.sha256(data).hexdigest())


def add(members: dict[str, bytes], listing: dict[str, Any], path: str, **more: Any) -> None:
    data = b"evil"
    members["evil"] = data
    full = {"path": path, "member": "evil", "size": 4, "sha256": hashlib.sha256(data).hexdigest(), **more}
    listing["runs"][0]["files"].append(full)


def link(path: str, target: str) -> Change:
    return lambda _, listing: listing["runs"][0]["files"].append({"path": path, "link": target})


def with_path(path: str) -> Change:
    return lambda members, listing: add(members, listing, path)


def spec_with(**change: Any) -> Change:
    def work(members: dict[str, bytes], listing: dict[str, Any]) -> None:
        data = json.loads(members[entry(listing, "spec.json")["member"]])
        put(members, listing, "spec.json", dump_json({**data, **change}))

    return work


def other_tree(files: list[dict[str, Any]]) -> Change:
    """A snapshot whose id fits what it lists, but which lists something that may not be."""

    def work(members: dict[str, bytes], listing: dict[str, Any]) -> None:
        text = json.dumps(files, sort_keys=True, separators=(",", ":")).encode("ascii")
        new = hashlib.sha256(text).hexdigest()
        members[f"manifests/{new}.json"] = json.dumps({"format": 1, "id": new, "bytes": 0, "files": files}).encode()
        listing["manifests"].append(new)

    return work


def drop(start: str) -> Change:
    def work(members: dict[str, bytes], _listing: dict[str, Any]) -> None:
        del members[next(name for name in members if name.startswith(start))]

    return work


def flip(start: str) -> Change:
    def work(members: dict[str, bytes], _listing: dict[str, Any]) -> None:
        name = next(name for name in members if name.startswith(start) and members[name])
        members[name] = members[name][:-1] + bytes([members[name][-1] ^ 1])

    return work


def set_(key: str, value: Any) -> Change:
    return lambda _, listing: listing.update({key: value})


def entry_with(**change: Any) -> Change:
    return lambda _, listing: entry(listing, "outputs/empty").update(change)


def with_notes(members: dict[str, bytes], listing: dict[str, Any], line: bytes) -> None:
    add(members, listing, "annotations.jsonl")
    put(members, listing, "annotations.jsonl", line + b"\n")


HOSTILE: dict[str, Change] = {
    "traversal": with_path("../../../evil"),
    "absolute": with_path("/tmp/evil"),
    "dots": with_path("outputs/../../evil"),
    "empty step": with_path("outputs//evil"),
    "nul": with_path("outputs/a\0b"),
    "no path": with_path(""),
    "twice": with_path("outputs/empty"),
    "in a file": with_path("outputs/empty/evil"),
    "through a link": with_path("outputs/folder/evil"),
    "variables": with_path("env.json"),
    "working copy": with_path("work/evil"),
    "page": with_path("run.html"),
    "link out": link("outputs/evil", "../../../../etc/passwd"),
    "absolute link": link("outputs/evil", "/etc/passwd"),
    "link of nul": link("outputs/evil", "a\0b"),
    "same as nothing": lambda _, listing: listing["runs"][0]["files"].append({"path": "x", "same": "../../spec.json"}),
    "unlisted": lambda members, _: members.update({"runs/more": b"more"}),
    "missing file": drop("runs/"),
    "missing object": drop("objects/"),
    "missing manifest": drop("manifests/"),
    "changed file": flip("runs/"),
    "changed object": flip("objects/"),
    "changed manifest": flip("manifests/"),
    "wrong size": entry_with(size=1),
    "huge size": entry_with(size=1 << 60),
    "negative size": entry_with(size=-1),
    "text for a size": entry_with(size="0"),
    "wrong digest": entry_with(sha256="0" * 64),
    "no digest": entry_with(sha256=None),
    "no member": entry_with(member=None),
    "listed twice": entry_with(member=LISTING),
    "other kind": set_("kind", "something"),
    "no runs": set_("runs", []),
    "runs of a wrong kind": set_("runs", {"id": 1}),
    "no objects": set_("objects", {}),
    "no manifests": set_("manifests", []),
    "id that leads out": lambda _, listing: listing["runs"][0].update(id="../../evil_1_00000000"),
    "same id twice": lambda _, listing: listing["runs"].append(listing["runs"][0]),
    "other id": spec_with(run_id="exp_1700000000_0000000f"),
    "experiment that leads out": spec_with(experiment="../evil"),
    "tags of a wrong kind": spec_with(tags=["x"]),
    "tag of a wrong kind": spec_with(tags={"x": {"y": 1}}),
    "inputs of a wrong kind": spec_with(inputs=["x"]),
    "snapshot that is not there": spec_with(snapshot={"id": "0" * 64, "files": 1, "bytes": 1}),
    "spec that is none": lambda members, listing: put(members, listing, "spec.json", b"[]"),
    "spec that is nested": lambda members, listing: put(members, listing, "spec.json", b"[" * 100_000),
    "notes with a snapshot that is not there": lambda members, listing: with_notes(
        members, listing, b'{"snapshot": {"id": "%s"}}' % (b"0" * 64)
    ),
    "never ended": lambda members, listing: put(
        members, listing, "events.jsonl", b'{"seq":0,"type":"created","time":1}\n'
    ),
    "no events": lambda members, listing: put(members, listing, "events.jsonl", b""),
    "snapshot leads out": other_tree([{"path": "../evil", "size": 0, "executable": False, "chunks": []}]),
    "snapshot links out": other_tree([{"path": "evil", "link": "../../etc/passwd"}]),
    "snapshot without objects": other_tree([{"path": "evil", "size": 4, "executable": False, "chunks": ["0" * 64]}]),
    "snapshot of a wrong size": other_tree([{"path": "evil", "size": 4, "executable": False, "chunks": []}]),
    "snapshot of a wrong kind": other_tree([{"evil": 1}]),
    "digest that is none": lambda _, listing: listing["manifests"].append("../../evil"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_leave_nothing(other: WorkspaceDir, archive: Path, tmp_path: Path, name: str) -> None:
    changed = remade(archive, HOSTILE[name])
    around = sorted(str(path) for path in tmp_path.rglob("*") if not path.is_relative_to(other.home))
    with pytest.raises(BadInput) as caught:
        import_(changed, other)
    assert "\n" not in caught.value.message
    assert visible(other) == []
    assert sorted(str(path) for path in tmp_path.rglob("*") if not path.is_relative_to(other.home)) == around
    assert import_(archive, other).new, "the good one still comes in"


def test_the_changes_alone_do_no_harm(other: WorkspaceDir, archive: Path) -> None:
    """So that the test above refuses what it says."""
    assert import_(remade(archive, lambda _members, _listing: None), other).new


def test_a_newer_archive_is_refused(other: WorkspaceDir, archive: Path) -> None:
    with pytest.raises(NewerStore, match="format 2"):
        import_(remade(archive, set_("format", 2)), other)
    with pytest.raises(NewerStore, match=r"spec\.json has format 99"):
        import_(remade(archive, spec_with(format=99)), other)
    assert visible(other) == []


def test_a_cut_archive_is_refused(other: WorkspaceDir, archive: Path) -> None:
    whole = archive.read_bytes()
    for part in (0, 1, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        archive.write_bytes(whole[:part])
        with pytest.raises(BadInput, match="damaged"):
            import_(archive, other)
    assert visible(other) == []


def test_a_bit_that_fell_over_is_seen(other: WorkspaceDir, place: WorkspaceDir, tmp_path: Path) -> None:
    small = ended_run(place, number=3, content=b"x = 1\n")
    path = tmp_path / "small.zip"
    export([(place, small)], path)
    whole = path.read_bytes()
    accepted = []
    for at in range(0, len(whole), 29):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            accepted += [(at, run_id) for run_id in import_(path, other).new]
        except JupyterMLRunError:
            assert visible(other) == []
        else:
            # in a head that nobody reads, as a time: what came in is what went out
            came = find(other.home, small.run_id)
            assert files(came.path) == files(small.path), at
            runs.trash(other, came.directory)
            upkeep.gc(other.home, grace=-1)
    assert len(accepted) < len(whole) / 29 / 3


def _special(name: str, mode: int) -> Callable[[zipfile.ZipFile], None]:
    def work(file: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        file.writestr(info, b"/etc/passwd")

    return work


@pytest.mark.parametrize(
    "spoil",
    [
        _special("evil", stat.S_IFLNK | 0o777), _special("evil", stat.S_IFCHR | 0o666), _special("evil", stat.S_IFIFO),
        _special("folder/", stat.S_IFDIR | 0o777), _special("../evil", stat.S_IFREG), _special("/evil", stat.S_IFREG),
        lambda file: file.writestr("x", bytes(100_000), zipfile.ZIP_BZIP2),
    ],
    ids=["link", "device", "pipe", "folder", "traversal", "absolute", "packing"],
)  # fmt: skip
def test_members_that_are_no_plain_files(
    other: WorkspaceDir, archive: Path, spoil: Callable[[zipfile.ZipFile], None]
) -> None:
    with zipfile.ZipFile(archive, "a") as file:
        spoil(file)
    with pytest.raises(BadInput):
        import_(archive, other)
    assert visible(other) == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice(other: WorkspaceDir, archive: Path) -> None:
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(file.namelist()[0], b"other")
    with pytest.raises(BadInput, match="twice"):
        import_(archive, other)
    assert visible(other) == []


def test_sizes_that_cannot_be(other: WorkspaceDir, archive: Path) -> None:
    """A central directory that promises more than deflate can hold, and members that share their bytes."""
    whole = bytearray(archive.read_bytes())
    at = whole.find(b"PK\x01\x02")
    whole[at + 24 : at + 28] = (0xF0000000).to_bytes(4, "little")
    archive.write_bytes(whole)
    with pytest.raises(BadInput):
        import_(archive, other)
    assert visible(other) == []


def test_what_is_no_archive(other: WorkspaceDir, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(BadInput, match="no archive"):
        import_(tmp_path / "text", other)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("a", b"b")
    with pytest.raises(BadInput, match="no archive"):
        import_(tmp_path / "other.zip", other)
    for missing in (tmp_path / "nothing", tmp_path):
        with pytest.raises(NotFound):
            import_(missing, other)
    assert not other.home.exists(), "nothing is made for what is refused at first sight"


def test_another_run_with_the_same_id(place: WorkspaceDir, other: WorkspaceDir, run: RunDir, archive: Path) -> None:
    theirs = ended_run(other.make(), tags={"another": "run"})
    assert theirs.run_id == run.run_id
    before = files(theirs.path)
    with pytest.raises(Conflict, match="another run with the id"):
        import_(archive, other)
    assert files(theirs.path) == before
    assert visible(other) == [run.run_id]
    assert read_json(theirs.spec)["tags"] == {"another": "run"}
    assert import_(archive, WorkspaceDir(other.home, "third")).new == [run.run_id]
