"""A memory that stores the place of every feature: features are compared with those of the same place of the part.

The recipe of the public project nihal4/ad3d (2026, training-free, no paper): Simple3D's centres with small FPFH
supports, in the registered frame, and the nearest memory among those around the same place.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from dusnet.detectors.peers.feature_memory import CenterMemory, Compared, Description
from dusnet.detectors.peers.memory_bank import MemoryBank

QUANTILE = 0.99
"""Of the point scores: the object score of the project's record, 0.013 to 0.03 better there than the largest."""


class LocatedMemory(CenterMemory):
    """Memories within `memory.rho` of a centre are compared with it, or all where none is that near.

    With an infinite `memory.rho` it is a global memory in the registered frame.
    """

    name: ClassVar[str] = "located_memory"
    settings_sections: ClassVar[frozenset[str]] = CenterMemory.settings_sections | {
        "memory.located_neighbors",
        "memory.rho",
    }
    coreset: ClassVar[float] = 1.0

    @property
    def _neighbors(self) -> tuple[int, ...]:
        return self.settings.memory.located_neighbors

    def _nearest_memory(self, described: Description, bank: MemoryBank) -> tuple[Tensor, Tensor]:
        return bank.nearest_around(described.features, described.in_frame, self.settings.memory.rho)

    def _own_object_score(self, found: Compared) -> float:
        return float(found.scores.double().quantile(QUANTILE))
