"""Defects with exact ground truth per point, on any surface: what Anomaly-ShapeNet and Real3D-AD contain.

Lengths are fractions of the part's bounding radius; a point is ground truth where the surface moved by more than a
tenth of the defect's amplitude (a quarter for a bend), or where it borders on surface that is gone.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dusnet.errors import BadInput
from dusnet.geometry.neighbors import Neighbors
from dusnet.synthesis.surface import (
    Floats,
    Indices,
    LabelledSurface,
    bump,
    geodesic_distances,
    log_uniform,
    perpendicular,
    random_direction,
    refit_normals,
    smooth_normals,
)

Amplitude = tuple[float, float]
THIN_WALL = 0.1
"""Walls thinner than this fraction of the radius are pierced by a hole or crack."""
SMALLEST_SHARE = 0.006  # of the points that a defect has at least
LARGEST_SHARE = (0.07, 0.12)
"""Most points that are ground truth; the second value is for kinds that take or move a whole end of the part."""

Allowed = NDArray[np.intp] | None


@dataclass(frozen=True)
class _Site:
    """Where a defect comes and how large: on which points, around which of them, radius and amplitude in mm."""

    surface: LabelledSurface
    generator: np.random.Generator
    radius: float
    height: float
    seed: int

    def marks(self, index: Indices) -> NDArray[np.bool_]:
        """The labels of a surface of which these points are defective, (N,)."""
        labels = np.zeros(len(self.surface), dtype=bool)
        labels[index] = True
        return labels


def apply_defect(
    kind: str,
    surface: LabelledSurface,
    generator: np.random.Generator,
    *,
    radius: float,
    amplitude: Amplitude = (0.03, 0.10),
    allowed: Allowed = None,
) -> LabelledSurface:
    """The surface with one defect in a random place.

    Args:
        kind: one of `KINDS`.
        surface: dense clean surface, 10,000 points or more.
        generator: source of randomness.
        radius: bounding radius of the part, mm.
        amplitude: smallest and largest displacement, fractions of the radius; drawn uniformly.
        allowed: indices of the points that the middle of the defect may lie on; all where None.

    Returns:
        The surface with its labels. Hole, crack, broken and cut have lost points; the others have moved some.

    Raises:
        BadInput: there is no such kind.
    """
    require_kinds((kind,))
    candidates = np.arange(len(surface)) if allowed is None else allowed
    most = LARGEST_SHARE[kind in ("broken", "bending")]

    def draw() -> LabelledSurface:
        height = generator.uniform(*amplitude) * radius
        return _KINDS[kind](_Site(surface, generator, radius, height, int(generator.choice(candidates))))

    return within_share(draw, len(surface), SMALLEST_SHARE, most)


def within_share(draw: Callable[[], LabelledSurface], count: int, least: float, most: float) -> LabelledSurface:
    """The first of eight draws with a fitting share of ground truth, else the one that comes nearest.

    Args:
        draw: makes a damaged surface.
        count: points of the undamaged one; a draw that has lost more than 40 % of them never fits.
        least: smallest fitting share.
        most: largest fitting share.
    """
    best, best_excess = draw(), np.inf
    damaged = best
    for _ in range(8):
        share = float(damaged.labels.mean()) if len(damaged) > 0.6 * count else 0.0
        excess = max(least / max(share, 1e-6), share / most)
        if excess < best_excess:
            best, best_excess = damaged, excess
        if excess <= 1.0:
            break
        damaged = draw()
    return best


def _patch(site: _Site, share: float) -> tuple[Indices, Floats]:
    """The `share` of all points that is nearest to the seed along the surface, and their distances.

    A smaller patch comes back where the surface around the seed ends (a stud, a bolt head's wall).
    """
    wanted = round(share * len(site.surface))
    limit = 0.25 * site.radius
    for _ in range(7):  # the last distance is four radii
        region, distance = geodesic_distances(site.surface, site.seed, limit)
        if len(region) > wanted:
            break
        limit *= 1.6
    return region[: wanted + 1], distance[: wanted + 1]


def far_side(surface: LabelledSurface, region: Indices, depth: float) -> tuple[Indices, Indices]:
    """Points on the other side of a thin wall behind `region`.

    Args:
        surface: N points.
        region: indices of points on the near side, (M,) int64.
        depth: greatest thickness of the wall, mm.

    Returns:
        Indices of the far points, and for each the row of `region` that lies in front of it.
    """
    points = surface.points[region]
    middle = points.mean(axis=0)
    reach = float(np.linalg.norm(points - middle, axis=1).max()) + depth
    others = np.ones(len(surface), dtype=bool)
    others[region] = False
    others &= ((surface.points - middle) ** 2).sum(axis=1) <= reach**2
    far = np.flatnonzero(others)
    distance, row = Neighbors(points).nearest(surface.points[far])
    found = distance < depth
    far, row, distance = far[found], row[found], distance[found]
    normals = surface.normals[region[row]]
    behind = np.einsum("ij,ij->i", points[row] - surface.points[far], normals)
    facing = np.einsum("ij,ij->i", surface.normals[far], normals)
    keep = (behind > 0.7 * distance) & (facing < -0.5)
    return far[keep], row[keep]


def pushed(
    surface: LabelledSurface,
    region: Indices,
    weight: Floats,
    lift: float,
    smoothed: float,
    *,
    least: float = 0.1,
    thinner: float = 1.3,
) -> LabelledSurface:
    """The surface with a region moved along its smooth normal.

    A dent takes the far side of a thin wall along.

    Args:
        surface: N points.
        region: indices of the points that move, (M,) int64.
        weight: share of `lift` that each of them moves by, (M,), 0 to 1.
        lift: displacement at weight 1, mm; outwards where positive.
        smoothed: radius that the normals are averaged over, mm.
        least: points of a greater weight are ground truth.
        thinner: a wall is thin that is thinner than this many times the depth of the dent.
    """
    move = np.zeros_like(surface.points)
    move[region] = (lift * weight)[:, None] * smooth_normals(surface, region, smoothed)
    labels = np.zeros(len(surface), dtype=bool)
    labels[region[weight > least]] = True
    if lift < 0.0:
        far, row = far_side(surface, region, thinner * abs(lift))
        move[far] = move[region[row]]
        labels[far[weight[row] > least]] = True
    return refit_normals(surface.moved(move).marked(labels), region)


def _displaced(site: _Site, sign: float, flat: float, share: Amplitude) -> LabelledSurface:
    """Move a round patch along its smooth normal, outwards or inwards; the amplitude is zero at the rim."""
    target = log_uniform(site.generator, *share)
    # Labelled are weights above 0.1: (1 - t^flat)^2 > 0.1, so t < limit; areas go with t squared.
    limit = (1.0 - np.sqrt(0.1)) ** (1.0 / flat)
    region, distance = _patch(site, target / limit**2)
    rim = float(distance[-1])
    # A steep needle is no bump: a small patch gets a lower one.
    return pushed(site.surface, region, bump(distance / rim, flat), sign * min(site.height, 0.8 * rim), 0.35 * rim)


def polar(surface: LabelledSurface, region: Indices, distance: Floats, angle: float) -> tuple[Floats, Floats]:
    """Coordinates (along, across) on the surface: direction from the tangent plane, length along the surface."""
    normal = surface.normals[region[0]]
    first = perpendicular(normal)
    offset = surface.points[region] - surface.points[region[0]]
    turn = np.arctan2(offset @ np.cross(normal, first), offset @ first) - angle
    return distance * np.cos(turn), distance * np.sin(turn)


def _removed(site: _Site, gone: Indices, rim: Indices) -> LabelledSurface:
    """Take points away, through a thin wall too, and mark the rim on both sides."""
    removed, labels = site.marks(gone), site.marks(rim)
    far, row = far_side(site.surface, np.concatenate([gone, rim]), THIN_WALL * site.radius)
    removed[far[row < len(gone)]] = True
    labels[far[row >= len(gone)]] = True
    return site.surface.marked(labels).select(~removed)


def _hole(site: _Site) -> LabelledSurface:
    share = log_uniform(site.generator, 0.006, 0.02)
    ring = max(0.008, 0.5 * share)
    region, distance = _patch(site, 1.3 * share + ring)
    along, across = polar(site.surface, region, distance, 0.0)
    phases = site.generator.uniform(0.0, 2.0 * np.pi, size=2)
    angle = np.arctan2(across, along)
    outline = 1.0 + 0.12 * np.sin(2.0 * angle + phases[0]) + 0.06 * np.sin(5.0 * angle + phases[1])
    order = np.argsort(distance / outline, kind="stable")
    count, border = round(share * len(site.surface)), round((share + ring) * len(site.surface))
    return _removed(site, region[order[:count]], region[order[count:border]])


def _line(site: _Site, length: Amplitude, width: float) -> tuple[Indices, Floats]:
    """A wandering, tapering line on the surface.

    Returns:
        Indices of the points around it, and their distance from its middle line in half widths: 1 is its edge.
    """
    generator = site.generator
    half = 0.5 * site.radius * generator.uniform(*length)
    region, distance = geodesic_distances(site.surface, site.seed, half + 3.0 * width)
    along, across = polar(site.surface, region, distance, generator.uniform(0.0, np.pi))
    phases = generator.uniform(0.0, 2.0 * np.pi, size=2)
    t = along / half
    wander = half * (0.08 * (np.sin(3.0 * t + phases[0]) - np.sin(phases[0])) + 0.03 * np.sin(9.0 * t + phases[1]))
    taper = np.sqrt(np.clip(1.0 - t**2, 0.0, None))
    beyond = np.maximum(np.abs(t) - 1.0, 0.0) * half
    offset = np.abs(across - wander)
    return region, np.where(
        beyond > 0.0, 1.0 + np.hypot(offset, beyond) / width, offset / (width * np.maximum(taper, 0.25))
    )


def _crack(site: _Site) -> LabelledSurface:
    width = site.radius * site.generator.uniform(0.02, 0.035)
    region, offset = _line(site, (0.5, 0.9), width)
    order = np.argsort(offset, kind="stable")
    inside = int((offset < 1.0).sum())
    # The rim is as wide as the crack, and wide enough to be at least 0.8 % of the points.
    border = max(int((offset < 2.0).sum()), inside + round(0.008 * len(site.surface)))
    return _removed(site, region[order[:inside]], region[order[inside:border]])


def _scratch(site: _Site) -> LabelledSurface:
    width = site.radius * site.generator.uniform(0.03, 0.05)
    region, offset = _line(site, (0.9, 1.4), width)
    return pushed(site.surface, region, bump(offset, 2.0), -min(site.height, 1.5 * width), width)


def _bending(site: _Site) -> LabelledSurface:
    surface, generator, height = site.surface, site.generator, site.height
    center = surface.points.mean(axis=0)
    _, spread, axes = np.linalg.svd(surface.points - center, full_matrices=False)
    chosen = int(generator.choice(3, p=spread / spread.sum()))
    axis = axes[chosen] * generator.choice([-1.0, 1.0])
    turn = generator.uniform(0.0, 2.0 * np.pi)
    across = np.cos(turn) * axes[chosen - 1] + np.sin(turn) * axes[chosen - 2]
    along = (surface.points - center) @ axis
    top = float(along.max())
    marked = float(np.quantile(along, 1.0 - generator.uniform(0.03, 0.10)))
    # Displacement goes with the square of the distance from the plane: a quarter of it is reached half-way.
    plane = 2.0 * marked - top
    reach = np.clip((along - plane) / (top - plane), 0.0, None)
    slope = 2.0 * height * reach / (top - plane)
    normals = surface.normals - (slope * (surface.normals @ across))[:, None] * axis
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    bent = LabelledSurface(surface.points + (height * reach**2)[:, None] * across, normals, surface.labels)
    return bent.marked(reach > 0.5)


def _broken(site: _Site) -> LabelledSurface:
    """Without a solid to break: what lies beyond a plane is gone, and the border is marked."""
    along = site.surface.points @ random_direction(site.generator)
    share = site.generator.uniform(0.02, 0.07)
    gone, border = np.quantile(along, [1.0 - share, 1.0 - share - 0.012])
    return site.surface.marked(along > border).select(along <= gone)


def _cut(site: _Site) -> LabelledSurface:
    """Without a solid to saw: the points in a straight slot are gone, and its border is marked."""
    surface, generator, radius, seed = site.surface, site.generator, site.radius, site.seed
    normal = surface.normals[seed]
    along = perpendicular(normal, generator)
    across = np.cross(normal, along)
    local = (surface.points - surface.points[seed]) @ np.stack([along, across, normal], axis=1)
    size = radius * np.array([generator.uniform(0.25, 0.5), generator.uniform(0.02, 0.035), 0.0])
    size[2] = site.height + 0.03 * radius
    outside = np.linalg.norm(np.maximum(np.abs(local) - size, 0.0), axis=1)
    order = np.sort(outside[outside > 0.0])
    rim = max(0.02 * radius, float(order[round(0.006 * len(surface))]))
    return surface.marked(outside <= rim).select(outside > 0.0)


_KINDS: dict[str, Callable[[_Site], LabelledSurface]] = {
    "bulge": partial(_displaced, sign=1.0, flat=2.0, share=(0.008, 0.04)),
    "concavity": partial(_displaced, sign=-1.0, flat=4.0, share=(0.012, 0.035)),
    "hole": _hole,
    "crack": _crack,
    "broken": _broken,
    "bending": _bending,
    "sink": partial(_displaced, sign=-1.0, flat=2.0, share=(0.008, 0.03)),
    "cut": _cut,
    "scratch": _scratch,
}
KINDS = tuple(_KINDS)
"""Every kind of defect."""


def require_kinds(kinds: Sequence[str]) -> None:
    """Raise `BadInput` unless all of `kinds` exist."""
    for kind in kinds:
        if kind not in KINDS:
            near = difflib.get_close_matches(kind, KINDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(KINDS)}."
            raise BadInput(f"there is no kind of defect named {kind!r}; {hint}")
