"""A scan in the frame of its class: what several steps measure of it is measured once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import ops
from dusnet.detectors import scoring
from dusnet.geometry.coverage import Coverage
from dusnet.geometry.part_places import PartPlaces
from dusnet.registration import Alignment


@dataclass(frozen=True)
class PlacedScan:
    """A scan in the frame of a class.

    Attributes:
        points: in the frame, (N, 3) float64.
        alignment: how it got there.
        part: the places of a good part in the frame.
        warnings: what the user should know about it.
        seconds: what the registration took, or what it took when it was computed.
    """

    points: NDArray[np.float64]
    alignment: Alignment
    part: PartPlaces
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0

    @cached_property
    def cloud(self) -> Tensor:
        """The points in single precision, (N, 3)."""
        return torch.from_numpy(self.points).float()

    @cached_property
    def search(self) -> ops.PointIndex:
        """The cloud, prepared for searches."""
        return ops.PointIndex(self.cloud[None])

    @cached_property
    def coverage(self) -> Coverage:
        """The places of a good part beside the cloud."""
        return Coverage.from_index(self.search, self.part)

    @cached_property
    def distances(self) -> Tensor:
        """Distance of every point to the nearest place of a good part, (N,)."""
        return self._nearest_place[0].sqrt()

    def deviation(self, offsets: Tensor | None = None) -> Tensor:
        """How far every point is outside of where a good part would have it, (N,); inside is negative.

        Args:
            offsets: from there to the point, (N, 3); None measures from the nearest place of a good part.
        """
        if offsets is None:
            offsets = self.cloud - self.part.points[self._nearest_place[1]]
        return (offsets * self.outward).sum(dim=1)

    @property
    def outward(self) -> Tensor:
        """Outward normal of the nearest place of a good part, (N, 3)."""
        return self.part.normals[self._nearest_place[1]]

    def outside(self, distance: Tensor, normals: Tensor) -> Tensor:
        """Distances along normals of either sign, (N,) and (N, 3), with the sign that is positive outside, (N,)."""
        return torch.where((normals * self.outward).sum(dim=1) < 0, -distance, distance)

    def smoothed(self, values: Tensor, neighbors: int) -> Tensor:
        """Mean of the values of the points, (N,), over the nearest points of each, (N,)."""
        return scoring.smooth_over(self.search, values, neighbors)

    @cached_property
    def _nearest_place(self) -> tuple[Tensor, Tensor]:
        squared, nearest = self.part.search.nearest(self.cloud[None])
        return squared[0], nearest[0]
