"""The pictures of README and docs: there, small, with words beside them; and none that no page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
IMAGES = sorted((ROOT / "docs/images").glob("*"))
MOST_BYTES = 200_000


def shown(page: Path) -> list[tuple[Path, str | None]]:
    """The images of a page, each with its words; None for one that stands in for another."""
    text = re.sub(r"(?s)```.*?```", "", page.read_text(encoding="utf-8"))
    found: list[tuple[str, str | None]] = [
        (path, words) for words, path in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", text)
    ]
    for tag in re.findall(r"<img\b[^>]*>", text):
        named = dict(re.findall(r'([a-z]+)="([^"]*)"', tag))
        found.append((named["src"], named.get("alt", "")))
    found += [(path, None) for path in re.findall(r'<source\b[^>]*srcset="([^"]*)"', text)]
    return [((page.parent / path).resolve(), words) for path, words in found if not re.match(r"[a-z]+:", path)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_is_there(page: Path) -> None:
    for path, words in shown(page):
        assert path.is_file(), f"{page.name} shows {path.name}, which is not there: make screenshots"
        assert words is None or len(words) > 20, f"{path.name} in {page.name} has no words for those who do not see it"


def test_each_picture_is_small_and_shown() -> None:
    assert IMAGES
    everywhere = {path for page in PAGES for path, _ in shown(page)}
    for path in IMAGES:
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(data) <= MOST_BYTES
        assert path in everywhere, f"no page shows {path.name}"
