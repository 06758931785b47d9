"""Metrics while the world breaks: full disks, kills at any moment, a folder that goes away, a reader beside it."""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun.store.series import MetricReader
from jupyter_mlrun.worker import segment
from jupyter_mlrun.worker.segment import MetricWriter

ROOT = Path(__file__).parent.parent.parent
START = f"import json, os, struct, sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom jupyter_mlrun.worker import segment\n"

FULL_DISK = """
segment.RETRY_SECONDS = 0
from jupyter_mlrun.store.series import MetricReader
place, mapped = sys.argv[1], sys.argv[2] == "mapped"
writer = segment.MetricWriter(place + "/metrics", mapped=mapped)
row = dict.fromkeys("abcdef", 1.5)
for step in range(10):
    writer.log("m", step, step)
ballast = os.open(place + "/ballast", os.O_WRONLY | os.O_CREAT)
try:
    while os.write(ballast, bytes(4096)):
        pass
except OSError:
    pass
logged = 10
while writer.dropped < 1000:
    # numbers, rows, text and new names each meet the full disk
    before = writer.dropped
    writer.log("m", logged, logged)
    logged += writer.dropped == before
    writer.log_row(row, step)
    writer.log("text", f"words {writer.dropped}", step)
    writer.log(f"name {writer.dropped}", 1.0)
dropped = writer.dropped
os.ftruncate(ballast, 0)
for step in range(1000):
    writer.log("after", step, step)
    writer.log_row(row, step)
writer.log("last", "words")
reader = MetricReader(place + "/metrics")
reader.refresh()
print(json.dumps({
    "m": reader.series("m").objects == list(range(logged)),
    "after": reader.series("after").objects == list(range(1000)),
    "rows": len(reader.series("a")) >= 1000,
    "last": reader.last()["last"],
    "dropped": [dropped, writer.dropped, reader.dropped],
    "skipped": reader.skipped,
}))
"""


