"""Defects as Anomaly-ShapeNet has them: smooth bulges and dents, and openings that leave nothing but their rim.

The numbers come from two public records of the archive: the share of labelled points of its 712 defective scans, and
the distance of their points to the good surface (per-scan residual export of PASDF's public weights; its unit is turned
into bounding radii with 0.43 radii per unit, which single classes miss by up to a quarter).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.synthesis.defects import THIN_WALL, far_side, polar, pushed
from dusnet.synthesis.scanner import Reach
from dusnet.synthesis.surface import (
    Floats,
    Indices,
    LabelledSurface,
    bump,
    geodesic_distances,
    log_uniform,
    random_direction,
)

_LEVELS = np.array([-1.645, -0.674, 0.0, 0.674, 1.645])
"""Where a normal variable has its 5, 25, 50, 75 and 95 % quantiles."""
SHARES: dict[str, tuple[float, ...]] = {
    "bulge": (0.00988, 0.01569, 0.0278, 0.04385, 0.08747),
    "concavity": (0.00634, 0.01105, 0.01944, 0.03734, 0.07612),
    "scratch": (0.00286, 0.00647, 0.00879, 0.01282, 0.01934),
    "hole": (0.00079, 0.0025, 0.00467, 0.00624, 0.00906),
    "crack": (0.00089, 0.00378, 0.00488, 0.00708, 0.00806),
    "broken": (0.00104, 0.00195, 0.00327, 0.00577, 0.00679),
    "bending": (0.01422, 0.02745, 0.0321, 0.04127, 0.05191),
}
"""5, 25, 50, 75 and 95 % quantiles of the share of labelled points over the 280, 280, 45, 38, 25, 36 and 8 scans."""
EXTREMES: dict[str, tuple[float, float]] = {
    "bulge": (0.0033, 0.2363),
    "concavity": (0.0028, 0.1124),
    "scratch": (0.0016, 0.024),
    "hole": (0.00055, 0.0106),
    "crack": (0.00055, 0.0096),
    "broken": (0.00085, 0.0119),
    "bending": (0.0129, 0.053),
}
"""Smallest and largest share of the same scans."""
DEPTHS: dict[str, tuple[float, float, float]] = {
    "bulge": (0.038, 0.068, 0.145),
    "concavity": (0.026, 0.064, 0.130),
    "scratch": (0.016, 0.025, 0.047),
    "bending": (0.051, 0.110, 0.200),
}
"""5, 50 and 95 % quantiles of the largest distance to the good surface (231, 236, 40 and 8 scans without an offset)."""
_FARTHEST = 2.5
"""Standard deviations from the median that a depth has at most: bulges of .028 to .21 bounding radii."""
_TOGETHER = {"bulge": 0.65, "concavity": 0.65, "scratch": 0.24}
"""Correlation of the logarithms of share and depth over the same scans."""
_STEEPEST = 1.2
"""A dent is at most this many times as deep as its footprint's radius; the median flank falls 1 in 3."""
_THINNER = 2.5
"""A wall thinner than this many depths of a dent goes along with both of its sides. Otherwise what is dented would lie
nearer to the far side than to where it was, and dents would be much shallower than bulges; in the archive they are not.
"""
_SCRATCH = (0.5, 1.2)  # length of a scratch, bounding radii
_CRACK = (0.006, 0.012)  # half width of a crack, bounding radii
_RIM = (1.0, 2.0)
"""Width of the rim of missing material that is labelled, in mean point distances of a scan of full size."""
_OPENING = (0.02, 0.6)  # smallest and largest radius of an opening, bounding radii
_ROUNDS = 3  # of finding a size
_DRAWS = 12  # of a place, until one fits
_DRAWN = 40  # points of which the first that can be seen is taken
_DRAWN_EDGES = 300  # places of which the outermost twentieth counts as an edge
_EDGE = 0.12  # size of the surroundings of such a place, bounding radii
_MOST_GONE = 0.12  # of the points, that an opening takes
KINDS = tuple(SHARES)


