"""A benchmark like Real3D-AD: small cast toys on a turntable, shallow defects, dense templates, every test scan twice.

Numbers are those of public records of the archive: its README (sizes and counts of points, list of files), per-scan
results of a public project on it (nihal4/ad3d), and nine thinned scans of its airplane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.spatial.transform import Rotation

from dusnet.cloud import PointCloud
from dusnet.io import Mesh
from dusnet.synthesis.blobs import Blob
from dusnet.synthesis.likeness.halves import of_half
from dusnet.synthesis.likeness.settings import LikenessSettings
from dusnet.synthesis.relief import Relief, grain
from dusnet.synthesis.scanner import random_pose
from dusnet.synthesis.specimens import GOOD, entropy, fingerprint, own_surfaces, remarks
from dusnet.synthesis.surface import Floats, log_uniform
from dusnet.synthesis.toys import TOYS
from dusnet.synthesis.turntable import TurntablePart
from dusnet.synthesis.variation import SmoothField, smooth_field
from dusnet.synthesis.writer import PlannedScan

KINDS = {"bulge": 0.621, "bulges": 0.086, "sink": 0.236, "sinks": 0.037, "hybrid": 0.02}
"""Kinds of defects and how often they are (list of files: 374, 52, 142, 22 and 12 of 602)."""
_TWIN = "_cut"
_GRAZING = 0.26
"""Cosine of the flattest angle at which the scanner measures."""
_NORMAL_AT = 0.7
"""Cosine from which on the noise is as said; at flatter angles it grows with its inverse."""
_GRAIN = 0.0018
"""Grain of a mesh of the user's own."""
_TABLE = 0.05
"""Lower share of the height that a half of a template lacks."""
_IN_SIGHT = 0.45
"""Exposure that the middle of a defect has at least."""
_LEAST_SEEN = 0.65
"""Of the surface above the resting plane, a scan shows at least this share (car: good scans show 65 to 70 % of what
defective ones show)."""
_FLAT = 0.4
"""Exposure below which points belong to the rim of a view."""
_CANDIDATES = 3.0
"""Random points per point of a scan, of which one per cell of the scanner's grid stays."""
_CELLS = 1.16
"""Cells of a cubic grid that a surface crosses per area of a cell's face and direction, after gaps: measured."""

_MOST = {
    "spacing": 0.05,
    "density_ratio": 100.0,
    "noise": 0.05,
    "absent": 0.9,
    "depth": 0.5,
    "rise": 10.0,
    "length": 2.0,
    "length_factor": 10.0,
    "trimmed": 0.9,
}
"""Settings of two ascending numbers, and the highest that makes sense."""


