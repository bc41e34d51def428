"""A memory that stores the place of every feature: features are compared with those of the same place of the part.

The recipe of the public project nihal4/ad3d (2026, training-free, no paper): Simple3D's centres with small FPFH
supports, in the registered frame, and the nearest memory among those around the same place.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from dusnet.detectors.peers.feature_memory import CenterMemory, Description


class LocatedMemory(CenterMemory):
    """Memories within `memory.rho` of a centre are compared with it, or all where none is that near."""

    name: ClassVar[str] = "located_memory"
    settings_sections: ClassVar[frozenset[str]] = CenterMemory.settings_sections | {
        "memory.located_neighbors",
        "memory.rho",
        "memory.quantile",
    }
    coreset: ClassVar[float] = 1.0

    @property
    def _neighbors(self) -> tuple[int, ...]:
        return self.settings.memory.located_neighbors

    def _nearest_memory(self, described: Description) -> tuple[Tensor, Tensor]:
        return self._bank.nearest_around(described.features, described.in_frame, self.settings.memory.rho)

    def _object_score(self, described: Description, distances: Tensor, nearest: Tensor, scores: Tensor) -> float:
        del described, distances, nearest
        return float(scores.double().quantile(self.settings.memory.quantile))
