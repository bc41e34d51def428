"""The trivial reference: distance to the nearest training point after the same registration.

No learning; every method has to be better than this to be worth its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from dusnet import ops
from dusnet.detectors import scoring
from dusnet.detectors.peers.surface_distance import SurfaceDistance, SurfaceScores
from dusnet.io import stored


class Nearest(SurfaceDistance):
    """The good surface is the points of the aligned training scans."""

    name: ClassVar[str] = "nearest"
    good_spread: ClassVar[float] = 0.12

    def _learn_surface(self, clouds: Sequence[Tensor]) -> None:
        self._training_points = ops.PointIndex(torch.cat(list(clouds)).unsqueeze(0))

    def _measure(self, cloud: Tensor) -> SurfaceScores:
        return SurfaceScores(scoring.nearest_distance(cloud, self._training_points))

    def _tensors(self) -> dict[str, Tensor]:
        return {"memory": self._training_points.points[0]}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        del metadata
        self._training_points = ops.PointIndex(stored.tensor(tensors, "memory", None, 3).unsqueeze(0))
