"""What colours mean: the values of points, the scale that paints them, and the marks on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dusnet.colors.color_maps import NEUTRAL, SIGNED_ANCHORS, heat_table, table_between
from dusnet.colors.deviation_bands import COLORS, DeviationBands

HEAT_STEPS = 48
"""Colours of a continuous scale on a page: neighbours differ by less than an eye can tell."""
_SIGNED_STEPS = 48
_TICK_ROOM = 0.09  # of the bar: what a number of five digits needs


@dataclass(frozen=True)
class ScaleMark:
    """A value that is drawn as a line across the colour bar.

    Attributes:
        value: where.
        text: what it is, two or three words.
    """

    value: float
    text: str


@dataclass(frozen=True)
class ColorScale:
    """Bands of values and the colour of each; a continuous scale is one of many narrow bands.

    Attributes:
        edges: limits of the bands, (K + 1,) float64 ascending; what lies outside takes the colour of the end.
        colors: one per band, (K, 3) uint8 sRGB.
        marks: values to point out, such as a threshold or tolerances.
        banded: whether the bands have a meaning of their own, so that the bar writes their edges. A value on an edge
            is in the band above it.
        remark: where the ends of the scale come from.
        bands: says itself which band a value is in, as in the scored cloud; None takes the edges.
    """

    edges: NDArray[np.float64]
    colors: NDArray[np.uint8]
    marks: tuple[ScaleMark, ...] = ()
    banded: bool = False
    remark: str = ""
    bands: DeviationBands | None = None

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.colors) + 1 or len(self.colors) < 1:
            raise ValueError(f"{len(self.colors)} bands need one edge more, got {len(self.edges)}")
        if not (np.isfinite(self.edges).all() and (np.diff(self.edges) > 0).all()):
            raise ValueError("the edges of a color scale must be finite and ascending")

    @property
    def low(self) -> float:
        """Value of the first edge."""
        return float(self.edges[0])

    @property
    def high(self) -> float:
        """Value of the last edge."""
        return float(self.edges[-1])

    @property
    def signed(self) -> bool:
        """Whether values of either sign are far from normal."""
        return self.low < 0.0 < self.high

    def band(self, values: ArrayLike) -> NDArray[np.intp]:
        """The band of each value, (N,): 0 to K - 1, and K for NaN."""
        if self.bands is not None:
            return self.bands.number(values)
        value = np.asarray(values, dtype=np.float64)
        found = np.clip(np.searchsorted(self.edges, value, side="right") - 1, 0, len(self.colors) - 1)
        return np.where(np.isnan(value), len(self.colors), found)

    def paint(self, values: ArrayLike) -> NDArray[np.uint8]:
        """The colour of each value, (N, 3) uint8; NEUTRAL for NaN."""
        return np.vstack([self.colors, np.array(NEUTRAL, dtype=np.uint8)])[self.band(values)]

    def ticks(self) -> list[float]:
        """Values to write under the bar: the edges of a few bands that mean something, else round numbers.

        Edges that would be written over a mark are left out.
        """
        if self.banded and len(self.edges) <= 12:
            room = _TICK_ROOM * (self.high - self.low)
            marks = [mark.value for mark in self.marks]
            return [float(edge) for edge in self.edges if not any(0 < abs(edge - mark) < room for mark in marks)]
        return round_numbers(self.low, self.high, 5)


@dataclass(frozen=True)
class PointField:
    """One number per point that the page can paint the scan with.

    Attributes:
        name: for people: "Anomaly score".
        values: (N,) float32, NaN where unknown.
        scale: how it is painted.
        unit: of the values, "" for none.
        explanation: one sentence under the colour bar.
    """

    name: str
    values: NDArray[np.float32]
    scale: ColorScale
    unit: str = ""
    explanation: str = ""


def heat_range(values: Sequence[NDArray[Any]], threshold: float | None = None) -> tuple[float, float]:
    """Low and high of a heat map that shows all scans on one scale.

    Low is 0, or the smallest value when it is negative. High is twice the threshold when one is known, so that half of
    the colours are for normal points whatever the scan; otherwise the value that 99.8 % of the points stay below.

    Args:
        values: scores of each scan, (N,); what is not finite does not count.
        threshold: point score above which a point is part of a defect.
    """
    finite = [scores[np.isfinite(scores)] for scores in values]
    everything = np.concatenate(finite).astype(np.float64) if finite else np.zeros(0)
    if not len(everything):
        return 0.0, 1.0
    low = min(0.0, float(everything.min()))
    high = float(np.quantile(everything, 0.998)) if threshold is None else 2.0 * threshold
    return (low, high) if high > low else (low, low + 1.0)


def heat_scale(
    low: float, high: float, marks: tuple[ScaleMark, ...] = (), remark: str = "", *, neutral: float = -math.inf
) -> ColorScale:
    """The heat map from `low` to `high`; values up to `neutral` are grey."""
    high = high if high > low else low + 1.0
    table = heat_table()
    rows = np.linspace(0, len(table) - 1, HEAT_STEPS).round().astype(int)
    edges = np.linspace(low, high, HEAT_STEPS + 1)
    return ColorScale(*_greyed(edges, table[rows], neutral), marks, remark=remark)


def signed_scale(
    limit: float, marks: tuple[ScaleMark, ...] = (), remark: str = "", *, neutral: float = 0.0
) -> ColorScale:
    """Blue for negative, grey for nothing, red for positive values, the same way both sides.

    Args:
        limit: value of the darkest red; the darkest blue is its negative.
        marks: values to point out.
        remark: where the limit comes from.
        neutral: values up to it, either way, are grey.
    """
    colors = table_between(SIGNED_ANCHORS, np.linspace(0.0, 1.0, len(SIGNED_ANCHORS)), _SIGNED_STEPS)
    edges = np.linspace(-limit, limit, _SIGNED_STEPS + 1)
    if neutral > 0.0:
        edges, colors = _greyed(edges, colors, neutral, -neutral)
    return ColorScale(edges, colors, marks, remark=remark)


def _greyed(
    edges: NDArray[np.float64], colors: NDArray[np.uint8], high: float, low: float = -math.inf
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Edges and colours of bands that are grey from `low` to `high`; these become edges, so that no band is both."""
    inside = [value for value in (low, high) if edges[0] < value < edges[-1]]
    cut = np.unique(np.concatenate([edges, inside]))
    middle = (cut[:-1] + cut[1:]) / 2.0
    painted = colors[np.clip(np.searchsorted(edges, middle, side="right") - 1, 0, len(colors) - 1)]
    grey = (middle >= low) & (middle <= high)
    return cut, np.where(grey[:, None], np.array(SIGNED_ANCHORS[2], dtype=np.uint8), painted)


