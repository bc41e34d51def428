"""Scans of an egg, a part without symmetry."""

from __future__ import annotations

import numpy as np

from dusnet.cloud import PointCloud


def egg(seed, count=1200, noise=0.1):
    """A scan of a lopsided egg of about 40 mm."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    x, y, z = direction.T
    radius = 40 * (1 + 0.25 * x + 0.15 * x * y + 0.1 * y * z)
    surface = radius[:, None] * direction * [1.0, 0.8, 0.6]
    return PointCloud(surface + rng.normal(scale=noise, size=surface.shape))
