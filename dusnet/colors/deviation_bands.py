"""The colours of deviations from a CAD model: bands at fixed multiples of the tolerance, the same for every scan.

Pale within tolerance, blue where material is missing, orange to maroon where there is too much. The two sides differ
in hue that no kind of colour blindness takes away, and grow darker from band to band.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dusnet.colors.color_maps import NEUTRAL

STEPS = (0.5, 1.0, 2.0, 3.0)
"""Where bands end on either side, in tolerances."""
COLORS = (
    (12, 24, 100),
    (36, 84, 178),
    (98, 158, 216),
    (196, 216, 230),
    (226, 232, 226),
    (240, 224, 180),
    (240, 154, 62),
    (196, 52, 44),
    (92, 8, 48),
)
"""sRGB from the most missing to the most excess material; the middle three are within tolerance."""


@dataclass(frozen=True)
class DeviationBands:
    """The bands of one pair of tolerances.

    Attributes:
        plus: allowed excess, positive.
        minus: allowed lack, positive.
    """

    plus: float
    minus: float

    @property
    def edges(self) -> tuple[float, ...]:
        """The deviations between one band and the next, ascending, (8,)."""
        return (*(-step * self.minus for step in reversed(STEPS)), *(step * self.plus for step in STEPS))

    def number(self, deviations: ArrayLike) -> NDArray[np.intp]:
        """The band of each signed deviation, (N,): from 0, the most missing material, to 8; 9 for NaN.

        A deviation on an edge belongs to the band nearer to zero: exactly the tolerance is within it.
        """
        value = np.asarray(deviations, dtype=np.float64)
        lack = np.searchsorted([step * self.minus for step in STEPS], -value, side="left")
        excess = np.searchsorted([step * self.plus for step in STEPS], value, side="left")
        found = np.where(value < 0.0, len(STEPS) - lack, len(STEPS) + excess)
        return np.where(np.isnan(value), len(COLORS), found)

    def colors(self, deviations: ArrayLike) -> NDArray[np.uint8]:
        """The colour of each signed deviation, (N,) -> (N, 3) uint8 sRGB; NaN is grey."""
        return np.array((*COLORS, NEUTRAL), dtype=np.uint8)[self.number(deviations)]

    def record(self) -> list[dict[str, Any]]:
        """The bands as JSON writes them: each from `above` (null: no limit) to `up_to`, in the unit of the scan."""
        edges = [None, *self.edges, None]
        return [
            {"above": low, "up_to": high, "color": list(color)}
            for low, high, color in zip(edges[:-1], edges[1:], COLORS, strict=True)
        ]
