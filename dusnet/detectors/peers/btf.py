"""BTF: a memory of raw coordinates or of FPFH, and the distance to the nearest entry.

E. Horwitz, Y. Hoshen, "Back to the Feature: Classical 3D Features Are (Almost) All You Need for 3D Anomaly Detection",
CVPR Workshops 2023 (arXiv 2203.05550), which showed that FPFH beats learned 3D features of its time.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from dusnet.detectors.descriptors import Thinned
from dusnet.detectors.peers.feature_memory import Description, FeatureMemory


class _BTF(FeatureMemory):
    coreset: ClassVar[float] = 0.1

    def _pool(self, described: Description, distances: Tensor, nearest: Tensor, scores: Tensor) -> float:
        del described, nearest, scores
        return float(distances.max())


class BTFRaw(_BTF):
    """Coordinates in the frame: how far a point is from where training points are."""

    name: ClassVar[str] = "btf_raw"

    @property
    def _channels(self) -> int:
        return 3

    def _describe(self, cloud: Thinned) -> Description:
        described = Description(cloud, cloud.tensor, cloud.tensor)
        return Description(cloud, cloud.tensor, described.in_frame)


class BTFFPFH(_BTF):
    """FPFH within `memory.radius`: how far the shape around a point is from any shape in training."""

    name: ClassVar[str] = "btf_fpfh"

    def _describe(self, cloud: Thinned) -> Description:
        return Description(cloud, cloud.tensor, self._ball_fpfh(cloud))
