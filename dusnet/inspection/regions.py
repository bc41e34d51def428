"""Points above the threshold, grouped into connected regions with place, size and severity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import Points

NEIGHBORS = 12
"""Nearest flagged points that a flagged point may be joined to."""
SPACING_NEIGHBOR = 6
"""The distance to this neighbour measures how densely the surface was scanned around a point."""
LINK = 2.0
"""Two flagged points are joined when they are at most this many spacings apart."""
SPARSE = 4.0
"""A spacing above this many times the scan's median is that of an outlier and counts no further."""


class DefectKind(str, Enum):
    """What a defect looks like."""

    PROTRUSION = "protrusion"
    DEPRESSION = "depression"
    MISSING_MATERIAL = "missing_material"
    DEFORMATION = "deformation"


@dataclass(frozen=True)
class Region:
    """One connected group of points above the point limit. Lengths are in the scan's unit, places in its pose.

    Attributes:
        center: mean of the region's points, (3,).
        size: extents along the region's own principal axes, longest first, (3,); the last one is its depth when the
            region is flat.
        axes: these axes as rows, unit vectors, right-handed, (3, 3).
        low: smallest x, y and z, (3,).
        high: largest x, y and z, (3,).
        point_count: points in the region.
        peak_score: highest point score.
        peak_point: where it is, (3,).
        mean_score: mean point score.
        area: estimated surface, unit squared: each point stands for the area that its neighbours leave it.
        severity: sum over the points of (score - threshold) * area, of missing material plus the mean excess of the
            points around it times its area; what regions are sorted by.
        peak_deviation: the deviation that is largest in absolute value, with its sign, or None.
        mean_deviation: mean deviation, or None.
        gap: of missing material the largest distance from where it should be to the scan, else None.
        indices: which points of the scan, (point_count,) ascending.
        volume: between the scan and the good surface, unit cubed, signed as the deviation, or None.
        kind: what it looks like, None when nobody can say.
    """

    center: NDArray[np.float64]
    size: NDArray[np.float64]
    axes: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    point_count: int
    peak_score: float
    peak_point: NDArray[np.float64]
    mean_score: float
    area: float
    severity: float
    peak_deviation: float | None
    mean_deviation: float | None
    indices: NDArray[np.intp]
    gap: float | None = None
    kind: DefectKind | None = None
    volume: float | None = None


def minimum_region(count: int) -> int:
    """Points below which a group is a speck: 5, or one in ten thousand points of the scan when that is more."""
    return max(5, math.ceil(count / 10_000))


