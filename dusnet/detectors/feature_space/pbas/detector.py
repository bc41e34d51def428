"""PBAS: progressive boundary guided anomaly synthesis, one model per part.

Q. Chen et al., "Progressive Boundary Guided Anomaly Synthesis for Industrial Anomaly Detection", IEEE TCSVT 2024
(arXiv 2412.17458). What differs is in `docs/methods/pbas.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from dusnet.detectors.feature_space.center_maps import (
    ShownMap,
    aligned_center,
    clustered_center,
    iterative_center,
    mean_center,
)
from dusnet.detectors.feature_space.detector import FeatureSpace
from dusnet.detectors.feature_space.feature_heads import anomaly_score
from dusnet.detectors.feature_space.feature_maps import FeatureMaps
from dusnet.detectors.feature_space.method import FeatureMethod
from dusnet.detectors.feature_space.pbas.network import PBASNetwork
from dusnet.detectors.feature_space.pbas.stage import PBASStage
from dusnet.detectors.feature_space.training_maps import CenteredMaps
from dusnet.training.loop import Run, train_stage


class PBASMethod(FeatureMethod):
    """Features drawn to a centre that never moves, anomalies beyond them on the rays from it, and a discriminator."""

    name: ClassVar[str] = "pbas"
    for_many: ClassVar[bool] = False
    uses_residuals: ClassVar[bool] = True

    networks: PBASNetwork

    @property
    def spread(self) -> float:
        """See `FeatureMethod.spread`; anomalies are measured in radii, so none means more than another."""
        return 1.0

    def _build(self, size: int) -> PBASNetwork:
        return PBASNetwork(self.settings.pbas, size)

    def learn(self, maps: Sequence[FeatureMaps], run: Run) -> list[dict[str, Tensor]]:
        """See `FeatureMethod.learn`."""
        (part,) = maps
        with torch.no_grad():
            shown_maps = zip(part.features, part.shown, strict=True)
            center = self._center((self.networks.projector(features), shown) for features, shown in shown_maps)
        stage = PBASStage(self.networks, CenteredMaps(part.features, part.shown, center), self.settings.pbas)
        train_stage(stage, stage.stage, run)
        return [{}]

    def _center(self, maps: Iterable[ShownMap]) -> Tensor:
        """The centre map of projected training maps, (K, C)."""
        kind = self.settings.pbas.center
        if kind == "clustering":
            return clustered_center(maps, seed=self.seed)
        return {"average": mean_center, "iterative": iterative_center, "alignment": aligned_center}[kind](maps)

    def values(self, features: Tensor, positions: Tensor, part_state: Mapping[str, Tensor]) -> Tensor:
        """See `FeatureMethod.values`."""
        del positions, part_state
        return anomaly_score(self.networks.logits(features))


class PBAS(FeatureSpace):
    """PBAS on registered scans."""

    name: ClassVar[str] = PBASMethod.name
    settings_sections: ClassVar[frozenset[str]] = FeatureSpace.settings_sections | {"pbas"}
    method: ClassVar[type[FeatureMethod]] = PBASMethod
