"""Compares the names and parameters of the reference with what is here.

Reads tests/fixtures/azureml-signatures.txt (facts of the reference) and azureml-notes.txt (what differs, in words).
``tests/azureml_page.py`` makes docs/azureml.md of it.
"""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_mlrun.azureml import _names
from jupyter_mlrun.azureml._finder import PACKAGE

ROOT = Path(__file__).parent.parent
SIGNATURES = ROOT / "tests/fixtures/azureml-signatures.txt"
NOTES = ROOT / "tests/fixtures/azureml-notes.txt"


class State(enum.Enum):
    """How a name of the reference fares here."""

    WORKS = "works"
    DIFFERS = "works differently"
    ABSENT = "not here"
    GAP = "missing"  # neither there nor refused in words: a fault


@dataclass(frozen=True)
class Member:
    """A method or property of a class (or a function of a module, whose class is "")."""

    module: str
    owner: str
    name: str
    kind: str  # method, property, set, def, class
    parameters: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """As pages write it: ``Run.log``."""
        return f"{self.owner}.{self.name}" if self.owner else self.name


@dataclass(frozen=True)
class Verdict:
    """What there is to say of a name."""

    state: State
    text: str = ""


@dataclass
class Class:
    """A class of the reference with its members."""

    module: str
    name: str
    members: list[Member] = field(default_factory=list)


@dataclass
class Signatures:
    """Everything that the reference has, by the facts kept here."""

    classes: list[Class] = field(default_factory=list)
    functions: list[Member] = field(default_factory=list)
    constants: list[tuple[str, str]] = field(default_factory=list)


def read_signatures(text: str | None = None) -> Signatures:
    """The facts, parsed."""
    found, module = Signatures(), ""
    for line in (SIGNATURES.read_text(encoding="utf-8") if text is None else text).splitlines():
        kind, _, rest = line.strip().partition(" ")
        words = rest.split()
        if kind == "module":
            module = rest
        elif kind == "const":
            found.constants.append((module, rest))
        elif kind == "class":
            found.classes.append(Class(module, rest))
        elif kind == "def":
            found.functions.append(Member(module, "", words[0], kind, tuple(words[1:])))
        elif kind in {"method", "property", "set"}:
            found.classes[-1].members.append(Member(module, found.classes[-1].name, words[0], kind, tuple(words[1:])))
    return found


def read_notes() -> dict[str, str]:
    """What works differently, and how: ``Class.method`` to a sentence."""
    lines = NOTES.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(": ") for line in lines if line and not line.startswith("#"))
    return {name: text.strip() for name, _, text in pairs}


# ------------------------------------------------------------------------------------ what is here


def thing(module: str, name: str) -> Any:
    """The object that ``azureml.<module>.<name>`` is here; None where it has no home yet."""
    try:
        found = getattr(importlib.import_module(f"{PACKAGE}.{module}"), name)
    except (AttributeError, ImportError):
        return None
    return None if getattr(found, "_kind", None) is ImportError else found


def refusal(found: Any) -> str | None:
    """What a placeholder of the table says, if *found* is one."""
    return str(found._text) if getattr(found, "_kind", None) is NotImplementedError else None


def refuses(function: Callable[..., Any]) -> str | None:
    """The words of a function that does nothing but refuse; None for any other."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        return None
    body = [s for s in definition.body if not isinstance(s, ast.Delete) and not _is_text(s)]
    never = definition.returns is not None and ast.unparse(definition.returns) == "NoReturn"
    if not never and not (len(body) == 1 and isinstance(body[0], ast.Raise)):
        return None
    needed = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}
    ]
    try:
        function(*[None] * len(needed))
    except NotImplementedError as problem:
        return str(problem)
    except Exception:  # refuses, but not as something that is not here
        return None
    return None


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def own_attributes(kind: type) -> set[str]:
    """The attributes that the methods of a class set on ``self``, and those that it declares."""
    found: set[str] = set()
    for base in kind.__mro__:
        if not base.__module__.startswith("jupyter_mlrun"):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found |= {node.attr} if ast.unparse(node.value) == "self" else set()
        found |= set(inspect.get_annotations(base))
    return found


def parameter_faults(signature: inspect.Signature, wanted: tuple[str, ...]) -> list[str]:
    """Which of the reference's parameters cannot be given as they were there."""
    ours = dict(signature.parameters)
    any_name = any(p.kind is p.VAR_KEYWORD for p in ours.values())
    any_place = any(p.kind is p.VAR_POSITIONAL for p in ours.values())
    placed = [name for name, p in ours.items() if p.kind in {p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY}]
    faults, by_name = [], False
    for place, name in enumerate(wanted):
        if name == "*":
            by_name = True
        elif name not in ours:
            faults += [] if any_name else [f"no parameter {name}"]
        elif by_name:
            continue
        elif name not in placed:
            faults += [] if any_place else [f"{name} by keyword alone"]
        elif placed.index(name) != place:
            faults.append(f"{name} stands elsewhere")
    return faults


