"""The individuals chart of statistical process control: whether a process still does what it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RANGE_OF_TWO = 1.128379167095513
"""Mean distance of two draws from a normal distribution of standard deviation 1, 2 / sqrt(pi): d2 of two."""


@dataclass(frozen=True)
class ControlLimits:
    """Where a value lies while the process stays as it is.

    Attributes:
        center: mean of the values.
        sigma: standard deviation from one value to the next: mean moving range / 1.128.
        count: values that this was computed from.
    """

    center: float
    sigma: float
    count: int

    @property
    def low(self) -> float:
        """Three sigma below the center."""
        return self.center - 3.0 * self.sigma

    @property
    def high(self) -> float:
        """Three sigma above the center."""
        return self.center + 3.0 * self.sigma

    def outside(self, value: float) -> bool:
        """Whether a value lies beyond three sigma; one that is not finite does."""
        return not self.low <= value <= self.high


def control_limits(values: Sequence[float]) -> ControlLimits | None:
    """Center and limits of an individuals chart; None with fewer than two values.

    Sigma comes from the moving ranges, the differences of neighbours, so that a slow drift does not widen the limits.

    Args:
        values: finite, in the order of time.
    """
    if len(values) < 2:
        return None
    found: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    return ControlLimits(float(found.mean()), float(np.abs(np.diff(found)).mean()) / _RANGE_OF_TWO, len(found))


def moving_share(hits: Sequence[bool], window: int) -> NDArray[np.float64]:
    """Share of hits among the last `window` entries up to each one, (N,); at the beginning among those there are.

    Args:
        hits: N entries in the order of time.
        window: at least 1.
    """
    total = np.concatenate(([0], np.cumsum(np.asarray(hits, dtype=np.int64))))
    end = np.arange(1, len(hits) + 1)
    start = np.maximum(end - window, 0)
    return (total[end] - total[start]) / (end - start)
