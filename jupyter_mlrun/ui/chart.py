"""A line chart as SVG: small, static, right in light and dark.  ``(points, size) → svg``; no I/O."""

from __future__ import annotations

import html
import math
import sys
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from jupyter_mlrun.store.series import buckets
from jupyter_mlrun.ui.words import number

if TYPE_CHECKING:
    from collections.abc import Sequence
from typing import Any

LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 22
MOST_POINTS = 300
Array = npt.NDArray[Any]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from *low* to *high*."""
    span = high - low
    if not math.isfinite(span) or span / count < sys.float_info.min:
        return [low]
    step = 10.0 ** math.floor(math.log10(span / count))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= count)
    first = math.ceil(low / step)
    return [round(first + i, 0) * step for i in range(int((high - first * step) / step + 1e-9) + 1)]


def svg(
    x: Sequence[float] | Array, y: Sequence[float] | Array, *, label: str, width: int = 300, height: int = 150
) -> str:
    """The chart of one series; NaN leaves a gap, many points become a band with their extremes."""
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    finite = np.isfinite(ys) & np.isfinite(xs)
    head = (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{html.escape(label, quote=True)}" class="mlr-svg">'
    )
    if not finite.any():
        words = f"{len(ys):,} values, none a finite number" if len(ys) else "no points yet"
        return (
            f'{head}<text x="{width / 2}" y="{height / 2}" text-anchor="middle" class="mlr-tick">{words}</text></svg>'
        )
    frame = _Frame(xs[finite], ys[finite], width, height)
    return head + frame.axes() + _lines(frame, xs, np.where(finite, ys, np.nan)) + "</svg>"


class _Frame:
    """From data to pixels."""

    def __init__(self, x: Array, y: Array, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.x0, self.x1 = _range(x)
        self.y0, self.y1 = _range(y)

    def px(self, x: float) -> float:
        return round(LEFT + (x - self.x0) / (self.x1 - self.x0) * (self.width - LEFT - RIGHT), 1)

    def py(self, y: float) -> float:
        part = y / 2 - self.y0 / 2  # halves, because a range of floats may be larger than a float
        return round(self.height - BOTTOM - part / (self.y1 / 2 - self.y0 / 2) * (self.height - TOP - BOTTOM), 1)

    def axes(self) -> str:
        # what the words are, where the picture is stripped from an untrusted notebook
        parts = ['<text class="mlr-sep">y axis: </text>']
        for value in ticks(self.y0, self.y1):
            at = self.py(value)
            parts.append(f'<line x1="{LEFT}" x2="{self.width - RIGHT}" y1="{at}" y2="{at}" class="mlr-grid"/>')
            parts.append(f'<text x="{LEFT - 5}" y="{at + 3}" text-anchor="end" class="mlr-tick">{value:.4g} </text>')
        parts.append('<text class="mlr-sep">; x axis: </text>')
        shown = ticks(self.x0, self.x1, 4)
        for value in shown:
            text = f'<text x="{self.px(value)}" y="{self.height - 6}" text-anchor="middle" class="mlr-tick">'
            parts.append(f"{text}{number(int(value) if value == int(value) else value)} </text>")
        return "".join(parts)


def _range(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if low / 2 == high / 2:
        pad = abs(low) / 2 or 0.5
        return low - pad, high + pad
    return low, high


def _lines(frame: _Frame, x: Array, y: Array) -> str:
    if len(x) <= MOST_POINTS:
        order = np.argsort(x, kind="stable")
        return _path(frame, x[order], y[order])
    at, low, high = buckets(x, y, MOST_POINTS // 2)
    at = np.asarray(at, dtype=float)
    seen = np.isfinite(low)
    band = [f"{frame.px(a)},{frame.py(v)}" for a, v in zip(at[seen], high[seen], strict=True)]
    band += [f"{frame.px(a)},{frame.py(v)}" for a, v in zip(at[seen][::-1], low[seen][::-1], strict=True)]
    middle = low / 2 + high / 2
    return f'<polygon points="{" ".join(band)}" class="mlr-band"/>' + _path(frame, at, middle)


def _path(frame: _Frame, x: Array, y: Array) -> str:
    parts: list[str] = []
    dots: list[str] = []
    seen = np.isfinite(y)
    for i in np.flatnonzero(seen):
        joined = i > 0 and seen[i - 1]
        at = f"{frame.px(x[i])},{frame.py(y[i])}"
        parts.append(f"{'L' if joined else 'M'}{at}")
        if not joined and not (i + 1 < len(y) and seen[i + 1]):
            dots.append(f'<circle cx="{at.partition(",")[0]}" cy="{at.partition(",")[2]}" r="2.5" class="mlr-dot"/>')
    return f'<path d="{"".join(parts)}" class="mlr-line"/>' + "".join(dots)
