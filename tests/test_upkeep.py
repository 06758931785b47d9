"""Looking after a home: what takes space, what goes, what stays whatever happens."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyter_mlrun import upkeep
from jupyter_mlrun.agent import client
from jupyter_mlrun.check import check
from jupyter_mlrun.rundir import RunDir, dump_json, make_folder, write_new
from jupyter_mlrun.store import runs, snapshot
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.worker import process
from jupyter_mlrun.worker.unpack import materialise
from tests.runs import ended_run, recorded_run
from tests.support import finish, running, submit_cell, until

LATER = 10 * upkeep.DAY


@pytest.fixture
def place(home: Path) -> WorkspaceDir:
    return WorkspaceDir(home, "default").make()


def can_run(run: RunDir, folder: Path) -> bool:
    """Whether the run's snapshot is whole."""
    spec = runs.read_spec(run)
    assert spec.snapshot
    materialise(spec.objects, spec.snapshot["id"], str(folder / run.path.name))
    shutil.rmtree(folder / run.path.name)
    return True


def old(path: Path, age: float = 2 * upkeep.DAY) -> None:
    os.utime(path, (time.time() - age,) * 2)


def _ended() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_du_counts_every_byte_once(place: WorkspaceDir, home: Path) -> None:
    run = ended_run(place, experiment="big", content=os.urandom(5000))
    ended_run(place, experiment="small", number=1)
    (run.outputs / "model.bin").write_bytes(os.urandom(3_000_000))
    os.link(run.outputs / "model.bin", run.outputs / "again.bin")
    found = upkeep.du(home)
    assert found[0]["what"] == "big"
    assert found[0]["runs"] == 1
    assert 3_000_000 <= found[0]["bytes"] < 3_500_000
    assert {"(content)", "(inputs)", "(trash)", "(tmp)", "(index)", "small"} < {one["what"] for one in found}
    assert upkeep.largest_runs(home, 1)[0]["what"] == run.path.name
    assert upkeep.du(home / "nowhere") == []


def test_gc_removes_files_that_nobody_finished(place: WorkspaceDir, home: Path) -> None:
    run = ended_run(place, content=b"kept")
    make_folder(run.work)
    agent = client.AgentDir(home).make().path
    stray = [
        run.path / ".exit.json.17.0a1b2c3d.new", run.path / "rank-0.exit.json.17.new",
        run.metrics / ".0a1b2c3d4e5f.new",
        run.outputs / ".done.ipynb.17.0a1b2c3d.new", agent / ".queue.json.17.0a1b2c3d.new",
    ]  # fmt: skip
    kept = [run.outputs / ".mine.new", run.outputs / "x.17.0a1b2c3d.new", run.path / ".spec.json.17.0a1b2c3e.new"]
    for path in (*stray, *kept):
        write_new(path, b"x" * 5000)
    for path in (*stray, *kept[:-1]):
        old(path)
    (run.work).rmdir()
    assert upkeep.gc(home, dry_run=True)["files"] == len(stray)
    assert all(path.exists() for path in stray)
    assert upkeep.gc(home)["files"] == len(stray)
    assert not any(path.exists() for path in stray)
    assert all(path.exists() for path in kept), "what a run made, and what is being written, stays"


def test_gc_removes_leftovers_and_only_those(place: WorkspaceDir, home: Path, tmp_path: Path) -> None:
    run = ended_run(place, content=b"kept")
    active = recorded_run(place, number=1, content=b"kept too")
    for one in (run, active):
        make_folder(one.work)
        write_new(one.work / "file", b"x" * 10_000)
    removed = ended_run(place, number=2)
    removed.path.rename(place.trash / "removed")
    pid = _ended()
    made = {name: place.tmp / name for name in (f"new.{pid}", f"old.{pid}", f"alive.{os.getpid()}")}
    for path in made.values():
        make_folder(path)
    old(made[f"old.{pid}"])
    old(made[f"alive.{os.getpid()}"])
    told = upkeep.gc(home, dry_run=True)
    assert run.work.exists(), "a dry run deletes nothing"
    done = upkeep.gc(home)
    assert (told["folders"], told["bytes"]) == (done["folders"], done["bytes"])
    assert done["folders"] == 3
    assert done["bytes"] > 10_000
    assert {path.name for path in place.tmp.iterdir()} == {f"alive.{os.getpid()}", f"new.{pid}"}
    assert not list(place.trash.iterdir())
    assert not run.work.exists()
    assert active.work.exists(), "a run that goes on keeps its working copy"
    assert can_run(run, tmp_path)
    assert can_run(active, tmp_path)
    assert upkeep.gc(home) == {"folders": 0, "files": 0, "packs": 0, "bytes": 0, "kept": []}


def test_a_working_copy_in_use_stays(place: WorkspaceDir, home: Path) -> None:
    run = ended_run(place)
    make_folder(run.work)
    write_new(run.worker(1), dump_json(process.identity()))
    upkeep.gc(home)
    assert run.work.exists()
    run.worker(1).unlink()
    upkeep.gc(home)
    assert not run.work.exists()


