"""docs/azureml.md is what the tool makes now, and everything of the reference is here or refused in words."""

from __future__ import annotations

import inspect
from typing import Any, NoReturn

import pytest

from tests import azureml_page, azureml_table
from tests.azureml_table import Member, State, judge, parameter_faults, read_notes, read_signatures, refuses

MEMBERS = [member for kind in read_signatures().classes for member in kind.members] + read_signatures().functions
CLASSES = sorted({(member.module, member.owner) for member in MEMBERS})


@pytest.mark.parametrize(("module", "owner"), CLASSES)
def test_every_method_takes_what_it_took_or_says_what_to_use(module: str, owner: str) -> None:
    here = [member for member in MEMBERS if (member.module, member.owner) == (module, owner)]
    verdicts = [(member.shown, judge(member, {})) for member in here]
    assert [f"{shown}: {verdict.text}" for shown, verdict in verdicts if verdict.state is State.GAP] == []


@pytest.mark.parametrize("member", [m for m in MEMBERS if judge(m, {}).state is State.ABSENT], ids=lambda m: m.shown)
def test_what_is_not_here_names_something_else(member: Member) -> None:
    text = judge(member, {}).text
    assert len(text.split()) > 4, f"{member.shown} says only {text!r}"


def test_constants() -> None:
    missing = [pair for pair in read_signatures().constants if azureml_table.thing(*pair) is None]
    assert missing == []


def test_every_place_of_the_table_is_there() -> None:
    assert azureml_table.unresolved() == []


def test_every_note_is_of_a_name_of_the_reference() -> None:
    names = {member.shown for member in MEMBERS} | {kind.name for kind in read_signatures().classes}
    assert set(read_notes()) <= names


def test_the_page_is_generated() -> None:
    page = azureml_page.PAGE.read_text(encoding="utf-8")
    assert page == azureml_page.page(), "write it anew: python -m tests.azureml_page"


def test_the_signatures_are_read() -> None:
    found = read_signatures("module core.x\nconst A\nclass B\n    method f a * b\n    property p\n    set p\ndef g c\n")
    assert found.constants == [("core.x", "A")]
    assert [(m.name, m.kind, m.parameters) for m in found.classes[0].members] == [
        ("f", "method", ("a", "*", "b")),
        ("p", "property", ()),
        ("p", "set", ()),
    ]
    assert found.functions == [Member("core.x", "", "g", "def", ("c",))]


@pytest.mark.parametrize(
    ("ours", "wanted", "faults"),
    [
        (lambda a, b=1: None, ("a", "b"), []),
        (lambda a, **_: None, ("a", "b"), []),
        (lambda a: None, ("a", "b"), ["no parameter b"]),
        (lambda b, a: None, ("a", "b"), ["a stands elsewhere", "b stands elsewhere"]),
        (lambda a, *, b: None, ("a", "b"), ["b by keyword alone"]),
        (lambda a, *, b: None, ("a", "*", "b"), []),
        (lambda a, x, b: None, ("a", "b"), ["b stands elsewhere"]),
    ],
)
def test_parameters_are_compared(ours: Any, wanted: tuple[str, ...], faults: list[str]) -> None:
    assert parameter_faults(inspect.signature(ours), wanted) == faults


def never() -> NoReturn:
    """Not here."""
    raise NotImplementedError("never is not here: use sometimes")


def sometimes(x: int = 1) -> int:
    if x:
        raise NotImplementedError("only with 0")
    return x


def test_a_refusal_is_told_from_a_function() -> None:
    assert refuses(never) == "never is not here: use sometimes"
    assert refuses(sometimes) is None
