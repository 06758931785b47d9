"""Floods, long lines and binary output: bounded disk, head and tail kept, the run ends (F046, F047, F049)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from jupyter_mlrun.worker import logwatch, relay
from tests.support import finish, submit_cell

LIMIT = 8 << 20
FLOOD = """
import os
os.write(1, b"HEAD\\n")
block = (b"y" * 99 + b"\\n") * 10_000
for _ in range({blocks}):
    os.write(1, block)
os.write(1, b"TAIL\\n")
"""


def disk(path: Path) -> int:
    return path.stat().st_blocks * 512


@pytest.mark.parametrize("blocks", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_flood_keeps_head_and_tail(home: Path, blocks: int) -> None:
    run = submit_cell(FLOOD.format(blocks=blocks), max_log_bytes=LIMIT)
    state = finish(run)
    assert str(state.status) == "Completed"
    log = run.directory.log()
    assert log.stat().st_size == blocks * 1_000_000 + 10, "offsets stay what they were"
    assert disk(log) <= LIMIT * 1.2
    with log.open("rb") as data:
        assert data.read(5) == b"HEAD\n"
        data.seek(-5, os.SEEK_END)
        assert data.read() == b"TAIL\n"
    dropped = [
        d["dropped"] for d in map(json.loads, run.directory.log_index().read_text().splitlines()) if "dropped" in d
    ]
    assert dropped[-1][0] == LIMIT // 2
    assert dropped[-1][1] >= log.stat().st_size - LIMIT // 2 - LIMIT // 16 - 8192


@pytest.mark.parametrize("megabytes", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_one_endless_line_and_binary_output(home: Path, megabytes: int) -> None:
    cell = (
        f"import os\nfor _ in range({megabytes}): os.write(1, b'a' * 1_000_000)\nos.write(2, bytes(range(256)) * 100)"
    )
    run = submit_cell(cell, max_log_bytes=LIMIT)
    state = finish(run)
    assert str(state.status) == "Completed"
    assert disk(run.directory.log()) <= LIMIT * 1.2
    assert run.directory.log().read_bytes().endswith(bytes(range(256)))
    assert json.dumps(state.last_lines), "what is shown of it is valid text"


def test_both_names_are_one_file(home: Path) -> None:
    run = submit_cell("print('hello')")
    finish(run)
    assert os.path.samefile(run.directory.log(), run.directory.driver_log())


def test_the_watch_drops_whole_blocks_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"h" * 65536 + b"m" * 4_000_000 + b"t" * 65536)
    watch = logwatch.LogWatch(str(path), str(tmp_path / "index"), limit=131072)
    watch.look()
    assert watch.hole is not None
    assert disk(path) < 300_000
    data = path.read_bytes()
    assert data[:65536] == b"h" * 65536
    assert data[-65536:] == b"t" * 65536
    watch.close()


def test_where_holes_do_not_exist_output_is_relayed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    pump = relay.Relay(log, limit=relay._TAIL + 1_000_000)
    writer = os.dup(pump.writer)
    pump.start()
    with os.fdopen(writer, "wb") as far:
        far.write(b"HEAD" + b"x" * 60_000_000 + b"TAIL")
    pump.finish()
    data = path.read_bytes()
    assert data.startswith(b"HEAD")
    assert data.endswith(b"TAIL")
    assert b"bytes dropped here]" in data
    assert len(data) < 24_000_000
    kept = len(data) - len(data[data.index(b"\n[jupyter_mlrun") : data.index(b"here]\n") + 6])
    assert kept + pump.dropped == 60_000_008
