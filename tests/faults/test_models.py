"""Models that bite, models whose source goes, models registered by many at once or half written."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun import check, upkeep
from jupyter_mlrun.errors import Conflict, CorruptObject, JupyterMLRunError, NotFound, StoreError
from jupyter_mlrun.sdk.model import Model, register_from_run
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.workspace import Workspace
from jupyter_mlrun.store import keep
from jupyter_mlrun.store.archive import export
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.importing import import_
from tests.runs import ended_run
from tests.test_cli import mlrun

SENTINEL = "bitten"


@pytest.fixture
def workspace(home: Path) -> Workspace:
    found = Workspace("default", home=home)
    found.folder.make()
    return found


@pytest.fixture
def here(tmp_path: Path) -> Path:
    path = tmp_path / "here"
    path.mkdir()
    os.chdir(path)
    return path


# ---- files that run code when they are loaded ------------------------------------------------------------------


class Bomb:
    """Whoever loads this leaves a file behind."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.sentinel), "w"))


def bombs(folder: Path, sentinel: Path) -> list[str]:
    """Files that run code in the hands of whoever loads them, by every way that programs try."""
    data = pickle.dumps(Bomb(sentinel))
    code = f"open({str(sentinel)!r}, 'w')\n"
    (folder / "model.pkl").write_bytes(data)
    (folder / "model.joblib").write_bytes(data)
    with zipfile.ZipFile(folder / "model.pt", "w") as file:
        file.writestr("model/data.pkl", data)
    (folder / "__init__.py").write_text(code)
    (folder / "conda.yaml").write_text(f"!!python/object/apply:builtins.open ['{sentinel}', 'w']\n")
    (folder / "setup.py").write_text(code)
    (folder / "sitecustomize.py").write_text(code)
    return sorted(os.listdir(folder))


def test_the_bombs_work(here: Path, tmp_path: Path) -> None:
    """So that the next test says something."""
    bombs(here, tmp_path / SENTINEL)
    with (here / "model.pkl").open("rb") as file:
        pickle.load(file).close()
    assert (tmp_path / SENTINEL).exists()


def test_nothing_is_ever_loaded(workspace: Workspace, here: Path, tmp_path: Path) -> None:
    place = ended_run(workspace.folder)
    names = bombs(place.outputs, tmp_path / SENTINEL)
    run = Run.at(place)
    for path in ("outputs", "outputs/model.pkl", "outputs/model.pt", "outputs/*.joblib"):
        register_from_run(run, "bomb", path)
    local = Model.register(workspace, place.outputs, "local")
    for one in (local, *Model.list(workspace), Model(workspace, "bomb")):
        repr(one)
        one.serialize()
        one.download(here / f"{one.name}-{one.version}", exist_ok=True)
        Model.get_model_path(one.name, _workspace=workspace)
    repr(run)
    run._repr_mimebundle_()
    for line in (["models"], ["models", "--json"], ["show", "@1"], ["download", "@1"], ["fsck"], ["gc"],
                 ["register", "@1", "outputs", "--name", "again"]):  # fmt: skip
        assert mlrun(*line).returncode == 0, line
    export([(workspace.folder, place)], tmp_path / "a.zip")
    import_(tmp_path / "a.zip", WorkspaceDir(tmp_path / "other", "default"))
    upkeep.gc(workspace.home, grace=-1)
    assert sorted(os.listdir(here / "local-1/outputs")) == names
    assert not (tmp_path / SENTINEL).exists()


def test_no_module_can_load_anything() -> None:
    """None of ours imports what unpickles."""
    package = Path(upkeep.__file__).parent
    found = [
        path.name
        for path in package.rglob("*.py")
        for line in path.read_text().splitlines()
        if line.strip().startswith(("import ", "from ")) and {"pickle", "shelve", "joblib", "dill"} & set(line.split())
    ]
    assert not found


# ---- content that is damaged, or goes ------------------------------------------------------------------------


def damage(workspace: Workspace, content: bytes) -> None:
    """Change one byte of stored content."""
    for pack in workspace.folder.objects.glob("packs/*.pack"):
        data = pack.read_bytes()
        if content in data:
            pack.write_bytes(data.replace(content, content[:-1] + b"!"))


