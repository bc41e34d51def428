"""Starting poses from local shape: FPFH features, nearest in feature space, and seeded RANSAC over triples of matches.

The features are Open3D's. The sampling is our own: Open3D draws from one generator in several threads and stops when a
thread thinks that it may, so the pose can depend on timing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.normals import estimate_normals
from dusnet.geometry.sampling import thin
from dusnet.geometry.visibility import Eye
from dusnet.open3d_import import open3d

Array = NDArray[np.float64]
Pairs = NDArray[np.intp]

_CELL = 0.05  # edge of the thinning grid: equal density on both sides, without which features do not compare
_RADII = (0.25, 0.5)  # of the neighbourhoods of a feature
_DRAWS = 20_000  # triples of matches that are drawn
_EDGE_RATIO = 0.85  # least ratio of corresponding edges of a triple
_SHORTEST = 0.2  # least edge of a triple: shorter ones do not fix a rotation
_INLIER = 0.08  # distance of a match under a pose up to which it agrees, fraction of the scale
_SCORED = 600  # triples whose inliers are counted, per set of matches


@dataclass(frozen=True)
class Features:
    """Thinned points (n, 3) with one FPFH vector each (n, 66), both float64."""

    points: Array
    vectors: Array

    @classmethod
    def of(cls, points: Array, eye: Eye | None) -> Features:
        """Features of a cloud in the normalised frame, (N, 3).

        FPFH needs a consistent sign of the normals: towards the eye where one side is seen, outwards otherwise.

        Args:
            points: (N, 3) float64.
            eye: from where the cloud is seen best; None for a cloud that goes round the part.
        """
        kept = thin(points, _CELL)
        normals = estimate_normals(points)[kept]
        points = points[kept]
        outward = points - points.mean(axis=0)
        if eye is not None and eye.one_sided:
            outward = np.broadcast_to(eye.direction, points.shape)
        normals = normals * np.where(np.einsum("ni,ni->n", normals, outward) < 0.0, -1.0, 1.0)[:, None]
        o3d = open3d()
        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
        cloud.normals = o3d.utility.Vector3dVector(normals)
        return cls(points, np.hstack([_fpfh(o3d, cloud, radius) for radius in _RADII]))


def _fpfh(o3d: Any, cloud: Any, radius: float) -> Array:
    search = o3d.geometry.KDTreeSearchParamRadius(radius)
    return np.asarray(o3d.pipelines.registration.compute_fpfh_feature(cloud, search).data).T.copy()


def _matches(scan: Features, reference: Features) -> tuple[Pairs, Pairs]:
    """All nearest pairs (C, 2) from the scan, and those that are nearest both ways."""
    product = scan.vectors @ reference.vectors.T
    forward = (np.square(reference.vectors).sum(axis=1) - 2.0 * product).argmin(axis=1)
    backward = (np.square(scan.vectors).sum(axis=1)[:, None] - 2.0 * product).argmin(axis=0)
    index = np.arange(len(forward))
    pairs = np.column_stack([index, forward])
    return pairs, pairs[backward[forward] == index]


def _triangle_frames(corners: Array) -> Array:
    """Orthonormal frames (H, 3, 3), columns along the triangle's first edge, in its plane, and normal to it."""
    first = corners[:, 1] - corners[:, 0]
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    normal = np.cross(first, corners[:, 2] - corners[:, 0])
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return np.stack([first, np.cross(normal, first), normal], axis=2)


def _consistent(source: Array, target: Array) -> NDArray[np.bool_]:
    """Which triples (H, 3, 3) have edges of equal length on both sides and are no slivers."""
    edges = [np.linalg.norm(side - np.roll(side, 1, axis=1), axis=2) for side in (source, target)]
    ratio = np.minimum(*edges) / np.maximum(np.maximum(*edges), 1e-12)
    ordered = np.sort(np.minimum(*edges), axis=1)
    wide = ordered[:, 0] + ordered[:, 1] > 1.1 * ordered[:, 2]
    return np.asarray((ratio.min(axis=1) > _EDGE_RATIO) & (ordered[:, 0] > _SHORTEST) & wide)


def _draw(scan: Features, reference: Features, pairs: Pairs, keep: int, generator: np.random.Generator) -> Array:
    """The `keep` poses (<= keep, 4, 4) with the most inliers among `pairs`, best first."""
    if len(pairs) < 3:
        return np.zeros((0, 4, 4))
    triples = pairs[generator.integers(len(pairs), size=(_DRAWS, 3))]
    source, target = scan.points[triples[:, :, 0]], reference.points[triples[:, :, 1]]
    good = np.flatnonzero(_consistent(source, target))[:_SCORED]
    source, target = source[good], target[good]
    rotation = np.einsum("hij,hkj->hik", _triangle_frames(target), _triangle_frames(source))
    poses = np.zeros((len(good), 4, 4))
    poses[:, :3, :3], poses[:, 3, 3] = rotation, 1.0
    poses[:, :3, 3] = target.mean(axis=1) - np.einsum("hij,hj->hi", rotation, source.mean(axis=1))
    pairs = pairs[:: max(1, len(pairs) // 1000)]
    left, right = scan.points[pairs[:, 0]], reference.points[pairs[:, 1]]
    gaps = [np.linalg.norm(left @ pose[:3, :3].T + pose[:3, 3] - right, axis=1) for pose in poses]
    inliers = np.array([int((gap < _INLIER).sum()) for gap in gaps], dtype=np.int64)
    return poses[np.argsort(-inliers, kind="stable")[:keep]]


def ransac(scan: Features, reference: Features, keep: int, generator: np.random.Generator) -> Array:
    """Poses (H, 4, 4) scan -> reference, up to `keep` from all matches and up to `keep` from the mutual ones."""
    drawn = [_draw(scan, reference, pairs, keep, generator) for pairs in _matches(scan, reference)]
    return np.concatenate(drawn)
