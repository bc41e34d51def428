"""What can be seen of a part from every side, and the side that a scan with a part of it was taken from.

A scan from one camera leaves out what the part hides from it: nearly all of that, and next to nothing else. Where a
piece is gone, no camera explains what is left out, since the scan also shows what each of them could not see.

All lengths are in the frame of the class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.neighbors import Neighbors
from dusnet.geometry.sampling import thin_to
from dusnet.geometry.visibility import directions, visible

EYES = 128  # directions on the whole sphere, 18 degrees apart
LOOKED_AT = 2000
"""Places that are looked at from each."""
LEAST_AGREEMENT = 0.76
"""Share of the places that one camera must explain. 232 of 237 views of 22 parts have more, and 9 of 156 whole scans of
these without a piece of 15 to 45 %: of a bowl, or without a third of the part and more."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Sight:
    """One camera beside a scan.

    Attributes:
        agreement: share of the places that the scan shows or leaves out as a scan from there does, 0 to 1.
        hidden: which of the places that are looked at are hidden from there, (K,).
    """

    agreement: float
    hidden: Mask

    @property
    def explains(self) -> bool:
        """Whether the scan was taken from there."""
        return self.agreement >= LEAST_AGREEMENT


@dataclass(frozen=True)
class Sights:
    """A part from every side.

    Attributes:
        places: numbers of the places that are looked at, (K,).
        behind: distance of each to the nearest place that can be seen from each direction, 0 for one that can be seen
            itself, (EYES, K).
    """

    places: NDArray[np.intp]
    behind: Floats

    @classmethod
    def of(cls, places: Floats) -> Sights:
        """Look at a part, (M, 3), from all sides."""
        few = thin_to(places, LOOKED_AT)
        return cls(few, np.stack([_behind(places[few], eye) for eye in directions(EYES)]))

    def best(self, empty: Mask, reach: float) -> Sight:
        """The camera that explains best what a scan shows and what it leaves out.

        Args:
            empty: places of the part without a point of the scan, (M,).
            reach: what is hidden, but no farther than this from what is seen, can go either way: points on the near
                face of a thin wall stand for the far one.
        """
        left_out, hidden = empty[self.places], self.behind > 0.0
        sure = ~hidden | (self.behind > reach)
        agreement = ((left_out == hidden) & sure).sum(axis=1) / np.maximum(sure.sum(axis=1), 1)
        first = int(agreement.argmax())
        return Sight(float(agreement[first]), hidden[first])


def _behind(places: Floats, direction: Floats) -> Floats:
    found = np.zeros(len(places))
    seen = np.zeros(len(places), dtype=bool)
    seen[visible(places, direction)] = True
    if not seen.all():
        found[~seen] = Neighbors(places[seen]).nearest(places[~seen])[0]
    return found
