"""Where to look at a cloud from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dusnet.display.extent import within_extent
from dusnet.geometry.sampling import thin_to
from dusnet.geometry.visibility import Eye, directions, visible

Array = NDArray[np.float64]

DISTANCE = 5.0  # of the eye from the middle, in bounding radii: a mild perspective
_POINTS = 1500  # points whose visibility is asked
_CANDIDATES = 64
_EYES, _EYE_POINTS, _ONE_SIDED = 96, 500, 0.8  # finer than registration asks: there is no second try here


@dataclass(frozen=True)
class Camera:
    """An eye that looks at `center` from DISTANCE * `radius` along `axes[2]`.

    Attributes:
        center: (3,) float64 in the unit of the clouds.
        radius: of the sphere that the camera was made for, same unit.
        axes: (3, 3) float64, rows: right, up, and towards the eye.
    """

    center: Array
    radius: float
    axes: Array

    def project(self, points: Array) -> Array:
        """Points (N, 3) to (right, up, depth), (N, 3), in radii: right and up on the plane through the center.

        Depth is the distance along the line of sight from the eye, at least a tenth of a radius.
        """
        local = (points - self.center) / self.radius @ self.axes.T
        depth = np.maximum(DISTANCE - local[:, 2], 0.1)
        return np.column_stack([local[:, :2] * (DISTANCE / depth)[:, None], depth])


@dataclass(frozen=True)
class Window:
    """The part of the projection plane that a picture shows.

    Attributes:
        center: right and up of the middle of the picture, in radii.
        unit: pixels per radius.
    """

    center: tuple[float, float]
    unit: float


def look_at(points: Array, *, toward: Array | None = None) -> Camera:
    """A camera that shows `points` well.

    A scan of one side is seen from that side; anything else in a three-quarter view of its principal axes, the longest
    across the picture. With `toward` the direction is the one from which most of that weight is visible. Points that
    stray from the others count for nothing.

    Args:
        points: (N, 3) float64.
        toward: weight of each point, (N,) >= 0, such as its anomaly score above the normal range; None for no wish.
    """
    near = within_extent(points)
    points, toward = points[near], None if toward is None else toward[near]
    low, high = points.min(axis=0), points.max(axis=0)
    center = (low + high) / 2.0
    radius = float(np.linalg.norm(points - center, axis=1).max())
    kept = thin_to(points, _POINTS)
    few = points[kept]
    principal = _principal_axes(few)
    eye = Eye.all_of(few, eyes=_EYES, sample=_EYE_POINTS)[0] if len(few) >= 10 else None
    direction = principal.T @ (np.array([0.42, 0.5, 0.76]) / np.linalg.norm([0.42, 0.5, 0.76]))
    if eye is not None and eye.share >= _ONE_SIDED:
        direction = eye.direction
    if toward is not None and toward.max() > 0.0:
        direction = _facing(points, toward, kept, direction)
    return Camera(center, radius if radius > 0.0 else 1.0, _axes(direction, principal))


def _principal_axes(points: Array) -> Array:
    """Rows: longest, middle and shortest axis, (3, 3), signs fixed so that the largest component is positive."""
    _, _, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=True)
    largest = np.abs(axes).argmax(axis=1)
    return np.asarray(axes * np.sign(axes[np.arange(3), largest])[:, None])


def _facing(points: Array, weight: Array, kept: NDArray[np.intp], wish: Array) -> Array:
    """The direction that sees most of the weight; among equals the one nearest to `wish`."""
    heavy = np.argsort(-weight, kind="stable")[: _POINTS // 4]
    index = np.unique(np.concatenate([kept, heavy[weight[heavy] > 0.0]]))
    share = weight[index] / weight[index].sum()
    candidates = np.vstack([wish, directions(_CANDIDATES)])
    seen = np.array([share[visible(points[index], candidate)].sum() for candidate in candidates])
    return np.asarray(candidates[(seen + 0.15 * (candidates @ wish)).argmax()])


def _axes(direction: Array, principal: Array) -> Array:
    """Right, up and towards the eye: the longest principal axis that is not seen end-on runs across the picture.

    Of the two ways round, the one is taken that has a coordinate axis pointing up rather than down.
    """
    across = principal[0] if abs(principal[0] @ direction) < 0.85 else principal[1]
    right = across - (across @ direction) * direction
    right /= np.linalg.norm(right)
    up = np.cross(direction, right)
    if up[np.abs(up).argmax()] < 0.0:
        right, up = -right, -up
    return np.stack([right, up, direction])
