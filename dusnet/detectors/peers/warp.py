"""The smooth warp as a detector of its own: what is left of a scan when all that good parts do is taken away.

Registration, the robust polynomial warp onto the common surface of the good scans, the distance to that surface divided
by what good scans show at the same place, and the gap term. Closed form; see `docs/method.md`.
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
from dusnet.geometry import coverage
from dusnet.progress import Progress
from dusnet.registration.good_surface import GoodSurface


class WarpDistance(RegisteredDetector):
    """Point score = smoothed tolerance-corrected distance to the warped surface, plus the weighted gap."""

    name: ClassVar[str] = "warp"
    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.FOR_ALL | {"warp", "scoring"}

    @property
    def fits_in_seconds(self) -> bool:
        """It learns nothing."""
        return True

    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        del progress, workdir, resume
        tensors = [torch.from_numpy(cloud).float() for cloud in clouds]
        self._surface = GoodSurface.learn(
            tensors, self.settings.warp, seed=self.seed, tolerance=self.settings.warp.tolerance
        )

    def _judge(self, points: NDArray[np.float64]) -> FrameScores:
        chosen = self.settings.scoring
        found = self._surface.compare(torch.from_numpy(points).float())
        distances = found.distance.abs()
        scores = distances
        if self._surface.tolerance is not None:
            scores = self._surface.tolerance.normalise(distances, found.shaped)
        scores = scoring.smooth_over(found.points, scores, chosen.smoothing)
        if chosen.gap:
            scores = scores + chosen.gap * coverage.gap(found.shaped, self._surface.places)
        return FrameScores(scores.numpy(), scoring.pool(scores, chosen), distances.numpy(), None)

    def _tensors(self) -> dict[str, Tensor]:
        return self._surface.tensors()

    def _metadata(self) -> dict[str, Any]:
        return self._surface.metadata()

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self._surface = GoodSurface.restore(metadata, tensors, self.settings.warp, seed=self.seed)
