"""The documents that the project comes from, and real data for tests: they lie beside the checkout, not in it."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FENCE = "```"


def shared(*parts: str) -> Path:
    """A path in the folder ``shared`` beside this checkout, or beside the one that it was cloned from."""
    for folder in (*ROOT.parents, *_origin().parents):
        path = folder.joinpath("shared", *parts)
        if path.exists():
            return path
    pytest.skip(f"no {'/'.join(('shared', *parts))} beside the checkout: these documents and data are not part of it")


def _origin() -> Path:
    asked = ["git", "-C", str(ROOT), "config", "remote.origin.url"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return Path(said.removeprefix("file://")) if said.startswith(("/", "file:///")) else ROOT


def code_blocks(document: Path, language: str = "python") -> list[str]:
    """The code of a Markdown document, block by block, without the indentation of the list that it stands in."""
    blocks: list[str] = []
    lines: list[str] | None = None
    for line in document.read_text(encoding="utf-8").splitlines():
        word = line.strip()
        if lines is None:
            if word == FENCE + language:
                lines = []
        elif word == FENCE:
            blocks.append(textwrap.dedent("\n".join(lines)) + "\n")
            lines = None
        else:
            lines.append(line)
    return blocks


def block_with(document: Path, *words: str) -> str:
    """The first block of code that has all of *words*."""
    return next(block for block in code_blocks(document) if all(word in block for word in words))
