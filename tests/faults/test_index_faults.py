"""The index lost or damaged in every way: listings stay right, and ``fsck --rebuild`` brings it back (F026, F027)."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun.agent.follow import Follower
from jupyter_mlrun.check import check
from jupyter_mlrun.rundir import RunDir, dump_json, write_new
from jupyter_mlrun.store import index, runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.upkeep import repair
from tests.runs import ended_run

CLI = [sys.executable, "-c", "from jupyter_mlrun.cli import main; main()"]
COUNT = 24


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> WorkspaceDir:
    """A workspace with runs that have ended, and the index that an agent left."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no power is cut here, and it takes most of the time
    made = WorkspaceDir(home, "default").make()
    for number in range(COUNT):
        ended_run(made, experiment=f"exp{number % 3}", number=number)
    for folder in runs.experiment_folders(made):
        os.utime(folder, ns=(10**18, 10**18))  # settled: an index of it may be trusted
    (home / "agent").mkdir()
    follower = Follower(home, home / "agent", "")
    follower.step()
    for writer in follower._indexes.values():
        writer.close()
    shutil.rmtree(home / "agent")
    assert index._indexed(made, None)[1], "the index is whole, and its folders are trusted"
    return made


def listed(place: WorkspaceDir, limit: int | None = None) -> list[dict[str, object]]:
    rows = [row.to_json() for row in index.listing(place, limit=limit)]
    for row in rows:
        del row["metrics"]  # of the index alone: a listing of directories does not read them
    return rows


def expect_whole(place: WorkspaceDir, right: list[dict[str, object]]) -> None:
    """Listing is right, fsck rebuilds, and then the index alone has every run."""
    assert listed(place) == right
    assert listed(place, 7) == right[:7]
    assert repair(place.home)["runs"] == COUNT
    assert listed(place) == right
    assert {row.path for row in index._indexed(place, None)[0]} == {row["path"] for row in right}
    assert not [one for one in check(place.home) if one.level == "fail"]


@pytest.mark.parametrize("indexed", [True, False])
def test_an_experiment_has_its_latest_runs_whatever_others_have(
    place: WorkspaceDir, monkeypatch: pytest.MonkeyPatch, indexed: bool
) -> None:
    mine = [row["run_id"] for row in listed(place) if row["experiment"] == "exp0"]
    assert len(mine) == COUNT / 3
    if not indexed:
        place.index.unlink()
    looked: list[Path] = []
    real = runs.load

    def load(run: RunDir) -> Any:
        looked.append(run.path)
        return real(run)

    monkeypatch.setattr(runs, "load", load)
    for limit in (None, 1, 4, 100):
        assert [row.run_id for row in index.listing(place, experiment="exp0", limit=limit)] == mine[:limit]
    assert {path.parent.name for path in looked} == (set() if indexed else {"exp0"}), "others are not looked into"


def _garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(1024))


def _zeroed_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "something").touch()


def _link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nothing")


def _link_to_garbage(path: Path) -> None:
    path.unlink()
    (path.parent / "tmp" / "elsewhere").write_bytes(b"precious")
    path.symlink_to(path.parent / "tmp" / "elsewhere")


def _newer_version(path: Path) -> None:
    import sqlite3

    with sqlite3.connect(path) as base:
        base.execute("pragma user_version = 99")
    base.close()


@pytest.mark.parametrize(
    "damage",
    [Path.unlink, lambda path: path.write_bytes(b""), _garbage, _zeroed_header, _folder, _link_to_nothing,
     _link_to_garbage, _newer_version],
    ids=["deleted", "empty", "garbage", "header", "folder", "link to nothing", "link to a file", "newer version"],
)  # fmt: skip
def test_damaged_index(place: WorkspaceDir, damage: Callable[[Path], None]) -> None:
    right = listed(place)
    assert len(right) == COUNT
    damage(place.index)
    if damage is not _newer_version:
        assert [one for one in check(place.home) if one.where == str(place.index)], "fsck says so"
    expect_whole(place, right)
    assert place.index.is_file()
    assert not place.index.is_symlink()
    if damage is _link_to_garbage:
        assert (place.tmp / "elsewhere").read_bytes() == b"precious", "what a link leads to is not ours"


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("data", [b"", b"garbage" * 1000])
def test_damaged_journal(place: WorkspaceDir, suffix: str, data: bytes) -> None:
    right = listed(place)
    Path(f"{place.index}{suffix}").write_bytes(data)
    expect_whole(place, right)


