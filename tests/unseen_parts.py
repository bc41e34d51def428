"""Two parts that no shipped weights have seen, good and with defects: a lopsided pebble and an angle with a rib."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud

Points = NDArray[np.float64]

NOISE_MM = 0.05
PLACE_MM = 11.0  # radius of every defect; both parts reach some 50 mm from their middles


def _pebble(rng: np.random.Generator, count: int) -> tuple[Points, Points]:
    """Points and outward directions of a star-shaped body without symmetry, (N, 3) both."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    x, y, z = direction.T
    reach = 50 * (1 + 0.2 * x + 0.15 * x * y - 0.1 * y * z + 0.06 * np.sin(3 * z + 2 * x))
    return reach[:, None] * direction * [1.0, 0.75, 0.55], direction


# (low corner, high corner) in mm: a foot, a wall on it, and a rib that stands at one end.
ANGLE = np.array(
    [[[-45, -30, 0], [45, 30, 8]], [[-45, -30, 8], [45, -22, 50]], [[20, -22, 8], [30, 10, 34]]], dtype=float
)


def _angle(rng: np.random.Generator, count: int) -> tuple[Points, Points]:
    """Points and normals of the outer surface of three boxes together, (N, 3) both."""
    low, high = ANGLE[:, 0], ANGLE[:, 1]
    sides = high - low
    areas = np.stack([sides[:, 1] * sides[:, 2], sides[:, 0] * sides[:, 2], sides[:, 0] * sides[:, 1]], axis=1)
    share = np.repeat(areas[:, :, None], 2, axis=2).ravel()
    face = rng.choice(len(share), size=4 * count, p=share / share.sum())
    box, axis, far = face // 6, face % 6 // 2, face % 2
    points = low[box] + rng.random((len(face), 3)) * sides[box]
    rows = np.arange(len(face))
    points[rows, axis] = np.where(far == 1, high[box, axis], low[box, axis])
    normals = np.zeros_like(points)
    normals[rows, axis] = 2.0 * far - 1
    just_outside = points + 1e-6 * normals
    free = ~((just_outside[:, None] >= low) & (just_outside[:, None] <= high)).all(axis=2).any(axis=1)
    return points[free][:count], normals[free][:count]


# What makes a scan of the part, and where its defects are: on a free face, away from edges.
PARTS: dict[str, tuple[Callable[[np.random.Generator, int], tuple[Points, Points]], Points]] = {
    "pebble": (_pebble, np.array([5.0, -3.0, 27.0])),
    "angle": (_angle, np.array([-15.0, 8.0, 8.0])),
}
KINDS = ("dent", "bulge", "hole")


def scan(name: str, kind: str, seed: int, *, points: int = 2000, height: float = 5.0) -> PointCloud:
    """A scan of the part, good or with one defect, at a position of its own.

    Args:
        name: of the part.
        kind: "good", "dent" and "bulge" (a round patch moved by `height`), or "hole" (a patch that is not there).
        seed: of the scanned places, of the noise and of the position (some millimetres).
        points: number of points before a hole is cut.
        height: in mm, 10 % of the radius.

    Returns:
        The cloud; its labels are the points within the radius of the defect, of a good scan those of the same place.
    """
    rng = np.random.default_rng(seed)
    make, place = PARTS[name]
    surface, outward = make(rng, points)
    away = np.linalg.norm(surface - place, axis=1) / PLACE_MM
    kept = np.ones(len(surface), dtype=bool)
    if kind in ("dent", "bulge"):
        push = height * np.clip(1 - away**2, 0, None)
        surface = surface + outward * (push if kind == "bulge" else -push)[:, None]
    elif kind == "hole":
        kept = away > 1
    surface = surface[kept] + rng.normal(scale=NOISE_MM, size=(int(kept.sum()), 3))
    return PointCloud(surface + rng.normal(scale=1.0, size=3), labels=away[kept] < 1)
