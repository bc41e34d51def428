"""The three-dimensional part of a page as plain data: points, colours, boxes of defects, and where to look from."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dusnet.cloud import PointCloud, Points
from dusnet.colors.color_maps import NEUTRAL, RECONSTRUCTION_OVERLAY, css
from dusnet.display.camera import AMBIENT, SIDES, Camera, look_at, look_at_highest, toward_defect, upright
from dusnet.display.extent import extent
from dusnet.display.scales import PointField, round_numbers
from dusnet.display.scene import box_edges, shading
from dusnet.display.thinning import evenly, spacing
from dusnet.inspection.result_parts import Defect

MOST_POINTS = 80_000
"""Points of the scan on a page: two and a half megabytes, and a browser without a graphics card still turns them."""
MOST_DEFECT_POINTS = 50_000
"""Of these, points of regions; with more, the regions are thinned too."""
MOST_RECONSTRUCTION_POINTS = 20_000
_SHADES = 8
_MARGIN = 0.04  # of the extent around the points, each side
_DISTANCE = 2.25  # of the eye, in radii of the scene, at which all of it is seen
_NEAREST, _FARTHEST = 0.5, 2.2  # radii from a defect
_BOX_MARGIN = 0.012  # radii around a defect: the box must not lie in the surface
_PIXELS = 440.0  # per radius of the scene, when the whole part is seen on a desktop
_MARKER_PIXELS = (2.0, 7.0)


class Space:
    """The cube-free space of a scene: data in the scan's unit, cameras in radii around the middle.

    Args:
        clouds: what is to be seen but for points that stray from it, (N, 3) float64 each.
        corners: what must be seen wherever it is, (M, 3) float64, M >= 0.
    """

    def __init__(self, clouds: Sequence[Points], corners: Points) -> None:
        seen = np.concatenate([*(extent(points) for points in clouds), corners])
        low, high = seen.min(axis=0), seen.max(axis=0)
        longest = float((high - low).max()) or 1.0
        pad = np.maximum((high - low) * _MARGIN, longest * 0.02)
        self.origin = (low + high) / 2.0
        self.half = (high - low) / 2.0 + pad
        self.radius = float(np.linalg.norm(self.half))

    def local(self, points: ArrayLike) -> NDArray[np.float64]:
        """Relative to the middle: small numbers that single precision holds exactly enough wherever the part lies."""
        return np.asarray(points, dtype=np.float64) - self.origin

    def holds(self, points: Points) -> NDArray[np.bool_]:
        """Which points, (N, 3), lie inside of the axes, (N,)."""
        return np.asarray((np.abs(self.local(points)) <= self.half).all(axis=1))

    def axes(self) -> list[dict[str, Any]]:
        """Per axis its range and extent, and where ticks with which text go."""
        found = []
        for axis in range(3):
            center, half = float(self.origin[axis]), float(self.half[axis])
            ticks = round_numbers(center - half, center + half, 5)
            found.append(
                {
                    "range": [-half, half],
                    "ratio": 2.0 * half / self.radius,
                    "at": [tick - center for tick in ticks],
                    "text": [f"{tick:.12g}" for tick in ticks],
                }
            )
        return found

    def camera(self, direction: NDArray[np.float64], up: NDArray[np.float64]) -> dict[str, Any]:
        """A camera that sees everything from `direction`."""
        return _camera(np.zeros(3), direction / np.linalg.norm(direction) * _DISTANCE, up)


def view_data(
    cloud: PointCloud,
    index: NDArray[np.intp],
    fields: Sequence[PointField],
    defects: Sequence[Defect],
    *,
    reconstruction: Points | None = None,
    unit: str = "",
) -> dict[str, Any]:
    """All that the page draws in three dimensions; anything in it can be written as JSON.

    Args:
        cloud: the scan, N points; its labels are the ground truth.
        index: which of its points are shown, (M,) ascending.
        fields: what the points can be painted with, N values each; the first is shown at the beginning.
        defects: those of the result, worst first.
        reconstruction: the surface that the scan was compared with, (R, 3), or None.
        unit: of the points, "" when nobody said.
    """
    shown = cloud.points[index]
    rebuilt = None if reconstruction is None or not len(reconstruction) else np.asarray(reconstruction, np.float64)
    few = None if rebuilt is None else rebuilt[evenly(rebuilt, MOST_RECONSTRUCTION_POINTS)]
    corners = [corner for defect in defects for corner in (defect.bounds.low, defect.bounds.high)]
    space = Space([shown] if few is None else [shown, few], np.array(corners, dtype=np.float64).reshape(-1, 3))
    inside = space.holds(shown)
    camera = _first_camera(shown[inside], index[inside], fields if defects else ())
    shade = _shade(shown, camera)
    return {
        "unit": unit,
        "origin": space.origin.tolist(),
        "axes": space.axes(),
        "outside": int((~inside).sum()),
        "size": _marker_size(shown[inside], space),
        "points": {**_places(space.local(shown)), "index": _packed(index, "u4")},
        "grey": _palette(np.array([NEUTRAL], dtype=np.uint8)),
        "shade": _packed(shade, "u1"),
        "shades": _SHADES,
        "fields": [_field(field, index, shade) for field in fields],
        "reconstruction": None if few is None or rebuilt is None else _surface(few, len(rebuilt), space, camera),
        "truth": None if cloud.labels is None else _truth(cloud.labels, index),
        "defects": [_box(cloud.points, defect, space) for defect in defects],
        "sides": {side.name: space.camera(*np.array(side.axes, dtype=np.float64)[[2, 1]]) for side in SIDES},
        "distance": _DISTANCE,
        "camera": space.camera(camera.axes[2], camera.axes[1]),
    }


def _first_camera(shown: Points, index: NDArray[np.intp], fields: Sequence[PointField]) -> Camera:
    """Where the page begins: a three-quarter view, turned to the highest values of the first field."""
    if not fields:
        return look_at(shown)
    return look_at_highest(shown, fields[0].values[index], signed=fields[0].scale.signed)


def _packed(values: ArrayLike, kind: str) -> str:
    """Numbers as base64 of little-endian bytes."""
    return b64encode(np.ascontiguousarray(values, dtype=f"<{kind}").tobytes()).decode("ascii")


def _places(local: NDArray[np.float64]) -> dict[str, str]:
    return {name: _packed(local[:, axis], "f4") for axis, name in enumerate("xyz")}


def _palette(colors: NDArray[np.uint8]) -> list[str]:
    """Every colour in every shade, darkest first, as CSS writes them: colour b in shade s is number b * SHADES + s."""
    factor = np.linspace(AMBIENT, 1.0, _SHADES)
    table = np.rint(colors[:, None, :] * factor[None, :, None]).astype(int).reshape(-1, 3)
    return [css(color) for color in table.tolist()]


def _shade(points: Points, camera: Camera) -> NDArray[np.intp]:
    """How much light falls on each point as the camera sees it, 0 to SHADES - 1."""
    share = (shading(camera.local(points)) - AMBIENT) / (1.0 - AMBIENT)
    return np.rint(share * (_SHADES - 1)).astype(np.intp)


def _field(field: PointField, index: NDArray[np.intp], shade: NDArray[np.intp]) -> dict[str, Any]:
    values = np.asarray(field.values, dtype=np.float32)[index]
    colors = np.vstack([field.scale.colors, np.array(NEUTRAL, dtype=np.uint8)])
    return {
        "name": field.name,
        "unit": field.unit,
        "values": _packed(values, "f4"),
        "color": _packed(field.scale.band(values) * _SHADES + shade, "u2"),
        "palette": _palette(colors),
    }


def _surface(few: Points, total: int, space: Space, camera: Camera) -> dict[str, Any]:
    return {
        **_places(space.local(few)),
        "color": _packed(_shade(few, camera), "u2"),
        "palette": _palette(np.array([RECONSTRUCTION_OVERLAY], dtype=np.uint8)),
        "size": _marker_size(few, space),
        "shown": len(few),
        "total": total,
    }


def _truth(truth: NDArray[np.bool_], index: NDArray[np.intp]) -> dict[str, Any]:
    """Which of the shown points are defective, by their place among the shown ones."""
    return {"at": _packed(np.flatnonzero(truth[index]), "u4"), "total": int(truth.sum())}


def _marker_size(points: Points, space: Space) -> float:
    """Pixels of a point that close the gaps to its neighbours when the whole part is seen on a desktop."""
    if len(points) < 2:
        return 6.0
    return float(np.clip(spacing(points) / space.radius * _PIXELS, *_MARKER_PIXELS))


def _box(points: Points, defect: Defect, space: Space) -> dict[str, Any]:
    """A defect: its box, its label, and a camera in front of it."""
    mine, axes = points[defect.indices], np.array(defect.axes)
    if len(mine):
        along = mine @ axes.T
        middle = (along.min(axis=0) + along.max(axis=0)) / 2.0 @ axes
    else:  # nothing was scanned there
        middle = (np.array(defect.bounds.low) + np.array(defect.bounds.high)) / 2.0
    half = np.array(defect.size) / 2.0 + _BOX_MARGIN * space.radius
    direction = toward_defect(points, mine, middle, space.origin, space.radius, axes[2])
    reach = float(np.linalg.norm(half)) / space.radius
    center = space.local(middle) / space.radius
    eye = center + direction * float(np.clip(3.2 * reach, _NEAREST, _FARTHEST))
    up = upright(direction, np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0]))
    above = up - (up @ direction) * direction  # the label stands over the box, not on the colours of the defect
    above /= np.linalg.norm(above)
    gap = 0.03 * space.radius
    label = middle + direction * (np.abs(axes @ direction) @ half) + above * (np.abs(axes @ above) @ half + gap)
    return {
        "name": str(defect.id),
        "lines": space.local(box_edges(middle, half, axes).reshape(24, 3)).tolist(),
        "label": space.local(label).tolist(),
        "camera": _camera(center, eye, up),
    }


def _camera(center: NDArray[np.float64], eye: NDArray[np.float64], up: NDArray[np.float64]) -> dict[str, Any]:
    return {
        name: dict(zip("xyz", value.tolist(), strict=True))
        for name, value in (("center", center), ("eye", eye), ("up", up))
    }
