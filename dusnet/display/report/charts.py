"""Charts as inline SVG: they print, they need no script, and their words are text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dusnet.colors.color_maps import FAINT, GOOD_SCANS, INK, LINE, VERDICT_MARKS, css
from dusnet.display.report.markup import text
from dusnet.display.scales import PointField, round_numbers
from dusnet.display.wording import grouped, number
from dusnet.words import counted

_WIDTH, _HEIGHT = 480, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 12, 30, 38
_CRISP = 'shape-rendering="crispEdges"'
_BINS = 40
_TAIL = 4.0  # widths of the colour scale that the axis of point values goes on beyond it
_BEYOND = 2.5  # times the greater of the threshold and the highest good score: where the axis of object scores ends
_INK, _FAINT, _LINE = css(INK), css(FAINT), css(LINE)


def counts_in(values: ArrayLike, edges: NDArray[np.float64]) -> NDArray[np.intp]:
    """How many finite values fall between neighbouring edges; those outside count in the first and the last bin.

    Args:
        values: any shape.
        edges: (B + 1,) ascending.

    Returns:
        (B,) counts that sum to the number of finite values.
    """
    value = np.asarray(values, dtype=np.float64).reshape(-1)
    place = np.searchsorted(edges, value[np.isfinite(value)], side="right") - 1
    return np.bincount(np.clip(place, 0, len(edges) - 2), minlength=len(edges) - 1)


@dataclass(frozen=True)
class _Axis:
    """From values to pixels; a value beyond the ends is drawn at the end."""

    low: float
    high: float
    start: float = _LEFT
    end: float = _WIDTH - _RIGHT
    logarithmic: bool = False

    def at(self, value: float) -> float:
        bent = math.log10 if self.logarithmic else float
        share = (bent(min(max(value, self.low), self.high)) - bent(self.low)) / (bent(self.high) - bent(self.low))
        return self.start + (self.end - self.start) * share

    def drawn_below(self, ticks: Sequence[float], top: float) -> list[str]:
        """Ticks with their numbers under a line at `top`."""
        parts = []
        for tick in ticks:
            parts.append(_line(self.at(tick), top, self.at(tick), top + 4, _FAINT))
            parts.append(_words(self.at(tick), top + 17, number(tick, 3), anchor="middle"))
        return parts


def color_bar(field: PointField) -> str:
    """The scale of a field with its numbers and marks, as wide as the page allows."""
    scale, width, top, thick = field.scale, 460, 24, 16
    axis = _Axis(scale.low, scale.high, 20, width - 20)
    parts = [
        f'<rect x="{axis.at(low):.2f}" y="{top}" width="{axis.at(high) - axis.at(low) + 0.4:.2f}" height="{thick}" '
        f'fill="{css(color)}" {_CRISP}/>'
        for low, high, color in zip(scale.edges[:-1].tolist(), scale.edges[1:].tolist(), scale.colors, strict=True)
    ]
    parts.append(
        f'<rect x="20" y="{top}" width="{width - 40}" height="{thick}" fill="none" stroke="{_FAINT}" stroke-width="1"/>'
    )
    parts += axis.drawn_below(scale.ticks(), top + thick)
    for mark in scale.marks:
        at = axis.at(mark.value)
        parts.append(_line(at, top - 6, at, top + thick + 2, _INK, 2.5))
        anchor = "start" if at < 110 else "end" if at > width - 110 else "middle"
        parts.append(_words(at, top - 10, f"{mark.text} {number(mark.value, 3)}", anchor=anchor, bold=True))
    unit = f" in {field.unit}" if field.unit else ""
    label = f"Colour scale of {field.name}{unit}, from {number(scale.low, 3)} to {number(scale.high, 3)}"
    return _svg(parts, label, width, top + thick + 26)


def object_chart(good: Sequence[float], score: float, threshold: float | None) -> str | None:
    """Where the score of a scan lies among those of good scans; None when there is nothing to draw.

    Args:
        good: object scores of good scans, none when the model is not calibrated.
        score: of the scan; may be infinite or NaN.
        threshold: what it was compared with.
    """
    known = [
        value for value in (*good, score, *((threshold,) if threshold is not None else ())) if math.isfinite(value)
    ]
    if not known or not (good or threshold is not None):
        return None
    usual = [value for value in (*good, threshold) if value is not None and math.isfinite(value)]
    # A score far beyond is an arrow at the end: it must not squeeze the good scans into one bar.
    low, high = min(0.0, *known, 0.0), max(usual, default=max(known)) * _BEYOND
    axis = _Axis(low, high if high > low else low + 1.0)
    edges = np.linspace(axis.low, axis.high, _BINS + 1)
    counts = counts_in(list(good), edges)
    most = max(int(counts.max()), 1)
    parts = _frame(axis, "score", "good scans")
    parts += _count_ticks(round_numbers(0, most, 3), lambda count: _up(count / most))
    parts += [
        _bar(axis.at(left), axis.at(right), count / most, css(GOOD_SCANS))
        for left, right, count in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
        if count
    ]
    if threshold is not None and math.isfinite(threshold):
        parts += _mark(axis.at(threshold), f"limit {number(threshold, 3)}", _INK, dashed=True, row=0)
    if math.isfinite(score):
        outside = score > axis.high
        arrow = " →" if outside else ""
        parts += _mark(axis.at(score), f"this scan {number(score, 3)}{arrow}", css(VERDICT_MARKS["NG"]), row=1)
    label = (
        f"Histogram of the scores of {counted(len(good), 'good scan')}. This scan scores {number(score)}."
        + (f" The limit is {number(threshold)}." if threshold is not None else "")
    )  # fmt: skip
    return _svg(parts, label)


def point_chart(field: PointField, good: Sequence[float] = ()) -> str | None:
    """How the values of all points are distributed, on a logarithmic count; None without a finite value.

    Args:
        field: the values, their colours and marks.
        good: value that one point in a thousand exceeds, for every good scan.
    """
    scale = field.scale
    if scale.banded and len(scale.colors) <= _BINS:
        edges, bars = scale.edges, len(scale.colors)
        counts = np.bincount(scale.band(field.values[np.isfinite(field.values)]), minlength=bars)
    else:
        edges = np.linspace(*_with_tail(field), _BINS + 1)
        counts = counts_in(field.values, edges)
    if not counts.sum():
        return None
    axis = _Axis(float(edges[0]), float(edges[-1]))
    decades = max(1, math.ceil(math.log10(max(int(counts.max()), 2))))
    colors = scale.paint((edges[:-1] + edges[1:]) / 2.0)
    unit = f" [{field.unit}]" if field.unit else ""
    parts = _frame(axis, f"{field.name.lower()}{unit}", "points")
    parts += _count_ticks([10.0**power for power in range(decades + 1)], lambda count: _up(_decade(count, decades)))
    parts += [
        _bar(axis.at(left), axis.at(right), _decade(count, decades), css(color), outlined=True)
        for left, right, count, color in zip(edges[:-1], edges[1:], counts.tolist(), colors, strict=True)
        if count
    ]
    if good:
        base = _up(0.0)
        parts += [
            _line(axis.at(value), base - 9, axis.at(value), base, _FAINT, 1.5)
            for value in good
            if math.isfinite(value) and axis.low <= value <= axis.high
        ]
    for row, mark in enumerate(scale.marks):
        parts += _mark(axis.at(mark.value), f"{mark.text} {number(mark.value, 3)}", _INK, dashed=True, row=row % 2)
    finite = int(counts.sum())
    return _svg(parts, f"Histogram of {field.name} over {counted(finite, 'point')}, counts on a logarithmic scale")


def _with_tail(field: PointField) -> tuple[float, float]:
    """Where the axis of a histogram ends: at the colour scale or beyond it, so that the tail of the values is seen.

    It goes on for at most `_TAIL` times the scale: one wild value must not squeeze all others into one bar.
    """
    low, high = field.scale.low, field.scale.high
    finite = field.values[np.isfinite(field.values)]
    if not len(finite):
        return low, high
    room = _TAIL * (high - low)
    return max(min(low, float(finite.min())), low - room), min(max(high, float(finite.max())), high + room)


@dataclass(frozen=True)
class TrendPoint:
    """One scan of a batch.

    Attributes:
        name: of the scan.
        score: its object score; drawn only when finite.
        threshold: what it was compared with, or None.
        status: its verdict.
        link: page to open, "" for none.
    """

    name: str
    score: float
    threshold: float | None
    status: str
    link: str = ""


def trend_chart(scans: Sequence[TrendPoint]) -> str | None:
    """The object scores of a batch in its order, logarithmic when they span more than 30 times; None with no score."""
    drawn = [scan.score for scan in scans if math.isfinite(scan.score)]
    limits = [scan.threshold for scan in scans if scan.threshold is not None and math.isfinite(scan.threshold)]
    if not drawn:
        return None
    width, height = 960, 260
    everything = [*drawn, *limits]
    logarithmic = min(everything) > 0 and max(everything) > 30 * min(everything)
    if logarithmic:
        low, high = min(everything) / 1.3, max(everything) * 1.3
    else:
        low, high = min(0.0, *everything, 0.0), max(everything) * 1.08
    bottom, right = height - _BOTTOM, width - 16
    across = _Axis(0.0, float(len(scans)), _LEFT + 14, right - 14)
    upward = _Axis(low, high if high > low else low + 1.0, bottom, 16, logarithmic)
    parts = []
    for tick in _log_ticks(low, high) if logarithmic else round_numbers(upward.low, upward.high, 4):
        parts.append(_line(_LEFT, upward.at(tick), right, upward.at(tick), _LINE))
        parts.append(_words(_LEFT - 6, upward.at(tick) + 4, number(tick, 3), anchor="end"))
    for place, scan in enumerate(scans):
        if scan.threshold is not None and math.isfinite(scan.threshold):
            level = upward.at(scan.threshold)
            parts.append(_line(across.at(place), level, across.at(place + 1), level, _INK, 1.5, "5 3"))
    if limits:
        parts.append(_words(right, upward.at(limits[-1]) - 6, "limit", anchor="end", bold=True))
    for place, scan in enumerate(scans):
        if math.isfinite(scan.score):
            parts.append(_trend_mark(scan, across.at(place + 0.5), upward.at(scan.score)))
    parts.append(_line(_LEFT, bottom, right, bottom, _FAINT))
    for place in sorted({0, len(scans) // 2, len(scans) - 1}):
        parts.append(_words(across.at(place + 0.5), bottom + 16, str(place + 1), anchor="middle"))
    under = "scan, in the order of the table"
    parts.append(_words((_LEFT + right) / 2, height - 4, under, anchor="middle", faint=True))
    kind = "logarithmic" if logarithmic else "linear"
    label = f"Scores of {counted(len(drawn), 'scan')} in the order of the table, {kind} scale"
    return _svg(parts, label, width, height, role="group")  # an image would hide the links in it


def verdict_mark(status: str, x: float, y: float) -> str:
    """A circle for OK, a square for NG, a triangle for RECHECK, around a point of a drawing."""
    color = css(VERDICT_MARKS.get(status, FAINT))
    shapes = {
        "NG": f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" fill="{color}"/>',
        "RECHECK": f'<path d="M{x:.1f} {y - 6:.1f}l6.5 11h-13z" fill="{color}"/>',
    }
    return shapes.get(status, f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{color}"/>')


def _trend_mark(scan: TrendPoint, x: float, y: float) -> str:
    words = text(f"{scan.name}: {scan.status}, {number(scan.score)}")
    inside = f"<g><title>{words}</title>{verdict_mark(scan.status, x, y)}</g>"
    return f'<a href="{text(scan.link)}" aria-label="{words}">{inside}</a>' if scan.link else inside


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [factor * 10.0**power for power in decades for factor in (1.0, 2.0, 5.0)]
    inside = [value for value in every if low <= value <= high]
    return inside if len(inside) <= 7 else [value for value in inside if f"{value:e}".startswith("1.000000")]


def _up(share: float) -> float:
    """Vertical place of a share, 0 to 1, of the tallest bar."""
    bottom = _HEIGHT - _BOTTOM
    return bottom - (bottom - _TOP - 8) * share


def _decade(count: float, decades: int) -> float:
    """Height of a count on a logarithmic axis on which a single point is still seen."""
    return (0.25 + math.log10(max(count, 1))) / (decades + 0.25)


def _frame(axis: _Axis, name: str, upward: str) -> list[str]:
    bottom = _HEIGHT - _BOTTOM
    parts = [_line(_LEFT, bottom, _WIDTH - _RIGHT, bottom, _FAINT)]
    parts += axis.drawn_below(round_numbers(axis.low, axis.high, 5), bottom)
    parts.append(_words((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 5, name, anchor="middle", faint=True))
    parts.append(
        f'<text transform="translate(13 {(_TOP + bottom) / 2:.0f}) rotate(-90)" text-anchor="middle" font-size="12" '
        f'fill="{_FAINT}">{text(upward)}</text>'
    )
    return parts


def _count_ticks(counts: Sequence[float], place: Callable[[float], float]) -> list[str]:
    parts = []
    for count in counts:
        at = place(count)
        if count == int(count) and at >= _TOP - 2:
            parts.append(_line(_LEFT, at, _WIDTH - _RIGHT, at, _LINE))
            parts.append(_words(_LEFT - 5, at + 4, grouped(int(count)), anchor="end"))
    return parts


def _bar(left: float, right: float, share: float, color: str, *, outlined: bool = False) -> str:
    top = _up(share)
    edge = f' stroke="{_FAINT}" stroke-width="0.5"' if outlined else ""
    height = _HEIGHT - _BOTTOM - top
    return (
        f'<rect x="{left + 0.5:.2f}" y="{top:.2f}" width="{max(right - left - 1, 0.5):.2f}" height="{height:.2f}" '
        f'fill="{color}"{edge}/>'
    )


def _mark(x: float, words: str, color: str, *, dashed: bool = False, row: int = 0) -> list[str]:
    """A line from the axis up, with its words above the chart in one of two rows."""
    top = 13 + 15 * row
    anchor, shift = ("end", -4) if x > _WIDTH * 0.6 else ("start", 4)
    return [
        _line(x, top - 10, x, _HEIGHT - _BOTTOM, color, 2.0, "5 3" if dashed else ""),
        f'<text x="{x + shift:.1f}" y="{top}" text-anchor="{anchor}" font-size="12" font-weight="600" fill="{color}" '
        f'stroke="#fff" stroke-width="3" paint-order="stroke">{text(words)}</text>',
    ]


def _line(x1: float, y1: float, x2: float, y2: float, color: str, width: float = 1.0, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="{width:g}"'
        f"{dashes}/>"
    )


def _words(x: float, y: float, words: str, *, anchor: str, bold: bool = False, faint: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="12"{weight} '
        f'fill="{_FAINT if faint else _INK}">{text(words)}</text>'
    )


def _svg(parts: Sequence[str], label: str, width: int = _WIDTH, height: int = _HEIGHT, *, role: str = "img") -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="{role}" aria-label="{text(label)}" class="chart">'
        f"{''.join(parts)}</svg>"
    )
