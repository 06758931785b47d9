"""The writer: every way in which training code logs, and what is on the disk afterwards."""

from __future__ import annotations

import json
import math
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.store.series import MetricReader
from jupyter_mlrun.worker import metricinput, segfile, segformat, segment
from jupyter_mlrun.worker.segment import MetricWriter

ROOT = Path(__file__).parent.parent
START = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from jupyter_mlrun.worker import segment
writer = segment.for_process()
"""


def read(folder: Path) -> MetricReader:
    reader = MetricReader(folder)
    reader.refresh()
    return reader


def run(folder: Path, code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run *code* as a rank whose run directory has *folder* as its metrics."""
    environment = {**os.environ, segment.RUN_DIR: str(folder.parent)}
    command = [sys.executable, "-c", START + code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run" / "metrics"


@pytest.fixture(params=["mapped", "appended"])
def writer(folder: Path, request: pytest.FixtureRequest) -> MetricWriter:
    return MetricWriter(str(folder), mapped=request.param == "mapped")


KINDS = [
    0.5,
    -0.0,
    math.inf,
    -math.inf,
    1e308,
    5e-324,
    1.5e-310,
    0,
    -3,
    2**63 - 1,
    -(2**63),
    True,
    False,
    None,
    "",
    "text",
    'quotes " \\ \n and ελληνικά 🎉',
    2**63,
    -(10**40),
]


def same(one: Any, other: Any) -> bool:
    """Equal in value and in kind, NaN and the sign of zero included."""
    if isinstance(one, float) and isinstance(other, float):
        return repr(one) == repr(other)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("value", [*KINDS, math.nan], ids=repr)
def test_kinds_survive(writer: MetricWriter, folder: Path, value: Any) -> None:
    writer.log("m", value, 1)
    writer.log("m", value, 2)
    reader = read(folder)
    assert same(reader.last()["m"], value)
    assert all(same(found, value) for found in reader.series("m").objects)
    assert len(reader.series("m")) == 2
    assert writer.misused == 0


@pytest.mark.parametrize("value", [*KINDS, math.nan], ids=repr)
def test_kinds_survive_in_rows(writer: MetricWriter, folder: Path, value: Any) -> None:
    row = {"a": 1.5, "b": 2, "c": True, "d": value}
    for step in range(3):
        writer.log_row(row, step)
    reader = read(folder)
    assert all(same(reader.last()[name], row[name]) for name in row)
    assert reader.series("d").steps.tolist() == [0, 1, 2]


def foreign_values() -> list[tuple[Any, Any]]:
    import torch

    return [
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.float16(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.int64(7), 7),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.int8(-7), -7),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array(3.5), 3.5),
        (np.array([4]), 4),
        (torch.tensor(0.25), 0.25),
        (torch.tensor(3), 3),
        (torch.tensor(True), True),
        (torch.tensor([0.5], requires_grad=True), 0.5),
        (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
        (Decimal("0.125"), 0.125),
        (Fraction(1, 4), 0.25),
    ]


def test_foreign_scalars_become_plain_ones(writer: MetricWriter, folder: Path) -> None:
    values = foreign_values()
    for number, (value, _) in enumerate(values):
        writer.log(f"m{number}", value, number)
    writer.log_row({f"r{number}": value for number, (value, _) in enumerate(values)}, 1)
    last = read(folder).last()
    for number, (value, wanted) in enumerate(values):
        assert same(last[f"m{number}"], wanted), repr(value)
        assert same(last[f"r{number}"], wanted), repr(value)
    assert writer.misused == 0


class Broken:
    def __float__(self) -> float:
        raise ZeroDivisionError


