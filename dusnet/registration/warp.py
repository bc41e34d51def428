"""The step after rigid registration: a robust smooth warp that takes away what good parts do.

Good parts of one mould differ by smooth, low-frequency changes of shape; defects are local. A polynomial vector field
is fitted to the signed distances of a scan to the reference surface by Tukey-weighted least squares, so that points on
a defect lose their vote, and is subtracted. Closed form, no training, and no orientation of normals needed.

A whole surface may also lie a little outside or inside of another one everywhere, as the meshes of two exports do. Of a
thin wall both faces then move apart, which no smooth field does, so that an even offset is estimated beside the field.

The fit is graduated: a quadratic field with a generous cutoff first, then the full degree with a narrow one. A cubic
with a generous cutoff bends itself into a bent end of the part and hides it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from dusnet import ops
from dusnet.config import WarpSettings
from dusnet.geometry.normals import tensor_normals

NEIGHBORS = 6  # tangent planes whose mean is the distance to the surface
SAME_FACE = 0.004
"""Planes whose distances differ by more than this, and by more than the spacing of the surface, are of two faces of a
thin wall: the planes of a curved face of few points differ, too."""
SPACING_SAMPLE = 2000  # points whose nearest neighbours tell the spacing
NORMAL_NEIGHBORS = 24  # points that span a tangent plane
SAMPLE = 2500  # points that take part in a fit: many times the coefficients
STEPS = 8  # of the reweighting of a pass
SPREAD_FACTOR = 4.45  # cutoff over the median of absolute residuals: three standard deviations (3 * 1.4826)
FIRST_CUTOFFS = (3.0, 1.5)
"""Cutoff at the first and the last step of the first pass, in units of `WarpSettings.cutoff`."""


@dataclass(frozen=True)
class Field:
    """A polynomial displacement field, in the frame.

    Attributes:
        coefficients: (T, 3) float64, one row per monomial of degree 0 to `degree`.
        degree: highest total degree.
    """

    coefficients: Tensor
    degree: int

    def __call__(self, points: Tensor) -> Tensor:
        """Displacement at `points`, (N, 3) -> (N, 3)."""
        return (monomials(points.double(), self.degree) @ self.coefficients).to(points.dtype)


@dataclass(frozen=True)
class Offset:
    """A displacement field that moves every point by the same distance along the outward normal of a surface.

    Attributes:
        distance: outwards, in the frame.
        surface: the surface.
    """

    distance: float
    surface: TangentPlanes

    def __call__(self, points: Tensor) -> Tensor:
        """Displacement at `points`, (N, 3) -> (N, 3)."""
        return self.distance * self.surface.outward_at(points)


@dataclass(frozen=True)
class Warp:
    """What was taken away from a scan, pass by pass; without fields it changes nothing.

    Attributes:
        fields: in the order in which they were subtracted.
    """

    fields: tuple[Field | Offset, ...] = ()

    def remove(self, points: Tensor) -> Tensor:
        """Scan shape -> reference shape, (N, 3) in the frame."""
        for field in self.fields:
            points = points - field(points)
        return points

    def restore(self, points: Tensor) -> Tensor:
        """Reference shape -> scan shape, (N, 3) in the frame; inverts `remove` up to the square of the displacement."""
        for field in reversed(self.fields):
            points = points + field(points)
        return points


class TangentPlanes:
    """Distances to a surface that is known by points: the mean over the tangent planes of the nearest ones.

    Args:
        points: of the surface, (M, 3) float32 in the frame.
        normals: unit normals of either sign, (M, 3); estimated when None.
        outward: 1 where a normal points away from the material and -1 where into it, (M,); None where nobody knows.
    """

    def __init__(self, points: Tensor, normals: Tensor | None = None, outward: Tensor | None = None) -> None:
        self.points = points
        self.outward = outward
        self.normals = tensor_normals(points, points, NORMAL_NEIGHBORS) if normals is None else normals
        self._index = ops.PointIndex(points.unsqueeze(0))

    @cached_property
    def _same_face(self) -> float:
        few = self.points[:: 1 + len(self.points) // SPACING_SAMPLE]
        squared, _ = self._index.knn(few.unsqueeze(0), min(2, len(self.points)))
        return max(SAME_FACE, float(squared[0, :, -1].sqrt().mean()))

    def signed_distance(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Distance to the surface and the normal that it is measured along.

        Args:
            query: (N, 3) in the frame.

        Returns:
            The mean distance to the planes of those of the `NEIGHBORS` nearest points that are of one face, signed by
            the normal of the nearest one, (N,); that normal, of either sign, (N, 3).
        """
        count = min(NEIGHBORS, len(self.points))
        _, index = self._index.knn(query.unsqueeze(0), count)
        normals = self.normals[index[0]]
        nearest = normals[:, 0]
        sign = (normals * normals[:, :1]).sum(dim=-1).sign()
        across = ((query.unsqueeze(1) - self.points[index[0]]) * normals).sum(dim=-1) * sign
        # Where a wall is thinner than its points are apart, some of the planes are those of its other face.
        least = across.gather(1, across.abs().argmin(dim=1, keepdim=True))
        same = (across - least).abs() < self._same_face
        return (across * same).sum(dim=1) / same.sum(dim=1), nearest

    def outward_at(self, query: Tensor) -> Tensor:
        """Outward normals at the places nearest to `query`, (N, 3) -> (N, 3); `outward` must be known."""
        assert self.outward is not None
        nearest = self._index.nearest(query.unsqueeze(0))[1][0]
        return self.normals[nearest] * self.outward[nearest].unsqueeze(1)

    def oriented_as(self, other: TangentPlanes) -> TangentPlanes:
        """The same surface, of which the outside is known as it is of another one near it."""
        outward = (self.normals * other.outward_at(self.points)).sum(dim=1)
        return TangentPlanes(self.points, self.normals, torch.where(outward < 0, -1.0, 1.0))


