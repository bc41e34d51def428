"""A dataset like Anomaly-ShapeNet: thin shells that do not vary, even sampling, smooth dents, rims without faces.

Every number has its source beside it: *export* is the per-scan residual export of PASDF's public weights over the 600
good and 712 defective scans of the archive (ChristineBobby/pcd-anomaly-detection), *alignment* the registration of 180
good scans in a public project (nihal4/ad3d), *counts* the statistics of the 1472 clouds beside the export.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.spatial.transform import Rotation

from dusnet.cloud import Frame, PointCloud
from dusnet.io import Mesh, sample_mesh
from dusnet.synthesis.fractures import surface_area
from dusnet.synthesis.likeness.archive_defects import Extent, damaged
from dusnet.synthesis.likeness.halves import of_half
from dusnet.synthesis.likeness.household import THINGS, thing
from dusnet.synthesis.likeness.settings import LikenessSettings
from dusnet.synthesis.scanner import Reach, thin_out
from dusnet.synthesis.solids import as_solid
from dusnet.synthesis.specimens import GOOD, entropy, fingerprint, own_surfaces, remarks
from dusnet.synthesis.surface import Floats, LabelledSurface
from dusnet.synthesis.variation import smooth_field
from dusnet.synthesis.writer import PlannedScan

_RARE = ("scratch", "hole", "broken", "crack", "bending")
_ROWS: tuple[tuple[int, int, int, int, int], ...] = (
    *14 * [(0, 0, 0, 0, 0)],
    *6 * [(2, 2, 2, 2, 0)],
    *5 * [(4, 0, 0, 0, 0)],
    *3 * [(0, 2, 2, 0, 1)],
    *2 * [(2, 2, 2, 2, 1)],
    *2 * [(1, 2, 2, 2, 0)],
    *2 * [(0, 2, 2, 0, 0)],
    (0, 2, 2, 1, 0),
    (3, 2, 0, 2, 0),
    (1, 2, 2, 0, 0),
    (0, 0, 0, 0, 1),
    (1, 2, 2, 2, 2),
    (2, 0, 0, 0, 0),
)
"""Test scans of the kinds in `_RARE` in the 40 classes of the archive (list of its files)."""
_ARRANGED = {
    "bottle1": (0, 2, 2, 1, 0),
    "bowl0": (4, 0, 0, 0, 0),
    "bowl1": (4, 0, 0, 0, 0),
    "bowl2": (1, 2, 2, 0, 0),
    "bucket0": (1, 2, 2, 2, 0),
    "cap0": (0, 2, 2, 0, 0),
    "cap1": (0, 2, 2, 0, 1),
    "headset0": (0, 0, 0, 0, 1),
    "helmet0": (1, 2, 2, 2, 2),
    "helmet1": (2, 2, 2, 2, 1),
    "shelf0": (2, 2, 2, 2, 1),
    "tap0": (2, 2, 2, 2, 0),
    "tap1": (0, 2, 2, 0, 0),
    "tray0": (3, 2, 0, 2, 0),
    "vase0": (2, 0, 0, 0, 0),
    "vase2": (2, 2, 2, 2, 0),
}
"""Those of the classes here; the others have bulges and concavities only, own meshes one of `_ROWS` by their name."""
_POINTS = (20_000, 85_000)
"""Number of points of a class: means of 20k to 90k with a mean of 57k (counts; alignment)."""
_CANDIDATES = 4  # random points per point of a scan
_LEAST_CANDIDATES = 40_000  # a rim must have points in a small copy, too
_GAP = 0.675
"""Smallest distance of even points over the root of the area per point: four candidates per point fill up to it."""
_ATTEMPTS = 50  # draws of the points of a defective scan, until one of them is labelled
_REACH_POINTS = 4000  # samples of a surface that are looked at
_FARTHEST = 0.1
"""Farthest that a scan lies beside the surface, or deviates: beyond it another thing would be scanned."""
SMALL = {"points": 3000, "templates": 2, "good": 3, "common": 1, "rare": 1}
"""What a small copy sets: a few minutes for all classes on one core."""


class AnomalyShapenetLike(LikenessSettings):
    """Everything that decides the content of a dataset like Anomaly-ShapeNet.

    Lengths are fractions of the bounding radius. Good parts do not vary: the bound on it is 0.0005 (export, mean
    residual of the best classes).
    """

    templates: int = Field(default=4, ge=1, le=1000, description="training scans per class (list of files)")
    good: int = Field(default=15, ge=1, le=1000, description="good test scans per class (list of files)")
    common: int = Field(
        default=7, ge=0, le=1000, description="bulges, and as many concavities, per class (list of files)"
    )
    rare: int = Field(default=4, ge=0, le=4, description="most scans of any other kind per class (list of files)")
    points: int | None = Field(
        default=None,
        ge=1000,
        le=200_000,
        description="of a scan; None: 20,000 to 85,000, one number per class (counts); the thinned copy has 16384",
    )
    noise: float = Field(default=0.0002, ge=0, le=0.01, description="standard deviation (export: at most 0.0005)")
    test_pose: Literal["shared", "any"] = Field(
        default="shared",
        description="test scans of a class share one rotation, or have any; templates have any (export, unregistered)",
    )
    offset: float = Field(
        default=0.037, ge=0, le=1, description="share of the scans that lie beside the surface (export: 49 of 1312)"
    )
    offset_templates: float = Field(
        default=0.1, ge=0, le=1, description="share of the classes with one such template (alignment: 4 of 40)"
    )
    offset_size: tuple[float, float] = Field(
        default=(0.004, 0.007),
        description="how far they lie outside everywhere (alignment: 0.4 to 0.7 % of the radius)",
    )
    deviating: float = Field(default=0.01, ge=0, le=1, description="share of good scans of another mesh (export)")
    deviating_size: tuple[float, float] = Field(
        default=(0.01, 0.02), description="mean distance of such a mesh (export: 1.2 to 2.5 % in three classes)"
    )

    @model_validator(mode="after")
    def _consistent(self) -> AnomalyShapenetLike:
        for name in ("offset_size", "deviating_size"):
            low, high = getattr(self, name)
            if not 0.0 < low <= high <= _FARTHEST:
                raise ValueError(
                    f"{name} must be two ascending numbers above 0 and up to {_FARTHEST:g}, got {(low, high)}"
                )
        return self


@dataclass(frozen=True)
class Shell:
    """A class: its surface, whose bounding box has a diagonal of 1 and the origin in its middle, as in the archive.

    Attributes:
        mesh: closed, or whatever the user gave.
        radius: its bounding radius.
        area: of its surface, both sides of its walls.
        points: of a scan of full size.
        rare: test scans of the kinds that not all classes have.
        notes: what everybody who uses it should know.
    """

    mesh: Mesh
    radius: float
    area: float
    points: int
    rare: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, mesh: Mesh, notes: tuple[str, ...] = ()) -> Shell:
        """A mesh as a class; its number of points and its kinds of defects follow from its name."""
        used = mesh.vertices[np.unique(mesh.faces)]
        low, high = used.min(axis=0), used.max(axis=0)
        vertices = (mesh.vertices - (low + high) / 2.0) / float(np.linalg.norm(high - low))
        placed = replace(mesh, vertices=vertices)
        own = np.random.default_rng(entropy(0, name, "class", 0))
        points = round(own.uniform(*_POINTS))
        row = _ROWS[int(own.integers(len(_ROWS)))] if name not in THINGS else _ARRANGED.get(name, 5 * (0,))
        radius = Frame.of(vertices[np.unique(mesh.faces)]).scale
        return cls(placed, radius, surface_area(placed), points, row, notes)

    @cached_property
    def reach(self) -> Reach:
        """Which of its places can be seen from outside; that is where people put defects."""
        samples = LabelledSurface.clean(*sample_mesh(self.mesh, _REACH_POINTS, np.random.default_rng(0)))
        return Reach.of(samples, closed=as_solid(self.mesh) is not None)

    @property
    def spacing(self) -> float:
        """Root of the area per point of a scan of full size."""
        return float(np.sqrt(self.area / self.points))


@cache
def _shell(name: str) -> Shell:
    return Shell.of(name, thing(name))


@dataclass(frozen=True)
class _Oddity:
    """In what a scan differs as a whole: offset outwards, and mean distance of a deviating mesh; bounding radii."""

    offset: float = 0.0
    deviation: float = 0.0


class AnomalyShapenetPlan:
    """The content of a dataset like Anomaly-ShapeNet."""

    delimiter = ","

    def __init__(self, settings: AnomalyShapenetLike) -> None:
        self.settings = settings

    @cached_property
    def shells(self) -> dict[str, Shell]:
        """The classes.

        Raises:
            BadInput: a mesh cannot be used, or is named like another class.
        """
        meshes = self.settings.meshes
        own = zip(meshes, own_surfaces(meshes, THINGS).items(), strict=True)
        return {name: _shell(name) for name in of_half(THINGS, self.settings.half)} | {
            name: Shell.of(name, outer.mesh, remarks(outer, path.name)) for path, (name, outer) in own
        }

    def notes(self) -> list[str]:
        """See `Plan`."""
        return [note for shell in self.shells.values() for note in shell.notes]

    def classes(self) -> dict[str, dict[str, Any]]:
        """See `Plan`; with the stems of the scans that differ as a whole."""
        odd = {scan: self._oddity(scan) for scan in self.scans()}
        return {
            name: {
                "radius": shell.radius,
                "surface": fingerprint(shell.mesh),
                "points": self._points(shell),
                "offset": [scan.scan.stem for scan, one in odd.items() if scan.class_name == name and one.offset],
                "deviating": [scan.scan.stem for scan, one in odd.items() if scan.class_name == name and one.deviation],
            }
            for name, shell in self.shells.items()
        }

    def scans(self) -> list[PlannedScan]:
        """See `Plan`."""
        return [scan for name in self.shells for scan in self._scans_of(name)]

    def _scans_of(self, name: str) -> Iterator[PlannedScan]:
        settings, rare = self.settings, self.shells[name].rare
        splits = [("train", GOOD, settings.templates), ("test", GOOD, settings.good)]
        splits += [("test", kind, settings.common) for kind in ("bulge", "concavity")]
        splits += [("test", kind, min(count, settings.rare)) for kind, count in zip(_RARE, rare, strict=True)]
        folder = Path("pcd") / name
        for split, kind, count in splits:
            word = "template" if split == "train" else "positive" if kind == GOOD else kind
            for index in range(count):
                stem = f"{name}_{word}{index}"
                truth = None if kind == GOOD else folder / "GT" / f"{stem}.txt"
                words = entropy(settings.seed, name, "train" if split == "train" else kind, index)
                yield PlannedScan(name, split, kind, index, folder / split / f"{stem}.pcd", truth, words)

    def make(self, scan: PlannedScan) -> PointCloud:
        """See `Plan`."""
        shell, generator = self.shells[scan.class_name], np.random.default_rng(scan.entropy)
        count = self._points(shell)
        candidates = max(_CANDIDATES * count, _LEAST_CANDIDATES)
        surface = LabelledSurface.clean(*sample_mesh(shell.mesh, candidates, generator))
        surface = _moved(surface, self._oddity(scan), shell.radius, generator)
        if scan.kind != GOOD:
            extent = Extent.draw(scan.kind, generator)
            surface = damaged(
                scan.kind, surface, extent, generator, radius=shell.radius, spacing=shell.spacing, reach=shell.reach
            )
        gap = _GAP * float(np.sqrt(shell.area * len(surface) / candidates / count))
        for _ in range(_ATTEMPTS):
            few = surface.select(np.sort(generator.permutation(len(surface))[: _CANDIDATES * count]))
            kept = thin_out(few.points, count, generator, even=True, gap=gap)
            seen = few.select(generator.permutation(kept))
            # In a small copy the thinnest rim may fall between the points; it is drawn again.
            if seen.labels.any() or scan.kind == GOOD:
                break
        placed = seen.points + generator.normal(scale=self.settings.noise * shell.radius, size=seen.points.shape)
        return PointCloud(placed @ self._rotation(scan, generator).T, labels=seen.labels)

    def _points(self, shell: Shell) -> int:
        return shell.points if self.settings.points is None else self.settings.points

    def test_rotation(self, name: str) -> Floats:
        """The rotation that the test scans of a class share, (3, 3)."""
        generator = np.random.default_rng(entropy(self.settings.seed, name, "pose", 0))
        return np.asarray(Rotation.random(rng=generator).as_matrix())

    def _rotation(self, scan: PlannedScan, generator: np.random.Generator) -> Floats:
        if scan.split == "test" and self.settings.test_pose == "shared":
            return self.test_rotation(scan.class_name)
        return np.asarray(Rotation.random(rng=generator).as_matrix())

    def _oddity(self, scan: PlannedScan) -> _Oddity:
        """Whether a scan is of another mesh; drawn apart from everything else."""
        settings, generator = self.settings, np.random.default_rng((*scan.entropy, 1))
        offset, deviation = (generator.uniform(*size) for size in (settings.offset_size, settings.deviating_size))
        if scan.split == "train":
            chosen = np.random.default_rng((*entropy(settings.seed, scan.class_name, "offset template", 0), 1))
            its = chosen.random() < settings.offset_templates
            return _Oddity(offset if its and chosen.integers(settings.templates) == scan.index else 0.0)
        if generator.random() < settings.offset:
            return _Oddity(offset=offset)
        if generator.random() < settings.deviating and scan.kind == GOOD:
            return _Oddity(deviation=deviation)
        return _Oddity()


def _moved(surface: LabelledSurface, oddity: _Oddity, radius: float, generator: np.random.Generator) -> LabelledSurface:
    """The surface of another mesh of the same thing."""
    if oddity.deviation:
        field = smooth_field(generator, surface.points, oddity.deviation * radius)
        across = np.einsum("ij,ij->i", field.displacement(surface.points), surface.normals)
        factor = oddity.deviation * radius / float(np.abs(across).mean())
        surface = replace(field, amplitudes=field.amplitudes * factor, affine=field.affine * factor).apply(surface)
    return surface.moved(oddity.offset * radius * surface.normals) if oddity.offset else surface
