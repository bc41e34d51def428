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
from dusnet.geometry.sides import Part, one_side

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


def gap(points: Tensor, places: Tensor | PartPlaces) -> Tensor:
    """What is missing: how far places of a good part are from any point of the scan, carried to the rim of the hole.

    Args:
        points: the scan, (N, 3).
        places: of a good part, (M, 3).

    Returns:
        (N,), zero away from holes: of the missing places around, the largest distance beyond the usual. A place is
        around the points that are at most `RIM_WIDTH` usual distances farther from it than its nearest one.
    """
    beside = Coverage.of(points, places)
    return carried(points, beside, missing(points, beside))


def depth(points: Tensor, rebuilt: Tensor, *, known: Coverage | None = None) -> Tensor:
    """`gap` beside a reconstruction, which holds only what the scanner could see, (N, 3), (M, 3) -> (N,).

    `known` is what `Coverage.of` said of the same scan beside other places: the scan is not prepared again.
    """
    beside = Coverage.of(points, rebuilt) if known is None else known.elsewhere(rebuilt)
    return carried(points, beside, beside.empty)


def carried(points: Tensor, beside: Coverage, lost: Tensor) -> Tensor:
    """How far lost places are beyond the usual, at the points around them.

    Args:
        points: the scan, (N, 3).
        beside: what `Coverage.of` said of it.
        lost: which places count, (M,) bool.

    Returns:
        (N,), as from `gap`.
    """
    distance = beside.distance[lost]
    return spread_to_rim(points, beside.places[lost], distance, distance - GAP_FACTOR * beside.usual, beside.usual)


def spread_to_rim(points: Tensor, places: Tensor, distance: Tensor, values: Tensor, usual: float) -> Tensor:
    """Give what was found at places without points to the points around them.

    Args:
        points: the scan, (N, 3).
        places: (M, 3).
        distance: of each to its nearest point, (M,).
        values: what was found there, (M,).
        usual: a place is around the points that are at most `RIM_WIDTH` times this farther from it than its nearest.

    Returns:
        The largest value of the places around each point, (N,), zero without one.
    """
    rim = torch.zeros(len(points))
    if not len(places):
        return rim
    squared, index = ops.knn(places[None], points[None], min(RIM_POINTS, len(points)))
    near = squared[0].sqrt() <= (distance + RIM_WIDTH * usual).unsqueeze(1)
    carried = torch.where(near, values.unsqueeze(1), 0.0)
    return rim.scatter_reduce_(0, index[0].flatten(), carried.flatten(), "amax")


def missing(points: Tensor, beside: Coverage) -> Tensor:
    """Which places of a good part were looked at and are not there, (M,) bool.

    Args:
        points: the scan, (N, 3).
        beside: what `Coverage.of` said of it.
    """
    empty = beside.empty
    lost = torch.zeros_like(empty)
    if not empty.any():
        return lost
    piece = beside.piece
    sizes = np.bincount(piece)
    kept = sizes <= UNSEEN_SHARE * len(beside.places)
    side = one_side(points.double().numpy(), _part(beside)) if kept.any() else None
    if side is not None:
        kept = side.shows(piece, kept)
    lost[empty] = torch.from_numpy(kept[piece])
    return lost


def _part(beside: Coverage) -> Part:
    return Part(
        places=beside.part.coordinates,
        normals=cache(lambda: beside.part.outward.normals.double().numpy()),
        empty=beside.empty.numpy(),
        reach=GAP_FACTOR * beside.usual,
        spacing=beside.part.spacing,
    )
