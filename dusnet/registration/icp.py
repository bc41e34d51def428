"""Multi-scale point-to-plane ICP with Tukey's robust weights, for many starting poses at once.

Own code because Open3D's ICP sums its normal equations in the order in which threads finish: the same call gives
matrices that differ in the last bits, and scores have to be reproducible to the bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dusnet.registration.surface import Nearest

Array = NDArray[np.float64]

_DAMPING = 1e-9  # keeps the 6 x 6 system solvable where the surface does not fix a motion (a plane, a cylinder)


def transform(poses: Array, points: Array) -> Array:
    """Points (n, 3) moved by each of the poses (H, 4, 4): (H, n, 3)."""
    return np.matmul(points, poses[:, :3, :3].transpose(0, 2, 1)) + poses[:, None, :3, 3]


def rotations(vectors: Array) -> Array:
    """Rotation matrices (H, 3, 3) of rotation vectors (H, 3) in radians (Rodrigues' formula)."""
    angle = np.linalg.norm(vectors, axis=1)
    axis = vectors / np.maximum(angle, 1e-300)[:, None]
    cross = np.zeros((len(vectors), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = axis
    cross[:, [1, 2, 0], [2, 0, 1]] = -axis
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + sine * cross + (1.0 - cosine) * np.einsum("hij,hjk->hik", cross, cross)


def icp(
    points: Array, surface: Nearest, poses: Array, reach: float, iterations: int, *, tolerance: float = 1e-5
) -> Array:
    """Poses after at most `iterations` Gauss-Newton steps of robust point-to-plane ICP.

    A pair counts when it is nearer than `reach`; its weight is (1 - (d / reach)^2)^2, Tukey's biweight of the distance
    d to the plane of the nearest reference point.

    Args:
        points: (n, 3) float64 in the normalised scan frame.
        surface: the reference.
        poses: (H, 4, 4) float64 scan -> reference starting poses.
        reach: cut-off of a pair, in the same unit.
        iterations: upper limit of the steps.
        tolerance: a pose is finished when a step turns and shifts it by less (radians, normalised unit).

    Returns:
        (H, 4, 4) float64.
    """
    poses = poses.copy()
    active = np.arange(len(poses))
    for _ in range(iterations):
        if not len(active):
            break
        step = _step(transform(poses[active], points), surface, reach)
        update = np.zeros((len(active), 4, 4))
        update[:, :3, :3], update[:, :3, 3], update[:, 3, 3] = rotations(step[:, :3]), step[:, 3:], 1.0
        poses[active] = np.einsum("hij,hjk->hik", update, poses[active])
        active = active[np.abs(step).max(axis=1) > tolerance]
    return poses


def _step(moved: Array, surface: Nearest, reach: float) -> Array:
    """Turn and shift (H, 6) of one Gauss-Newton step for the points (H, n, 3) where they are."""
    gap, index = surface.nearest(moved.reshape(-1, 3), reach)
    found = (gap < reach).reshape(moved.shape[:2])
    index = index.reshape(moved.shape[:2])
    normal = surface.normals[index]
    height = np.einsum("hni,hni->hn", moved - surface.points[index], normal)
    weight = np.where(found, np.square(1.0 - np.minimum(np.square(height / reach), 1.0)), 0.0)
    x, y, z = (moved[:, :, axis] for axis in range(3))
    u, v, w = (normal[:, :, axis] for axis in range(3))
    # rows are contiguous over the points: sums over them then run several times as fast
    jacobian = np.stack([y * w - z * v, z * u - x * w, x * v - y * u, u, v, w], axis=1)
    weighted = jacobian * weight[:, None]
    left = np.einsum("hin,hjn->hij", weighted, jacobian)
    left += _DAMPING * np.maximum(np.trace(left, axis1=1, axis2=2), 1.0)[:, None, None] * np.eye(6)
    right = -np.einsum("hin,hn->hi", weighted, height)
    return np.asarray(np.linalg.solve(left, right[:, :, None])[:, :, 0])
