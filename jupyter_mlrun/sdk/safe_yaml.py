"""YAML of strangers: plain values only, with nothing that runs code, swells or nests without end.

Reads YAML files; writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, NotFound

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 1_000_000  # characters; the largest environments that people share are a hundredth of that
DEEPEST = 40
MOST_PARTS = 20_000  # brackets, commas and lines: a parser takes some 50 microseconds for each
_PLAIN = "only plain YAML is read: text, numbers, lists, maps"


def read_text(path: Path) -> str:
    """The text of a file that a user named; ``NotFound`` or ``BadInput`` where it cannot be had."""
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{path} has more than {LARGEST:,} bytes", hint="give the file that lists the packages")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as problem:
        raise NotFound(f"{path} does not exist", hint=f"it was looked for at {path.absolute()}") from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise BadInput(f"{path} cannot be read: {problem}", hint="give a file with text in UTF-8") from problem


def load(text: str, where: str) -> dict[str, Any]:
    """The mapping that the YAML document *text* holds.

    Raises ``BadInput`` that names *where* for anything else: Python tags, anchors, lists, broken text.
    """
    import yaml

    if len(text) > LARGEST:
        raise BadInput(f"{where} has more than {LARGEST:,} characters")
    if sum(map(text.count, "[{,\n")) > MOST_PARTS:
        raise BadInput(f"{where} has more than {MOST_PARTS:,} lines and values", hint="list only what is needed")
    try:
        _look_through(text, where)
        found = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        said = getattr(problem, "problem", None) or str(problem).partition("\n")[0]
        raise BadInput(
            f"{where}{line}: {said}", hint="only plain YAML is read: text, numbers, lists, maps"
        ) from problem
    except (ValueError, TypeError, RecursionError) as problem:  # an impossible date, a list as a key
        raise BadInput(f"{where}: {problem}", hint=_PLAIN) from problem
    if not isinstance(found, dict):
        raise BadInput(f"{where} holds no mapping", hint="it has lines like `dependencies:`")
    return found


def _look_through(text: str, where: str) -> None:
    """Refuse what could swell or overflow, before anything is built of it."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadInput(
                f"{where} line {line}: anchors and aliases are not read",
                hint="write the value out where it is used",
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise BadInput(f"{where} line {line}: nested more than {DEEPEST} levels deep")


def dump(value: dict[str, Any]) -> str:
    """*value* as block YAML, keys in their order."""
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False))
