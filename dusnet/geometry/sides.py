"""Which places of a good part a scan looked at: all of them, or what can be seen from one side.

Hidden point removal sees through thin walls, so a scan of both faces of a sheet, a bowl or a rod can look like a scan
of one side. The part itself decides: where the scan has points at most of what is hidden from the scanner's place, it
was not taken from there alone. Of a part of thin walls the layers of the scan's points decide
(`dusnet.geometry.thin_walls`).

All lengths are in the frame of the class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.geometry.neighbors import Neighbors
from dusnet.geometry.normals import planes
from dusnet.geometry.sampling import thin_to
from dusnet.geometry.thin_walls import WALL_PLACES, Layers, Shadows
from dusnet.geometry.visibility import Eye, directions, visible

VISIBLE_SHARE = 0.9
"""Share of a piece that a scan of one side must be able to see, or the piece counts as hidden."""
LEAST_FACING = 0.25
"""Share of a part that must face the scanner, and that must face away: a model of one side alone has no hidden face."""
LEAST_HIDDEN = 0.02
"""Share of the part that must be hidden for the scan to be compared with it."""
COVERED = 0.5
"""Share of what is hidden that a scan of one side can have points at, since its best eye is a rough guess."""
COVERED_BESIDE = 0.9
"""The same from some direction near the best eye: views of bent sheets have up to 0.8, scans of all faces 0.97."""
EYES = 64  # directions on the whole sphere, 25 degrees apart
LEAST_COSINE = 0.5
"""Directions within 60 degrees of the best eye are tried where the part contradicts that."""
LOOKED_AT = 2000
"""Places that are looked at from these."""
THIN_PIECE = 12
"""Places from which on a piece can be that of both faces of a thin wall."""
THIN_VISIBLE = 1 / 3
"""Share of the places of both faces that can be seen at least: those of the near face."""
ALIKE = np.cos(np.deg2rad(30.0))
"""Places whose normals are nearer to each other than this cosine says look the same way."""
LOOKED_AT_SHARE = 0.2
"""Share of the places that look one way that a scan has points at, or nobody looked at them."""
AWAY = 2 / 3
"""A piece counts as hidden where more than this share of its places look where nobody looked."""
SAME_FACE = 2.5
"""Places nearer than so many of their spacings cannot be told to lie on different faces."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class CoveredPart:
    """A good part beside a scan.

    Attributes:
        places: (M, 3) float64.
        normals: gives the outward unit normals of the places, (M, 3) float64; asked only where a scan may leave out a
            side.
        empty: places without a point of the scan, (M,) bool.
        reach: distance from what can be seen up to which points of the near face of a thin wall pass for those of its
            far one.
        spacing: distance of a place to the nearest other one.
    """

    places: Floats
    normals: Callable[[], Floats]
    empty: Mask
    reach: float
    spacing: float


@dataclass(frozen=True)
class OneSidedScan:
    """A scan of one side.

    Attributes:
        part: the part beside the scan.
        seen: places that the scanner could see, (M,) bool.
    """

    part: CoveredPart
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
        beside, _ = Neighbors(places[seen]).nearest(places[hidden])
        # In six dimensions near is who lies near and looks the other way.
        opposite, _ = cKDTree(np.hstack([places[seen] / part.reach, normals[seen]])).query(
            np.hstack([places[hidden] / part.reach, -normals[hidden]])
        )
        through = seen.copy()
        through[hidden] = (beside <= SAME_FACE * part.spacing) | (opposite <= 1.0)
        return through


def facing_away(part: CoveredPart, piece: NDArray[np.intp]) -> Mask:
    """Which connected pieces of empty places look where the scan shows next to nothing of the part, (P,).

    Under an overhang of a part that lay on a turntable a pocket is empty although a camera went all around it.

    Args:
        part: the part beside the scan.
        piece: number of the piece of each empty place, (E,).
    """
    away = looks_away(part)
    found: Mask = np.bincount(piece, weights=away) > AWAY * np.bincount(piece)
    return found


def looks_away(part: CoveredPart) -> Mask:
    """Which empty places look where the scan shows next to nothing of the part, (E,)."""
    normals, ways = part.normals(), directions(EYES)
    way = (normals @ ways.T).argmax(axis=1)
    counts = np.bincount(way, minlength=EYES)
    seen = np.bincount(way[~part.empty], minlength=EYES)
    alike = (ways @ ways.T > ALIKE).astype(np.float64)
    share = (alike @ seen) / np.maximum(alike @ counts, 1)
    away: Mask = share[way[part.empty]] < LOOKED_AT_SHARE
    return away


def one_side(points: Floats, part: CoveredPart) -> OneSidedScan | None:
    """The side that a scan was taken from, None where it was taken from all around.

    Args:
        points: the scan, (N, 3) float64.
        part: the part beside it.
    """
    eyes = Eye.all_of(points)
    if not eyes[0].one_sided:
        return None
    layers = Layers.of(points, part.places, part.empty, part.reach)
    if layers.both_faces:
        return None
    if layers.one_face:
        return OneSidedScan(part, _seen_past_walls(points, part))
    undecided = None
    for eye in eyes:
        seen = _seen(part, eye.direction)
        covered = _covered(part, seen, eye.direction)
        if covered is None:
            undecided = undecided or OneSidedScan(part, seen)
        elif covered < COVERED:
            return OneSidedScan(part, seen)
        else:
            beside = _eye_beside(part, eye.direction)
            if beside is not None:
                return OneSidedScan(part, _seen(part, beside))
    return undecided


def _seen_past_walls(points: Floats, part: CoveredPart) -> Mask:
    """Which places are not in the shadow of a scan of one face: hidden point removal sees through thin walls."""
    seen = np.ones(len(part.places), dtype=bool)
    if part.empty.any():
        shadows, lost = Shadows.of(points, part.reach), part.places[part.empty]
        walls = planes(lost, part.places, WALL_PLACES)[0]
        seen[part.empty] = ~shadows.hidden(lost, walls, shadows.camera(lost, walls))
    return seen


def _seen(part: CoveredPart, direction: Floats) -> Mask:
    seen = np.zeros(len(part.places), dtype=bool)
    seen[visible(part.places, direction)] = True
    return seen


def _covered(part: CoveredPart, seen: Mask, direction: Floats) -> float | None:
    """Share of what the part hides from a direction that the scan shows, None where it hides next to nothing.

    Hidden is what lies farther than the reach of a point from all places that can be seen: points on the near face of a
    thin wall reach through to the far one.
    """
    facing = float((part.normals() @ direction > 0.0).mean())
    if not LEAST_FACING <= facing <= 1.0 - LEAST_FACING or not seen.any():
        return None
    hidden = Neighbors(part.places[seen]).nearest(part.places)[0] >= part.reach
    return None if hidden.mean() < LEAST_HIDDEN else float(1.0 - part.empty[hidden].mean())


def _eye_beside(part: CoveredPart, direction: Floats) -> Floats | None:
    """The direction near another one from where a scan shows least of what is hidden; None where it shows nearly all.

    Of a bent sheet the best eye is a rough guess.
    """
    few = thin_to(part.places, LOOKED_AT)
    normals = part.normals()[few]
    some = CoveredPart(part.places[few], lambda: normals, part.empty[few], part.reach, part.spacing)
    best, least = None, COVERED_BESIDE
    for eye in directions(EYES):
        covered = _covered(some, _seen(some, eye), eye) if eye @ direction > LEAST_COSINE else None
        if covered is not None and covered < least:
            best, least = eye, covered
    return best
