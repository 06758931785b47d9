"""What of a cell's outputs the notebook keeps, and what the log shows of them.

Pure functions and counters over Jupyter messages: reads nothing, writes nothing.
"""

from __future__ import annotations

import re
from typing import Any

TEXT, RICH, COUNT = 1 << 20, 32 << 20, 2000  # characters, characters, outputs of one cell
SHOWN = 4000  # characters of a value that the log shows
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Room:
    """How much of one cell's output still has room; a notice says where it ends."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """A cell begins, or has cleared its output."""
        self.text, self.rich, self.count = TEXT, RICH, COUNT
        self._noticed = False

    def admit(self, message: dict[str, Any]) -> bool:
        """Whether the output may be kept; text that has only partly room is cut in place."""
        content = message["content"]
        if message["msg_type"] == "error":
            return True
        self.count -= 1
        if message["msg_type"] == "stream":
            fits = self.text > 0 and self.count >= 0
            content["text"] = content["text"][: max(self.text, 0)]
            self.text -= len(content["text"])
            return fits
        size = sum(len(part) if isinstance(part, str) else len(str(part)) for part in content.get("data", {}).values())
        if size > self.rich or self.count < 0:
            return False
        self.rich -= size
        return True

    def notice(self) -> str | None:
        """What to say of the first output without room; None afterwards."""
        if self._noticed:
            return None
        self._noticed = True
        return "[… more output of this cell is not kept here; the run's log has its text …]\n"


def for_log(message: dict[str, Any], *, streams: bool) -> str:
    """The text of an output as the log shows it; *streams*: whether printed text is ours to show."""
    content, kind = message["content"], message["msg_type"]
    if kind == "stream":
        return str(content["text"]) if streams else ""
    if kind == "error":
        return plain("\n".join(content.get("traceback") or [f"{content['ename']}: {content['evalue']}"])) + "\n"
    text = content.get("data", {}).get("text/plain")
    if not isinstance(text, str):
        return ""
    cut = text if len(text) <= SHOWN else f"{text[:SHOWN]} …"
    return f"Out[{content['execution_count']}]: {cut}\n" if kind == "execute_result" else f"{cut}\n"


def plain(text: str) -> str:
    """*text* without colours."""
    return _COLOURS.sub("", text)
