"""Export and import killed anywhere, on a full disk, twice at once; and homes copied while they are in use."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_mlrun import check, upkeep
from jupyter_mlrun.agent import client
from jupyter_mlrun.errors import Conflict, StoreError
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.sdk.find import find
from jupyter_mlrun.sdk.model import Model
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.workspace import Workspace
from jupyter_mlrun.store import archive, runs
from jupyter_mlrun.store.archive import export
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.importing import import_
from tests.conftest import need
from tests.runs import ended_run
from tests.support import finish, running, submit_cell, until

DAY = 86400.0

# forks for each line "NUMBER EXPORT-OR-IMPORT HOME FILE"; the child is killed before its NUMBER-th call
SERVER = """
import os, signal, sys
from pathlib import Path
from jupyter_mlrun.store import archive, importing, runs
from jupyter_mlrun.store.home import WorkspaceDir

CALLS = ("write", "fsync", "open", "mkdir", "rename", "replace", "link", "symlink", "unlink", "utime", "rmdir")

def arm(number):
    count = 0
    def step(real):
        def call(*args, **more):
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **more)
        return call
    for name in CALLS:
        setattr(os, name, step(getattr(os, name)))

def child(number, what, home, file):
    place = WorkspaceDir(Path(home), "default")
    arm(int(number))
    if what == "export":
        archive.export([(place, run) for run in runs.run_dirs(place)], Path(file))
    else:
        importing.import_(Path(file), place)

for line in sys.stdin:
    pid = os.fork()
    if not pid:
        try:
            child(*line.rstrip("\\n").split("\\t"))
        except BaseException as problem:
            sys.stderr.write(f"{problem!r}\\n")
            os._exit(4)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Killer:
    """Runs an export or import that dies before its n-th call."""

    def __init__(self) -> None:
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def dies_at(self, number: int, what: str, home: Path, file: Path) -> bool:
        """Whether it died; False where it came to its end before."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(f"{number}\t{what}\t{home}\t{file}\n")
        self.server.stdin.flush()
        code = int(self.server.stdout.readline())
        assert code in (0, -signal.SIGKILL)
        return code != 0

    def close(self) -> None:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()


@pytest.fixture
def killer() -> Iterator[Killer]:
    found = Killer()
    yield found
    found.close()


@pytest.fixture
def place(home: Path) -> WorkspaceDir:
    return WorkspaceDir(home, "default").make()


def two_runs(place: WorkspaceDir) -> list[tuple[WorkspaceDir, RunDir]]:
    found = []
    for number in range(2):
        run = ended_run(place, number=number, content=b"x = %d\n" % number)
        (run.outputs / "model.pt").write_bytes(b"weights" * 1000)
        (run.outputs / "latest").symlink_to("model.pt")
        found.append((place, run))
    return found


def whole_runs(home: Path) -> list[str]:
    """The ids of a home's runs, each of which must be whole; nothing else may be wrong there."""
    harm = [str(one) for one in check.check(home) if one.level == "fail" and "has no index" not in one.text]
    assert not harm
    found = []
    for run in runs.run_dirs(WorkspaceDir(home, "default")):
        assert (run.outputs / "latest").read_bytes() == b"weights" * 1000
        assert runs.recorded(run).is_over
        found.append(run.run_id)
    return found


def kill_import_everywhere(killer: Killer, place: WorkspaceDir, tmp_path: Path, stride: int) -> int:
    ids = {run.run_id for _, run in two_runs(place)}
    file = tmp_path / "a.zip"
    export([(place, run) for run in runs.run_dirs(place)], file)
    seen = set()
    for number in range(1, 2000, stride):
        home = tmp_path / f"home {number}"
        home.mkdir(mode=0o700)
        died = killer.dies_at(number, "import", home, file)
        there = whole_runs(home)
        seen.add(len(there))
        if not died:
            assert set(there) == ids
            return len(seen)
        other = WorkspaceDir(home, "default")
        done = import_(file, other)
        assert set(done.known) == set(there)
        assert set(whole_runs(home)) == ids
        upkeep.gc(home, grace=-1, now=time.time() + 3 * DAY)
        assert not list(other.tmp.iterdir()), "gc takes away what was left aside"
        assert not upkeep.problems(home)
        shutil.rmtree(home)
    raise AssertionError("the import never came to its end")


def test_a_killed_import_leaves_whole_runs_or_none(killer: Killer, place: WorkspaceDir, tmp_path: Path) -> None:
    assert kill_import_everywhere(killer, place, tmp_path, 9) >= 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_import_killed_at_each_call(killer: Killer, place: WorkspaceDir, tmp_path: Path) -> None:
    assert kill_import_everywhere(killer, place, tmp_path, 1) == 3


