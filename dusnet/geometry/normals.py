"""Normals of a surface that is known by its points only: the direction in which the nearest points vary least.

The sign of each is arbitrary. Three functions, since three sums of the same products round differently and scores of
existing models rest on each: `tensor_normals` on tensors in their own precision, `estimate_normals` of all points of an
array, and `planes` at other places than the points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.neighbors import Neighbors

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]

_BLOCK = 20_000  # points per block: bounds the memory of the (block, neighbors, 3) gather
_TENSOR_BLOCK = 65_536  # the same of tensors, which take half as much


def tensor_normals(query: Tensor, points: Tensor, neighbors: int = 16) -> Tensor:
    """Unit normals of either sign from the covariance of the nearest points.

    Args:
        query: where, (M, 3).
        points: the surface, (N, 3).
        neighbors: points that span the tangent plane.

    Returns:
        (M, 3).
    """
    import torch

    from dusnet import ops

    count = min(neighbors, len(points))
    result = torch.empty_like(query)
    surface = ops.PointIndex(points.unsqueeze(0))
    for start in range(0, len(query), _TENSOR_BLOCK):
        part = slice(start, start + _TENSOR_BLOCK)
        _, index = surface.knn(query[None, part], count)
        around = points[index[0]]
        centred = around - around.mean(dim=1, keepdim=True)
        covariance = centred.transpose(1, 2) @ centred
        result[part] = torch.linalg.eigh(covariance.double()).eigenvectors[..., 0].to(query.dtype)
    return result


def estimate_normals(points: Floats, neighbors: int = 24) -> Floats:
    """Unit normals of either sign of all points.

    Args:
        points: (N, 3) float64, any unit, N >= 3.
        neighbors: nearest points, the point itself included, that span the tangent plane.

    Returns:
        (N, 3) float64.
    """
    surface, count = Neighbors(points), min(neighbors, len(points))
    normals = np.empty(points.shape)
    for start in range(0, len(points), _BLOCK):
        block = slice(start, start + _BLOCK)
        normals[block] = normals_of_patches(points[surface.knn(points[block], count)[1]])
    return normals


def normals_of_patches(patches: Floats) -> Floats:
    """Unit normals of either sign of patches of points, (N, K, 3) -> (N, 3)."""
    patches = patches - patches.mean(axis=1, keepdims=True)
    normals: Floats = np.linalg.eigh(np.einsum("nki,nkj->nij", patches, patches))[1][:, :, 0]
    return normals


def planes(query: Floats, points: Floats, neighbors: int = 16) -> tuple[Floats, Floats]:
    """Unit normals of either sign at places, and the distance of each place to the plane through its neighbours.

    Args:
        query: the places, (M, 3) float64.
        points: the surface, (N, 3) float64, the same unit.
        neighbors: points that span the plane.

    Returns:
        (M, 3) and (M,) float64.
    """
    around = points[Neighbors(points).knn(query, min(neighbors, len(points)))[1]]
    centers = around.mean(axis=1)
    local = around - centers[:, None]
    normals: Floats = np.linalg.eigh(local.transpose(0, 2, 1) @ local)[1][:, :, 0]
    return normals, np.abs(((query - centers) * normals).sum(axis=1))