REFUSED = [1j, np.complex64(1), [1.0], (1,), {"a": 1}, b"x", object(), np.zeros(3), Broken(), Decimal("sNaN"), {1}]


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
def test_what_is_no_value_warns_once_and_is_counted(
    writer: MetricWriter, folder: Path, value: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    writer.log("good", 1.0, 0)
    for step in range(3):
        writer.log("bad", value, step)
        writer.log_row({"bad": value, "a": 1, "b": 2, "c": 3, "d": 4}, step)
    reader = read(folder)
    assert "bad" not in reader.names()
    assert len(reader.series("a")) == 3
    assert reader.misused == writer.misused == 6
    assert capfd.readouterr().err.count("jupyter_mlrun:") == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda w: w.log("m", [1]),
        lambda w: w.log("", 1),
        lambda w: w.log("m", 1.0, 0.5),
        lambda w: w.log("m", 1.0, 2**63),
        lambda w: w.log(3, 1.0),
        lambda w: w.log_row({"": 1, "b": 2}),
        lambda w: w.log_row(5),
    ],
)
def test_strict_raises(folder: Path, call: Callable[[MetricWriter], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_MLRUN_STRICT", "1")
    with pytest.raises(BadInput):
        call(MetricWriter(str(folder)))


def test_strict_stores_nothing_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_MLRUN_STRICT", "1")
    writer = MetricWriter(str(folder))
    for row in ({"a": 1, "bad": []}, {"b": 1, "c": 2, "d": 3, "e": 4, "bad": []}):
        with pytest.raises(BadInput):
            writer.log_row(row, 1)
    assert all(len(read(folder).series(name)) == 1 for name in read(folder).names())


STEPS = [
    ([3, 1, 2, 2, -5], [3, 1, 2, 2, -5], 0),
    ([2**63 - 1, -(2**63) + 1], [2**63 - 1, -(2**63) + 1], 0),
    ([2**63, 10**30, -(2**63), -(10**30)], [2**63 - 1, 2**63 - 1, -(2**63) + 1, -(2**63) + 1], 4),
    ([None, None, 7, None], [0, 1, 7, 2], 0),
    ([1.0, 2.7, math.nan, math.inf, "x"], [1, 2, 0, 1, 2], 5),
    ([np.int64(4), np.int32(2**30), True], [4, 2**30, 1], 0),
    ([2**61, -(2**62), 2**60 + 1], [2**61, -(2**62), 2**60 + 1], 0),
]


@pytest.mark.parametrize(("steps", "stored", "misused"), STEPS)
def test_steps(writer: MetricWriter, folder: Path, steps: list[Any], stored: list[int], misused: int) -> None:
    for number, step in enumerate(steps):
        writer.log("m", float(number), step)
        writer.log_row({"a": number, "b": 1, "c": 1, "d": 1}, step)
    reader = read(folder)
    for name in ("m", "a"):
        assert reader.series(name).steps.tolist() == stored
        assert reader.series(name).objects == list(range(len(steps)))
    assert writer.misused == 2 * misused
    assert reader.skipped == 0


NAMES = [
    "__proto__",
    "constructor",
    "loss/train",
    "/" * 250,
    "🎉" * 60,
    "\u202eabc",
    "'; DROP TABLE runs; --",
    "<img src=x onerror=alert(1)>",
    " ",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_odd_names_are_only_text(writer: MetricWriter, folder: Path, name: str) -> None:
    writer.log(name, 1.0, 1)
    assert read(folder).last() == {name: 1.0}
    assert writer.misused == 0


BAD_NAMES = ["a\nb", "a\0b", "a\x7fb", "a\ud800b", "x" * 10_000_000, "é" * 126, "/" * 1000]


@pytest.mark.parametrize("name", BAD_NAMES, ids=len)
def test_bad_names_are_made_fit(writer: MetricWriter, folder: Path, name: str) -> None:
    writer.log(name, 1.0, 1)
    writer.log(name, 2.0, 2)
    writer.log_row({name: 3.0, "b": 1.0, "c": 1.0, "d": 1.0}, 3)
    (stored,) = set(read(folder).names()) - {"b", "c", "d"}
    assert 0 < len(stored.encode()) <= metricinput.LONGEST_NAME
    assert not any(ord(c) < 32 for c in stored)
    assert read(folder).series(stored).values.tolist() == [1.0, 2.0, 3.0]
    assert writer.misused >= 1


def test_long_names_that_differ_at_the_end_stay_apart(writer: MetricWriter, folder: Path) -> None:
    writer.log("x" * 300 + "a", 1.0)
    writer.log("x" * 300 + "b", 2.0)
    assert len(read(folder).names()) == 2


@pytest.mark.parametrize("name", ["", None, 3, b"x", ["a"]], ids=repr)
def test_names_that_are_none(writer: MetricWriter, folder: Path, name: Any) -> None:
    writer.log(name, 1.0)
    assert writer.misused == 1
    assert read(folder).names() == ([] if name == "" else [str(name)])


def test_long_text_is_cut_and_tables_have_a_limit(writer: MetricWriter, folder: Path) -> None:
    writer.log("text", "x" * (1 << 20))
    writer.log_json("table", {"a": [1, 2], "b": "ü"})
    writer.log_json("big", ["x" * 1000] * 2000)
    last = read(folder).last()
    assert len(last["text"]) == metricinput.LONGEST_TEXT
    assert last["table"] == {"a": [1, 2], "b": "ü"}
    assert "big" not in last
    assert writer.misused == 2


def test_text_with_lone_surrogates_can_be_written_out(writer: MetricWriter, folder: Path) -> None:
    writer.log("t", "a\udc80b🎉")
    assert read(folder).last()["t"] == "a\N{REPLACEMENT CHARACTER}b🎉"


def test_repeated_text_is_stored_once(writer: MetricWriter, folder: Path) -> None:
    for step in range(1000):
        writer.log("phase", "train", step)
    (values,) = folder.glob("*.values")
    assert values.stat().st_size < 100
    assert read(folder).series("phase").objects == ["train"] * 1000


def test_rows_of_every_width(writer: MetricWriter, folder: Path) -> None:
    for width in (1, 3, 4, 5, 20, 300):
        for step in range(40):
            writer.log_row({f"w{width}/{column}": float(step * column) for column in range(width)}, step)
    reader = read(folder)
    for width in (1, 3, 4, 5, 20, 300):
        for column in {0, width - 1}:
            assert reader.series(f"w{width}/{column}").values.tolist() == [float(step * column) for step in range(40)]
    assert reader.skipped == 0


def test_rows_with_ever_new_keys_need_no_file_each(writer: MetricWriter, folder: Path) -> None:
    for step in range(200):
        writer.log_row({f"m{step}": 1.0, f"m{step + 1}": 2.0, f"m{step + 2}": 3.0, f"m{step + 3}": 4.0}, step)
    assert len(list(folder.glob("*.seg"))) <= segment.MOST_SCHEMAS + 1
    assert read(folder).series("m100").values.tolist() == [4.0, 3.0, 2.0, 1.0]


def test_a_row_keeps_each_kind_when_types_change(writer: MetricWriter, folder: Path) -> None:
    for value in (1.0, 2, 3.0, np.float64(4.0), True, "five", 2**70):
        writer.log_row({"a": value, "b": 0, "c": 0, "d": 0})
    found = read(folder).series("a").objects
    assert found == [1.0, 2, 3.0, 4.0, True, "five", 2**70]
    assert [type(value) for value in found] == [float, int, float, float, bool, str, int]


def test_schemas_may_alternate(writer: MetricWriter, folder: Path) -> None:
    for step in range(0, 100, 2):
        writer.log_row({"a": step, "b": 1.0, "c": 2.0, "d": 3.0}, step)
        writer.log_row({"d": 4.0, "c": 5.0, "b": 6.0, "a": step + 1}, step)
        writer.log_row({"a2": step, "b2": 1.0, "c2": 2.0, "d2": 3.0}, step)
    reader = read(folder)
    assert reader.series("a").objects == list(range(100))
    assert reader.series("d").values.tolist() == [3.0, 4.0] * 50
    assert reader.series("a2").objects == list(range(0, 100, 2))


def test_many_names(folder: Path) -> None:
    writer = MetricWriter(str(folder))
    for number in range(100_000):
        writer.log(f"metric/{number}", float(number), 1)
    last = read(folder).last()
    assert len(last) == 100_000
    assert last["metric/99999"] == 99999.0


def test_a_short_run_takes_little_space(folder: Path) -> None:
    MetricWriter(str(folder)).log("m", 1.0)
    assert sum(file.stat().st_blocks * 512 for file in folder.iterdir()) <= 32 << 10


def test_files_are_the_users_own(writer: MetricWriter, folder: Path) -> None:
    writer.log("m", "text")
    writer.log_row(dict.fromkeys("abcd", 1))
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_memory_of_a_million_points(folder: Path) -> None:
    code = """
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
writer.log("m", 0.0, 0)
before = resident()
for step in range(1_000_000):
    writer.log("m", 0.5, step)
print(resident() - before)
"""
    assert int(run(folder, code).stdout) <= 8 << 20
    assert len(read(folder).series("m")) == 1_000_001


def test_few_modules_are_imported(folder: Path) -> None:
    heavy = "json re typing dataclasses logging pathlib subprocess hashlib contextlib"
    code = f"print([name for name in {heavy.split()} if name in sys.modules])"
    environment = {**os.environ, segment.RUN_DIR: str(folder.parent)}
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", START + code], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout == "[]\n", said.stderr


def test_threads(writer: MetricWriter, folder: Path) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work(thread: int) -> None:
        for step in range(count):
            writer.log(f"m{thread % 4}", float(thread * count + step), step)
            if step % 10 == 0:
                writer.log_row({"a": thread, "b": float(step), "c": 1.0, "d": None}, step)

    count = 10_000
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    reader = read(folder)
    stored = np.concatenate([reader.series(f"m{number}").values for number in range(4)])
    assert np.array_equal(np.sort(stored), np.arange(8.0 * count))
    assert len(reader.series("a")) == 8 * count // 10
    assert reader.skipped == 0


def test_signal_handlers_log_while_the_main_thread_does(writer: MetricWriter, folder: Path) -> None:
    fired, over = 0, False

    def handler(*_: object) -> None:
        nonlocal fired
        fired += 1
        writer.log("handler", fired, fired)
        writer.log(f"name {fired % 50}", 1.0)
        writer.log_row({"a": fired, "b": 1, "c": 1, "d": 1}, fired)
        # again in a moment; a fixed interval would leave the main thread no time on a slow machine.
        # Not once it is over: a timer set anew after the last line below would end this process
        if not over:
            signal.setitimer(signal.ITIMER_REAL, 0.001)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        for step in range(100_000):
            writer.log(f"main {step % 1000}", float(step), step)
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    reader = read(folder)
    assert fired > 10
    assert reader.series("handler").objects == list(range(1, fired + 1))
    assert len(reader.series("a")) == fired
    assert sum(len(reader.series(f"main {number}")) for number in range(1000)) == 100_000
    assert reader.skipped == 0


def test_forked_children_write_segments_of_their_own(writer: MetricWriter, folder: Path) -> None:
    writer.log("m", -1, 0)
    writer.log_row(dict.fromkeys("abcd", -1), 0)
    children = []
    for child in range(4):
        pid = os.fork()
        if not pid:
            try:
                for step in range(1000):
                    writer.log("m", child * 1000 + step, step)
                    writer.log_row(dict.fromkeys("abcd", child), step)
                os._exit(0)
            finally:
                os._exit(1)  # whatever happens, it does not go on as a second runner of tests
        children.append(pid)
    writer.log("m", -2, 1)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    reader = read(folder)
    assert sorted(reader.series("m").objects) == [-2, -1, *range(4000)]
    assert len(reader.series("c")) == 4001
    assert len(list(folder.glob("*.s.seg"))) == 5


def test_spawned_children_find_the_run(folder: Path) -> None:
    code = """
import multiprocessing
from tests_spawned import work
with multiprocessing.get_context("spawn").Pool(2) as pool:
    pool.map(work, range(4))
writer.log("m", 100)
"""
    folder.parent.mkdir()
    (folder.parent / "tests_spawned.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from jupyter_mlrun.worker import segment\n"
        "def work(n):\n    segment.for_process().log('m', n)\n"
    )
    said = run(folder, f"sys.path.insert(0, {str(folder.parent)!r})\n" + code, cwd=folder.parent)
    assert said.returncode == 0, said.stderr
    assert sorted(read(folder).series("m").objects) == [0, 1, 2, 3, 100]


def test_the_last_moments_of_a_process(folder: Path) -> None:
    code = """
import atexit, threading
class Late:
    writer = writer
    def __del__(self):
        self.writer.log("deleted", "late text", 3)
        self.writer.log_row({"a": 1, "b": 2.0, "c": "late", "d": None}, 3)
late = Late()
atexit.register(lambda: writer.log("atexit", 2.0, 2))
writer.log("m", 1.0, 1)
writer.close()
writer.log("m", 2.0, 2)
"""
    said = run(folder, code)
    assert said.returncode == 0
    assert "Error" not in said.stderr
    assert said.stderr.count("after the run was finished") == 1
    last = read(folder).last()
    assert (last["m"], last["atexit"], last["deleted"], last["c"]) == (2.0, 2.0, "late text", "late")


def test_kill_loses_nothing(folder: Path) -> None:
    code = """
for step in range(20_000):
    writer.log("m", step * 0.5, step)
writer.log("text", "last words")
writer.log_row({"a": 1, "b": 2.0, "c": True, "d": "x"}, 5)
os.kill(os.getpid(), 9)
"""
    assert run(folder, code).returncode == -signal.SIGKILL
    reader = read(folder)
    assert reader.series("m").values.tolist() == [step * 0.5 for step in range(20_000)]
    assert reader.last()["text"] == "last words"
    assert reader.last()["d"] == "x"
    assert reader.skipped == 0


def test_closing_all_descriptors_harms_nobody(folder: Path) -> None:
    code = """
writer.log("m", 0.0, 0)
os.closerange(3, 256)
mine = open(os.environ["JUPYTER_MLRUN_RUN_DIR"] + "/mine", "wb", buffering=0)
for step in range(1, 50_000):
    writer.log("m", 0.5, step)
    writer.log(f"n{step % 100}", "text", step)
mine.write(b"whole")
"""
    said = run(folder, code)
    assert said.returncode == 0, said.stderr
    assert (folder.parent / "mine").read_bytes() == b"whole"
    assert len(read(folder).series("m")) == 50_000


def test_one_writer_per_process_and_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(segment.RUN_DIR, str(folder.parent))
    monkeypatch.setenv("RANK", "3")
    writer = segment.for_process()
    assert writer is segment.for_process(str(folder), 3)
    assert writer.rank == 3
    writer.log("m", 1.0)
    assert next(folder.glob("*.s.seg")).name.startswith("r3-")


def test_the_working_folder_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    writer = MetricWriter("metrics")
    monkeypatch.chdir("/")
    writer.log("m", 1.0)
    assert read(tmp_path / "metrics").last() == {"m": 1.0}


def test_flush_and_close_can_be_called_at_any_time(writer: MetricWriter, folder: Path) -> None:
    writer.flush()
    writer.close()
    writer.close()
    writer.log("m", 1.0)
    writer.log("m", "text")
    writer.flush()
    writer.close()
    assert read(folder).series("m").objects == [1.0, "text"]


def test_the_header_says_who_wrote(writer: MetricWriter, folder: Path) -> None:
    writer.log_row({"a": 1.0, "ü": 2, "c": True, "d": None}, 0)
    header = segformat.parse_header(next(folder.glob("*.r.seg")).read_bytes())
    assert header is not None
    assert header.pid == os.getpid()
    assert json.loads(header.meta) == [["a", 1], ["ü", 2], ["c", 3], ["d", 4]]
    assert bool(header.unit) == bool(writer._mapped)


def test_blocks_follow_one_another() -> None:
    place = 0
    for number in range(40):
        assert segformat.block_start(number) == place
        place += segformat.block_length(number)


@pytest.mark.parametrize(("kind", "maps"), [("ext4", True), ("tmpfs", True), ("nfs4", False), ("fuse.sshfs", False)])
def test_only_known_file_systems_are_mapped(
    tmp_path: Path, kind: str, maps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a space ü"
    place.mkdir()
    escaped = str(place).replace(" ", "\\040")
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:5 / {escaped} rw shared:1 - {kind} server:/x rw\n")
    monkeypatch.setattr(segfile, "MOUNTS", str(table))
    assert segfile.can_map(str(place / "run")) is maps
    assert segfile.can_map(str(tmp_path))
