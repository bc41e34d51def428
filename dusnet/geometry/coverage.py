"""What a scan leaves out: pieces of a good part that no point of the scan is near.

Some of it is missing material and some was out of the scanner's sight. Told apart by five rules: a piece of more than
`UNSEEN_SHARE` of the part is a side that was not scanned; of a scan of one side (`dusnet.geometry.sides`), a piece
counts only where the part itself does not hide it from the scanner; of a scan that leaves out a side, a piece counts
only where the scan shows other places that look the same way; where good scans leave out pieces here and there, only
larger ones count; and what is left has been looked at and is not there.

All lengths are in the frame of the class; all functions take and return torch tensors on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from dusnet import ops
from dusnet.geometry.neighbors import connected
from dusnet.geometry.part_places import PartPlaces
from dusnet.geometry.quantiles import quantile
from dusnet.geometry.sides import CoveredPart, OneSidedScan, facing_away, looks_away, one_side
from dusnet.geometry.voids import MEDIAN_TO_TENTH, RARER, Voids

REACH = 4.0  # usual distances that a scan of a side reaches past what it shows
LOCAL = 2.0  # usual distances that the usual distance around one place is at most
RIM_WIDTH = 2.0  # usual distances by which the rim of a hole is wider than the hole
RIM_POINTS = 64  # points of a rim at most: bounds the time
UNSEEN_SHARE = 0.1  # of the part: a larger piece is a side that was not scanned, no defect
LEAST_AWAY = 0.2
"""Share of the part that a scan of one side, taken with several cameras, leaves out at least: of a turntable .22 to
.5."""
MOST_UNSEEN = 0.6
"""Share of the part that it leaves out at most; views of twelve parts left out .22 to .60."""
AWAY_SHARE = 0.5
"""Share of what it leaves out that must look where it shows next to nothing: of a break most looks like the rest."""
LOST_MARGIN = 1.25
"""How much larger than in the training scans a piece may be that good scans leave out here or there."""
LEAST_LOSING = 2  # training scans that must leave out a piece
UNSEEN_REACH = 5.0  # spacings of the places within which empty places are one piece


def lost_pieces(largest: Sequence[float]) -> float:
    """Largest piece that good scans leave out here or there, share of the part.

    Args:
        largest: the largest missing piece of every training scan, share of the part. A single scan can be damaged: half
            of them, and two at least, must leave out a piece.
    """
    if sum(one > 0.0 for one in largest) < max(LEAST_LOSING, len(largest) / 2):
        return 0.0
    return min(LOST_MARGIN * max(largest), UNSEEN_SHARE)


@dataclass(frozen=True)
class Coverage:
    """Places of a good part beside a scan.

    Attributes:
        part: the places.
        distance: to the nearest point of the scan, (M,).
        nearest: that point, (M,) int64.
        usual: length that says how dense the scan is, never below the spacing of the places: the distance that half of
            the places have where a scan of random points covers the part. Rims and reaches are measured in it.
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

    @classmethod
    def from_index(cls, scan: ops.PointIndex, places: Tensor | PartPlaces) -> Coverage:
        """`of` with a scan that is prepared already, (1, N, 3)."""
        part = PartPlaces.of(places)
        squared, nearest = scan.nearest(part.points.unsqueeze(0))
        distance = squared[0].sqrt()
        # Most places can be unseen, and of a training scan most can be its own points: neither may decide.
        usual = max(MEDIAN_TO_TENTH * quantile(distance, 0.1), part.spacing)
        return cls(part, distance, nearest[0], usual, scan)

    @property
    def places(self) -> Tensor:
        """Of a good part, (M, 3)."""
        return self.part.points

    @cached_property
    def unseen_share(self) -> float:
        """Share of the part that the scan leaves out in pieces too big for a defect, 0 to 1."""
        return float(self.unseen.double().mean())

    @cached_property
    def unseen(self) -> Tensor:
        """Which places belong to pieces too big for a defect that the scan leaves out, (M,) bool."""
        unseen = torch.zeros_like(self.empty)
        if self.empty.any():
            too_big = np.bincount(self.piece) > UNSEEN_SHARE * len(self.places)
            unseen[self.empty] = torch.from_numpy(too_big[self.piece])
        return unseen

    @cached_property
    def piece(self) -> np.ndarray:
        """Number of the connected piece that each empty place belongs to, (E,) int32."""
        return connected(self.places[self.empty].numpy(), UNSEEN_REACH * self.part.spacing)

    @cached_property
    def voids(self) -> Voids:
        """How large the accidental voids of the scan are."""
        return Voids.of(self.distance, self.scan, self.part.spacing)

    @cached_property
    def local(self) -> Tensor:
        """Distance that half of the places around each place have, (M,): a scan may be denser here than there.

        Around a hole its own places tell nothing: those far from all points count as usual, and what is usual at a
        place is what is usual around its nearest point.
        """
        far = self.distance > self.voids.largest(self.scan.points.shape[1]) * self.voids.median
        told = torch.where(far, self.voids.median, self.distance).double().numpy()
        asked = self.scan.points[0][self.nearest].double().numpy()
        around = torch.from_numpy(self.part.median_around(told, asked))
        return around.float().clamp(self.voids.median, LOCAL * self.voids.median)

    @cached_property
    def usual_there(self) -> Tensor:
        """Distance that half of good scans would have at each place, (M,): at an edge it is more than around it."""
        return self.local if self.part.openness is None else self.local * self.part.openness.clamp_min(1.0)

    @cached_property
    def void_size(self) -> Tensor:
        """Distance of each place to the nearest point in units of what is usual around it, (M,)."""
        return self.distance / self.local

    @cached_property
    def limit(self) -> Tensor:
        """Distance to the nearest point up to which a void at each place is taken for an accident, (M,)."""
        if self.part.voids is None:
            usual = self.usual_there.clamp_min(self.part.spacing)
            return self.voids.largest(self.scan.points.shape[1], RARER) * usual
        largest = self.voids.largest(self.scan.points.shape[1])
        return torch.maximum(largest * self.usual_there, self.part.voids * self.local)

    @cached_property
    def empty(self) -> Tensor:
        """Which places have no point of the scan within what is an accident there, (M,) bool."""
        return self.distance > self.limit

    @cached_property
    def missing(self) -> Tensor:
        """Which places of a good part were looked at and are not there, (M,) bool."""
        lost = torch.zeros_like(self.empty)
        if not self.empty.any():
            return lost
        sizes = np.bincount(self.piece)
        kept = (sizes <= UNSEEN_SHARE * len(self.places)) & (sizes > self.part.lost * len(self.places))
        side = self.side if kept.any() else None
        if side is not None:
            kept = side.shows(self.piece, kept)
        if self.unseen_share and kept.any():
            kept &= ~facing_away(self._part, self.piece)
        lost[self.empty] = torch.from_numpy(kept[self.piece])
        return lost

    @cached_property
    def largest_missing(self) -> float:
        """Largest piece that was looked at and is not there, share of the part, 0 to 1."""
        lost = self.missing[self.empty].numpy()
        return float(np.bincount(self.piece[lost]).max()) / len(self.places) if lost.any() else 0.0

    @cached_property
    def excused(self) -> Tensor:
        """Which places lie in pieces no larger than good scans leave out here and there, (M,) bool."""
        excused = torch.zeros_like(self.empty)
        if self.part.lost and self.empty.any():
            small = np.bincount(self.piece) <= self.part.lost * len(self.places)
            excused[self.empty] = torch.from_numpy(small[self.piece])
        return excused

    @property
    def unjudged_share(self) -> float:
        """Share of the part that the scan leaves out and that nothing is said about, 0 to 1."""
        return float((self.unseen | self.excused).double().mean())

    @cached_property
    def hidden_share(self) -> float:
        """Share of the part that the scan leaves out because the scanner could not see it, 0 to 1.

        Zero where what is left out in large pieces is no side that nobody looked at, and may be gone.
        """
        if not self.unseen_share or self.side is None:
            return 0.0
        sight = self.part.sights.best(self.empty.numpy(), REACH * self.usual)
        if sight.explains:
            return float((self.unseen.numpy()[self.part.sights.places] & sight.hidden).mean())
        if self.unseen_share < LEAST_AWAY or not self._looks_away:
            return 0.0
        return min(self.unseen_share, MOST_UNSEEN)

    @property
    def _looks_away(self) -> bool:
        return float(looks_away(self._part)[self.unseen[self.empty].numpy()].mean()) > AWAY_SHARE

    @cached_property
    def side(self) -> OneSidedScan | None:
        """The side that the scan was taken from, None where it was taken from all around."""
        return one_side(self.scan.points[0].double().numpy(), self._part)

    @property
    def _part(self) -> CoveredPart:
        return CoveredPart(
            places=self.part.coordinates,
            normals=cache(lambda: self.part.normals.double().numpy()),
            empty=self.empty.numpy(),
            reach=REACH * self.usual,
            spacing=self.part.spacing,
        )

    @property
    def gap(self) -> Tensor:
        """What is missing: how far places of a good part are from any point of the scan, at the rim of the hole.

        Returns:
            (N,), zero away from holes: of the missing places around each point, the largest distance beyond `limit`.
        """
        chosen = self.missing.nonzero()[:, 0]
        return self.at_rim(chosen, self.distance[chosen] - self.limit[chosen])

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
