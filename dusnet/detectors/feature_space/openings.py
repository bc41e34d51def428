"""Where a scan has no points, as features of places: holes and cracks have no point that could be described."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import ops
from dusnet.geometry.coverage import Coverage
from dusnet.geometry.slits import empty_paths

NEAREST = 4
"""Points nearest to a place: their mean says where the scan lies there, their mean distance how open the place is."""
PATH_PLACES = 3
"""Nearest places that the length of an empty path goes to."""
ACCIDENTAL = 1.5
"""Usual distances: both features in the mean over places of good scans from all sides (eight parts, 8000 points)."""

CHANNELS = 2
"""Features of a place."""


@dataclass(frozen=True)
class Openings:
    """What is measured of a scan to find where it has no points.

    Attributes:
        scan: all of its points, (N, 3) float64 in the frame.
        coverage: the places of the good surface beside the scan at the density of the training scans.
        missing: which of the places that carry features are places of a good part that the scanner looked at and did
            not find, (G,) bool.
        near: from each of them to the `NEAREST` nearest points of the thinned scan, (G, NEAREST) float32.
    """

    scan: NDArray[np.float64]
    coverage: Coverage
    missing: Tensor
    near: Tensor

    def at(self, places: Tensor, *, whole: bool) -> Tensor:
        """Two features of every place.

        What a part hides from the scanner is open and thin like a defect. In a view of one side no place is therefore
        more open than usual unless material is missing there, and paths are not looked for.

        Args:
            places: those that carry features, (G, 3) float32.
            whole: whether the scan shows the part from all sides.

        Returns:
            (G, 2) float32: mean distance to the `NEAREST` nearest points over the distance that is usual in this scan,
            and length of the longest nearly straight path through empty places near it, in usual distances.
        """
        paths = self._paths(places) if whole else torch.full((len(places),), ACCIDENTAL)
        return torch.stack([self._spacing(whole=whole), paths], dim=1)

    def _spacing(self, *, whole: bool) -> Tensor:
        spacing = self.near.mean(dim=1) / self.coverage.usual
        return spacing if whole else torch.where(self.missing, spacing, spacing.clamp_max(ACCIDENTAL))

    def _paths(self, places: Tensor) -> Tensor:
        """(G,); of the whole scan, since cracks are as thin as the space between its points."""
        cloud = torch.from_numpy(self.scan).float()
        index, length, _ = empty_paths(Coverage.of(cloud, self.coverage.part))
        found = torch.zeros(len(places))
        if len(index):
            count = min(PATH_PLACES, len(places))
            _, near = ops.knn(self.coverage.places[torch.from_numpy(index)][None], places[None], count)
            values = torch.from_numpy(length).float().unsqueeze(1).expand(-1, count)
            found.scatter_reduce_(0, near[0].flatten(), values.flatten(), "amax")
        return found
