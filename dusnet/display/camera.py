"""Where to look at a scan from, and the light on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dusnet.display.extent import within_extent
from dusnet.geometry.sampling import thin_to
from dusnet.geometry.visibility import Eye, directions, visible

Array = NDArray[np.float64]

DISTANCE = 5.0  # of the eye from the middle, in bounding radii: a mild perspective
LIGHT = np.array([-0.35, 0.5, 0.79]) / np.linalg.norm([-0.35, 0.5, 0.79])  # right, up, towards the eye
AMBIENT = 0.55
_POINTS = 1500  # points whose visibility is asked
_CANDIDATES = 64
_EYES, _EYE_POINTS, _ONE_SIDED = 96, 500, 0.8  # finer than registration asks: there is no second try here
_HIGHEST = 0.98  # share of the points whose values do not turn the camera
_RAYS = 4000  # points that may be in the way of a look at a defect
_AWAY = 0.35  # of the unit normal: a defect is not seen quite along its normal, so that its depth shows


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

    def local(self, points: Array) -> Array:
        """Points (..., 3) in radii around the center: x right, y up, z towards the eye."""
        return np.asarray((points - self.center) / self.radius @ self.axes.T)

    def project(self, points: Array) -> Array:
        """Points (N, 3) to (right, up, depth), (N, 3), in radii: right and up on the plane through the center.

        Depth is the distance along the line of sight from the eye, at least a tenth of a radius.
        """
        local = self.local(points)
        depth = np.maximum(DISTANCE - local[:, 2], 0.1)
        return np.column_stack([local[:, :2] * (DISTANCE / depth)[:, None], depth])

    def before(self, motion: Array) -> Camera:
        """The camera that sees points as this one sees them after the rigid (4, 4) `motion`."""
        rotation, shift = motion[:3, :3], motion[:3, 3]
        return Camera((self.center - shift) @ rotation, self.radius, self.axes @ rotation)


@dataclass(frozen=True)
class Crop:
    """The part of the projection plane that a picture shows.

    Attributes:
        center: right and up of the middle of the picture, in radii.
        unit: pixels per radius.
    """

    center: tuple[float, float]
    unit: float


@dataclass(frozen=True)
class Side:
    """A direction along an axis of the part's frame or, where that is not known, of the scan.

    Attributes:
        name: "front".
        seen_from: the axis that points to the eye: "−Y".
        axes: rows right, up and towards the eye in the coordinates of that frame.
    """

    name: str
    seen_from: str
    axes: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]


SIDES = (
    Side("front", "−Y", ((1, 0, 0), (0, 0, 1), (0, -1, 0))),
    Side("right", "+X", ((0, 1, 0), (0, 0, 1), (1, 0, 0))),
    Side("top", "+Z", ((1, 0, 0), (0, 1, 0), (0, 0, 1))),
    Side("back", "+Y", ((-1, 0, 0), (0, 0, 1), (0, 1, 0))),
    Side("left", "−X", ((0, -1, 0), (0, 0, 1), (-1, 0, 0))),
    Side("bottom", "−Z", ((1, 0, 0), (0, -1, 0), (0, 0, -1))),
)


def look_at_highest(
    points: Array, values: ArrayLike | None, *, signed: bool = False, motion: Array | None = None
) -> Camera:
    """A camera that shows a scan well and faces its highest values.

    Args:
        points: (N, 3) float64.
        values: (N,) scores or deviations, or None for no wish; NaN has no weight, infinity that of the highest value.
        signed: whether low values, below zero, count as high ones do.
        motion: rigid motion to the frame of the part, (4, 4), or None. With it a place of the part is seen from the
            same side whatever the pose of the scan.
    """
    if motion is not None:
        moved = points @ motion[:3, :3].T + motion[:3, 3]
        return look_at_highest(moved, values, signed=signed).before(motion)
    if values is None:
        return look_at(points)
    value = np.asarray(values, dtype=np.float64)
    value = np.abs(value) if signed else value
    highest = float(value.max(initial=0.0, where=np.isfinite(value)))
    value = np.nan_to_num(value, nan=0.0, posinf=highest, neginf=0.0)
    return look_at(points, toward=np.clip(value - np.quantile(value, _HIGHEST), 0.0, None))


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


def toward_defect(
    points: Array, members: Array, middle: Array, center: Array, radius: float, normal: Array | None = None
) -> Array:
    """From which side a defect is looked at: along its normal, where less of the part is in the way.

    Args:
        points: the scan, (N, 3) float64.
        members: the points of the defect, (M, 3); may be empty where nothing was scanned.
        middle: of the defect, (3,).
        center: of the part, (3,).
        radius: of the part, same unit.
        normal: (3,) unit vector of either sign, or None for the direction in which the members vary least.

    Returns:
        (3,) unit vector from the defect to the eye.
    """
    outward = middle - center
    length = float(np.linalg.norm(outward))
    away = outward / length if length > 1e-9 * radius else np.array([0.0, 0.0, 1.0])
    if normal is None and len(members) >= 4:
        normal = np.linalg.eigh(np.cov(members.T))[1][:, 0]
    if normal is None:
        return np.asarray(away)
    ray = points[:: max(1, len(points) // _RAYS)] - middle
    reach = np.linalg.norm(ray, axis=1)
    far = reach > 0.05 * radius
    cosine = ray[far] @ normal / reach[far]
    ahead, behind = int((cosine > 0.75).sum()), int((cosine < -0.75).sum())
    sign = np.sign(behind - ahead) if ahead != behind else (1.0 if normal @ away >= 0.0 else -1.0)
    tilted = sign * normal + _AWAY * away
    return np.asarray(tilted / np.linalg.norm(tilted))


def upright(direction: Array, up: Array, otherwise: Array) -> Array:
    """What points up in the picture of a camera that looks along `direction`: `up` unless that is nearly the same."""
    return up if abs(direction @ up) < 0.95 else otherwise


def brightness(normals: Array, ambient: float = AMBIENT) -> Array:
    """How bright each point is under the light beside the eye; its colour is multiplied with it.

    Args:
        normals: (N, 3) unit vectors, x right, y up, z towards the eye; their signs do not count.
        ambient: brightness of a point that gets no light.

    Returns:
        (N,) from `ambient` to 1: colours are never brighter than the legend's.
    """
    return np.asarray(ambient + (1.0 - ambient) * np.abs(normals @ LIGHT))
