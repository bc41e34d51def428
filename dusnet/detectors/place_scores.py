"""From values at the places of a part to scores of the points of a scan."""

from __future__ import annotations

import torch
from torch import Tensor

from dusnet import geometry, ops, scoring

LEAST_SHOWN = 3
"""Places that a value between places takes; a scan that shows fewer is judged by all of them."""
BARE = 2.0
"""A place is bare when the nearest point of the scan is so many times as far as usual."""
RIM = 8
"""Nearest points that the value of a bare place goes to, and nearest places that it is averaged over."""


def at_points(values: Tensor, seen: Tensor, places: Tensor, cloud: Tensor, *, smoothing: int) -> Tensor:
    """Scores of the points of a scan.

    The value between places is the inverse-distance mean of the three nearest ones that the scan shows, averaged over
    `smoothing` points. Where material is missing there is no point to carry a score: a bare place amid places that the
    scan shows gives its value to the points at the rim, when it is higher than theirs.

    Args:
        values: of the places, (G,).
        seen: which places the scan shows, (G,) bool.
        places: (G, 3) float32.
        cloud: the scan, (N, 3) float32.
        smoothing: points that a score is averaged over.

    Returns:
        (N,).
    """
    if int(seen.sum()) < LEAST_SHOWN:
        seen = torch.ones_like(seen)
    between = geometry.interpolate(values[seen], places[seen], cloud)
    scores = scoring.smooth_over(cloud, between, smoothing)
    _, around = ops.knn(places[None], places[None], min(RIM, len(places)))
    squared, rim = ops.knn(places[None], cloud[None], min(RIM, len(cloud)))
    distance = squared[0, :, 0].sqrt()
    # At the edge of what a scan shows nothing is missing, the scan ends.
    bare = seen[around[0]].all(dim=1) & (distance > BARE * distance[seen].median())
    carried = values[around[0, bare]].mean(dim=1, keepdim=True).expand(-1, rim.shape[-1])
    return scores.scatter_reduce(0, rim[0, bare].flatten(), carried.flatten(), "amax")
