"""Pseudo-defects on a cloud of points: what a network learns from, with exact targets for every point.

Unlike `dusnet.synthesis.defects`, which damages dense surfaces with known outsides for the benchmark, this works
on any cloud that has normals of either sign, and tells for each damaged point where it lay before. The displacement
follows the local anisotropic kernels of AF3AD (ECCV 2026, arXiv 2606.29181), which extend the pseudo anomalies of
PO3AD (CVPR 2025); cracks, holes, cuts and steps are added, and nothing crosses a wall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from dusnet.errors import BadInput
from dusnet.geometry.neighbors import Neighbors
from dusnet.synthesis.cloud_patches import Bools, CloudSurface, Patch, Range, random_patch
from dusnet.synthesis.surface import Floats, Indices, bump, log_uniform, random_direction

Profile = Literal["cosine", "polynomial", "hard"]

KINDS = ("bulge", "dent", "ridge", "trench", "shear", "cut", "hole", "crack", "step")
SHARE = (0.002, 0.08)
"""Least and greatest share of the points that belongs to one defect."""

FEWEST_POINTS = 200  # of a cloud: a smaller one has no room for a defect
MASK_THRESHOLD = 0.15
"""Fraction of the amplitude above which a displaced point belongs to the defect."""

RIM = 1.5
"""Distance from removed material within which a point belongs to the defect, in point spacings."""

_TRIES = 8  # places that are tried for a defect


@dataclass(frozen=True)
class PseudoDefect:
    """A cloud with pseudo-defects.

    Attributes:
        points: the points that remain, displaced, (M, 3) float64.
        clean: where each of them lay before, (M, 3) float64; equal to `points` bit for bit where nothing moved.
        index: the row of each in the input, ascending, (M,) int64.
        mask: True for the points of the defect: displaced by more than `MASK_THRESHOLD` of the amplitude, or within
            `RIM` point spacings of removed material, (M,) bool.
        removed: the points that are gone, (N - M, 3) float64.
        kind: one of `KINDS`, or several joined by `+`.
    """

    points: Floats
    clean: Floats
    index: Indices
    mask: Bools
    removed: Floats
    kind: str


@dataclass(frozen=True)
class Footprint:
    """An ellipse in the tangent plane, and how the displacement falls off from its middle to its rim.

    Attributes:
        radii: semi-axes.
        profile: `cosine` is (1 + cos(pi t)) / 2, `polynomial` (1 - t^power)^2, `hard` 1; all are 0 for t >= 1.
        power: of the polynomial; the higher, the flatter the middle and the steeper the rim.
    """

    radii: Range
    profile: Profile = "cosine"
    power: float = 2.0

    def weights(self, along: Floats, across: Floats) -> Floats:
        """Falloff at places given by their coordinates along both axes, 1 in the middle, (M,) float64."""
        t = np.hypot(along / self.radii[0], across / self.radii[1])
        inside = np.minimum(t, 1.0)
        if self.profile == "cosine":
            value: Floats = 0.5 * (1.0 + np.cos(np.pi * inside))
        elif self.profile == "polynomial":
            value = bump(t, self.power)
        else:
            value = np.ones_like(t)
        return np.where(t < 1.0, value, 0.0)


@dataclass(frozen=True)
class _Cloud(CloudSurface):
    """The cloud, and how large its defects are; lengths of the settings are multiplied by `scale`."""

    scale: float
    radius: Range
    amplitude: Range

    def height(self, generator: np.random.Generator) -> float:
        return float(generator.uniform(*self.amplitude)) * self.scale

    def reach(self, generator: np.random.Generator, factor: float) -> float:
        return log_uniform(generator, *self.radius) * self.scale * factor


@dataclass(frozen=True)
class _Edit:
    """What one defect does to the whole cloud: (N, 3), (N,), (N,)."""

    shift: Floats
    removed: Bools
    mask: Bools

    @property
    def touched(self) -> Bools:
        moved: Bools = self.shift.any(axis=1) | self.removed | self.mask
        return moved


def pseudo_defects(
    points: Floats,
    normals: Floats,
    generator: np.random.Generator,
    *,
    count: int = 1,
    kind: str | Sequence[str] | None = None,
    radius: Range = (0.06, 0.30),
    amplitude: Range = (0.02, 0.10),
    scale: float = 1.0,
) -> PseudoDefect:
    """A cloud with pseudo-defects in random places that do not overlap.

    A displacement towards another sheet of the surface that is less than twice the amplitude away is never more than
    half the distance to that sheet, beyond which the nearest clean surface would be the wrong one.

    Args:
        points: clean cloud, (N, 3) float64, 200 points or more.
        normals: unit normals of either sign, (N, 3) float64.
        generator: the only source of randomness.
        count: how many; fewer where a small part has no place for them.
        kind: one of `KINDS`, or several of them to choose from at random; all where None.
        radius: smallest and largest reach of a defect from its middle, fractions of `scale`. Where the mask would hold
            less or more than `SHARE` of the points another place and reach are tried, and the reach may then leave
            this range.
        amplitude: smallest and largest displacement, fractions of `scale`, drawn uniformly.
        scale: bounding radius of the part in the unit of the points.

    Raises:
        BadInput: there is no such kind, or too few points.
    """
    kinds = KINDS if kind is None else (kind,) if isinstance(kind, str) else tuple(kind)
    for unknown in set(kinds) - set(KINDS):
        raise BadInput(f"There is no pseudo-defect {unknown!r}; use one of {', '.join(KINDS)}.")
    if len(points) < FEWEST_POINTS:
        raise BadInput(
            f"A cloud of {len(points)} points is too small for pseudo-defects; give {FEWEST_POINTS} or more."
        )
    surface = CloudSurface.of(points, normals)
    cloud = _Cloud(**vars(surface), scale=scale, radius=radius, amplitude=amplitude)
    made: list[str] = []
    nothing = np.zeros(len(points), dtype=bool)
    total = _Edit(np.zeros_like(cloud.points), nothing, nothing)
    for _ in range(count):
        for _ in range(_TRIES if made else 1):
            kind = kinds[int(generator.integers(len(kinds)))]
            edit = _fitting(cloud, kind, generator)
            if not (edit.touched & total.touched).any():
                total = _Edit(total.shift + edit.shift, total.removed | edit.removed, total.mask | edit.mask)
                made.append(kind)
                break
    index = np.flatnonzero(~total.removed).astype(np.int64)
    clean = cloud.points[index]
    removed = cloud.points[total.removed]
    return PseudoDefect(clean + total.shift[index], clean, index, total.mask[index], removed, "+".join(made))


def _fitting(cloud: _Cloud, kind: str, generator: np.random.Generator) -> _Edit:
    """The first of some draws whose mask has a fitting size, else the one that comes nearest."""
    least = max(SHARE[0], 5.0 / len(cloud.points))
    best, smallest, factor = None, np.inf, 1.0
    for _ in range(_TRIES):
        edit = _MAKERS[kind](cloud, generator, factor)
        share = float(edit.mask.sum()) / max(1.0, float((~edit.removed).sum()))
        excess = max(least / max(share, 1e-9), share / SHARE[1])
        if best is None or excess < smallest:
            best, smallest = edit, excess
        if excess <= 1.0:
            break
        wanted = 1.5 * least if share < least else 0.7 * SHARE[1]
        factor *= float(np.clip(np.sqrt(wanted / max(share, 1e-9)), 0.5, 2.0))
    assert best is not None
    return best


def _allowed(patch: Patch, height: float) -> float:
    """The signed height of a displacement along the outward normal, limited where another sheet is near."""
    room = patch.room[0] if height > 0 else patch.room[1]
    if room >= 2.0 * abs(height):
        return height
    return float(np.sign(height)) * min(abs(height), 0.5 * room)


def _footprint(generator: np.random.Generator, reach: float, slender: Range) -> Footprint:
    profile: Profile = ("cosine", "polynomial", "hard")[int(generator.choice(3, p=(0.4, 0.4, 0.2)))]
    power = float(generator.choice((1.0, 2.0, 4.0)))
    return Footprint((reach, reach / float(generator.uniform(*slender))), profile, power)


def _moved(cloud: _Cloud, patch: Patch, shift: Floats, height: float, hole: Bools | None = None) -> _Edit:
    """The edit that shifts the points of a patch by `shift` (M, 3) and removes those of `hole` (M,)."""
    whole = np.zeros_like(cloud.points)
    removed, mask = (np.zeros(len(whole), dtype=bool) for _ in range(2))
    whole[patch.index] = shift
    mask[patch.index] = np.linalg.norm(shift, axis=1) > MASK_THRESHOLD * abs(height)
    if hole is not None:
        removed[patch.index[hole]] = True
        whole[removed] = 0.0
        mask |= _rim(cloud, removed)
    return _Edit(whole, removed, mask & ~removed)


def _rim(cloud: _Cloud, removed: Bools) -> Bools:
    """The remaining points within `RIM` spacings of a removed one, (N,)."""
    rim = np.zeros(len(cloud.points), dtype=bool)
    gone = cloud.points[removed]
    if len(gone):
        margin = RIM * cloud.spacing
        near = ((cloud.points >= gone.min(axis=0) - margin) & (cloud.points <= gone.max(axis=0) + margin)).all(axis=1)
        candidates = np.flatnonzero(near & ~removed)
        rim[candidates] = Neighbors(gone).nearest(cloud.points[candidates])[0] < margin
    return rim


def _swell(cloud: _Cloud, generator: np.random.Generator, factor: float, *, slender: Range, sign: float) -> _Edit:
    """Bulge, dent, ridge, trench: displacement along the normals, of one sign."""
    footprint = _footprint(generator, cloud.reach(generator, factor), slender)
    patch = random_patch(cloud, generator, footprint.radii[0])
    height = _allowed(patch, sign * cloud.height(generator))
    directions = _directions(patch, float(generator.uniform(0.0, 0.6)))
    weights = footprint.weights(patch.along, patch.across) * patch.gate
    return _moved(cloud, patch, height * weights[:, None] * directions, height)


def _directions(patch: Patch, own: float) -> Floats:
    """Unit vectors between the mean normal of a patch (`own` 0) and every point's own (1), (M, 3)."""
    mixed = own * patch.normals + (1.0 - own) * patch.middle
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True))


