"""What people say of a run, a model or a dataset after it was made: tags, properties, a name, a description.

Reads and appends to one ``*.jsonl`` file: a line per change, each written by one call under a lock, so that any
number of processes may annotate at once and who said what is kept.  Standard library only (Python 3.9+).
"""

from __future__ import annotations

import getpass
import json
import os
import time
from typing import Any, Dict, Mapping, Optional

from ..errors import BadInput, Conflict
from ..rundir import FILE_MODE, append_line, dump_json, make_folder

_NOTHING = type(None)
# what takes the place of what was said before, and of which kind it is
_LAST_WINS = {
    "display_name": (str, _NOTHING),
    "description": (str, _NOTHING),
    "snapshot": (dict, _NOTHING),
    "archived": (int, float, _NOTHING),
    "name": (str, _NOTHING),
}


def annotate(path: str, *, first: Optional[Mapping[str, str]] = None, **change: Any) -> Dict[str, Any]:
    """Append one change and return what all of them add up to.

    Args:
        path: the file; made where it is missing.
        first: properties that were there before the first note.
        change: ``tags`` and ``properties`` (mappings of text to text), ``remove_tags`` (names), ``display_name``,
            ``description``; of an experiment ``archived`` (unix seconds or None) and ``name``.

    Raises ``Conflict`` for a property that has another value already: properties are written once.
    """
    import fcntl  # notes are read on Windows, too

    make_folder(os.path.dirname(path))
    fd = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        now = read(path)
        known = {**now["properties"], **(first or {})}
        for name, value in change.get("properties", {}).items():
            if known.get(name, value) != value:
                raise Conflict(f"the property {name!r} is {known[name]!r} already", hint="use a tag, which can change")
        line = dict(change, time=time.time(), by=user())
        append_line(path, dump_json(line))
        _apply(now, line)
        return now
    finally:
        os.close(fd)


def read(path: str) -> Dict[str, Any]:
    """What the changes add up to: ``{"tags": {…}, "properties": {…}, …}``; torn lines are passed over."""
    found: Dict[str, Any] = {"tags": {}, "removed_tags": set(), "properties": {}}
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return found
    for line in lines:
        try:
            change = json.loads(line) if line.strip() else {}
            _apply(found, change)
        except (ValueError, TypeError, AttributeError):
            continue  # torn, or none of ours
    return found


def _apply(found: Dict[str, Any], change: Dict[str, Any]) -> None:
    for name in change.get("remove_tags", ()):
        found["tags"].pop(name, None)
        found["removed_tags"].add(name)
    for name, value in change.get("tags", {}).items():
        found["tags"][name] = str(value)
        found["removed_tags"].discard(name)
    for name, value in change.get("properties", {}).items():
        found["properties"].setdefault(name, str(value))
    for name, kinds in _LAST_WINS.items():
        if name in change and isinstance(change[name], kinds):
            found[name] = change[name]


def over(tags: Dict[str, str], found: Dict[str, Any]) -> Dict[str, str]:
    """The tags as they were first, with the changes of *found* applied."""
    return {**{k: v for k, v in tags.items() if k not in found["removed_tags"]}, **found["tags"]}


def texts(pairs: Any, what: str) -> Dict[str, str]:
    """Tags or properties as they are kept: text to text.  Raises ``BadInput`` for what is no mapping."""
    if not hasattr(pairs, "items"):
        raise BadInput(f"{what} are given as a dict, not as {type(pairs).__name__}", hint='like {"stage": "test"}')
    found: Dict[str, str] = {}
    for name, value in pairs.items():
        if not isinstance(name, str) or not name.strip():
            raise BadInput(f"{name!r} is no name among {what}", hint="give text")
        # what cannot be written as UTF-8 would break whoever shows it
        key, text = (part.encode("utf-8", "replace").decode() for part in (name, "" if value is None else str(value)))
        found[key] = text
    return found


def user() -> str:
    """Who we are, for people."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a uid without a name, as in containers
        return str(os.getuid())
