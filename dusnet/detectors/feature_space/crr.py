"""CRR: collaborative reconstruction and repair, for one part or for many with one model.

"Collaborative Reconstruction and Repair for Multi-class Industrial Anomaly Detection" (arXiv 2512.11401). What differs
is in `docs/methods/crr.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from dusnet.detectors.feature_space.feature_heads import anomaly_score
from dusnet.detectors.feature_space.feature_maps import DamagedFeatures, LocalFeatures
from dusnet.detectors.feature_space.method import FeatureMethod
from dusnet.detectors.feature_space.repair import Repair
from dusnet.detectors.feature_space.stages import CRRStage
from dusnet.nn.chunks import through_chunks
from dusnet.training.loop import Run, train_stage


class CRRMethod(FeatureMethod):
    """A decoder repairs the features of a scan, and a head finds the defects in what it had to change."""

    name: ClassVar[str] = "crr"
    settings_sections: ClassVar[frozenset[str]] = frozenset({"crr", "training"})
    wants_residuals: ClassVar[bool] = True
    wants_damaged: ClassVar[bool] = True
    wants_spread: ClassVar[bool] = True

    networks: Repair

    @property
    def spread(self) -> float:
        """See `FeatureMethod.spread`."""
        return 1.0

    def _build(self, size: int) -> Repair:
        return Repair(self.settings.crr, size)

    def learn(self, lessons: Sequence[LocalFeatures], run: Run) -> list[dict[str, Tensor]]:
        """See `FeatureMethod.learn`."""
        damaged = [lesson for lesson in lessons if isinstance(lesson, DamagedFeatures)]
        stage = CRRStage(self.networks, damaged, self.settings.crr)
        train_stage(stage, stage.stage, run)
        return [{} for _ in lessons]

    def values(self, features: Tensor, positions: Tensor, kept: Mapping[str, Tensor]) -> Tensor:
        """See `FeatureMethod.values`."""
        del kept
        generator = torch.Generator().manual_seed(self.seed)
        places, device = self.settings.crr.places, features.device
        _, logits = through_chunks(self.networks, (features, positions), places, generator, device=device)
        return anomaly_score(logits)
