"""The reference that scans are brought to: points, normals, and the distance to the surface between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.registration.normals import estimate_normals

Array = NDArray[np.float64]

_DISC_NEIGHBOR = 6  # a disc reaches to its 6th nearest neighbour: discs of a random sampling then leave no gaps


@dataclass(frozen=True)
class Surface:
    """Points with normals; between the points the surface is taken to be a small disc around each of them.

    Attributes:
        points: (M, 3) float64 in the normalised frame.
        normals: (M, 3) float64 unit normals of arbitrary sign.
        radii: (M,) float64, radius of each disc.
        tree: k-d tree of `points`.
    """

    points: Array
    normals: Array
    radii: Array
    tree: Any

    @classmethod
    def of(cls, points: Array) -> Surface:
        """The surface through `points`, (M, 3) float64."""
        tree = cKDTree(points)
        nearest, _ = tree.query(points, min(_DISC_NEIGHBOR + 1, len(points)))
        return cls(points, estimate_normals(points), nearest[:, -1], tree)

    def distance(self, points: Array) -> Array:
        """Distance of `points` (N, 3) to the disc around the nearest reference point, (N,).

        The height above the disc's plane and the part of the lateral offset that lies beyond its rim are combined by
        Pythagoras, so that the value does not depend on how densely the reference was sampled.
        """
        gap, index = self.tree.query(points)
        height = np.einsum("ni,ni->n", points - self.points[index], self.normals[index])
        lateral = np.sqrt(np.maximum(gap**2 - height**2, 0.0))
        return np.hypot(height, np.maximum(lateral - self.radii[index], 0.0))


def thin(points: Array, cell: float) -> NDArray[np.intp]:
    """Index of one point per occupied cubic cell of edge `cell`: the first in order of the input, ascending.

    Args:
        points: (N, 3) float64.
        cell: edge in the unit of `points`.
    """
    keys = np.floor((points - points.min(axis=0)) / cell).astype(np.int64)
    _, first = np.unique(keys, axis=0, return_index=True)
    return np.sort(first)


def thin_to(points: Array, count: int) -> NDArray[np.intp]:
    """Index of about `count` points that are spread evenly over the surface, never more; all if there are fewer."""
    if len(points) <= count:
        return np.arange(len(points))
    low, high = 0.0, float(np.ptp(points, axis=0).max())
    for _ in range(12):
        middle = (low + high) / 2.0
        if len(thin(points, middle)) > count:
            low = middle
        else:
            high = middle
    return thin(points, high)
