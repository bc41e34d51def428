"""Which points of a scan a page carries: all of its defects, and the rest evenly thinned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import Points
from dusnet.display.extent import within_extent
from dusnet.geometry.sampling import thin_to

MOST_POINTS = 80_000
"""Points of the scan on a page: two and a half megabytes, and a browser without a graphics card still turns them."""
MOST_DEFECT_POINTS = 50_000
"""Of these, points of regions; with more, the regions are thinned too."""
MOST_RECONSTRUCTION_POINTS = 20_000


def shown_points(points: Points, regions: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
    """Index of the points that the page shows, ascending.

    Args:
        points: (N, 3) float64, any unit.
        regions: the points of each region, (R,) indices each.

    Returns:
        All points where there are at most `MOST_POINTS`. Otherwise every point of the regions (thinned evenly when
        they are more than `MOST_DEFECT_POINTS`) and an even selection of the others, `MOST_POINTS` at most in all.
    """
    if len(points) <= MOST_POINTS:
        return np.arange(len(points))
    flagged = np.zeros(len(points), dtype=bool)
    for region in regions:
        flagged[region] = True
    inside, outside = np.flatnonzero(flagged), np.flatnonzero(~flagged)
    if len(inside) > MOST_DEFECT_POINTS:
        inside = inside[thin_to(points[inside], MOST_DEFECT_POINTS)]
    others = outside[evenly(points[outside], MOST_POINTS - len(inside))]
    return np.sort(np.concatenate([inside, others]))


def evenly(points: Points, count: int) -> NDArray[np.intp]:
    """Index of about `count` points that are spread evenly over a part, never more; all if there are fewer.

    Points that stray are not among the few: the thinning would be as coarse as they are far away.
    """
    if len(points) <= count:
        return np.arange(len(points))
    near = np.flatnonzero(within_extent(points))
    return near[thin_to(points[near], count)]
