"""Data sets made by several at once, and uploads that are killed anywhere between their objects and their version."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun import upkeep
from jupyter_mlrun.check import check
from jupyter_mlrun.errors import NotFound
from jupyter_mlrun.sdk.data import Dataset, Datastore, datasets, upload_data
from jupyter_mlrun.sdk.workspace import Workspace
from jupyter_mlrun.store.datastores import Contents
from tests.conftest import need
from tests.datasets import content_of, write

ROUNDS, PROCESSES = 25, 4
LATER = 10 * upkeep.DAY

# each of several processes does the same rounds; a folder that has a file of each is the barrier before a round
WORKER = """
import json, os, sys, time
from pathlib import Path
from jupyter_mlrun.sdk import uploading
from jupyter_mlrun.sdk.data import Dataset, Datastore, FileDataset, upload_data
from jupyter_mlrun.sdk.workspace import Workspace
from jupyter_mlrun.store.registry import Versions

home, base, number, rounds, processes, task = sys.argv[1:]
workspace, base, parent = Workspace("default", home=Path(home)), Path(base), os.getppid()
store = Datastore(workspace)

def wait(turn):
    folder = base / "barrier" / str(turn)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / number).touch()
    while len(os.listdir(folder)) < int(processes):
        assert os.getppid() == parent, "nobody waits for this"
        assert not (base / "failed").exists(), "another one has failed"
        time.sleep(0.001)

def same(turn):
    made = upload_data(workspace, base / f"same{turn}", "same", name="same", overwrite=True, progress=False)
    return made.version, made.resolve().manifest

def other(turn):
    # everybody's own folder below one target, registered under one name
    source = base / f"other{number}"
    source.mkdir(exist_ok=True)
    (source / f"{number}-{turn}").write_text(f"{number} {turn}")
    store.upload(source, f"other/{number}", show_progress=False)
    made = FileDataset(workspace, [(store.name, f"other/{number}")]).register(
        workspace, "other", create_new_version=True
    )
    return made.version, made.resolve().manifest

def places(turn):
    store.upload_files([str(base / "same0" / "a")], target_path=f"places/{number}/{turn}", show_progress=False)
    return 0, ""

def removing(turn):
    registry = Versions(workspace.folder, "dataset")
    made, _ = registry.add("removing", {"manifest": f"{number}-{turn}"})
    registry.remove("removing", made["version"])
    return made["version"], ""

found = []
try:
    for turn in range(int(rounds)):
        wait(turn)
        found.append(globals()[task](turn))
except BaseException:
    (base / "failed").touch()
    raise
print(json.dumps(found))
"""


@pytest.fixture
def workspace(home: Path) -> Workspace:
    return Workspace("default", home=home)


def at_once(workspace: Workspace, base: Path, task: str, rounds: int = ROUNDS) -> list[list[tuple[int, str]]]:
    """What each of several processes got in each round."""
    shutil.rmtree(base / "barrier", ignore_errors=True)
    words = [sys.executable, "-c", WORKER, str(workspace.home), str(base)]
    running = [
        subprocess.Popen([*words, str(n), str(rounds), str(PROCESSES), task], stdout=-1, stderr=-1, text=True)
        for n in range(PROCESSES)
    ]
    said = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0] * PROCESSES, "\n".join(error for _, error in said)
    return [[(version, manifest) for version, manifest in json.loads(out)] for out, _ in said]


# ---- at once -------------------------------------------------------------------------------------------------


def test_the_same_content_at_once_is_one_version(workspace: Workspace, tmp_path: Path) -> None:
    for turn in range(ROUNDS):
        write(tmp_path / f"same{turn}", {"a": f"{turn}", "b": "same"})
    found = at_once(workspace, tmp_path, "same")
    for turn, got in enumerate(zip(*found, strict=True)):
        assert set(got) == {got[0]}, f"round {turn}: one content, and several versions or digests"
        assert got[0][0] == turn + 1
    assert Dataset.get_by_name(workspace, "same").version == ROUNDS
    for version in (1, ROUNDS):
        place = tmp_path / f"out{version}"
        assert content_of(Dataset.get_by_name(workspace, "same", version), place)["a"] == f"{version - 1}"


def test_different_content_at_once_gets_different_versions(workspace: Workspace, tmp_path: Path) -> None:
    found = at_once(workspace, tmp_path, "other")
    versions = [version for got in found for version, _ in got]
    assert sorted(versions) == list(range(1, PROCESSES * ROUNDS + 1)), "a number was lost, or given out twice"
    for got in found:
        assert [version for version, _ in got] == sorted(version for version, _ in got)
    for number, got in enumerate(found):
        for turn, (version, manifest) in enumerate(got):
            registered = Dataset.get_by_name(workspace, "other", version)
            assert registered.resolve().manifest == manifest
            assert registered.to_path() == sorted(f"/{number}-{n}" for n in range(turn + 1))
    assert not [one for one in check(workspace.home) if one.level == "fail"]


def test_no_upload_is_lost(workspace: Workspace, tmp_path: Path) -> None:
    """Every upload changes the one list of what lies where, and all of them are in it."""
    write(tmp_path / "same0", {"a": "1"})
    at_once(workspace, tmp_path, "places")
    contents = Contents(workspace.folder, "workspaceblobstore")
    wanted = {f"places/{number}/{turn}/a" for number in range(PROCESSES) for turn in range(ROUNDS)}
    assert {entry["path"] for entry in contents.entries("")} == wanted
    assert contents.numbers()[-1] == PROCESSES * ROUNDS, "each upload is one version of the list"


def test_numbers_that_are_removed_at_once_are_not_given_out_again(workspace: Workspace, tmp_path: Path) -> None:
    found = at_once(workspace, tmp_path, "removing")
    versions = sorted(version for got in found for version, _ in got)
    assert versions == list(range(1, PROCESSES * ROUNDS + 1))
    assert datasets(workspace) == {}


def test_gc_harms_no_upload_at_the_same_time(workspace: Workspace, tmp_path: Path) -> None:
    """Uploads that begin anew with what was replaced a moment ago, while gc runs over and over."""
    sources = [write(tmp_path / f"{n}", {"a": f"{n}" * 9000}) for n in range(2)]
    for n in range(12):
        made = upload_data(workspace, sources[n % 2], "x", name="x", overwrite=True, progress=False)
        upkeep.gc(workspace.home, now=time.time() + 2 * upkeep.DAY if n % 3 == 2 else None)
        assert content_of(made, tmp_path / f"out{n}")["a"] == f"{n % 2}" * 9000
        if n % 4 == 3:
            made.unregister_all_versions()
    assert not [one for one in check(workspace.home) if one.level == "fail"]


# ---- killed ----------------------------------------------------------------------------------------------------

UPLOAD = """
import sys
from pathlib import Path
from jupyter_mlrun.sdk.data import upload_data
from jupyter_mlrun.sdk.workspace import Workspace
upload_data(Workspace("default", home=Path(sys.argv[1])), sys.argv[2], "data/set", name="set", overwrite=True,
            progress=False)
