"""PBAS in 3D: progressive boundary guided anomaly synthesis, one model per part.

Q. Chen et al., "Progressive Boundary Guided Anomaly Synthesis for Industrial Anomaly Detection", IEEE TCSVT 2024
(arXiv 2412.17458). Published for images; here features belong to places of a registered part. What differs is in
`docs/methods/pbas.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from dusnet.detectors.feature_space import FeatureSpace
from dusnet.detectors.features import LocalFeatures
from dusnet.nn.boundary import Boundary
from dusnet.nn.center_maps import aligned_center, clustered_center, iterative_center, mean_center
from dusnet.nn.feature_heads import anomaly_score
from dusnet.training.feature_stages import MapsOfPart, PBASStage
from dusnet.training.loop import Run, train_stage


class PBAS(FeatureSpace):
    """Features drawn to a centre that never moves, anomalies beyond them on the rays from it, and a discriminator."""

    name: ClassVar[str] = "pbas"
    reads: ClassVar[frozenset[str]] = FeatureSpace.reads | {"pbas", "training"}
    for_many: ClassVar[bool] = False

    _networks: Boundary

    def _build(self, size: int) -> Boundary:
        return Boundary(self.settings.pbas, size)

    def _train(self, networks: nn.Module, lessons: Sequence[LocalFeatures], run: Run) -> list[dict[str, Tensor]]:
        assert isinstance(networks, Boundary)
        (lesson,) = lessons
        with torch.no_grad():
            center = self._center(networks.projector(lesson.features))
        stage = PBASStage(networks, MapsOfPart(lesson.features, lesson.seen, center), self.settings.pbas)
        train_stage(stage, stage.stage, run)
        return [{}]

    def _center(self, maps: Tensor) -> Tensor:
        """The centre map of projected training maps, (B, G, C) -> (K, C)."""
        kind = self.settings.pbas.center
        if kind == "clustering":
            return clustered_center(maps, maps.shape[1], seed=self.seed)
        return {"average": mean_center, "iterative": iterative_center, "alignment": aligned_center}[kind](maps)

    def _values(self, features: Tensor) -> Tensor:
        return anomaly_score(self._networks.judge(features))
