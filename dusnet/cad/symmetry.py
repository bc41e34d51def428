"""Turns after which a CAD model nearly looks the same, such as a plate but for one hole, or a gear but for its key way.

A search over poses can end in any of them; only a fit to the surface tells which is right.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.sampling import thin_to
from dusnet.geometry.surface import DiscSurface, Table
from dusnet.registration.icp import rotations, transform

Floats = NDArray[np.float64]

_PLACES = 400  # evenly spread points that are turned
_ANGLES = 180  # about each principal axis: teeth of a gear may be 6 degrees apart
_LIKELY = 0.06  # of the radius: mean distance after a turn that is looked at, beyond that of no turn
_LOOKED_AT = 64  # turns per axis, the likeliest
_ALIKE = 0.03  # mean distance, none counted above `_CUT`, that a near symmetry leaves
_CUT = 0.05
_DIFFERENT = 0.05  # mean displacement between two turns that are not the same


def near_symmetries(
    places: Floats, refine: Callable[[Floats, Floats], Floats], distance: Callable[[Floats], Floats]
) -> list[Floats]:
    """Motions of a part onto nearly itself: turns about the principal axes of its surface.

    Args:
        places: evenly spread points of the surface, (M, 3) float64, in radii about any origin.
        refine: fits points (K, 3) to the surface from a starting motion (4, 4), and returns the motion.
        distance: of points (K, 3) to the surface, (K,).

    Returns:
        (4, 4) float64 motions without the identity, the best first.
    """
    table = Table.of(DiscSurface.of(places))
    few = places[thin_to(places, _PLACES)]
    center = places.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((places - center).T))
    angles = 2.0 * np.pi * np.arange(_ANGLES) / _ANGLES
    found: list[tuple[float, Floats]] = []
    for axis in axes.T:
        poses = np.tile(np.eye(4), (_ANGLES, 1, 1))
        poses[:, :3, :3] = rotations(angles[:, None] * axis)
        poses[:, :3, 3] = center - poses[:, :3, :3] @ center
        moved = transform(poses, few)
        gap = table.gap(moved.reshape(-1, 3)).reshape(moved.shape[:2]).mean(axis=1)
        valley = (gap <= np.roll(gap, 1)) & (gap <= np.roll(gap, -1)) & (gap <= gap[0] + _LIKELY)
        valley[0] = False
        likely = np.flatnonzero(valley)
        for number in likely[np.argsort(gap[likely], kind="stable")][:_LOOKED_AT]:
            motion = refine(few, poses[number])
            cost = float(np.minimum(distance(few @ motion[:3, :3].T + motion[:3, 3]), _CUT).mean())
            if cost <= _ALIKE:
                found.append((cost, motion))
    found.sort(key=lambda entry: entry[0])
    kept = [few]
    motions: list[Floats] = []
    for _, motion in found:
        moved = few @ motion[:3, :3].T + motion[:3, 3]
        if all(np.linalg.norm(moved - other, axis=1).mean() > _DIFFERENT for other in kept):
            kept.append(moved)
            motions.append(motion)
    return motions
