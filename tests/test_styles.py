"""Colours are the theme's: what is written down is what holds where there is no theme, and what has no colour."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STYLE = Path(__file__).parent.parent / "labextension/style"
# where no Jupyter theme is; a page before its script has come; colours that tell runs apart; a terminal's
OWN = re.compile(r"--host-|^\.mlr-standalone|^@media .* \.mlr-standalone|--mlr-run-\d|--a\d+:")
COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}\b|\b(?:rgba?|hsla?|oklch|lab)\([^)]*\)")
# shadows, a chequered ground, and what is mixed into a theme's colour
WITHOUT_HUE = re.compile(r"#(?:000|fff)\Z|rgb\((?:0 0 0|128 128 128) / \d+%\)\Z")


def written(text: str) -> list[str]:
    lines = (line.strip() for line in re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).splitlines())
    return [
        f"{colour} in {line[:80]}"
        for line in lines
        if not OWN.search(line)
        for colour in COLOUR.findall(line)
        if not WITHOUT_HUE.match(colour)
    ]


@pytest.mark.parametrize("path", sorted(STYLE.rglob("*.css")), ids=lambda path: path.name)
def test_colours_are_the_themes(path: Path) -> None:
    assert written(path.read_text(encoding="utf-8")) == []


def test_a_colour_of_our_own_is_found() -> None:
    assert len(written("a { color: #123456; }\nb { background: rgb(1 2 3); }\n/* #abc */\nc { color: #fff; }")) == 2