def round_limit(values: NDArray[np.float32], share: float = 0.998) -> float:
    """The round number (1, 2 or 5 times a power of ten) that this share of the absolute values stays below."""
    finite = np.abs(values[np.isfinite(values)].astype(np.float64))
    most = float(np.quantile(finite, share)) if len(finite) else 0.0
    return next(step for step in _round_steps(most) if step >= most * (1.0 - 1e-9)) if most > 0.0 else 1.0


def round_below(value: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is at most a positive `value`.

    Example:
        >>> [round_below(value) for value in (45.0, 0.1999, 1.0)]
        [20.0, 0.1, 1.0]
    """
    return max(step for step in _round_steps(value) if step <= value * (1.0 + 1e-9))


def round_numbers(low: float, high: float, count: int) -> list[float]:
    """About `count` multiples of 1, 2 or 5 times a power of ten from `low` to `high`.

    Example:
        >>> round_numbers(0.0, 1.0, 5)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    span = high - low
    if not (math.isfinite(span) and span > 0.0):
        return [low]
    step = next(step for step in _round_steps(span / count) if span / step <= count * 1.2)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(number * step, digits) + 0.0 for number in range(first, last + 1)]


def _round_steps(value: float) -> tuple[float, ...]:
    """1, 2, 5 and 10 times the power of ten at or below a positive value."""
    power = 10.0 ** math.floor(math.log10(value))
    return (power, 2.0 * power, 5.0 * power, 10.0 * power)


def banded_scale(bands: DeviationBands) -> ColorScale:
    """The bands of a comparison with a CAD model; the outermost ones, which have no end, are drawn a tolerance wide."""
    edges = bands.edges
    return ColorScale(
        np.array([edges[0] - bands.minus, *edges, edges[-1] + bands.plus]),
        np.array(COLORS, dtype=np.uint8),
        (ScaleMark(-bands.minus, "limit"), ScaleMark(bands.plus, "limit")),
        banded=True,
        remark="Bands at half, one (marked), two and three tolerances.",
        bands=bands,
    )
