"""What a run uses of the machine: sampled, kept within bounds, read as series, shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun.errors import NewerStore
from jupyter_mlrun.rundir import RunDir, append_line, dump_json
from jupyter_mlrun.store import system
from jupyter_mlrun.ui import view
from jupyter_mlrun.ui.system import line
from jupyter_mlrun.worker import limits, nvml, process, sampling
from tests.support import finish, submit_cell

GB = 10**9
BURN = """
import os, sys
sys.stdin.readline()
while sum(os.times()[:2]) < 0.3:
    pass
data = os.urandom(1 << 20)
with open(sys.argv[1], 'wb') as file:
    for _ in range(3):
        file.write(data)
    file.flush()
    os.fsync(file.fileno())
print('done', flush=True)
sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    folder = tmp_path / "run"
    folder.mkdir()
    return RunDir(folder)


def samples(run: RunDir) -> list[dict[str, Any]]:
    return [json.loads(text) for text in run.system.read_bytes().splitlines()][1:]


def write(run: RunDir, *lines: dict[str, Any], **head: Any) -> None:
    run.system.write_bytes(
        b"".join(map(dump_json, [{"format": 1, "cores": 4, "memory": 8 * GB, "gpus": [], **head}, *lines]))
    )


def sample(at: float, **more: Any) -> dict[str, Any]:
    return {
        "time": 1e9 + at,
        "mono": at,
        "cpu": 0.0,
        "read": 0,
        "written": 0,
        "memory": GB,
        "processes": 1,
        "free": 9 * GB,
        **more,
    }


@pytest.fixture
def burner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that uses a third of a second of CPU time and writes 3 MB once it is told to; its input ends it."""
    command = [sys.executable, "-c", BURN, str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        yield program


def burn(program: subprocess.Popen[str]) -> None:
    """Tell it to, and wait until it has."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("go\n")
    program.stdin.flush()
    assert program.stdout.readline() == "done\n"


def others(program: subprocess.Popen[str]) -> int:
    """Children of this process that tests before have left."""
    return len(process.descendants({os.getpid()}) - {os.getpid(), program.pid})


