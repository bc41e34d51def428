"""From a reconstruction to scores per point and per object (Eq. 15-17, and what measures better).

All distances are in the frame of the class; all functions take and return torch tensors on one device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from dusnet import geometry, ops
from dusnet.config import ScoringSettings

GAP_FACTOR = 4.0
RIM_NEIGHBORS = 4
UNSEEN_SHARE = 0.1
UNSEEN_REACH = 5.0
# Of the distances to points strewn at random over a surface: sqrt(ln(0.5) / ln(0.9)).
MEDIAN_TO_TENTH = 2.56


def nearest_distance(points: Tensor, surface: Tensor) -> Tensor:
    """Distance to the nearest point of the surface (Eq. 15), (N, 3), (M, 3) -> (N,)."""
    squared, _ = ops.knn(points.unsqueeze(0), surface.unsqueeze(0), 1)
    return squared[0, :, 0].sqrt()


def plane_distance(points: Tensor, surface: Tensor, *, neighbors: int = 6) -> Tensor:
    """Distance to the surface between its points: mean over the nearest points of the distance to their planes.

    Args:
        points: (N, 3).
        surface: (M, 3).
        neighbors: surface points whose tangent planes are averaged.

    Returns:
        (N,). Beyond an open edge planes go on without the surface, so it is small in their prolongation.
    """
    count = min(neighbors, len(surface))
    _, index = ops.knn(points.unsqueeze(0), surface.unsqueeze(0), count)
    directions = geometry.normals(surface, surface)[index[0]]
    across = ((points.unsqueeze(1) - surface[index[0]]) * directions).sum(dim=-1)
    # Normals have either sign; turned towards the nearest one they can be averaged with it.
    sign = (directions * directions[:, :1]).sum(dim=-1).sign()
    return (across * sign).mean(dim=1).abs()


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


def gap(points: Tensor, surface: Tensor) -> Tensor:
    """What is missing: how far places of a good part are from any input point, carried to the rim of the hole.

    A place counts by how much its nearest input point is farther than four times what is usual in this scan. Connected
    places that make up more than `UNSEEN_SHARE` of the part are a side that the scanner did not see, and count nothing.

    Args:
        points: the scan, (N, 3).
        surface: places of a good part, (M, 3).

    Returns:
        (N,), zero away from holes: the largest gap whose nearest input point this is, or one of its neighbours.
    """
    missing, nearest = _missing(points, surface)
    missing[_unseen(surface, missing > 0)] = 0
    rim = torch.zeros(len(points)).scatter_reduce_(0, nearest, missing, "amax")
    _, neighbors = ops.knn(points.unsqueeze(0), points.unsqueeze(0), min(RIM_NEIGHBORS, len(points)))
    return rim[neighbors[0]].amax(dim=1)


def unseen_share(points: Tensor, surface: Tensor) -> float:
    """Share of the part that the scan leaves out in one piece too big for a defect, 0 to 1.

    Args:
        points: the scan, (N, 3).
        surface: places of a good part, (M, 3).
    """
    distance = nearest_distance(surface, points)
    # Most places can be unseen, and of a training scan most can be its own points: neither may decide what is usual.
    usual = max(MEDIAN_TO_TENTH * float(distance.quantile(0.1)), geometry.neighbor_spacing(surface))
    return float(_unseen(surface, distance > GAP_FACTOR * usual).double().mean())


def _missing(points: Tensor, surface: Tensor) -> tuple[Tensor, Tensor]:
    """How much farther than usual the nearest input point of each place is, and which one it is, (M,) and (M,)."""
    squared, nearest = ops.knn(surface.unsqueeze(0), points.unsqueeze(0), 1)
    distance = squared[0, :, 0].sqrt()
    return (distance - GAP_FACTOR * distance.median()).clamp_min(0), nearest[0, :, 0]


def _unseen(surface: Tensor, empty: Tensor) -> Tensor:
    """Which places lie in a connected empty region too big to be a defect, (M, 3), (M,) bool -> (M,) bool."""
    places = surface[empty]
    result = torch.zeros_like(empty)
    if len(places) < 2:
        return result
    reach = UNSEEN_REACH * geometry.neighbor_spacing(surface)
    pairs = cKDTree(places.numpy()).query_pairs(reach, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(places),) * 2)
    _, component = connected_components(graph, directed=False)
    big = np.bincount(component) > UNSEEN_SHARE * len(surface)
    result[empty] = torch.from_numpy(big[component])
    return result


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
        weights, index = ops.three_nn(places.unsqueeze(0), self.places.unsqueeze(0))
        return (self.values[index[0]] * weights[0]).sum(dim=1)
