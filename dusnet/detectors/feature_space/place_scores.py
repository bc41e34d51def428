"""From values at the places of a part to scores of the points of a scan."""

from __future__ import annotations

import torch
from torch import Tensor

from dusnet import ops
from dusnet.detectors import scoring
from dusnet.detectors.feature_space.places import RIM, View
from dusnet.geometry.spacing import interpolate

LEAST_SHOWN = 3
"""Places that a value between places is the mean of; of a scan that shows fewer, all places count."""
BARE = 2.0
"""A place is bare when the nearest point of the scan is so many times as far as usual."""


def at_points(
    values: Tensor, places: Tensor, around: Tensor, view: View, scan: ops.PointIndex, *, smoothing: int
) -> Tensor:
    """Scores of the points of a scan.

    The value between places is the inverse-distance mean of the three nearest ones that the scan shows, averaged over
    `smoothing` points. Where material is missing there is no point that could have a score: in a scan from all sides a
    bare place gives its value to the points at the rim, when it is higher than theirs. In a view of one side places are
    bare that lie in the shadow of others.

    Args:
        values: of the places, (G,).
        places: (G, 3) float32.
        around: the places nearest to each, over which the value of a bare place is averaged, (G, k) int64.
        view: what the scan shows of them.
        scan: all of its points, (1, N, 3) float32.
        smoothing: points that a score is averaged over.

    Returns:
        (N,).
    """
    shown = view.shown if int(view.shown.sum()) >= LEAST_SHOWN else torch.ones_like(view.shown)
    between = interpolate(values[shown], places[shown], scan.points[0])
    scores = scoring.smooth_over(scan, between, smoothing)
    if not view.whole:
        return scores
    squared, rim = scan.knn(places[None], min(RIM, len(scores)))
    distance = squared[0, :, 0].sqrt()
    bare = shown & (distance > BARE * distance.median())
    rim_values = values[around[bare]].mean(dim=1, keepdim=True).expand(-1, rim.shape[-1])
    return scores.scatter_reduce(0, rim[0, bare].flatten(), rim_values.flatten(), "amax")
