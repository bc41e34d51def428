"""A picture of a cloud in plain numpy: shaded discs and a depth buffer, no graphics driver, no display.

A driver that fails takes the whole process with it or leaves a black image; a picture in a report must do neither.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.colors.color_maps import BACKGROUND
from dusnet.display.camera import DISTANCE, LIGHT, Camera, Crop
from dusnet.geometry.normals import estimate_normals

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

_SUPERSAMPLE = 2
_DISC_NEIGHBORS = 6  # a disc covers the distance to this neighbour
_DISC_SPREAD = 2.5  # no disc is bigger than this many times the median: a lone point stays a point
_DISC_PIXELS = (1.2, 30.0)  # least and greatest radius in supersampled pixels
_AT_ONCE = 1 << 16  # pixels of discs that are looked at together
_AMBIENT = 0.5
_FLATTEST = 0.1  # cosine of the steepest tilt of a disc
_DEPTH_STEPS = 2.0**24  # per radius
_EDGE_STRENGTH = 12.0  # darkening where the surface behind is deeper: depth can be read without shadows


def draw_points(
    points: Array,
    colors: Image,
    camera: Camera,
    crop: Crop,
    size: tuple[int, int],
    normals: Array | None = None,
) -> Image:
    """Picture of a cloud.

    Args:
        points: (N, 3) float64.
        colors: (N, 3) uint8 sRGB.
        camera: where it is seen from.
        crop: what of it the picture shows.
        size: width and height in pixels.
        normals: (N, 3) float64 unit vectors, for the shading and the tilt of the discs; estimated when None.

    Returns:
        (height, width, 3) uint8.
    """
    canvas = size[0] * _SUPERSAMPLE, size[1] * _SUPERSAMPLE
    sight = np.array([0.0, 0.0, 1.0])
    owner, _ = _rasterise(_discs(points, np.broadcast_to(sight, points.shape), camera, crop, canvas), *canvas)
    facing = _facing_normals(points, np.unique(owner[owner >= 0]), normals, camera)
    owner, depth = _rasterise(_discs(points, facing, camera, crop, canvas), *canvas)
    shade = _AMBIENT + (1.0 - _AMBIENT) * np.clip(facing @ LIGHT, 0.0, 1.0)
    covered = owner >= 0
    image = np.empty((canvas[1], canvas[0], 3))
    image[:] = BACKGROUND
    image[covered] = colors[owner[covered]] * shade[owner[covered], None]
    image[covered] *= _edges(depth)[covered][:, None]
    blocks = image.reshape(size[1], _SUPERSAMPLE, size[0], _SUPERSAMPLE, 3)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def _disc_radii(points: Array) -> Array:
    """Radius per point that closes the gaps to its neighbours, (N,)."""
    if len(points) < 2:
        return np.zeros(len(points))
    gap, _ = cKDTree(points).query(points, min(_DISC_NEIGHBORS + 1, len(points)))
    reach = gap[:, -1] * 0.95
    return np.minimum(reach, _DISC_SPREAD * float(np.median(reach)))


def _facing_normals(points: Array, seen: NDArray[np.intp], normals: Array | None, camera: Camera) -> Array:
    """Unit normals in the camera's axes, (N, 3), turned to the eye: the sign of a scan's normals is often unknown.

    They are estimated from the `seen` points alone, so that the far wall of a thin sheet does not bend those of the
    near one; a hidden point takes the normal of the nearest seen point.
    """
    if len(seen) < 4:
        return np.tile([0.0, 0.0, 1.0], (len(points), 1))
    if normals is None:
        _, nearest = cKDTree(points[seen]).query(points)
        normals = estimate_normals(points[seen], 12)[nearest]
    turned = normals @ camera.axes.T
    return np.asarray(turned * np.where(turned[:, 2:] < 0.0, -1.0, 1.0))


class _Discs(NamedTuple):
    """Discs on the canvas, each (N,): middle and radius in pixels, depth in radii, pixels per radius, and normals."""

    x: Array
    y: Array
    depth: Array
    radius: Array
    normal: Array
    zoom: Array


def _discs(points: Array, facing: Array, camera: Camera, crop: Crop, canvas: tuple[int, int]) -> _Discs:
    """The discs of `points` (N, 3) with normals `facing` (N, 3) on a canvas of so many pixels."""
    unit = crop.unit * _SUPERSAMPLE
    projected = camera.project(points)
    x = canvas[0] / 2.0 + (projected[:, 0] - crop.center[0]) * unit
    y = canvas[1] / 2.0 - (projected[:, 1] - crop.center[1]) * unit
    zoom = unit * DISTANCE / projected[:, 2]
    radius = np.clip(_disc_radii(points) / camera.radius * zoom, *_DISC_PIXELS)
    return _Discs(x, y, projected[:, 2], radius, facing, zoom)


def _rasterise(discs: _Discs, width: int, height: int) -> tuple[NDArray[np.int64], Array]:
    """Per pixel the nearest disc (-1: none) and its depth (infinity: none), both (height, width).

    Every disc lies in its tangent plane. Depth and index are packed into one integer, so that the smallest wins
    whatever the order of the writes.
    """
    order = np.argsort(-discs.radius, kind="stable")
    column, row = np.floor(discs.x[order]).astype(np.int64), np.floor(discs.y[order]).astype(np.int64)
    radius, depth, zoom = discs.radius[order], discs.depth[order], discs.zoom[order]
    slope = discs.normal[order, :2] / np.maximum(discs.normal[order, 2:], _FLATTEST)
    empty = np.iinfo(np.int64).max
    buffer = np.full(width * height, empty, dtype=np.int64)
    reach = int(np.ceil(radius[0])) if len(radius) else 0
    down, right = (one.ravel() for one in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    away = np.hypot(down, right)
    nearest_first = np.argsort(away, kind="stable")
    down, right = down[nearest_first], right[nearest_first]
    reached = np.searchsorted(-radius, -away[nearest_first], side="right")  # the discs that reach so far come first
    start = 0
    while start < len(reached) and reached[start]:
        count = int(reached[start])
        steps = slice(start, start + max(1, _AT_ONCE // count))
        start = steps.stop
        dx, dy = right[steps, None], down[steps, None]
        rise = -(slope[:count, 0] * dx - slope[:count, 1] * dy)  # towards the eye, in pixels
        at_x, at_y = column[:count] + dx, row[:count] + dy
        inside = (at_x >= 0) & (at_x < width) & (at_y >= 0) & (at_y < height)
        near = dx**2 + dy**2 <= 2  # a disc seen edge-on still draws its middle
        inside &= near | (dx**2 + dy**2 + rise**2 <= radius[:count] ** 2)
        inside &= np.arange(count) < reached[steps, None]
        rise = np.clip(rise, -radius[:count], radius[:count])
        front = np.rint((depth[:count] - rise / zoom[:count])[inside] * _DEPTH_STEPS).astype(np.int64)
        key = (np.maximum(front, 0) << 32) | np.broadcast_to(order[:count], inside.shape)[inside]
        np.minimum.at(buffer, at_y[inside] * width + at_x[inside], key)
    drawn = buffer != empty
    owner = np.where(drawn, buffer & 0xFFFFFFFF, -1).reshape(height, width)
    depth_map = np.where(drawn, (buffer >> 32) / _DEPTH_STEPS, np.inf).reshape(height, width)
    return owner, depth_map


def _edges(depth: Array) -> Array:
    """Factor per pixel, 1 on smooth surfaces and less beside something nearer (eye-dome lighting)."""
    height, width = depth.shape
    darkness = np.zeros_like(depth)
    finite = np.where(np.isfinite(depth), depth, depth[np.isfinite(depth)].max(initial=0.0) + 0.3)
    for reach in (1, 3):
        padded = np.pad(finite, reach, mode="edge")
        for down, right in ((0, reach), (0, -reach), (reach, 0), (-reach, 0)):
            shifted = padded[reach + down : reach + down + height, reach + right : reach + right + width]
            darkness += np.clip(finite - shifted - 0.01 * reach, 0.0, 0.05)
    return np.asarray(np.exp(-_EDGE_STRENGTH * darkness / 8.0))
