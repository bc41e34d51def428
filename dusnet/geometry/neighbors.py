"""Nearest neighbours among the points of an array, and groups of points that are near to each other."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


class Neighbors:
    """Points of an array, prepared for searches in float64.

    The engine is `dusnet.ops.PointIndex`. Where torch is not loaded, SciPy's k-d tree searches, since loading torch
    takes longer. Both give the same distances, to the bit; of equally near points the first has the lower index and
    SciPy any.

    Args:
        points: (N, 3) float64, any unit.
    """

    def __init__(self, points: Floats) -> None:
        self.points = np.ascontiguousarray(points, dtype=np.float64)
        self._index: Any = None
        self._tree: Any = None
        if "torch" in sys.modules:
            from dusnet import ops

            self._index = ops.PointIndex(_tensor(self.points))
        else:
            from scipy.spatial import cKDTree

            self._tree = cKDTree(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def knn(self, query: Floats, count: int) -> tuple[Floats, Index]:
        """Distances and indices of the nearest points, nearest first.

        Args:
            query: (M, 3).
            count: how many, from 1 to N.

        Returns:
            (M, count) float64 and (M, count) intp.
        """
        if not len(query):
            return np.zeros((0, count)), np.zeros((0, count), dtype=np.intp)
        if self._index is None:
            distance, index = self._tree.query(query, count)
            return distance.reshape(-1, count), index.reshape(-1, count)
        squared, near = self._index.knn(_tensor(np.ascontiguousarray(query, dtype=np.float64)), count)
        return np.sqrt(squared[0].numpy()), near[0].numpy()

    def nearest(self, query: Floats) -> tuple[Floats, Index]:
        """Distance and index of the nearest point, (M, 3) -> (M,) and (M,)."""
        distance, index = self.knn(query, 1)
        return distance[:, 0], index[:, 0]


def _tensor(points: Floats) -> Any:
    import torch

    return torch.from_numpy(points if points.flags.writeable else points.copy())[None]


def connected(points: NDArray[Any], reach: float) -> Index:
    """Number of the group that each point belongs to: two are joined within `reach`, (N, 3) -> (N,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
    number: Index = connected_components(graph, directed=False)[1]
    return number