def test_a_killed_export_leaves_no_file_or_the_whole(killer: Killer, place: WorkspaceDir, tmp_path: Path) -> None:
    ids = {run.run_id for _, run in two_runs(place)}
    folder = tmp_path / "archives"
    folder.mkdir()
    file = folder / "a.zip"
    killed = 0
    while killer.dies_at(killed + 1, "export", place.home, file):
        killed += 1
        assert killed < 500
        if file.exists():
            assert set(import_(file, WorkspaceDir(tmp_path / f"from {killed}", "default")).new) == ids
            file.unlink()
        assert not list(folder.iterdir()), "nothing is left behind"
        assert set(whole_runs(place.home)) == ids, "an export changes nothing"
    assert killed >= 4
    assert set(import_(file, WorkspaceDir(tmp_path / "at last", "default")).new) == ids


# ---- at once -------------------------------------------------------------------------------------------------


def test_imports_at_once_bring_each_run_once(place: WorkspaceDir, tmp_path: Path) -> None:
    ids = [run.run_id for _, run in two_runs(place)]
    export([(place, run) for run in runs.run_dirs(place)], tmp_path / "a.zip")
    other = WorkspaceDir(tmp_path / "other", "default")
    barrier = threading.Barrier(4)
    new: list[str] = []

    def work() -> None:
        barrier.wait()
        new.extend(import_(tmp_path / "a.zip", other).new)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(new) == sorted(ids)
    assert sorted(whole_runs(other.home)) == sorted(ids)


def test_exports_at_once_to_one_name(place: WorkspaceDir, tmp_path: Path) -> None:
    given = two_runs(place)
    barrier = threading.Barrier(4)
    said: list[str] = []

    def work() -> None:
        barrier.wait()
        try:
            export(given, tmp_path / "a.zip")
            said.append("done")
        except Conflict:
            said.append("refused")

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(said) == ["done", "refused", "refused", "refused"]
    assert len(import_(tmp_path / "a.zip", WorkspaceDir(tmp_path / "other", "default")).new) == 2


def test_gc_beside_imports_takes_nothing_that_is_needed(place: WorkspaceDir, tmp_path: Path) -> None:
    two_runs(place)
    export([(place, run) for run in runs.run_dirs(place)], tmp_path / "a.zip")
    other = WorkspaceDir(tmp_path / "other", "default").make()
    stop = threading.Event()
    done: list[int] = []

    def collect() -> None:
        while not stop.is_set():
            upkeep.gc(other.home)
            done.append(1)

    worker = threading.Thread(target=collect)
    worker.start()
    try:
        until(lambda: done, "gc has begun")
        for _ in range(5):
            import_(tmp_path / "a.zip", other)
            assert len(whole_runs(other.home)) == 2
            for run in list(runs.run_dirs(other)):
                runs.trash(other, run)
    finally:
        stop.set()
        worker.join()


# ---- a full disk ---------------------------------------------------------------------------------------------

FULL = """
import sys
from pathlib import Path
from jupyter_mlrun import upkeep
from jupyter_mlrun.errors import StoreError
from jupyter_mlrun.store import importing, runs
from jupyter_mlrun.store.archive import export
from jupyter_mlrun.store.home import WorkspaceDir

disk, file, source = (Path(word) for word in sys.argv[1:])
home, place = disk / "home", WorkspaceDir(disk / "home", "default").make()
theirs = WorkspaceDir(source, "default")
importing._check_room = lambda found, place: None  # so that the disk is full in the middle
refused = 0
for free in (0, 1, 4, 20, 100, 200, 400):  # pages
    with open(disk / "filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            filler.truncate(max(0, filler.tell() - free * 4096))
    for work in (
        lambda: importing.import_(file, place),
        lambda: export([(theirs, run) for run in runs.run_dirs(theirs)], disk / "out.zip"),
    ):
        try:
            work()
        except StoreError as problem:
            refused += 1
            assert "No space left" in problem.message and problem.hint, problem
            assert not list(runs.run_dirs(place)) or free > 100
    assert not list(place.tmp.iterdir()), free
    left = {path.name for path in disk.iterdir()} - {"filler", "home", "out.zip"}
    assert not left, left
    (disk / "filler").unlink()
    assert not upkeep.problems(home), upkeep.problems(home)
assert refused >= 8, refused
(disk / "out.zip").unlink(missing_ok=True)
importing.import_(file, place)
assert len(list(runs.run_dirs(place))) == 1
"""


