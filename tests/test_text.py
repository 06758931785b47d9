"""Logs as text: bounded, harmless, and never in the way of what the run wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.store import text


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    found = RunDir(tmp_path / "run")
    found.user_logs.mkdir(parents=True)
    return found


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("10%\r50%\r100%", "100%"),
        ("10%\r100%\r", "100%"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("abc\b\bX", "aX"),
        ("\b\babc", "abc"),
        ("ab\b\b\b\bc", "c"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;ZXZpbA==\x07after", "after"),
        ("\x1b]0;never ended\nnext line", "\nnext line"),
        ("\x1bPdevice\x1b\\x", "x"),
        ("cut\x1b", "cut"),
        ("cut\x1b[", "cut"),
        ("\x1b\x1b[31mx\x00\x7f\x9b\u202e", "x"),
        ("tab\tstays", "tab\tstays"),
        ("", ""),
    ],
)
def test_plain(written: str, shown: str) -> None:
    assert text.plain(written) == shown


@pytest.mark.parametrize("start", ["\x1b]52;c;", "\x1b[", "\x1bP", "\x1b[" + "0;", "\x1b(", "\x1b]\x1b]"])
def test_a_sequence_without_an_end_costs_one_look(start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # quadratic work on these would run into the time limit of the test
    for body in ("A" * 10_000_000, start * (10_000_000 // len(start)), "1" * 10_000_000):
        assert len(text.plain(start + body)) <= text.LONGEST_LINE + 60


def test_backspaces_by_the_million_end() -> None:
    assert text.plain("x" * 50_000 + "\b" * 50_000 + "y") == "y"
    assert text.plain("x\b" * 1_000_000) == ""


def test_a_long_line_says_what_was_left_out() -> None:
    assert text.plain("a" * 5000).endswith("904 more characters in this line]")


def test_tail_of_nothing_and_of_invalid_utf8(run: RunDir) -> None:
    assert text.tail(run) == ""
    run.log().write_bytes(b"\xff\xfe ok\n" + bytes(range(256)))
    assert "ok" in text.tail(run)
    json.dumps(text.tail(run)).encode("ascii")
    run.log().write_bytes(b"1\n2\n3\n")
    assert text.tail(run, lines=2) == "2\n3"
    assert text.tail(run, lines=0) == ""


def test_tail_begins_with_a_whole_line(run: RunDir) -> None:
    run.log().write_bytes("漢字漢字漢字漢字\nend 漢字\n".encode())
    for window in range(11, 30):
        assert text.tail(run, window=window) == "end 漢字"


def test_tail_says_what_was_dropped(run: RunDir) -> None:
    run.log().write_bytes(b"head\n" + b"\0" * 1000 + b"tail\n")
    run.log_index().write_text('{"offset": 0}\n{"dropped": [5, 900]}\n{"dropped": [5, 1005]}\n{"dropped": [5,')
    assert text.dropped(run) == (5, 1005)
    assert text.tail(run) == "[1,000 bytes dropped here: the log grew over its limit]\ntail"


@pytest.mark.parametrize("offset", [-1, -(2**63), 4, 100, 2**63 - 1, 2**63, 2**70])
@pytest.mark.parametrize("limit", [-1, 0, 2, 2**63])
def test_offsets_and_limits_are_made_to_fit(run: RunDir, offset: int, limit: int) -> None:
    run.log().write_bytes(b"abcd")
    wanted = b"" if offset > 0 else b"abcd"[: max(limit, 0)]
    assert text.read(run.log(), offset, limit) == wanted
    assert text.read(run.log().with_name("none"), offset, limit) == b""


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7])
def test_a_character_that_a_piece_cuts_comes_whole(run: RunDir, limit: int) -> None:
    wanted = "aж漢😀\n" * 5
    run.log().write_text(wanted, encoding="utf-8")
    follower = text.Follower(run.log())
    got = ""
    while follower.offset < run.log().stat().st_size:
        got += follower.more(limit)
    assert got == wanted


def test_a_follower_sees_growth_cuts_and_replacement(run: RunDir) -> None:
    follower = text.Follower(run.log())
    assert follower.more() == ""
    run.log().write_bytes(b"one")
    assert follower.more() == "one"
    with run.log().open("ab") as file:
        file.write(b" two \xd0")
    assert follower.more() == " two "
    run.log().write_bytes(b"cut")
    assert follower.more() == "cut", "the half character belonged to what is gone"
    aside = run.log().with_name("new")
    aside.write_bytes(b"quite another file")
    os.replace(aside, run.log())
    assert follower.more() == "quite another file"
    run.log().unlink()
    assert follower.more() == ""
