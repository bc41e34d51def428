"""From a reconstruction to scores per point and per object (Eq. 15-17, and what measures better).

All distances are in the frame of the class; all functions take and return torch tensors on one device.
"""

from __future__ import annotations

import math

from torch import Tensor

from dusnet import ops
from dusnet.config import ScoringSettings


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


def smooth_over(cloud: ops.PointIndex, values: Tensor, neighbors: int) -> Tensor:
    """Mean of the values of the points of a cloud, (N, ...), over the nearest points of each, itself among them."""
    _, index = cloud.knn(cloud.points, min(neighbors, len(values)))
    return values[index[0]].mean(dim=1)


def pool(point_scores: Tensor, settings: ScoringSettings) -> float:
    """Object score of the point scores, (N,).

    `max` is Eq. 17, `top` the mean of the highest `pooling_fraction` (1 is the mean of all), `quantile` the value that
    this share exceeds. None leaves it to the method; here it is `top`.
    """
    if settings.pooling == "max":
        return float(point_scores.max())
    count = max(1, math.ceil(settings.pooling_fraction * len(point_scores)))
    highest = point_scores.topk(count).values
    return float(highest[-1] if settings.pooling == "quantile" else highest.mean())
