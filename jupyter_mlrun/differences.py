"""Runs beside one another: a table of what differs, and the differences between two trees of files.  Pure: no I/O."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SECTIONS = ("run", "parameters", "metrics", "tags", "environment", "inputs", "resources", "code", "git")
MOST_DIFF_BYTES = 200_000  # of one file that is compared line by line
MOST_DIFF_LINES = 4_000
MOST_ALL_LINES = 20_000  # of all diffs together
CONTEXT = 3


@dataclass(frozen=True)
class Facts:
    """What is compared of one run: by section, name → value in words."""

    sections: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One line of the table; a run that has no such value has None."""

    section: str
    name: str
    values: tuple[str | None, ...]

    @property
    def differs(self) -> bool:
        """Whether not all are the same."""
        return len(set(self.values)) > 1


def table(runs: Sequence[Facts]) -> list[Row]:
    """The lines of the table, section after section, names in the order in which they first appear."""
    found: list[Row] = []
    for section in SECTIONS:
        given = [run.sections.get(section, {}) for run in runs]
        names = dict.fromkeys(name for one in given for name in one)
        found += [Row(section, name, tuple(one.get(name) for one in given)) for name in names]
    return found


def in_common(names: Iterable[Iterable[str]]) -> list[str]:
    """The names that at least two have, sorted; of one alone all of its own."""
    given = [set(one) for one in names]
    counts: dict[str, int] = {}
    for one in given:
        for name in one:
            counts[name] = counts.get(name, 0) + 1
    return sorted(name for name, count in counts.items() if count >= min(2, len(given)))


@dataclass(frozen=True)
class Change:
    """How a file differs: added, removed or changed; *diff* is empty where *why* says why."""

    path: str
    status: str
    diff: str = ""
    why: str | None = None


def pairs(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, str | None, str | None]]:
    """(name, value in a, value in b) of what differs."""
    names = [name for name in dict.fromkeys((*a, *b)) if a.get(name) != b.get(name)]
    return [(name, _words(a.get(name)), _words(b.get(name))) for name in names]


def _words(value: Any) -> str | None:
    return None if value is None else str(value)


def changes(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    read: Callable[[int, str], bytes | None],
    *,
    most: int = 500,
) -> tuple[list[Change], int]:
    """What differs between two trees, and how many files are the same.

    Args:
        a: path → what says that content is the same (digests, a link's target).
        b: the same of the other.
        read: gives the content of a path of tree 0 or 1; None for a link, or for more than ``MOST_DIFF_BYTES``.
        most: files that are told.
    """
    differing = sorted(path for path in {*a, *b} if a.get(path) != b.get(path))
    same = sum(1 for path in a if path in b and a[path] == b[path])
    found: list[Change] = []
    room = MOST_ALL_LINES
    for path in differing[:most]:
        status = "added" if path not in a else "removed" if path not in b else "changed"
        change = _change(path, status, read, room)
        room -= change.diff.count("\n")
        found.append(change)
    return found, same


def _change(path: str, status: str, read: Callable[[int, str], bytes | None], room: int) -> Change:
    if room <= 0:
        return Change(path, status, why="there are too many differences to show them all")
    sides = []
    for number, absent in ((0, "added"), (1, "removed")):
        data = b"" if status == absent else read(number, path)
        if data is None:
            return Change(path, status, why="it is too large to compare, or a link")
        if b"\0" in data[:8192]:
            return Change(path, status, why="it is no text")
        sides.append(data.decode("utf-8", "replace").splitlines())
    old, new = sides
    if max(len(old), len(new)) > MOST_DIFF_LINES:
        return Change(path, status, why=f"it has more than {MOST_DIFF_LINES:,} lines")
    lines = list(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm="", n=CONTEXT))
    if not lines:
        why = "only its line ends or its mode differ" if status == "changed" else "it is empty"
        return Change(path, status, why=why)
    return Change(path, status, "\n".join(lines) + "\n")
