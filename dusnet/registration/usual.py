"""How closely good scans lie on each other: what a pose has to reach to be believed without a look at others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dusnet.config import RegistrationSettings
from dusnet.registration.aligner import Aligner, Alignment

Array = NDArray[np.float64]

_MOST = 4  # scans that are compared with the others: what they reach differs little
_COPIES = 0.3  # of what a scan reaches beside its own points: different scans are farther apart
_LEFT = 500  # points that a mean distance can be measured with
_QUERY = 5  # of a single scan, one point in so many is compared with the others


@dataclass(frozen=True)
class Usual:
    """What good scans reach, fractions of the scale.

    Attributes:
        residual: largest residual of a good scan beside the others; 0 where there are no others.
        cost: as `residual`, of the cost. Of a single scan, what its own noise and spacing leave.
    """

    residual: float
    cost: float

    @classmethod
    def of(cls, beside: Sequence[tuple[float, float]], alone: Alignment) -> Usual:
        """What the scans `beside` each other reach, and one of them `alone`, beside its own points.

        Scans that are copies of each other do not show what another one will reach.
        """
        if not beside:
            return cls(0.0, alone.cost)
        residual, cost = (max(values) for values in zip(*beside, strict=True))
        return cls(max(residual, _COPIES * alone.residual), max(cost, _COPIES * alone.cost))


def alone(points: Array, scale: float, seed: int) -> Alignment:
    """Some points of a scan, (N, 3), beside its others: the same surface in the same pose, with noise and spacing.

    Args:
        points: the scan, the unit of the files.
        scale: of the class.
        seed: of the choice.
    """
    order = np.random.default_rng(seed).permutation(len(points))
    count = max(1, len(points) // _QUERY)
    aligner = Aligner(points[order[count:]], RegistrationSettings(method="none"), scale=scale, seed=seed)
    return aligner.measure(points[order[:count]])


def beside_others(
    aligner: Aligner, scans: Sequence[Array], owners: NDArray[np.intp], left: Sequence[Array]
) -> list[tuple[float, float]]:
    """Residual and cost that scans reach beside the others, each moved a little from where it lies.

    Without the points of a scan the reference is thinner than a new scan finds it: where walls are thin that says too
    much. What the thinning of the reference left out is near to a point that it kept: that says too little. The
    geometric mean of the two is what new scans reach.

    Args:
        aligner: of the class.
        scans: aligned already, (N, 3) each, the unit of the files; of many some are looked at.
        owners: which of them each point of the aligner's reference is of, (M,).
        left: points of each scan that the reference does not have.

    Returns:
        One pair per scan that was looked at, none for a single one.
    """
    if len(scans) < 2:
        return []
    found = []
    for number in np.unique(np.linspace(0, len(scans) - 1, _MOST).astype(int)):
        own = owners == number
        much = aligner.without(own).settle(scans[number])
        pair = much.residual, much.cost
        if len(left[number]) >= _LEFT:
            moved = left[number] @ much.matrix[:3, :3].T + much.matrix[:3, 3]
            little = aligner.measure(moved, not_beside=own)
            pair = float(np.sqrt(much.residual * little.residual)), float(np.sqrt(much.cost * little.cost))
        found.append(pair)
    return found