def judge(member: Member, notes: dict[str, str]) -> Verdict:
    """How one method, property or function fares."""
    found = thing(member.module, member.owner or member.name)
    if found is None:
        return Verdict(State.GAP, f"no such {'class' if member.owner else 'function'}")
    text = refusal(found)
    if text:
        return Verdict(State.ABSENT, text)
    if member.kind == "class":
        verdict = Verdict(State.WORKS)
    elif not member.owner:
        verdict = _judge_call(found, member.parameters, bound=True)
    elif member.name == "__init__":
        verdict = _judge_making(found, member)
    else:
        verdict = _judge_member(found, member)
    if verdict.state is State.WORKS and member.shown in notes:
        return Verdict(State.DIFFERS, notes[member.shown])
    return verdict


def _judge_making(kind: type, member: Member) -> Verdict:
    first: Any = inspect.getattr_static(kind, "__init__")
    text = refuses(first) if inspect.isfunction(first) else None
    return Verdict(State.ABSENT, text) if text else _judge_call(kind, member.parameters, bound=True)


def _judge_member(kind: type, member: Member) -> Verdict:
    missing = object()
    raw = inspect.getattr_static(kind, member.name, missing)
    if raw is missing:
        there = member.name in own_attributes(kind)
        return Verdict(State.WORKS) if there else Verdict(State.GAP, f"no {member.kind} {member.name}")
    if isinstance(raw, property):
        return _judge_property(raw, member)
    plain = getattr(raw, "__func__", raw)
    text = refuses(plain) if inspect.isfunction(plain) else None
    if text:
        return Verdict(State.ABSENT, text)
    if member.kind != "method":
        return Verdict(State.WORKS)
    return _judge_call(getattr(kind, member.name), member.parameters, bound=not inspect.isfunction(raw))


def _judge_property(raw: property, member: Member) -> Verdict:
    if member.kind == "set" and raw.fset is None:
        return Verdict(State.GAP, f"{member.name} cannot be set")
    text = refuses(raw.fget) if raw.fget is not None else None
    if text:
        return Verdict(State.ABSENT, text)
    if member.kind == "method":
        return Verdict(State.GAP, f"{member.name} is a property, no method")
    return Verdict(State.WORKS)


def _judge_call(function: Any, wanted: tuple[str, ...], *, bound: bool) -> Verdict:
    if not callable(function):
        return Verdict(State.GAP, "it cannot be called")
    signature = inspect.signature(function)
    if not bound and next(iter(signature.parameters), "") == "self":
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    faults = parameter_faults(signature, wanted)
    return Verdict(State.GAP, ", ".join(faults)) if faults else Verdict(State.WORKS)


def gaps() -> Iterator[tuple[str, str]]:
    """Every name that is neither as in the reference nor refused in words: where, and what is wrong."""
    signatures, notes = read_signatures(), read_notes()
    members = [*signatures.functions, *(m for kind in signatures.classes for m in kind.members)]
    for member in members:
        verdict = judge(member, notes)
        if verdict.state is State.GAP:
            yield f"{member.module}: {member.shown}", verdict.text
    for module, name in signatures.constants:
        if thing(module, name) is None:
            yield f"{module}: {name}", "no such constant"


def unresolved() -> list[str]:
    """The names of the table whose place is not there."""
    return [
        f"{module}: {name} ({place})"
        for module, names in _names.MODULES.items()
        for name, place in names.items()
        if thing(module, name) is None
    ]
