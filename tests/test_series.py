"""The reader: what comes back from whole, growing, damaged and foreign segments; summaries and buckets."""

from __future__ import annotations

import json
import math
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.store import segments, series
from jupyter_mlrun.store.forms import metrics
from jupyter_mlrun.store.series import MetricReader, Summary, buckets, last_table, pack_summaries
from jupyter_mlrun.worker import segformat, segment
from jupyter_mlrun.worker.segment import MetricWriter


def read(folder: Path) -> MetricReader:
    reader = MetricReader(folder)
    reader.refresh()
    return reader


def segment_of(folder: Path, end: str = segformat.SCALARS_END) -> Path:
    (path,) = folder.glob(f"*{end}")
    return path


def place_at(path: Path, record: int) -> int:
    """The offset of a record in its file."""
    header = segformat.parse_header(path.read_bytes())
    assert header is not None
    return header.size + record * header.record_size


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_no_folder_is_no_metrics(tmp_path: Path) -> None:
    reader = MetricReader(tmp_path / "none")
    assert not reader.refresh()
    assert (reader.names(), reader.last(), reader.summary(), metrics(tmp_path / "none")) == ([], {}, {}, {})
    with pytest.raises(KeyError):
        reader.series("m")


def test_a_refresh_gives_what_came(tmp_path: Path) -> None:
    writer, reader = MetricWriter(str(tmp_path)), MetricReader(tmp_path)
    for round_ in range(50):
        for step in range(700):
            writer.log("m", float(round_ * 700 + step), step)
            writer.log(f"n{step % 3}", step)
        writer.log_row(dict.fromkeys("abcd", round_), round_)
        assert reader.refresh()
        assert not reader.refresh()
        assert reader.series("m").values.tolist() == [float(n) for n in range((round_ + 1) * 700)]
        assert reader.summary()["m"].count == (round_ + 1) * 700
        assert reader.series("a").objects == list(range(round_ + 1))
    assert reader.series("n1").objects == [step for _ in range(50) for step in range(700) if step % 3 == 1]
    assert reader.last()["n2"] == 698


def test_series_of_several_kinds(tmp_path: Path) -> None:
    writer = MetricWriter(str(tmp_path))
    for value in (1.5, 2, True, None, "x", 2**70, math.nan):
        writer.log("m", value)
    found = read(tmp_path).series("m")
    assert found.objects[:6] == [1.5, 2, True, None, "x", 2**70]
    assert np.array_equal(found.values, [1.5, 2, 1, math.nan, math.nan, 2.0**70, math.nan], equal_nan=True)
    assert [segformat.KINDS[kind] for kind in found.kinds] == ["float", "int", "bool", "none", "str", "json", "float"]
    assert found.steps.tolist() == list(range(7))


def test_processes_are_merged_by_time(tmp_path: Path) -> None:
    writers = [MetricWriter(str(tmp_path), rank) for rank in range(3)]
    for number in range(300):
        writers[number % 3].log("m", f"text {number}" if number % 7 == 0 else number, number)
    reader = read(tmp_path)
    wanted = [f"text {n}" if n % 7 == 0 else n for n in range(300)]
    assert reader.series("m").objects == wanted
    assert reader.last()["m"] == 299
    assert reader.summary()["m"] == Summary(299, 1.0, 299.0, 300, 299)


def test_a_clock_that_is_set_back_does_not_reorder_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 2_000_000_000_000_000_000
    monkeypatch.setattr(segment, "time_ns", lambda: now)
    one, other = MetricWriter(str(tmp_path)), MetricWriter(str(tmp_path))
    for number in range(10):
        now += -7200 * 10**9 if number == 5 else 10**9
        one.log("m", number, number)
    other.log("m", 100, 100)
    found = read(tmp_path).series("m")
    assert [n for n in found.objects if n < 100] == list(range(10))
    assert found.times[found.objects.index(0)] == 2_000_000_001.0


def test_summaries(tmp_path: Path) -> None:
    writer = MetricWriter(str(tmp_path))
    for number, value in enumerate([3.0, math.nan, -1.0, math.inf]):
        writer.log("m", value, number * 10)
        writer.log("nan", math.nan)
        writer.log("text", "x")
    found = read(tmp_path).summary()
    assert found["m"] == Summary(math.inf, -1.0, math.inf, 4, 30)
    assert (found["nan"].min, found["nan"].max, found["nan"].last_step) == (None, None, 3)
    assert found["text"] == Summary("x", None, None, 4, 3)
    run = RunDir(tmp_path.parent)
    run.metrics = tmp_path
    assert series.summary_of(run) == {"m": "inf", "nan": "nan", "text": "x"}