def _spacing(points: Points, chosen: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """How densely the surface was scanned.

    Returns:
        Per chosen point the distance to its 6th neighbour, limited for outliers, and the area that the point stands
        for; and the median of that distance over the scan.
    """
    from scipy.spatial import cKDTree

    rank = min(SPACING_NEIGHBOR + 1, len(points))
    sample = points[np.linspace(0, len(points) - 1, min(len(points), 4000)).astype(np.intp)]
    places, copies, tree = points, np.ones(len(chosen)), cKDTree(points)
    typical = tree.query(sample, k=[rank])[0][:, 0]
    if not typical.all():  # so many copies of one place that they hide its neighbours
        places, back, counts = np.unique(points, axis=0, return_inverse=True, return_counts=True)
        copies = counts[back.reshape(-1)[chosen]].astype(np.float64)
        rank, tree = min(SPACING_NEIGHBOR + 1, len(places)), cKDTree(places)
        typical = tree.query(sample, k=[rank])[0][:, 0]
    median = float(np.median(typical))
    local = np.minimum(tree.query(points[chosen], k=[rank])[0][:, 0], SPARSE * median)
    return local, math.pi * local**2 / max(rank - 1, 1) / copies, median


def usual_spacing(points: Points) -> float:
    """Median distance of the points, (N, 3), to their 6th neighbour; copies of one place count once."""
    return _spacing(points, np.empty(0, dtype=np.intp))[2]


def surface_area(points: Points) -> float:
    """Area of the surface that evenly scattered points stand for, (N, 3), the unit squared."""
    _, area, _ = _spacing(points, np.arange(len(points)))
    return float(area.sum())


def linked(points: Points, reach: NDArray[np.float64]) -> NDArray[np.intp]:
    """Connected components of the k-NN graph within reach, numbered by the first point of each.

    Args:
        points: (n, 3) float64.
        reach: how far each of them may be from a point that it is joined to, (n,).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    # Copies of one place would fill the neighbour lists and cut the place off from its surroundings.
    places, first, back = np.unique(points, axis=0, return_index=True, return_inverse=True)
    back = back.reshape(-1)
    place_reach = np.zeros(len(places))
    np.maximum.at(place_reach, back, reach)
    neighbors = min(NEIGHBORS + 1, len(places))
    distance, index = cKDTree(places).query(places, k=list(range(1, neighbors + 1)))
    row = np.repeat(np.arange(len(places)), neighbors)
    column = index.reshape(-1)
    joined = distance.reshape(-1) <= np.maximum(place_reach[row], place_reach[column])
    size = len(places)
    graph = coo_array((np.ones(int(joined.sum()), dtype=np.int8), (row[joined], column[joined])), shape=(size, size))
    _, found = connected_components(graph, directed=False)
    earliest = np.full(int(found.max()) + 1, len(points), dtype=np.intp)
    np.minimum.at(earliest, found, first)
    number = np.empty(len(earliest), dtype=np.intp)
    number[np.argsort(earliest)] = np.arange(len(earliest))
    labels: NDArray[np.intp] = number[found][back]
    return labels


def components(points: Points, mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Number the connected groups of the marked points.

    Two marked points are joined when one is among the 12 nearest marked points of the other and they are at most two
    spacings apart; the spacing is the distance to the 6th neighbour in the whole scan, between once and four times
    its median (so sparse parts of a scan still hold together and outliers do not bridge gaps).

    Args:
        points: (N, 3) float64, the scan's unit.
        mask: the points to group, (N,) bool.

    Returns:
        (N,) int: the group of a marked point, numbered from 0 by its first point, and -1 elsewhere.
    """
    if points.ndim != 2 or points.shape[1] != 3 or mask.shape != (len(points),):
        raise ValueError(f"points must be (N, 3) and mask (N,), got {points.shape} and {mask.shape}")
    number = np.full(len(points), -1, dtype=np.intp)
    chosen = np.flatnonzero(mask)
    if len(chosen):
        local, _, median = _spacing(points, chosen)
        number[chosen] = linked(points[chosen], LINK * np.maximum(local, median))
    return number


def extents(points: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Extents along the principal axes, longest first, (3,), and these axes as rows, right-handed, (3, 3)."""
    centered = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(centered.T @ centered)
    along = np.ptp(centered @ axes.T, axis=0)
    order = np.argsort(-along, kind="stable")
    axes = axes[order]
    # The first component that is not tiny decides the sign, so that equal regions have equal axes.
    for axis in axes:
        axis *= np.sign(axis[np.argmax(np.abs(axis) > 1e-6)])
    axes[2] *= np.sign(np.linalg.det(axes))
    return along[order], axes


def find_regions(
    points: Points,
    point_scores: NDArray[Any],
    threshold: float,
    *,
    deviation: NDArray[Any] | None = None,
    limit: int | None = None,
    min_points: int | None = None,
) -> list[Region]:
    """The connected regions of points that score above `threshold`, worst first.

    Groups of fewer than `min_points` points are specks and dropped.

    Args:
        points: (N, 3) float64, the scan's unit.
        point_scores: (N,), higher is more anomalous.
        threshold: the point limit; a point counts when its score is greater.
        deviation: (N,) how far each point is outside of where it should be, the scan's unit; reported per region when
            given.
        limit: return at most this many regions; None for all.
        min_points: see above; None takes `minimum_region(N)`: 5, or N / 10000 when that is more.

    Returns:
        Regions sorted by `severity`, greatest first.

    Raises:
        ValueError: shapes do not match, a score is NaN, or `limit` is negative.
    """
    count = len(points)
    scores = np.asarray(point_scores, dtype=np.float64)
    moved = None if deviation is None else np.asarray(deviation, dtype=np.float64)
    if scores.shape != (count,) or (moved is not None and moved.shape != (count,)):
        got = scores.shape if moved is None else (scores.shape, moved.shape)
        raise ValueError(f"point_scores and deviation must be ({count},), got {got}")
    if np.isnan(scores).any() or np.isnan(threshold):
        raise ValueError("point_scores and threshold must not be NaN")
    if limit is not None and limit < 0:
        raise ValueError(f"limit must not be negative, got {limit}")
    chosen = np.flatnonzero(scores > threshold)
    if not len(chosen):
        return []
    least = minimum_region(count) if min_points is None else min_points
    local, area, median = _spacing(points, chosen)
    number = linked(points[chosen], LINK * np.maximum(local, median))
    order = np.argsort(number, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    regions = [
        _region(points, scores, threshold, moved, chosen[group], area[group]) for group in groups if len(group) >= least
    ]
    regions.sort(key=lambda region: (-region.severity, -region.peak_score))
    return regions[:limit]


def region_at(
    points: Points,
    point_scores: NDArray[Any],
    threshold: float,
    indices: NDArray[np.intp],
    *,
    deviation: NDArray[Any] | None = None,
) -> Region:
    """The region that some points make, connected or not; arguments as in `find_regions`, `indices` (n,) ascending."""
    _, area, _ = _spacing(points, indices)
    scores = np.asarray(point_scores, dtype=np.float64)
    moved = None if deviation is None else np.asarray(deviation, dtype=np.float64)
    return _region(points, scores, threshold, moved, indices, area)


def _region(
    points: Points,
    scores: NDArray[np.float64],
    threshold: float,
    deviation: NDArray[np.float64] | None,
    indices: NDArray[np.intp],
    area: NDArray[np.float64],
) -> Region:
    mine, own = points[indices], scores[indices]
    moved = None if deviation is None else deviation[indices]
    size, axes = extents(mine)
    peak = int(np.argmax(own))
    return Region(
        center=mine.mean(axis=0),
        size=size,
        axes=axes,
        low=mine.min(axis=0),
        high=mine.max(axis=0),
        point_count=len(indices),
        peak_score=float(own[peak]),
        peak_point=mine[peak].copy(),
        mean_score=float(own.mean()),
        area=float(area.sum()),
        severity=float(((own - threshold) * area).sum()),
        peak_deviation=None if moved is None else float(moved[np.argmax(np.abs(moved))]),
        mean_deviation=None if moved is None else float(moved.mean()),
        indices=indices,
    )
