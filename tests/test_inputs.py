"""Inputs of runs: shared read-only trees, writable copies, folders in place; what a run does to them harms nobody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun import upkeep
from jupyter_mlrun.agent import client
from jupyter_mlrun.check import check
from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.magics import arguments_of
from jupyter_mlrun.sdk.data import upload_data
from jupyter_mlrun.sdk.experiment import Experiment
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.runconfig import ScriptRunConfig
from jupyter_mlrun.sdk.submit import Request, dry_run, prepare
from jupyter_mlrun.sdk.workspace import Workspace
from jupyter_mlrun.settings import load
from jupyter_mlrun.worker import main, mounts, process
from jupyter_mlrun.worker.deep import remove_tree
from tests.runs import recorded_run
from tests.support import finish, kill_agent, kill_worker, log_of, running, submit_cell, until, workers

LOOK = """
import os
base = os.environ["images"]
for folder, _, names in sorted(os.walk(base)):
    for name in sorted(names):
        path = os.path.join(folder, name)
        print(os.path.relpath(path, base), open(path, "rb").read())
"""
SHOWN = ["a.txt b'alpha'", "sub/b.bin b'\\x00\\x01'"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("alpha")
    (folder / "sub/b.bin").write_bytes(b"\0\1")
    return folder


@pytest.fixture
def workspace(home: Path, images: Path) -> Workspace:
    """A workspace that has the data set ``images``."""
    made = Workspace("default", home=home)
    upload_data(made, images, progress=False)
    return made


def completed(run: Run) -> Run:
    state = finish(run)
    assert str(state.status) == "Completed", log_of(run)
    return run


def inputs_of(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.directory.input_paths.read_text())["inputs"]
    return found


def test_a_data_set_is_a_read_only_folder_that_runs_share(workspace: Workspace) -> None:
    first = completed(submit_cell(LOOK, inputs=("images=images",)))
    second = completed(submit_cell(LOOK, inputs=("images=images:1",)))
    for run in (first, second):
        lines = log_of(run).splitlines()
        assert lines[-2:] == SHOWN
        assert "Processing 'images'." in lines
    assert inputs_of(first) == inputs_of(second)
    tree = Path(inputs_of(first)["images"]["path"])
    assert tree.stat().st_mode & 0o777 == 0o500
    assert (tree / "a.txt").stat().st_mode & 0o777 == 0o400
    assert first.spec.inputs[0]["dataset"] == {"name": "images", "version": 1}


def test_the_log_says_how_far_an_input_is(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = prepare(Request(cell="pass", inputs=("data=images",)), load(), workspace).inputs
    run = recorded_run(workspace.folder, content=b"pass\n", inputs=inputs, preamble=True)
    monkeypatch.setattr(main, "PATIENCE", 0.0)
    worker = main.Worker(str(run.path), 1, "")
    worker.prepare()
    told = run.log().read_text().splitlines()
    count = sum(1 for path in Path(worker.inputs.paths["data"]).rglob("*") if path.is_file())
    assert told[0] == "Processing 'data'."
    assert [line for line in told if line.startswith("Preparing")] == [
        f"Preparing 'data': {there} of {count} files." for there in range(count)
    ]
    worker.preamble.write(fd := os.open(run.log(), os.O_WRONLY | os.O_APPEND))
    os.close(fd)
    lines = run.log().read_text().splitlines()
    assert lines.count("Processing 'data'.") == 1, "nothing is said twice"
    assert any(line.startswith("Mounted data to") for line in lines)
    worker.inputs.finish()


@pytest.mark.parametrize("data", ["workspaceblobstore/images", "workspaceblobstore/images/**"])
def test_a_path_on_a_datastore(workspace: Workspace, data: str) -> None:
    run = completed(submit_cell(LOOK, inputs=(f"images={data}",)))
    assert log_of(run).splitlines()[-2:] == SHOWN


def test_a_folder_is_used_in_place_and_recorded(home: Path, images: Path) -> None:
    write = "import os\nopen(os.path.join(os.environ['images'], 'made'), 'w').write('x')"
    run = completed(submit_cell(write, inputs=(f"images={images}",)))
    assert (images / "made").read_text() == "x", "in place means in place"
    (one,) = run.spec.inputs
    assert (one["mode"], one["path"], one["versioned"], one["count"]) == ("local", str(images), False, 2)
    signature = one["signature"]
    changed = completed(submit_cell("pass", inputs=(f"images={images}",)))
    assert changed.spec.inputs[0]["signature"] != signature
    assert f"Using images in place at {images} (not versioned)." in log_of(run)


def test_a_folder_that_is_gone_when_the_run_begins_ends_it(home: Path, images: Path) -> None:
    blocker = running(submit_cell("import time\ntime.sleep(600)", max_concurrent=1))
    run = submit_cell("print('ran')", inputs=(f"images={images}",), max_concurrent=1)
    images.rename(images.parent / "elsewhere")
    blocker.cancel()
    state = finish(run)
    assert str(state.status) == "Failed"
    assert state.reason is not None
    assert "the input 'images' is gone" in state.reason.text
    (line, why) = log_of(run).splitlines()
    assert line == "Processing 'images'."
    assert "the input 'images' is gone" in why


def test_the_run_finds_its_inputs_by_name(workspace: Workspace) -> None:
    code = """
