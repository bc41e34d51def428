"""Normals by principal component analysis of the nearest neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

_BLOCK = 20_000  # points per block: bounds the memory of the (block, neighbors, 3) gather


def estimate_normals(points: NDArray[np.float64], neighbors: int = 24) -> NDArray[np.float64]:
    """Unit normals of a surface that is only known by its points; the sign of each is arbitrary.

    Args:
        points: (N, 3) float64, any unit, N >= 3.
        neighbors: nearest points, the point itself included, that span the tangent plane.

    Returns:
        (N, 3) float64: per point the direction in which its neighbours vary least.
    """
    tree = cKDTree(points)
    count = min(neighbors, len(points))
    normals = np.empty_like(points)
    for start in range(0, len(points), _BLOCK):
        block = slice(start, start + _BLOCK)
        _, index = tree.query(points[block], count)
        patch = points[index.reshape(-1, count)]
        patch = patch - patch.mean(axis=1, keepdims=True)
        _, vectors = np.linalg.eigh(np.einsum("nki,nkj->nij", patch, patch))
        normals[block] = vectors[:, :, 0]
    return normals
