"""BTF: a memory of raw coordinates or of FPFH, and the distance to the nearest entry.

E. Horwitz, Y. Hoshen, "Back to the Feature: Classical 3D Features Are (Almost) All You Need for 3D Anomaly Detection",
CVPR Workshops 2023 (arXiv 2203.05550), which showed that FPFH beats learned 3D features of its time.
"""

from __future__ import annotations

from typing import ClassVar

from dusnet.detectors.descriptors import Thinned
from dusnet.detectors.peers.feature_memory import Description, FeatureMemory


class BTFRaw(FeatureMemory):
    """Coordinates in the frame: how far a point is from where training points are."""

    name: ClassVar[str] = "btf_raw"

    @property
    def _channels(self) -> int:
        return 3

    def _describe(self, scan: Thinned) -> Description:
        return Description(scan, scan.tensor, scan.in_frame(scan.tensor))


class BTFFPFH(FeatureMemory):
    """FPFH within `memory.radius`: how far the shape around a point is from any shape in training."""

    name: ClassVar[str] = "btf_fpfh"
    settings_sections: ClassVar[frozenset[str]] = FeatureMemory.settings_sections | {"memory.radius"}
