"""The two values that everything else exchanges: a point cloud as read, and the frame that it is computed in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dusnet.errors import BadInput

Points = NDArray[np.float64]


@dataclass(frozen=True)
class PointCloud:
    """A scan in its own unit and pose, exactly as it was read.

    Attributes:
        points: coordinates in the unit of the file, (N, 3) float64.
        normals: unit normals, (N, 3) float64, or None.
        colors: red, green and blue from 0 to 255, (N, 3) uint8, or None.
        labels: ground truth, True where a point belongs to a defect, (N,) bool, or None.
        path: the file that the cloud came from, or None.
        notes: what reading had to do to get here (rows dropped, a mesh sampled), for the user to see.
        sha256: of the bytes of the file as they were read, hexadecimal digits, or None when it was made otherwise.
    """

    points: Points
    normals: NDArray[np.float64] | None = None
    colors: NDArray[np.uint8] | None = None
    labels: NDArray[np.bool_] | None = None
    path: Path | None = None
    notes: tuple[str, ...] = ()
    sha256: str | None = None

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 3:
            raise ValueError(f"points must be (N, 3), got {self.points.shape}")
        for name, width in (("normals", 3), ("colors", 3), ("labels", None)):
            value = getattr(self, name)
            expected = (len(self.points),) if width is None else (len(self.points), width)
            if value is not None and value.shape != expected:
                raise ValueError(f"{name} must be {expected}, got {value.shape}")

    def __len__(self) -> int:
        return len(self.points)

    @property
    def name(self) -> str:
        """What to call this cloud in a message: its path, or a neutral word."""
        return str(self.path) if self.path is not None else "the point cloud"

    def select(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> PointCloud:
        """The cloud of the points that `index` picks, with everything that belongs to them."""
        return replace(
            self,
            points=self.points[index],
            normals=None if self.normals is None else self.normals[index],
            colors=None if self.colors is None else self.colors[index],
            labels=None if self.labels is None else self.labels[index],
        )

    def transformed(self, matrix: NDArray[np.float64]) -> PointCloud:
        """The cloud moved by a rigid (4, 4) `matrix`; normals turn with it."""
        rotation, translation = matrix[:3, :3], matrix[:3, 3]
        return replace(
            self,
            points=self.points @ rotation.T + translation,
            normals=None if self.normals is None else self.normals @ rotation.T,
        )

    def require_usable(self, minimum: int = 4) -> None:
        """Raise `BadInput` unless the cloud has a shape that can be computed with.

        Args:
            minimum: the least number of points that the caller needs.
        """
        if len(self) == 0:
            raise BadInput(f"{self.name} holds no points; export the scan again or leave the file out.")
        if not np.isfinite(self.points).all():
            bad = int((~np.isfinite(self.points).all(axis=1)).sum())
            raise BadInput(
                f"{self.name} holds {bad} points with NaN or infinite coordinates; remove them and try again."
            )
        if len(self) < minimum:
            raise BadInput(
                f"{self.name} holds {len(self)} points but at least {minimum} are needed; scan it more densely."
            )
        spread = np.linalg.svd(self.points - self.points.mean(axis=0), compute_uv=False)
        if spread[0] <= 1e-12 * max(1.0, float(np.abs(self.points).max())):
            raise BadInput(f"{self.name} holds {len(self)} points that are all identical; export the scan again.")
        if spread[1] <= 1e-7 * spread[0]:
            raise BadInput(f"{self.name} holds points on one straight line only; a surface is needed.")


def scan_mark(cloud: PointCloud) -> str:
    """What tells a scan from others: the hash of its file or, without one, of its coordinates, hexadecimal digits."""
    return cloud.sha256 or hashlib.sha256(cloud.points.tobytes()).hexdigest()


@dataclass(frozen=True)
class Frame:
    """The coordinate frame of a class of parts: `normalised = (rotation @ point + translation) / scale`.

    Centre and scale are constants of the class, learned from its defect-free clouds, so that a defect cannot move them.

    Attributes:
        rotation: (3, 3) float64.
        translation: (3,) float64, in the unit of the clouds.
        scale: the bounding radius of the training clouds, in the unit of the clouds.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    scale: float

    @classmethod
    def of(cls, points: Points) -> Frame:
        """The frame with its origin in the middle of the bounding box and the farthest point at distance 1.

        Args:
            points: (N, 3) float64 with at least two different points.
        """
        center = (points.min(axis=0) + points.max(axis=0)) / 2.0
        radius = float(np.linalg.norm(points - center, axis=1).max())
        if not radius > 0.0:
            raise ValueError("a frame needs at least two different points")
        return cls(np.eye(3), -center, radius)

    def apply(self, points: Points) -> Points:
        """Unit of the file -> frame, (N, 3) -> (N, 3)."""
        return (points @ self.rotation.T + self.translation) / self.scale

    def invert(self, points: Points) -> Points:
        """Frame -> unit of the file, (N, 3) -> (N, 3)."""
        return (points * self.scale - self.translation) @ self.rotation

    def moved(self, matrix: NDArray[np.float64]) -> Frame:
        """This frame for clouds that the rigid (4, 4) `matrix` brings to where the frame was learned.

        `frame.moved(m).apply(x) == frame.apply(x moved by m)`.
        """
        rotation, translation = matrix[:3, :3], matrix[:3, 3]
        return Frame(self.rotation @ rotation, self.rotation @ translation + self.translation, self.scale)
