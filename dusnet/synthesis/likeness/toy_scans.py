"""What the scanner gives of cast parts on a turntable, in the frame of the nominal body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dusnet.io import Mesh
from dusnet.synthesis.blobs import Blob
from dusnet.synthesis.likeness.real3d_ad_settings import Real3dAdLike
from dusnet.synthesis.relief import Relief
from dusnet.synthesis.specimens import GOOD, fingerprint
from dusnet.synthesis.surface import Floats, log_uniform
from dusnet.synthesis.turntable import TurntablePart
from dusnet.synthesis.variation import SmoothField, smooth_field

_GRAZING = 0.26
"""Cosine of the flattest angle at which the scanner measures."""
_NORMAL_AT = 0.7
"""Cosine from which on the noise is as said; at flatter angles it grows with its inverse."""
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


@dataclass(frozen=True)
class View:
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

    def select(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> View:
        """The same for some of the places."""
        return View(self.points[index], self.normals[index], self.exposure[index], self.height[index])


@dataclass(frozen=True)
class ToyScan:
    """A scan before anybody picks it up.

    Attributes:
        points: (N, 3) mm in the frame of the nominal body.
        view: the places that they are measured at.
        blobs: its defects.
        side: the side that the part rests on, 0 or 1.
    """

    points: Floats
    view: View
    blobs: tuple[Blob, ...]
    side: int

    def labels(self, grown: float = 1.0) -> NDArray[np.bool_]:
        """The points of the defects, whose area is `grown` times as large, (N,)."""
        marked = np.zeros(len(self.points), dtype=bool)
        for blob in self.blobs:
            marked |= blob.marked(self.view.points, self.view.normals, grown=grown)
        return marked


@dataclass(frozen=True)
class ScannedToy:
    """A class of parts, and how they are scanned.

    Attributes:
        settings: of all classes.
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

    settings: Real3dAdLike
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

    @classmethod
    def of(cls, mesh: Mesh, relief: Relief, settings: Real3dAdLike, generator: np.random.Generator) -> ScannedToy:
        """Draw what the scans of a class have in common.

        Args:
            mesh: closed surface, mm.
            relief: of its surface.
            settings: of all classes.
            generator: of the class.

        Raises:
            MissingDependency: Open3D or one of its system libraries is absent.
        """
        part = TurntablePart.of(mesh)
        biased = generator.uniform() < settings.biased
        mix = generator.uniform(0.3, 0.7)
        return cls(
            settings=settings,
            part=part,
            relief=relief,
            spacing=log_uniform(generator, *settings.spacing) * part.radius,
            ratio=log_uniform(generator, *settings.density_ratio),
            spread=settings.density_spread ** generator.uniform() ** 2,
            noise=generator.uniform(*settings.noise) * part.radius,
            absent=(generator.uniform(*settings.absent), generator.uniform(*settings.absent)),
            most_absent=(_most_absent(part, 0), _most_absent(part, 1)),
            resting=(0.9, 0.2) if biased else (mix, mix),
            hidden=generator.uniform(0.1, 0.25) if biased else 0.0,
            length=generator.uniform(*settings.length_factor),
            surface=fingerprint(mesh),
        )

    def template(self, generator: np.random.Generator) -> Floats:
        """Both sides of a part, each measured like a test scan, joined a little beside their right places, (N, 3)."""
        own, body = self.settings, self.part
        density = self.ratio * self.spread ** (generator.uniform() - 0.5)
        spacing = max(self.spacing / np.sqrt(density), np.sqrt(2.0 * body.areas().sum() / own.most_points))
        views = [_view(body, generator, side, spacing, absent=_TABLE) for side in (0, 1)]
        field = smooth_field(generator, body.corners[:, 0], own.variation * body.radius)
        halves = []
        for at, view in enumerate(views):
            points = self._measured(view, field, (), generator)
            if at:
                points = _misplaced(points, body, own.seam, generator)
            halves.append(points)
        return np.vstack(halves)

    def test(self, kind: str, generator: np.random.Generator) -> ToyScan:
        """One side of a part.

        Args:
            kind: "good" or one of the kinds of defects.
            generator: of the scan.
        """
        own, body = self.settings, self.part
        side = 0 if generator.uniform() < self.resting[kind != GOOD] else 1
        absent = self.absent[side] + generator.uniform(-0.02, 0.02) + (self.hidden if kind == GOOD else 0.0)
        absent = min(absent, self.most_absent[side])
        density = self.spread ** (generator.uniform() - 0.5)
        spacing = max(self.spacing / np.sqrt(density), np.sqrt(body.areas().sum() / own.most_points))
        view = _view(body, generator, side, spacing, absent=absent)
        field = smooth_field(generator, body.corners[:, 0], own.variation * body.radius)
        blobs = self._blobs(kind, view, generator)
        return ToyScan(self._measured(view, field, blobs, generator), view, blobs, side)

    def untrimmed(self, scan: ToyScan, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Mask of what is left after a slanting cut along the rim of a scan, (N,)."""
        median, most = self.settings.trimmed
        share = min(median * float(np.exp(0.8 * generator.normal())), most)
        up = self.part.up[scan.side]
        slope = np.cross(up, generator.normal(size=3)) * generator.uniform(0.0, 0.5)
        height = scan.view.points @ (up + slope)
        return np.asarray(height >= np.quantile(height, share))

    def _blobs(self, kind: str, view: View, generator: np.random.Generator) -> tuple[Blob, ...]:
        """The defects of one scan, each with a fair part of it in sight."""
        own, radius = self.settings, self.part.radius
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
                    length=length * self.length * radius,
                    depth=depth * radius,
                    roughness=own.roughness,
                )
            )
        return tuple(blobs)

    def _measured(
        self, view: View, field: SmoothField, blobs: tuple[Blob, ...], generator: np.random.Generator
    ) -> Floats:
        """Points of a specimen as the scanner gives them, (N, 3) mm in the frame of the nominal body."""
        body = self.part
        height = self.settings.relief * body.radius * self.relief.heights((view.points - body.center) / body.radius)
        for blob in blobs:
            weight = blob.weight(view.points, view.normals)
            near = weight > 0.0
            # Material that was put on or taken off has no relief of the mould.
            height[near] *= 1.0 - weight[near]
            height[near] += blob.heights(view.points[near], weight[near])
        points = view.points + height[:, None] * view.normals + field.displacement(view.points)
        blur = self.noise * np.maximum(1.0, _NORMAL_AT / view.exposure)
        points = points + generator.normal(size=points.shape) * blur[:, None]
        flying = np.flatnonzero((view.exposure < _FLAT) & (generator.uniform(size=len(points)) < self.settings.flying))
        points[flying] += generator.uniform(-0.02, 0.02, size=(len(flying), 1)) * body.radius * view.normals[flying]
        return points


def _most_absent(part: TurntablePart, side: int) -> float:
    """The share of the height below which `_LEAST_SEEN` of what the ring sees still lies above."""
    faces = part.seen_faces((side,), _GRAZING)
    rise = part.corners @ part.up[side]
    height = (rise[faces].mean(axis=1) - rise.min()) / np.ptp(rise)
    order = np.argsort(height)
    area = np.cumsum(part.areas()[faces][order])
    return float(height[order][np.searchsorted(area, (1.0 - _LEAST_SEEN) * area[-1])])


def _view(body: TurntablePart, generator: np.random.Generator, side: int, spacing: float, *, absent: float) -> View:
    """Places that are measured of a body lying on one side, one per cell of the scanner's grid."""
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
    view = View(points[seen], normals, exposure[seen], height[seen])
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
