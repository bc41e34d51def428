"""What the good scans of a class say without any learning: their common surface, and how far off a good part may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dusnet import ops
from dusnet.config import WarpSettings
from dusnet.geometry.part_places import PartPlaces
from dusnet.geometry.sampling import cell_for, thin
from dusnet.io import stored
from dusnet.registration.tolerance import ToleranceField
from dusnet.registration.warp import TangentPlanes, Warp, fit_warp

POINTS_PER_CLOUD = 12_000  # that a scan is thinned to: bounds time and the size of models
MOST_CLOUDS = 12  # scans that the surface is made of at most: bounds time and the size of models
UNIT_ERROR = 1e-3
"""Of the length of a normal; those that are written are right to the sixth digit."""
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
        return self.shaped - self.distance.unsqueeze(1) * self.normals


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
    """

    planes: TangentPlanes
    sizes: tuple[int, ...]
    tolerance: ToleranceField | None
    settings: WarpSettings
    seed: int
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
        shaped = [thinned[0], *(_onto(cloud, thinned[0], settings, seed) for cloud in thinned[1:])]
        sizes = tuple(len(cloud) for cloud in shaped)
        planes = TangentPlanes(torch.cat(shaped))
        wanted = tolerance and len(shaped) > 1
        measured = _tolerance(thinned, planes, sizes, settings, seed) if wanted else None
        return cls(planes, sizes, measured, settings, seed)

    @property
    def points(self) -> Tensor:
        """Places of a good part, (M, 3) float32 in the frame."""
        return self.planes.points

    @cached_property
    def places(self) -> PartPlaces:
        """The same, with what depends on them alone."""
        return PartPlaces(self.points)

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
        warp = fit_warp(points, self.planes, self.settings, seed=self.seed)
        shaped = warp.remove(points)
        distance, normals = self.planes.signed_distance(shaped)
        return ScanComparison(points, shaped, distance, normals, warp)

    def tensors(self) -> dict[str, Tensor]:
        """What a model file stores of this besides `metadata`."""
        tensors = {"surface.points": self.points, "surface.normals": self.planes.normals}
        if self.tolerance is not None:
            tensors |= {"tolerance.places": self.tolerance.places, "tolerance.values": self.tolerance.values}
        return tensors

    def metadata(self) -> dict[str, Any]:
        """Sizes of the clouds and level of the tolerance as JSON."""
        return {"sizes": list(self.sizes), "level": None if self.tolerance is None else self.tolerance.level}

    @classmethod
    def restore(
        cls, metadata: dict[str, Any], tensors: dict[str, Tensor], settings: WarpSettings, *, seed: int
    ) -> GoodSurface:
        """The inverse of `tensors` and `metadata`.

        Raises:
            KeyError, Unusable: they are none of a surface.
        """
        planes = planes_of(tensors, "surface.points", "surface.normals")
        sizes = tuple(stored.whole(one, "size of a cloud", 1) for one in stored.entries(metadata["sizes"], "sizes"))
        if sum(sizes) != len(planes.points):
            raise stored.Unusable("the sizes of its clouds are not those of its surface")
        return cls(planes, sizes, tolerance_of(tensors, metadata["level"]), settings, seed)


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


def _thin(cloud: Tensor, count: int, seed: int) -> Tensor:
    if len(cloud) <= count:
        return cloud
    points = cloud.double().numpy()
    rng = np.random.default_rng(seed)
    return cloud[torch.from_numpy(thin(points, cell_for(points, count, rng), rng))]


def _onto(cloud: Tensor, first: Tensor, settings: WarpSettings, seed: int) -> Tensor:
    planes = TangentPlanes(first)
    for _ in range(PASSES):
        cloud = fit_warp(cloud, planes, settings, seed=seed).remove(cloud)
    return cloud


def _others(planes: TangentPlanes, sizes: tuple[int, ...], own: int) -> TangentPlanes:
    """The surface without one of its clouds; the normals are those of all clouds together."""
    start = sum(sizes[:own])
    kept = torch.ones(len(planes.points), dtype=torch.bool)
    kept[start : start + sizes[own]] = False
    return TangentPlanes(planes.points[kept], planes.normals[kept])


def _tolerance(
    thinned: Sequence[Tensor], planes: TangentPlanes, sizes: tuple[int, ...], settings: WarpSettings, seed: int
) -> ToleranceField:
    places, distances = [], []
    for own, cloud in enumerate(thinned):
        others = _others(planes, sizes, own)
        found = GoodSurface(others, (len(others.points),), None, settings, seed).compare(cloud)
        places.append(found.shaped)
        distances.append(found.distance.abs())
    return ToleranceField.of(torch.cat(places), torch.cat(distances))
