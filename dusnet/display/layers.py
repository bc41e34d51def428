"""What a viewer shows and in which colours: pure functions of a scan, a layer and a threshold, for every toolkit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.display.color_maps import ANCHORS, NEUTRAL, heat_colors, label_colors
from dusnet.display.figures import plain
from dusnet.display.loaded_result import Defect, LoadedResult
from dusnet.display.render import Panel, heat_range
from dusnet.inspection.regions import find_regions

Array = NDArray[np.float64]
Colors = NDArray[np.uint8]

DEFECT = ANCHORS[3]  # a point above the threshold
PALE = ANCHORS[0]  # every other point beside it
_AMBIENT = 0.55
_LIGHT = np.array([-0.35, 0.5, 0.79])  # right, up, towards the viewer
_TOP_SHARE = 0.25  # of the points shown of a big scan are its highest scores: a small defect must not be thinned away
_WIDEST = 10.0  # times the first threshold: where a scan's highest score is far above, a slider must not become coarse


class Layer(str, Enum):
    """One way to look at a scan."""

    INPUT = "input"
    HEAT = "heat map"
    DEFECTS = "defects"
    RECONSTRUCTION = "reconstruction"
    TRUTH = "ground truth"


@dataclass(frozen=True)
class State:
    """What a viewer shows.

    Attributes:
        scan: number of the scan, from 0.
        layer: what of it; None for everything side by side.
    """

    scan: int = 0
    layer: Layer | None = None

    def stepped(self, by: int, count: int) -> State:
        """The scan `by` places on, of `count`; after the last comes the first."""
        return replace(self, scan=(self.scan + by) % count)


def layers_of(loaded: LoadedResult) -> list[Layer]:
    """What can be shown of a scan; the first is where a viewer starts."""
    scored = loaded.scores is not None
    known = {
        Layer.HEAT: scored,
        Layer.DEFECTS: scored,
        Layer.INPUT: True,
        Layer.RECONSTRUCTION: loaded.reconstruction is not None,
        Layer.TRUTH: loaded.cloud.labels is not None,
    }
    return [layer for layer, there in known.items() if there]


def layer_cloud(loaded: LoadedResult, layer: Layer) -> PointCloud:
    """The points of a layer: those of the scan, or the reconstruction's."""
    if layer is Layer.RECONSTRUCTION:
        if loaded.reconstruction is None:
            raise ValueError(f"{loaded.name} has no reconstruction")
        return loaded.reconstruction
    return loaded.cloud


def layer_colors(loaded: LoadedResult, layer: Layer, threshold: float | None) -> Colors:
    """The colour of each point of a layer, (N, 3) uint8 sRGB, in the order of `layer_cloud`.

    Args:
        loaded: the scan.
        layer: one of `layers_of(loaded)`.
        threshold: point score above which a point is marked in the layer of defects; None marks none.
    """
    cloud = layer_cloud(loaded, layer)
    if layer in (Layer.HEAT, Layer.DEFECTS):
        if loaded.scores is None:
            raise ValueError(f"{loaded.name} has no scores")
        if layer is Layer.HEAT:
            if loaded.bands is not None and loaded.deviation is not None:
                return loaded.bands.colors(loaded.deviation)
            return heat_colors(loaded.scores, *heat_span(loaded))
        marked = np.zeros(len(cloud), dtype=np.bool_) if threshold is None else above(loaded, threshold)
        return np.where(marked[:, None], np.array(DEFECT), np.array(PALE)).astype(np.uint8)
    if layer is Layer.TRUTH and cloud.labels is not None:
        return label_colors(cloud.labels)
    if layer is Layer.INPUT and cloud.colors is not None:
        return cloud.colors
    return np.broadcast_to(np.array(NEUTRAL, dtype=np.uint8), (len(cloud), 3))


def heat_span(loaded: LoadedResult) -> tuple[float, float]:
    """Scores of the palest and the darkest colour: what the result says, else what `heat_range` finds."""
    if loaded.color_range is not None:
        return loaded.color_range
    panel = Panel(loaded.name, loaded.cloud.points, values=loaded.scores)
    return heat_range([panel], loaded.point_threshold)


def first_threshold(loaded: LoadedResult) -> float | None:
    """Where a threshold starts: the result's own, else the top of the heat map; None without scores."""
    if loaded.scores is None:
        return None
    return heat_span(loaded)[1] if loaded.point_threshold is None else loaded.point_threshold


def threshold_range(loaded: LoadedResult) -> tuple[float, float]:
    """Thresholds worth trying, lowest and highest: up to the highest score, but fine enough around the first one."""
    first = first_threshold(loaded)
    if loaded.scores is None or first is None:
        return 0.0, 1.0
    scores = loaded.scores[np.isfinite(loaded.scores)]
    low = min([0.0, first, *([float(scores.min())] if len(scores) else [])])
    high = max([first, heat_span(loaded)[1], *([float(scores.max())] if len(scores) else [])])
    if first > 0.0:
        high = min(high, _WIDEST * first)
    return low, high if high > low else low + 1.0


