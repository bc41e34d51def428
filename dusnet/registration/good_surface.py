"""What the good scans of a class say without any learning: their common surface, and how far off a good part may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dusnet import ops
from dusnet.config import WarpSettings
from dusnet.geometry.coverage import Coverage, lost_pieces
from dusnet.geometry.outward import outward_normals
from dusnet.geometry.part_places import PartPlaces
from dusnet.geometry.quantiles import quantile
from dusnet.geometry.sampling import cell_for, thin
from dusnet.io import stored
from dusnet.registration.tolerance import ToleranceField
from dusnet.registration.warp import TangentPlanes, Warp, fit_warp

POINTS_PER_CLOUD = 12_000  # that a scan is thinned to: bounds time and the size of models
MOST_CLOUDS = 12  # scans that the surface is made of at most: bounds time and the size of models
RIGID = 1.1
"""How much farther than after the smooth warp good scans may lie from each other for the warp to be left out."""
UNIT_ERROR = 1e-3
"""Of the length of a normal; those that are written are right to the sixth digit."""
VOID_NEIGHBORS = 32  # places around a place that stand for it: as many scans are few
VOID_MARGIN = 1.25
"""How much larger than in the training scans a void at the same place may be."""
MOST_VOID = 1.5
"""Largest accidental voids of a scan that a void of a training scan counts for at most: it may be a hole."""
PASSES = 2
"""How often a good scan is warped onto the first one; its own noise must not stay in the common surface."""


@dataclass(frozen=True)
class ScanComparison:
    """A scan beside the surface of its class, in the frame.

    Attributes:
        points: the scan, (N, 3) float32.
        shaped: the scan without its smooth variation, (N, 3).
        distance: signed distance of `shaped` to the surface, (N,); the sign is that of the normal.
        normals: unit normals of the surface, of either sign, (N, 3).
        warp: the smooth variation.
    """

    points: Tensor
    shaped: Tensor
    distance: Tensor
    normals: Tensor
    warp: Warp

    @cached_property
    def search(self) -> ops.PointIndex:
        """`shaped`, prepared for searches."""
        return ops.PointIndex(self.shaped[None])

    @property
    def foot(self) -> Tensor:
        """Where a good part would have the points, in the reference shape, (N, 3)."""
        return _foot(self.shaped, self.distance, self.normals)


@dataclass(frozen=True)
class GoodSurface:
    """The aligned good scans of a class as one surface.

    All clouds but the first are warped onto the first one before they are put together: laid upon each other as they
    are, they would make a blurred surface as thick as the variation.

    Attributes:
        planes: points and normals of all clouds.
        sizes: number of points of each cloud, in order.
        tolerance: what each good scan, left out, is away from the surface of the others; None for a single cloud,
            or where nobody wants to know.
        settings: of the warp.
        seed: of the thinning and of the points that take part in a fit.
        rigid: good scans do not differ by more than their points do, so that there is no variation to take out.
        openness, voids: mean and largest size of the voids that good scans, left out, show at each place, (M,); see
            `PartPlaces`. None as for `tolerance`.
        lost: largest piece that good scans leave out here or there, share of the part.
    """

    planes: TangentPlanes
    sizes: tuple[int, ...]
    tolerance: ToleranceField | None
    settings: WarpSettings
    seed: int
    openness: Tensor | None = None
    voids: Tensor | None = None
    lost: float = 0.0
    rigid: bool = False
    _thinned: dict[tuple[int, int], Tensor] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def learn(
        cls, clouds: Sequence[Tensor], settings: WarpSettings, *, seed: int, tolerance: bool = True
    ) -> GoodSurface:
        """Put the good scans of a class together.

        Args:
            clouds: registered, in the frame, (N, 3) float32 each. Of more than `MOST_CLOUDS` the first ones are used.
            settings: of the warp.
            seed: of the thinning to `POINTS_PER_CLOUD` points and of the fits.
            tolerance: also measure what good scans are away from each other.
        """
        thinned = [_thin(cloud, POINTS_PER_CLOUD, seed) for cloud in clouds[:MOST_CLOUDS]]
        several = len(thinned) > 1
        made = cls._together(thinned, settings, seed, rigid=False)
        if not several:
            return made
        left_out = made._left_out(thinned)
        if settings.degree:
            stiff = cls._together(thinned, settings, seed, rigid=True)
            left_out_stiff = stiff._left_out(thinned)
            if _spread(left_out_stiff) <= RIGID * _spread(left_out):
                made, left_out = stiff, left_out_stiff
        if not tolerance:
            return made
        openness, voids, lost = _voids(left_out, made.planes, made.sizes)
        return replace(made, tolerance=_tolerance(left_out), openness=openness, voids=voids, lost=lost)

    @classmethod
    def _together(cls, thinned: Sequence[Tensor], settings: WarpSettings, seed: int, *, rigid: bool) -> GoodSurface:
        """The surface of some clouds, without tolerance and voids."""
        first = _oriented(thinned[0])
        shaped = [thinned[0], *(_onto(cloud, first, settings, seed, rigid=rigid) for cloud in thinned[1:])]
        planes = TangentPlanes(torch.cat(shaped)).oriented_as(first)
        return cls(planes, tuple(len(cloud) for cloud in shaped), None, settings, seed, rigid=rigid)

    def _left_out(self, thinned: Sequence[Tensor]) -> list[ScanComparison]:
        """Each cloud beside the surface of the others."""
        found = []
        for own, cloud in enumerate(thinned):
            others = _others(self.planes, self.sizes, own)
            beside = GoodSurface(others, (len(others.points),), None, self.settings, self.seed, rigid=self.rigid)
            found.append(beside.compare(cloud))
        return found

    @property
    def points(self) -> Tensor:
        """Places of a good part, (M, 3) float32 in the frame."""
        return self.planes.points

    @cached_property
    def places(self) -> PartPlaces:
        """The same, with what depends on them alone."""
        return PartPlaces(self.points, openness=self.openness, voids=self.voids, lost=self.lost)

    def thinned(self, count: int, seed: int) -> Tensor:
        """About `count` of the places, or all of them; the last answer is kept for the next scan of that size."""
        if count >= len(self.points):
            return self.points
        if (count, seed) not in self._thinned:
            rng = np.random.default_rng(seed)
            points = self.places.coordinates
            self._thinned.clear()
            self._thinned[count, seed] = self.points[torch.from_numpy(thin(points, cell_for(points, count, rng), rng))]
        return self._thinned[count, seed]

    def compare(self, points: Tensor) -> ScanComparison:
        """Take the smooth variation out of a registered scan and measure what is left.

        Args:
            points: in the frame, (N, 3) float32.
        """
        return self.beside(points, fit_warp(points, self.planes, self.settings, seed=self.seed, rigid=self.rigid))

    def beside(self, points: Tensor, warp: Warp) -> ScanComparison:
        """Measure what a known warp leaves of registered points, (N, 3) float32 in the frame."""
        shaped = warp.remove(points)
        distance, normals = self.planes.signed_distance(shaped)
        return ScanComparison(points, shaped, distance, normals, warp)

    def tensors(self) -> dict[str, Tensor]:
        """What a model file stores of this besides `metadata`."""
        tensors = {"surface.points": self.points, "surface.normals": self.planes.normals}
        if self.tolerance is not None:
            tensors |= {"tolerance.places": self.tolerance.places, "tolerance.values": self.tolerance.values}
        if self.openness is not None and self.voids is not None:
            tensors |= {"surface.openness": self.openness, "surface.voids": self.voids}
        if self.planes.outward is not None:
            tensors["surface.outward"] = self.planes.outward
        return tensors

    def metadata(self) -> dict[str, Any]:
        """Sizes of the clouds, level of the tolerance, and what else is known, as JSON."""
        level = None if self.tolerance is None else self.tolerance.level
        known = {"voids": self.openness is not None, "outward": self.planes.outward is not None}
        return {"sizes": list(self.sizes), "level": level, "rigid": self.rigid, "lost": self.lost, **known}

    @classmethod
    def restore(
        cls, metadata: dict[str, Any], tensors: dict[str, Tensor], settings: WarpSettings, *, seed: int
    ) -> GoodSurface:
        """The inverse of `tensors` and `metadata`.

        Raises:
            KeyError, Unusable: they are none of a surface.
        """
        planes = planes_of(tensors, "surface.points", "surface.normals")
        outside, known, rigid = (stored.flag(metadata[name], name) for name in ("outward", "voids", "rigid"))
        if outside:
            outward = stored.tensor(tensors, "surface.outward", len(planes.points))
            if not bool((outward.abs() == 1).all()):
                raise stored.Unusable("its normals point neither out nor in")
            planes = TangentPlanes(planes.points, planes.normals, outward)
        sizes = tuple(stored.whole(one, "size of a cloud", 1) for one in stored.entries(metadata["sizes"], "sizes"))
        if sum(sizes) != len(planes.points):
            raise stored.Unusable("the sizes of its clouds are not those of its surface")
        tolerance = tolerance_of(tensors, metadata["level"])
        openness = voids_of(tensors, "surface.openness", planes) if known else None
        voids = voids_of(tensors, "surface.voids", planes) if known else None
        lost = stored.number(metadata.get("lost", 0.0), "piece that good scans leave out", 0, 1)
        return cls(planes, sizes, tolerance, settings, seed, openness, voids, lost, rigid)


def planes_of(tensors: Mapping[str, Tensor], points: str, normals: str) -> TangentPlanes:
    """The surface that two tensors of a model file stand for.

    Raises:
        KeyError, Unusable: they are none.
    """
    places = stored.tensor(tensors, points, None, 3)
    return TangentPlanes(places, unit_vectors(tensors, normals, len(places)))


def unit_vectors(tensors: Mapping[str, Tensor], name: str, count: int) -> Tensor:
    """The directions in a tensor of a model file, (count, 3) float32.

    Raises:
        KeyError, Unusable: they are none.
    """
    directions = stored.tensor(tensors, name, count, 3)
    if float((directions.norm(dim=1) - 1).abs().max()) > UNIT_ERROR:
        raise stored.Unusable(f"its tensor {name} holds no unit vectors")
    return directions


def tolerance_of(tensors: Mapping[str, Tensor], level: Any) -> ToleranceField | None:
    """The tolerance in a model file, None where the file has none.

    Raises:
        KeyError, Unusable: it is none.
    """
    if level is None:
        return None
    places = stored.tensor(tensors, "tolerance.places", None, 3)
    values = stored.tensor(tensors, "tolerance.values", len(places))
    if float(values.min()) < 0:
        raise stored.Unusable("its tolerance is below zero somewhere")
    return ToleranceField(places, values, stored.number(level, "level of the tolerance", 0, stored.LENGTHS[1]))


def voids_of(tensors: Mapping[str, Tensor], name: str, planes: TangentPlanes) -> Tensor:
    """Sizes of voids in a model file, (M,).

    Raises:
        KeyError, Unusable: they are none.
    """
    voids = stored.tensor(tensors, name, len(planes.points))
    if float(voids.min()) < 0:
        raise stored.Unusable(f"a void in its tensor {name} is smaller than none")
    return voids


def _foot(points: Tensor, distance: Tensor, normals: Tensor) -> Tensor:
    """Where points, (N, 3), come to lie when each moves its signed distance, (N,), back along the normal, (N, 3)."""
    return points - distance.unsqueeze(1) * normals


def _thin(cloud: Tensor, count: int, seed: int) -> Tensor:
    if len(cloud) <= count:
        return cloud
    points = cloud.double().numpy()
    rng = np.random.default_rng(seed)
    return cloud[torch.from_numpy(thin(points, cell_for(points, count, rng), rng))]


def _oriented(cloud: Tensor) -> TangentPlanes:
    """The surface of one cloud; its outside is where it can be looked at from."""
    planes = TangentPlanes(cloud)
    agree = (planes.normals * outward_normals(cloud)).sum(dim=1)
    return TangentPlanes(cloud, planes.normals, torch.where(agree < 0, -1.0, 1.0))


def _onto(cloud: Tensor, first: TangentPlanes, settings: WarpSettings, seed: int, *, rigid: bool) -> Tensor:
    for _ in range(PASSES):
        cloud = fit_warp(cloud, first, settings, seed=seed, rigid=rigid).remove(cloud)
    return cloud


def _others(planes: TangentPlanes, sizes: tuple[int, ...], own: int) -> TangentPlanes:
    """The surface without one of its clouds; the normals are those of all clouds together."""
    start = sum(sizes[:own])
    kept = torch.ones(len(planes.points), dtype=torch.bool)
    kept[start : start + sizes[own]] = False
    outward = None if planes.outward is None else planes.outward[kept]
    return TangentPlanes(planes.points[kept], planes.normals[kept], outward)


def _spread(left_out: Sequence[ScanComparison]) -> float:
    """What nine of ten points of the good scans are away from the surface of the others."""
    return quantile(torch.cat([one.distance.abs() for one in left_out]), 0.9)


def _tolerance(left_out: Sequence[ScanComparison]) -> ToleranceField:
    return ToleranceField.of(
        torch.cat([one.shaped for one in left_out]), torch.cat([one.distance.abs() for one in left_out])
    )


def _voids(
    left_out: Sequence[ScanComparison], planes: TangentPlanes, sizes: tuple[int, ...]
) -> tuple[Tensor, Tensor, float]:
    """Mean and largest size of the voids that each cloud shows at the others' places and around them, (M,) each.

    The mean is in units of its own mean over the part. Sides that a cloud leaves out have no part in it, and no pieces
    where most clouds leave out some; the largest of these, share of the part, is the third answer.
    """
    beside_others = _beside_others(left_out, planes, sizes)
    lost = lost_pieces([beside.largest_missing for _, beside in beside_others])
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    largest, total, clouds = torch.zeros(len(owner)), torch.zeros(len(owner)), torch.zeros(len(owner))
    for others, beside in beside_others:
        size = beside.void_size.clamp_max(MOST_VOID * beside.voids.largest(beside.scan.points.shape[1]))
        shown = ~(beside.unseen | beside.missing) if lost else ~beside.unseen
        places = others[shown]
        largest[places] = torch.maximum(largest[places], size[shown])
        total[places] += size[shown]
        clouds[places] += 1
    mean = total / clouds.clamp_min(1)
    level = mean[clouds > 0].mean() if clouds.any() else torch.tensor(0.0)
    mean = torch.where(clouds > 0, mean, level)
    _, around = ops.knn(planes.points[None], planes.points[None], min(VOID_NEIGHBORS, len(owner)))
    openness = mean[around[0]].mean(dim=1) / level if level > 0 else torch.ones_like(mean)
    return openness, VOID_MARGIN * largest[around[0]].amax(dim=1), lost


def _beside_others(
    left_out: Sequence[ScanComparison], planes: TangentPlanes, sizes: tuple[int, ...]
) -> list[tuple[Tensor, Coverage]]:
    """For each cloud the numbers of the other clouds' places, (K,) int64, and these beside the cloud."""
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    others = [(owner != own).nonzero()[:, 0] for own in range(len(left_out))]
    return [
        (index, Coverage.from_index(ops.PointIndex(one.foot[None]), planes.points[index]))
        for index, one in zip(others, left_out, strict=True)
    ]
