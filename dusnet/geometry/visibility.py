"""Which points of a cloud can be seen from a direction (Katz et al. 2007, hidden point removal)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from dusnet.geometry.sampling import thin_to

Array = NDArray[np.float64]

_DISTANCE = 6.0  # of the eye, in bounding radii: nearly parallel rays, as in a scanner that sees the whole part
_FLIP = 100.0  # radius of the flipping sphere in units of the eye's distance; larger lets more of a hollow be seen
_EYES = 64  # directions that are tried, 25 degrees apart
_EYE_POINTS = 300  # points that are looked at: a share of them is known to 3 %
_ONE_SIDED = 0.68  # share of the points seen from one place, from which on the cloud may be a scan of one side


@dataclass(frozen=True)
class Eye:
    """From where a cloud is seen best.

    Attributes:
        direction: (3,) float64 unit vector from the cloud to the eye.
        share: share of the points that are visible from there; near 1 for a scan of one side, about half otherwise.
    """

    direction: Array
    share: float

    @property
    def one_sided(self) -> bool:
        """Whether the cloud may be a scan of one side, taken from here."""
        return self.share >= _ONE_SIDED

    @classmethod
    def all_of(cls, points: Array, *, eyes: int = _EYES, sample: int = _EYE_POINTS) -> tuple[Eye, ...]:
        """The eye of `points` (N, 3), and the opposite one when the cloud may be a scan from there too (a shell).

        Each is the middle of the directions on its side that see nearly as much as the best there.

        Args:
            points: (N, 3) float64.
            eyes: number of directions that are tried.
            sample: evenly spread points that are looked at.
        """
        points = points[thin_to(points, sample)]
        tried = directions(eyes)
        seen = np.array([len(visible(points, eye)) for eye in tried]) / len(points)
        first = cls._middle(tried, seen, tried @ tried[seen.argmax()] > 0.0)
        second = cls._middle(tried, seen, tried @ first.direction < -0.5)
        return (first, second) if second.one_sided else (first,)

    @classmethod
    def _middle(cls, eyes: Array, seen: Array, side: NDArray[np.bool_]) -> Eye:
        eyes, seen = eyes[side], seen[side]
        mean = eyes[seen >= seen.max() - 0.01].mean(axis=0)
        return cls(mean / np.linalg.norm(mean), float(seen.max()))


def directions(count: int) -> Array:
    """`count` unit vectors spread evenly over the sphere (Fibonacci lattice), (count, 3)."""
    step = np.arange(count) + 0.5
    height = 1.0 - 2.0 * step / count
    azimuth = np.pi * (1.0 + 5.0**0.5) * step
    ring = np.sqrt(1.0 - height**2)
    return np.column_stack([ring * np.cos(azimuth), ring * np.sin(azimuth), height])


def visible(points: Array, direction: Array, *, flip: float = _FLIP) -> NDArray[np.intp]:
    """Index of the points that an eye far away along `direction` can see, ascending.

    Args:
        points: (N, 3) float64.
        direction: (3,) unit vector from the cloud to the eye.
        flip: radius of the flipping sphere in units of the eye's distance.
    """
    center = points.mean(axis=0)
    radius = float(np.linalg.norm(points - center, axis=1).max())
    ray = points - (center + direction * _DISTANCE * radius)
    try:
        return unhidden(ray, np.linalg.norm(ray, axis=1), 2.0 * flip * _DISTANCE * radius)
    except QhullError:  # a flat cloud seen edge-on or with too few points: nothing hides anything
        return np.arange(len(points))


def unhidden(rays: Array, length: Array, diameter: float) -> NDArray[np.intp]:
    """Index of the points that an eye at the origin can see, ascending.

    The points are flipped about a sphere around the eye; those on the convex hull of the flipped points and the eye are
    the visible ones.

    Args:
        rays: from the eye to the points, (N, 3).
        length: of the rays, (N,), none 0.
        diameter: of the sphere; a larger one sees deeper into hollows, too large a one through the surface.

    Raises:
        QhullError: the flipped points have no volume.
    """
    hull = ConvexHull(np.vstack([rays * (diameter / length - 1.0)[:, None], np.zeros(3)]))
    return np.sort(hull.vertices[hull.vertices < len(rays)])
