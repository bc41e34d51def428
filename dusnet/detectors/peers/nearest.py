"""The trivial reference: distance to the nearest training point after the same registration.

No learning; every method has to be better than this to be worth its time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import ops
from dusnet.detectors import scoring
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.io import stored
from dusnet.progress import Progress


class Nearest(RegisteredDetector):
    """Point score = distance to the nearest point of the aligned training clouds, smoothed and pooled as in DUS-Net."""

    name: ClassVar[str] = "nearest"
    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.FOR_ALL | {"scoring"}

    @property
    def fits_in_seconds(self) -> bool:
        """It learns nothing."""
        return True

    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        del progress, workdir, resume
        self._memory = _searchable(torch.from_numpy(np.concatenate(clouds)).float())

    def _judge(self, points: NDArray[np.float64]) -> FrameScores:
        cloud = torch.from_numpy(points).float()
        distances = scoring.nearest_distance(cloud, self._memory)
        scores = scoring.smooth_over(cloud, distances, self.settings.scoring.smoothing)
        return FrameScores(scores.numpy(), scoring.pool(scores, self.settings.scoring), distances.numpy(), None)

    def _tensors(self) -> dict[str, Tensor]:
        return {"memory": self._memory.points[0]}

    def _metadata(self) -> dict[str, Any]:
        return {}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        del metadata
        self._memory = _searchable(stored.tensor(tensors, "memory", None, 3))


def _searchable(memory: Tensor) -> ops.PointIndex:
    """Every scan is compared with the same points."""
    return ops.PointIndex(memory.unsqueeze(0))
