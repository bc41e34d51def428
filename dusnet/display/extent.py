"""How far a part reaches, without the points that stray from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import Points

_STRAY = 0.0005  # share of points at either end of an axis that may stray
_GAP = 0.1  # of the longest extent, between the part and a point that strays
_FEW = 100  # points among which none can be told to stray


def extent(points: Points) -> tuple[Points, Points]:
    """The corners of the box around a part, lowest and highest.

    The outermost points along an axis count only where they lie near the others, so that a stray point does not make
    the part look small.

    Args:
        points: (N, 3) float64, at least one point.
    """
    if len(points) < _FEW:
        return points.min(axis=0), points.max(axis=0)
    low = np.quantile(points, _STRAY, axis=0, method="higher")
    high = np.quantile(points, 1.0 - _STRAY, axis=0, method="lower")
    near = _GAP * float((high - low).max())
    lowest = np.where(points >= low - near, points, np.inf).min(axis=0)
    highest = np.where(points <= high + near, points, -np.inf).max(axis=0)
    return lowest, highest


def within_extent(points: Points) -> NDArray[np.bool_]:
    """Which points, (N, 3), lie in the box around the part, (N,); the others stray."""
    low, high = extent(points)
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))