def test_damaged_content_is_seen_and_nothing_is_left(workspace: Workspace, here: Path) -> None:
    place = ended_run(workspace.folder)
    for name in ("a", "b", "c"):
        (place.outputs / name).write_bytes(f"the content of {name}".encode())
    folder = register_from_run(Run.at(place), "folder", "outputs")
    alone = register_from_run(Run.at(place), "alone", "outputs/b")
    good = register_from_run(Run.at(place), "good", "outputs/a")
    damage(workspace, b"the content of b")
    (here / "to").mkdir()
    for model, place_for_it in ((folder, "to"), (alone, "to"), (alone, "to/deeper/still")):
        for over in (False, True):
            with pytest.raises(CorruptObject, match="damaged"):
                model.download(place_for_it, exist_ok=over)
    with pytest.raises(CorruptObject, match="damaged"):
        Model.get_model_path("folder", _workspace=workspace)
    assert [path for path in here.rglob("*") if path.is_file()] == []
    assert list((here / "to").iterdir()) in ([], [here / "to/deeper"])
    assert good.download() == "a"
    said = "\n".join(str(one) for one in check.check(workspace.home))
    assert "model folder:1" in said
    assert "model alone:1" in said
    assert "good" not in said


def test_a_record_that_is_damaged_is_named_and_keeps_everything(workspace: Workspace, here: Path) -> None:
    (here / "f").write_bytes(b"content")
    Model.register(workspace, "f", "m")
    other = Model.register(workspace, "f", "n")
    path = workspace.folder.path / "models/m/1/model.json"
    whole = path.read_bytes()
    for data in (b"", whole[:20], b"[]", b"\xff", json.dumps({"format": 99}).encode()):
        path.write_bytes(data)
        with pytest.raises(StoreError):
            Model(workspace, "m")
        assert Model(workspace, "n").download("to", exist_ok=True)
        done = upkeep.gc(workspace.home, grace=-1)
        assert done["kept"], "what cannot be read may need anything"
        assert any("models/m/1" in str(one) for one in check.check(workspace.home) if one.level == "fail")
    path.write_bytes(whole)
    assert Model(workspace, "m").id == "m:1"
    assert other.download("again")


def test_the_run_and_its_files_may_go(workspace: Workspace, here: Path) -> None:
    place = ended_run(workspace.folder)
    (place.outputs / "model.pt").write_bytes(b"weights")
    run = Run.at(place)
    run_id = run.id
    register_from_run(run, "m", "outputs/model.pt")
    (place.outputs / "model.pt").write_bytes(b"overwritten")
    register_from_run(run, "m", "outputs/model.pt")
    (place.outputs / "model.pt").unlink()
    with pytest.raises(NotFound):
        register_from_run(run, "m", "outputs/model.pt")
    assert "models came from it and stay: m:1, m:2" in mlrun("rm", run_id).stdout
    upkeep.gc(workspace.home, grace=-1)
    for version, content in ((1, b"weights"), (2, b"overwritten")):
        assert Path(Model(workspace, "m", version=version).download(str(version))).read_bytes() == content
    assert not upkeep.problems(workspace.home)


def test_a_file_that_does_not_keep_still(workspace: Workspace, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "f").write_bytes(b"0")
    read, times = keep._read, [0]

    def grows(file: Any, name: str) -> bytes:
        times[0] += 1
        with (here / "f").open("ab") as more:
            more.write(b"more")
        return read(file, name) if times[0] % 3 else b""

    monkeypatch.setattr(keep, "_read", grows)
    with pytest.raises(Conflict, match="changes while it is read"):
        Model.register(workspace, "f", "m")
    assert not Model.list(workspace)


# ---- many at once, and kills -------------------------------------------------------------------------------

REGISTER = """
import os, sys
from pathlib import Path
from jupyter_mlrun.sdk.model import Model
from jupyter_mlrun.sdk.workspace import Workspace

home, file, kill, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
workspace = Workspace("default", home=home)
calls = 0

def arm(name):
    real = getattr(os, name)
    def call(*args, **more):
        global calls
        calls += 1
        if calls == kill:
            os.kill(os.getpid(), 9)
        return real(*args, **more)
    setattr(os, name, call)

for name in ("write", "fsync", "open", "mkdir", "rename", "replace", "link", "unlink"):
    arm(name)
for _ in range(count):
    Path(file).write_bytes(os.urandom(100))
    print(Model.register(workspace, file, "m", tags={"by": str(os.getpid())}).version, flush=True)
"""