class TestSampling:
    def test_cpu_time_memory_and_disk_of_a_child(self, run: RunDir, burner: subprocess.Popen[str]) -> None:
        sampler = sampling.Sampler(run)
        sampler.look([])
        burn(burner)
        sampler.look([], last=True)
        first, last = samples(run)
        assert 0.25 <= last["cpu"] - first["cpu"] < 60
        assert (last["processes"], last["memory"] > 10**6, last["free"] > 0) == (1 + others(burner), True, True)
        written = last["written"] - first["written"]
        assert written == 0 or 3 << 20 <= written < 64 << 20, "memory file systems count nothing"

    def test_a_child_that_has_ended_still_counts(self, run: RunDir, burner: subprocess.Popen[str]) -> None:
        sampler = sampling.Sampler(run)
        sampler.look([])
        burner.communicate("go\n")
        sampler.close()
        assert samples(run)[-1]["cpu"] >= 0.25
        assert samples(run)[-1]["processes"] == others(burner)

    def test_what_was_used_before_does_not_count(self, run: RunDir, burner: subprocess.Popen[str]) -> None:
        burn(burner)
        sampler = sampling.Sampler(run)
        sampler._start = sampler._start + 3600  # as if the program had run long before
        sampler.look([burner.pid])
        assert samples(run)[0]["cpu"] < 0.25

    def test_samples_are_taken_when_it_is_time(self, run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 1000.0
        monkeypatch.setattr("jupyter_mlrun.worker.sampling.time.monotonic", lambda: now)
        sampler = sampling.Sampler(run)
        taken = []
        for _ in range(4000):
            now += 0.1
            sampler.look([])
            taken.append(len(samples(run)) if now > 1399 else 0)
        # 300 s every 2 s, then 100 s every 10 s; a tick late each time
        assert 145 + 9 <= taken[-1] <= 151 + 11

    def test_the_file_stays_small_and_keeps_both_ends(self, run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sampling, "MOST_BYTES", 20_000)
        sampler = sampling.Sampler(run)
        for _ in range(1000):
            sampler.look([], last=True)
            assert run.system.stat().st_size <= 20_000
        assert "format" in json.loads(run.system.read_bytes().splitlines()[0])
        assert sampler.every >= 8
        found = samples(run)
        assert found == sorted(found, key=lambda one: one["mono"])
        assert len(found) > 20

    def test_a_second_worker_goes_on_where_the_first_was_killed(self, run: RunDir) -> None:
        write(run, sample(1, cpu=7.5, read=100))
        with run.system.open("ab") as file:
            file.write(b'{"time": 1, "mo')
        sampler = sampling.Sampler(run)
        sampler.look([])
        found = system.latest(run)
        assert found is not None
        assert 7.5 <= found.cpu_seconds < 60
        assert len(run.system.read_bytes().splitlines()) == 4

    def test_trouble_is_told_once_and_ends_the_sampling_not_the_run(
        self, run: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sampler = sampling.Sampler(run)
        sampler.look([])
        run.system.unlink()
        os.rmdir(run.path)
        for _ in range(3):
            sampler.look([], last=True)
        assert capsys.readouterr().err.count("the run goes on without samples of the system") == 1

    def test_what_it_costs(self, run: RunDir, burner: subprocess.Popen[str]) -> None:
        import time

        sampler = sampling.Sampler(run)
        begun = time.process_time()
        for _ in range(100):
            sampler.look([burner.pid], last=True)
        print(f"{(time.process_time() - begun) * 10:.2f} ms of CPU time a sample")
        assert len(samples(run)) == 100


class FakeDriver:
    """Two GPUs, of which one falls off."""

    def devices(self) -> list[nvml.Device]:
        return [nvml.Device("GPU-a", "H100", 80 * GB), nvml.Device("GPU-b", "H100", 80 * GB)]

    def use(self, uuid: str) -> nvml.Use | None:
        return nvml.Use(80 * GB, 60 * GB, 87.0) if uuid == "GPU-b" else None

    def close(self) -> None:
        self.closed = True


class TestGpus:
    def test_each_gpu_of_the_run(self, run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
        driver = FakeDriver()
        monkeypatch.setattr(nvml, "open_driver", lambda: driver)
        sampler = sampling.Sampler(run, ["GPU-b", "GPU-gone", "GPU-a"])
        sampler.look([])
        sampler.close()
        assert driver.closed
        assert samples(run)[0]["gpus"] == [[87.0, 20 * GB], None]
        found = system.series(run)
        assert (found["gpu0"].values[0], found["gpu0_memory"].values[0], "gpu1" in found) == (87.0, 20 * GB, False)
        said = line(run, over=False)
        assert said is not None
        assert "GPU 0 87 % 20 GB of 80 GB" in said
        assert "GPU 0 up to 20 GB" in (line(run, over=True) or "")

    def test_no_driver_no_figures(self, run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nvml, "open_driver", lambda: None)
        sampler = sampling.Sampler(run, ["GPU-a"])
        sampler.look([])
        sampler.close()
        assert "gpus" not in samples(run)[0]


class TestReading:
    def test_series_from_sums(self, run: RunDir) -> None:
        write(run, sample(0), sample(2, cpu=3.0, read=4000), sample(12, cpu=4.0, read=4000, written=50))
        found = system.series(run)
        assert (found["cpu"].times, found["cpu"].values, found["cpu"].unit) == ([1e9 + 2, 1e9 + 12], [150.0, 10.0], "%")
        assert (found["disk_read"].values, found["disk_written"].values) == ([2000.0, 0.0], [0.0, 5.0])
        assert found["memory"].values == [GB] * 3

    def test_a_reader_goes_on_where_it_was_and_starts_anew_after_thinning(self, run: RunDir) -> None:
        reader = system.SystemReader(run)
        assert not reader.read()
        write(run, sample(0), sample(2, cpu=1.0))
        assert reader.read()
        append_line(run.system, dump_json(sample(4, cpu=2.0)))
        with run.system.open("ab") as file:
            file.write(b'{"time": 5')
        assert reader.read()
        assert not reader.read()
        assert reader.series["cpu"].values == [50.0, 50.0]
        aside = run.path / "aside"
        run.system.rename(aside)
        write(run, sample(0), sample(4, cpu=2.0))
        assert reader.read()
        assert (reader.series["cpu"].values, reader.host.cores) == ([50.0], 4)

    def test_the_clock_may_jump(self, run: RunDir) -> None:
        write(run, sample(0), {**sample(2, cpu=1.0), "time": 5.0})
        assert system.series(run)["cpu"].values == [50.0]

    def test_latest_reads_the_end_alone(self, run: RunDir) -> None:
        write(run, *[sample(n * 2, cpu=n) for n in range(3000)])
        found = system.latest(run)
        assert found is not None
        assert (found.values["cpu"], found.cpu_seconds, found.host.memory) == (50.0, 2999.0, 8 * GB)

    def test_nothing_sampled(self, run: RunDir) -> None:
        assert system.latest(run) is None
        assert system.series(run) == {}
        assert line(run, over=True) is None
        write(run)
        assert system.latest(run) is None

    def test_a_newer_format_is_refused(self, run: RunDir) -> None:
        write(run, sample(0), format=2)
        with pytest.raises(NewerStore, match=r"system\.jsonl has format 2"):
            system.latest(run)

    def test_in_words(self, run: RunDir) -> None:
        write(run, sample(0), sample(2, cpu=3.0, memory=2 * GB))
        assert (line(run, over=False) or "").startswith(
            "CPU 150 % (4 cores), memory 2 GB of 8 GB, disk 0 B/s read, 0 B/s written, 9 GB of disk free ("
        )
        assert line(run, over=True) == "CPU time 3.0 s, memory up to 2 GB"

    def test_a_run_that_was_over_before_the_first_look(self, run: RunDir) -> None:
        write(run, sample(0, memory=0))
        assert "memory" not in (line(run, over=True) or "")


def test_a_run_is_sampled_and_shown(home: Path) -> None:
    run = submit_cell("x = sum(range(10**6))")
    finish(run)
    found = system.latest(run.directory)
    assert found is not None
    assert found.host.cores == limits.cores()
    assert "  system: CPU time " in view.as_text(run.directory)
    assert not (run.directory.worker_log.read_text())


# ---- what this process may use ---------------------------------------------------------------------------------


def lay(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return str(root)


@pytest.mark.parametrize(
    "files",
    [
        {  # version 2; the group above is the tighter one
            "proc/self/cgroup": "0::/user/job",
            "sys/fs/cgroup/user/cpu.max": "150000 100000",
            "sys/fs/cgroup/user/job/cpu.max": "max 100000",
            "sys/fs/cgroup/user/memory.max": "1000000",
            "sys/fs/cgroup/user/job/memory.max": "max",
        },
        {  # version 1
            "proc/self/cgroup": "4:memory:/job\n1:cpu,cpuacct:/job",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "150000",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "1000000",
        },
        {  # a container of version 1: the path is the host's, of which only the group's own folder is mounted
            "proc/self/cgroup": "4:memory:/docker/abc\n1:cpu:/docker/abc",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000",
        },
    ],
)
def test_limits_of_control_groups(tmp_path: Path, files: dict[str, str]) -> None:
    root = lay(tmp_path, files)
    assert (limits.cores(root), limits.memory(root)) == (1, 1_000_000)


def test_no_control_groups_no_limits(tmp_path: Path) -> None:
    assert limits.cores(str(tmp_path)) == len(os.sched_getaffinity(0))
    assert limits.memory(str(tmp_path)) == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    root = lay(tmp_path, {"proc/self/cgroup": "1:cpu:/\n4:memory:/", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1"})
    assert limits.cores(root) == len(os.sched_getaffinity(0))
