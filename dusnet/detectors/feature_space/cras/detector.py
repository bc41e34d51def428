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
from dusnet.detectors.feature_space.cras.network import CRASNetwork
from dusnet.detectors.feature_space.cras.stage import CRASStage
from dusnet.detectors.feature_space.detector import FeatureSpace
from dusnet.detectors.feature_space.feature_heads import anomaly_score
from dusnet.detectors.feature_space.feature_maps import FeatureMaps
from dusnet.detectors.feature_space.method import FeatureMethod
from dusnet.detectors.feature_space.training_maps import CenteredMaps
from dusnet.io import stored
from dusnet.training.loop import Run, train_stage


class CRASMethod(FeatureMethod):
    """Adapter, centre of every part, noise by as much as the distance to it allows, and a discriminator."""

    name: ClassVar[str] = "cras"

    networks: CRASNetwork

    def _build(self, size: int) -> CRASNetwork:
        return CRASNetwork(self.settings.cras, size)

    def learn(self, maps: Sequence[FeatureMaps], run: Run) -> list[dict[str, Tensor]]:
        """See `FeatureMethod.learn`."""
        center = first_center if self.settings.cras.center == "single" else mean_center
        centers = [center(zip(one.features, one.shown, strict=True)) for one in maps]
        searched = [torch.cat(centers)] * len(centers) if self.settings.cras.search == "all" else centers
        centered = [CenteredMaps(one.features, one.shown, map_) for one, map_ in zip(maps, searched, strict=True)]
        stage = CRASStage(self.networks, centered, self.settings.cras)
        train_stage(stage, stage.stage, run)
        return [{"searched": map_.clone()} for map_ in searched]

    def require_part_state(self, part_state: Mapping[str, Tensor], size: int) -> None:
        """See `FeatureMethod.require_part_state`."""
        stored.tensor(part_state, "searched", None, size)

    def values(self, features: Tensor, positions: Tensor, part_state: Mapping[str, Tensor]) -> Tensor:
        """See `FeatureMethod.values`."""
        del positions
        return anomaly_score(self.networks.logits(features, part_state["searched"]))


class CRAS(FeatureSpace):
    """CRAS on registered scans."""

    name: ClassVar[str] = CRASMethod.name
    settings_sections: ClassVar[frozenset[str]] = FeatureSpace.settings_sections | {"cras", "features.scale"}
    method: ClassVar[type[FeatureMethod]] = CRASMethod