import os
from jupyter_mlrun import Run
found = Run.get_context().input_datasets["images"]
assert found == os.environ["images"] == os.environ["AZUREML_DATAREFERENCE_images"], found
assert os.environ["AZUREML_DATASET_ENVIRONMENT_VARS"] == "images:mount"
"""
    completed(submit_cell(code, inputs=("images=images",)))


def test_arguments_name_inputs(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text("import sys, json\nprint(json.dumps(sys.argv[1:]))")
    config = ScriptRunConfig(str(tmp_path), script="show.py")
    config.arguments = [
        "--data", workspace.datasets["images"].as_named_input("images").as_mount(), "$images/sub", "$HOME/x",
        "$NOT_SET_ANYWHERE", 0.003, "price: 5$",
    ]  # fmt: skip
    run = completed(Experiment(workspace, "arguments").submit(config))
    place = inputs_of(run)["images"]["path"]
    given = json.loads(log_of(run).splitlines()[-1])
    expected = ["--data", place, f"{place}/sub", f"{os.environ['HOME']}/x", "$NOT_SET_ANYWHERE", "0.003", "price: 5$"]
    assert given == expected
    log = log_of(run)
    asked = ["--data", "$images", "$images/sub", "$HOME/x", "$NOT_SET_ANYWHERE", "0.003", "price: 5$"]
    assert f"Preparing to call script [ show.py ] with arguments: {asked}\n" in log
    assert f"After variable expansion, calling script [ show.py ] with arguments: {given}\n" in log


# ---- what a run does to its input ------------------------------------------------------------------------

HARM = {
    "overwrite": "os.chmod(f'{base}/a.txt', 0o600); open(f'{base}/a.txt', 'r+').write('HARM!')",
    "overwrite and hide it": (
        "p = f'{base}/a.txt'; s = os.stat(p); os.chmod(p, 0o600); open(p, 'r+').write('HARM!'); "
        "os.utime(p, ns=(s.st_atime_ns, s.st_mtime_ns)); os.chmod(p, 0o400)"
    ),
    "delete": "os.chmod(base, 0o700); os.unlink(f'{base}/a.txt'); os.chmod(base, 0o500)",
    "add": "os.chmod(base, 0o700); open(f'{base}/new', 'w').write('x'); os.chmod(base, 0o500)",
    "replace": (
        "os.chmod(base, 0o700); open(f'{base}/t', 'w').write('other'); os.rename(f'{base}/t', f'{base}/a.txt')"
    ),
    "remove all": "import shutil; [os.chmod(f, 0o700) for f, _, _ in os.walk(base)]; shutil.rmtree(base)",
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM.keys())
def test_a_run_that_writes_into_its_input_harms_nobody(workspace: Workspace, harm: str) -> None:
    code = f"import os\nbase = os.environ['images']\n{harm}\n"
    run = completed(submit_cell(code, inputs=("images=images",)))
    assert "the run changed its input 'images'" in log_of(run).splitlines()[-1]
    assert json.loads(run.directory.exit.read_text())["harmed_inputs"]["images"]
    after = completed(submit_cell(LOOK, inputs=("images=images",)))
    assert log_of(after).splitlines()[-2:] == SHOWN
    assert "changed its input" not in log_of(after)
    assert [str(one) for one in check(workspace.home)] == []


AS_SOMEBODY_ELSE = """
import os, sys
from pathlib import Path
from jupyter_mlrun.worker import mounts, unpack
os.umask(0o077)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
mount = mounts.acquire(*sys.argv[1:4])
path = mount.path + "/a.txt"
for how in ("r+", "a", "w"):
    try:
        open(path, how)
    except PermissionError:
        print("refused", how)
try:
    os.unlink(path)
except PermissionError:
    print("refused unlink")
