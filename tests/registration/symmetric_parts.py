"""Parts that a turn about an axis, or half a turn, nearly maps to themselves, and one that none does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.geometry.surface import DiscSurface

Array = NDArray[np.float64]
MARK = np.array([0.62, 0.0, 0.25])


def even(points: Array, count: int = 3000) -> DiscSurface:
    """About as many of the points, no two of them close to each other."""
    kept = np.ones(len(points), dtype=bool)
    tree = cKDTree(points)
    reach = np.sqrt(1.0 / count)
    for number in range(len(points)):
        if kept[number]:
            near = [other for other in tree.query_ball_point(points[number], reach) if other > number]
            kept[near] = False
    return DiscSurface.of(points[kept])


def jar(count: int, seed: int, *, mark: bool = True) -> Array:
    """A turned body whose upper end is narrower, with a small knob on its side."""
    rng = np.random.default_rng(seed)
    height, angle = rng.uniform(-0.7, 0.7, count), rng.uniform(0, 2 * np.pi, count)
    radius = 0.55 - 0.15 * np.maximum(height, 0) + 0.05 * np.sin(4 * height)
    points = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), height])
    if mark:
        knob = rng.normal(size=(count // 40, 3))
        knob *= 0.09 / np.linalg.norm(knob, axis=1, keepdims=True)
        points = np.concatenate([points, MARK + knob])
    return points


def block(count: int, seed: int) -> Array:
    """The surface of a block of three different edges."""
    rng = np.random.default_rng(seed)
    size = np.array([0.7, 0.45, 0.25])
    face = rng.choice(3, count, p=(1 / size) / (1 / size).sum())
    points = rng.uniform(-1, 1, (count, 3))
    points[np.arange(count), face] = rng.choice([-1.0, 1.0], count)
    return points * size


def lump(count: int, seed: int) -> Array:
    direction = np.random.default_rng(seed).normal(size=(count, 3))
    x, y, z = (direction / np.linalg.norm(direction, axis=1, keepdims=True)).T
    radius = 0.7 * (1 + 0.3 * x + 0.25 * x * y + 0.2 * y * z + 0.15 * np.sin(4 * z))
    return radius[:, None] * np.stack([x, y, z], axis=1)
