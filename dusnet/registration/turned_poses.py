"""Poses that most of a part cannot tell from the one that a search ended in; what little differs decides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.surface import DiscSurface
from dusnet.registration.costs import ordered, pose_costs
from dusnet.registration.icp import icp
from dusnet.registration.near_symmetries import NearSymmetries, turns

Array = NDArray[np.float64]

_SETTLE = (300, 0.04, 5)  # scan points, reach and steps of the ICP that turned poses settle with
_POINTS = 1500  # scan points that they are ranked on
_FAR = 0.15  # of the scale: no point counts for more there; a mark may lie that far from where it belongs
_BETTER = 0.98  # ratio of that cost from which on a turned pose is followed
_MOST = 3  # poses that are
_FINE_TURNS = (np.arange(-5.0, 5.1, 0.5), np.arange(-0.4, 0.45, 0.1))
"""Degrees by which a part of revolution is turned in the end: ICP does not turn what only a small mark holds."""


@dataclass(frozen=True)
class TurnedPoses:
    """What a reference offers beside a pose. All lengths are fractions of the scale.

    Attributes:
        surface: the reference.
        symmetries: what nearly keeps it.
    """

    surface: DiscSurface
    symmetries: NearSymmetries

    @classmethod
    def of(cls, surface: DiscSurface, coarse: DiscSurface) -> TurnedPoses:
        """Those of a reference, whose evenly spread points `coarse` has."""
        return cls(surface, NearSymmetries.of(coarse))

    def __bool__(self) -> bool:
        """Whether a motion nearly keeps the reference."""
        return len(self.symmetries.motions) > 0

    def promising(self, scan: Array, pose: Array) -> Array:
        """The poses, at most `_MOST`, that a motion makes of `pose` and that cost clearly less, best first.

        Args:
            scan: (N, 3) float64.
            pose: (4, 4), scan -> reference.

        Returns:
            (P, 4, 4); none for a part without such motions.
        """
        poses = np.concatenate([pose[None], self.symmetries.motions @ pose])
        count, reach, steps = _SETTLE
        few = scan[:: max(1, len(scan) // count)]
        poses[1:] = icp(few, self.surface, poses[1:], reach, steps, tolerance=1e-3)
        part = scan[:: max(1, len(scan) // _POINTS)]
        costs = pose_costs(self.surface, part, poses, _FAR)
        return poses[[number for number in ordered(costs)[:_MOST] if costs[number] < _BETTER * costs[0]]]

    def turned_finely(self, scan: Array, pose: Array) -> Array | None:
        """The best of `pose`, (4, 4), and its turns by a few degrees about the axis; None where there is no axis.

        The turns end on steps of a tenth of a degree.
        """
        if self.symmetries.axis is None:
            return None
        for angles in _FINE_TURNS:
            poses = turns(*self.symmetries.axis, np.deg2rad(angles)) @ pose
            pose = poses[ordered(pose_costs(self.surface, scan, poses))[0]]
        return pose
