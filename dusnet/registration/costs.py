"""What poses are compared by: a mean distance in which no point counts for much, and its order without last bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.surface import DiscSurface
from dusnet.registration.icp import transform

Array = NDArray[np.float64]

FIT = 0.05  # distance to the reference, fraction of the scale, within which a point counts for the fitness
EQUAL = 1.05  # ratio of costs up to which two poses are taken to fit equally well
_TIE = 1e-11  # costs that differ by less are equal: last bits must not choose a pose


def cost_of(distances: Array, most: float = FIT) -> Array:
    """What poses are compared by, (..., N) -> (...): every point counts, but none for more than `most`.

    So no defect decides.
    """
    return np.asarray(np.minimum(distances, most).mean(axis=-1))


def pose_costs(surface: DiscSurface, points: Array, poses: Array, most: float = FIT) -> Array:
    """The cost of each pose, (P, 4, 4) -> (P,), of points, (N, 3), beside a surface; see `cost_of`."""
    moved = transform(poses, points)
    distances = surface.distance(moved.reshape(-1, 3), most)
    return cost_of(distances.reshape(moved.shape[:2]), most)


def ordered(costs: Array) -> NDArray[np.intp]:
    """Index of costs, (P,), in ascending order; those that differ by less than `_TIE` keep their order."""
    order = np.argsort(costs, kind="stable")
    group = np.cumsum(np.diff(costs[order], prepend=costs[order[:1]]) > _TIE)
    return order[np.lexsort((order, group))]