def fit_warp(points: Tensor, surface: TangentPlanes, settings: WarpSettings, *, seed: int, rigid: bool = False) -> Warp:
    """The warp between a registered scan and the reference surface.

    Args:
        points: the scan in the frame, (N, 3) float32.
        surface: the reference.
        settings: degree, cutoff and ridge.
        seed: of the points that take part in the fit.
        rigid: good parts do not differ: there is no smooth variation to take out.

    Returns:
        At most three fields: the first of degree 1 or 2, the second of the full degree, then the even offset.
    """
    if not settings.degree:
        return Warp()
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(points), min(SAMPLE, len(points)), replace=False)
    sample = points[torch.from_numpy(np.sort(chosen))]
    first, last = (factor * settings.cutoff for factor in FIRST_CUTOFFS)
    fields: list[Field | Offset] = []
    passes = ((min(settings.degree, 2), first, last), (settings.degree, settings.cutoff, settings.cutoff))
    for degree, start, stop in () if rigid else passes:
        distance, normals = surface.signed_distance(sample)
        feet = sample - distance[:, None] * normals
        cutoffs = np.linspace(start, stop, STEPS)
        field = _robust_fit(feet.double(), normals.double(), distance.double(), degree, cutoffs, settings.ridge)
        sample = sample - field(sample)
        fields.append(field)
    if surface.outward is not None:
        outwards = _even_offset(sample, surface)
        if outwards:
            fields.append(Offset(outwards, surface))
    return Warp(tuple(fields))


def _even_offset(sample: Tensor, surface: TangentPlanes) -> float:
    """How far the whole of a scan lies outside of the surface; zero unless that is more than its points scatter."""
    across, normals = surface.signed_distance(sample)
    outside = across * (normals * surface.outward_at(sample)).sum(dim=1).sign()
    middle = outside.median()
    return float(middle) if float(middle.abs()) > float((outside - middle).abs().median()) else 0.0


def monomials(points: Tensor, degree: int) -> Tensor:
    """Monomials of total degree 0 to `degree`, (N, 3) -> (N, (degree + 1)(degree + 2)(degree + 3) / 6)."""
    x, y, z = points.unbind(dim=1)
    terms = [
        x**i * y**j * z**k for i in range(degree + 1) for j in range(degree + 1 - i) for k in range(degree + 1 - i - j)
    ]
    return torch.stack(terms, dim=1)


def _robust_fit(
    feet: Tensor, normals: Tensor, distance: Tensor, degree: int, cutoffs: np.ndarray, ridge: float
) -> Field:
    """The field u that minimises the Tukey loss of `normals . u(feet) - distance`, all float64.

    A step's cutoff is never below what the median residual asks for, so that a noisy scan keeps its votes. That is the
    median of absolute values: about its own median the residual of a part that shrank evenly would look small, and
    what is measured would depend on the orientation of the normals.
    """
    basis = monomials(feet, degree)
    design = (basis.unsqueeze(2) * normals.unsqueeze(1)).flatten(1)
    penalty = ridge * len(feet) * torch.eye(design.shape[1], dtype=design.dtype)
    coefficients = torch.zeros(design.shape[1], dtype=design.dtype)
    for step, smallest in enumerate(cutoffs):
        residual = distance - design @ coefficients
        spread = float(residual.abs().median())
        cutoff = max(float(smallest), SPREAD_FACTOR * spread * max(0.5, 2 - 0.3 * step))
        weight = (1 - (residual / cutoff).square()).clamp_min(0).square()
        weighted = design * weight.unsqueeze(1)
        coefficients = torch.linalg.solve(weighted.T @ design + penalty, weighted.T @ distance)
    return Field(coefficients.view(-1, 3), degree)
