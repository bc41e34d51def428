"""Measurements of a surface that is known by points only. All lengths are in the unit of the points."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from dusnet import ops

_HALVINGS = 6
_STEPS = 48
"""Most times that a search doubles or halves a cell: below that share of the part no points are told apart."""


def thin(points: NDArray[np.float64], cell: float, generator: np.random.Generator) -> NDArray[np.intp]:
    """Indices that keep one random point per cubic cell, so that density no longer depends on the scanner.

    Args:
        points: (N, 3).
        cell: edge of a cell; the grid is shifted at random.
        generator: picks the shift and the points.

    Returns:
        (M,) increasing indices, M <= N.
    """
    shuffled = generator.permutation(len(points))
    shift = generator.random(3) * cell
    low = points.min(axis=0)
    cells = np.floor((points[shuffled] - low + shift) / cell).astype(np.int64)
    _, first = np.unique(_cell_keys(cells), return_index=True)
    return np.sort(shuffled[first])


def _cell_keys(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """One integer per cell, (N, 3) -> (N,)."""
    sizes = cells.max(axis=0) + 1
    if np.prod(sizes, dtype=float) > 2**62:
        # A stray point far away makes more cells than an integer counts; only those that hold points matter.
        keys = np.zeros(len(cells), np.int64)
        for along in cells.T:
            _, rank = np.unique(along, return_inverse=True)
            _, keys = np.unique(keys * len(cells) + rank, return_inverse=True)
        return keys
    return (cells[:, 0] * sizes[1] + cells[:, 1]) * sizes[2] + cells[:, 2]


def cell_for(points: NDArray[np.float64], count: int, generator: np.random.Generator) -> float:
    """Cell size at which `thin` keeps about `count` points, or a size that keeps nearly all if there are fewer.

    Args:
        points: (N, 3).
        count: wanted number of points.
        generator: passed on to `thin`.
    """
    # Stray points must not decide how fine the search goes.
    low, high = (
        float(np.linalg.norm(np.quantile(points, 1 - share, axis=0) - np.quantile(points, share, axis=0)))
        for share in (0.05, 0.0)
    )
    low = max(1e-4 * low, 1e-12 * high)
    shifted = points - points.min(axis=0)
    for _ in range(18):
        middle = (low * high) ** 0.5
        generator.permutation(len(points))  # the draw that `thin` would make
        if _cells_taken(shifted + generator.random(3) * middle, middle) > count:
            low = middle
        else:
            high = middle
    return high


def _cells_taken(points: NDArray[np.float64], cell: float) -> int:
    """How many cells hold points, which start at zero."""
    return _distinct(_cell_keys(np.floor(points / cell).astype(np.int64)))


def _distinct(keys: NDArray[np.int64]) -> int:
    """How many different values there are: sorting is quicker than what numpy.unique does."""
    ordered = np.sort(keys)
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def thin_to(points: NDArray[np.float64], count: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Indices that keep one random point per cubic cell, with cells as large as a wanted number of points asks for.

    Quicker than `cell_for` and `thin`, where the size of the cells is needed for nothing else.

    Args:
        points: (N, 3).
        count: most points to keep.
        generator: picks the shift of the grid and the points.

    Returns:
        Increasing indices, at most `count` and hardly fewer; all where there are no more points than that, and one of
        each where fewer than `count` differ.
    """
    if len(points) <= count:
        return np.arange(len(points))
    if not np.ptp(points, axis=0).any():
        return np.zeros(1, dtype=np.intp)
    order = generator.permutation(len(points))
    shift, shuffled = generator.random(3), points[order] - points.min(axis=0)

    def keys(cell: float) -> NDArray[np.int64]:
        return _cell_keys(np.floor(shuffled / cell + shift).astype(np.int64))

    def kept(cell: float) -> int:
        return _distinct(keys(cell))

    # Twice the cell keeps a quarter of a surface's points: a few steps end near the wanted number.
    high = float(np.ptp(points, axis=0).max()) / count**0.5
    for _ in range(_STEPS):
        if kept(high) <= count:
            break
        high *= 2.0
    low = high / 2.0
    for _ in range(_STEPS):  # no cell is small enough where no more than `count` points differ
        if kept(low) > count:
            break
        low, high = low / 2.0, low
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if kept(middle) > count else (low, middle)
    _, first = np.unique(keys(high), return_index=True)
    return np.sort(order[first])


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


def normals(query: Tensor, points: Tensor, neighbors: int = 16) -> Tensor:
    """Unit normals of either sign from the covariance of the nearest points.

    Args:
        query: where, (M, 3).
        points: the surface, (N, 3).
        neighbors: points that span the tangent plane.

    Returns:
        (M, 3).
    """
    count = min(neighbors, len(points))
    result = torch.empty_like(query)
    surface = ops.PointIndex(points.unsqueeze(0))
    for start in range(0, len(query), 65_536):
        part = slice(start, start + 65_536)
        _, index = surface.knn(query[None, part], count)
        around = points[index[0]]
        centred = around - around.mean(dim=1, keepdim=True)
        covariance = centred.transpose(1, 2) @ centred
        result[part] = torch.linalg.eigh(covariance.double()).eigenvectors[..., 0].to(query.dtype)
    return result


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
    for start in range(0, len(points), 256):
        here, normal = points[start : start + 256], directions[start : start + 256]
        across = points[None] - here[:, None]
        distance = across.norm(dim=-1)
        along = (across * normal[:, None]).sum(dim=-1).abs()
        parallel = (normal @ directions.T).abs()
        aside = (distance.square() - along.square()).clamp_min(0).sqrt()
        opposite = (parallel > 0.8) & (aside < 1.5 * spacing) & (along > 0.75 * spacing) & (along > aside)
        found.append(torch.where(opposite, along, diagonal).amin(dim=1))
    return float(torch.quantile(torch.cat(found), quantile, interpolation="lower"))


def connected(points: NDArray[Any], reach: float) -> NDArray[np.intp]:
    """Number of the group that each point belongs to: two are joined within `reach`, (N, 3) -> (N,)."""
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
    number: NDArray[np.intp] = connected_components(graph, directed=False)[1]
    return number