def _step(cloud: _Cloud, generator: np.random.Generator, factor: float) -> _Edit:
    """One half of the footprint is offset; the edge between the halves is sharp."""
    footprint = _footprint(generator, cloud.reach(generator, factor), (1.0, 1.6))
    patch = random_patch(cloud, generator, footprint.radii[0])
    height = _allowed(patch, cloud.height(generator) * float(generator.choice((-1.0, 1.0))))
    weights = footprint.weights(patch.along, patch.across) * patch.gate * (patch.along >= 0.0)
    return _moved(cloud, patch, height * weights[:, None] * patch.middle, height)


def _shear(cloud: _Cloud, generator: np.random.Generator, factor: float) -> _Edit:
    """Displacement within the surface, along the longer axis of the footprint."""
    footprint = _footprint(generator, cloud.reach(generator, factor), (1.0, 2.0))
    patch = random_patch(cloud, generator, footprint.radii[0])
    height = cloud.height(generator)
    tangent = patch.axis - (patch.normals @ patch.axis)[:, None] * patch.normals
    weights = footprint.weights(patch.along, patch.across) * patch.gate
    return _moved(cloud, patch, height * weights[:, None] * tangent, height)


def _hole(cloud: _Cloud, generator: np.random.Generator, factor: float) -> _Edit:
    """Points are removed in a disc; the rim around it may be bent inwards or outwards."""
    reach = cloud.reach(generator, factor)
    footprint = _footprint(generator, reach, (1.0, 1.4))
    disc = float(generator.uniform(0.5, 0.8))
    patch = random_patch(cloud, generator, reach)
    t = np.hypot(patch.along / footprint.radii[0], patch.across / footprint.radii[1])
    hole = (t < disc) & (patch.gate > 0.0)
    height = _allowed(patch, cloud.height(generator) * float(generator.choice((-1.0, 0.0, 1.0))))
    weights = np.clip((1.0 - t) / (1.0 - disc), 0.0, 1.0) * patch.gate
    return _moved(cloud, patch, height * weights[:, None] * patch.middle, height, hole)


