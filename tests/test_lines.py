"""A log's lines by number: the right ones, whatever was written, and at bounded cost."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from jupyter_mlrun.store import lines
from jupyter_mlrun.store.lines import LogLines, shown


def caught_up(log: LogLines) -> LogLines:
    while log.refresh():
        pass
    return log


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small files have many entries, slices and long lines."""
    for name, value in {"STEP_LINES": 7, "STEP_BYTES": 200, "SLICE": 1000, "PIECE": 90, "LONG": 400}.items():
        monkeypatch.setattr(lines, name, value)
    monkeypatch.setattr(lines, "HEAD", 60)
    monkeypatch.setattr(lines, "TAIL", 60)
    monkeypatch.setattr(lines, "SEARCHED", 500)


@pytest.mark.usefixtures("small_steps")
def test_windows_of_a_growing_log_are_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log, written = LogLines(path), b""
    assert not log.refresh()
    assert (log.total, log.lines(0, 10)) == (0, [])
    chance = random.Random(1)
    for _ in range(60):
        piece = b"".join(
            b"%d:" % chance.randrange(10**6) + b"x" * chance.choice([0, 3, 20, 90]) + chance.choice([b"\n", b"\n", b""])
            for _ in range(chance.randrange(9))
        )
        with path.open("ab") as file:
            file.write(piece)
        written += piece
        caught_up(log)
        expected = written.decode().split("\n")
        if not expected[-1]:
            expected.pop()
        assert log.total == len(expected)
        assert log.partial == (bool(written) and not written.endswith(b"\n"))
        start = chance.randrange(len(expected) + 1)
        assert log.lines(start, start + 25) == expected[start : start + 25]
    assert log.lines(0, log.total) == expected
    assert log.entries > 5


@pytest.mark.usefixtures("small_steps")
def test_a_slice_of_a_large_log_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a line of text\n" * 1000)
    log, calls = LogLines(path), 0
    while log.refresh():
        calls += 1
        assert log.read <= calls * (lines.SLICE + lines.PIECE)
    assert (log.total, log.behind) == (1000, False)
    assert calls >= 15


@pytest.mark.usefixtures("small_steps")
def test_long_lines_are_bounded_and_their_neighbours_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    bar = b"".join(b"\r%3d%%" % n for n in range(101))
    path.write_bytes(b"before\n" + b"y" * 10_000 + b"\nbetween\n" + bar + b"\nafter\n" + b"z" * 900)
    log = caught_up(LogLines(path))
    found = log.lines(0, 10)
    assert [found[0], found[2], found[4]] == ["before", "between", "after"]
    assert found[1].startswith("yyyy")
    assert found[1].endswith("more bytes in this line]")
    assert found[3].strip() == "100%"
    assert found[5].startswith("zzz")
    assert max(map(len, found)) < 200


def test_ten_megabytes_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 10_000_000)
    log = caught_up(LogLines(path))
    assert (log.total, log.partial, log.entries) == (1, True, 1)
    (line,) = log.lines(0, 1)
    assert len(line) < 5000
    assert "9,995,904 more bytes in this line" in line


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"10%\r50%\r100%", "100%"),
        (b"10%\r100%\r", "100%"),
        (b"windows\r", "windows"),
        (b"abc\b\bX", "aX"),
        (b"\x1b[31mred\x1b[0m \x1b[2Kkept", "\x1b[31mred\x1b[0m kept"),
        (b"\x1b[32m10%\r20%\x1b[0m", "\x1b[32m20%\x1b[0m"),
        (b"a\x1b[31mb\b\bc", "\x1b[31mc"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1b]52;c;ZXZpbA==\x07after", "after"),
        (b"\x1b\x1b[5A[31mx", "[31mx"),
        (b"cut\x1b[", "cut"),
        (b"\xff\xfe", "\ufffd" * 2),
        (b"\xed\xa0\x80", "\ufffd" * 3),
        (b"nul\0nul \xc2\x9b31m \xe2\x80\xae", "nulnul 31m "),
        (b"v\vf\fl\xe2\x80\xa8p", "vflp"),
        ("здесь \U0001f426\ttab".encode(), "здесь \U0001f426\ttab"),
        (b"\r\r\b\b", ""),
    ],
)
def test_what_a_terminal_would_show(written: bytes, expected: str) -> None:
    assert shown(written + b"\nnext\n") == [expected, "next"]
    assert shown(written) == [expected]


