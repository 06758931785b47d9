"""fsck: each kind of damage is found and named, with the runs that it hits; nothing is changed by looking."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_mlrun.check import check
from jupyter_mlrun.errors import DamagedRun, NewerStore
from jupyter_mlrun.rundir import RunDir, append_line, dump_json
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.ui import view
from tests.runs import ended_run, recorded_run


@pytest.fixture
def place(home: Path) -> WorkspaceDir:
    return WorkspaceDir(home, "default").make()


def flip(path: Path, where: int) -> None:
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)


def the_pack(run: RunDir) -> Path:
    return next((run.path.parents[2] / "objects/packs").glob("*.pack"))


def _copy(run: RunDir) -> None:
    import shutil

    shutil.copytree(run.path, run.path.with_name("exp_1_0000000a"))


FAILS: dict[str, tuple[Callable[[RunDir], object], str]] = {
    "spec": (lambda run: run.spec.write_bytes(b"{"), "cannot be read"),
    "spec of a newer program": (
        lambda run: run.spec.write_text(json.dumps({**json.loads(run.spec.read_text()), "format": 99})),
        "format 99",
    ),
    "no events": (lambda run: run.events.unlink(), "no events"),
    "illegal move": (
        lambda run: append_line(run.events, dump_json({"seq": 9, "time": 1, "type": "status", "status": "Running"})),
        "from Completed to Running",
    ),
    "unknown status": (
        lambda run: append_line(run.events, dump_json({"seq": 9, "time": 1, "type": "status", "status": "Gone"})),
        "means nothing",
    ),
    "two writers": (
        lambda run: append_line(run.events, dump_json({"seq": 1, "time": 1, "type": "note", "text": ""})),
        "two wrote",
    ),
    "exit": (lambda run: run.exit.write_text('{"status": "Sleeping"}'), "cannot be read"),
    "a copy": (_copy, "copy of run"),
    "content": (lambda run: flip(the_pack(run), -1), "exp_1700000000_00000000"),
    "pack index": (lambda run: flip(the_pack(run).with_suffix(".idx"), 30), "is damaged"),
    "no pack index": (lambda run: the_pack(run).with_suffix(".idx").unlink(), "has no index"),
    "no pack": (lambda run: the_pack(run).unlink(), "lost its pack"),
    "no manifest": (
        lambda run: next((run.path.parents[2] / "objects/manifests").glob("*.json")).unlink(),
        "is gone; needed by exp_1700000000_00000000",
    ),
    "manifest": (
        lambda run: flip(next((run.path.parents[2] / "objects/manifests").glob("*.json")), -30),
        "exp_1700000000_00000000",
    ),
}


@pytest.mark.parametrize("name", FAILS)
def test_damage_is_found(place: WorkspaceDir, home: Path, name: str) -> None:
    run = ended_run(place, content=b"print('hello')\n" * 50)
    recorded_run(place, number=1)
    assert [one for one in check(home) if one.level == "fail"] == []
    damage, words = FAILS[name]
    damage(run)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    found = [one for one in check(home) if one.level == "fail"]
    assert words in " ".join(str(one) for one in found), found
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_what_does_no_harm_is_a_warning(place: WorkspaceDir, home: Path) -> None:
    run = ended_run(place)
    with run.events.open("ab") as file:
        file.write(b'{"seq": 7, "ty')
    append_line(run.events, dump_json({"seq": 7, "time": 1, "type": "note", "text": "after a kill"}))
    (place.trash / "removed").mkdir()
    (home / "format.json").unlink()
    levels = {(Path(one.where).name, one.level) for one in check(home)}
    assert levels == {("events.jsonl", "warn"), ("trash", "warn"), ("format.json", "warn"), ("index.sqlite", "warn")}


def test_a_healthy_home_and_none(place: WorkspaceDir, home: Path) -> None:
    assert check(home) == []
    assert check(home / "nowhere") == []
    assert not (home / "nowhere").exists()
    assert ObjectStore(place.objects).verify() == []


def test_a_newer_home_is_refused(place: WorkspaceDir, home: Path) -> None:
    (home / "format.json").write_text('{"format": 99}')
    with pytest.raises(NewerStore):
        check(home)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("spec.json", b"{"),
        ("spec.json", b"[]"),
        ("spec.json", b"{}"),
        ("exit.json", b'{"status": 7}'),
        ("exit.json", b"1"),
    ],
)
def test_a_damaged_run_names_its_file_and_a_cure(place: WorkspaceDir, home: Path, name: str, content: bytes) -> None:
    found = recorded_run(place) if name == "exit.json" else ended_run(place)
    (found.path / name).write_bytes(content)
    run = Run.at(found)
    looks: list[Callable[[], object]] = [
        run.get_details,
        lambda: view.as_text(found),
        lambda: run.spec if name == "spec.json" else run.state,
    ]
    for look in looks:
        with pytest.raises(DamagedRun, match=f"{name} (has no|cannot be understood)") as caught:
            look()
        assert "jupyter mlrun fsck" in str(caught.value.hint)
    assert runs.load(found) is None, "lists go on without it"
    assert any(name in str(one) for one in check(home)) or name == "exit.json"