def start(home: Path, file: Path, kill: int = 0, count: int = 1) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", REGISTER, str(home), str(file), str(kill), str(count)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_at_once_get_versions_of_their_own(workspace: Workspace, tmp_path: Path) -> None:
    started = [start(workspace.home, tmp_path / f"f{number}", count=5) for number in range(3)]
    found: list[int] = []
    for one in started:
        said, errors = one.communicate()
        assert one.returncode == 0, errors
        found += map(int, said.split())
    assert sorted(found) == list(range(1, 16))
    assert sorted(model.version for model in Model.list(workspace)) == sorted(found)
    assert not upkeep.problems(workspace.home)


def kill_everywhere(workspace: Workspace, tmp_path: Path, stride: int) -> int:
    for killed, number in enumerate(range(1, 500, stride)):
        before = len(Model.list(workspace))
        child = start(workspace.home, tmp_path / "f", kill=number)
        said, errors = child.communicate()
        there = Model.list(workspace)
        for model in there:
            model.download(tmp_path / "out", exist_ok=True)
        assert not [one for one in upkeep.problems(workspace.home) if "has no index" not in one]
        if child.returncode == 0:
            assert len(there) == before + 1
            return killed
        assert child.returncode == -signal.SIGKILL, errors
        assert not said
        assert len(there) in (before, before + 1), "whole or not there"
    raise AssertionError("it never came to its end")


def test_a_killed_registration_is_whole_or_nothing(workspace: Workspace, tmp_path: Path) -> None:
    assert kill_everywhere(workspace, tmp_path, 7) >= 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_registration_killed_at_each_call(workspace: Workspace, tmp_path: Path) -> None:
    assert kill_everywhere(workspace, tmp_path, 1) >= 20


def test_a_full_disk_refuses_and_nothing_stays(workspace: Workspace, tmp_path: Path) -> None:
    if os.getuid() or not shutil.which("unshare"):
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "big").write_bytes(os.urandom(2_000_000))
    (tmp_path / "small").write_bytes(b"small")
    Model.register(workspace, tmp_path / "big", "m")
    code = f"""
import os, sys
from pathlib import Path
from jupyter_mlrun import upkeep
from jupyter_mlrun.errors import StoreError
from jupyter_mlrun.sdk.model import Model
from jupyter_mlrun.sdk.workspace import Workspace
disk, ours = Path({str(disk)!r}), Workspace("default", home=Path({str(workspace.home)!r}))
theirs = Workspace("default", home=disk / "home")
for work in (
    lambda: Model.register(theirs, {str(tmp_path / "big")!r}, "m"),
    lambda: Model(ours, "m").download(disk / "to"),
    lambda: os.chdir(disk) or Model.get_model_path("m", _workspace=ours),
):
    try:
        work()
        raise AssertionError("there was room")
    except StoreError as problem:
        assert "No space left" in problem.message and problem.hint, problem
left = [path for path in disk.rglob("*") if path.is_file() and path.name not in ("format.json", "lock")]
assert not left, left
assert not Model.list(theirs)
Model.register(theirs, {str(tmp_path / "small")!r}, "m")
assert not upkeep.problems(theirs.home)
"""
    command = 'mount -t tmpfs -o size=1m,mode=700 tmpfs "$1" && exec "$2" -c "$3"'
    said = subprocess.run(
        ["unshare", "-m", "sh", "-c", command, "sh", str(disk), sys.executable, code],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if "mount:" in said.stderr:
        pytest.skip(f"no small disk can be mounted here: {said.stderr.strip()}")
    assert said.returncode == 0, said.stderr


def test_tags_at_once_are_all_kept(workspace: Workspace, here: Path) -> None:
    (here / "f").write_bytes(b"f")
    Model.register(workspace, "f", "m")
    barrier = threading.Barrier(4)
    said: list[str] = []

    def work(number: int) -> None:
        model = Model(workspace, "m")
        barrier.wait()
        for n in range(5):
            model.add_tags({f"{number}-{n}": "x"})
        try:
            model.add_properties({"first": str(number)})
            said.append(str(number))
        except JupyterMLRunError:
            pass

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    model = Model(workspace, "m")
    assert len(model.tags) == 20
    assert said == [model.properties["first"]], "a property is written once"
    lines = (workspace.folder.path / "models/m/1/notes.jsonl").read_text().splitlines()
    assert all(json.loads(line)["by"] for line in lines), "who said it is kept"