@dataclass(frozen=True)
class Extent:
    """How much of a scan a defect is, and how deep.

    Attributes:
        share: of the points that are labelled.
        depth: largest displacement in bounding radii; 0 where material is missing.
    """

    share: float
    depth: float

    @classmethod
    def draw(cls, kind: str, generator: np.random.Generator) -> Extent:
        """One extent with the quantiles of a kind; deeper defects are larger."""
        first, second = generator.normal(size=2)
        levels = np.log(SHARES[kind])
        slope = np.diff(levels) / np.diff(_LEVELS)
        # Beyond the outer quantiles their slopes go on.
        logarithm = float(np.interp(first, _LEVELS, levels))
        logarithm += slope[0] * min(first - _LEVELS[0], 0.0) + slope[-1] * max(first - _LEVELS[-1], 0.0)
        share = float(np.clip(np.exp(logarithm), *EXTREMES[kind]))
        if kind not in DEPTHS:
            return cls(share, 0.0)
        together = _TOGETHER.get(kind, 0.0)
        second = together * first + np.sqrt(1.0 - together**2) * second
        low, median, high = DEPTHS[kind]
        steps = np.log(median / low) if second < 0.0 else np.log(high / median)
        second = float(np.clip(second, -_FARTHEST, _FARTHEST))
        return cls(share, float(median * np.exp(second * steps / _LEVELS[-1])))


def damaged(
    kind: str,
    surface: LabelledSurface,
    extent: Extent,
    generator: np.random.Generator,
    *,
    radius: float,
    spacing: float,
    reach: Reach | None = None,
) -> LabelledSurface:
    """The surface with one defect in a random place.

    Args:
        kind: one of `KINDS`.
        surface: dense clean surface of a closed part, both sides of its walls; 20,000 points or more.
        extent: its share and depth.
        generator: source of randomness.
        radius: bounding radius of the part.
        spacing: mean point distance of a scan of full size, the unit of the surface.
        reach: which places can be seen; a defect is put on one of them. None is all.

    Returns:
        The surface with its labels. Of hole, crack and broken points are missing and nothing else differs: their labels
        are on the good surface, one to two spacings around what is missing.
    """
    site = _Site(surface, extent, generator, radius, spacing * generator.uniform(*_RIM), reach)
    return _KINDS[kind](site)


