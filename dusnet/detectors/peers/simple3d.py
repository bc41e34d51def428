"""Simple3D: FPFH at several scales, averaged locally, in a small memory; no training and no registration.

"Towards High-Resolution 3D Anomaly Detection: A Scalable Dataset and Real-Time Framework for Subtle Industrial Defects"
(arXiv 2507.07435).
"""

from __future__ import annotations

from typing import ClassVar

from dusnet.detectors.peers.feature_memory import CenterMemory


class Simple3D(CenterMemory):
    """The recipe of the paper; the object score is the highest point score."""

    name: ClassVar[str] = "simple3d"
    settings_sections: ClassVar[frozenset[str]] = CenterMemory.settings_sections | {"memory.simple3d_neighbors"}
    registered: ClassVar[bool] = False
    coreset: ClassVar[float] = 0.05

    @property
    def _neighbors(self) -> tuple[int, ...]:
        return self.settings.memory.simple3d_neighbors