def test_index_cut_at_every_page(place: WorkspaceDir) -> None:
    right, whole = listed(place), place.index.read_bytes()
    assert len(whole) >= 5 * 4096, "there are pages to lose"
    for end in [*range(0, len(whole), 4096), len(whole) - 1]:
        place.index.write_bytes(whole[:end])
        assert listed(place) == right, end
        assert listed(place, 7) == right[:7], end
    expect_whole(place, right)


def test_500_flipped_bits(place: WorkspaceDir) -> None:
    right, whole = listed(place), place.index.read_bytes()
    mine = [row["run_id"] for row in right if row["experiment"] == "exp1"]
    dice = random.Random(20260101)
    for _ in range(500):
        where, bit = dice.randrange(len(whole)), dice.randrange(8)
        data = bytearray(whole)
        data[where] ^= 1 << bit
        place.index.write_bytes(data)
        assert listed(place) == right, (where, bit)
        assert listed(place, 7) == right[:7], (where, bit)
        found = index.listing(place, experiment="exp1", limit=3)
        assert [row.run_id for row in found] == mine[:3], (where, bit)
    expect_whole(place, right)


def test_a_line_that_tells_otherwise_is_found_by_fsck(place: WorkspaceDir) -> None:
    import sqlite3

    with sqlite3.connect(place.index) as base:
        base.execute("update runs set status = 'Failed' where path = (select min(path) from runs)")
    base.close()
    assert [one.where for one in check(place.home) if one.level == "fail"] == [str(place.index)]
    expect_whole(place, listed(place))


def test_a_killed_rebuild_does_no_harm(place: WorkspaceDir) -> None:
    right = listed(place)
    for suffix in ("", "-wal", "-shm"):
        place.index.with_name(f"index.new{suffix}").write_bytes(place.index.read_bytes()[: 4096 * 3 + 17])
    expect_whole(place, right)
    assert not list(place.path.glob("index.new*"))


def test_an_experiment_that_was_deleted_by_hand_is_not_listed(place: WorkspaceDir) -> None:
    shutil.rmtree(place.runs / "exp1")
    assert {row["experiment"] for row in listed(place)} == {"exp0", "exp2"}


def test_a_newer_store_is_refused_untouched(home: Path) -> None:
    home.mkdir(mode=0o700)
    write_new(home / "format.json", dump_json({"format": 99}))
    before = sorted((path, path.stat().st_mtime_ns) for path in home.rglob("*"))
    for line in (["ps"], ["fsck"], ["fsck", "--rebuild"], ["gc"], ["du"], ["show", "@1"], ["rm", "@1"]):
        done = subprocess.run([*CLI, *line], capture_output=True, text=True, check=False)
        assert done.returncode == 1, (line, done)
        assert "format 99" in done.stderr, line
        assert "upgrade" in done.stderr, line
    assert sorted((path, path.stat().st_mtime_ns) for path in home.rglob("*")) == before


def _read_only(home: Path, *line: str) -> subprocess.CompletedProcess[str]:
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, str(home), *CLI, *line]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})


def test_a_read_only_home(place: WorkspaceDir, tmp_path: Path) -> None:
    probe = subprocess.run(
        ["unshare", "-m", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"', str(tmp_path)],
        capture_output=True, check=False,
    )  # fmt: skip
    if probe.returncode:
        pytest.skip("mounts cannot be made here")
    (tmp_path / "a.py").write_text("pass")
    right = [row["run_id"] for row in listed(place)]
    done = _read_only(place.home, "ps", "--all", "--json")
    assert [row["run_id"] for row in json.loads(done.stdout)] == right, done.stderr
    for line in (["show", "@1"], ["logs", "@1"], ["du"], ["fsck"], ["wait", "-q", "@1"]):
        done = _read_only(place.home, *line)
        assert (done.returncode, done.stderr) == (0, ""), (line, done)
    for line in (["submit", str(tmp_path / "a.py")], ["rm", "@1"], ["fsck", "--rebuild"], ["rerun", "@1"]):
        done = _read_only(place.home, *line)
        assert done.returncode == 1, (line, done)
        assert "Read-only file system" in done.stderr, line
        assert len(done.stderr.splitlines()) <= 2, done.stderr
    assert [row["run_id"] for row in listed(place)] == right


def test_runs_of_one_second_without_an_index_are_listed_in_their_order(home: Path) -> None:
    place = WorkspaceDir(home, "default").make()
    for number in range(COUNT):
        second = f"exp_1700000000_{(number * 7919) % COUNT:08x}"
        ended_run(place, experiment="exp", number=number, run_id=second, created=1_700_000_000 + number / COUNT)
    right = [row.created for row in index.listing(place)]
    assert right == sorted(right, reverse=True)
    for limit in range(COUNT):
        assert [row.created for row in index.listing(place, limit=limit)] == right[:limit]
