"""Makes docs/azureml.md: ``python -m tests.azureml_page`` writes it, and says which names are missing.

Reads what ``azureml_table`` finds, the table of names, and the head of the page as it is (written by hand).
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator

from jupyter_mlrun.azureml import _names
from tests.azureml_table import (
    ROOT,
    Class,
    Member,
    State,
    Verdict,
    gaps,
    judge,
    read_notes,
    read_signatures,
    unresolved,
)

PAGE = ROOT / "docs/azureml.md"
# small, and yet looked for by their names
ALONE = {"ScriptRunConfig", "FileDatasetFactory", "MpiConfiguration", "PyTorchConfiguration", "DockerConfiguration"}
MARK = "<!-- below this line the page is generated: python -m tests.azureml_page -->"


def head() -> str:
    """What is written by hand."""
    return PAGE.read_text(encoding="utf-8").partition(MARK)[0]


def page() -> str:
    """The whole page, as it should be now."""
    return f"{head()}{MARK}\n\n" + "\n".join([*_classes(), *_exceptions(), *_absent(), *_paths()])


def _classes() -> Iterator[str]:
    notes, small = read_notes(), []
    signatures = read_signatures()
    for kind in signatures.classes:
        verdicts = [(member, judge(member, notes)) for member in _members(kind)]
        if len(verdicts) < 3 and kind.name not in ALONE:
            small += verdicts
        elif any(v.state is not State.ABSENT for _, v in verdicts):
            yield f"## {kind.name}\n\n`azureml.{kind.module}.{kind.name}`\n"
            yield from _table((_shown(member, kind), verdict) for member, verdict in verdicts)
    small += [(member, judge(member, notes)) for member in signatures.functions]
    yield "## The smaller ones\n"
    here = (pair for pair in small if pair[1].state is not State.ABSENT)
    yield from _table((f"`azureml.{m.module}.{_call(m)}`", verdict) for m, verdict in here)


def _members(kind: Class) -> Iterator[Member]:
    """Each once, whether it can only be read or set too; a class without any stands for itself."""
    if not kind.members and kind.name not in _names.MODULES["exceptions"]:
        yield Member(kind.module, "", kind.name, "class")
    settable = {m.name: m for m in kind.members if m.kind == "set"}
    for member in kind.members:
        if member.kind != "set":
            yield settable.get(member.name, member)


def _shown(member: Member, kind: Class) -> str:
    if member.name == "__init__":
        return f"`{kind.name}()`"
    return f"`{member.name}`" if member.kind != "method" else f"`{member.name}()`"


def _call(member: Member) -> str:
    name = member.shown.removesuffix(".__init__")
    return f"{name}()" if member.kind in {"method", "def"} else name


def _table(rows: Iterator[tuple[str, Verdict]]) -> Iterator[str]:
    yield "| name | here |\n|---|---|"
    for shown, verdict in rows:
        text = re.sub(r"^.*? is not here: ", "", verdict.text) if verdict.state is State.ABSENT else verdict.text
        words = verdict.state.value + (f": {text}" if text else "")
        yield f"| {shown} | {_cell(words)} |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _exceptions() -> Iterator[str]:
    yield "## Exceptions\n"
    yield "`except` with a name on the left catches what stands on the right.\n"
    yield "| azureml | here |\n|---|---|"
    for name, place in sorted(_names.MODULES["exceptions"].items()):
        here = "nothing raises it" if isinstance(place, _names.Never) else f"`{place.split()[0].partition(':')[2]}`"
        yield f"| `{name}` | {here} |"
    yield ""


def _absent() -> Iterator[str]:
    found: dict[str, set[str]] = defaultdict(set)
    every = [pair for names in _names.MODULES.values() for pair in names.items()]
    # names that mean something else elsewhere, or nothing by themselves
    here = {name for name, place in every if not isinstance(place, _names.Absent)} | {"submit"}
    for module, names in _names.MODULES.items():
        for name, place in names.items():
            if isinstance(place, _names.Absent):
                found[place].add(f"{module}.{name}" if name in here else name)
    yield "## Not here\n"
    yield "These can be imported and named in `isinstance`; using one raises `NotImplementedError` with these words.\n"
    yield "| azureml | … |\n|---|---|"
    for text, group in sorted(found.items(), key=lambda pair: min(pair[1]).lower()):
        shown = ", ".join(f"`{name}`" for name in sorted(group, key=str.lower))
        yield f"| {shown} | {_cell(text)} |"
    yield ""


def _paths() -> Iterator[str]:
    yield "## Import paths\n"
    yield ", ".join(f"`azureml.{module}`" for module in sorted(_names.MODULES)) + "\n"


def main() -> None:
    """Write the page; say what is missing."""
    PAGE.write_text(page(), encoding="utf-8")
    for where, what in gaps():
        print(f"missing: {where}: {what}", file=sys.stderr)
    for line in unresolved():
        print(f"missing: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