def _crack(cloud: _Cloud, generator: np.random.Generator, factor: float) -> _Edit:
    """A narrow wavy line along which points sink in or are gone; never thinner than one point spacing."""
    length = cloud.reach(generator, factor)
    width = max(float(generator.uniform(0.01, 0.03)) * cloud.scale, cloud.spacing)
    wave, phase = generator.uniform(0.0, 1.5) * width, generator.uniform(0.0, 2.0 * np.pi)
    patch = random_patch(cloud, generator, length)
    line = wave * (np.sin(2.5 * np.pi * patch.along / length + phase) - np.sin(phase))
    inside = (np.abs(patch.across - line) <= 0.5 * width) & (np.abs(patch.along) <= length) & (patch.gate > 0.0)
    height = _allowed(patch, -cloud.height(generator))
    if generator.random() < 0.5:
        return _moved(cloud, patch, np.zeros((len(patch.index), 3)), 0.0, inside)
    return _moved(cloud, patch, (height * inside * patch.gate)[:, None] * patch.middle, height)


def _cut(cloud: _Cloud, generator: np.random.Generator, factor: float) -> _Edit:
    """The end of the part in a random direction is cut off along a plane."""
    height = cloud.points @ random_direction(generator)
    share = min(0.2, factor**2 * log_uniform(generator, 0.005, 0.06))
    removed = height > np.quantile(height, 1.0 - share)
    return _Edit(np.zeros_like(cloud.points), removed, _rim(cloud, removed))


_MAKERS: dict[str, Callable[[_Cloud, np.random.Generator, float], _Edit]] = {
    "bulge": partial(_swell, slender=(1.0, 1.4), sign=1.0),
    "dent": partial(_swell, slender=(1.0, 1.4), sign=-1.0),
    "ridge": partial(_swell, slender=(2.5, 5.0), sign=1.0),
    "trench": partial(_swell, slender=(2.5, 5.0), sign=-1.0),
    "shear": _shear,
    "cut": _cut,
    "hole": _hole,
    "crack": _crack,
    "step": _step,
}
