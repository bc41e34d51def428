"""Pictures of scans and their heat maps as PNG files, without a display."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.colors.color_maps import BACKGROUND, FAINT, INK, heat_table
from dusnet.colors.deviation_bands import COLORS, DeviationBands
from dusnet.display.camera import Camera, Crop
from dusnet.display.panels import Panel, camera_of, heat_limits
from dusnet.display.raster import draw_points
from dusnet.io import atomic_path
from dusnet.io.marks import save_picture
from dusnet.words import plain

_MARGIN = 0.04  # of the extent, on each side
_WIDEST = 2.0  # radii of the first panel that a picture shows at most: stray points must not shrink the part


def draw_picture(
    path: Path,
    rows: Sequence[Sequence[Panel]],
    *,
    width: int = 1600,
    title: str = "",
    limits: tuple[float, float] | None = None,
    threshold: float | None = None,
    label: str = "anomaly score",
) -> None:
    """Write a picture of panels in rows, with a colour bar when there are heat maps.

    Args:
        path: PNG file; replaced atomically.
        rows: at least one panel, none empty; panels of one row and scene are seen from one camera.
        width: of the picture in pixels.
        title: line over everything.
        limits: values of the palest and the darkest colour, see `heat_limits` for what None means.
        threshold: value to mark on the colour bar.
        label: what the colour bar shows.
    """
    from PIL import Image

    panels = [panel for row in rows for panel in row]
    if not panels or any(not len(panel.points) for panel in panels):
        raise ValueError("a picture needs at least one panel, and no panel may be empty")
    limits = limits or heat_limits(panels, threshold)
    side = width // max(len(row) for row in rows)
    text = max(13, min(side // 30, 24))
    drawn = [_Row(row, side, text) for row in rows if row]
    head = int(2.6 * text) if title else text // 2
    has_heat = any(panel.values is not None for panel in panels)
    foot = int(5.2 * text) if has_heat else text
    picture = Image.new("RGB", (width, head + sum(row.height for row in drawn) + foot), BACKGROUND)
    if title:
        _write(picture, title, (text, int(0.7 * text)), int(1.3 * text), INK, width - 2 * text)
    top = head
    for row in drawn:
        row.draw(picture, top, limits)
        top += row.height
    bands = next((panel.bands for panel in panels if panel.bands is not None), None)
    if bands is not None:
        _band_bar(picture, bands, label, text)
    elif has_heat:
        _color_bar(picture, limits, threshold, label, text)
    with atomic_path(path) as temporary:
        save_picture(picture, temporary)


class _Row:
    """Panels side by side, all drawn to the height that the tallest needs."""

    def __init__(self, panels: Sequence[Panel], side: int, text: int) -> None:
        self._panels, self._side, self._text = panels, side, text
        self._room = side - 2 * text
        self._views: dict[int, tuple[Camera, Crop]] = {}
        self._tall = 1
        for scene in dict.fromkeys(panel.scene for panel in panels):
            together = [panel for panel in panels if panel.scene == scene]
            camera = camera_of(together)
            crop, tall = _fit(together, camera, self._room)
            self._views[scene], self._tall = (camera, crop), max(self._tall, tall)
        captions = any(panel.caption for panel in panels)
        self.height = int(2.2 * text) + self._tall + int(2.0 * text if captions else 0.5 * text)

    def draw(self, picture: Any, top: int, limits: tuple[float, float]) -> None:
        """Paste the panels into `picture`, `top` pixels from its upper edge."""
        from PIL import Image

        text = self._text
        for column, panel in enumerate(self._panels):
            left = column * self._side + text
            _write(picture, panel.title, (left, top + text // 2), text, INK, self._room)
            camera, crop = self._views[panel.scene]
            size = (self._room, self._tall)
            image = draw_points(panel.points, panel.painted(limits), camera, crop, size, panel.normals)
            picture.paste(Image.fromarray(image), (left, top + int(2.2 * text)))
            _write(picture, panel.caption, (left, top + int(2.5 * text) + self._tall), text, FAINT, self._room)


def _fit(panels: Sequence[Panel], camera: Camera, room: int) -> tuple[Crop, int]:
    """The crop that shows all panels in `room` pixels of width and at most as many of height, and the height."""
    corners = [camera.project(panel.points)[:, :2] for panel in panels]
    low = np.maximum(np.min([corner.min(axis=0) for corner in corners], axis=0), -_WIDEST)
    high = np.minimum(np.max([corner.max(axis=0) for corner in corners], axis=0), _WIDEST)
    extent = np.maximum(high - low, 1e-3) * (1.0 + 2.0 * _MARGIN)
    unit = float(min(room / extent[0], room / extent[1]))
    middle = (low + high) / 2.0
    return Crop((float(middle[0]), float(middle[1])), unit), max(int(np.ceil(extent[1] * unit)), room // 3)


def _write(picture: Any, words: str, at: tuple[int, int], size: int, ink: tuple[int, int, int], room: int) -> None:
    """Draw a line of text, ended by an ellipsis where it would leave its room in pixels."""
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    if font.getlength(words) > room:
        while words and font.getlength(words + "…") > room:
            words = words[:-1]
        words += "…"
    ImageDraw.Draw(picture).text(at, words, fill=ink, font=font)


def _color_bar(picture: Any, limits: tuple[float, float], threshold: float | None, label: str, text: int) -> None:
    """Colour bar over the middle half of the picture's foot, with five numbers and the threshold."""
    low, high = limits
    span = picture.width // 2
    strip = heat_table()[np.linspace(0, len(heat_table()) - 1, span).round().astype(int)]
    ticks = [(round(share * span), f"{low + share * (high - low):.3g}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    share = math.nan if threshold is None else (threshold - low) / (high - low)
    inside = 0.0 <= share <= 1.0
    outside = f"point limit {threshold:.3g} is outside" if math.isfinite(share) and not inside else ""
    draw, font, left, top, bottom = _bar(picture, strip, ticks, (label, outside), text)
    if inside:
        at = left + round(share * span)
        draw.line((at, top - text // 4, at, bottom), fill=INK, width=max(2, text // 8))
        draw.text((at, top - text // 2), f"point limit {threshold:.3g}", fill=INK, font=font, anchor="mb")


def _band_bar(picture: Any, bands: DeviationBands, label: str, text: int) -> None:
    """The bands over the middle of the picture's foot, all as wide as one another, with the deviations between them."""
    step = picture.width * 2 // (3 * len(COLORS))
    ticks = [(place * step, plain(edge, 3, signed=True)) for place, edge in enumerate(bands.edges, start=1)]
    words = f"tolerance {plain(-bands.minus, 3, signed=True)} to {plain(bands.plus, 3, signed=True)}"
    _bar(picture, np.repeat(np.array(COLORS, dtype=np.uint8), step, axis=0), ticks, (label, words), text)


def _bar(
    picture: Any, strip: NDArray[np.uint8], ticks: Sequence[tuple[int, str]], above: tuple[str, str], text: int
) -> tuple[Any, Any, int, int, int]:
    """A bar of colours over the middle of the picture's foot.

    Args:
        picture: what to draw on.
        strip: the colour of every column of pixels, (W, 3).
        ticks: column and words of each number under the bar.
        above: what to write over its left and over its right end.
        text: height of the words in pixels.

    Returns:
        What draws, the font, and left, upper and lower edge of the bar in pixels.
    """
    from PIL import Image, ImageDraw, ImageFont

    span, thick = len(strip), int(1.1 * text)
    left, top = (picture.width - span) // 2, picture.height - int(3.1 * text)
    picture.paste(Image.fromarray(np.repeat(strip[None], thick, axis=0)), (left, top))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(text)
    draw.rectangle((left, top, left + span, top + thick), outline=FAINT)
    for column, words in ticks:
        draw.line((left + column, top + thick, left + column, top + thick + text // 3), fill=FAINT)
        draw.text((left + column, top + thick + text // 2), words, fill=INK, font=font, anchor="mt")
    for at, words, anchor in ((left, above[0], "lb"), (left + span, above[1], "rb")):
        draw.text((at, top - text // 3), words, fill=INK, font=font, anchor=anchor)
    return draw, font, left, top, top + thick