@dataclass(frozen=True)
class _Site:
    """What a defect is made on; `rim` is the width of the labels around missing material."""

    surface: LabelledSurface
    extent: Extent
    generator: np.random.Generator
    radius: float
    rim: float
    reach: Reach | None = None

    @property
    def count(self) -> int:
        """Points that the defect shall label."""
        return max(1, round(self.extent.share * len(self.surface)))

    @property
    def area(self) -> float:
        """Of the footprint, on one side of a wall, were all of the surface as large as a sphere's; a first guess."""
        return self.extent.share * 16.0 * self.radius**2

    def seed(self) -> int:
        """A point drawn evenly from what can be seen of the surface."""
        drawn = self.generator.integers(len(self.surface), size=_DRAWN)
        return int(drawn[self.seen(drawn).argmax()])

    def seen(self, index: Indices) -> NDArray[np.bool_]:
        """Which points can be seen."""
        if self.reach is None:
            return np.ones(len(index), dtype=bool)
        return self.reach.sees(self.surface.points[index], self.surface.normals[index])

    def thin_seed(self) -> int:
        """A point drawn evenly from thin walls, where some of the first draws lie on one."""
        points, normals = self.surface.points, self.surface.normals
        for _ in range(_DRAWS):
            seed = self.seed()
            offset = points - points[seed]
            near = (offset**2).sum(axis=1) < (THIN_WALL * self.radius) ** 2
            behind = (offset[near] @ normals[seed] < 0.0) & (normals[near] @ normals[seed] < -0.7)
            if behind.any():
                break
        return seed

    def edge_seed(self) -> int:
        """A point where the surface ends or sticks out: its surroundings lie to one side of it."""
        tree = cKDTree(self.surface.points)
        drawn = self.generator.choice(len(self.surface), _DRAWN_EDGES, replace=False)
        seen = self.seen(drawn)
        drawn = drawn[seen] if seen.any() else drawn
        around = tree.query_ball_point(self.surface.points[drawn], _EDGE * self.radius)
        aside = [
            float(np.linalg.norm(self.surface.points[near].mean(axis=0) - self.surface.points[seed]))
            for near, seed in zip(around, drawn, strict=True)
        ]
        outermost = np.argsort(aside, kind="stable")[-(1 + len(drawn) // 20) :]
        return int(drawn[self.generator.choice(outermost)])


def _dent(site: _Site, sign: float) -> LabelledSurface:
    """A round patch moved by (1 - t^2)^2 of the depth, whose mean over the patch is a third of it."""
    surface, depth = site.surface, site.extent.depth * site.radius
    region, distance = _around(surface, site.seed(), 1.2 * np.sqrt(site.area / np.pi), site.count)
    size = _size(surface, region, distance, depth if sign < 0.0 else 0.0, site.count)
    inside = distance < size
    # The seed alone is no patch: where points are that few, the nearest ones go along.
    inside[:3] = True
    size = max(size, float(distance[inside].max()) * 1.01)
    depth = min(depth, _STEEPEST * size)
    return pushed(
        surface,
        region[inside],
        bump(distance[inside] / size, 2.0),
        sign * depth,
        0.35 * size,
        least=0.0,
        thinner=_THINNER,
    )


def _around(surface: LabelledSurface, seed: int, limit: float, count: int) -> tuple[Indices, Floats]:
    """At least `count` points around a seed along the surface, where it has that many."""
    for _ in range(6):
        region, distance = geodesic_distances(surface, seed, limit)
        if len(region) >= count:
            break
        limit *= 1.5
    return region, distance


def _size(surface: LabelledSurface, region: Indices, measure: Floats, depth: float, count: int) -> float:
    """Below which value of its measure a region has `count` points, with those that a dent of a depth takes along."""
    ordered = np.sort(measure[np.isfinite(measure)])
    inside = min(count, len(ordered) - 1)
    for _ in range(_ROUNDS if depth > 0.0 else 0):
        chosen = region[measure < ordered[inside]]
        if not len(chosen):
            break
        both = len(chosen) + len(far_side(surface, chosen, _THINNER * depth)[0])
        inside = min(max(1, round(inside * count / both)), len(ordered) - 1)
    return float(ordered[inside])


def _line(site: _Site, seed: int, half: float, reach: float) -> Callable[[float], tuple[Indices, Floats, Floats]]:
    """A wandering line around a point.

    Args:
        site: where.
        seed: index of the point.
        half: half of its largest length.
        reach: how far beside it points are wanted.

    Returns:
        For half of a length: indices of the points around, their distance from the line, and their position along it,
        -1 to 1 within.
    """
    surface, generator = site.surface, site.generator
    region, distance = geodesic_distances(surface, seed, half + reach)
    along, across = polar(surface, region, distance, generator.uniform(0.0, np.pi))
    phases = generator.uniform(0.0, 2.0 * np.pi, size=2)

    def measured(length: float) -> tuple[Indices, Floats, Floats]:
        t = along / half
        wander = half * (0.08 * (np.sin(3.0 * t + phases[0]) - np.sin(phases[0])) + 0.03 * np.sin(9.0 * t + phases[1]))
        beyond = np.maximum(np.abs(along) - length, 0.0)
        return region, np.hypot(across - wander, beyond), along / length

    return measured


def _scratch(site: _Site) -> LabelledSurface:
    """A groove that runs out at both ends; (1 - t^2)^2 across."""
    surface, depth = site.surface, site.extent.depth * site.radius
    half = 0.5 * site.radius * log_uniform(site.generator, *_SCRATCH)
    region, offset, position = _line(site, site.seed(), half, 0.25 * site.radius)(half)
    offset = np.where(np.abs(position) < 1.0, offset, np.inf)
    width = _size(surface, region, offset, depth, site.count)
    inside = offset < width
    if inside.sum() < 3:
        inside[np.argsort(offset, kind="stable")[:3]] = True
        width = float(offset[inside].max()) * 1.01
    weight = bump(offset[inside] / width, 2.0) * (1.0 - position[inside] ** 4)
    return pushed(surface, region[inside], weight, -depth, width, least=0.0, thinner=_THINNER)


def _bending(site: _Site) -> LabelledSurface:
    """An end of the part bends with the square of the distance from a plane, sideways where most of it gives way."""
    surface, generator, depth = site.surface, site.generator, site.extent.depth * site.radius
    ends = [_end(surface, random_direction(generator), site.extent.share) for _ in range(_DRAWS)]
    _, axis, across, plane = max(ends, key=lambda end: end[0])
    across = across * generator.choice([-1.0, 1.0])
    along = surface.points @ axis
    top = float(along.max())
    reach = np.clip((along - plane) / (top - plane), 0.0, None)
    bent = reach > 0.0
    slope = 2.0 * depth * reach / (top - plane)
    turned = surface.normals - (slope * (surface.normals @ across))[:, None] * axis
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    moved = surface.points + (depth * reach**2)[:, None] * across
    return LabelledSurface(moved, turned, surface.labels | bent)


def _end(surface: LabelledSurface, axis: Floats, share: float) -> tuple[float, Floats, Floats, float]:
    """The end of a part in a direction: how much it gives way, the direction, where it gives way most, its plane.

    That direction is the one across the axis in which the normals of the end have their largest mean square.
    """
    along = surface.points @ axis
    plane = float(np.quantile(along, 1.0 - share))
    normals = surface.normals[along > plane]
    normals = normals - np.outer(normals @ axis, axis)
    values, directions = np.linalg.eigh(normals.T @ normals / len(normals))
    return float(values[-1]), axis, directions[:, -1], plane


def _opened(site: _Site, index: Indices, measure: Floats, size: float) -> LabelledSurface:
    """Take away what has a measure below `size`; what follows within the rim is labelled."""
    gone, labels = np.zeros(len(site.surface), dtype=bool), np.zeros(len(site.surface), dtype=bool)
    gone[index[measure < size]] = True
    labels[index[(measure >= size) & (measure < size + site.rim)]] = True
    return site.surface.marked(labels & ~gone).select(~gone)


def _through(site: _Site, region: Indices, measure: Floats) -> tuple[Indices, Floats]:
    """A region and its measure, continued on the far side of a thin wall."""
    far, row = far_side(site.surface, region, THIN_WALL * site.radius)
    return np.concatenate([region, far]), np.concatenate([measure, measure[row]])


def _fitting(sizes: Floats, labelled: Callable[[float], float]) -> float:
    """The size whose number of labels comes nearest to what is wanted; `labelled` gives the error."""
    errors = np.array([labelled(float(size)) for size in sizes])
    return float(sizes[int(np.abs(errors).argmin())])


def _opening(site: _Site, index: Indices, measure: Floats) -> LabelledSurface:
    """The opening in a measure whose rim has the wanted number of points."""
    ordered = np.sort(measure)
    total = len(site.surface)

    def error(size: float) -> float:
        gone, last = np.searchsorted(ordered, [size, size + site.rim])
        return np.inf if gone > _MOST_GONE * total else float(last - gone) - site.extent.share * float(total - gone)

    sizes = np.geomspace(_OPENING[0], _OPENING[1], 80) * site.radius
    sizes = sizes[sizes + site.rim <= max(ordered[-1], (_OPENING[0] * site.radius + site.rim) * 1.001)]
    return _opened(site, index, measure, _fitting(sizes, error))


def _hole(site: _Site) -> LabelledSurface:
    """A round opening through a thin wall."""
    region, distance = _around(site.surface, site.thin_seed(), _OPENING[1] * site.radius, 1)
    along, across = polar(site.surface, region, distance, 0.0)
    angle, phases = np.arctan2(across, along), site.generator.uniform(0.0, 2.0 * np.pi, size=2)
    outline = 1.0 + 0.12 * np.sin(2.0 * angle + phases[0]) + 0.06 * np.sin(5.0 * angle + phases[1])
    return _opening(site, *_through(site, region, distance / outline))


def _crack(site: _Site) -> LabelledSurface:
    """A narrow, wandering slit through a thin wall, as long as its rim asks for."""
    width = site.radius * site.generator.uniform(*_CRACK)
    longest = _OPENING[1] * site.radius
    line = _line(site, site.thin_seed(), longest, width + site.rim)

    def points(length: float) -> tuple[Indices, Floats]:
        region, offset, _ = line(length)
        near = offset < width + site.rim
        return _through(site, region[near], offset[near])

    def error(length: float) -> float:
        _, offset = points(length)
        return float((offset >= width).sum()) - site.extent.share * float(len(site.surface) - (offset < width).sum())

    length = _fitting(np.geomspace(0.02, 1.0, 16) * longest, error)
    return _opened(site, *points(length), width)


def _broken(site: _Site) -> LabelledSurface:
    """A piece with a wavy border is gone from an edge of the part."""
    surface, generator = site.surface, site.generator
    corner = surface.points[site.edge_seed()]
    offset = surface.points - corner
    waves, phases = generator.normal(size=(4, 3)) * 1.5, generator.uniform(0.0, 2.0 * np.pi, size=4)
    distance = np.linalg.norm(offset, axis=1)
    rough = 1.0 + 0.04 * np.sin(offset @ waves.T / (0.25 * site.radius) + phases).sum(axis=1)
    return _opening(site, np.arange(len(surface)), distance / rough)


_KINDS: dict[str, Callable[[_Site], LabelledSurface]] = {
    "bulge": lambda site: _dent(site, 1.0),
    "concavity": lambda site: _dent(site, -1.0),
    "scratch": _scratch,
    "hole": _hole,
    "crack": _crack,
    "broken": _broken,
    "bending": _bending,
}
