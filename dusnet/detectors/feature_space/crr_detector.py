"""CRR in 3D; see `dusnet.detectors.feature_space.crr`. Features belong to places of a registered part.

Anomalies are made on the cloud, so that it is known what a repaired feature should be.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import ops
from dusnet.detectors.feature_space.crr import CRRMethod
from dusnet.detectors.feature_space.detector import FeatureSpace
from dusnet.detectors.feature_space.feature_maps import DamagedFeatures, LocalFeatures
from dusnet.detectors.feature_space.features import AROUND
from dusnet.detectors.feature_space.method import FeatureMethod
from dusnet.geometry.normals import tensor_normals
from dusnet.synthesis.pseudo_defects import pseudo_defects


class CRR(FeatureSpace):
    """Collaborative reconstruction and repair on registered scans."""

    name: ClassVar[str] = "crr"
    settings_sections: ClassVar[frozenset[str]] = FeatureSpace.settings_sections | CRRMethod.settings_sections
    method: ClassVar[type[FeatureMethod]] = CRRMethod

    def _lessons(self, points: NDArray[np.float64], rng: np.random.Generator) -> list[LocalFeatures]:
        """The scan as it is, and damaged copies of it."""
        chosen = self.settings.crr
        good = DamagedFeatures.undamaged(self._places.describe(self._shaped(points), self._extractor))
        lessons: list[LocalFeatures] = [good]
        cloud = torch.from_numpy(points).float()
        normals = tensor_normals(cloud, cloud).double().numpy()
        for _ in range(chosen.damaged):
            defect = pseudo_defects(
                points, normals, rng, count=chosen.defects, radius=chosen.radius, amplitude=chosen.amplitude
            )
            shaped = self._shaped(defect.points)
            features = self._places.extract(self._places.look(shaped), self._extractor)
            wrong = self._touched(shaped, defect.mask)
            lessons.append(replace(good, features=features[None], wrong=wrong[None]))
        return lessons

    def _touched(self, points: NDArray[np.float64], mask: NDArray[np.bool_]) -> Tensor:
        """Places most of whose nearest points belong to a defect, (N, 3), (N,) -> (G,) bool."""
        cloud = torch.from_numpy(points).float()
        _, index = ops.knn(self._places.positions[None], cloud[None], AROUND)
        return torch.from_numpy(mask)[index[0]].float().mean(dim=1) >= 0.5
