"""CRR: collaborative reconstruction and repair, for one part or for many with one model.

"Collaborative Reconstruction and Repair for Multi-class Industrial Anomaly Detection" (arXiv 2512.11401). What differs
is in `docs/methods/crr.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import ops
from dusnet.detectors.feature_space.crr.network import CRRNetwork
from dusnet.detectors.feature_space.crr.stage import CRRStage
from dusnet.detectors.feature_space.detector import FeatureSpace
from dusnet.detectors.feature_space.feature_heads import anomaly_score
from dusnet.detectors.feature_space.feature_maps import DamagedMaps, FeatureMaps
from dusnet.detectors.feature_space.method import FeatureMethod
from dusnet.detectors.feature_space.openings import NEAREST
from dusnet.geometry.normals import tensor_normals
from dusnet.nn.chunks import through_chunks
from dusnet.synthesis.pseudo_defects import pseudo_defects
from dusnet.training.loop import Run, train_stage


class CRRMethod(FeatureMethod):
    """A decoder repairs the features of a scan, and a head finds the defects in what it had to change."""

    name: ClassVar[str] = "crr"
    uses_residuals: ClassVar[bool] = True
    uses_damaged: ClassVar[bool] = True
    scales_image_features: ClassVar[bool] = True

    networks: CRRNetwork

    @property
    def spread(self) -> float:
        """See `FeatureMethod.spread`."""
        return 1.0

    def _build(self, size: int) -> CRRNetwork:
        return CRRNetwork(self.settings.crr, size)

    def learn(self, maps: Sequence[FeatureMaps], run: Run) -> list[dict[str, Tensor]]:
        """See `FeatureMethod.learn`."""
        damaged = [one for one in maps if isinstance(one, DamagedMaps)]
        stage = CRRStage(self.networks, damaged, self.settings.crr)
        train_stage(stage, stage.stage, run)
        return [{} for _ in maps]

    def values(self, features: Tensor, positions: Tensor, part_state: Mapping[str, Tensor]) -> Tensor:
        """See `FeatureMethod.values`."""
        del part_state
        generator = torch.Generator().manual_seed(self.seed)
        places, device = self.settings.crr.places, features.device
        _, logits = through_chunks(self.networks, (features, positions), places, generator, device=device)
        return anomaly_score(logits)


class CRR(FeatureSpace):
    """CRR on registered scans. Anomalies are made on the cloud, so the repaired features are known exactly."""

    name: ClassVar[str] = CRRMethod.name
    settings_sections: ClassVar[frozenset[str]] = FeatureSpace.settings_sections | {"crr"}
    method: ClassVar[type[FeatureMethod]] = CRRMethod

    def _training_maps(self, points: NDArray[np.float64], rng: np.random.Generator) -> list[FeatureMaps]:
        """The maps of the scan as it is, and of damaged copies of it."""
        chosen = self.settings.crr
        good = DamagedMaps.undamaged(self._places.describe(self._without_variation(points), self._extractor))
        maps: list[FeatureMaps] = [good]
        cloud = torch.from_numpy(points).float()
        normals = tensor_normals(cloud, cloud).double().numpy()
        for _ in range(chosen.damaged):
            defect = pseudo_defects(points, normals, rng, count=chosen.defects)
            shaped = self._without_variation(defect.points)
            features = self._places.features(self._places.view(shaped), self._extractor)
            wrong = self._damaged_places(shaped, defect.mask)
            maps.append(replace(good, features=features[None], wrong=wrong[None]))
        return maps

    def _damaged_places(self, points: NDArray[np.float64], mask: NDArray[np.bool_]) -> Tensor:
        """Places most of whose nearest points belong to a defect, (N, 3), (N,) -> (G,) bool."""
        cloud = torch.from_numpy(points).float()
        _, index = ops.knn(self._places.positions[None], cloud[None], NEAREST)
        return torch.from_numpy(mask)[index[0]].float().mean(dim=1) >= 0.5
