"""CRAS: center-aware residual anomaly synthesis, for one part or for many with one model.

Q. Chen et al., "Center-aware Residual Anomaly Synthesis for Multi-class Industrial Anomaly Detection", IEEE TII 2025
(arXiv 2505.17551). What differs is in `docs/methods/cras.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from dusnet.detectors.feature_space.center_maps import first_center, mean_center
from dusnet.detectors.feature_space.feature_heads import anomaly_score
from dusnet.detectors.feature_space.feature_maps import LocalFeatures
from dusnet.detectors.feature_space.method import FeatureMethod
from dusnet.detectors.feature_space.residual_discrimination import ResidualDiscrimination
from dusnet.detectors.feature_space.stages import CRASStage, MapsOfPart
from dusnet.io import stored
from dusnet.training.loop import Run, train_stage


class CRASMethod(FeatureMethod):
    """Adapter, centre of every part, noise by as much as the distance to it allows, and a discriminator."""

    name: ClassVar[str] = "cras"
    settings_sections: ClassVar[frozenset[str]] = frozenset({"cras", "training"})

    networks: ResidualDiscrimination

    def _build(self, size: int) -> ResidualDiscrimination:
        return ResidualDiscrimination(self.settings.cras, size)

    def learn(self, lessons: Sequence[LocalFeatures], run: Run) -> list[dict[str, Tensor]]:
        """See `FeatureMethod.learn`."""
        center = first_center if self.settings.cras.center == "single" else mean_center
        centers = [center(zip(lesson.features, lesson.seen, strict=True)) for lesson in lessons]
        searched = [torch.cat(centers)] * len(centers) if self.settings.cras.search == "all" else centers
        maps = [MapsOfPart(one.features, one.seen, map_) for one, map_ in zip(lessons, searched, strict=True)]
        stage = CRASStage(self.networks, maps, self.settings.cras)
        train_stage(stage, stage.stage, run)
        return [{"searched": map_.clone()} for map_ in searched]

    def require_kept(self, kept: Mapping[str, Tensor], size: int) -> None:
        """See `FeatureMethod.require_kept`."""
        stored.tensor(kept, "searched", None, size)

    def values(self, features: Tensor, positions: Tensor, kept: Mapping[str, Tensor]) -> Tensor:
        """See `FeatureMethod.values`."""
        del positions
        return anomaly_score(self.networks.judge(features, kept["searched"]))
