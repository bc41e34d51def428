"""Which part a scan may show, in any pose and before anything is registered: distances between random points (D2).

R. Osada, T. Funkhouser, B. Chazelle, D. Dobkin, "Shape Distributions", ACM TOG 2002. A rigid motion does not change
the distances between the points of a cloud. A scan of one side shows other distances than the whole part, so a part is
known by how it looks from each of many directions as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from torch import Tensor

from dusnet import ops
from dusnet.geometry.sampling import thin_to
from dusnet.geometry.visibility import Eye, directions, visible
from dusnet.io import stored

Array = NDArray[np.float64]

_QUANTILES = 64  # of the distances: what a part is described by
_POINTS = 400  # farthest points, between all pairs of which distances are taken
_DRAWN_FROM = 4000  # evenly spread points that these are chosen among
_VIEWS = 48  # directions that a part is looked at from
_VIEW_POINTS = 800  # whose visibility is computed
_FEWEST_VISIBLE = 20  # points without which a view says nothing


def distances_in(points: Array) -> Array:
    """How far the points of a cloud are from each other: evenly spaced quantiles, ascending.

    Args:
        points: (N, 3) float64; how dense they are hardly matters.

    Returns:
        (64,) float64, in the unit of the points.
    """
    levels = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    found: Array = np.quantile(pdist(_spread(points, _POINTS)), levels)
    return found


def _spread(points: Array, count: int) -> Array:
    """Farthest points of a cloud, (<= count, 3). A grid would keep more of a face that lies askew to it."""
    some = points[thin_to(points, _DRAWN_FROM)]
    chosen = ops.farthest_point_sample(torch.from_numpy(some - some.mean(axis=0))[None], min(count, len(some)))
    return some[chosen[0].numpy()]


@dataclass(frozen=True)
class ShapeDistribution:
    """A scan as it is compared with parts.

    Attributes:
        distances: what `distances_in` says of it, (64,) float64.
        one_sided: whether it may show one side only.
    """

    distances: Array
    one_sided: bool

    @classmethod
    def of(cls, points: Array) -> ShapeDistribution:
        """Measure a scan, (N, 3) float64."""
        return cls(distances_in(points), Eye.all_of(points)[0].one_sided)


@dataclass(frozen=True)
class ShapeViews:
    """A part as scans of it can look.

    Attributes:
        whole: distances in a scan from all sides, (64,) float64.
        views: those in what is visible from each direction, (V, 64) float64.
    """

    whole: Array
    views: Array

    @classmethod
    def of(cls, points: Array) -> ShapeViews:
        """Look at a part, (N, 3) float64, from all around."""
        some = _spread(points, _VIEW_POINTS)
        shown = [some[visible(some, eye)] for eye in directions(_VIEWS)]
        views = [distances_in(view) for view in shown if len(view) >= _FEWEST_VISIBLE]
        return cls(distances_in(points), np.array(views).reshape(-1, _QUANTILES))

    def tensors(self) -> dict[str, Tensor]:
        """What a model file stores."""
        return {"whole": torch.from_numpy(self.whole), "views": torch.from_numpy(self.views)}

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor]) -> ShapeViews:
        """The inverse of `tensors`.

        Raises:
            KeyError, Unusable: they are no distances.
        """
        whole = stored.tensor(tensors, "whole", _QUANTILES, dtype=torch.float64)
        views = tensors["views"]
        if len(views):
            stored.tensor(tensors, "views", None, _QUANTILES, dtype=torch.float64)
        return cls(whole.numpy(), views.numpy().reshape(-1, _QUANTILES))

    def difference(self, scan: ShapeDistribution) -> float:
        """How differently the points of a scan lie to each other than those of the part, in the unit of the points.

        The mean difference of the quantiles (the earth mover's distance of the two distributions); for a scan that may
        show one side, the least over all shape_views.
        """
        candidates = np.vstack([self.whole, self.views]) if scan.one_sided else self.whole[None]
        return float(np.abs(candidates - scan.distances).mean(axis=1).min())