os.chmod(path, 0o600)
open(path, "r+").write("HARM!")
print("harmed", mount.harmed())
mount.release()
again = mounts.acquire(*sys.argv[1:4])
print(open(again.path + "/a.txt").read(), again.harmed(), again.path != mount.path)
"""


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that other users can reach: pytest's own are closed to them."""
    path = Path(tempfile.mkdtemp(prefix="mlr-"))
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_cannot_write_into_an_input_by_accident(workspace: Workspace, open_place: Path) -> None:
    objects = open_place / "objects"
    shutil.copytree(workspace.folder.objects, objects)
    for path in (open_place, objects, *objects.rglob("*")):
        os.chown(path, 65534, 65534)
    (manifest,) = [path.stem for path in (objects / "manifests").glob("*.json")]
    asked = [sys.executable, "-c", AS_SOMEBODY_ELSE, str(objects), str(open_place / "trees"), manifest]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "refused r+", "refused a", "refused w", "refused unlink", "harmed ['a.txt']", "alpha [] True",
    ]  # fmt: skip


def test_a_download_is_the_runs_own(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/x.py").write_text(
        "import sys, os\np = sys.argv[1]\nopen(p + '/a.txt', 'w').write('mine')\nprint(sorted(os.listdir(p)), p)"
    )
    config = ScriptRunConfig(str(tmp_path / "src"), script="x.py")
    config.arguments = [workspace.datasets["images"].as_named_input("images").as_download("data/mine")]
    experiment = Experiment(workspace, "download")
    for run in (completed(experiment.submit(config)), completed(experiment.submit(config))):
        place = inputs_of(run)["images"]["path"]
        assert place == str(run.directory.work / "data/mine")
        assert log_of(run).splitlines()[-1] == f"['a.txt', 'sub'] {place}"
        assert f"Downloaded images to {place} as folder." in log_of(run)
    assert mounts.listing(str(workspace.folder.trees)) == []


