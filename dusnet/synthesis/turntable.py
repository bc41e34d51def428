"""What a scanner sees of a part on a turntable: what a ring of cameras sees above the resting plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from dusnet.cloud import Frame
from dusnet.io import Mesh
from dusnet.open3d_import import open3d
from dusnet.synthesis.surface import Floats

_CAMERAS = 16
"""Steps of the turntable."""
_ELEVATIONS = (35.0,)
"""Degrees above the turntable that the scanner looks down from: a ring, not a view from straight above."""
_FAR = 8.0
"""Distance of the scanner from the middle of the part, bounding radii."""
_CREASE = 40.0
"""Faces that meet at less than this angle, degrees, belong to one smooth surface."""


@dataclass(frozen=True)
class TurntablePart:
    """A part that rests on one of two sides, and how well its surface is seen in both.

    Attributes:
        corners: of its triangles, (F, 3, 3) float64 mm.
        normals: at the corners, smooth but for creases, (F, 3, 3).
        exposure: of the corners by side, (2, F, 3): cosine of the angle between the surface and the camera of the ring
            that sees it best; 0 where none does.
        up: from the resting plane to the part by side, (2, 3).
        center: middle of its bounding box, (3,) mm.
        radius: bounding radius, mm.
    """

    corners: Floats
    normals: Floats
    exposure: Floats
    up: Floats
    center: Floats
    radius: float

    @classmethod
    def of(cls, mesh: Mesh, *, cell: float = 0.04) -> TurntablePart:
        """A part lying on its two broadest sides: the thinnest direction of its bounding box is up or down.

        Args:
            mesh: closed surface, mm.
            cell: triangles with longer edges are divided, fraction of the bounding radius.

        Raises:
            MissingDependency: Open3D or one of its system libraries is absent.
        """
        frame = Frame.of(mesh.vertices[np.unique(mesh.faces)])
        corners, normals = _divided(mesh.vertices[mesh.faces], _corner_normals(mesh), cell * frame.scale)
        thin = int(np.ptp(mesh.vertices, axis=0).argmin())
        up = np.stack([np.eye(3)[thin], -np.eye(3)[thin]])
        caster = _Caster(mesh, frame)
        exposure = np.stack([caster.exposure(corners.reshape(-1, 3), normals.reshape(-1, 3), side) for side in up])
        return cls(corners, normals, exposure.reshape(2, -1, 3), up, -frame.translation, frame.scale)

    def areas(self) -> Floats:
        """Areas of the triangles, (F,) mm^2."""
        across = np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])
        return np.asarray(0.5 * np.linalg.norm(across, axis=1))

    def seen_faces(self, sides: Sequence[int], least: float) -> NDArray[np.intp]:
        """The triangles of which something has at least the exposure `least` from one of the sides."""
        return np.flatnonzero((self.exposure[list(sides)].max(axis=0) >= least).any(axis=1))


class _Caster:
    """Rays from the surface to the cameras."""

    def __init__(self, mesh: Mesh, frame: Frame) -> None:
        o3d = open3d()
        self._tensor: Any = o3d.core.Tensor
        self._scene: Any = o3d.t.geometry.RaycastingScene()
        self._frame = frame
        local = ((mesh.vertices + frame.translation) / frame.scale).astype(np.float32)
        self._scene.add_triangles(self._tensor(local), self._tensor(mesh.faces.astype(np.uint32)))

    def exposure(self, points: Floats, normals: Floats, up: Floats) -> Floats:
        """How well the ring above `up` sees places of the surface, (N,)."""
        local = (points + self._frame.translation) / self._frame.scale
        first = np.eye(3)[int(np.abs(up).argmin())]
        second = np.cross(up, first)
        best = np.zeros(len(points))
        for elevation in np.deg2rad(_ELEVATIONS):
            for turn in 2.0 * np.pi * np.arange(_CAMERAS) / _CAMERAS:
                flat = np.cos(turn) * first + np.sin(turn) * second
                camera = _FAR * (np.cos(elevation) * flat + np.sin(elevation) * up)
                ray = camera - local
                ray /= np.linalg.norm(ray, axis=1, keepdims=True)
                cosine = np.einsum("ij,ij->i", ray, normals)
                # Only those that this camera would see better than all before are worth a ray.
                asked = np.flatnonzero(cosine > best + 0.02)
                start = local[asked] + 2e-3 * normals[asked]
                rays = np.hstack([start, ray[asked]]).astype(np.float32)
                free = np.isinf(self._scene.cast_rays(self._tensor(rays))["t_hit"].numpy())
                best[asked[free]] = cosine[asked[free]]
        return best


def _corner_normals(mesh: Mesh) -> Floats:
    """At each corner the mean normal of the faces around that belong to the same smooth surface, by area, (F, 3, 3)."""
    corners = mesh.vertices[mesh.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    unit = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-300)
    count = len(mesh.faces)
    touches = csr_matrix(
        (np.ones(3 * count), (np.arange(3 * count), mesh.faces.ravel())), shape=(3 * count, len(mesh.vertices))
    )
    faces = csr_matrix(
        (np.ones(3 * count), (np.repeat(np.arange(count), 3), mesh.faces.ravel())), shape=(count, len(mesh.vertices))
    )
    pairs = (touches @ faces.T).tocoo()
    corner, face = pairs.row, pairs.col
    alike = np.einsum("ij,ij->i", unit[corner // 3], unit[face]) > np.cos(np.deg2rad(_CREASE))
    total = np.zeros((3 * count, 3))
    for axis in range(3):
        total[:, axis] = np.bincount(corner[alike], weights=across[face[alike], axis], minlength=3 * count)
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-300)
    return total.reshape(count, 3, 3)


def _divided(corners: Floats, normals: Floats, longest: float) -> tuple[Floats, Floats]:
    """Triangles without edges longer than `longest` mm, each divided into four until that holds."""
    done: list[tuple[Floats, Floats]] = []
    while len(corners):
        edge = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
        large = edge > longest
        done.append((corners[~large], normals[~large]))
        corners, normals = _quartered(corners[large]), _quartered(normals[large])
        normals = normals / np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-300)
    return np.concatenate([one for one, _ in done]), np.concatenate([one for _, one in done])


def _quartered(values: Floats) -> Floats:
    a, b, c = values[:, 0], values[:, 1], values[:, 2]
    ab, bc, ca = (a + b) / 2.0, (b + c) / 2.0, (c + a) / 2.0
    return np.concatenate([np.stack(one, axis=1) for one in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
