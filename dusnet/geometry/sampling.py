"""Fewer points of a cloud: one per cell of a grid, so that density no longer depends on the scanner.

With a generator, the grid is shifted at random and a random point of each cell stays: several draws from one cloud
differ as scans do. Without one, the grid starts at the corner of the cloud and the first point of each cell stays:
poses and pictures must not depend on a draw. The searches for the size of the cells differ as well. Which points they
choose decides the scores of existing models, so each keeps its steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = NDArray[np.intp]
Cells = NDArray[np.int64]

_BISECTIONS = 12  # of an even choice: the cell is then known to 1 / 4096 of the cloud
_HALVINGS = 6  # of a random choice: the cell is then known to 1 %
_STEPS = 48  # doublings or halvings of a cell: below that share of the part no points are told apart
_CELL_STEPS = 18  # of `cell_for`: from a ten-thousandth of the cloud to all of it, known to 0.01 %
_BULK = 0.05  # share of the points at either end that may be stray
_FINEST = (1e-4, 1e-12)  # smallest cell that `cell_for` tries, shares of the bulk and of the whole cloud


def thin(points: Floats, cell: float, generator: np.random.Generator | None = None) -> Index:
    """Indices that keep one point per cubic cell.

    Args:
        points: (N, 3).
        cell: edge of a cell, the unit of the points.
        generator: shifts the grid and picks the points; None keeps the first of each cell of a grid that starts at the
            corner of the cloud.

    Returns:
        (M,) increasing indices, M <= N.
    """
    low = points.min(axis=0)
    if generator is None:
        _, first = np.unique(cell_keys((points - low) / cell), return_index=True)
        return np.sort(first)
    shuffled = generator.permutation(len(points))
    shift = generator.random(3) * cell
    _, first = np.unique(cell_keys((points[shuffled] - low + shift) / cell), return_index=True)
    return np.sort(shuffled[first])


def cell_means(points: Floats, cell: float) -> Floats:
    """Mean of the points of each cubic cell of a grid that starts half a cell below the corner of the cloud.

    Args:
        points: (N, 3).
        cell: edge of a cell, the unit of the points.

    Returns:
        (M, 3), M <= N, in the order of the cells. The order of the points decides last bits only.
    """
    _, number, count = np.unique(
        cell_keys((points - points.min(axis=0)) / cell + 0.5), return_inverse=True, return_counts=True
    )
    sums = np.stack([np.bincount(number.ravel(), along) for along in points.T], axis=1)
    means: Floats = sums / count[:, None]
    return means


def cell_for(points: Floats, count: int, generator: np.random.Generator) -> float:
    """Cell size at which `thin` keeps about `count` points, or a size that keeps nearly all if there are fewer.

    Args:
        points: (N, 3).
        count: wanted number of points.
        generator: of `thin`.
    """
    # Stray points must not decide how fine the search goes.
    low, high = (
        float(np.linalg.norm(np.quantile(points, 1 - share, axis=0) - np.quantile(points, share, axis=0)))
        for share in (_BULK, 0.0)
    )
    low = max(_FINEST[0] * low, _FINEST[1] * high)
    shifted = points - points.min(axis=0)
    for _ in range(_CELL_STEPS):
        middle = (low * high) ** 0.5
        generator.permutation(len(points))  # the draw that `thin` would make
        if _cells_taken((shifted + generator.random(3) * middle) / middle) > count:
            low = middle
        else:
            high = middle
    return high


def thin_to(points: Floats, count: int, generator: np.random.Generator | None = None) -> Index:
    """Indices that keep one point per cubic cell, with cells as large as a wanted number of points asks for.

    Quicker than `cell_for` and `thin`, where the size of the cells is needed for nothing else.

    Args:
        points: (N, 3).
        count: most points to keep.
        generator: as for `thin`.

    Returns:
        Increasing indices, at most `count` and hardly fewer; all where there are no more points than that, and one of
        each where fewer than `count` differ.
    """
    if len(points) <= count:
        return np.arange(len(points))
    size = float(np.ptp(points, axis=0).max())
    if size == 0.0:
        return np.zeros(1, dtype=np.intp)
    return _evenly(points, count, size) if generator is None else _at_random(points, count, size, generator)


def _evenly(points: Floats, count: int, size: float) -> Index:
    shifted = points - points.min(axis=0)
    low, high = 0.0, size
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        if _cells_taken(shifted / middle) > count:
            low = middle
        else:
            high = middle
    return thin(points, high)


def _at_random(points: Floats, count: int, size: float, generator: np.random.Generator) -> Index:
    order = generator.permutation(len(points))
    shift, shuffled = generator.random(3), points[order] - points.min(axis=0)

    def kept(cell: float) -> int:
        return _cells_taken(shuffled / cell + shift)

    # Twice the cell keeps a quarter of a surface's points: a few steps end near the wanted number.
    high = size / count**0.5
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
    _, first = np.unique(cell_keys(shuffled / high + shift), return_index=True)
    return np.sort(order[first])


def _cells_taken(places: Floats) -> int:
    """How many cells of edge 1 hold points, (N, 3), none below zero."""
    ordered = np.sort(cell_keys(places))  # quicker than what numpy.unique does
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def cell_keys(places: Floats) -> Cells:
    """One integer per cell of edge 1, (N, 3), none below zero -> (N,)."""
    cells = np.floor(places).astype(np.int64)
    sizes = cells.max(axis=0) + 1
    if np.prod(sizes, dtype=float) > 2**62:
        # A stray point far away makes more cells than an integer counts; only those that hold points matter.
        keys = np.zeros(len(cells), np.int64)
        for along in cells.T:
            _, rank = np.unique(along, return_inverse=True)
            _, keys = np.unique(keys * len(cells) + rank, return_inverse=True)
        return keys
    found: Cells = (cells[:, 0] * sizes[1] + cells[:, 1]) * sizes[2] + cells[:, 2]
    return found
