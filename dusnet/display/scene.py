"""What there is to see of one scan, for every face: its layers and their colours, its defects, and the camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.colors.color_maps import BESIDE_DEFECT, DEFECT, NEUTRAL, label_colors, plain_colors
from dusnet.display.camera import Camera, brightness, look_at_highest
from dusnet.display.loaded_result import LoadedResult
from dusnet.display.panels import Panel
from dusnet.display.scales import heat_range
from dusnet.display.thinning import drawn_lots, highest, shown_points, spacing
from dusnet.geometry.normals import estimate_normals
from dusnet.inspection.regions import find_regions
from dusnet.inspection.result_parts import Defect
from dusnet.words import counted

Array = NDArray[np.float64]
Colors = NDArray[np.uint8]

_HIGHEST = 0.25  # of the points that are drawn of a big scan have its highest scores: no small defect is thinned away
_CAMERA_POINTS = 20_000  # are enough to choose a direction by
_WIDEST = 10.0  # times the first threshold: where a scan's highest score is far above, a slider must not become coarse
_NEIGHBORS = 12  # that a normal is estimated from


class Layer(str, Enum):
    """One way to look at a scan."""

    INPUT = "input"
    HEAT = "heat map"
    DEFECTS = "defects"
    RECONSTRUCTION = "reconstruction"
    TRUTH = "ground truth"


LAYER_KEYS = {
    "I": Layer.INPUT,
    "R": Layer.RECONSTRUCTION,
    "H": Layer.HEAT,
    "D": Layer.DEFECTS,
    "G": Layer.TRUTH,
}
"""The key of each layer, in the window and on the web page."""


@dataclass(frozen=True)
class DrawnPoints:
    """The points of a layer as they are drawn.

    Attributes:
        index: which points of the layer, (M,) ascending.
        points: where, (M, 3) float64 in radii: x right, y up, z towards the eye.
        shade: how bright, (M,) from 0 to 1.
        spacing: typical distance between neighbours, in radii.
    """

    index: NDArray[np.intp]
    points: Array
    shade: Array
    spacing: float

    @classmethod
    def of(cls, points: Array, index: NDArray[np.intp], normals: Array | None = None) -> DrawnPoints:
        """Points (M, 3) as the camera sees them, with their normals, (M, 3), estimated when None."""
        return cls(index, points, shading(points, normals), spacing(points))

    def lit(self, colors: Colors) -> Array:
        """Colours of the drawn points, (M, 3) uint8, under the light: float64 from 0 to 255."""
        return np.asarray(colors * self.shade[:, None])


class Scene:
    """One scan as every face shows it.

    Args:
        loaded: what is known of the scan.
    """

    def __init__(self, loaded: LoadedResult) -> None:
        self.loaded = loaded

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """What can be shown; the first is where a viewer starts."""
        scored = self.loaded.scores is not None
        known = {
            Layer.HEAT: scored,
            Layer.DEFECTS: scored,
            Layer.INPUT: True,
            Layer.RECONSTRUCTION: self.loaded.reconstruction is not None,
            Layer.TRUTH: self.loaded.cloud.labels is not None,
        }
        return tuple(layer for layer, there in known.items() if there)

    @cached_property
    def camera(self) -> Camera:
        """Where the scan is seen from at the beginning: it faces the highest scores."""
        index = self._index(_CAMERA_POINTS)
        scores = self.loaded.scores
        return look_at_highest(
            self.loaded.cloud.points[index],
            None if scores is None else scores[index],
            motion=self.loaded.part_motion,
        )

    def cloud(self, layer: Layer) -> PointCloud:
        """The points of a layer: those of the scan, or the reconstruction's."""
        if layer is not Layer.RECONSTRUCTION:
            return self.loaded.cloud
        if self.loaded.reconstruction is None:
            raise ValueError(f"{self.loaded.name} has no reconstruction")
        return self.loaded.reconstruction

    def drawn(self, layer: Layer, most: int) -> DrawnPoints:
        """The points of a layer, at most `most` of them, as the camera sees them."""
        cloud = self.cloud(layer)
        index = self._index(most, layer)
        normals = None if cloud.normals is None else cloud.normals[index] @ self.camera.axes.T
        return DrawnPoints.of(self.camera.local(cloud.points[index]), index, normals)

    def colors(self, layer: Layer, threshold: float | None = None) -> Colors:
        """The colour of each point of a layer, (N, 3) uint8 sRGB, in the order of its cloud.

        Args:
            layer: one of `layers`.
            threshold: point score above which a point is marked in the layer of defects; None marks none.
        """
        loaded, cloud = self.loaded, self.cloud(layer)
        if layer in (Layer.HEAT, Layer.DEFECTS) and loaded.scores is None:
            raise ValueError(f"{loaded.name} has no scores")
        if layer is Layer.HEAT:
            return self.panels()[0].painted(self.heat_limits)
        if layer is Layer.DEFECTS:
            marked = self.above(threshold)
            return np.where(marked[:, None], np.array(DEFECT), np.array(BESIDE_DEFECT)).astype(np.uint8)
        if layer is Layer.TRUTH and cloud.labels is not None:
            return label_colors(cloud.labels)
        if layer is Layer.INPUT and cloud.colors is not None:
            return cloud.colors
        return plain_colors(NEUTRAL, len(cloud))

    def panels(self, scene: int = 0) -> list[Panel]:
        """The scan, its reconstruction and its ground truth where they exist, to stand side by side."""
        loaded, cloud = self.loaded, self.loaded.cloud
        scored, points = loaded.scores is not None, f"{len(cloud):,} points"
        panels = [
            Panel(
                loaded.name,
                cloud.points,
                values=loaded.scores if loaded.bands is None else loaded.deviation,
                bands=loaded.bands,
                colors=None if scored else cloud.colors,
                normals=cloud.normals,
                caption=self.verdict_line if scored else "; ".join([points, *loaded.remarks]),
                scene=scene,
                stray=loaded.stray,
                motion=loaded.part_motion,
            )
        ]
        surface = loaded.reconstruction
        if surface is not None:
            words = counted(len(surface), "point")
            panels.append(Panel("without defects", surface.points, normals=surface.normals, caption=words, scene=scene))
        if cloud.labels is not None:
            marked = int(cloud.labels.sum())
            words = f"{marked:,} of {len(cloud):,} points {'is' if marked == 1 else 'are'} defective"
            colors = label_colors(cloud.labels)
            panels.append(Panel("ground truth", cloud.points, None, colors, cloud.normals, words, scene))
        return panels

    # --- scores and defects -----------------------------------------------------------------------------------------

    @cached_property
    def heat_limits(self) -> tuple[float, float]:
        """Scores of the palest and the darkest colour: what the result says, else what `heat_range` finds."""
        if self.loaded.color_range is not None:
            return self.loaded.color_range
        scores = self.loaded.scores
        return heat_range([] if scores is None else [scores], self.loaded.point_threshold)

    @cached_property
    def threshold(self) -> float | None:
        """Where a threshold starts: the result's own, else the top of the heat map; None without scores."""
        if self.loaded.scores is None:
            return None
        return self.heat_limits[1] if self.loaded.point_threshold is None else self.loaded.point_threshold

    @cached_property
    def threshold_range(self) -> tuple[float, float]:
        """Thresholds worth trying, lowest and highest: up to the highest score, but fine enough around the first."""
        first = self.threshold
        if self.loaded.scores is None or first is None:
            return 0.0, 1.0
        scores = self.loaded.scores[np.isfinite(self.loaded.scores)]
        low = min(0.0, first, float(scores.min(initial=0.0)))
        high = max(first, self.heat_limits[1], float(scores.max(initial=-np.inf)))
        if first > 0.0:
            high = min(high, _WIDEST * first)
        return low, high if high > low else low + 1.0

    def above(self, threshold: float | None) -> NDArray[np.bool_]:
        """Which points score above `threshold`, (N,) bool; a score that is NaN does not, and without one none does."""
        if self.loaded.scores is None or threshold is None:
            return np.zeros(len(self.loaded.cloud), dtype=np.bool_)
        return np.asarray(self.loaded.scores > threshold)

    def is_own(self, threshold: float | None) -> bool:
        """Whether the result lists its defects at just this threshold."""
        return threshold is not None and threshold == self.loaded.point_threshold and self.loaded.defects is not None

    def defects(self, threshold: float | None) -> tuple[Defect, ...]:
        """The defects at a threshold, worst first.

        At the result's own threshold these are the result's; at any other the regions are found anew, on all points.
        """
        if threshold is None or self.loaded.scores is None:
            return ()
        if self.is_own(threshold):
            return self.loaded.defects or ()
        scores = np.nan_to_num(self.loaded.scores, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        found = find_regions(self.loaded.cloud.points, scores, threshold)
        return tuple(Defect.of(region, number) for number, region in enumerate(found, start=1))

    def defect_count(self, threshold: float | None, defects: Sequence[Defect]) -> int:
        """How many defects there are when `defects` lists them: a result lists the worst only."""
        return self.loaded.defect_count if self.is_own(threshold) else len(defects)

    # --- words ------------------------------------------------------------------------------------------------------

    @property
    def verdict_line(self) -> str:
        """What was found and the number of points: `NG: dent of -1.4 mm, 20 mm across; limit 0.5 mm. 1,500 points`."""
        points = counted(len(self.loaded.cloud), "point")
        return points if self.loaded.finding is None else f"{self.loaded.finding} {points}"

    def count_line(self, threshold: float | None) -> str:
        """How much is above the threshold, of all points: `215 of 9,163 points above 0.0106`."""
        if self.loaded.scores is None or threshold is None:
            return "not scored"
        return f"{int(self.above(threshold).sum()):,} of {len(self.loaded.cloud):,} points above {threshold:.4g}"

    def _index(self, most: int, layer: Layer = Layer.INPUT) -> NDArray[np.intp]:
        points = self.cloud(layer).points
        share = int(most * _HIGHEST)
        scores = None if layer is Layer.RECONSTRUCTION else self.loaded.scores
        return shown_points(points, highest(scores, len(points), share), most, share, select=drawn_lots)


def shading(points: Array, normals: Array | None = None) -> Array:
    """How bright each point is, (N,), see `brightness`.

    Args:
        points: (N, 3) float64, x right, y up, z towards the eye.
        normals: (N, 3) of the same axes; estimated when None.
    """
    if normals is None and len(points) < 3:
        return np.ones(len(points))
    return brightness(estimate_normals(points, _NEIGHBORS) if normals is None else normals)


def box_edges(middle: Array, half: Array, axes: Array | None = None) -> Array:
    """The twelve edges of a box, from corner to corner, (12, 2, 3).

    Args:
        middle: (3,).
        half: half its extents along its axes, (3,).
        axes: rows, (3, 3); the coordinate axes when None.
    """
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
    corners = middle + signs * half @ (np.eye(3) if axes is None else axes)
    pairs = [(a, b) for a in range(8) for b in range(a + 1, 8) if np.abs(signs[a] - signs[b]).sum() == 2]
    return corners[np.array(pairs)]


def defect_boxes(defects: Sequence[Defect]) -> Array:
    """The edges of the boxes around defects, (12 * len(defects), 2, 3) float64, in the scan's unit and pose."""
    ends = ((np.array(one.bounds.low), np.array(one.bounds.high)) for one in defects)
    boxes = [box_edges((low + high) / 2.0, (high - low) / 2.0) for low, high in ends]
    return np.concatenate(boxes) if boxes else np.zeros((0, 2, 3))
