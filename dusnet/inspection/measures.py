"""The measures of a defect, from the scan and the good surface alone: place, size, depth, area and volume.

A score says where to look; it takes no part in what is measured. A defect is the connected points around the region
whose deviation is beyond a tenth of the depth and beyond what noise explains. Its depth is a robust extreme, its area
that of the good surface below it, its volume the sum of deviation times area. Deviations count from the surface around
the defect, since a good part may lie a little off there, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.cells import cell_areas
from dusnet.geometry.neighbors import Neighbors
from dusnet.inspection.regions import LINK, SPACING_NEIGHBOR, SPARSE, DefectKind, Region, extents, linked

if TYPE_CHECKING:
    from dusnet.cloud import Points
    from dusnet.detectors.base import Scores

Floats = NDArray[np.float64]
Index = NDArray[np.intp]

SMOOTHED = 8
"""Nearest points, itself included, whose mean deviation decides whether a point belongs to a defect."""
EDGE = 0.1
"""Share of the depth at which a defect ends."""
OWN = 0.02
"""Share of the depth that a point of a defect deviates by itself: the mean reaches past a sharp edge."""
NOISE = 2.0
"""Standard deviations of the smoothed deviation around a defect at which it ends where that is more."""
NOISE_ALL = 3.0
"""The same of the whole scan, before it is known what lies around the defect."""
MOST_NOISE = 0.5
"""Share of the depth that the noise lets a defect end at most."""
DEEPEST = 0.02
"""Share of the points whose mean is the depth."""
LEAST_DEEPEST = 3
LONELY = 4.0
"""Standard deviations of the noise by which a stray point lies beyond what its neighbours lead to."""
REACH = 4.0
"""Spacings past the region within which a defect may end; or half of the region's length, where that is more."""
AROUND = 48
"""Points around a defect that tell how the good surface lies there, at least; else as many as the defect has."""
PASSES = 2
INSET = 0.35
"""Spacings by which missing material ends before the nearest points of the scan."""
TO_DEVIATION = 1.4826
"""From the median of absolute values to a standard deviation."""
_RIVALS = 64


