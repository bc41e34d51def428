"""Places of a good part: what depends on them alone is computed once, however many scans lie beside them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dusnet import ops
from dusnet.geometry.neighbors import Neighbors
from dusnet.geometry.outward import outward_normals
from dusnet.geometry.sights import Sights
from dusnet.geometry.spacing import neighbor_spacing

Floats = NDArray[np.float64]

_FEW = 8000  # places, evenly spread over their order, among which surroundings are looked up
_ANCHORS = 2000  # of these, whose surroundings stand for those of everything near them
_AROUND = 75  # places that a median is taken of: so many that single ones do not show


@dataclass(frozen=True, eq=False)
class PartPlaces:
    """Points of the surface of a good part, in the frame.

    Attributes:
        points: (M, 3) float32.
        known_normals: `normals` where they have been estimated before, else None.
        openness: size of the voids that good scans have at each place, in units of what is usual around it, (M,); None
            where good scans have not been compared.
        voids: size of the largest ones, in the same unit, (M,).
        lost: largest piece that good scans leave out here or there, share of the part; a smaller one says nothing.
    """

    points: Tensor
    known_normals: Tensor | None = None
    openness: Tensor | None = None
    voids: Tensor | None = None
    lost: float = 0.0

    @classmethod
    def of(cls, places: Tensor | PartPlaces) -> PartPlaces:
        """The places themselves, or those of a tensor, (M, 3)."""
        return cls(places) if isinstance(places, Tensor) else places

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def coordinates(self) -> Floats:
        """The points in double precision, (M, 3)."""
        found: Floats = self.points.double().numpy()
        return found

    @cached_property
    def spacing(self) -> float:
        """Distance of a place to the nearest other one."""
        return neighbor_spacing(self.points)

    @cached_property
    def search(self) -> ops.PointIndex:
        """The places, prepared for searches."""
        return ops.PointIndex(self.points.unsqueeze(0))

    @cached_property
    def normals(self) -> Tensor:
        """Unit normals that point away from the material, (M, 3) float32."""
        return outward_normals(self.points) if self.known_normals is None else self.known_normals

    @cached_property
    def sights(self) -> Sights:
        """What can be seen of them from every side."""
        return Sights.of(self.coordinates)

    def median_around(self, values: Floats, asked: Floats) -> Floats:
        """Median of the values of the places around others.

        Args:
            values: one per place, (M,).
            asked: where, (K, 3).

        Returns:
            (K,).
        """
        few, near, anchors = self._surroundings
        median: Floats = np.median(values[few][near], axis=1)
        return median[anchors.nearest(asked)[1]]

    @cached_property
    def _surroundings(self) -> tuple[NDArray[np.intp], NDArray[np.intp], Neighbors]:
        """Some places, which of them are around each anchor, and the anchors."""
        few = np.arange(0, len(self), max(1, len(self) // _FEW))
        anchors = self.coordinates[few[:: max(1, len(few) // _ANCHORS)]]
        _, near = Neighbors(self.coordinates[few]).knn(anchors, min(_AROUND, len(few)))
        return few, near, Neighbors(anchors)
