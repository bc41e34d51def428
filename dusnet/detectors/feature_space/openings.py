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
"""Points whose mean distance says how open a place is."""
CARRIED = 3
"""Nearest places that the length of an empty path goes to."""
ACCIDENTAL = 1.5
"""Usual distances: both features in the mean over places of good scans from all sides (eight parts, 8000 points)."""

CHANNELS = 2
"""Features of a place."""


@dataclass(frozen=True)
class Openings:
    """A scan beside the good surface of its part, ready to be asked where it has no points.

    Attributes:
        scan: all of its points, (N, 3) float64 in the frame.
        thinned: the scan at the density of the training scans, (n, 3) float32.
        beside: the places of the good surface beside the thinned scan.
        lost: which of the places that carry features were looked at and are not there, (G,) bool.
    """

    scan: NDArray[np.float64]
    thinned: Tensor
    beside: Coverage
    lost: Tensor

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
        return torch.stack([self._spacing(places, whole=whole), paths], dim=1)

    def _spacing(self, places: Tensor, *, whole: bool) -> Tensor:
        squared, _ = ops.knn(places[None], self.thinned[None], min(NEAREST, len(self.thinned)))
        spacing = squared[0].sqrt().mean(dim=1) / self.beside.usual
        return spacing if whole else torch.where(self.lost, spacing, spacing.clamp_max(ACCIDENTAL))

    def _paths(self, places: Tensor) -> Tensor:
        """(G,); of the whole scan, since cracks are as thin as the space between its points."""
        cloud = torch.from_numpy(self.scan).float()
        beside = Coverage.of(cloud, self.beside.places)
        index, length, _ = empty_paths(cloud, beside)
        found = torch.zeros(len(places))
        if len(index):
            count = min(CARRIED, len(places))
            _, near = ops.knn(beside.places[torch.from_numpy(index)][None], places[None], count)
            values = torch.from_numpy(length).float().unsqueeze(1).expand(-1, count)
            found.scatter_reduce_(0, near[0].flatten(), values.flatten(), "amax")
        return found
