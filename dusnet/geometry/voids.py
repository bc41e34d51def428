"""Accidental voids: how far a place of the surface may be from the nearest point of a scan by chance.

Of points strewn independently over a surface, the share of places that are farther than d from the nearest point is
exp(-pi density d^2) (Poisson). Points that keep a distance from each other, as those of a meshed or structured scan do,
leave smaller voids: the exponent of d is larger. How much larger is told by the scan alone, from how near its points
are to their neighbours, whatever of the part it shows; the law then tells how large the largest accidental void is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dusnet import ops
from dusnet.geometry.quantiles import quantile

RARE = 1.0
"""The largest accidental void is the size that exp(-RARE) voids per scan exceed by chance. The largest void of random
points is up to a third larger; a higher limit would hide small holes.
"""
RARER = 5.0
"""The same where good scans do not say at which places, such as edges, larger voids are usual: by chance one scan in
150 has one."""

_TENTH, _HALF = 0.1, 0.5
_NEIGHBORS = 4  # nearest points of a point that tell how even a scan is
_UNEVEN, _EVEN = 0.53, 0.68
"""Median ratio of the distances to the first and the fourth nearest point up to which the law of random points holds,
and of blue noise (dart throwing, measured). Random points have .454, the root of the least of three uniform numbers;
scans put together from several views have .52: their points keep apart, but leave voids as large as random ones do."""
_EXPONENTS = (2.0, 2.65)
"""Of the law for random points and for blue noise."""
MEDIAN_TO_TENTH = math.sqrt(math.log(0.5) / math.log(0.9))
"""Ratio of the distances that a half and a tenth of the places are within, for random points."""
_HALF_TO_TENTH = (MEDIAN_TO_TENTH, 2.24)
"""The same for random points and for blue noise."""
_LEAST = 1e-9
"""Median of the frame: a scan that every place is a point of has voids, too."""
_FEWEST = 100  # places that are no points of the scan
_OWN = 0.25
"""Of the spacing of the places: a place that is nearer to a point of the scan may be that point, hardly moved."""


@dataclass(frozen=True)
class Voids:
    """The law of the distances from places of a part to the nearest point of a scan, where the scan covers the part.

    Attributes:
        median: distance that half of the places have.
        exponent: of the Weibull law.
    """

    median: float
    exponent: float

    @classmethod
    def of(cls, distance: Tensor, scan: ops.PointIndex, spacing: float) -> Voids:
        """The law of a scan.

        Args:
            distance: of the places to the nearest point, (M,); most of the places may be unseen.
            scan: its points.
            spacing: of the places.
        """
        evenness = min(max((_nearness(scan) - _UNEVEN) / (_EVEN - _UNEVEN), 0.0), 1.0)
        ratio, exponent = (_between(values, evenness) for values in (_HALF_TO_TENTH, _EXPONENTS))
        own = _OWN * spacing
        others = distance[distance > own]
        if len(others) < _FEWEST:
            return cls(max(ratio * quantile(distance, _TENTH), spacing, _LEAST), exponent)
        # Of what lies beyond `own` the law gives the quantiles, too.
        tenth = (quantile(others, _TENTH) ** exponent - own**exponent) ** (1 / exponent)
        return cls(max(ratio * tenth, _LEAST), exponent)

    def factor(self, share: float) -> float:
        """How many times the median a distance is that this share of the places exceeds."""
        return (math.log(share) / math.log(1 - _HALF)) ** (1 / self.exponent)

    def largest(self, points: int, rare: float = RARE) -> float:
        """How many times the median the largest accidental void of a scan of so many points is.

        A scan has about as many voids as points.
        """
        return ((math.log(points) + rare) / math.log(2)) ** (1 / self.exponent)


def _nearness(scan: ops.PointIndex) -> float:
    """Median ratio of the distances from a point to its nearest and its fourth nearest other point."""
    points = scan.points[0]
    if len(points) <= _NEIGHBORS:
        return 0.0
    squared, _ = scan.knn(points[None], _NEIGHBORS + 1)
    first, last = squared[0, :, 1], squared[0, :, _NEIGHBORS]
    return float(torch.where(last > 0, first / last, 0.0).sqrt().median())


def _between(values: tuple[float, float], share: float) -> float:
    return values[0] + share * (values[1] - values[0])