class Real3dAdLike(LikenessSettings):
    """Everything that decides what a benchmark like Real3D-AD holds; lengths are fractions of the bounding radius."""

    parts: tuple[str, ...] = Field(default=tuple(TOYS), description="names from `toys.TOYS`; the half leaves out some")
    templates: int = Field(default=4, ge=1, description="training scans per class (list of files)")
    good: int = Field(default=25, ge=1, description="good parts in the test per class (list of files)")
    defective: int = Field(default=25, ge=1, description="defective parts in the test per class (list of files)")
    paired: bool = Field(
        default=True, description="every test scan once more with its rim trimmed (1206 tests are 603 scans)"
    )
    spacing: tuple[float, float] = Field(
        default=(0.003, 0.006), description="point distance of test scans by class (area over points)"
    )
    density_ratio: tuple[float, float] = Field(
        default=(0.6, 13.0),
        description="points per area of templates over those of tests, by class (README of the archive)",
    )
    density_spread: float = Field(
        default=10.0, ge=1, description="largest ratio between the densities of one class (README of the archive)"
    )
    noise: tuple[float, float] = Field(
        default=(0.0007, 0.001), description="standard deviation by class (point accuracy .011-.015 mm)"
    )
    flying: float = Field(
        default=0.0, ge=0, le=0.1, description="share of the points at the rim of a view that lie beside the surface"
    )
    seam: float = Field(
        default=0.003, ge=0, le=0.05, description="how far the two halves of a template are misplaced (joined by hand)"
    )
    scale_error: float = Field(default=0.0, ge=0, le=0.02, description="standard deviation of the scale of a scan")
    relief: float = Field(
        default=1.0, ge=0, le=10, description="factor of the relief; 1 is as uneven as nine airplanes, thinned to 1 mm"
    )
    variation: float = Field(
        default=0.005, ge=0, le=0.1, description="largest smooth displacement of a good part (no record says it)"
    )
    absent: tuple[float, float] = Field(
        default=(0.2, 0.5), description="lower share of the height that a test scan lacks (nine airplanes: .19-.54)"
    )
    biased: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="share of classes whose good scans show less (per-scan counts: car, diamond)",
    )
    trimmed: tuple[float, float] = Field(
        default=(0.02, 0.12),
        description="median and largest share of points that a second scan lacks (per-scan counts)",
    )
    relabelled: float = Field(
        default=0.3, ge=0, lt=1, description="largest change of the labelled area in a second scan (per-scan counts)"
    )
    depth: tuple[float, float] = Field(
        default=(0.005, 0.09), description="smallest and largest of defects (nine airplanes)"
    )
    rise: tuple[float, float] = Field(
        default=(0.1, 0.6), description="depth over half of the length, log-uniform (nine airplanes)"
    )
    inward: float = Field(
        default=0.6, gt=0, le=1, description="depth of what was taken off over that of what was put on"
    )
    length: tuple[float, float] = Field(default=(0.04, 0.33), description="of defects, log-uniform (nine airplanes)")
    length_factor: tuple[float, float] = Field(
        default=(1.3, 2.6), description="of the lengths by class (median shares by class are 1.1 to 5.3 %)"
    )
    roughness: float = Field(
        default=0.2, ge=0, le=1, description="unevenness of defects, of their depth (no record says it)"
    )
    most_points: int = Field(default=1_500_000, ge=1000, description="no scan has more")

    @model_validator(mode="after")
    def _consistent(self) -> Real3dAdLike:
        for name, most in _MOST.items():
            low, high = getattr(self, name)
            if not 0.0 < low <= high <= most:
                raise ValueError(f"{name} must be two ascending numbers above 0 and up to {most:g}, got {(low, high)}")
        unknown = sorted({*self.parts} - {*TOYS})
        if unknown:
            raise ValueError(f"there is no toy named {unknown[0]!r}; choose from {', '.join(TOYS)}")
        if not of_half(self.parts, self.half) and not self.meshes:
            raise ValueError(f"no class is left in the half {self.half!r}; name other parts, or a mesh")
        return self


SMALL: dict[str, Any] = {
    "good": 4,
    "defective": 6,
    "spacing": (0.008, 0.009),
    "density_ratio": (0.6, 2.5),
    "density_spread": 3.0,
}
"""A copy that still leaves one point per 1 % of the radius everywhere, in a fortieth of the space."""


@dataclass(frozen=True)
class _Class:
    """What the scans of one class have in common.

    Attributes:
        name: of the class.
        part: the body on the turntable.
        relief: what is finer.
        spacing: point distance of its tests on average, mm.
        ratio: points per area of its templates over those of its tests, on average.
        spread: largest ratio between densities of two scans.
        noise: mm.
        absent: by resting side, share of the height that is not there.
        most_absent: by resting side, the most that it can be.
        resting: chance of side 0, of good and of defective scans.
        hidden: further share of the height that is absent of good scans.
        length: factor of the lengths of its defects.
        surface: fingerprint of the nominal surface.
    """

    name: str
    part: TurntablePart
    relief: Relief
    spacing: float
    ratio: float
    spread: float
    noise: float
    absent: tuple[float, float]
    most_absent: tuple[float, float]
    resting: tuple[float, float]
    hidden: float
    length: float
    surface: str