def in_small_tmpfs(place: Path, size: str, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run *code* with a file system of *size* mounted at *place*, in a mount namespace of its own."""
    mount = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'
    program = [sys.executable, "-c", START + code, str(place), *arguments]
    command = ["unshare", "-m", "sh", "-c", mount, "sh", size, str(place), *program]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def need_mounts(place: Path) -> None:
    probe = in_small_tmpfs(place, "64k", "")
    if probe.returncode:
        pytest.skip(f"no mount namespaces here (root is needed): {probe.stderr.strip()[-200:]}")


@pytest.mark.parametrize("mode", ["mapped", "appended"])
def test_a_full_disk_is_counted_and_not_felt(tmp_path: Path, mode: str) -> None:
    place = tmp_path / "small"
    place.mkdir()
    need_mounts(place)
    said = in_small_tmpfs(place, "512k", FULL_DISK, mode)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert (found["m"], found["after"], found["rows"], found["last"]) == (True, True, True, "words"), found
    before, after, stored = found["dropped"]
    assert before == after == stored >= 1000
    assert found["skipped"] == 0
    assert said.stderr.count("dropped") == 1


def test_a_disk_that_was_full_from_the_start(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    need_mounts(place)
    code = """
segment.RETRY_SECONDS = 0
from jupyter_mlrun.store.series import MetricReader
place = sys.argv[1]
ballast = os.open(place + "/ballast", os.O_WRONLY | os.O_CREAT)
try:
    while os.write(ballast, bytes(4096)):
        pass
except OSError:
    pass
writer = segment.MetricWriter(place + "/metrics")
for step in range(100):
    writer.log("m", 0.5, step)
    writer.log("m", [], step)
leftovers = os.listdir(place + "/metrics") if os.path.exists(place + "/metrics") else []
os.truncate(place + "/ballast", 0)
writer.log("m", 1.5, 100)
reader = MetricReader(place + "/metrics")
reader.refresh()
print(json.dumps([reader.dropped, reader.misused, reader.last(), [f for f in leftovers if f.endswith(".seg")]]))
"""
    said = in_small_tmpfs(place, "64k", code)
    assert said.returncode == 0, said.stderr
    dropped, misused, last, leftovers = json.loads(said.stdout)
    # the name of the metric had no place either, so the values behind it were not even looked at
    assert (misused, last, leftovers) == (0, {"m": 1.5}, [])
    assert dropped == 200


WRITING = """
writer = segment.for_process()
acknowledge = int(sys.argv[1])
row = {f"r{n}": 0.5 * n for n in range(8)}
for step in range(1_000_000):
    writer.log("m", step * 0.5, step)
    if step % 50 == 0:
        writer.log("text", f"step {step}", step)
        writer.log_row(row, step)
        writer.log(f"name {step}", step, step)
    if step % 7 == 0:
        os.write(acknowledge, struct.pack("<q", step))
"""


def killed_at_random(folder: Path, after: int) -> int:
    """Run a process that logs, kill it once it told of *after* steps; the last step that it told of."""
    reading, writing = os.pipe()
    environment = {**os.environ, segment.RUN_DIR: str(folder.parent)}
    command = [sys.executable, "-c", START + WRITING, str(writing)]
    with subprocess.Popen(command, env=environment, pass_fds=[writing]) as process:
        os.close(writing)
        told = b""
        while len(told) < after * 8:
            more = os.read(reading, 1 << 16)
            assert more, "it ended by itself"
            told += more
        process.send_signal(signal.SIGKILL)
        while more := os.read(reading, 1 << 16):
            told += more
        os.close(reading)
        process.wait()
    (last,) = struct.unpack("<q", told[len(told) // 8 * 8 - 8 :][:8])
    return int(last)


def check_all_there(folder: Path, last: int) -> None:
    reader = MetricReader(folder)
    reader.refresh()
    steps = reader.series("m").steps
    assert steps.tolist() == list(range(len(steps)))
    assert len(steps) > last
    assert reader.series("m").values.tolist() == [step * 0.5 for step in range(len(steps))]
    assert len(reader.series("text")) >= last // 50 + 1
    assert len(reader.series("r7")) >= last // 50 + 1
    assert reader.last()[f"name {last // 50 * 50}"] == last // 50 * 50
    # at most the record that was being written
    assert reader.skipped <= 1


@pytest.mark.parametrize("round_", range(4))
def test_kill_at_a_random_moment(tmp_path: Path, round_: int) -> None:
    folder = tmp_path / "run" / "metrics"
    check_all_there(folder, killed_at_random(folder, random.Random(round_).randrange(1, 10_000 // 7)))


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(100))
def test_kill_at_many_random_moments(tmp_path: Path, round_: int) -> None:
    folder = tmp_path / "run" / "metrics"
    check_all_there(folder, killed_at_random(folder, random.Random(1000 + round_).randrange(1, 20_000)))


def test_the_folder_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "RETRY_SECONDS", 0)
    folder = tmp_path / "metrics"
    writer = MetricWriter(str(folder))
    writer.log("m", 1.0, 0)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    for step in range(2000):
        writer.log("m", 1.0, step)
        writer.log(f"name {step}", "text", step)
    writer.flush()
    writer.close()
    assert writer.dropped > 0


@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_folder_that_cannot_be_written(tmp_path: Path, mode: int) -> None:
    code = """
os.setgid(65534); os.setuid(65534)
writer = segment.MetricWriter(sys.argv[1] + "/metrics")
for step in range(100):
    writer.log("m", 1.0, step)
    writer.log_row(dict.fromkeys("abcd", 1), step)
print(writer.dropped)
"""
    if os.getuid():
        pytest.skip("needs root, to become somebody else")
    place = tmp_path / "locked"
    place.mkdir()
    place.chmod(mode)
    # the package lies where somebody else may not be able to look: import before becoming one
    command = [sys.executable, "-c", START + "import json.encoder\n" + code, str(place)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert int(said.stdout) == 200
    assert said.stderr.count("jupyter_mlrun:") == 1


def test_a_reader_beside_a_writer_sees_every_point_once(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "metrics"
    code = START + "writer = segment.for_process()\nimport threading\n"
    # the writers stop at two places until the reader has seen what there is: it reads while they write
    code += """
gates = {10_000: threading.Barrier(4), 20_000: threading.Barrier(4)}
def work(thread):
    for step in range(30_000):
        if step in gates: gates[step].wait()
        writer.log(f"m{thread}", step, step)
        if step % 5 == 0:
            writer.log_row({"a": step, "b": thread, "c": 0.5, "d": None, "e": "x"}, step)
threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
for thread in threads: thread.start()
for gate in gates.values():
    if sys.stdin.readline(): gate.wait()
for thread in threads: thread.join()
"""
    environment = {**os.environ, segment.RUN_DIR: str(folder.parent)}
    reader, seen, rounds = MetricReader(folder), 0, 0
    gates = [10_000, 20_000]
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        while process.poll() is None:
            reader.refresh()
            now = sum(len(reader.series(name)) for name in reader.names())
            assert now >= seen
            seen, rounds = now, rounds + 1
            if gates and all(len(reader.series(f"m{n}")) == gates[0] for n in range(3) if f"m{n}" in reader.names()):
                del gates[0]
                process.stdin.write("on\n")
                process.stdin.flush()
    reader.refresh()
    found: dict[str, Any] = {name: sorted(reader.series(name).objects) for name in ("m0", "m1", "m2")}
    assert found == {name: list(range(30_000)) for name in found}
    assert len(reader.series("a")) == 18_000
    assert (reader.skipped, process.returncode) == (0, 0)
    assert rounds > 3


def test_a_stopped_reader_does_not_stop_training(tmp_path: Path) -> None:
    # there is nobody to wait for: no pipe, no socket, no lock stands between writer and readers
    writer = MetricWriter(str(tmp_path))
    writer.log("m", 1.0)
    held = [os.open(path, os.O_RDONLY) for path in tmp_path.iterdir()]
    for step in range(10_000):
        writer.log("m", 1.0, step)
    for fd in held:
        os.close(fd)
    reader = MetricReader(tmp_path)
    reader.refresh()
    assert len(reader.series("m")) == 10_001
