"""PBAS: progressive boundary guided anomaly synthesis, one model per part.

Q. Chen et al., "Progressive Boundary Guided Anomaly Synthesis for Industrial Anomaly Detection", IEEE TCSVT 2024
(arXiv 2412.17458). What differs is in `docs/methods/pbas.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from dusnet.detectors.feature_space.boundary import Boundary
from dusnet.detectors.feature_space.center_maps import (
    Shown,
    aligned_center,
    clustered_center,
    iterative_center,
    mean_center,
)
from dusnet.detectors.feature_space.feature_heads import anomaly_score
from dusnet.detectors.feature_space.feature_maps import LocalFeatures
from dusnet.detectors.feature_space.method import FeatureMethod
from dusnet.detectors.feature_space.stages import MapsOfPart, PBASStage
from dusnet.training.loop import Run, train_stage


class PBASMethod(FeatureMethod):
    """Features drawn to a centre that never moves, anomalies beyond them on the rays from it, and a discriminator."""

    name: ClassVar[str] = "pbas"
    settings_sections: ClassVar[frozenset[str]] = frozenset({"pbas", "training"})
    for_many: ClassVar[bool] = False
    wants_residuals: ClassVar[bool] = True

    networks: Boundary

    @property
    def spread(self) -> float:
        """See `FeatureMethod.spread`; anomalies are measured in radii, so none means more than another."""
        return 1.0

    def _build(self, size: int) -> Boundary:
        return Boundary(self.settings.pbas, size)

    def learn(self, lessons: Sequence[LocalFeatures], run: Run) -> list[dict[str, Tensor]]:
        """See `FeatureMethod.learn`."""
        (lesson,) = lessons
        with torch.no_grad():
            shown = zip(lesson.features, lesson.seen, strict=True)
            center = self._center((self.networks.projector(features), seen) for features, seen in shown)
        stage = PBASStage(self.networks, MapsOfPart(lesson.features, lesson.seen, center), self.settings.pbas)
        train_stage(stage, stage.stage, run)
        return [{}]

    def _center(self, maps: Iterable[Shown]) -> Tensor:
        """The centre map of projected training maps, (K, C)."""
        kind = self.settings.pbas.center
        if kind == "clustering":
            return clustered_center(maps, seed=self.seed)
        return {"average": mean_center, "iterative": iterative_center, "alignment": aligned_center}[kind](maps)

    def values(self, features: Tensor, positions: Tensor, kept: Mapping[str, Tensor]) -> Tensor:
        """See `FeatureMethod.values`."""
        del positions, kept
        return anomaly_score(self.networks.judge(features))
