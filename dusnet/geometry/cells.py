"""How much surface each point of a cloud stands for: its Voronoi cell in the plane of its neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.neighbors import Neighbors

Floats = NDArray[np.float64]

AROUND = 16
"""Neighbours that bound a cell and span its plane."""
DIRECTIONS = 48
"""Directions in which the border of a cell is looked for."""
STEEP = 1.0
"""A neighbour that lies higher above the plane than this many times its distance in it is of another face."""
WIDEST = 1.5
"""Reach of a cell, in distances to the 6th neighbour, where no neighbour bounds it: at the rim of a scan."""
_RANK = 6
_BLOCK = 2048


def cell_areas(points: Floats, chosen: NDArray[np.intp], search: Neighbors | None = None) -> Floats:
    """Area of the surface that some points of a cloud stand for, whether they lie evenly or at random.

    Args:
        points: (N, 3) float64, any unit. Copies of one place share its cell.
        chosen: which of them, (n,) intp.
        search: `points`, prepared for searches; made where None.

    Returns:
        (n,) float64, the unit squared; zero where all neighbours lie in one place.
    """
    search = Neighbors(points) if search is None else search
    areas = np.zeros(len(chosen))
    if len(points) > 3:
        for start in range(0, len(chosen), _BLOCK):
            areas[start : start + _BLOCK] = _cells(points, chosen[start : start + _BLOCK], search)
    return areas


def _cells(points: Floats, chosen: NDArray[np.intp], search: Neighbors) -> Floats:
    near = search.knn(points[chosen], min(AROUND + 1, len(points)))[1]
    offset = points[near] - points[chosen][:, None]
    squared = np.einsum("nki,nki->nk", offset, offset)
    copy = squared <= 1e-18 * squared.max(axis=1, keepdims=True)
    centered = offset - offset.mean(axis=1, keepdims=True)
    _, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", centered, centered))
    flat = np.einsum("nki,nij->nkj", offset, axes[:, :, 1:])
    height = np.abs(np.einsum("nki,ni->nk", offset, axes[:, :, 0]))
    lateral = np.einsum("nkj,nkj->nk", flat, flat)
    bounds = ~copy & (height <= STEEP * np.sqrt(lateral))
    reach = np.sqrt(np.partition(np.where(copy, np.inf, squared), min(_RANK, near.shape[1]) - 1, axis=1))
    reach = WIDEST * reach[:, min(_RANK, near.shape[1]) - 1]
    reach = np.where(np.isfinite(reach), reach, 0.0)
    angle = 2.0 * np.pi * (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    along = flat @ np.stack([np.cos(angle), np.sin(angle)])  # (n, k, directions)
    with np.errstate(divide="ignore", invalid="ignore"):
        border = np.where(bounds[:, :, None] & (along > 0.0), 0.5 * lateral[:, :, None] / along, np.inf).min(axis=1)
    border = np.minimum(border, reach[:, None])
    # The sector between two directions is as large as that of a circle.
    return np.asarray(np.pi * np.square(border).mean(axis=1) / copy.sum(axis=1))
