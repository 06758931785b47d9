"""Says a thing once: warnings that a loop, a listing or a cell that is run again must not repeat.

Writes to standard error; in a notebook, which shows that in red, what is no warning goes to standard output.
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
    """Write *text*, which is no warning, unless this process has written the same before."""
    if text not in _said:
        _said.add(text)
        print(text, file=sys.stdout if _in_notebook() else sys.stderr)


def _in_notebook() -> bool:
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "kernel", None) is not None


def forget() -> None:
    """Say everything again: for tests."""
    _said.clear()
