"""On which side of a part a place lies: front, right, top, back, left or bottom."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import Points

SideName = Literal["front", "right", "top", "back", "left", "bottom"]
SIDE_NAMES: tuple[SideName, ...] = get_args(SideName)
TOWARD_EYE = np.array([(0, -1, 0), (1, 0, 0), (0, 0, 1), (0, 1, 0), (-1, 0, 0), (0, 0, -1)], dtype=np.float64)
"""From where each side is seen, along the axes of the frame, in the order of `SIDE_NAMES`, (6, 3)."""

_MOST = 60_000  # points of the scan that are looked at
_MOST_OWN = 200  # points of a place that are looked at
_CELLS = 64  # along the largest extent of the part: what is hidden is told by the nearest point of each cell
_HIDDEN = 2.0  # cells behind the nearest point from which on a point is not seen
_AROUND = 30  # points that tell which way the surface faces, at least
_PLACE = 0.5  # how much the place within the part counts beside what is seen: thin walls are seen through


class PartSides:
    """The six sides of a part as a scan shows them.

    Args:
        points: the scan in the frame whose axes tell the sides, (N, 3) float64, N >= 1.
    """

    def __init__(self, points: Points) -> None:
        kept = np.linspace(0, len(points) - 1, min(len(points), _MOST)).astype(np.intp)
        self._points = points[kept]
        low, high = np.quantile(self._points, (0.001, 0.999), axis=0)
        self._middle, self._half = (low + high) / 2.0, np.maximum((high - low) / 2.0, 1e-12)
        self._cell = 2.0 * float(self._half.max()) / _CELLS
        self._nearest = [self._grid(axis, sign) for axis, sign in map(_axis_of, TOWARD_EYE)]

    def of(self, place: Points) -> SideName:
        """The side that shows a place best: it faces the eye, nothing lies before it, and it is on that half.

        Args:
            place: points of the place, (n, 3) float64, n >= 1, in the same frame.
        """
        own = place[np.linspace(0, len(place) - 1, min(len(place), _MOST_OWN)).astype(np.intp)]
        center = own.mean(axis=0)
        facing = np.abs(TOWARD_EYE @ self._normal(center, len(place)))
        seen = np.array([self._seen(own, number) for number in range(len(TOWARD_EYE))])
        toward = np.clip(TOWARD_EYE @ ((center - self._middle) / self._half), -1.0, 1.0)
        return SIDE_NAMES[int(np.argmax(facing * (seen + _PLACE * toward)))]

    def _normal(self, center: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """Which way the surface faces around a place, (3,), up to its sign."""
        around = min(len(self._points), max(_AROUND, 2 * count))
        distance = ((self._points - center) ** 2).sum(axis=1)
        near = self._points[np.argpartition(distance, around - 1)[:around]]
        _, _, axes = np.linalg.svd(near - near.mean(axis=0), full_matrices=False)
        return np.asarray(axes[-1], dtype=np.float64)

    def _grid(self, axis: int, sign: float) -> NDArray[np.float64]:
        nearest = np.full(_CELLS * _CELLS, -np.inf)
        np.maximum.at(nearest, self._cells(self._points, axis), sign * self._points[:, axis])
        return nearest

    def _seen(self, own: Points, number: int) -> float:
        """Share of the points of a place that nothing hides from an eye."""
        axis, sign = _axis_of(TOWARD_EYE[number])
        before = self._nearest[number][self._cells(own, axis)]
        return float((sign * own[:, axis] >= before - _HIDDEN * self._cell).mean())

    def _cells(self, points: Points, axis: int) -> NDArray[np.intp]:
        """The cell of each point on the plane across an axis, (n,)."""
        across = [other for other in range(3) if other != axis]
        place = (points - self._middle)[:, across] / self._cell + _CELLS / 2
        column, row = np.clip(place, 0, _CELLS - 1).astype(np.intp).T
        return np.asarray(column * _CELLS + row)


def _axis_of(direction: NDArray[np.float64]) -> tuple[int, float]:
    axis = int(np.abs(direction).argmax())
    return axis, float(direction[axis])
