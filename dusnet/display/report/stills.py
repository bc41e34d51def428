"""A part from six sides as small pictures: what a printed page shows, and the thumbnail of a batch."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import Points
from dusnet.colors.color_maps import BACKGROUND, INK
from dusnet.display.camera import SIDES, Camera, Crop, Side
from dusnet.display.extent import extent
from dusnet.display.raster import draw_points
from dusnet.display.scales import round_below
from dusnet.display.thinning import evenly
from dusnet.geometry.normals import estimate_normals

if TYPE_CHECKING:
    from PIL.Image import Image

SIZE = (440, 322)
"""Width and height of a still in pixels."""
THUMBNAIL = (160, 117)
_POINTS = 30_000
_MARGIN = 1.12  # of the window over the part
_GRID = 64  # cells across the part in which the nearest point hides the others
_HIDDEN = 0.06  # radii behind the nearest point of its cell
_QUALITY = 84
_LABELS = 9


@dataclass(frozen=True)
class Still:
    """One picture of the part.

    Attributes:
        side: where it is seen from.
        jpeg: the picture.
        shown: numbers of the defects that are seen in it, ascending.
    """

    side: Side
    jpeg: bytes
    shown: tuple[int, ...]


@dataclass(frozen=True)
class Callout:
    """What is written beside a defect.

    Attributes:
        number: of the defect.
        words: its number, and its deviation where that is known.
        place: where, (3,).
        side: the side whose picture shows it in any case, None for none.
    """

    number: int
    words: str
    place: Points
    side: str | None = None


@dataclass(frozen=True)
class Stills:
    """The six sides, all at one scale, and a thumbnail of the one that shows most of the defects."""

    sides: tuple[Still, ...]
    thumbnail: bytes


def draw_stills(
    points: Points, colors: NDArray[np.uint8], weight: NDArray[Any], labels: Sequence[Callout], unit: str
) -> Stills:
    """Draw a part from its six sides.

    Args:
        points: (N, 3) float64, at least one point.
        colors: (N, 3) uint8.
        weight: how much a point should be on the thumbnail, (N,) >= 0.
        labels: of the defects, worst first.
        unit: of the points, for the scale bar; "" when nobody said.
    """
    from PIL import Image

    kept = evenly(points, _POINTS)
    few, paint, heavy = points[kept], colors[kept], np.asarray(weight, dtype=np.float64)[kept]
    normals = estimate_normals(few, 12) if len(few) >= 3 else None
    low, high = extent(few)
    center = (low + high) / 2.0
    radius = float(np.linalg.norm(high - low) / 2.0) or 1.0
    cameras = [Camera(center, radius, np.array(side.axes, dtype=np.float64)) for side in SIDES]
    crop = Crop((0.0, 0.0), _pixels_per_radius(cameras, low, high))
    stills, images, seen = [], [], []
    for side, camera in zip(SIDES, cameras, strict=True):
        bare = draw_points(few, paint, camera, crop, SIZE, normals)
        image = Image.fromarray(bare)
        surface = _DepthGrid(few, camera)
        shown = [one for one in labels if one.side == side.name or surface.shows(one.place[None])[0]]
        _write_labels(image, shown[:_LABELS], camera, crop)
        _scale_bar(image, crop.unit / radius, unit)
        stills.append(Still(side, _jpeg(image), tuple(one.number for one in shown)))
        images.append(bare)
        seen.append(float(heavy[surface.shows(few)].sum()) if heavy.any() else float(surface.filled))
    best = images[int(np.argmax(seen))]
    return Stills(tuple(stills), _jpeg(_thumbnail(best)))


def data_uri(jpeg: bytes) -> str:
    """The picture as the `src` of an image that needs no file."""
    return "data:image/jpeg;base64," + b64encode(jpeg).decode("ascii")


def _pixels_per_radius(cameras: list[Camera], low: Points, high: Points) -> float:
    """The scale at which every side fits into a picture."""
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    reach = np.max([np.abs(camera.project(corners)[:, :2]).max(axis=0) for camera in cameras], axis=0)
    room = np.array(SIZE) / 2.0 / _MARGIN
    return float((room / np.maximum(reach, 1e-6)).min())


class _DepthGrid:
    """What a camera sees: in every cell of a grid the nearest point, and what is hardly behind it."""

    def __init__(self, points: Points, camera: Camera) -> None:
        self._camera = camera
        cell, depth = self._cells(points)
        self._depth = np.full(_GRID * _GRID, np.inf)
        np.minimum.at(self._depth, cell, depth)
        self.filled = int(np.isfinite(self._depth).sum())

    def shows(self, points: Points) -> NDArray[np.bool_]:
        """Whether each of the points, (N, 3), is seen."""
        cell, depth = self._cells(points)
        return np.asarray(depth <= self._depth[cell] + _HIDDEN)

    def _cells(self, points: Points) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        projected = self._camera.project(points)
        place = np.clip(((projected[:, :2] + 1.2) / 2.4 * _GRID).astype(np.intp), 0, _GRID - 1)
        return place[:, 0] * _GRID + place[:, 1], projected[:, 2]


def _jpeg(image: Image) -> bytes:
    data = BytesIO()
    image.save(data, format="JPEG", quality=_QUALITY, optimize=True)
    return data.getvalue()


def _thumbnail(pixels: NDArray[np.uint8]) -> Image:
    """The part alone, as large as the thumbnail allows."""
    from PIL import Image, ImageOps

    drawn = (pixels != np.array(BACKGROUND)).any(axis=2)
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    if len(rows):
        pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return ImageOps.pad(Image.fromarray(pixels), THUMBNAIL, color=BACKGROUND)


def _write_labels(image: Image, labels: Sequence[Callout], camera: Camera, crop: Crop) -> None:
    """A framed callout beside each defect, on top of the picture; one that would cover another is moved down."""
    from PIL import ImageDraw, ImageFont

    draw, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    taken: list[tuple[float, float, float, float]] = []
    for label in labels:
        right, up, _ = camera.project(label.place[None])[0]
        x = float(np.clip(SIZE[0] / 2 + (right - crop.center[0]) * crop.unit, 14, SIZE[0] - 14))
        y = float(np.clip(SIZE[1] / 2 - (up - crop.center[1]) * crop.unit, 14, SIZE[1] - 14))
        wide = font.getlength(label.words) + 12.0
        left = x + 20.0 if x + 20.0 + wide < SIZE[0] else x - 20.0 - wide
        top = max(y - 34.0, 3.0)
        while any(left < other[2] and left + wide > other[0] and abs(top - other[1]) < 23.0 for other in taken):
            top += 6.0
        frame = (left, top, left + wide, top + 20.0)
        taken.append(frame)
        draw.line((x, y, left if left > x else left + wide, top + 10.0), fill=INK, width=2)
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=INK, outline=BACKGROUND)
        draw.rectangle(frame, fill=BACKGROUND, outline=INK, width=2)
        draw.text((left + wide / 2.0, top + 10.0), label.words, fill=INK, font=font, anchor="mm")


def _scale_bar(image: Image, pixels: float, unit: str) -> None:
    """A bar of a round length in the lower left corner.

    Args:
        image: what to draw on.
        pixels: per unit of the scan, at the middle of the part.
        unit: of the scan, "" when nobody said.
    """
    from PIL import ImageDraw, ImageFont

    length = round_below(SIZE[0] / 3.2 / pixels)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    left, bottom = 12, SIZE[1] - 12
    right = left + length * pixels
    draw.line((left, bottom, right, bottom), fill=INK, width=2)
    for x in (left, right):
        draw.line((x, bottom - 4, x, bottom + 4), fill=INK, width=2)
    draw.text((left, bottom - 7), f"{length:g} {unit}".strip(), fill=INK, font=font, anchor="lb")