"""
CALLS = ("write", "fsync", "rename", "link", "unlink", "utimensat", "mkdir")
MOST = 120


def killed_at(call: str, number: int, *arguments: Path) -> bool:
    """Whether the upload was killed at its *number*-th *call*; False where it had fewer."""
    strace = need(shutil.which("strace"), "strace is not installed")
    words = [strace, "-f", "-qq", "-o", os.devnull, "-e", f"inject={call}:signal=SIGKILL:when={number}"]
    done = subprocess.run(
        [*words, sys.executable, "-c", UPLOAD, *map(str, arguments)], capture_output=True, check=False
    )
    assert done.returncode in {0, -signal.SIGKILL, 128 + signal.SIGKILL}, done.stderr.decode()
    return done.returncode != 0


def seen(workspace: Workspace, place: Path) -> tuple[Any, Any]:
    """What anybody sees: the files at the target, and those of the newest version."""
    try:
        lying = Dataset.File.from_files((Datastore(workspace), "data/set"))
    except NotFound:
        return None, None
    shutil.rmtree(place, ignore_errors=True)
    at_target = content_of(lying, place / "lying")
    known = datasets(workspace).get("set")
    return at_target, content_of(known, place / "set") if known else None


def check_kills(home: Path, base: Path, stride: int) -> int:
    """Kill an upload over another at every *stride*-th call; what is seen is the one or the other, never a mixture."""
    files = [{"a": "1", "b/c": "1" * 70_000}, {"a": "2", "b/c": "2" * 70_000, "d": "2"}]
    first, second = (write(base / f"src{n}", some) for n, some in enumerate(files))
    saved, out = base / "saved", base / "out"
    workspace = Workspace("default", home=home)
    upload_data(workspace, first, "data/set", name="set", progress=False)
    shutil.copytree(home, saved)
    killed = 0
    for call in CALLS:
        for number in range(1, MOST, stride):
            shutil.rmtree(home)
            shutil.copytree(saved, home)
            if not killed_at(call, number, home, second):
                break
            killed += 1
            lying, known = seen(workspace, out)
            assert lying in files, f"{call} {number}"
            assert known in files, f"{call} {number}"
            assert known != files[1] or lying == files[1], "a version was there before its files"
            made = upload_data(workspace, second, "data/set", name="set", overwrite=True, progress=False)
            assert made.version == 2
            assert seen(workspace, out) == (files[1], files[1])
            upkeep.gc(home, now=time.time() + LATER)
            assert seen(workspace, out) == (files[1], files[1])
            assert Dataset.get_by_name(workspace, "set", 1).to_path() == ["/a", "/b/c"]
            assert not [one for one in check(home) if one.level == "fail"]
        else:
            pytest.fail(f"{MOST} times {call}: the upload never came to its end")
    return killed


def test_a_killed_upload_shows_the_old_or_the_new(home: Path, tmp_path: Path) -> None:
    assert check_kills(home, tmp_path, stride=9) >= 6


@pytest.mark.slow
def test_an_upload_killed_at_any_call_shows_the_old_or_the_new(home: Path, tmp_path: Path) -> None:
    assert check_kills(home, tmp_path, stride=1) >= 25


def test_a_first_upload_that_is_killed_shows_nothing(home: Path, tmp_path: Path) -> None:
    """Between its objects, its tree, its place on the datastore and its version."""
    source = write(tmp_path / "src", {"a": "1"})
    workspace = Workspace("default", home=home)
    killed = 0
    for number in range(1, MOST, 3):
        shutil.rmtree(home, ignore_errors=True)
        if not killed_at("fsync", number, home, source):
            break
        killed += 1
        assert seen(workspace, tmp_path / "out") in [(None, None), ({"a": "1"}, None), ({"a": "1"}, {"a": "1"})]
        assert upload_data(workspace, source, "data/set", name="set", progress=False).version == 1
        assert not [one for one in check(home) if one.level == "fail"]
    assert killed >= 3
