"""What good scans score, and the limits that follow.

Four left-out scans are too few to read a quantile off. Logarithms of good scores scatter alike from part to part, so a
normal distribution is fitted to those of a part, its variance drawn towards the usual one, and the limit is a quantile
of what such a fit predicts for one more scan (Gelman et al., "Bayesian Data Analysis", 3rd ed., section 3.3: normal
data with a conjugate prior; the mean has a flat one).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t as student

if TYPE_CHECKING:
    from dusnet.detectors.base import Scores

USUAL_SPREAD = 0.3
"""Standard deviation of the logarithm of good scores of one part, where a detector does not say its own."""
WORTH = 8.0
"""Scans that the usual spread counts for beside those of the part."""
FARTHEST = 8.0
"""A score counts as at most this many times the middle one of its part, and at least one such part of it: one odd scan
must not decide."""
MOST_SPREAD = 10.0
LEAST_RATE = 0.01
"""The smallest false-alarm rate that a fit can promise."""
ABOVE = 5
"""Added scans above the limit from which on it is read off instead of fitted."""


def fitted_limit(scores: Sequence[float], rate: float, spread: float = USUAL_SPREAD) -> float:
    """What one more good score exceeds with probability `rate`.

    Args:
        scores: of good scans, at least one. Where one is negative, or most are zero, all are taken as they are and not
            as logarithms, and their own spread alone counts.
        rate: 0 to 1.
        spread: usual standard deviation of their logarithm.
    """
    known = np.asarray(scores, dtype=np.float64)
    middle = float(np.median(known))
    if known.min() < 0.0 or middle == 0.0:
        return _predicted(known, rate, usual=0.0, worth=0.0)
    logs = np.log(np.clip(known, middle / FARTHEST, FARTHEST * middle))
    return float(np.exp(_predicted(logs, rate, usual=spread, worth=WORTH)))


def _predicted(values: np.ndarray, rate: float, *, usual: float, worth: float) -> float:
    """The quantile of a further value of a normal distribution whose mean and variance are known from a few."""
    count = len(values)
    freedom = worth + count - 1
    mean = float(values.mean())
    if freedom < 1.0:
        return mean
    variance = (worth * usual**2 + float(((values - mean) ** 2).sum())) / freedom
    return mean + float(student.ppf(1.0 - rate, freedom)) * math.sqrt(variance * (1.0 + 1.0 / count))


@dataclass(frozen=True)
class GoodScores:
    """Scores of good scans, of the whole scan and of its points; entries of one place belong to one scan.

    Attributes:
        objects: object scores.
        points: point scores that one point in a thousand exceeds.
    """

    objects: tuple[float, ...] = ()
    points: tuple[float, ...] = ()

    @classmethod
    def of(cls, scored: Sequence[Scores]) -> GoodScores:
        """The scores of some scans, by ascending object score."""
        ordered = sorted(scored, key=lambda one: one.object_score)
        return cls(tuple(one.object_score for one in ordered), tuple(one.high_point for one in ordered))

    def __len__(self) -> int:
        return len(self.objects)

    def __add__(self, other: GoodScores) -> GoodScores:
        both = sorted([*zip(self.objects, self.points, strict=True), *zip(other.objects, other.points, strict=True)])
        return GoodScores(tuple(one for one, _ in both), tuple(point for _, point in both))

    def to_json(self) -> list[list[float]]:
        """As plain numbers, a pair per scan."""
        return [list(pair) for pair in zip(self.objects, self.points, strict=True)]

    @classmethod
    def from_json(cls, data: Any, what: str) -> GoodScores:
        """The inverse of `to_json`.

        Raises:
            ValueError: the data are none of good scores.
        """
        from dusnet.io.stored import Unusable

        pairs = _pairs(data, what)
        if any(one[0] > other[0] for one, other in pairwise(pairs)):
            raise Unusable(f"its calibration, {what}, is not in order")
        return cls(tuple(one for one, _ in pairs), tuple(point for _, point in pairs))


@dataclass(frozen=True)
class Calibration:
    """What good scans score, and the limits that follow.

    Attributes:
        left_out: training scans, each scored by a model of the others; empty where that was not possible.
        simulated: simulated scans, where no training scan was left out; then they decide.
        source: where the good scans came from.
        added: good scans that came after training.
        small_defects: object scores of training scans without and with a bulge of 2 % of the part's radius.
        spread: usual standard deviation of the logarithm of good scores, of scans and of their points.
    """

    left_out: GoodScores = GoodScores()
    simulated: GoodScores = GoodScores()
    source: str = ""
    added: GoodScores = GoodScores()
    small_defects: tuple[tuple[float, float], ...] = ()
    spread: float = USUAL_SPREAD

    @property
    def good(self) -> GoodScores:
        """Scans that show what training scans show, all that count."""
        return (self.left_out if self.left_out else self.simulated) + self.added

    def basis(self, rate: float) -> GoodScores:
        """The good scans that decide on the limits for this rate."""
        return self.added if self._read_off(rate) else self.good

    def threshold(self, rate: float) -> float:
        """Object score that a new good scan exceeds with probability at most `rate`.

        Fitted to the good scans; with so many added ones that at least `ABOVE` of them lie beyond, the split-conformal
        quantile of these: the k-th smallest of n scores with k = ceil((n + 1)(1 - rate)), which holds for whatever
        distribution scans and added scans share.
        """
        return self._limit(self.basis(rate).objects, rate)

    def point_threshold(self, rate: float) -> float:
        """Point score that one point in a thousand of a new good scan exceeds with probability at most `rate`."""
        return self._limit(self.basis(rate).points, rate)

    def _limit(self, scores: Sequence[float], rate: float) -> float:
        if self._read_off(rate):
            ordered = sorted(scores)
            return ordered[math.ceil((len(ordered) + 1) * (1 - rate)) - 1]
        return fitted_limit(scores, rate, self.spread)

    def _read_off(self, rate: float) -> bool:
        return len(self.added) * rate >= ABOVE

    def supports(self, rate: float) -> bool:
        """Whether the calibration can promise this rate."""
        return rate >= LEAST_RATE or self._read_off(rate)

    def misses_small_defects(self, threshold: float) -> bool:
        """Whether no scan that is good without its small defect exceeds this threshold with it.

        False where none was scored.
        """
        scored = [damaged for clean, damaged in self.small_defects if clean <= threshold]
        return bool(scored) and max(scored) <= threshold

    def provenance(self, rate: float) -> dict[str, Any]:
        """What the threshold for a rate rests on, as JSON."""
        alone = self._read_off(rate)
        return {
            "false_alarm": rate,
            "supported": self.supports(rate),
            "good_scans": {
                "simulated": 0 if alone or self.left_out else len(self.simulated),
                "left_out": 0 if alone else len(self.left_out),
                "added": len(self.added),
            },
            "source": self.source,
        }

    def with_scans(self, scores: Sequence[Scores], source: str) -> Calibration:
        """The calibration with good scans added that the detector did not learn from."""
        return replace(self, added=self.added + GoodScores.of(scores), source=f"{self.source}; {source}")

    def to_json(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            "left_out": self.left_out.to_json(),
            "simulated": self.simulated.to_json(),
            "source": self.source,
            "added": self.added.to_json(),
            "small_defects": [list(pair) for pair in self.small_defects],
            "spread": self.spread,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Calibration:
        """The inverse of `to_json`.

        Raises:
            KeyError, ValueError: the data are none of a calibration.
        """
        from dusnet.io.stored import Unusable, number, text

        parts = {name: GoodScores.from_json(data[name], name) for name in ("left_out", "simulated", "added")}
        if not parts["left_out"] and not parts["simulated"]:
            raise Unusable("its calibration counts good scans that it does not have")
        return cls(
            **parts,
            source=text(data["source"], "source of the calibration"),
            small_defects=_pairs(data["small_defects"], "small_defects"),
            spread=number(data["spread"], "calibration, spread,", 0, MOST_SPREAD),
        )


def _pairs(data: Any, name: str) -> tuple[tuple[float, float], ...]:
    from dusnet.io.stored import Unusable, entries, numbers

    what = f"calibration, {name},"
    found = [numbers(pair, what) for pair in entries(data, what)]
    if any(len(pair) != 2 for pair in found):
        raise Unusable(f"its calibration, {name}, does not hold pairs")
    return tuple((one, other) for one, other in found)
