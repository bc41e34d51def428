"""Starting poses for a scan in any pose: every orientation on a grid, with the translation that a view implies.

A scan either goes round the part or shows one side of it. In the first case the centroids coincide. In the second the
centroid of what is visible from a direction is known for the reference, and a rotation says which direction that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.sampling import thin_to
from dusnet.geometry.surface import DiscSurface, Table
from dusnet.geometry.visibility import Eye, directions, visible
from dusnet.registration.icp import transform

Array = NDArray[np.float64]

_VIEWS = 96  # directions: neighbours are about 20 degrees apart, within reach of ICP
_ROLLS = 18  # turns around each direction
SAME = 0.05  # of the scale: ICP takes poses that are nearer to one another to the same end
_FAR = 0.15  # of the scale: no point counts for more when starting poses are ranked
_VIEW_POINTS = 800  # reference points whose visibility is computed


@dataclass(frozen=True)
class Views:
    """What is seen of the reference from each direction.

    Attributes:
        points: (M, 3) float64, evenly spread over the reference.
        directions: (V, 3) float64 unit vectors from the reference to the eye.
    """

    points: Array
    directions: Array

    @classmethod
    def of(cls, surface: DiscSurface) -> Views:
        """The views of the reference `surface`."""
        points = surface.points[thin_to(surface.points, _VIEW_POINTS)]
        return cls(points, directions(_VIEWS))

    @cached_property
    def centroids(self) -> Array:
        """Mean of the points that are visible from each direction, (V, 3)."""
        return np.array([self.points[visible(self.points, eye)].mean(axis=0) for eye in self.directions])


def _frames(axes: Array, rolls: int) -> Array:
    """Right-handed frames (len(axes) * rolls, 3, 3) whose third column is an axis, turned `rolls` times around it."""
    helper = np.where(np.abs(axes[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(helper, axes)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(axes, first)
    angle = 2.0 * np.pi * np.arange(rolls) / rolls
    cosine, sine = np.cos(angle)[None, :, None], np.sin(angle)[None, :, None]
    turned = cosine * first[:, None] + sine * second[:, None]
    third = np.broadcast_to(axes[:, None], turned.shape)
    return np.stack([turned, np.cross(third, turned), third], axis=3).reshape(-1, 3, 3)


def sweep(points: Array, eye: Eye, views: Views) -> Array:
    """Poses (H, 4, 4) scan -> reference for a scan (n, 3) in any orientation, both in the normalised unit."""
    center = points[thin_to(points, _VIEW_POINTS)].mean(axis=0)
    rotation = np.einsum("hij,kj->hik", _frames(views.directions, _ROLLS), _frames(eye.direction[None], 1)[0])
    targets = [np.broadcast_to(views.points.mean(axis=0), (len(rotation), 3))]
    if eye.one_sided:
        targets.append(np.repeat(views.centroids, _ROLLS, axis=0))
    poses = np.zeros((len(targets), len(rotation), 4, 4))
    poses[..., :3, :3], poses[..., 3, 3] = rotation, 1.0
    turned = np.einsum("hij,j->hi", rotation, center)
    for pose, target in zip(poses, targets, strict=True):
        pose[:, :3, 3] = target - turned
    return poses.reshape(-1, 4, 4)


def trimmed(distances: Array, keep: float) -> Array:
    """Mean over the last axis of the `keep` share with the smallest values."""
    count = max(1, int(np.ceil(keep * distances.shape[-1])))
    return np.asarray(np.partition(distances, count - 1, axis=-1)[..., :count].mean(axis=-1))


def rank(points: Array, table: Table, poses: Array, keep: int) -> Array:
    """The `keep` poses that bring `points` (n, 3) nearest to the reference in the truncated mean, best first."""
    moved = transform(poses, points)
    gap = np.minimum(table.gap(moved.reshape(-1, 3)), _FAR).reshape(moved.shape[:2])
    return poses[np.argsort(gap.mean(axis=1), kind="stable")[:keep]]


def distinct(points: Array, poses: Array, keep: int) -> Array:
    """The first `keep` poses that differ: by more than `SAME` in the mean displacement of `points` (n, 3)."""
    moved = transform(poses, points)
    chosen: list[int] = []
    for number in range(len(poses)):
        gaps = np.linalg.norm(moved[chosen] - moved[number], axis=2).mean(axis=1)
        if (gaps > SAME).all():
            chosen.append(number)
        if len(chosen) == keep:
            break
    return poses[chosen]