def above(loaded: LoadedResult, threshold: float) -> NDArray[np.bool_]:
    """Which points score above `threshold`, (N,) bool; a score that is NaN does not."""
    if loaded.scores is None:
        return np.zeros(len(loaded.cloud), dtype=np.bool_)
    return np.asarray(loaded.scores > threshold)


def defects_at(loaded: LoadedResult, threshold: float | None) -> tuple[Defect, ...]:
    """The defects at a threshold, worst first.

    At the result's own threshold these are the result's; at any other the regions are found anew, on all points.
    """
    if threshold is None or loaded.scores is None:
        return ()
    if threshold == loaded.point_threshold and loaded.defects is not None:
        return loaded.defects
    scores = np.nan_to_num(loaded.scores, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    return tuple(Defect.of(region) for region in find_regions(loaded.cloud.points, scores, threshold))


def defect_count_at(loaded: LoadedResult, threshold: float | None, defects: Sequence[Defect]) -> int:
    """How many defects there are when `defects` are those that `defects_at` lists."""
    own = threshold is not None and threshold == loaded.point_threshold and loaded.defects is not None
    return loaded.defect_count if own else len(defects)


def box_edges(defects: Sequence[Defect]) -> Array:
    """The edges of the boxes around defects, (12 * len(defects), 2, 3) float64, ends in the scan's unit and pose."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    pairs = [(a, b) for a in range(8) for b in range(a + 1, 8) if np.abs(corners[a] - corners[b]).sum() == 1]
    boxes = [np.where(corners == 1, defect.high, defect.low)[np.array(pairs)] for defect in defects]
    return np.concatenate(boxes) if boxes else np.zeros((0, 2, 3))


def shown_points(count: int, scores: Array | None, limit: int) -> NDArray[np.intp]:
    """Which points of a big scan are drawn: all up to `limit`, else the highest scores and a draw from the rest.

    Args:
        count: points of the scan, N.
        scores: (N,), or None.
        limit: the most that are drawn.

    Returns:
        Indices, ascending, at most `limit`; the same for the same input.
    """
    if count <= limit:
        return np.arange(count)
    top = np.zeros(0, dtype=np.intp)
    if scores is not None:
        many = int(limit * _TOP_SHARE)
        ranked = np.nan_to_num(scores, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        top = np.argpartition(-ranked, many)[:many]
    rest = np.setdiff1d(np.arange(count), top, assume_unique=True)
    drawn = np.random.default_rng(0).choice(rest, limit - len(top), replace=False)
    return np.sort(np.concatenate([top, drawn]))


def brightness(normals: Array) -> Array:
    """How bright each point is under a light beside the viewer; its colour is multiplied with it.

    Args:
        normals: (N, 3) unit vectors, x right, y up, z towards the viewer; their signs do not count.

    Returns:
        (N,) from 0.55 to 1: colours are never brighter than the legend's.
    """
    return np.asarray(_AMBIENT + (1.0 - _AMBIENT) * np.abs(normals @ (_LIGHT / np.linalg.norm(_LIGHT))))


def spacing(points: Array) -> float:
    """How big a point must be to touch its neighbours: the median distance to the fourth nearest."""
    from scipy.spatial import cKDTree

    sample = points[np.linspace(0, len(points) - 1, min(len(points), 2000)).astype(np.intp)]
    distance, _ = cKDTree(points).query(sample, k=[min(5, len(points))])
    typical = float(np.median(distance))
    return typical if typical > 0.0 else 0.01


def verdict_line(loaded: LoadedResult) -> str:
    """Verdict, scores and number of points in one line: `NG, score 2.5, threshold 1, 1,500 points`."""
    words = [] if loaded.verdict is None else [loaded.verdict]
    for name, value in (("score", loaded.object_score), ("threshold", loaded.threshold)):
        if value is not None:
            words.append(f"{name} {value:.3g}")
    return ", ".join([*words, f"{len(loaded.cloud):,} points"])


def count_line(loaded: LoadedResult, threshold: float | None) -> str:
    """How much is above the threshold, of all points: `215 of 9,163 points above 0.0106`."""
    if loaded.scores is None or threshold is None:
        return "not scored"
    return f"{int(above(loaded, threshold).sum()):,} of {len(loaded.cloud):,} points above {threshold:.4g}"


def defect_line(number: int, defect: Defect, unit: str | None) -> str:
    """One defect of a list, counted from 1: `1 bulge: 30.9 x 30.8 x 13 mm, peak 0.0917`."""
    size = " x ".join(plain(extent, 3) for extent in defect.size)
    kind = f" {defect.kind}" if defect.kind else ""
    peak = "" if defect.peak_score is None else f", peak {defect.peak_score:.3g}"
    return f"{number}{kind}: {size}{f' {unit}' if unit else ''}{peak}"
