"""The queue under faults: GPUs that others use, an agent that is killed while runs hold what they hold (F058)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from jupyter_mlrun.agent import client
from jupyter_mlrun.agent.gpus import GpuWatch
from jupyter_mlrun.backends import machine
from jupyter_mlrun.backends.machine import Gpu
from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store import system
from jupyter_mlrun.worker import nvml
from tests.conftest import need
from tests.support import finish, kill_agent, log_of, running, submit_cell, until

GB = 10**9
SOURCE = Path(__file__).parents[1] / "fake_nvml.c"
WAIT = "import os, pathlib, time\nprint(os.environ['CUDA_VISIBLE_DEVICES'], flush=True)\n"
HOLD = WAIT + "while not pathlib.Path({!r}).exists():\n    time.sleep(0.01)"


class Driver:
    """The fake driver: what it says of the GPUs can be changed while it is used."""

    def __init__(self, library: Path) -> None:
        self.library = library

    def says(self, *lines: str) -> None:
        aside = self.library.with_suffix(".new")
        aside.write_text("".join(f"{text}\n" for text in lines))
        aside.rename(f"{self.library}.txt")


@pytest.fixture(scope="session")
def fake_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = need(shutil.which("cc") or shutil.which("gcc"), "no C compiler")
    library = tmp_path_factory.mktemp("driver") / nvml.LIBRARY
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


@pytest.fixture
def driver(fake_driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """A driver with two empty GPUs, for this process, the agent and the workers."""
    library = tmp_path / nvml.LIBRARY
    shutil.copy(fake_driver, library)
    monkeypatch.setattr(nvml, "LIBRARY", str(library))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    found = Driver(library)
    found.says(f"GPU-a {80 * GB} {80 * GB} 5 0", f"GPU-b {80 * GB} {80 * GB} 7 0")
    return found


def reason(run: Run) -> str:
    client.sync(run.home)
    return str(client.queue_of(run.home)["waiting"].get(run.id, ""))


class TestDriver:
    def test_gpus_and_parts(self, driver: Driver) -> None:
        driver.says("GPU-a 80 60 5 0 42 20 43 1", "GPU-b 80 80 0 0", "MIG-x 10 9 0 1", "MIG-y 20 20 0 1")
        assert machine.gpus() == (
            Gpu("GPU-a", "Fake 1", 80), Gpu("MIG-x", "Fake 3", 10, part=True), Gpu("MIG-y", "Fake 4", 20, part=True),
        )  # fmt: skip
        opened = nvml.open_driver()
        assert opened is not None
        assert (opened.use("GPU-a"), opened.use("MIG-x")) == (nvml.Use(80, 60, 5.0), nvml.Use(10, 9, None))
        assert (opened.use("GPU-none"), opened.holders("GPU-none")) == (None, [])
        assert opened.holders("GPU-a") == [(42, 20), (43, 1)]
        opened.close()

    def test_who_holds_what(self, driver: Driver) -> None:
        driver.says(f"GPU-a {80 * GB} {79 * GB} 5 0 {os.getpid()} {GB} 4194304 7")
        watch = GpuWatch()
        use = watch.look(["GPU-a"])["GPU-a"]
        assert (use.free, use.holders[0].pid, use.holders[0].memory) == (79 * GB, os.getpid(), GB)
        assert use.holders[0].command == Path("/proc/self/comm").read_text().strip()
        assert use.holders[0].user
        assert (use.holders[1].command, use.holders[1].user) == ("", "")
        watch.close()

    def test_no_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nvml, "LIBRARY", "libno-such-driver.so.1")
        assert nvml.open_driver() is None
        assert machine.gpus() == ()
        assert GpuWatch().look(["GPU-a"]) == {}


def test_a_run_waits_for_a_gpu_that_somebody_else_fills(home: Path, driver: Driver) -> None:
    driver.says(f"GPU-a {80 * GB} {10 * GB} 99 0 1 {70 * GB}", f"GPU-b {80 * GB} {20 * GB} 99 0")
    run = submit_cell(WAIT)
    why = reason(run)
    assert "waiting for 1 GPU: 0 free (GPU 0 is used by pid 1 (" in why
    assert "GPU 1 is used by what cannot be seen from here, 20 GB of 80 GB free" in why
    assert "--gpus 0 would start it now" in why
    driver.says(f"GPU-a {80 * GB} {10 * GB} 99 0 1 {70 * GB}", f"GPU-b {80 * GB} {80 * GB} 7 0")
    assert str(finish(run).status) == "Completed"
    assert log_of(run) == "GPU-b\n"
    found = system.latest(run.directory)
    assert found is not None
    assert (found.values["gpu0"], found.host.gpus[0]["uuid"]) == (7.0, "GPU-b")


def test_a_killed_agent_forgets_no_lease(home: Path, driver: Driver, tmp_path: Path) -> None:
    ends = [tmp_path / name for name in "abc"]
    first = running(submit_cell(HOLD.format(str(ends[0]))))
    kill_agent(home)
    second = running(submit_cell(HOLD.format(str(ends[1]))))
    kill_agent(home)
    third = submit_cell(HOLD.format(str(ends[2])))
    why = reason(third)
    assert (
        f"0 free ({first.id} has 1; {second.id} has 1)" in why or f"0 free ({second.id} has 1; {first.id} has 1)" in why
    )
    ends[1].touch()
    finish(second)
    running(third)
    for end in ends:
        end.touch()
    finish(first)
    finish(third)
    assert [log_of(run) for run in (first, second, third)] == ["GPU-a\n", "GPU-b\n", "GPU-b\n"]


def test_one_who_names_gpus_gets_none_other(home: Path, driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with pytest.raises(BadInput, match="--gpus asks for 2 GPUs; the local compute has 1"):
        submit_cell(WAIT, gpus=2)
    driver.says(f"GPU-a {80 * GB} {80 * GB} 0 0", f"GPU-b {80 * GB} {GB} 99 0 1 {79 * GB}")
    run = submit_cell(WAIT, gpus="all")
    finish(run)
    assert log_of(run) == "GPU-b\n"
    noted = [json.loads(text).get("note") for text in run.directory.events.read_text().splitlines()]
    assert "CUDA_VISIBLE_DEVICES names GPU 1, which others use, too" in noted


def test_the_order_survives_the_agent(home: Path, tmp_path: Path) -> None:
    first = running(
        submit_cell(HOLD.format(str(tmp_path / "go")).replace("'CUDA_VISIBLE_DEVICES'", "'PATH'"), max_concurrent=1)
    )
    order = tmp_path / "order"
    note = f"with open({str(order)!r}, 'a') as file:\n    print('{{}}', file=file)"
    others = [
        submit_cell(note.format(name), max_concurrent=1, priority=priority)
        for name, priority in (("low", -1), ("normal", 0), ("high", 5), ("normal too", 0))
    ]
    kill_agent(home)
    client.sync(home)
    places = client.queue_of(home)["details"]
    assert [places[run.id]["place"] for run in others] == ["4th of 4", "2nd of 4", "1st of 4", "3rd of 4"]
    assert {places[run.id]["first"] for run in others} == {others[2].id}
    (tmp_path / "go").touch()
    finish(first)
    for run in others:
        finish(run)
    assert order.read_text().split("\n")[:4] == ["high", "normal", "normal too", "low"]


def test_a_run_that_needs_less_goes_ahead_and_the_first_is_told_when(home: Path, tmp_path: Path) -> None:
    end = tmp_path / "go"
    cores = machine.look(()).cores
    hold = HOLD.format(str(end)).replace("'CUDA_VISIBLE_DEVICES'", "'PATH'")
    first = running(submit_cell(hold, cpus=cores, max_concurrent=9, time="30m"))
    big = submit_cell("pass", cpus=cores, max_concurrent=9)
    small = submit_cell("pass", max_concurrent=9)
    assert str(finish(small).status) == "Completed"
    until(lambda: "expected to start by" in reason(big), "the first is told when")
    details = client.queue_of(home)["details"][big.id]
    assert (details["waits_for"], details["place"]) == ("cpus", "1st of 1")
    started = first.state.started
    assert started is not None
    assert details["by"] == pytest.approx(started + 1800 + 60 + 2)  # its limit, a minute to begin and end, its grace
    end.touch()
    finish(first)
    assert str(finish(big).status) == "Completed"


@pytest.mark.gpu
def test_the_driver_of_this_machine() -> None:
    found = machine.gpus()
    assert found
    opened = nvml.open_driver()
    assert opened is not None
    for gpu in found:
        use = opened.use(gpu.uuid)
        assert use is not None
        assert 0 < use.free <= use.total == gpu.memory
        assert isinstance(opened.holders(gpu.uuid), list)
    opened.close()
