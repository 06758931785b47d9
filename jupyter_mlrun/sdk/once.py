"""Says a thing once: warnings that a loop, a listing or a cell that is run again must not repeat.

Writes to standard error.
"""

from __future__ import annotations

import sys

_said: set[str] = set()


def warn(text: str) -> None:
    """Write *text* as a warning, unless this process has written the same before."""
    if text not in _said:
        _said.add(text)
        print(f"warning: {text}", file=sys.stderr)


def tell(text: str) -> None:
    """Write *text*, unless this process has written the same before."""
    if text not in _said:
        _said.add(text)
        print(text, file=sys.stderr)


def forget() -> None:
    """Say everything again: for tests."""
    _said.clear()
