"""Which places of a good part a scan looked at: all of them, or what can be seen from one side.

Hidden point removal sees through thin walls, so a scan of both faces of a sheet, a bowl or a rod can look like a scan of
one side. The part itself decides: where the scan has points at most of what is hidden from the scanner's place, it was
not taken from there alone.

All lengths are in the frame of the class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.registration.visibility import Eye, visible

VISIBLE_SHARE = 0.9
"""Share of a piece that a scan of one side must be able to see, or the piece counts as hidden."""
LEAST_FACING = 0.25
"""Share of a part that must face the scanner, and that must face away: a model of one side alone has no hidden face."""
LEAST_HIDDEN = 0.02
"""Share of the part that must be hidden for the scan to be compared with it."""
COVERED = 0.5
"""Share of what is hidden that a scan of one side can have points at, by errors of the scanner's place.

Views of one side have less than half of this, scans from all around nearly 1.
"""
THIN_PIECE = 12
"""Places from which on a piece can be that of both faces of a thin wall."""
THIN_VISIBLE = 1 / 3
"""Share of the places of both faces that can be seen at least: those of the near face."""
SAME_FACE = 2.5
"""Places nearer than so many of their spacings cannot be told to lie on different faces."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """A good part beside a scan.

    Attributes:
        places: (M, 3) float64.
        normals: gives the outward unit normals of the places, (M, 3) float64; asked only where a scan may be one of one
            side.
        empty: places without a point of the scan, (M,) bool.
        reach: distance to the nearest point from which on a place is empty.
        spacing: distance of a place to the nearest other one.
    """

    places: Floats
    normals: Callable[[], Floats]
    empty: Mask
    reach: float
    spacing: float


@dataclass(frozen=True)
class Side:
    """A scan of one side.

    Attributes:
        part: the part beside the scan.
        seen: places that the scanner could see, (M,) bool.
    """

    part: Part
    seen: Mask

    def shows(self, piece: NDArray[np.intp], asked: Mask) -> Mask:
        """Which connected pieces of empty places the scanner looked at.

        Args:
            piece: number of the piece of each empty place, (E,).
            asked: which of the pieces are wanted, (P,).

        Returns:
            (P,).
        """
        sizes = np.bincount(piece)
        seen = self.seen[self.part.empty]
        share = np.bincount(piece, weights=seen) / sizes
        shown: Mask = asked & (share >= VISIBLE_SHARE)
        thin = asked & ~shown & (share >= THIN_VISIBLE) & (sizes >= THIN_PIECE)
        if thin.any():
            through = self._seen_through(seen, thin[piece])
            shown |= thin & (np.bincount(piece, weights=through) >= VISIBLE_SHARE * sizes)
        return shown

    def _seen_through(self, seen: Mask, asked: Mask) -> Mask:
        """Empty places that can be seen, or that lie across a thin wall from such a one: the hole goes through both.

        Args:
            seen: which empty places can be seen, (E,).
            asked: which of the others are looked at, (E,).
        """
        part = self.part
        places, normals = part.places[part.empty], part.normals()[part.empty]
        hidden = np.flatnonzero(asked & ~seen)
        beside, _ = cKDTree(places[seen]).query(places[hidden])
        # In six dimensions near is who lies near and looks the other way.
        opposite, _ = cKDTree(np.hstack([places[seen] / part.reach, normals[seen]])).query(
            np.hstack([places[hidden] / part.reach, -normals[hidden]])
        )
        through = seen.copy()
        through[hidden] = (beside <= SAME_FACE * part.spacing) | (opposite <= 1.0)
        return through


def one_side(points: Floats, part: Part) -> Side | None:
    """The side that a scan was taken from, None where it was taken from all around.

    Args:
        points: the scan, (N, 3) float64.
        part: the part beside it.
    """
    eyes = Eye.all_of(points)
    if not eyes[0].one_sided:
        return None
    for eye in eyes:
        seen = np.zeros(len(part.places), dtype=bool)
        seen[visible(part.places, eye.direction)] = True
        if not _contradicted(part, seen, eye.direction):
            return Side(part, seen)
    return None


def _contradicted(part: Part, seen: Mask, direction: Floats) -> bool:
    """Whether a scan shows most of what the part hides from a direction.

    Hidden is what lies farther than the reach of a point from all places that can be seen and face the direction: points
    on the near face of a thin wall reach through to the far one.
    """
    facing = part.normals() @ direction > 0.0
    if not LEAST_FACING <= facing.mean() <= 1.0 - LEAST_FACING or not (seen & facing).any():
        return False
    showing = cKDTree(part.places[seen & facing])
    hidden = np.isinf(showing.query(part.places, distance_upper_bound=part.reach)[0])
    return bool(hidden.mean() >= LEAST_HIDDEN and 1.0 - part.empty[hidden].mean() >= COVERED)
