"""A part with a known bump, models that know it, and scans of it in any pose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dusnet.cloud import PointCloud

SPACING = 1.3
"""Typical distance of neighbours of a scan, mm."""


def pose(seed: int, reach: float = 150.0) -> NDArray[np.float64]:
    """A random rigid motion, (4, 4)."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(rng=rng).as_matrix()
    matrix[:3, 3] = rng.uniform(-reach, reach, 3)
    return matrix


def moved(points: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def stepped_block(seed: int, count: int = 5000) -> NDArray[np.float64]:
    """Points on a block of 60 x 40 x 20 with a step, which no turn maps to itself."""
    rng = np.random.default_rng(seed)
    size = np.array([60.0, 40.0, 20.0])
    face = rng.choice(6, count, p=[0.11, 0.11, 0.17, 0.17, 0.22, 0.22])
    points = rng.uniform(0.0, 1.0, (count, 3)) * size
    points[np.arange(count), face // 2] = np.where(face % 2, size[face // 2], 0.0)
    points[(face == 5) & (points[:, 0] > 45), 2] -= 6.0
    return points


def bumped_block(seed: int, height: float = 5.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The block with a bump on its top face about (20, 25), and the middle of the points that it raised by 1 mm."""
    points = stepped_block(seed)
    away = np.hypot(points[:, 0] - 20.0, points[:, 1] - 25.0) / 8.0
    rise = np.where(points[:, 2] == 20.0, height * np.clip(1.0 - away**2, 0.0, None), 0.0)
    points[:, 2] += rise
    return points, points[rise > 1.0].mean(axis=0)


def scan(points: NDArray[np.float64], matrix: NDArray[np.float64]) -> PointCloud:
    return PointCloud(moved(points, matrix))