def test_last_values_of_many_runs() -> None:
    rows = []
    for run in range(10):
        found = {"loss": Summary(run * 0.5, 0.0, 1.0, 3, 2)}
        if run % 2:
            found["text"] = Summary("x", None, None, 1, 0)
        rows.append(pack_summaries(found))
    rows.append(pack_summaries({}))
    table = last_table(rows)
    assert table["loss"].tolist()[:10] == [run * 0.5 for run in range(10)]
    assert np.isnan(table["loss"][10])
    assert np.isnan(table["text"]).all()
    assert last_table([]) == {}


def test_metrics_have_the_shape_of_the_reference(tmp_path: Path) -> None:
    writer = MetricWriter(str(tmp_path))
    writer.log("one", 1)
    writer.log("many", 1.0)
    writer.log("many", 2.0)
    writer.log("flag", True)
    writer.log_json("table", {"a": 1, "b": 2})
    for number in range(2):
        writer.log_json("rows", {"a": number, "b": -number})
    assert metrics(tmp_path) == {
        "one": 1,
        "many": [1.0, 2.0],
        "flag": True,
        "table": {"a": 1, "b": 2},
        "rows": {"a": [0, 1], "b": [0, -1]},
    }


# --- damage ---------------------------------------------------------------------------------------------------


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    writer = MetricWriter(str(tmp_path))
    for number in range(3):
        writer.log("a", 0.1 * number, number)
        writer.log_row(dict.fromkeys("wxyz", 0.1 * number), number)
    for end, name, size in ((segformat.SCALARS_END, "a", 32), (segformat.ROWS_END, "w", 56)):
        path = segment_of(tmp_path, end)
        whole = path.read_bytes()
        start = place_at(path, 1)
        for bit in range(size * 8):
            flipped = whole[start + bit // 8] ^ 1 << bit % 8
            overwrite(path, start + bit // 8, bytes([flipped]))
            reader = read(tmp_path)
            assert reader.series(name).steps.tolist() == [0, 2]
            assert reader.skipped == 1
            overwrite(path, start, whole[start : start + size])


def test_two_flipped_bits_are_noticed(tmp_path: Path) -> None:
    writer = MetricWriter(str(tmp_path))
    writer.log("a", 0.1, 7)
    path = segment_of(tmp_path)
    header = segformat.parse_header(path.read_bytes())
    assert header is not None
    start = place_at(path, 0)
    record = np.frombuffer(path.read_bytes()[start : start + 32], np.uint8)
    bits = np.arange(256)
    masks = np.zeros((256, 32), np.uint8)
    masks[bits, bits // 8] = 1 << bits % 8
    pairs = np.concatenate([masks[a + 1 :] ^ masks[a] for a in range(256)])
    damaged = (pairs ^ record).view("<u8")
    heads = segments._heads(damaged, header.salt)
    # the same bit of word and value cancels, and a few more pairs do: one of 400, as the format's page says
    assert np.count_nonzero(heads < 1 << 32) <= len(pairs) // 350


def test_a_hole_is_looked_at_again(tmp_path: Path) -> None:
    writer = MetricWriter(str(tmp_path))
    for number in range(5):
        writer.log("m", number, number)
    path = segment_of(tmp_path)
    start = place_at(path, 2)
    record = path.read_bytes()[start : start + 32]
    reader = MetricReader(tmp_path)
    # as another thread's record in the making: first nothing, then a part, then all of it
    overwrite(path, start, bytes(32))
    reader.refresh()
    assert (reader.series("m").objects, reader.skipped) == ([0, 1, 3, 4], 0)
    overwrite(path, start, record[:16])
    assert reader.refresh()
    assert reader.skipped == 1
    overwrite(path, start, record)
    assert reader.refresh()
    assert (sorted(reader.series("m").objects), reader.skipped) == ([0, 1, 2, 3, 4], 0)
    assert not reader.refresh()


def test_a_copy_that_is_behind_catches_up(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    copy.mkdir()
    writer, reader = MetricWriter(str(source)), MetricReader(copy)
    for number in range(2000):
        writer.log(f"m{number % 5}", f"text {number}" if number % 3 else number, number)
        writer.log_row({"a": number, "b": "x", "c": 1.0, "d": None}, number)
    random_ = random.Random(1)
    files = sorted(source.iterdir())
    for share in (0.001, 0.3, 0.7, 1):
        for file in files:
            data = file.read_bytes()
            end = len(data) if share == 1 else int(len(data) * share * random_.random())
            (copy / file.name).write_bytes(data[:end])
        reader.refresh()
    reader.refresh()
    assert [v for n in range(5) for v in reader.series(f"m{n}").objects] == [
        v for n in range(5) for v in read(source).series(f"m{n}").objects
    ]
    assert len(reader.series("b")) == 2000
    assert (reader.skipped, reader.problems) == (0, {})


def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    MetricWriter(str(tmp_path)).log("m", 1)
    path = segment_of(tmp_path)
    overwrite(path, 8, (2).to_bytes(4, "little"))
    reader = read(tmp_path)
    assert reader.names() == []
    assert "newer" in reader.problems[str(path)]


def test_foreign_files_are_passed_over(tmp_path: Path) -> None:
    MetricWriter(str(tmp_path)).log("m", 1)
    (tmp_path / "empty.0.s.seg").touch()
    (tmp_path / "zeros.0.s.seg").write_bytes(bytes(10_000))
    (tmp_path / "text.0.s.seg").write_text("hello" * 5000)
    (tmp_path / "folder.0.s.seg").mkdir()
    os.mkfifo(tmp_path / "fifo.0.s.seg")
    (tmp_path / "link.0.s.seg").symlink_to("/dev/zero")
    (tmp_path / "readme.txt").write_text("x")
    with (tmp_path / "sparse.0.s.seg").open("wb") as file:
        file.write(segment_of_bytes())
        file.truncate(1 << 40)
    reader = read(tmp_path)
    assert reader.last() == {"m": 1}
    assert "text.0.s.seg" in str(reader.problems)


def segment_of_bytes() -> bytes:
    return segformat.Header(segformat.SCALAR, segformat.SCALAR_SIZE, 512, 0, 1, 1, b"").pack()


@pytest.mark.parametrize("meta", [b"[]", b"{", b'[["a", 9]]', b'[["a", 1], ["b", 1]]', b"[1]"])
def test_a_header_that_lies_is_passed_over(tmp_path: Path, meta: bytes) -> None:
    header = segformat.Header(segformat.ROW, 32, 512, 0, 1, 1, meta)
    (tmp_path / "x.0.r.seg").write_bytes(header.pack() + os.urandom(4096))
    reader = read(tmp_path)
    assert reader.names() == []
    assert len(reader.problems) == 1


@pytest.mark.parametrize("line", [b"garbage", b"[1", b"[]", b'{"a": 1}', b'["x", "y"]', b"\xff\xfe", b"[" * 100_000])
def test_torn_side_files_lose_only_their_line(tmp_path: Path, line: bytes) -> None:
    writer = MetricWriter(str(tmp_path))
    writer.log("a", "one")
    for path in (*tmp_path.glob("*.names"), *tmp_path.glob("*.values")):
        with path.open("ab") as file:
            file.write(line)
    writer.log("b", "two")
    assert read(tmp_path).last() == {"a": "one", "b": "two"}


def test_a_name_that_was_lost_is_counted(tmp_path: Path) -> None:
    writer = MetricWriter(str(tmp_path))
    writer.log("a", 1)
    next(tmp_path.glob("*.names")).unlink()
    writer.log("b", 2)
    reader = read(tmp_path)
    assert reader.last() == {"b": 2}
    assert reader.skipped == 1


def _values(kind: Any) -> Any:
    return st.lists(kind, min_size=1, max_size=30)


damage = st.tuples(
    st.sampled_from(["flip", "zero", "garbage", "ones"]), st.integers(0, 29), st.integers(0, 31), st.integers(1, 255)
)


@settings(max_examples=300, deadline=None)
@given(
    values=_values(st.one_of(st.floats(), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.none())),
    # larger steps take a second place, and would not stand where this test looks for them
    steps=st.lists(st.one_of(st.none(), st.integers(-(2**60), 2**60)), min_size=30, max_size=30),
    # several harms of one record are noticed nearly always, which is no property
    harms=st.lists(damage, max_size=5, unique_by=lambda harm: harm[1]),
    cut=st.one_of(st.none(), st.integers(0, 30 * 32)),
)
def test_damage_harms_no_neighbour(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], steps: list[Any], harms: list[Any], cut: int | None
) -> None:
    folder = tmp_path_factory.mktemp("metrics")
    writer = MetricWriter(str(folder))
    for number, value in enumerate(values):
        writer.log("m", value, steps[number])
    path = segment_of(folder)
    before = path.read_bytes()
    data = bytearray(before)
    start = place_at(path, 0)
    for kind, record, byte, mask in harms:
        at = start + record * 32 + byte // 8 * 8
        if kind == "flip":
            data[start + record * 32 + byte] ^= mask
        else:
            data[at : at + 8] = {"zero": bytes(8), "ones": b"\xff" * 8, "garbage": bytes([mask]) * 8}[kind]
    if cut is not None:
        del data[start + cut :]
    path.write_bytes(data)
    places = [start + n * 32 for n in range(len(values))]
    whole = [n for n, at in enumerate(places) if data[at : at + 32] == before[at : at + 32]]
    reader = read(folder)
    found = reader.series("m").objects if "m" in reader.names() else []
    assert [repr(v) for v in found] == [repr(values[n]) for n in whole]


@settings(max_examples=200, deadline=None)
@given(harms=st.lists(st.tuples(st.integers(0, 70_000), st.binary(min_size=1, max_size=200)), min_size=1, max_size=8))
def test_no_damage_raises(tmp_path_factory: pytest.TempPathFactory, harms: list[tuple[int, bytes]]) -> None:
    folder = tmp_path_factory.mktemp("metrics")
    writer = MetricWriter(str(folder))
    for number in range(40):
        writer.log(f"m{number % 3}", number if number % 2 else "text", number)
        writer.log_row({"a": number, "b": "x", "c": 1.0, "d": None}, number)
    for path in folder.iterdir():
        data = bytearray(path.read_bytes())
        for at, junk in harms:
            at %= len(data)  # noqa: PLW2901 -- wherever that is in a file of this size
            data[at : at + len(junk)] = junk
        path.write_bytes(data)
    reader = read(folder)
    reader.refresh()
    reader.summary()
    json.dumps([reader.series(name).objects for name in reader.names()])
    for name in reader.names():
        assert all(v is None or isinstance(v, (str, int, float)) for v in reader.series(name).objects)


# --- buckets --------------------------------------------------------------------------------------------------


def test_buckets_keep_peaks() -> None:
    x = np.arange(100_003)
    y = np.zeros(100_003)
    y[[0, 777, 50_001, 100_002]] = [5, 9, -7, 3]
    places, low, high = buckets(x, y, 1000)
    assert len(places) == len(low) == len(high) <= 1000
    assert (high.max(), low.min(), high[0], high[-1]) == (9, -7, 5, 3)
    assert (np.diff(places) > 0).all()


def test_buckets_show_gaps() -> None:
    y = np.ones(10_000)
    y[2000:4000] = math.nan
    y[5] = math.nan
    y[9000] = math.inf
    _, low, high = buckets(np.arange(10_000), y, 100)
    assert np.isnan(low[20:40]).all()
    assert np.isnan(high[20:40]).all()
    assert not np.isnan(low[:20]).any()
    assert math.isinf(high[90])


@given(
    points=st.lists(st.tuples(st.integers(-50, 50), st.floats(allow_nan=True)), max_size=200),
    n=st.integers(1, 50),
)
@settings(deadline=None)
def test_buckets_lose_no_extreme(points: list[tuple[int, float]], n: int) -> None:
    x = [step for step, _ in points]
    y = [value for _, value in points]
    places, low, high = buckets(x, y, n)
    assert len(places) == len(low) == len(high) <= n
    assert list(places) == sorted(places)
    finite = [value for value in y if not math.isnan(value)]
    if finite:
        assert np.nanmin(low) == min(finite)
        assert np.nanmax(high) == max(finite)
    else:
        assert np.isnan(low).all()
