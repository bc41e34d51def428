"""Pictures of scans and their heat maps as PNG files, without a display."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.display.camera import Camera, Window, look_at
from dusnet.display.color_maps import NEUTRAL, heat_colors, heat_table
from dusnet.display.deviation_bands import COLORS, DeviationBands
from dusnet.display.figures import plain
from dusnet.display.splat import BACKGROUND, splat
from dusnet.io import atomic_path
from dusnet.io.marks import save_picture

_INK = (38, 44, 52)
_FAINT = (112, 120, 130)
_MARGIN = 0.04  # of the extent, on each side
_WIDEST = 2.0  # radii of the first panel that a picture shows at most: stray points must not shrink the part


@dataclass(frozen=True)
class Panel:
    """One cloud of a picture.

    Attributes:
        title: one or two words over it.
        points: (N, 3) float64, in the pose that the other panels of its row share.
        values: (N,) scores, drawn as heat; or
        colors: (N, 3) uint8 sRGB, drawn as they are; with neither the cloud is grey.
        normals: (N, 3) float64 for the shading; estimated when None.
        caption: a line under it; cut at the width of the panel.
        scene: panels of one row and scene are seen from one camera.
        bands: paints `values`, then signed deviations, instead of the heat; the same for all panels of a picture.
    """

    title: str
    points: NDArray[np.float64]
    values: NDArray[Any] | None = None
    colors: NDArray[np.uint8] | None = None
    normals: NDArray[np.float64] | None = None
    caption: str = ""
    scene: int = 0
    bands: DeviationBands | None = None

    def painted(self, low: float, high: float) -> NDArray[np.uint8]:
        """The colour of each point, (N, 3) uint8, with heat from `low` to `high`."""
        if self.values is not None and self.bands is not None:
            return self.bands.colors(self.values)
        if self.values is not None:
            return heat_colors(self.values, low, high)
        if self.colors is not None:
            return self.colors
        return np.broadcast_to(np.array(NEUTRAL, dtype=np.uint8), (len(self.points), 3))


def heat_range(panels: Sequence[Panel], threshold: float | None = None) -> tuple[float, float]:
    """Low and high of a heat map that shows all panels on one scale.

    Low is 0, or the smallest value when it is negative. High is twice the threshold when one is known, so that half of
    the colours are for normal points whatever the scan; otherwise the value that 99.8 % of the points stay below.
    """
    values = [panel.values[np.isfinite(panel.values)] for panel in panels if panel.values is not None]
    everything = np.concatenate(values).astype(np.float64) if values else np.zeros(0)
    if not len(everything):
        return 0.0, 1.0
    low = min(0.0, float(everything.min()))
    high = float(np.quantile(everything, 0.998)) if threshold is None else 2.0 * threshold
    return (low, high) if high > low else (low, low + 1.0)


def camera_of(panels: Sequence[Panel], *, toward: bool = True) -> Camera:
    """The camera that panels share; it faces the highest values of the first.

    Args:
        panels: at least one; the first decides the direction.
        toward: whether to turn to the highest values.
    """
    first = panels[0]
    weight = None
    if toward and first.values is not None:
        value = np.nan_to_num(np.asarray(first.values, dtype=np.float64), nan=0.0)
        value = value if first.bands is None else np.abs(value)
        weight = np.clip(value - np.quantile(value, 0.98), 0.0, None)
    return look_at(first.points, toward=weight)


def render_png(path: Path, panels: Sequence[Panel], *, columns: int | None = None, **options: Any) -> None:
    """Write a picture of the panels, `columns` to a row; all in one row when None. See `render_rows` for the options.

    Args:
        path: PNG file; replaced atomically.
        panels: at least one, none empty.
        columns: panels per row.
        options: keyword arguments of `render_rows`.
    """
    step = columns or max(1, len(panels))
    render_rows(path, [panels[start : start + step] for start in range(0, len(panels), step)], **options)


def render_rows(
    path: Path,
    rows: Sequence[Sequence[Panel]],
    *,
    width: int = 1600,
    title: str = "",
    low: float | None = None,
    high: float | None = None,
    threshold: float | None = None,
    label: str = "anomaly score",
    toward: bool = True,
) -> None:
    """Write a picture of panels in rows, with a colour bar when there are heat maps.

    Args:
        path: PNG file; replaced atomically.
        rows: at least one, none empty; panels of one row and scene are seen from one camera.
        width: of the picture in pixels.
        title: line over everything.
        low: value of the palest colour, see `heat_range` for what None means.
        high: value of the darkest colour.
        threshold: value to mark on the colour bar.
        label: what the colour bar shows.
        toward: turn each camera to the highest values of its first panel.
    """
    from PIL import Image

    panels = [panel for row in rows for panel in row]
    if not panels or any(not len(panel.points) for panel in panels):
        raise ValueError("a picture needs at least one panel, and no panel may be empty")
    automatic = heat_range(panels, threshold)
    limits = (automatic[0] if low is None else low, automatic[1] if high is None else high)
    side = width // max(len(row) for row in rows)
    text = max(13, min(side // 30, 24))
    drawn = [_Row(row, side, text, toward) for row in rows if row]
    head = int(2.6 * text) if title else text // 2
    has_heat = any(panel.values is not None for panel in panels)
    foot = int(5.2 * text) if has_heat else text
    picture = Image.new("RGB", (width, head + sum(row.height for row in drawn) + foot), BACKGROUND)
    if title:
        _write(picture, title, (text, int(0.7 * text)), int(1.3 * text), _INK, width - 2 * text)
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

    def __init__(self, panels: Sequence[Panel], side: int, text: int, toward: bool) -> None:
        self._panels, self._side, self._text = panels, side, text
        self._room = side - 2 * text
        self._views: dict[int, tuple[Camera, Window]] = {}
        self._tall = 1
        for scene in dict.fromkeys(panel.scene for panel in panels):
            together = [panel for panel in panels if panel.scene == scene]
            camera = camera_of(together, toward=toward)
            window, tall = _fit(together, camera, self._room)
            self._views[scene], self._tall = (camera, window), max(self._tall, tall)
        captions = any(panel.caption for panel in panels)
        self.height = int(2.2 * text) + self._tall + int(2.0 * text if captions else 0.5 * text)

    def draw(self, picture: Any, top: int, limits: tuple[float, float]) -> None:
        """Paste the panels into `picture`, `top` pixels from its upper edge."""
        from PIL import Image

        text = self._text
        for column, panel in enumerate(self._panels):
            left = column * self._side + text
            _write(picture, panel.title, (left, top + text // 2), text, _INK, self._room)
            camera, window = self._views[panel.scene]
            size = (self._room, self._tall)
            image = splat(panel.points, panel.painted(*limits), camera, window, size, panel.normals)
            picture.paste(Image.fromarray(image), (left, top + int(2.2 * text)))
            _write(picture, panel.caption, (left, top + int(2.5 * text) + self._tall), text, _FAINT, self._room)


def _fit(panels: Sequence[Panel], camera: Camera, room: int) -> tuple[Window, int]:
    """The window that shows all panels in `room` pixels of width and at most as many of height, and the height."""
    corners = [camera.project(panel.points)[:, :2] for panel in panels]
    low = np.maximum(np.min([corner.min(axis=0) for corner in corners], axis=0), -_WIDEST)
    high = np.minimum(np.max([corner.max(axis=0) for corner in corners], axis=0), _WIDEST)
    extent = np.maximum(high - low, 1e-3) * (1.0 + 2.0 * _MARGIN)
    unit = float(min(room / extent[0], room / extent[1]))
    middle = (low + high) / 2.0
    return Window((float(middle[0]), float(middle[1])), unit), max(int(np.ceil(extent[1] * unit)), room // 3)


def _write(picture: Any, words: str, at: tuple[int, int], size: int, ink: tuple[int, int, int], room: int) -> None:
    """Draw a line of text, ended by an ellipsis where it would leave its room in pixels."""
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    if font.getlength(words) > room:
        while words and font.getlength(words + "…") > room:
            words = words[:-1]
        words += "…"
    ImageDraw.Draw(picture).text(at, words, fill=ink, font=font)


def _number(value: float) -> str:
    return f"{value:.3g}"


def _color_bar(picture: Any, limits: tuple[float, float], threshold: float | None, label: str, text: int) -> None:
    """Colour bar over the middle half of the picture's foot, with five numbers and the threshold."""
    from PIL import Image, ImageDraw, ImageFont

    low, high = limits
    span, thick = picture.width // 2, int(1.1 * text)
    left, top = picture.width // 4, picture.height - int(3.1 * text)
    strip = heat_table()[np.linspace(0, len(heat_table()) - 1, span).round().astype(int)]
    picture.paste(Image.fromarray(np.repeat(strip[None], thick, axis=0)), (left, top))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(text)
    draw.rectangle((left, top, left + span, top + thick), outline=_FAINT)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = left + round(share * span)
        draw.line((at, top + thick, at, top + thick + text // 3), fill=_FAINT)
        words = _number(low + share * (high - low))
        draw.text((at, top + thick + text // 2), words, fill=_INK, font=font, anchor="mt")
    draw.text((left, top - text // 3), label, fill=_INK, font=font, anchor="lb")
    if threshold is not None and math.isfinite(threshold):
        share = (threshold - low) / (high - low)
        if 0.0 <= share <= 1.0:
            at = left + round(share * span)
            draw.line((at, top - text // 4, at, top + thick), fill=_INK, width=max(2, text // 8))
            draw.text((at, top - text // 2), f"point threshold {_number(threshold)}", fill=_INK, font=font, anchor="mb")
        else:
            words = f"point threshold {_number(threshold)} is outside"
            draw.text((left + span, top - text // 3), words, fill=_INK, font=font, anchor="rb")


def _band_bar(picture: Any, bands: DeviationBands, label: str, text: int) -> None:
    """The bands over the middle of the picture's foot, all as wide as one another, with the deviations between them."""
    from PIL import ImageDraw, ImageFont

    step, thick = picture.width * 2 // (3 * len(COLORS)), int(1.1 * text)
    left, top = (picture.width - step * len(COLORS)) // 2, picture.height - int(3.1 * text)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(text)
    for number, color in enumerate(COLORS):
        draw.rectangle((left + number * step, top, left + (number + 1) * step, top + thick), fill=color)
    draw.rectangle((left, top, left + len(COLORS) * step, top + thick), outline=_FAINT)
    for number, edge in enumerate(bands.edges, start=1):
        at = left + number * step
        draw.line((at, top + thick, at, top + thick + text // 3), fill=_FAINT)
        draw.text((at, top + thick + text // 2), plain(edge, 3, signed=True), fill=_INK, font=font, anchor="mt")
    draw.text((left, top - text // 3), label, fill=_INK, font=font, anchor="lb")
    words = f"tolerance {plain(-bands.minus, 3, signed=True)} to {plain(bands.plus, 3, signed=True)}"
    draw.text((left + len(COLORS) * step, top - text // 3), words, fill=_INK, font=font, anchor="rb")