def test_a_long_line_keeps_no_half_colour() -> None:
    (line,) = shown(b"x" * 4094 + b"\x1b[38;5;196mred")
    assert line.startswith("x" * 4094 + " … [")
    (line,) = shown(b"\x1b[31m" + b"y" * 5000)
    assert line.startswith("\x1b[31myyy")
    assert "909 more characters" in line


@pytest.mark.usefixtures("small_steps")
def test_search_finds_each_line_both_ways_in_slices(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written = [f"line {n}" + (" ERROR" if n % 97 == 0 else "") for n in range(1000)]
    written[500] = "\x1b[31mErr\x1b[0mor"
    written[501] = "error 10%\rgone"
    path.write_text("\n".join(written))
    log = caught_up(LogLines(path))
    wanted = sorted([*range(0, 1000, 97), 500])
    assert _all(log, "error", backward=False) == wanted
    assert _all(log, "eRRor", backward=True) == wanted[::-1]
    assert _first(log, "not there", 0) is None
    assert log.search("", 0) == (None, None)


def _first(log: LogLines, wanted: str, start: int, *, backward: bool = False) -> int | None:
    while True:
        found, go_on = log.search(wanted, start, backward=backward)
        if go_on is None:
            return found
        assert found is None
        assert go_on < start if backward else go_on > start
        start = go_on


def _all(log: LogLines, wanted: str, *, backward: bool) -> list[int]:
    found: list[int] = []
    at = log.total - 1 if backward else 0
    while 0 <= at < log.total:
        line = _first(log, wanted, at, backward=backward)
        if line is None:
            break
        found.append(line)
        at = line - 1 if backward else line + 1
    return found


def test_search_of_letters_beyond_ascii(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("nothing\nÄRGER ÜBER ÖL\n", encoding="utf-8")
    assert caught_up(LogLines(path)).search("über öl", 0) == (1, None)


def test_a_log_that_was_replaced_or_cut_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntwo\nthree\n")
    log = caught_up(LogLines(path))
    first = log.generation
    path.write_text("other\n")
    assert (caught_up(log).lines(0, 9), log.generation > first) == (["other"], True)
    aside = tmp_path / "aside"
    aside.write_text("replaced by more than there was\nlast")
    os.replace(aside, path)
    assert caught_up(log).lines(0, 9) == ["replaced by more than there was", "last"]
    path.unlink()
    assert log.refresh()
    assert log.total == 0
    assert not log.refresh()


@pytest.mark.usefixtures("small_steps")
def test_a_log_that_gave_its_middle_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written = [f"line {n}" for n in range(300)]
    data = "\n".join(written).encode() + b"\n"
    holes: list[tuple[int, int]] = []
    path.write_bytes(data)
    log = caught_up(LogLines(path, lambda: holes[-1] if holes else None))
    start, end = data.index(b"line 50\n") + 3, data.index(b"line 250\n") + 2
    with_hole = data[:start] + bytes(end - start) + data[end:]
    path.write_bytes(with_hole)
    os.truncate(path, len(with_hole))
    holes.append((start, end))
    with path.open("ab") as file:
        file.write(b"the end\n")
    for one in (caught_up(log), caught_up(LogLines(path, lambda: holes[-1]))):
        found = one.lines(0, one.total)
        assert len(found) == one.total
        assert found[:50] == written[:50]
        assert found[-50:] == [*written[251:], "the end"]
        assert any("bytes dropped here" in line for line in found)
        assert not any("\0" in line for line in found)


def test_what_changes_between_look_and_read_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntwo\nthree\n")
    log = caught_up(LogLines(path))
    os.truncate(path, 0)
    assert log.lines(0, 3) == ["", "", ""]
    assert log.search("two", 0) == (None, None)


def test_a_limit_of_bytes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(("x" * 100 + "\n") * 50)
    log = caught_up(LogLines(path))
    assert len(log.lines(0, 50, limit=1040)) == 10
    assert len(log.lines(0, 50, limit=1)) == 1, "one at least, so that asking again goes on"
