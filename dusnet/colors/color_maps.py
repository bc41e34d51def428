"""Every colour that a picture, the window or a page shows.

The heat map goes from pale steel (normal) over orange and red to dark maroon (anomalous). Its lightness falls by the
same amount from step to step, so the order of two values can be read without seeing hue: in grey print and with any
kind of colour blindness.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

ANCHORS = ((220, 227, 234), (228, 204, 166), (228, 143, 70), (190, 48, 50), (84, 6, 54))  # sRGB, low to high
STEPS = 256
NEUTRAL = (176, 190, 204)
"""A surface without values."""
STRAY = (128, 128, 128)
"""Points far from all others, which are not measured."""
DEFECT, BESIDE_DEFECT, BOX = ANCHORS[3], ANCHORS[0], ANCHORS[-1]
"""A point above the point limit, every other point in the layer of defects, and the box around a defect."""
RECONSTRUCTION_OVERLAY, TRUTH_OVERLAY = (120, 168, 158), (0, 114, 178)
"""Reconstruction and ground truth where they are drawn over the heat map of the scan."""
SIGNED_ANCHORS = ((5, 48, 97), (67, 147, 195), (222, 226, 230), (214, 96, 77), (103, 0, 31))
"""Deviations: missing material is blue, excess is red. Both ends are dark, so the sign is also told by the bar."""
BACKGROUND, INK, FAINT, LINE = (255, 255, 255), (27, 32, 39), (85, 96, 108), (212, 218, 224)
"""Under a scan, of text, of text beside it, and of lines between."""
ACCENT = (11, 83, 148)
"""What is chosen, and links."""
VERDICTS = {"OK": (29, 92, 58), "NG": (140, 26, 31), "RECHECK": (107, 72, 0)}
"""Of the words; white on them has a contrast of 7 : 1."""
VERDICT_MARKS = {"OK": (47, 111, 143), "NG": (156, 28, 34), "RECHECK": (122, 82, 0)}
"""Of the marks in a chart. OK is blue: nobody has to tell red from green."""
GOOD_SCANS = (143, 163, 181)
"""Of the bars that good scans make in a chart."""

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _TO_XYZ.sum(axis=1)  # D65


def srgb_to_lab(colors: ArrayLike) -> NDArray[np.float64]:
    """From sRGB, 0 to 255, (..., 3), to CIELAB under D65, (..., 3) float64."""
    value = np.asarray(colors, dtype=np.float64) / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _TO_XYZ.T / _WHITE
    bent = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = bent[..., 0], bent[..., 1], bent[..., 2]
    return np.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1)


def lab_to_srgb(lab: NDArray[np.float64]) -> NDArray[np.uint8]:
    """From CIELAB under D65, (..., 3), to sRGB from 0 to 255, (..., 3) uint8; colours outside the gamut are clipped."""
    y = (lab[..., 0] + 16.0) / 116.0
    bent = np.stack([y + lab[..., 1] / 500.0, y, y - lab[..., 2] / 200.0], axis=-1)
    ratio = np.where(bent > 6 / 29, bent**3, 3 * (6 / 29) ** 2 * (bent - 4 / 29))
    linear = np.clip((ratio * _WHITE) @ np.linalg.inv(_TO_XYZ).T, 0.0, 1.0)
    value = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(np.clip(value, 0.0, 1.0) * 255.0).astype(np.uint8)


@lru_cache(maxsize=1)
def heat_table() -> NDArray[np.uint8]:
    """The heat map as a table, (256, 3) uint8.

    Each anchor stands where its lightness belongs on a straight line from the first to the last; between anchors,
    colours are interpolated linearly in CIELAB.
    """
    lightness = srgb_to_lab(ANCHORS)[:, 0]
    table = table_between(ANCHORS, (lightness - lightness[0]) / (lightness[-1] - lightness[0]), STEPS)
    table.setflags(write=False)
    return table


def heat_colors(values: ArrayLike, low: float, high: float) -> NDArray[np.uint8]:
    """Heat colour of each value.

    Args:
        values: (N,) scores; below `low` and above `high` they take the colour of the end.
        low: value of the palest colour.
        high: value of the darkest colour; not below `low`. With `low == high` everything above is darkest.

    Returns:
        (N, 3) uint8 sRGB. Values that are not finite are NEUTRAL for NaN and take an end for infinities.
    """
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"the range of a heat map must be finite and ascending, got {low} to {high}")
    value = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(value)
    span = max(high - low, float(np.finfo(np.float64).tiny))
    share = np.clip((np.clip(np.where(known, value, low), low, np.inf) - low) / span, 0.0, 1.0)
    colors = heat_table()[np.rint(share * (STEPS - 1)).astype(np.int64)].copy()
    colors[~known] = NEUTRAL
    return colors


def table_between(anchors: ArrayLike, places: NDArray[np.float64], steps: int) -> NDArray[np.uint8]:
    """Colours at `steps` even places from 0 to 1, (steps, 3) uint8, interpolated in CIELAB.

    Args:
        anchors: (A, 3) sRGB.
        places: (A,) ascending from 0 to 1, where each anchor stands.
        steps: rows of the table.
    """
    lab, at = srgb_to_lab(anchors), np.linspace(0.0, 1.0, steps)
    return lab_to_srgb(np.stack([np.interp(at, places, lab[:, channel]) for channel in range(3)], axis=-1))


def plain_colors(color: tuple[int, int, int], count: int) -> NDArray[np.uint8]:
    """One colour for `count` points, (count, 3) uint8, read-only."""
    return np.broadcast_to(np.array(color, dtype=np.uint8), (count, 3))


def css(color: Iterable[int]) -> str:
    """A colour as CSS and SVG write it: `#1b2027`."""
    red, green, blue = (int(value) for value in color)
    return f"#{red:02x}{green:02x}{blue:02x}"


def label_colors(labels: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """NEUTRAL where `labels` (N,) is False and the red of a defect where it is True, (N, 3) uint8."""
    return np.where(labels[:, None], np.array(DEFECT), np.array(NEUTRAL)).astype(np.uint8)
