"""Finds the word that somebody probably meant; every hint "did you mean …?" is made here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 8  # more known names than this are counted, not listed


def close(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like ``name``, if any looks alike."""
    import difflib  # loads `re`, and is needed for errors only

    names = sorted(set(known))
    found = difflib.get_close_matches(name, names, n=1)
    if found:
        return found[0]
    folded = {one.casefold(): one for one in names}
    return folded.get(name.casefold())


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint for an unknown ``name``: the nearest known one, else what is known. Never empty."""
    names = sorted(set(known))
    best = close(name, names)
    if best is not None:
        return f"did you mean '{best}'?"
    if not names:
        return "there are none yet"
    more = "" if len(names) <= SHOWN else f" and {len(names) - SHOWN} more"
    return f"known: {', '.join(names[:SHOWN])}{more}"
