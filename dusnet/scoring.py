"""From a reconstruction to scores per point and per object (Eq. 15-17, and what measures better).

All distances are in the frame of the class; all functions take and return torch tensors on one device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from dusnet import ops
from dusnet.config import ScoringSettings
from dusnet.geometry.spacing import interpolate


def nearest_distance(points: Tensor, surface: Tensor | ops.PointIndex) -> Tensor:
    """Distance to the nearest point of the surface (Eq. 15), (N, 3), (M, 3) -> (N,)."""
    search = surface if isinstance(surface, ops.PointIndex) else ops.PointIndex(surface.unsqueeze(0))
    squared, _ = search.nearest(points.unsqueeze(0))
    return squared[0].sqrt()


def softmax_weight(points: Tensor, surface: Tensor, distance: Tensor) -> Tensor:
    """Eq. 16: (1 - softmax weight of the nearest point among the 3 nearest) times the distance.

    Args:
        points: (N, 3).
        surface: (M, 3) with M >= 3.
        distance: s of Eq. 15, (N,).

    Returns:
        (N,).
    """
    squared, _ = ops.knn(points.unsqueeze(0), surface.unsqueeze(0), 3)
    return (1 - squared[0].sqrt().softmax(dim=-1)[:, 0]) * distance


def smooth(values: Tensor, neighbors: Tensor) -> Tensor:
    """Mean over the nearest input points, (N,), (N, k) indices -> (N,)."""
    return values[neighbors].mean(dim=1)


def smooth_over(points: Tensor, values: Tensor, neighbors: int) -> Tensor:
    """`smooth` over the nearest points of the cloud itself, (N, 3), (N,) -> (N,)."""
    _, index = ops.knn(points.unsqueeze(0), points.unsqueeze(0), min(neighbors, len(points)))
    return smooth(values, index[0])


def pool(point_scores: Tensor, settings: ScoringSettings) -> float:
    """Object score of the point scores, (N,).

    `max` is Eq. 17, `top` the mean of the highest `pooling_fraction`, `quantile` the value that this share exceeds.
    """
    if settings.pooling == "max":
        return float(point_scores.max())
    count = max(1, math.ceil(settings.pooling_fraction * len(point_scores)))
    highest = point_scores.topk(count).values
    return float(highest.mean() if settings.pooling == "top" else highest[-1])


@dataclass(frozen=True)
class Tolerance:
    """What good parts do, place by place: root mean square of the training clouds' own distances.

    Attributes:
        places: points of the reconstructed training clouds, (M, 3).
        values: tolerance there, (M,).
        level: root mean square over all places.
    """

    places: Tensor
    values: Tensor
    level: float

    NEIGHBORS = 60
    FLOOR = 0.6

    @classmethod
    def of(cls, places: Tensor, distances: Tensor) -> Tolerance:
        """Pool the distances of all training clouds over the nearest places.

        Args:
            places: reconstructed positions, (M, 3).
            distances: distance of the training point to its reconstruction, (M,).
        """
        count = min(cls.NEIGHBORS, len(places))
        _, index = ops.knn(places.unsqueeze(0), places.unsqueeze(0), count)
        values = distances.square()[index[0]].mean(dim=1).sqrt()
        return cls(places, values, float(distances.square().mean().sqrt()))

    def normalise(self, distances: Tensor, places: Tensor) -> Tensor:
        """Distances divided by the tolerance at their places, scaled so that a typical place keeps its value.

        Args:
            distances: (N,).
            places: reconstructed positions, (N, 3).

        Returns:
            (N,), still in the frame's unit of length for a place of average tolerance. Unchanged where the training
            clouds show no distance at all.
        """
        if self.level == 0:
            return distances
        return distances * (1 + self.FLOOR) * self.level / (self.at(places) + self.FLOOR * self.level)

    def at(self, places: Tensor) -> Tensor:
        """Tolerance at places of the frame, (N, 3) -> (N,)."""
        return interpolate(self.values, self.places, places)
