"""The peers that measure how far a scan is from the surface of the good scans: `nearest`, `template` and `warp`.

They differ in what the surface is and in how the distance to it is measured. All learn in seconds, without a network.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet.detectors import scoring
from dusnet.detectors.placed_scan import PlacedScan
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.progress import Progress
from dusnet.registration.good_surface import ScanComparison


@dataclass(frozen=True)
class SurfaceScores:
    """A scan beside the surface of the good scans, in the frame.

    Attributes:
        distances: of every point to the surface, (N,) float32.
        scores: distances in units of what good scans show at the same place, (N,); None: the distances.
        gap: what is missing around every point, a length, (N,); None: not measured.
        beside: the scan without its smooth variation; None where that stays in.
    """

    distances: Tensor
    scores: Tensor | None = None
    gap: Tensor | None = None
    beside: ScanComparison | None = None


class SurfaceDistance(RegisteredDetector):
    """Point score = distance to the good surface, averaged over nearest points, plus the weighted gap.

    Smoothing, weight of the gap and pooling of the object score are those of `settings.scoring`.
    """

    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.SMOOTHED

    @property
    def fits_in_seconds(self) -> bool:
        """It trains no network."""
        return True

    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        del progress, workdir, resume
        self._learn_surface([torch.from_numpy(cloud).float() for cloud in clouds])

    def _judge(self, scan: PlacedScan) -> FrameScores:
        chosen = self.settings.scoring
        measured = self._measure(scan.cloud)
        scores = measured.distances if measured.scores is None else measured.scores
        scores = scan.smoothed(scores, chosen.smoothing)
        if measured.gap is not None:
            scores = scores + chosen.gap * measured.gap
        beside = measured.beside
        return FrameScores(
            scores.numpy(),
            scoring.pool(scores, chosen),
            measured.distances.numpy(),
            None,
            deviation=None if beside is None else scan.outside(beside.distance, beside.normals).numpy(),
        )

    def _metadata(self) -> dict[str, Any]:
        return {}

    @abstractmethod
    def _learn_surface(self, clouds: Sequence[Tensor]) -> None:
        """Make the good surface of the training scans in the frame, (N, 3) float32 each."""

    @abstractmethod
    def _measure(self, cloud: Tensor) -> SurfaceScores:
        """A scan in the frame, (N, 3) float32, beside the good surface."""
