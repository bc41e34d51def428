"""From values at the places of a part to scores of the points of a scan."""

from __future__ import annotations

import torch
from torch import Tensor

from dusnet import ops
from dusnet.detectors import scoring
from dusnet.detectors.feature_space.features import View
from dusnet.geometry.spacing import interpolate

LEAST_SHOWN = 3
"""Places that a value between places takes; a scan that shows fewer is judged by all of them."""
BARE = 2.0
"""A place is bare when the nearest point of the scan is so many times as far as usual."""
RIM = 8
"""Nearest points that the value of a bare place goes to, and nearest places that it is averaged over."""


def at_points(values: Tensor, places: Tensor, view: View, cloud: Tensor, *, smoothing: int) -> Tensor:
    """Scores of the points of a scan.

    The value between places is the inverse-distance mean of the three nearest ones that the scan shows, averaged over
    `smoothing` points. Where material is missing there is no point to carry a score: in a scan from all sides a bare
    place gives its value to the points at the rim, when it is higher than theirs. In a view of one side places are bare
    that lie in the shadow of others.

    Args:
        values: of the places, (G,).
        places: (G, 3) float32.
        view: what the scan shows of them.
        cloud: the scan, (N, 3) float32.
        smoothing: points that a score is averaged over.

    Returns:
        (N,).
    """
    seen = view.seen if int(view.seen.sum()) >= LEAST_SHOWN else torch.ones_like(view.seen)
    between = interpolate(values[seen], places[seen], cloud)
    scores = scoring.smooth_over(cloud, between, smoothing)
    if not view.whole:
        return scores
    _, around = ops.knn(places[None], places[None], min(RIM, len(places)))
    squared, rim = ops.knn(places[None], cloud[None], min(RIM, len(cloud)))
    distance = squared[0, :, 0].sqrt()
    bare = seen & (distance > BARE * distance.median())
    carried = values[around[0, bare]].mean(dim=1, keepdim=True).expand(-1, rim.shape[-1])
    return scores.scatter_reduce(0, rim[0, bare].flatten(), carried.flatten(), "amax")
