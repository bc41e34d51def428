"""The template distance: registration, then the distance to the surface of the good scans, and no learning.

The strongest baseline for identical parts; "3D anomaly detection without learning" in many forms (Template3D-AD, IJCAI
2025, compares with one template after registration; here all aligned training scans are the template).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet.detectors import scoring
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.progress import Progress
from dusnet.registration.good_surface import planes_of
from dusnet.registration.warp import TangentPlanes


class Template(RegisteredDetector):
    """Point score = distance to the tangent planes of the aligned training clouds, smoothed and pooled as DUS-Net's."""

    name: ClassVar[str] = "template"
    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.FOR_ALL | {"scoring"}

    @property
    def fits_in_seconds(self) -> bool:
        """It learns nothing."""
        return True

    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        del progress, workdir, resume
        self._planes = TangentPlanes(torch.from_numpy(np.concatenate(clouds)).float())

    def _judge(self, points: NDArray[np.float64]) -> FrameScores:
        cloud = torch.from_numpy(points).float()
        distances = self._planes.signed_distance(cloud)[0].abs()
        scores = scoring.smooth_over(cloud, distances, self.settings.scoring.smoothing)
        return FrameScores(scores.numpy(), scoring.pool(scores, self.settings.scoring), distances.numpy(), None)

    def _tensors(self) -> dict[str, Tensor]:
        return {"points": self._planes.points, "normals": self._planes.normals}

    def _metadata(self) -> dict[str, Any]:
        return {}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        del metadata
        self._planes = planes_of(tensors, "points", "normals")
