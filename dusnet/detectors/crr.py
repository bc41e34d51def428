"""CRR in 3D: collaborative reconstruction and repair, for one part or for many with one model.

"Collaborative Reconstruction and Repair for Multi-class Industrial Anomaly Detection" (arXiv 2512.11401). Published for
images; here features belong to places of a registered part, and anomalies are made on the cloud, so that it is known
what a repaired feature should be. What differs is in `docs/methods/crr.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dusnet import geometry, ops
from dusnet.data.synthetic.pseudo_defects import pseudo_defects
from dusnet.detectors.feature_space import FeatureSpace
from dusnet.detectors.features import AROUND, DamagedFeatures, LocalFeatures
from dusnet.nn.feature_heads import anomaly_score
from dusnet.nn.grouping import random_chunks
from dusnet.nn.repair import Repair
from dusnet.training.feature_stages import CRRStage
from dusnet.training.loop import Run, train_stage


class CRR(FeatureSpace):
    """A decoder repairs the features of a scan, and a head finds the defects in what it had to change."""

    name: ClassVar[str] = "crr"
    reads: ClassVar[frozenset[str]] = FeatureSpace.reads | {"crr", "training"}

    _networks: Repair

    def _lessons(self, points: NDArray[np.float64], rng: np.random.Generator) -> list[LocalFeatures]:
        """The scan as it is, and damaged copies of it."""
        chosen = self.settings.crr
        clean = self._describe(points)
        good = torch.zeros_like(clean.seen)
        lessons = [DamagedFeatures(clean.features, clean.around, clean.positions, clean.seen, clean.features, good)]
        cloud = torch.from_numpy(points).float()
        normals = geometry.normals(cloud, cloud).double().numpy()
        for _ in range(chosen.damaged):
            defect = pseudo_defects(
                points, normals, rng, count=chosen.defects, radius=chosen.radius, amplitude=chosen.amplitude
            )
            damaged = self._describe(defect.points)
            wrong = self._touched(defect.points, defect.mask).unsqueeze(0)
            lessons.append(
                DamagedFeatures(damaged.features, clean.around, clean.positions, clean.seen, clean.features, wrong)
            )
        return list(lessons)

    def _touched(self, points: NDArray[np.float64], mask: NDArray[np.bool_]) -> Tensor:
        """Places most of whose nearest points belong to a defect, (N, 3), (N,) -> (G,) bool."""
        cloud = torch.from_numpy(points).float()
        _, index = ops.knn(self._places.positions[None], cloud[None], AROUND)
        return torch.from_numpy(mask)[index[0]].float().mean(dim=1) >= 0.5

    @property
    def _spread_of_features(self) -> float:
        return 1.0

    def _build(self, size: int) -> Repair:
        return Repair(self.settings.crr, size)

    def _train(self, networks: nn.Module, lessons: Sequence[LocalFeatures], run: Run) -> list[dict[str, Tensor]]:
        assert isinstance(networks, Repair)
        damaged = [lesson for lesson in lessons if isinstance(lesson, DamagedFeatures)]
        stage = CRRStage(networks, damaged, self.settings.crr)
        train_stage(stage, stage.stage, run)
        return [{} for _ in lessons]

    def _values(self, features: Tensor) -> Tensor:
        count = len(features)
        chunks = random_chunks(count, self.settings.crr.places, torch.Generator().manual_seed(self.seed))
        logits = torch.empty(count)
        _, found = self._networks(features[chunks], self._places.positions[chunks])
        # What fills up the last chunk was judged in the first one already.
        logits[chunks.flatten()[:count]] = found.flatten()[:count]
        return anomaly_score(logits)
