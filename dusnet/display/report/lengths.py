"""How lengths are written on a page: with as many decimals as the part and its deviations need."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dusnet.cloud import Points
from dusnet.display.extent import extent
from dusnet.display.wording import MISSING, fixed, percent
from dusnet.result import Result
from dusnet.words import plain

_MOST_DECIMALS = 9


@dataclass(frozen=True)
class Lengths:
    """How lengths of one part are written: to a hundred-thousandth of its size or finer.

    Attributes:
        unit: of the scan, "" when nobody said.
        decimals: digits after the point.
        fine: digits after the point of a deviation: it is told to a hundredth of the tolerance or, where there is none,
            of the largest deviation, or finer.
    """

    unit: str
    decimals: int
    fine: int

    @classmethod
    def of(cls, points: Points, result: Result) -> Lengths:
        """For a part of this size and its result."""
        low, high = extent(points)
        decimals = _decimals(float((high - low).max()) * 1e-5, 3)
        return cls(result.unit or "", decimals, max(decimals, _decimals(_allowed(result) / 100.0, 0)))

    def write(self, value: float | None) -> str:
        """A length without its unit."""
        return fixed(value, self.decimals)

    def deviation(self, value: float | None, *, signed: bool = True) -> str:
        """A deviation, or where not signed a distance, without its unit."""
        return fixed(value, self.fine, signed=signed)

    def fit_error(self, residual: float | None, scale: float | None) -> str:
        """How far a scan lies from the model in the mean, with its unit.

        Args:
            residual: of the registration, fraction of the part's radius.
            scale: that radius in the unit of the scan, or None.
        """
        if residual is None or not math.isfinite(residual):
            return MISSING
        if scale is None or not self.unit:
            return f"{percent(residual)} of the part's radius"
        return self.with_unit(plain(residual * scale, 2))

    def with_unit(self, words: str) -> str:
        """A length that was written, with its unit."""
        return f"{words} {self.unit}".strip()


def _decimals(step: float, unknown: int) -> int:
    """How many decimals tell two lengths apart that differ by `step`; `unknown` where there is no step."""
    if step <= 0.0:
        return unknown
    return min(max(math.ceil(-math.log10(step) - 1e-9), 0), _MOST_DECIMALS)


def _allowed(result: Result) -> float:
    """The smaller tolerance, else the largest deviation or distance of the scan; 0 where none is known."""
    if result.comparison is not None:
        return min(result.comparison.tolerance.plus, result.comparison.tolerance.minus)
    signed, distances = result.deviation_statistics, result.distance_statistics
    if signed is not None and signed.mean is not None:
        ends = [signed.min, signed.max]
    else:
        ends = [] if distances is None else [distances.max]
    return max((abs(end) for end in ends if end is not None), default=0.0)
