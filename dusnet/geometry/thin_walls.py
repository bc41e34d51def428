"""One camera before a part of thin walls: which face a scan shows, and from where it was taken.

Beside a wall that is thinner than the reach of a point, points of one face cover the other one too, so what a scan
covers cannot tell a view of one side from a scan of all faces. The points can: around a place, the places of a good
part lie in two layers, and those of a scan lie in one of them or in both.

From a camera far away no point hides another one of its own scan, and what the scan leaves out is hidden by its points
or is not there. The direction for which this is least wrong is the camera's.

All lengths are in one unit, that of the places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.geometry.neighbors import Neighbors
from dusnet.geometry.normals import planes
from dusnet.geometry.sampling import thin_to
from dusnet.geometry.visibility import directions

LOOKED_AT = 400
"""Places whose surroundings are looked at."""
AROUND = 12
"""Points of the scan around a place: of two faces, all of them are on one in one place of 2000."""
FEWEST_PLACES = 16  # places around one, without which two layers cannot be told
WALL_PLACES = 4 * AROUND
"""Places that the normal of a wall is estimated from: of both layers, so many that the wall looks thin."""
TWO_LAYERS = 0.9
"""Mean distance from the middle layer over its root mean square: 1 for two layers, 0.8 for noise."""
FLAT = 0.3
"""Two layers that are farther from their middle than this fraction of what is looked at are no thin wall."""
SINGLE = 0.5
"""Spread of the scan over that of the places, below which it shows one of two layers: 0 for one, 1 for both."""
THIN_SHARE = 0.25
"""Share of the places that must have two layers: else the part is not made of thin walls."""
CLEAR = 0.8
"""Share of the places with two layers that must agree."""
COMPARED = 2000
"""Points, and empty places, with which directions are compared."""
EYES = 64  # directions that are tried first, 25 degrees apart
BEST = 4
"""Directions near which better ones are looked for."""
STEPS = np.deg2rad([10.0, 5.0, 2.5])  # by which a direction is turned in search of a better one, ever finer
AZIMUTHS = 6  # directions around one that are tried
WIDTH = 0.375
"""Fraction of the reach beside a ray within which a point hides what is behind it: one in eight passes."""
SAME_SURFACE = 0.5
"""What is nearer than this fraction of the reach to the plane through a place is the surface around it, or the other
layer, and does not hide the place; a tenth of the depth is added, since surfaces are bent."""
WINDOW = 1.5
"""Half the side of the square of cells around a ray, in cells."""
MOST_CELLS = 500
"""Cells along a side of what is looked at, at most."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Layers:
    """Which layers of thin walls a scan shows.

    Attributes:
        thin: share of the places that have two layers, 0 to 1.
        single: share of these at which the scan shows one of them, 0 to 1.
    """

    thin: float
    single: float

    @classmethod
    def of(cls, points: Floats, places: Floats, empty: Mask, reach: float) -> Layers:
        """Look around places that the scan covers.

        Args:
            points: the scan, (N, 3).
            places: of a good part, (M, 3).
            empty: places without a point of the scan, (M,).
            reach: distance to the nearest point from which on a place is empty.
        """
        covered = places[~empty]
        if not len(covered) or len(points) < AROUND:
            return cls(0.0, 0.0)
        asked = covered[thin_to(covered, LOOKED_AT)]
        distance, near = Neighbors(points).knn(asked, AROUND)
        radius = distance[:, -1]
        around = cKDTree(places).query_ball_point(asked, radius)
        found = [
            _spreads(places[which], points[index], r)
            for which, index, r in zip(around, near, radius, strict=True)
            if r <= reach * 2 and len(which) >= FEWEST_PLACES
        ]
        ratios = np.array([ratio for ratio in found if ratio is not None])
        if not len(ratios):
            return cls(0.0, 0.0)
        return cls(len(ratios) / len(asked), float((ratios < SINGLE).mean()))

    @property
    def one_face(self) -> bool:
        """Whether the scan shows one face of a part of thin walls."""
        return self.thin >= THIN_SHARE and self.single >= CLEAR

    @property
    def both_faces(self) -> bool:
        """Whether the scan shows both faces of a part of thin walls."""
        return self.thin >= THIN_SHARE and self.single <= 1.0 - CLEAR


