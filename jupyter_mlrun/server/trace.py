"""Where a run failed: the last traceback of its log, mapped to the lines of the cell and to files of its snapshot.

Pure: it is given the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.store.lines import COLOUR, clean
from jupyter_mlrun.ui.words import size

if TYPE_CHECKING:
    from jupyter_mlrun.records import RunState, Spec
    from jupyter_mlrun.server.api_runs import TraceLine

MOST_PLACES = 50  # the innermost
LONGEST = 500
_START = "Traceback (most recent call last):"
_PLACE = re.compile(r'  File "(?P<file>.+)", line (?P<line>\d{1,9})(?:, in (?P<function>.+))?$')
_CELL = re.compile(r"the cell itself, (\S+)\.$", re.MULTILINE)
_PREFIX = re.compile(r"^\[[^\]]{1,60}\]: ?")  # what launchers put before each line of a rank


def last_traceback(text: str) -> list[str]:
    """The lines of the last traceback in *text*; none where there is none."""
    lines = [COLOUR.sub("", clean(line)) for line in text.split("\n")]
    starts = [n for n, line in enumerate(lines) if _PREFIX.sub("", line).strip() == _START]
    return [_PREFIX.sub("", line) for line in lines[starts[-1] :]] if starts else []


def places_of(lines: list[str], run_folder: str, cell: str | None) -> tuple[list[TraceLine], str | None]:
    """Each place of a traceback, the outermost first, and what its last line says.

    *run_folder*: the name of the run's directory, in which its working copy was; *cell*: the file of the cell.
    """
    found: list[TraceLine] = []
    error: str | None = None
    for line in lines[1:]:
        match = _PLACE.match(line)
        if match:
            found.append(_place(match, run_folder, cell))
        elif line.startswith("    "):
            if found and not found[-1]["text"] and not set(line) <= set(" ^~"):
                found[-1]["text"] = line.strip()[:LONGEST]
        elif line.strip() and not line.startswith(" "):
            error = line.strip()[:LONGEST]
            break
    return found[-MOST_PLACES:], error


def _place(match: re.Match[str], run_folder: str, cell: str | None) -> TraceLine:
    path, number = match["file"], int(match["line"])
    _, inside, code = path.partition(f"/{RunDir(run_folder).work}/")
    inner = code if inside else None
    return {
        "file": (inner or path)[:LONGEST],
        "line": number,
        "function": (match["function"] or "")[:LONGEST],
        "text": "",
        # the script's lines are the cell's
        "cell_line": number if inner is not None and inner == cell else None,
        "code": inner,
    }


def cell_file(spec: Spec, main: str | None) -> str | None:
    """The file that is the cell; None for runs that are none.  *main*: the source of the run's script."""
    if spec.kind != "cell" or not spec.script:
        return None
    named = _CELL.search((main or "")[:2000])
    return named[1] if named else spec.script


def hints(spec: Spec, state: RunState) -> list[str]:
    """Options that may help when the run is submitted again."""
    code = state.reason.code if state.reason else ""
    if code == "out_of_memory":
        asked = spec.resources.memory
        return [f"--memory {size(2 * asked).replace(' ', '')}" if asked else "--memory 16GB"]
    if code == "time_limit" and spec.resources.time:
        return [f"--time {max(1, round(2 * spec.resources.time / 60))}m"]
    return []
