"""Multi-scale point-to-plane ICP with Tukey's robust weights, for many starting poses at once.

Own code because Open3D's ICP sums its normal equations in the order in which threads finish: the same call gives
matrices that differ in the last bits, and scores have to be reproducible to the bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.surface import IcpReference

Array = NDArray[np.float64]

_DAMPING = 1e-9  # keeps the 6 x 6 system solvable where the surface does not fix a motion (a plane, a cylinder)
_SHORTER = 0.7  # ratio of two steps in a row from which on the second one is no progress
_ALONG = 0.1  # share of a step's squared motion that leads across the surface below which it slides along it
_HOLD = 0.2  # damping of a sliding step, in units of its squared motion


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
    points: Array, surface: IcpReference, poses: Array, reach: float, iterations: int, *, tolerance: float = 1e-5
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
    hold, before = np.zeros((len(poses), 6, 6)), np.full(len(poses), np.inf)
    for _ in range(iterations):
        if not len(active):
            break
        step, hold[active] = _step(transform(poses[active], points), surface, reach, hold[active], before[active])
        before[active] = np.abs(step).max(axis=1)
        update = np.zeros((len(active), 4, 4))
        update[:, :3, :3], update[:, :3, 3], update[:, 3, 3] = rotations(step[:, :3]), step[:, 3:], 1.0
        poses[active] = np.einsum("hij,hjk->hik", update, poses[active])
        active = active[np.abs(step).max(axis=1) > tolerance]
    return poses


def _step(moved: Array, surface: IcpReference, reach: float, hold: Array, before: Array) -> tuple[Array, Array]:
    """One Gauss-Newton step for the points (H, n, 3) where they are.

    A vessel can be turned about its axis: only the noise of the normals says how far, and steps that follow it neither
    become shorter nor forget where they came from. They multiply the last bits, until two processors end in different
    poses. A step that slides along the surface and is no shorter than the one before is therefore held back, and so
    is what follows in its direction.

    Args:
        moved: the points.
        surface: the reference.
        reach: cut-off of a pair.
        hold: (H, 6, 6), damping so far.
        before: (H,), size of the step before, infinite at first.

    Returns:
        Turn and shift, (H, 6), and the damping for the next step.
    """
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
    step = _solved(left + hold, right)
    stuck = np.flatnonzero(np.abs(step).max(axis=1) > _SHORTER * before)
    if len(stuck):
        more = sliding(step[stuck], left[stuck], moved[stuck], weight[stuck])
        hold[stuck] += more
        step[stuck] = _solved(left[stuck] + hold[stuck], right[stuck])
    return step, hold


def _solved(left: Array, right: Array) -> Array:
    return np.asarray(np.linalg.solve(left, right[:, :, None])[:, :, 0])


def sliding(step: Array, left: Array, moved: Array, weight: Array) -> Array:
    """Damping (H, 6, 6) of the steps (H, 6) that slide along the surface, zero for the others."""
    carried = np.cross(step[:, None, :3], moved) + step[:, None, 3:]
    pull = carried * weight[:, :, None]
    motion = np.einsum("hni,hni->h", pull, carried)
    across = np.einsum("hi,hij,hj->h", step, left, step)
    push = np.concatenate([np.cross(moved, pull).sum(axis=1), pull.sum(axis=1)], axis=1)
    strength = np.where(across < _ALONG * motion, _HOLD / np.maximum(motion, 1e-300), 0.0)
    return np.asarray(strength[:, None, None] * push[:, :, None] * push[:, None, :])
