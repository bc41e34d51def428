"""How far points are from each other: along the surface, across a wall; and values between them."""

from __future__ import annotations

import torch
from torch import Tensor

from dusnet import ops

_PARALLEL = 0.8  # cosine from which on the two faces of a wall are parallel
_ASIDE, _LEAST = 1.5, 0.75  # spacings: the opposite point is at most so far aside, and at least so far away
_BLOCK = 256  # points whose opposite sides are looked for at once: bounds the memory


def neighbor_spacing(points: Tensor) -> float:
    """Mean distance of a point to its nearest other point, (N, 3) with N >= 2."""
    squared, _ = ops.knn(points.unsqueeze(0), points.unsqueeze(0), 2)
    return float(squared[0, :, 1].sqrt().mean())


def interpolate(values: Tensor, places: Tensor, points: Tensor) -> Tensor:
    """Values of some places at other points: inverse-distance mean of the three nearest places.

    Args:
        values: (M,) or (M, C) float.
        places: (M, 3) float32.
        points: (N, 3) float32.

    Returns:
        (N,) or (N, C); a point that coincides with a place takes its value.
    """
    weights, index = ops.three_nn(points.unsqueeze(0), places.unsqueeze(0))
    found: Tensor = ops.three_interpolate(values.reshape(1, len(values), -1), index, weights)[0]
    return found if values.dim() > 1 else found[:, 0]


def wall_thickness(points: Tensor, directions: Tensor, *, quantile: float = 0.1, sample: int = 2000) -> float:
    """A low quantile of the distance from a point, along its normal, to the opposite side of the wall.

    Args:
        points: (N, 3).
        directions: unit normals of either sign, (N, 3).
        quantile: share of the points whose wall is thinner than the answer.
        sample: points that are looked at, evenly spread over the order of the input.

    Returns:
        The thickness, or the diagonal of the cloud when hardly any point has an opposite side.
    """
    step = max(1, len(points) // sample)
    points, directions = points[::step], directions[::step]
    spacing = neighbor_spacing(points)
    diagonal = float((points.amax(dim=0) - points.amin(dim=0)).norm())
    found = []
    for start in range(0, len(points), _BLOCK):
        here, normal = points[start : start + _BLOCK], directions[start : start + _BLOCK]
        across = points[None] - here[:, None]
        distance = across.norm(dim=-1)
        along = (across * normal[:, None]).sum(dim=-1).abs()
        parallel = (normal @ directions.T).abs()
        aside = (distance.square() - along.square()).clamp_min(0).sqrt()
        opposite = (parallel > _PARALLEL) & (aside < _ASIDE * spacing) & (along > _LEAST * spacing) & (along > aside)
        found.append(torch.where(opposite, along, diagonal).amin(dim=1))
    return float(torch.quantile(torch.cat(found), quantile, interpolation="lower"))
