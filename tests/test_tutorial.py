"""The documents' tutorial, its code as it stands there: upload data, train on it, log the loss.

The short form runs on 8,000 images, which give one point an epoch; the whole one on all 50,000 gives six.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_mlrun.records import RunState
from jupyter_mlrun.sdk.follow import follow
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.workspace import Workspace
from tests.conftest import need
from tests.documents import block_with, shared
from tests.support import describe

BRING_DATA = "000_9840b525f5da529d.txt"
TRAIN = "001_f76813f4a515e513.txt"
BATCHES = [f"data_batch_{n}" for n in range(1, 6)]
SEEN = "seen-"
EPOCH_LINE = re.compile(r"^epoch=(\d), batch= *(\d+): loss (\d+\.\d\d)$", re.MULTILINE)


@pytest.fixture(scope="session")
def all_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10 (a JPEG copy) as torchvision keeps it: made once, whichever test of whichever worker comes first."""
    maker = shared("data", "make_cifar10.py")
    # looked for, not imported: beside a torch without CUDA it needs a hand, which the runs get
    need("yes" if importlib.util.find_spec("torchvision") else None, "torchvision is missing: make test installs it")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "cifar10"
    with (folder.parent / "cifar10.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "cifar10_md5.json").exists():
            subprocess.run([sys.executable, maker, folder], check=True, capture_output=True)
    return folder


def few_images(source: Path, target: Path, *, images: int) -> dict[str, str]:
    """The first *images* of each training batch; returns the sums that torchvision checks."""
    target.mkdir(parents=True)
    sums = {}
    for path in sorted(source.iterdir()):
        data = path.read_bytes()
        if path.name in BATCHES:
            batch = pickle.loads(data)
            batch.update(labels=batch["labels"][:images], data=batch["data"][:images].copy())
            data = pickle.dumps(batch, protocol=4)
        (target / path.name).write_bytes(data)
        sums[path.name] = hashlib.md5(data).hexdigest()
    return sums


# after each point the script waits until somebody has seen it: "while they come" depends on nobody's speed
WAITING = """
import builtins, os, time

def wait_until_seen(*args, real=print, printed=[], **more):
    real(*args, **more)
    if args and str(args[0]).startswith("epoch="):
        printed.append(args)
        while not os.path.exists(os.environ["SEEN"] + str(len(printed))):
            time.sleep(0.01)

if os.environ.get("JUPYTER_MLRUN_RUN_ID"):
    builtins.print = wait_until_seen
"""


def site(folder: Path) -> Path:
    """What Python does first in the runs: what torchvision needs, and the above."""
    folder.mkdir()
    needed = shared("data", "cifar10_md5_site", "sitecustomize.py").read_text()
    (folder / "sitecustomize.py").write_text(needed + WAITING)
    return folder


@pytest.fixture
def get_started(tmp_path: Path, all_images: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The documents' folder ``get-started``: scripts, data, and a workspace's configuration."""
    whole = request.param == "whole"
    folder = tmp_path / "get-started"
    images = folder / "data/cifar-10-batches-py"
    sums = few_images(all_images / "cifar-10-batches-py", images, images=10_000 if whole else 1_600)
    # the two files that the original archive has beside the batches
    (images / "readme.html").write_text("<p>CIFAR-10 (JPEG copy)</p>\n")
    (folder / "data/cifar-10-python.tar.gz").write_bytes(b"not needed: it is unpacked\n" * 1000)
    (folder / ".azureml").mkdir()
    names = {"subscription_id": "s", "resource_group": "r", "workspace_name": "tutorial"}
    (folder / ".azureml/config.json").write_text(json.dumps(names))
    (folder / "src").mkdir()
    (folder / "src/model.py").write_text(block_with(shared("seeds", TRAIN), "class Net(nn.Module)"))
    (tmp_path / "md5.json").write_text(json.dumps(sums))
    # torchvision compares with the sums of the original files, and needs a hand beside a torch without CUDA
    os.environ["CIFAR10_MD5"] = str(tmp_path / "md5.json")
    os.environ["PYTHONPATH"] = str(site(tmp_path / "site"))
    os.environ["SEEN"] = str(tmp_path / SEEN)
    os.chdir(folder)
    yield folder
    os.chdir(tmp_path)


def control(name: str, code: str) -> str:
    """What a control script prints, run by the one word that a user changes."""
    Path(name).write_text(code)
    asked = [sys.executable, "-m", "jupyter_mlrun.azureml", name]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def the_run(experiment: str) -> Run:
    return next(iter(Workspace.from_config().experiments[experiment].get_runs()))


def watched(run: Run, tmp_path: Path) -> list[int]:
    """How many points could be seen while the run went on, each time that there was another one."""
    seen: list[int] = []

    def look(_: RunState) -> bool:
        found = run.get_metrics().get("loss", [])
        count = len(found) if isinstance(found, list) else 1
        if count and (not seen or count > seen[-1]):
            seen.append(count)
            (tmp_path / f"{SEEN}{count}").touch()
        return False

    state = follow(run, None, until=look)
    assert str(state.status) == "Completed", describe(run)
    return seen


def check_losses(run: Run, *, points: int) -> None:
    """The loss falls, as in the documents: from 2.2 to 1.3 over two epochs of all images."""
    losses = run.get_metrics()["loss"]
    assert len(losses) == 2 * points
    assert losses[0] < 2.35
    assert losses[-1] < losses[0]
    if points == 6:
        assert losses[0] > 2.0
        assert 1.1 < losses[-1] < 1.6, "1.27 on the original images; these are JPEG copies of them"
    printed = [float(loss) for _, _, loss in EPOCH_LINE.findall(run.directory.log().read_text())]
    assert printed == [round(loss, 2) for loss in losses]


sizes = pytest.mark.parametrize(
    ("get_started", "points"),
    [
        pytest.param("few", 1, id="few", marks=pytest.mark.timeout(900)),
        pytest.param("whole", 6, id="whole", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
    indirect=["get_started"],
)


@sizes
def test_bring_your_own_data(get_started: Path, tmp_path: Path, points: int) -> None:
    document = shared("seeds", BRING_DATA)
    upload = block_with(document, "# upload-data.py")
    first = control("upload-data.py", upload)
    lines = first.splitlines()
    assert "Uploading ./data/cifar-10-batches-py/data_batch_2" in lines
    counts = [
        re.fullmatch(r"Uploaded \./data/\S+, (\d) files out of an estimated total of 9", line)
        for line in lines
        if line.startswith("Uploaded ./")
    ]
    assert [match and int(match[1]) for match in counts] == list(range(1, 10))
    assert lines[-1] == "Uploaded 9 files"
    second = control("upload-data.py", upload)
    assert second.splitlines()[-1] == "Uploaded 0 files, 9 were there already"

    (get_started / "src/train.py").write_text(block_with(document, "Run.get_context()", "import argparse"))
    said = control("run-pytorch-data.py", block_with(document, "# run-pytorch-data.py"))
    run = the_run("day1-experiment-data")
    assert "Submitted to compute cluster. Click link below" in said
    assert said.splitlines()[-1] == run.get_portal_url()
    assert watched(run, tmp_path) == list(range(1, 2 * points + 1)), "points are seen while they come"
    check_losses(run, points=points)
    check_driver_log(run)


def check_driver_log(run: Run) -> None:
    log = (run.path / "azureml-logs/70_driver_log.txt").read_text()
    opened, _, rest = log.partition("Mounting input to ")
    place = rest.partition(".\n")[0]
    assert opened.startswith("Processing 'input'.\nProcessing dataset FileDataset\n{")
    about = json.loads(opened.partition("FileDataset\n")[2])
    assert about["source"] == ["('workspaceblobstore', 'datasets/cifar10')"]
    assert about["registration"]["name"] is None
    assert f"Mounted input to {place} as folder.\nExit __enter__ of DatasetContextManager\n" in rest
    others = ["--learning_rate", "0.003", "--momentum", "0.92"]
    asked, given = ["--data_path", "$input", *others], ["--data_path", place, *others]
    assert f"Preparing to call script [ train.py ] with arguments: {asked}\n" in rest
    expanded = f"After variable expansion, calling script [ train.py ] with arguments: {given}\n"
    assert f"{expanded}\nScript type = None\n" in rest
    shown = rest.partition("Script type = None\n")[2]
    assert shown.startswith(f"===== DATA =====\nDATA PATH: {place}\nLIST FILES IN DATA PATH...\n[")
    assert "'cifar-10-batches-py'" in shown.splitlines()[3]


@sizes
def test_train_your_first_model(get_started: Path, tmp_path: Path, points: int) -> None:
    document = shared("seeds", TRAIN)
    # here the script loads the data from the folder that it runs in, as the document's does after its download
    (get_started / "data").rename(get_started / "src/data")
    (get_started / "src/train.py").write_text(block_with(document, "# ADDITIONAL CODE: get run", "DataLoader"))
    said = control("run-pytorch.py", block_with(document, "# run-pytorch.py"))
    run = the_run("day1-experiment-train")
    assert said.splitlines()[-1] == run.get_portal_url()
    assert watched(run, tmp_path) == list(range(1, 2 * points + 1))
    check_losses(run, points=points)
    assert run.directory.log().read_text().rstrip().endswith("Finished Training")