def test_a_mount_at_a_place_of_the_runs_choice(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/x.py").write_text("import os\nprint(sorted(os.listdir('data/images')))")
    config = ScriptRunConfig(str(tmp_path / "src"), script="x.py")
    config.arguments = [workspace.datasets["images"].as_named_input("images").as_mount("data/images")]
    run = completed(Experiment(workspace, "place").submit(config))
    assert log_of(run).splitlines()[-1] == "['a.txt', 'sub']"
    (tmp_path / "src/data/images").mkdir(parents=True)
    (tmp_path / "src/data/images/here").write_text("")
    run = Experiment(workspace, "place").submit(config)
    state = finish(run)
    assert state.reason is not None
    assert "the input 'images' cannot be at" in state.reason.text


# ---- what is refused before the run exists ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("images", BadInput, "names no input"),
        ("PATH=images", BadInput, "PATH"),
        ("RANK=images", BadInput, "RANK"),
        ("JUPYTER_MLRUN_RUN_ID=images", BadInput, "JUPYTER_MLRUN_RUN_ID"),
        ("HOME=images", BadInput, "HOME"),
        ("1st=images", BadInput, "names no input"),
        ("x=imagse", NotFound, "images"),
        ("x=images:7", NotFound, "has no version"),
        ("x=workspaceblobstore/nothing", NotFound, "nothing"),
        ("x=./not-there", NotFound, "not-there"),
    ],
)
def test_what_is_refused(workspace: Workspace, given: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        submit_cell("pass", inputs=(given,))
    assert not list(workspace.folder.runs.glob("*/*"))


def test_a_name_twice_is_refused(workspace: Workspace) -> None:
    with pytest.raises(BadInput, match="twice"):
        submit_cell("pass", inputs=("x=images", "x=images"))


def test_a_dry_run_says_what_comes_in(workspace: Workspace) -> None:
    said = dry_run(Request(cell="pass", experiment="test", inputs=("x=images",)), load())
    assert "x: images:1 (2 files" in said


# ---- kills and damage --------------------------------------------------------------------------------------


def test_a_worker_that_takes_over_holds_the_inputs(workspace: Workspace, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    code = f"""
import os, time
while not os.path.exists({str(gate)!r}):
    time.sleep(0.01)
base = os.environ["images"]
{HARM["overwrite"]}
"""
    run = running(submit_cell(code, inputs=("images=images",)))
    tree = Path(inputs_of(run)["images"]["path"])
    # nobody holds them until the next agent starts the next worker
    kill_agent(workspace.home)
    kill_worker(run)
    until(lambda: not any(process.is_alive(who) for who in workers(run)), "worker gone")
    upkeep.gc(workspace.home, now=time.time() + 365 * 86400)
    assert sorted(path.name for path in tree.iterdir())
    client.ensure_agent(workspace.home)
    gate.touch()
    completed(run)
    assert "the run changed its input 'images'" in log_of(run)
    assert tree.exists()


KILLED = """
import os, sys
from jupyter_mlrun.worker import mounts, unpack
calls = 0
def count(name, module):
    real = getattr(module, name)
    def call(*args, **options):
        global calls
        calls += 1
        if calls == int(sys.argv[4]):
            os._exit(9)
        return real(*args, **options)
    setattr(module, name, call)
for name in ("open", "rename", "chmod", "unlink", "mkdir", "write", "replace"):
    count(name, os)
mounts.acquire(*sys.argv[1:4])
"""


def test_a_tree_whose_making_was_killed_is_made_anew(workspace: Workspace, tmp_path: Path) -> None:
    place = workspace.folder
    (manifest,) = [path.stem for path in (place.objects / "manifests").glob("*.json")]
    kills = 0
    for step in range(1, 400):
        asked = [sys.executable, "-c", KILLED, str(place.objects), str(place.trees), manifest, str(step)]
        done = subprocess.run(asked, check=False, capture_output=True)
        if done.returncode == 0:
            break
        kills += done.returncode == 9
        mount = mounts.acquire(str(place.objects), str(place.trees), manifest)
        assert Path(mount.path, "a.txt").read_text() == "alpha"
        assert mount.harmed() == []
        mount.release()
        for one in mounts.listing(str(place.trees)):
            assert mounts.remove_unused(str(place.trees / one["name"]))
    assert kills > 10
    assert done.returncode == 0, "the last step was not reached"


def test_damaged_content_ends_the_run_before_its_code(workspace: Workspace) -> None:
    (pack,) = (workspace.folder.objects / "packs").glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[data.index(b"alpha")] ^= 0xFF
    pack.write_bytes(data)
    run = submit_cell("print('ran')", inputs=("images=images",))
    state = finish(run)
    assert str(state.status) == "Failed"
    assert state.reason is not None
    assert "a.txt" in state.reason.text
    assert state.reason.text in log_of(run).splitlines()[-1]
    assert mounts.listing(str(workspace.folder.trees)) == []


def test_gc_keeps_what_is_used_and_takes_what_was_not_for_long(workspace: Workspace) -> None:
    run = running(submit_cell("import time\ntime.sleep(600)", inputs=("images=images",)))
    later = time.time() + 30 * 86400
    upkeep.gc(workspace.home, now=later)
    tree = Path(inputs_of(run)["images"]["path"])
    assert (tree / "a.txt").read_text() == "alpha"
    run.cancel()
    finish(run)
    upkeep.gc(workspace.home)
    assert tree.exists(), "the next run may want it"
    upkeep.gc(workspace.home, now=later)
    assert mounts.listing(str(workspace.folder.trees)) == []
    completed(submit_cell(LOOK, inputs=("images=images",)))


def test_a_rerun_in_a_home_that_moved_uses_what_lies_there(workspace: Workspace) -> None:
    run_id = completed(submit_cell(LOOK, inputs=("images=images",))).id
    client.stop_agent(workspace.home)
    moved = workspace.home.rename(workspace.home.with_name("moved"))
    os.environ["JUPYTER_MLRUN_HOME"] = str(moved)
    again = completed(Workspace("default", home=moved).get_run(run_id).rerun())
    assert log_of(again).splitlines()[-2:] == SHOWN
    assert inputs_of(again)["images"]["path"].startswith(str(moved))
    client.stop_agent(moved)


def test_a_dry_run_shows_inputs_by_name(workspace: Workspace) -> None:
    arguments = arguments_of(["--data", "{x}"], {}, ["x"])
    said = dry_run(Request(cell="pass", experiment="test", inputs=("x=images",), arguments=arguments), load())
    assert said.splitlines()[-1].endswith(" --data $x")


@pytest.mark.slow
def test_a_tree_deeper_than_any_path(workspace: Workspace, tmp_path: Path) -> None:
    deep, here = tmp_path / "deep", os.getcwd()
    deep.mkdir()
    os.chdir(deep)
    for _ in range(620):
        os.mkdir("folder")
        os.chdir("folder")
    Path("bottom.txt").write_text("here")
    os.chdir(here)
    upload_data(workspace, deep, progress=False)
    code = """
import os
os.chdir(os.environ["deep"])
for _ in range(620):
    os.chdir("folder")
print(open("bottom.txt").read())
os.chmod("bottom.txt", 0o600)
open("bottom.txt", "w").write("harm")
"""
    for _ in range(2):
        run = completed(submit_cell(code, inputs=("deep=deep",)))
        assert log_of(run).splitlines()[-2] == "here"
    upkeep.gc(workspace.home, now=time.time() + 365 * 86400)
    assert mounts.listing(str(workspace.folder.trees)) == []
    remove_tree(str(deep))
