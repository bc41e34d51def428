"""DUS-Net: Noise-Gen, Down-Net and Up-Net as a detector (ACM MM 2025, arXiv 2507.03903)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet.config import Settings
from dusnet.detectors.dusnet.guided import Guided, weights_mark
from dusnet.detectors.dusnet_paper.per_part import PerPart
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.progress import Progress


class DUSNet(RegisteredDetector):
    """The two-stage reconstruction network as a detector; see `docs/method.md`.

    With `guide.enabled` its networks know no part and start from the warped good surface; without, they are the paper's
    and are trained on every part.
    """

    name: ClassVar[str] = "dusnet"
    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.FOR_ALL | {
        "warp",
        "grouping",
        "noise",
        "down_net",
        "guide",
        "up_net",
        "loss",
        "training",
        "scoring",
    }

    def __init__(self, settings: Settings, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(settings, seed=seed, device=device)
        if not settings.guide.enabled:
            PerPart.check(settings)
        self._way: Guided | PerPart

    @property
    def fits_in_seconds(self) -> bool:
        """Networks that know no part need no training."""
        return self.settings.guide.enabled

    @classmethod
    def weights_digest(cls, settings: Settings) -> str | None:
        """A hash of the weights that it starts from."""
        return weights_mark(settings) if settings.guide.enabled else None

    def _learn(self, clouds: list[NDArray[Any]], *, progress: Progress, workdir: Path | None, resume: bool) -> None:
        if self.settings.guide.enabled:
            self._way = Guided.learn(clouds, self.settings, device=self.device, seed=self.seed, progress=progress)
            return
        self._way = PerPart.learn(
            clouds,
            self.settings,
            device=self.device,
            seed=self.seed,
            progress=progress,
            workdir=workdir,
            resume=resume,
        )

    def _judge(self, points: NDArray[Any]) -> FrameScores:
        cloud = torch.from_numpy(points).float()
        if isinstance(self._way, Guided):
            return self._way.judge(cloud)
        return self._way.judge(cloud, self.class_frame.places)

    def _tensors(self) -> dict[str, Tensor]:
        return self._way.tensors()

    def _metadata(self) -> dict[str, Any]:
        return self._way.metadata()

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        way = Guided if self.settings.guide.enabled else PerPart
        self._way = way.restore(metadata, tensors, self.settings, device=self.device, seed=self.seed)