def _spreads(places: Floats, points: Floats, radius: float) -> float | None:
    """Spread of points across a wall over that of places there; None where these do not lie in two layers."""
    middle = places.mean(axis=0)
    _, axes = np.linalg.eigh((places - middle).T @ (places - middle))
    heights = (places - middle) @ axes[:, 0]
    spread = float(heights.std())
    above = heights > 0.0
    if not 0.0 < spread <= FLAT * radius or above.all() or not above.any():
        return None
    off = heights - 0.5 * (heights[above].mean() + heights[~above].mean())
    if np.abs(off).mean() < TWO_LAYERS * np.sqrt((off**2).mean()):
        return None
    return float(((points - middle) @ axes[:, 0]).std() / spread)


@dataclass(frozen=True)
class Shadows:
    """A scan of one face, and places that may lie in the shadow of its points.

    Attributes:
        points: the scan, or some of it, (N, 3).
        across: unit normals of either sign there, (N, 3).
        width: distance from a ray within which a point hides what is behind it.
        margin: a point hides what is farther behind it than this.
    """

    points: Floats
    across: Floats
    width: float
    margin: float

    @classmethod
    def of(cls, points: Floats, reach: float) -> Shadows:
        """Prepare a scan.

        Args:
            points: the scan, (N, 3).
            reach: distance to the nearest point from which on a place is empty.
        """
        few = points[thin_to(points, COMPARED)]
        # Fewer points are farther from each other.
        return cls(few, planes(few, points, AROUND)[0], WIDTH * reach * (len(points) / len(few)) ** 0.5, reach)

    def camera(self, lost: Floats, walls: Floats) -> Floats:
        """The direction towards the camera that took the scan, a unit vector (3,).

        Args:
            lost: places of the part without points, (E, 3).
            walls: unit normals of either sign there, (E, 3).
        """
        few = slice(None, None, 1 + len(lost) // COMPARED)
        asked = np.concatenate([self.points, lost[few]])
        across = np.concatenate([self.across, walls[few]])
        points = np.arange(len(asked)) < len(self.points)

        def wrong(direction: Floats) -> float:
            # Points that lie in a shadow, and empty places that lie in none.
            return float((self.hidden(asked, across, direction) == points).mean())

        tried = directions(EYES)
        found = sorted((wrong(one), number) for number, one in enumerate(tried))[:BEST]
        best = [(value, tried[number]) for value, number in found]
        for step in STEPS:
            best = [
                min([one, *((wrong(other), other) for other in _ring(one[1], step))], key=lambda item: item[0])
                for one in best
            ]
        return min(best, key=lambda item: item[0])[1]

    def hidden(self, asked: Floats, across: Floats, direction: Floats) -> Mask:
        """Which places lie in a shadow.

        Args:
            asked: the places, (K, 3).
            across: unit normals of either sign there, (K, 3).
            direction: unit vector towards the camera.

        Returns:
            (K,).
        """
        if not len(asked):
            return np.zeros(0, dtype=bool)
        from scipy.ndimage import maximum_filter

        side = _ring(direction, np.pi / 2)[0]
        flat = np.concatenate([self.points, asked]) @ np.column_stack([side, np.cross(direction, side)])
        flat -= flat.min(axis=0)
        cells = (flat / max(self.width / WINDOW, float(flat.max()) / MOST_CELLS)).astype(np.int64)
        order = np.argsort(self.points @ direction)
        front = np.full(cells.max(axis=0) + 1, -1)
        rows, columns = cells[order].T
        np.maximum.at(front, (rows, columns), np.arange(len(order)))
        front = maximum_filter(front, size=3, mode="constant", cval=-1)
        rows, columns = cells[len(order) :].T
        first = front[rows, columns]
        ahead = self.points[order[first]] - asked
        depth = ahead @ direction
        off = np.abs(np.einsum("ij,ij->i", ahead, across))
        beside = off <= SAME_SURFACE * (self.margin + 0.2 * np.abs(depth))
        hidden: Mask = (first >= 0) & (depth > self.margin) & ~beside
        return hidden


def _ring(direction: Floats, angle: float) -> list[Floats]:
    """Directions at an angle from one, all around it."""
    first = np.cross(direction, np.eye(3)[np.abs(direction).argmin()])
    first /= np.linalg.norm(first)
    second = np.cross(direction, first)
    turns = 2.0 * np.pi * np.arange(AZIMUTHS) / AZIMUTHS
    return [np.cos(angle) * direction + np.sin(angle) * (np.cos(t) * first + np.sin(t) * second) for t in turns]
