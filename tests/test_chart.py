"""Charts: right at every edge of numbers, bounded, and nothing but shapes."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from jupyter_mlrun.ui import chart

NAN = math.nan
CASES: dict[str, tuple[list[float], list[float]]] = {
    "empty": ([], []),
    "one": ([0], [1.5]),
    "all nan": ([0, 1, 2], [NAN] * 3),
    "infinite": ([0, 1], [math.inf, -math.inf]),
    "gaps": ([0, 1, 2, 3, 4], [1, NAN, 2, NAN, 3]),
    "constant": ([0, 1, 2], [7.0] * 3),
    "constant huge": ([0, 1], [1.7e308] * 2),
    "zero": ([0, 1, 2], [0.0] * 3),
    "huge": ([0, 1, 2], [-1e308, 0, 1e308]),
    "largest": ([0, 1], [-1.7976931348623157e308, 1.7976931348623157e308]),
    "tiny": ([0, 1], [0.0, 5e-324]),
    "neighbours": ([0, 1], [1.0, math.nextafter(1.0, 2.0)]),
    "negative": ([0, 1, 2], [-5, -3, -4]),
    "steps huge": ([0, 2**63], [1, 2]),
    "steps backwards": ([3, 2, 1], [1, 2, 3]),
}


def shapes(text: str) -> list[ET.Element]:
    assert not re.search(r"\b(nan|inf)\b", re.sub(r"none a finite number", "", text)), text
    return list(ET.fromstring(text).iter())


def points(text: str) -> list[tuple[float, float]]:
    path = re.search(r'<path d="([^"]*)"', text)
    assert path
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([-\d.]+),([-\d.]+)", path[1])]


@pytest.mark.parametrize("case", CASES)
def test_every_edge_is_drawn_inside_the_frame(case: str) -> None:
    x, y = CASES[case]
    drawn = chart.svg(x, y, label="a")
    shapes(drawn)
    finite = [value for value in y if math.isfinite(value)]
    if not finite:
        assert ("none a finite number" if y else "no points yet") in drawn
        return
    found = points(drawn)
    assert len(found) == len(finite)
    for px, py in found:
        assert chart.LEFT <= px <= 300 - chart.RIGHT
        assert chart.TOP <= py <= 150 - chart.BOTTOM


def test_gaps_break_the_line_and_lonely_points_are_dots() -> None:
    drawn = chart.svg(*CASES["gaps"], label="a")
    assert drawn.count("M") == 3
    assert drawn.count("<circle") == 3


@pytest.mark.parametrize("spread", [1.0, 1e308])
def test_100000_points_keep_their_peaks_in_a_bounded_path(spread: float) -> None:
    y = np.zeros(100_000)
    y[31_415], y[77_777] = spread, -spread
    y[50_000:50_100] = NAN
    drawn = chart.svg(np.arange(100_000), y, label="a")
    shapes(drawn)
    assert len(drawn) < 20_000
    band = re.search(r'points="([^"]*)"', drawn)
    assert band
    heights = [float(pair.split(",")[1]) for pair in band[1].split()]
    assert min(heights) == chart.TOP, "the highest point"
    assert max(heights) == 150 - chart.BOTTOM, "the lowest"


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-1e308, 1e308), (0, 5e-324), (3.0, 3.0), (-7, 93), (1e15, 1e15 + 2)])
def test_ticks_are_few_and_inside(ends: tuple[float, float]) -> None:
    found = chart.ticks(*ends)
    assert 1 <= len(found) <= 6
    assert all(math.isfinite(value) for value in found)
    slack = (ends[1] / 2 - ends[0] / 2) * 1e-6
    assert all(ends[0] - slack <= value <= ends[1] + slack for value in found)


def test_the_label_is_text() -> None:
    root = ET.fromstring(chart.svg([0, 1], [0, 1], label='"><script>alert(1)</script>'))
    assert root.get("aria-label") == '"><script>alert(1)</script>'
    assert "script" not in {element.tag for element in root.iter()}
