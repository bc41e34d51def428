"""What a scan leaves out: pieces of a good part that no point of the scan is near.

Some of it is missing material and some was out of the scanner's sight. Told apart by three rules: a piece of more than
`UNSEEN_SHARE` of the part is a side that was not scanned; of a scan of one side (`dusnet.geometry.sides`), a piece
counts only where the part itself does not hide it from the scanner; and what is left has been looked at and is not
there.

All lengths are in the frame of the class; all functions take and return torch tensors on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from dusnet import ops
from dusnet.geometry.neighbors import connected
from dusnet.geometry.part_places import PartPlaces
from dusnet.geometry.sides import CoveredPart, one_side

GAP_FACTOR = 4.0  # usual distances from which on a place is empty
RIM_WIDTH = 2.0  # usual distances by which the rim of a hole is wider than the hole
RIM_POINTS = 64  # points of a rim at most: bounds the time
UNSEEN_SHARE = 0.1  # of the part: a larger piece is a side that was not scanned, no defect
UNSEEN_REACH = 5.0  # spacings of the places within which empty places are one piece
# Of the distances to points strewn at random over a surface: sqrt(ln(0.5) / ln(0.9)).
MEDIAN_TO_TENTH = 2.56
QUANTILE_LIMIT = 2**24
"""Most values that torch takes a quantile of."""


@dataclass(frozen=True)
class Coverage:
    """Places of a good part beside a scan.

    Attributes:
        part: the places.
        distance: to the nearest point of the scan, (M,).
        nearest: that point, (M,) int64.
        usual: distance that half of the places have where the scan covers the part.
        scan: the scan, ready to be searched again.
    """

    part: PartPlaces
    distance: Tensor
    nearest: Tensor
    usual: float
    scan: ops.PointIndex

    @classmethod
    def of(cls, points: Tensor, places: Tensor | PartPlaces) -> Coverage:
        """Find the nearest point of a scan, (N, 3), for every place, (M, 3)."""
        return cls.from_index(ops.PointIndex(points.unsqueeze(0)), places)

    def elsewhere(self, places: Tensor) -> Coverage:
        """Other places, (M, 3), beside the same scan."""
        return self.from_index(self.scan, places)

    @classmethod
    def from_index(cls, scan: ops.PointIndex, places: Tensor | PartPlaces) -> Coverage:
        """`of` with a scan that is prepared already, (1, N, 3)."""
        part = PartPlaces.of(places)
        squared, nearest = scan.nearest(part.points.unsqueeze(0))
        distance = squared[0].sqrt()
        # Most places can be unseen, and of a training scan most can be its own points: neither may decide.
        some = distance[:: 1 + len(distance) // QUANTILE_LIMIT]
        usual = max(MEDIAN_TO_TENTH * float(some.quantile(0.1)), part.spacing)
        return cls(part, distance, nearest[0], usual, scan)

    @property
    def places(self) -> Tensor:
        """Of a good part, (M, 3)."""
        return self.part.points

    @cached_property
    def unseen_share(self) -> float:
        """Share of the part that the scan leaves out in pieces too big for a defect, 0 to 1."""
        if not self.empty.any():
            return 0.0
        sizes = np.bincount(self.piece)
        return float(sizes[sizes > UNSEEN_SHARE * len(self.places)].sum() / len(self.places))

    @cached_property
    def piece(self) -> np.ndarray:
        """Number of the connected piece that each empty place belongs to, (E,) int32."""
        return connected(self.places[self.empty].numpy(), UNSEEN_REACH * self.part.spacing)

    @cached_property
    def empty(self) -> Tensor:
        """Which places have no point of the scan within `GAP_FACTOR` of the usual distance, (M,) bool."""
        return self.distance > GAP_FACTOR * self.usual

    @cached_property
    def missing(self) -> Tensor:
        """Which places of a good part were looked at and are not there, (M,) bool."""
        lost = torch.zeros_like(self.empty)
        if not self.empty.any():
            return lost
        sizes = np.bincount(self.piece)
        kept = sizes <= UNSEEN_SHARE * len(self.places)
        side = one_side(self.scan.points[0].double().numpy(), self._part) if kept.any() else None
        if side is not None:
            kept = side.shows(self.piece, kept)
        lost[self.empty] = torch.from_numpy(kept[self.piece])
        return lost

    @property
    def _part(self) -> CoveredPart:
        return CoveredPart(
            places=self.part.coordinates,
            normals=cache(lambda: self.part.normals.double().numpy()),
            empty=self.empty.numpy(),
            reach=GAP_FACTOR * self.usual,
            spacing=self.part.spacing,
        )

    @property
    def gap(self) -> Tensor:
        """What is missing: how far places of a good part are from any point of the scan, at the rim of the hole.

        Returns:
            (N,), zero away from holes: of the missing places around each point, the largest distance beyond the usual.
        """
        return self._beyond(self.missing)

    @property
    def depth(self) -> Tensor:
        """`gap` beside a reconstruction, which holds only what the scanner could see: every empty place counts."""
        return self._beyond(self.empty)

    def _beyond(self, lost: Tensor) -> Tensor:
        chosen = lost.nonzero()[:, 0]
        return self.at_rim(chosen, self.distance[chosen] - GAP_FACTOR * self.usual)

    def at_rim(self, chosen: Tensor, values: Tensor) -> Tensor:
        """What was found at places without points, at the points around them.

        Args:
            chosen: numbers of the places, (K,) int64.
            values: what was found there, (K,).

        Returns:
            The largest value of the places around each point, (N,), zero without one. A place is around the points that
            are at most `RIM_WIDTH` usual distances farther from it than its nearest one.
        """
        count = self.scan.points.shape[1]
        rim = torch.zeros(count)
        if not len(chosen):
            return rim
        squared, index = self.scan.knn(self.places[chosen][None], min(RIM_POINTS, count))
        near = squared[0].sqrt() <= (self.distance[chosen] + RIM_WIDTH * self.usual).unsqueeze(1)
        around = torch.where(near, values.unsqueeze(1), 0.0)
        return rim.scatter_reduce_(0, index[0].flatten(), around.flatten(), "amax")