def test_a_full_disk_refuses_and_nothing_stays(place: WorkspaceDir, tmp_path: Path) -> None:
    if os.getuid() or not shutil.which("unshare"):
        pytest.skip("only root can mount a small disk")
    run = ended_run(place, content=os.urandom(300_000))
    (run.outputs / "model.pt").write_bytes(os.urandom(600_000))
    file = tmp_path / "a.zip"
    export([(place, run)], file)
    disk = tmp_path / "disk"
    disk.mkdir()
    command = 'mount -t tmpfs -o size=3m,mode=700 tmpfs "$1" && exec "$4" -c "$5" "$1" "$2" "$3"'
    said = subprocess.run(
        ["unshare", "-m", "sh", "-c", command, "sh", str(disk), str(file), str(place.home), sys.executable, FULL],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if "mount:" in said.stderr:
        pytest.skip(f"no small disk can be mounted here: {said.stderr.strip()}")
    assert said.returncode == 0, said.stderr


def test_no_room_is_said_before_anything_is_written(
    place: WorkspaceDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(two_runs(place), tmp_path / "a.zip")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StoreError, match="needs"):
        import_(tmp_path / "a.zip", WorkspaceDir(tmp_path / "other", "default"))
    assert not (tmp_path / "other").exists()


# ---- homes that are copied while they are in use ---------------------------------------------------------------

BUSY = """
import os, time
from jupyter_mlrun import log
open("outputs/model.pt", "wb").write(b"w" * 100000)
step = 0
while not os.path.exists(GATE):
    log("loss", 1 / (1 + step))
    print("step", step, flush=True)
    step += 1
    time.sleep(0.001)
"""


def at_work(gate: Path) -> Run:
    """A run that logs and prints until *gate* is there."""
    run = running(submit_cell(f"GATE = {str(gate)!r}\n{BUSY}"))
    until(lambda: run.directory.log().stat().st_size > 1000, "it prints")
    return run


def copy_of(home: Path, target: Path) -> Path:
    need(shutil.which("cp"), "cp is not installed")
    # sockets and files that go meanwhile make cp complain, as they do for anybody
    subprocess.run(["cp", "-a", str(home), str(target)], check=False, capture_output=True)
    return target


def test_a_copy_of_a_home_in_use_is_whole_or_says_what_is_not(home: Path, tmp_path: Path) -> None:
    """``cp -a`` while a run logs and models come: fsck on the copy finds what is missing, and mends the rest."""
    gate = tmp_path / "gate"
    ended = submit_cell("print('ended')")
    finish(ended)
    busy = at_work(gate)
    stop = threading.Event()
    more: list[Model] = []
    (tmp_path / "file").write_bytes(b"")

    def register_on() -> None:
        while not stop.is_set():
            (tmp_path / "file").write_bytes(os.urandom(1000))
            more.append(Model.register(Workspace("default", home=home), tmp_path / "file", "model"))

    worker = threading.Thread(target=register_on)
    worker.start()
    try:
        until(lambda: more, "models come")
        copies = [copy_of(home, tmp_path / f"copy {number}") for number in range(3)]
    finally:
        stop.set()
        worker.join()
        gate.touch()
    state = finish(busy)
    assert str(state.status) == "Completed", "the copying disturbed nothing"
    assert not upkeep.problems(home)
    for copy in copies:
        try:
            check_copy(copy, ended.id, busy.id)
        finally:
            client.stop_agent(copy)


def check_copy(copy: Path, ended: str, busy: str) -> None:
    upkeep.repair(copy)
    found = [one for one in check.check(copy) if one.level == "fail"]
    # what the copy missed is named, and the runs that it is missed by
    assert all("needed by model" in one.text for one in found), found
    named = " ".join(map(str, found))
    assert ended not in named
    assert find(copy, ended).status == "Completed"
    assert find(copy, busy).get_metrics()["loss"], "metrics up to the copy are readable"
    # the safe path, out of the copy too
    place = WorkspaceDir(copy, "default")
    export([(place, find(copy, ended).directory)], copy / "a.zip")
    assert import_(copy / "a.zip", WorkspaceDir(copy.with_name(copy.name + " again"), "default")).new == [ended]


def test_an_export_beside_live_runs_is_whole(home: Path, tmp_path: Path) -> None:
    """The safe path that the documents name."""
    gate = tmp_path / "gate"
    ended = submit_cell("from jupyter_mlrun import log\nlog('loss', 0.5)")
    finish(ended)
    busy = at_work(gate)
    place = WorkspaceDir(home, "default")
    try:
        with pytest.raises(Conflict, match="Running"):
            export([(place, busy.directory)], tmp_path / "no.zip")
        export([(place, ended.directory)], tmp_path / "a.zip")
    finally:
        gate.touch()
    finish(busy)
    export([(place, one.directory) for one in (ended, busy)], tmp_path / "b.zip")
    other = WorkspaceDir(tmp_path / "other", "default")
    assert import_(tmp_path / "a.zip", other).new == [ended.id]
    assert import_(tmp_path / "b.zip", other).new == [busy.id]
    assert find(other.home, busy.id).get_metrics()["loss"] == busy.get_metrics()["loss"]
    assert not upkeep.problems(other.home)


def test_progress_goes_up_to_the_end(place: WorkspaceDir, tmp_path: Path) -> None:
    given = two_runs(place)
    said: list[int] = []
    done = export(given, tmp_path / "a.zip", say=lambda count, _: said.append(count))
    assert said == sorted(said)
    assert said[-1] == done.bytes
    assert done.bytes <= archive.total_bytes(given) + 100_000
