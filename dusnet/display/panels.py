"""Clouds side by side, as a picture and the window show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.colors.color_maps import NEUTRAL, STRAY, heat_colors, plain_colors
from dusnet.colors.deviation_bands import DeviationBands
from dusnet.display.camera import Camera, look_at_highest
from dusnet.display.scales import heat_range


@dataclass(frozen=True)
class Panel:
    """One cloud beside others.

    Attributes:
        title: one or two words over it.
        points: (N, 3) float64, in the pose that the other panels of its row share.
        values: (N,) scores, drawn as heat; or
        colors: (N, 3) uint8 sRGB, drawn as they are; with neither the cloud is grey.
        normals: (N, 3) float64 for the shading; estimated when None.
        caption: a line under it; cut at the width of the panel.
        scene: panels of one row and scene are seen from one camera.
        bands: paints `values`, then signed deviations, instead of the heat; the same for all panels of a picture.
        stray: points of `values` that were not measured and are grey, (N,) bool, or None.
        motion: from `points` to the frame of the part, (4, 4), or None; it turns the camera.
    """

    title: str
    points: NDArray[np.float64]
    values: NDArray[Any] | None = None
    colors: NDArray[np.uint8] | None = None
    normals: NDArray[np.float64] | None = None
    caption: str = ""
    scene: int = 0
    bands: DeviationBands | None = None
    stray: NDArray[np.bool_] | None = None
    motion: NDArray[np.float64] | None = None

    def painted(self, limits: tuple[float, float]) -> NDArray[np.uint8]:
        """The colour of each point, (N, 3) uint8, with heat between the two limits."""
        if self.values is None:
            return plain_colors(NEUTRAL, len(self.points)) if self.colors is None else self.colors
        colors = heat_colors(self.values, *limits) if self.bands is None else self.bands.colors(self.values)
        if self.stray is not None:
            colors[self.stray] = STRAY
        return colors


def heat_limits(panels: Sequence[Panel], threshold: float | None = None) -> tuple[float, float]:
    """Low and high of a heat map that shows all panels on one scale, see `heat_range`."""
    return heat_range([panel.values for panel in panels if panel.values is not None], threshold)


def camera_of(panels: Sequence[Panel]) -> Camera:
    """The camera that panels share; it faces the highest values of the first."""
    first = panels[0]
    return look_at_highest(first.points, first.values, signed=first.bands is not None, motion=first.motion)
