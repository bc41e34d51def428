"""Defects painted onto good images, so that it is known where they are and what was there before.

The shape is thresholded smooth noise and the filling comes from another place of a good image, after
V. Zavrtanik et al., "DRAEM", ICCV 2021, which takes its fillings from a collection of textures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHARE = (0.005, 0.10)
"""Smallest and largest share of the image that is painted over."""
COARSENESS = (0.02, 0.10)
"""Standard deviation of the smoothing that makes the shape, in edges of the image."""
OPACITY = (0.3, 1.0)
LEAST_CHANGE = 8
"""Of 255: what changes a pixel less is no defect."""


def pseudo_defect(
    image: NDArray[np.uint8], filling: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Paint a random defect.

    Args:
        image: (S, S, 3).
        filling: an image of the same size to take the filling from.
        rng: of its shape, place, filling and strength.

    Returns:
        The damaged image, (S, S, 3), and where it differs from the good one, (S, S).
    """
    from scipy.ndimage import gaussian_filter

    size = len(image)
    noise = gaussian_filter(rng.standard_normal((size, size)), rng.uniform(*COARSENESS) * size, mode="reflect")
    inside = noise > np.quantile(noise, 1 - rng.uniform(*SHARE))
    moved = np.roll(filling, (int(rng.integers(size)), int(rng.integers(size))), axis=(0, 1))
    moved = np.rot90(moved, int(rng.integers(4)))
    tinted = moved.astype(np.float64) * rng.uniform(0.5, 1.5, size=3) + rng.uniform(-40, 40, size=3)
    opacity = rng.uniform(*OPACITY)
    mixed = np.where(inside[..., None], opacity * tinted + (1 - opacity) * image, image)
    damaged = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    changed = np.abs(damaged.astype(np.int64) - image.astype(np.int64)).max(axis=-1)
    return damaged, changed >= LEAST_CHANGE
