"""Which points of a big scan are drawn: those that matter, and a selection of the rest; and how big a point is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import Points
from dusnet.display.extent import within_extent
from dusnet.geometry.sampling import thin_to

_SAMPLE = 2000  # points whose neighbours are looked for


def shown_points(
    points: Points,
    flagged: NDArray[np.bool_],
    most: int,
    most_flagged: int,
    *,
    select: Callable[[Points, int], NDArray[np.intp]] | None = None,
) -> NDArray[np.intp]:
    """Index of the points that are drawn, ascending; the same for the same input.

    Args:
        points: (N, 3) float64, any unit.
        flagged: which points must not be thinned away, (N,).
        most: the most that are drawn.
        most_flagged: of these, flagged ones; with more, they are thinned evenly too.
        select: takes so many of the other points; `evenly` when None.

    Returns:
        All points where there are at most `most`; otherwise the flagged ones and a selection of the others.
    """
    if len(points) <= most:
        return np.arange(len(points))
    inside, outside = np.flatnonzero(flagged), np.flatnonzero(~flagged)
    if len(inside) > most_flagged:
        inside = inside[thin_to(points[inside], most_flagged)]
    others = outside[(select or evenly)(points[outside], most - len(inside))]
    return np.sort(np.concatenate([inside, others]))


def highest(scores: NDArray[np.float64] | None, points: int, count: int) -> NDArray[np.bool_]:
    """Which of so many points have the `count` highest scores, (points,); none without scores. NaN is the lowest."""
    mask = np.zeros(points, dtype=np.bool_)
    if scores is not None and points > count:
        ranked = np.nan_to_num(scores, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        mask[np.argpartition(-ranked, count)[:count]] = True
    return mask


def evenly(points: Points, count: int) -> NDArray[np.intp]:
    """Index of about `count` points that are spread evenly over a part, never more; all if there are fewer.

    Points that stray are not among the few: the thinning would be as coarse as they are far away.
    """
    if len(points) <= count:
        return np.arange(len(points))
    near = np.flatnonzero(within_extent(points))
    return near[thin_to(points[near], count)]


def drawn_lots(points: Points, count: int) -> NDArray[np.intp]:
    """Index of `count` points by lot, the same for the same number of points: at once, also of a million."""
    return np.random.default_rng(0).choice(len(points), count, replace=False)


def spacing(points: Points) -> float:
    """How big a point must be to touch its neighbours: the median distance to the fourth nearest."""
    from scipy.spatial import cKDTree

    sample = points[np.linspace(0, len(points) - 1, min(len(points), _SAMPLE)).astype(np.intp)]
    distance, _ = cKDTree(points).query(sample, k=[min(5, len(points))])
    typical = float(np.median(distance))
    return typical if typical > 0.0 else 0.01
