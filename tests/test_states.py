"""The table of moves, and what events add up to."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_mlrun.errors import IllegalMove, NewerStore
from jupyter_mlrun.records import RunState, Spec, after, end_event, experiment_name, fold, slug, status_event
from jupyter_mlrun.states import MOVES, TERMINAL, Status, may_move


def test_every_status_has_a_row() -> None:
    assert set(MOVES) == set(Status)


@pytest.mark.parametrize("old", sorted(TERMINAL))
@pytest.mark.parametrize("new", list(Status))
def test_an_end_is_final(old: Status, new: Status) -> None:
    assert not may_move(old, new)


def test_a_guessed_end_yields_to_evidence_of_another_end_only() -> None:
    assert may_move(Status.FAILED, Status.COMPLETED, guessed=True)
    assert not may_move(Status.FAILED, Status.RUNNING, guessed=True)


def test_user_code_never_goes_back_to_the_queue() -> None:
    for status in (Status.STARTING, Status.RUNNING, Status.FINALIZING, Status.CANCEL_REQUESTED):
        assert not may_move(status, Status.QUEUED)


def test_events_make_a_state() -> None:
    state = fold(
        [
            {"seq": 0, "type": "created", "time": 1.0},
            {"seq": 1, "type": "status", "status": "Queued", "time": 2.0, "note": "waiting for a slot"},
            {"seq": 2, "type": "status", "status": "Starting", "time": 3.0, "generation": 1},
            {"seq": 3, "type": "a later program's", "time": 3.5},
            {"seq": 4, "type": "status", "status": "Running", "time": 4.0},
        ]
    )
    assert (state.status, state.seq, state.queued, state.started, state.generation) == (Status.RUNNING, 4, 2.0, 4.0, 1)
    assert state.note is None, "the reason for waiting goes with the waiting"


def test_unseen_is_shown_as_not_responding_and_never_kept() -> None:
    running = RunState(status=Status.RUNNING)
    unseen = after(running, {"type": "seen", "seen": False, "time": 9.0})
    assert (unseen.shown, unseen.status) == (Status.NOT_RESPONDING, Status.RUNNING)
    assert after(unseen, {"type": "seen", "seen": True, "time": 10.0}).shown is Status.RUNNING


def test_an_illegal_move_raises() -> None:
    with pytest.raises(IllegalMove, match="Completed to Running"):
        status_event(RunState(status=Status.COMPLETED), Status.RUNNING)


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ({"status": "Completed"}, 0),
        ({"status": "Failed", "exit_code": 7}, 7),
        ({"status": "Failed", "signal": 9}, 137),
        ({"status": "Failed"}, 1),
        ({"status": "Canceled", "exit_code": 0}, 1),
    ],
)
def test_exit_code_as_a_shell_gives_it(found: dict[str, object], code: int) -> None:
    state = RunState(status=Status.RUNNING)
    assert after(state, {**end_event(state, found), "time": 1.0}).process_exit_code == code


SPEC: dict[str, Any] = {
    **dict.fromkeys(("run_id", "experiment", "workspace", "kind", "objects", "script"), "x"),
    "created": 1.0, "created_by": {}, "environment": {}, "resources": {}, "arguments": [], "snapshot": None,
}  # fmt: skip
ODD: tuple[dict[str, Any], ...] = (
    {"run_id": 5}, {"experiment": None}, {"created": "x"}, {"tags": []}, {"parameters": {"a": 1}}, {"parent": {}},
    {"display_name": ["x"]}, {"inputs": {}}, {"resources": None}, {"arguments": "x"},
)  # fmt: skip


def test_a_spec_is_read() -> None:
    assert Spec.from_json(SPEC).experiment == "x"


@pytest.mark.parametrize("data", [[], None, "text", {}, {"format": 1}, *({**SPEC, **odd} for odd in ODD)])
def test_what_is_no_spec_is_refused(data: Any) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Spec.from_json(data)


@pytest.mark.parametrize("data", [[], None, "text", {}, {"status": "x"}, {"status": [1]}], ids=str)
def test_what_is_no_end_is_refused(data: Any) -> None:
    with pytest.raises((ValueError, KeyError)):
        end_event(RunState(status=Status.RUNNING), data)


def test_a_newer_spec_is_refused() -> None:
    with pytest.raises(NewerStore, match="format 99"):
        Spec.from_json({"format": 99})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("digits", "digits"),
        ("my run", "my-run"),
        ("Größe_1", "Größe_1"),
        ("../x", "---x"),
        ("a/b:c", "a-b-c"),
        ("数字", "数字"),
    ],
)
def test_experiment_names(text: str, name: str) -> None:
    assert experiment_name(text) == name


def test_long_names_are_cut_for_the_file_system_and_stay_distinct() -> None:
    one, two = "é" * 200, "é" * 199 + "x"
    assert len(slug(one).encode()) <= 100
    assert slug(one) != slug(two)
