"""Relief of cast parts: heights over a smooth body that are functions of place, the same for every part of a class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from dusnet.synthesis.surface import Floats

_GRAIN_WAVES = 64
_GRAIN_LENGTHS = (0.03, 0.15)
"""Wavelengths of the grain, fractions of the bounding radius: two to twenty times the point distance of the scans."""


@dataclass(frozen=True)
class Relief:
    """A sum of layers.

    Attributes:
        layers: each gives heights in bounding radii, (N,), for places in bounding radii from the middle, (N, 3).
    """

    layers: tuple[Callable[[Floats], Floats], ...]

    def __add__(self, other: Relief) -> Relief:
        return Relief(self.layers + other.layers)

    def heights(self, points: Floats) -> Floats:
        """Heights over the body, (N,), for places (N, 3); all in bounding radii."""
        return np.sum([layer(points) for layer in self.layers], axis=0)


def grain(seed: int, height: float) -> Relief:
    """Irregular unevenness of a cast surface: plane waves of many lengths.

    Args:
        seed: of the waves.
        height: twice its standard deviation, bounding radii.
    """
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(_GRAIN_WAVES, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = np.exp(rng.uniform(np.log(_GRAIN_LENGTHS[0]), np.log(_GRAIN_LENGTHS[1]), _GRAIN_WAVES))
    # Steepness is the same at all lengths, so that heights go with the length.
    strength = length / np.sqrt(0.5 * (length**2).sum())
    wave, phase = 2.0 * np.pi * direction / length[:, None], rng.uniform(0.0, 2.0 * np.pi, _GRAIN_WAVES)

    def layer(points: Floats) -> Floats:
        total = np.zeros(len(points))
        for k in range(_GRAIN_WAVES):
            total += strength[k] * np.sin(points @ wave[k] + phase[k])
        return 0.5 * height * total

    return Relief((layer,))


def _side(points: Floats, side: int) -> Floats:
    """1 where a layer is, 0 where it is not, smoothly between: side 1 is above, -1 below, 0 and others are all over."""
    if side not in (-1, 1):
        return np.ones(len(points))
    return 1.0 / (1.0 + np.exp(-side * points[:, 2] / 0.03))


def ribs(axis: int, period: float, height: float, side: int) -> Relief:
    """Ribs across an axis.

    Args:
        axis: 0, 1 or 2.
        period: distance of the ribs in bounding radii; where `side` is 2 the number of ribs around the z axis.
        height: from valley to crest.
        side: 1 above only, -1 below only, 0 all over, 2 radial ones, 3 crossed ones.
    """

    def layer(points: Floats) -> Floats:
        if side == 2:
            wave = np.cos(period * np.arctan2(points[:, 1], points[:, 0]))
            wave = wave * np.clip(np.hypot(points[:, 0], points[:, 1]) / 0.35, 0.0, 1.0)
        else:
            wave = np.cos(2.0 * np.pi * points[:, axis] / period)
            if side == 3:
                wave = np.maximum(wave, np.cos(2.0 * np.pi * points[:, (axis + 1) % 3] / period))
        return 0.5 * height * wave * _side(points, side)

    return Relief((layer,))


def scales(period: float, height: float, side: int = 0) -> Relief:
    """Overlapping scales on a hexagonal lattice in x and y, each rising towards its free edge."""

    def layer(points: Floats) -> Floats:
        row = points[:, 1] / (0.6 * period)
        best = np.zeros(len(points))
        for shift in (0, 1):
            y = np.floor(row) + shift
            offset = 0.5 * (y % 2)
            along = points[:, 0] / period - offset
            dx, dy = along - np.round(along), row - y
            radius = np.hypot(dx, 0.6 * dy)
            best = np.maximum(best, np.clip(1.0 - (radius / 0.62) ** 4, 0.0, 1.0) * (0.6 + 0.4 * dx))
        return height * best * _side(points, side)

    return Relief((layer,))


def knobs(seed: int, count: int, radius: float, height: float) -> Relief:
    """Round knobs at irregular places all over; radius and height in bounding radii."""
    rng = np.random.default_rng(seed)
    flat = rng.uniform(-1.0, 1.0, size=(count, 2))
    places = np.column_stack([flat, np.where(np.arange(count) % 2 == 0, 1.0, -1.0)])
    tree = cKDTree(places[:, :2][places[:, 2] > 0]), cKDTree(places[:, :2][places[:, 2] < 0])

    def layer(points: Floats) -> Floats:
        above = points[:, 2] > 0
        distance = np.empty(len(points))
        for mask, one in ((above, tree[0]), (~above, tree[1])):
            distance[mask] = one.query(points[mask, :2])[0]
        return height * (1.0 - np.clip(distance / radius, 0.0, 1.0) ** 2) ** 2

    return Relief((layer,))