@dataclass(frozen=True)
class _View:
    """What the scanner measures of a nominal body: places on it, before relief, defects and noise.

    Attributes:
        points: (N, 3) mm.
        normals: (N, 3).
        exposure: cosine towards the best camera, (N,).
        height: above the resting plane, fraction of the part's height, (N,).
    """

    points: Floats
    normals: Floats
    exposure: Floats
    height: Floats

    def select(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> _View:
        return _View(self.points[index], self.normals[index], self.exposure[index], self.height[index])


class Real3dAdPlan:
    """The content of a benchmark like Real3D-AD; a `Plan`.

    Args:
        settings: what to make.

    Raises:
        BadInput: a mesh cannot be used, or two classes have the same name.
    """

    delimiter = " "

    def __init__(self, settings: Real3dAdLike) -> None:
        self.settings = settings
        self._notes: list[str] = []
        self._parts: dict[str, Callable[[], tuple[Mesh, Relief]]] = {
            name: partial(_toy, name) for name in of_half(settings.parts, settings.half)
        }
        own = zip(settings.meshes, own_surfaces(settings.meshes, TOYS).items(), strict=True)
        for path, (name, outer) in own:
            self._notes += remarks(outer, path.name)
            self._parts[name] = partial(_own, outer.mesh, entropy(settings.seed, name, "relief", 0)[1])
        self._class = cache(self._made_class)

    def notes(self) -> list[str]:
        """What everybody who uses the classes should know."""
        return self._notes

    def classes(self) -> dict[str, dict[str, Any]]:
        """Radius and spacing in mm, and a fingerprint of the surface, by name."""
        found = {}
        for name in self._parts:
            made = self._class(name)
            found[name] = {
                "radius_mm": made.part.radius,
                "spacing_mm": made.spacing,
                "surface": made.surface,
            }
        return found

    def scans(self) -> list[PlannedScan]:
        """All scans in the names of the archive; twins behind each other."""
        return [scan for name in self._parts for scan in self._scans_of(name)]

    def _scans_of(self, name: str) -> Iterator[PlannedScan]:
        folder, number = Path(name), 0
        own = self.settings
        splits = [("train", GOOD, own.templates), ("test", GOOD, own.good)]
        splits += [("test", kind, count) for kind, count in _shared_out(own.defective).items()]
        for split, kind, count in splits:
            for index in range(count):
                number += 1
                stem = f"{number}_{'template' if split == 'train' else kind}"
                source = entropy(own.seed, name, "train" if split == "train" else kind, index)
                for suffix in ("", _TWIN) if own.paired and split == "test" else ("",):
                    truth = None if kind == GOOD else folder / "gt" / f"{stem}{suffix}.txt"
                    file = folder / split / f"{stem}{suffix}.pcd"
                    yield PlannedScan(name, split, kind, index, file, truth, (*source, 1) if suffix else source)

    def make(self, scan: PlannedScan) -> PointCloud:
        """One scan with its labels, in mm."""
        part, source = self._class(scan.class_name), scan.entropy[:4]
        generator = np.random.default_rng(source)
        if scan.split == "train":
            return self._template(part, generator)
        return self._test(part, scan.kind, generator, twin=None if scan.entropy == source else scan.entropy)

    def _made_class(self, name: str) -> _Class:
        mesh, relief = self._parts[name]()
        own, generator = self.settings, np.random.default_rng(entropy(self.settings.seed, name, "class", 0))
        part = TurntablePart.of(mesh)
        biased = generator.uniform() < own.biased
        mix = generator.uniform(0.3, 0.7)
        return _Class(
            name=name,
            part=part,
            relief=relief,
            spacing=log_uniform(generator, *own.spacing) * part.radius,
            ratio=log_uniform(generator, *own.density_ratio),
            spread=own.density_spread ** generator.uniform() ** 2,
            noise=generator.uniform(*own.noise) * part.radius,
            absent=(generator.uniform(*own.absent), generator.uniform(*own.absent)),
            most_absent=(_most_absent(part, 0), _most_absent(part, 1)),
            resting=(0.9, 0.2) if biased else (mix, mix),
            hidden=generator.uniform(0.1, 0.25) if biased else 0.0,
            length=generator.uniform(*own.length_factor),
            surface=fingerprint(mesh),
        )

    def _template(self, part: _Class, generator: np.random.Generator) -> PointCloud:
        """Both sides of a part, each measured like a test scan, joined a little beside their right places."""
        own, body = self.settings, part.part
        density = part.ratio * part.spread ** (generator.uniform() - 0.5)
        spacing = max(part.spacing / np.sqrt(density), np.sqrt(2.0 * body.areas().sum() / own.most_points))
        views = [_view(part, generator, side, spacing, absent=_TABLE) for side in (0, 1)]
        field = smooth_field(generator, body.corners[:, 0], own.variation * body.radius)
        halves = []
        for at, view in enumerate(views):
            points = self._measured(part, view, field, (), generator)
            if at:
                points = _misplaced(points, body, own.seam, generator)
            halves.append(points)
        points = np.vstack(halves)
        return PointCloud(_placed(points, body, own.scale_error, generator), labels=np.zeros(len(points), dtype=bool))

    def _test(
        self, part: _Class, kind: str, generator: np.random.Generator, twin: tuple[int, ...] | None
    ) -> PointCloud:
        own, body = self.settings, part.part
        side = 0 if generator.uniform() < part.resting[kind != GOOD] else 1
        absent = part.absent[side] + generator.uniform(-0.02, 0.02) + (part.hidden if kind == GOOD else 0.0)
        absent = min(absent, part.most_absent[side])
        density = part.spread ** (generator.uniform() - 0.5)
        spacing = max(part.spacing / np.sqrt(density), np.sqrt(body.areas().sum() / own.most_points))
        view = _view(part, generator, side, spacing, absent=absent)
        field = smooth_field(generator, body.corners[:, 0], own.variation * body.radius)
        blobs = self._blobs(part, kind, view, generator)
        points = self._measured(part, view, field, blobs, generator)
        points = _placed(points, body, own.scale_error, generator)
        order = generator.permutation(len(points))
        grown = 1.0
        if twin is not None:
            other = np.random.default_rng(twin)
            grown = other.uniform(1.0 - own.relabelled, 1.0 + own.relabelled)
            order = order[_untrimmed(view, body.up[side], other, own.trimmed)[order]]
        labels = np.zeros(len(points), dtype=bool)
        for blob in blobs:
            labels |= blob.marked(view.points, view.normals, grown=grown)
        return PointCloud(points[order], labels=labels[order])

    def _blobs(self, part: _Class, kind: str, view: _View, generator: np.random.Generator) -> tuple[Blob, ...]:
        """The defects of one scan, each with a fair part of it in sight."""
        own, radius = self.settings, part.part.radius
        signs = {
            "good": (),
            "bulge": (1,),
            "sink": (-1,),
            "hybrid": (1, -1),
            "bulges": (1,) * int(generator.integers(2, 4)),
            "sinks": (-1,) * int(generator.integers(2, 4)),
        }[kind]
        candidates = np.flatnonzero(view.exposure > _IN_SIGHT)
        blobs = []
        for sign in signs:
            length = log_uniform(generator, *own.length)
            depth = float(np.clip(log_uniform(generator, *own.rise) * length / 2.0, *own.depth))
            depth *= sign * (1.0 if sign > 0 else own.inward)
            at = int(generator.choice(candidates))
            blobs.append(
                Blob.draw(
                    generator,
                    view.points[at],
                    view.normals[at],
                    radius=radius,
                    length=length * part.length * radius,
                    depth=depth * radius,
                    roughness=own.roughness,
                )
            )
        return tuple(blobs)

    def _measured(
        self, part: _Class, view: _View, field: SmoothField, blobs: tuple[Blob, ...], generator: np.random.Generator
    ) -> Floats:
        """Points of a specimen as the scanner gives them, (N, 3) mm in the frame of the nominal body."""
        body = part.part
        height = self.settings.relief * body.radius * part.relief.heights((view.points - body.center) / body.radius)
        for blob in blobs:
            weight = blob.weight(view.points, view.normals)
            near = weight > 0.0
            # Material that was put on or taken off has no relief of the mould.
            height[near] *= 1.0 - weight[near]
            height[near] += blob.heights(view.points[near], weight[near])
        points = view.points + height[:, None] * view.normals + field.displacement(view.points)
        blur = part.noise * np.maximum(1.0, _NORMAL_AT / view.exposure)
        points = points + generator.normal(size=points.shape) * blur[:, None]
        flying = np.flatnonzero((view.exposure < _FLAT) & (generator.uniform(size=len(points)) < self.settings.flying))
        points[flying] += generator.uniform(-0.02, 0.02, size=(len(flying), 1)) * body.radius * view.normals[flying]
        return points


def _toy(name: str) -> tuple[Mesh, Relief]:
    toy = TOYS[name]()
    return toy.mesh(), toy.relief


def _own(mesh: Mesh, number: int) -> tuple[Mesh, Relief]:
    """A mesh of the user's own gets the grain of a cast surface."""
    return mesh, grain(number, _GRAIN)


def _most_absent(part: TurntablePart, side: int) -> float:
    """The share of the height below which `_LEAST_SEEN` of what the ring sees still lies above."""
    faces = part.seen_faces((side,), _GRAZING)
    rise = part.corners @ part.up[side]
    height = (rise[faces].mean(axis=1) - rise.min()) / np.ptp(rise)
    order = np.argsort(height)
    area = np.cumsum(part.areas()[faces][order])
    return float(height[order][np.searchsorted(area, (1.0 - _LEAST_SEEN) * area[-1])])


def _shared_out(count: int) -> dict[str, int]:
    """How many of `count` defective scans are of each kind: shares of the archive, by largest remainder."""
    exact = {kind: share * count for kind, share in KINDS.items()}
    found = {kind: int(value) for kind, value in exact.items()}
    left = sorted(exact, key=lambda kind: found[kind] - exact[kind])
    for kind in left[: count - sum(found.values())]:
        found[kind] += 1
    return found


def _view(part: _Class, generator: np.random.Generator, side: int, spacing: float, *, absent: float) -> _View:
    """Places that are measured of a body lying on one side, one per cell of the scanner's grid."""
    body = part.part
    faces = body.seen_faces((side,), _GRAZING)
    corners = body.corners[faces]
    areas = body.areas()[faces]
    total = np.cumsum(areas)
    count = round(_CANDIDATES * float(total[-1]) / spacing**2)
    chosen = np.minimum(np.searchsorted(total, generator.random(count) * total[-1], side="right"), len(faces) - 1)
    weights = generator.random((count, 2))
    weights = np.where(weights.sum(axis=1, keepdims=True) > 1.0, 1.0 - weights, weights)
    weights = np.column_stack([1.0 - weights.sum(axis=1), weights])
    exposure = np.einsum("nk,nk->n", weights, body.exposure[side, faces][chosen])
    points = np.einsum("nk,nki->ni", weights, corners[chosen])
    rise = body.corners.reshape(-1, 3) @ body.up[side]
    height = (points @ body.up[side] - rise.min()) / np.ptp(rise)
    seen = (exposure >= _GRAZING) & (height >= absent)
    chosen, weights = chosen[seen], weights[seen]
    normals = np.einsum("nk,nki->ni", weights, body.normals[faces][chosen])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    view = _View(points[seen], normals, exposure[seen], height[seen])
    return view.select(_one_per_cell(view.points, spacing * np.sqrt(_CELLS), generator))


def _one_per_cell(points: Floats, cell: float, generator: np.random.Generator) -> NDArray[np.intp]:
    """The first point in each cell of a randomly turned and shifted grid; the points are in random order."""
    turned = points @ Rotation.random(rng=generator).as_matrix() / cell + generator.uniform(size=3)
    index = np.floor(turned - turned.min(axis=0)).astype(np.int64)
    size = index.max(axis=0) + 1
    key = (index[:, 0] * size[1] + index[:, 1]) * size[2] + index[:, 2]
    return np.sort(np.unique(key, return_index=True)[1])


def _misplaced(points: Floats, body: TurntablePart, seam: float, generator: np.random.Generator) -> Floats:
    """A half of a template, moved and turned by about `seam` bounding radii."""
    turn = Rotation.from_rotvec(generator.normal(size=3) * seam / np.sqrt(3.0)).as_matrix()
    shift = generator.normal(size=3) * seam * body.radius / np.sqrt(3.0)
    return np.asarray((points - body.center) @ turn.T + body.center + shift)


def _placed(points: Floats, body: TurntablePart, scale_error: float, generator: np.random.Generator) -> Floats:
    """Points in any pose."""
    pose = random_pose("any", generator, body.radius)
    factor = 1.0 + scale_error * generator.normal()
    return np.asarray(factor * (points - body.center) @ pose[:3, :3].T + body.center + pose[:3, 3])


def _untrimmed(
    view: _View, up: Floats, generator: np.random.Generator, trimmed: tuple[float, float]
) -> NDArray[np.bool_]:
    """Mask of what is left after a slanting cut along the rim, (N,)."""
    share = min(trimmed[0] * float(np.exp(0.8 * generator.normal())), trimmed[1])
    slope = np.cross(up, generator.normal(size=3)) * generator.uniform(0.0, 0.5)
    height = view.points @ (up + slope)
    return np.asarray(height >= np.quantile(height, share))
