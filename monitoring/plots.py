"""Small plots as SVG, coloured by the page that they are on: two distributions, and intervals."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT = 360, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 8, 22
_BINS = 40
_TAIL = 0.005
"""Of each distribution so much lies in the outermost bin at either end, however far out."""
_CATEGORIES = 8
_BAR, _ROW = 7, 24
_LABEL, _LETTERS = 104, 16
_TICKS = 4


def numbers(before: pd.Series, now: pd.Series, label: str) -> str:
    """Histograms of both, one over the other; missing values are left out."""
    values = [column.dropna().to_numpy(dtype=np.float64) for column in (before, now)]
    filled = [column for column in values if len(column)]
    if not filled:
        return ""
    edges = _edges(filled)
    shares = [
        np.histogram(np.clip(column, edges[0], edges[-1]), edges)[0] / max(len(column), 1)
        for column in values
    ]
    highest = max(float(share.max()) for share in shares) or 1.0

    def x(value: float) -> float:
        return float(_LEFT + (value - edges[0]) / (edges[-1] - edges[0]) * (WIDTH - _LEFT - _RIGHT))

    def y(share: float) -> float:
        return HEIGHT - _BOTTOM - share / highest * (HEIGHT - _TOP - _BOTTOM)

    outlines = []
    for share, name in zip(shares, ("before", "now"), strict=True):
        steps = [(x(edge), y(height)) for height, ends in _bins(share, edges) for edge in ends]
        points = [(x(edges[0]), y(0)), *steps, (x(edges[-1]), y(0))]
        outlines.append(f'<polygon class="{name}" points="{_points(points)}"/>')
    ticks = "".join(
        f'<text x="{min(max(x(tick), 14), WIDTH - 14):.1f}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{_plain(tick)}</text>"
        for tick in _ticks(edges[0], edges[-1])
    )
    axis = f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>'
    return _svg(HEIGHT, label, "".join(outlines) + axis + ticks)


def categories(before: pd.Series, now: pd.Series, label: str) -> str:
    """The shares of the commonest values of either, side by side; what is missing is a value, too."""
    shares = pd.DataFrame(
        {
            "before": _named(before).value_counts(normalize=True),
            "now": _named(now).value_counts(normalize=True),
        }
    ).fillna(0.0)
    if shares.empty:
        return ""
    order = shares.max(axis=1).sort_values(ascending=False, kind="stable").index
    shown = shares.loc[order[:_CATEGORIES]]
    highest = float(shown.to_numpy().max())
    room = WIDTH - _LABEL - 48
    parts = []
    for place, (value, row) in enumerate(shown.iterrows()):
        name, was, is_, top = str(value), row["before"], row["now"], _TOP + place * _ROW
        parts.append(_label(name, top))
        for share, kind, y in ((was, "before", top), (is_, "now", top + _BAR + 1)):
            width = share / highest * room
            parts.append(f'<rect class="{kind}" x="{_LABEL}" y="{y}" width="{width:.1f}" height="{_BAR}"/>')
        end = _LABEL + max(was, is_) / highest * room
        parts.append(f'<text x="{end + 6:.1f}" y="{top + 12}">{is_:.1%}</text>')
    rest = shares.loc[order[_CATEGORIES:]].sum()
    if len(order) > _CATEGORIES:
        top = _TOP + len(shown) * _ROW
        parts.append(_label(f"{len(order) - _CATEGORIES:,} others", top))
        parts.append(f'<text x="{_LABEL}" y="{top + 12}">{rest["before"]:.1%}, now {rest["now"]:.1%}</text>')
    return _svg(_TOP + min(len(order), _CATEGORIES + 1) * _ROW, label, "".join(parts))


def interval(value: float, low: float, high: float, promised: float, ends: tuple[float, float]) -> str:
    """A value with its interval, and where it was promised to be, on a scale between `ends`."""
    width, middle = 150, 9

    def x(at: float) -> float:
        return 4 + (at - ends[0]) / ((ends[1] - ends[0]) or 1.0) * (width - 8)

    return (
        f'<svg class="interval" viewBox="0 0 {width} 18" aria-hidden="true">'
        f'<line class="promised" x1="{x(promised):.1f}" x2="{x(promised):.1f}" y1="1" y2="17"/>'
        f'<line class="whisker" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{middle}" y2="{middle}"/>'
        f'<circle class="value" cx="{x(value):.1f}" cy="{middle}" r="3.5"/></svg>'
    )


def _label(name: str, top: int) -> str:
    cut = name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "…"
    return (
        f'<text x="{_LABEL - 8}" y="{top + 12}" text-anchor="end">{html.escape(cut)}'
        f"<title>{html.escape(name)}</title></text>"
    )


def _svg(height: float, label: str, content: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{html.escape(label)}">'
        f"{content}</svg>"
    )


def _edges(filled: list[Any]) -> Any:
    least = min(float(np.quantile(column, _TAIL)) for column in filled)
    greatest = max(float(np.quantile(column, 1 - _TAIL)) for column in filled)
    whole = all(bool((column == np.round(column)).all()) for column in filled)
    if whole and greatest - least <= 2 * _BINS:
        # A bin for each number, which stands in its middle.
        return np.arange(least - 0.5, greatest + 1.0)
    if least == greatest:
        least, greatest = least - 0.5, greatest + 0.5
    return np.linspace(least, greatest, _BINS + 1)


def _bins(shares: Any, edges: Any) -> list[tuple[float, tuple[float, float]]]:
    return [
        (float(share), (float(start), float(end)))
        for share, start, end in zip(shares, edges[:-1], edges[1:], strict=True)
    ]


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _ticks(least: float, greatest: float) -> list[float]:
    """Round numbers between both ends."""
    rough = (greatest - least) / _TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [number * step for number in range(math.ceil(least / step), math.floor(greatest / step) + 1)]


def _plain(number: float) -> str:
    return f"{number:,.6g}"


def _named(column: pd.Series) -> pd.Series:
    """Values as texts, so that 1 and 1.0 are the same one."""
    return column.map(lambda value: f"{value:g}" if isinstance(value, float) else str(value)).where(
        column.notna(), "missing"
    )
