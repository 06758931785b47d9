"""The beginning of a run's log, as the reference's driver wrote it: inputs, folder, arguments as asked and as given.

Appends to ``user_logs/std_log*.txt`` before user code starts.  Standard library only (Python 3.9+).
"""

from __future__ import annotations

from typing import Any, Dict, List

from ..rundir import write_all


def arguments(spec: Dict[str, Any], paths: Dict[str, str], env: Dict[str, str]) -> List[str]:
    """The run's arguments with inputs' paths and variables of the compute put in.

    ``spec["expansions"]`` has, by place, the parts of each argument that needs it: text, ``{"input": name}`` or
    ``{"variable": name}``; a variable that is not set stays as it was written.
    """
    found = [str(argument) for argument in spec["arguments"]]
    for place, parts in (spec.get("expansions") or {}).items():
        found[int(place)] = "".join(_part(part, paths, env) for part in parts)
    return found


def _part(part: Any, paths: Dict[str, str], env: Dict[str, str]) -> str:
    if isinstance(part, str):
        return part
    if "input" in part:
        return paths[part["input"]]
    return env.get(part["variable"], f"${part['variable']}")


class Preamble:
    """Collects lines, and writes them to the logs of all ranks at once."""

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted
        self._lines: List[str] = []

    def say(self, line: str) -> None:
        """Add a line."""
        if self.wanted:
            self._lines.append(line)

    def call(self, spec: Dict[str, Any], folder: str, expanded: List[str]) -> None:
        """Say what is about to be called."""
        script = spec.get("script") or " ".join(map(str, spec.get("command") or ()))
        self.say("Entering Run History Context Manager.")
        self.say(f"Current directory:  {folder}")
        asked = [str(argument) for argument in spec["arguments"]]
        self.say(f"Preparing to call script [ {script} ] with arguments: {asked}")
        self.say(f"After variable expansion, calling script [ {script} ] with arguments: {expanded}")
        self.say("")
        self.say("Script type = None")

    def take(self) -> str:
        """What was said since it was taken last: the log has the rest already."""
        text, self._lines = self.text(), []
        return text

    def text(self) -> str:
        """What was said."""
        return "".join(line + "\n" for line in self._lines)

    def write(self, fd: int) -> None:
        """Write what was said to an open log."""
        if self._lines:
            write_all(fd, self.text().encode("utf-8", "backslashreplace"))