def test_gc_frees_snapshots_that_no_run_needs(place: WorkspaceDir, home: Path, tmp_path: Path) -> None:
    kept, gone = ended_run(place, content=b"kept" * 1000), ended_run(place, number=1, content=os.urandom(500_000))
    runs.trash(place, gone)
    young = upkeep.gc(home)
    assert young["packs"] == 0, "a submit under way may need what was stored today"
    later = time.time() + LATER
    told, done = upkeep.gc(home, dry_run=True, now=later), upkeep.gc(home, now=later)
    assert told["bytes"] >= done["bytes"] > 400_000
    assert told["packs"] == done["packs"] == 1
    assert can_run(kept, tmp_path)
    assert len(snapshot.list_manifests(ObjectStore(place.objects))) == 1
    assert [one for one in check(home) if one.level == "fail"] == []


def test_a_submit_that_reuses_an_old_snapshot_keeps_it(place: WorkspaceDir, home: Path, tmp_path: Path) -> None:
    store = ObjectStore(place.objects)
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.py").write_text("pass  # " + "x" * 5000)
    first = snapshot.take(store, snapshot.scan(source, store=store))
    paths = [store.manifests / f"{first.id}.json", *store.packs.iterdir()]
    for path in paths:
        old(path, LATER)
    # the same tree is submitted again, and gc comes before its run is recorded
    assert snapshot.take(store, snapshot.scan(source, store=store)).id == first.id
    assert upkeep.gc(home)["packs"] == 0
    materialise(str(store.root), first.id, str(tmp_path / "copy"))
    for path in paths:
        old(path, LATER)
    assert upkeep.gc(home)["packs"] == 1, "and without it the snapshot goes"


def test_gc_waits_for_whoever_writes(place: WorkspaceDir, home: Path) -> None:
    store = ObjectStore(place.objects)
    ended_run(place, content=b"x")
    with store.writer() as writer:
        writer.put(b"data", bytes(32))
        kept = upkeep.gc(home, now=time.time() + LATER)["kept"]
        writer.discard()
    assert len(kept) == 1
    assert "being written" in kept[0]


def test_gc_keeps_everything_that_a_damaged_run_may_need(place: WorkspaceDir, home: Path) -> None:
    run = ended_run(place, content=b"needed")
    run.spec.write_bytes(b"{")
    done = upkeep.gc(home, now=time.time() + LATER)
    assert done["packs"] == 0
    assert done["kept"]
    assert snapshot.list_manifests(ObjectStore(place.objects))


def test_gc_harms_no_live_run(home: Path) -> None:
    run = running(submit_cell("import time, os\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\nprint('end')"))
    for _ in range(3):
        upkeep.gc(home, now=time.time() + LATER)
    (run.directory.work / "go").touch()
    assert str(finish(run).status) == "Completed"


@pytest.mark.parametrize("step", range(6))
def test_gc_killed_anywhere_is_finished_by_the_next(place: WorkspaceDir, home: Path, tmp_path: Path, step: int) -> None:
    kept = ended_run(place, content=b"kept" * 100)
    for number in range(1, 4):
        gone = ended_run(place, number=number, content=os.urandom(50_000))
        gone.path.rename(place.trash / gone.path.name)
    make_folder(kept.work / "folder")
    code = (
        "import os, signal, sys, time\nfrom pathlib import Path\nfrom jupyter_mlrun import upkeep\n"
        "left = [int(sys.argv[2])]\n"
        "def watch(event, args):\n"
        "    if event in ('os.rename', 'os.remove', 'os.rmdir', 'shutil.rmtree') and 'default' in str(args[0]):\n"
        "        left[0] -= 1\n"
        "        if left[0] < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(watch)\n"
        f"upkeep.gc(Path(sys.argv[1]), now=time.time() + {LATER})\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(home), str(step * 3)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert can_run(kept, tmp_path)
    assert not [one for one in check(home) if one.level == "fail"]
    upkeep.gc(home, now=time.time() + LATER)
    assert can_run(kept, tmp_path)
    assert len(snapshot.list_manifests(ObjectStore(place.objects))) == 1
    assert not list(place.trash.iterdir())
    assert not kept.work.exists()


def test_repair_takes_the_agent_away_and_runs_go_on(home: Path) -> None:
    run = running(submit_cell("import time, os\nwhile not os.path.exists('go'):\n    time.sleep(0.01)"))
    before = client.agent_of(home)
    assert before is not None
    assert upkeep.repair(home)["runs"] == 1
    after = until(lambda: client.agent_of(home), "an agent for the run that goes on")
    assert after["pid"] != before["pid"]
    (run.directory.work / "go").touch()
    assert str(finish(run).status) == "Completed"


def test_repair_indexes_what_a_killed_writer_left(place: WorkspaceDir, home: Path, tmp_path: Path) -> None:
    run = ended_run(place, content=b"content")
    for path in (place.objects / "packs").glob("*.idx"):
        path.unlink()
    assert [one for one in check(home) if one.level == "fail"]
    assert upkeep.repair(home)["packs"] == 1
    assert can_run(run, tmp_path)
    assert not [one for one in check(home) if one.level == "fail"]
