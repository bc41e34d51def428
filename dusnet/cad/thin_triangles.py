"""The nearest place on thin triangles in double precision; single precision misses it by a thousandth of a part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.bodies import Faces, Floats

_THIN = 0.1  # of its longest side: a triangle that is not higher
_PAIRS = 500_000  # of point and triangle at a time


class ThinTriangles:
    """Triangles of a mesh that are thin or have a corner in common with a thin one.

    Args:
        vertices: (V, 3) float64, no two at one place.
        faces: (F, 3).
    """

    def __init__(self, vertices: Floats, faces: Faces) -> None:
        self._vertices, self._faces = vertices, faces
        corners = vertices[faces]
        doubled = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
        touched = np.zeros(len(vertices), dtype=np.bool_)
        touched[faces[np.flatnonzero(doubled <= _THIN * longest**2)]] = True
        self._near: NDArray[np.bool_] = np.asarray(touched[faces].any(axis=1))
        order = np.argsort(faces.reshape(-1), kind="stable")
        self._around = order // 3
        self._start = np.searchsorted(faces.reshape(-1)[order], np.arange(len(vertices) + 1))

    def nearer(
        self, points: Floats, face: NDArray[np.intp], distances: Floats, gain: float
    ) -> tuple[Faces, Faces, Floats]:
        """Points that are nearer to a triangle around the one that was found.

        Args:
            points: (N, 3).
            face: the triangle that was found, (N,).
            distances: to the place that was found, (N,).
            gain: how much nearer they have to be.

        Returns:
            Numbers of the points (M,), of their triangles (M,), and barycentric coordinates there (M, 3).
        """
        wanted = np.flatnonzero(self._near[face])
        many = np.diff(self._start)[self._faces[face[wanted]]].sum(axis=1)
        found = []
        for part in np.array_split(wanted, max(1, int(many.sum()) // _PAIRS)):
            if not len(part):
                continue
            corner = self._faces[face[part]].reshape(-1)
            count = self._start[corner + 1] - self._start[corner]
            ends = np.cumsum(count)
            triangle = self._around[np.arange(ends[-1]) + np.repeat(self._start[corner] - (ends - count), count)]
            point = np.repeat(np.repeat(part, 3), count)
            weights, away = nearest_on_triangles(points[point], self._vertices[self._faces[triangle]])
            order = np.lexsort((away, point))
            first = order[np.r_[True, np.diff(point[order]) != 0]]
            first = first[away[first] < distances[point[first]] - gain]
            found.append((point[first], triangle[first], weights[first]))
        empty = np.zeros(0, dtype=np.int64)
        found.append((empty, empty, np.zeros((0, 3))))
        number, triangle, weights = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return number, triangle, weights


def nearest_on_triangles(points: Floats, corners: Floats) -> tuple[Floats, Floats]:
    """The nearest place of one triangle per point.

    Args:
        points: (N, 3).
        corners: (N, 3, 3).

    Returns:
        Barycentric coordinates of the places (N, 3), and distances to them (N,).
    """
    first, second, away = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    a, b, c = (np.einsum("ni,ni->n", x, y) for x, y in ((first, first), (first, second), (second, second)))
    d, e = (np.einsum("ni,ni->n", away, side) for side in (first, second))
    area = a * c - b * b
    scale = np.where(area > 0.0, area, 1.0)
    one, two = (c * d - b * e) / scale, (a * e - b * d) / scale
    best = np.column_stack([1.0 - one - two, one, two])
    inside = (area > 0.0) & (best >= 0.0).all(axis=1)
    nearest = np.where(inside, _distances(points, corners, best), np.inf)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        side = corners[:, end] - corners[:, start]
        length = np.einsum("ni,ni->n", side, side)
        along = np.einsum("ni,ni->n", points - corners[:, start], side) / np.where(length > 0.0, length, 1.0)
        weights = np.zeros_like(best)
        weights[:, end] = np.clip(along, 0.0, 1.0)
        weights[:, start] = 1.0 - weights[:, end]
        away_from = _distances(points, corners, weights)
        better = away_from < nearest
        best[better], nearest[better] = weights[better], away_from[better]
    return best, nearest


def _distances(points: Floats, corners: Floats, weights: Floats) -> Floats:
    places = np.einsum("nk,nki->ni", weights, corners)
    return np.asarray(np.linalg.norm(points - places, axis=1))