@dataclass(frozen=True)
class MeasuredScan:
    """A scan beside its good surface.

    Attributes:
        points: the scan, (N, 3) float64, its own unit and pose.
        deviation: of every point, (N,) float64, positive outside.
        feet: where a good part would have every point, (N, 3) float64; areas are measured there.
    """

    points: Points
    deviation: Floats
    feet: Points

    @classmethod
    def of(cls, points: Points, scores: Scores) -> MeasuredScan | None:
        """What a detector says of a scan, (N, 3); None where it measures no deviation."""
        if scores.deviation is None:
            return None
        feet = points if scores.feet is None else scores.feet
        if scores.stray is not None:
            feet = np.where(scores.stray[:, None], points, feet)
        return cls(points, scores.deviation.astype(np.float64), feet)

    @cached_property
    def search(self) -> Neighbors:
        """The feet, prepared for searches."""
        return Neighbors(self.feet)

    @cached_property
    def _near(self) -> tuple[Floats, Index]:
        return self.search.knn(self.feet, min(SMOOTHED + 1, len(self.feet)))

    @cached_property
    def spacing(self) -> Floats:
        """Distance of every point to its 6th neighbour, limited for outliers, (N,)."""
        distance = self._near[0][:, min(SPACING_NEIGHBOR, self._near[0].shape[1] - 1)]
        median = float(np.median(distance))
        return np.clip(distance, median, SPARSE * median)

    @cached_property
    def smooth(self) -> Floats:
        """Mean deviation of the nearest points of each, (N,)."""
        return np.asarray(self.deviation[self._near[1][:, :SMOOTHED]].mean(axis=1))

    @cached_property
    def noise(self) -> float:
        """Standard deviation of a point's deviation about those around it."""
        return TO_DEVIATION * float(np.median(np.abs(self.deviation - self.smooth)))

    @cached_property
    def floor(self) -> float:
        """Smoothed deviation that hardly any point of a good scan has."""
        return NOISE_ALL * TO_DEVIATION * float(np.median(np.abs(self.smooth)))

    def measured(self, region: Region, extent: Extent) -> Region:
        """A region with the measures of the defect that it belongs to."""
        index = extent.index
        values = self.deviation[index] - extent.base
        area = cell_areas(self.feet, index, self.search)
        size, axes = extents(self.points[index])
        total = float(area.sum())
        share = area / total if total > 0.0 else np.full(len(index), 1.0 / len(index))
        return replace(
            region,
            center=share @ self.points[index],
            size=size,
            axes=axes,
            low=self.points[index].min(axis=0),
            high=self.points[index].max(axis=0),
            area=total,
            volume=float(values @ area),
            peak_deviation=extent.depth,
            mean_deviation=float(share @ values),
        )

    def extent(self, region: Region) -> Extent:
        """The points of the defect that a region belongs to, on the side of the surface that its `kind` says.

        A region around nothing that the deviations show keeps its own points.
        """
        side = _side_of(region.kind)
        seeds = region.indices
        reach = max(REACH * float(np.median(self.spacing)), 0.5 * float(region.size[0]))
        window = self._window(seeds, 2.0 * reach)
        place = np.searchsorted(window, seeds)
        distance = Neighbors(self.points[seeds]).nearest(self.points[window])[0]
        sound = ~self._lonely(window, side)
        base, floor = 0.0, self.floor
        chosen = place
        for last in range(PASSES, -1, -1):
            values = _sided(self.deviation[window] - base, side)
            own = values[chosen[sound[chosen]]]
            depth = _mean_of_highest(own, LEAST_DEEPEST) if len(own) else 0.0
            level = max(EDGE * depth, min(floor, MOST_NOISE * depth))
            smooth = _sided(self.smooth[window] - base, side)
            inside = np.flatnonzero((smooth > level) & (values > OWN * depth) & sound & (distance <= reach))
            chosen = self._connected(window, inside, place)
            if not len(chosen):
                chosen = place
                break
            if last and side:
                base, floor = self._around(window, np.union1d(chosen, place), EDGE * depth)
        return Extent(window[chosen], base, self._depth(window[chosen], sound[chosen], base, side))

    def _window(self, seeds: Index, margin: float) -> Index:
        low, high = self.points[seeds].min(axis=0) - margin, self.points[seeds].max(axis=0) + margin
        return np.flatnonzero(((self.points >= low) & (self.points <= high)).all(axis=1))

    def _lonely(self, window: Index, side: float) -> NDArray[np.bool_]:
        """Which points lie beyond what their neighbours lead to: stray ones, that no surface goes through."""
        around = _sided(self.deviation[self._near[1][window, 1:]], side)
        if not around.shape[1]:
            return np.zeros(len(window), dtype=bool)
        highest = around.max(axis=1)
        led = highest + (highest - np.median(around, axis=1))
        return np.asarray(_sided(self.deviation[window], side) > led + LONELY * self.noise)

    def _connected(self, window: Index, inside: Index, seeds: Index) -> Index:
        """Of the places `inside` the window those of the connected groups that have a seed."""
        if not len(inside):
            return inside
        index = window[inside]
        number = linked(self.points[index], LINK * self.spacing[index])
        kept = np.unique(number[np.isin(inside, seeds)])
        return inside[np.isin(number, kept)]

    def _around(self, window: Index, defect: Index, most: float) -> tuple[float, float]:
        """What the good surface deviates by around a defect, and from which deviation on there is more than noise."""
        others = np.setdiff1d(np.arange(len(window)), defect, assume_unique=True)
        distance = Neighbors(self.feet[window[defect]]).nearest(self.feet[window[others]])[0]
        clear = distance > float(np.median(self.spacing))
        others, distance = others[clear], distance[clear]
        if len(others) < AROUND:
            return 0.0, self.floor
        ring = others[np.argsort(distance, kind="stable")[: max(AROUND, len(defect))]]
        values = self.smooth[window[ring]]
        base = float(np.clip(np.median(values), -most, most))
        return base, NOISE * TO_DEVIATION * float(np.median(np.abs(values - base)))

    def _depth(self, index: Index, sound: NDArray[np.bool_], base: float, side: float) -> float:
        """Mean of the farthest of some points, with its sign."""
        values = self.deviation[index[sound]] - base if sound.any() else self.deviation[index] - base
        count = max(LEAST_DEEPEST, round(DEEPEST * len(index)))
        ways = (side,) if side else (1.0, -1.0)
        deepest = [way * _mean_of_highest(way * values, count) for way in ways]
        return max(deepest, key=abs)


@dataclass(frozen=True)
class Extent:
    """A defect on a scan.

    Attributes:
        index: its points, (n,) ascending.
        base: deviation of the good surface around it.
        depth: the farthest that it lies from there, positive outside.
    """

    index: Index
    base: float
    depth: float


def lost_places(missing: Points, bare: Floats, places: Points, spacing: float) -> tuple[Index, Floats]:
    """Where material is missing: all that lies nearer to a missing place than the scan does.

    Args:
        missing: places of one piece, (K, 3).
        bare: their distances to the nearest point of the scan, (K,).
        places: of the good surface, (M, 3).
        spacing: of the scan.

    Returns:
        Which of `places`, (n,), and the area that each of them stands for, (n,).
    """
    low, high = missing.min(axis=0) - bare.max(), missing.max(axis=0) + bare.max()
    close = np.flatnonzero(((places >= low) & (places <= high)).all(axis=1))
    distance, rival = Neighbors(missing).knn(places[close], min(_RIVALS, len(missing)))
    reached = (distance <= np.maximum(bare[rival] - INSET * spacing, 0.0)).any(axis=1)
    found = close[reached]
    return found, cell_areas(places, found)


def _side_of(kind: DefectKind | None) -> float:
    """The side of the surface that a defect of some kind lies on, 1 outside and -1 inside; 0 for both."""
    return (kind is DefectKind.PROTRUSION) - float(kind is DefectKind.DEPRESSION)


def _sided(values: Floats, side: float) -> Floats:
    """Values towards one side, 1 outside and -1 inside, or of either where that is 0."""
    return side * values if side else np.abs(values)


def _mean_of_highest(values: Floats, count: int) -> float:
    return float(np.sort(values)[-count:].mean())
