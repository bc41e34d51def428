"""Closed meshes of smooth bodies that are given as functions of place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.io import Mesh
from dusnet.synthesis.surface import Floats

Field = Callable[[Floats], Floats]
"""Places (N, 3) mm -> values (N,): negative in the body, about the distance to its surface outside of it, mm."""

_LARGEST_STEP = 0.5
"""A corner is never moved by more than this share of a cell: beyond it the neighbour's part of the surface begins."""


def surface_net(field: Field, low: Floats, high: Floats, cell: float) -> Mesh:
    """The surface where a field is zero, closed where the body lies inside of the box.

    One corner per cell that the surface crosses, at the mean of where it crosses the cell's edges (naive surface nets:
    S. Gibson, "Constrained Elastic Surface Nets", 1998), then moved onto the surface along the gradient.

    Args:
        field: of the body.
        low: corner of the box with the least coordinates, (3,) mm.
        high: corner with the greatest, (3,) mm.
        cell: edge of the cells, mm.
    """
    axes = [np.arange(a - 2.0 * cell, b + 3.0 * cell, cell) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = field(grid.reshape(-1, 3)).reshape(grid.shape[:3])
    inside = values < 0.0
    shape = tuple(n - 1 for n in inside.shape)
    total, crossings = np.zeros((*shape, 3)), np.zeros(shape)
    corners = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]

    def at(array: NDArray[Any], offset: tuple[int, ...]) -> NDArray[Any]:
        return array[tuple(slice(o, o + n) for o, n in zip(offset, shape, strict=True))]

    for start in corners:
        for axis in range(3):
            if start[axis]:
                continue
            end = tuple(o + (i == axis) for i, o in enumerate(start))
            a, b = at(values, start), at(values, end)
            crossed = at(inside, start) != at(inside, end)
            with np.errstate(divide="ignore", invalid="ignore"):
                t = np.where(crossed, a / (a - b), 0.0)[..., None]
            total += crossed[..., None] * ((1.0 - t) * at(grid, start) + t * at(grid, end))
            crossings += crossed
    used = crossings > 0
    number = np.full(shape, -1, dtype=np.int64)
    number[used] = np.arange(int(used.sum()))
    vertices = total[used] / crossings[used][:, None]
    faces = [_faces_across(inside, number, axis) for axis in range(3)]
    return Mesh(_onto(field, vertices, cell), np.concatenate(faces))


def _faces_across(inside: NDArray[np.bool_], number: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
    """Two triangles for each grid edge along `axis` that the surface crosses, counter-clockwise from outside."""
    b, c = (axis + 1) % 3, (axis + 2) % 3
    low = [slice(None)] * 3
    high = [slice(None)] * 3
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    for other in (b, c):
        low[other] = high[other] = slice(1, -1)
    here, there = inside[tuple(low)], inside[tuple(high)]

    def cell(db: int, dc: int) -> NDArray[np.int64]:
        index = [slice(None)] * 3
        index[b] = slice(1 - db, number.shape[b] - db)
        index[c] = slice(1 - dc, number.shape[c] - dc)
        return number[tuple(index)]

    ring = np.stack([cell(1, 1), cell(0, 1), cell(0, 0), cell(1, 0)], axis=-1)
    leaving, entering = ring[here & ~there], ring[~here & there][:, ::-1]
    quads = np.concatenate([leaving, entering])
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _onto(field: Field, vertices: Floats, cell: float) -> Floats:
    """Corners moved onto the surface by two steps of Newton's method along the gradient."""
    step = 1e-3 * cell
    points = vertices
    for _ in range(2):
        value = field(points)
        slope = np.stack([field(points + step * e) - field(points - step * e) for e in np.eye(3)], axis=1) / (2 * step)
        squared = np.maximum((slope**2).sum(axis=1), 1e-6)
        move = -(value / squared)[:, None] * slope
        length = np.linalg.norm(move, axis=1, keepdims=True)
        points = points + move * np.minimum(1.0, _LARGEST_STEP * cell / np.maximum(length, 1e-12))
    return points
