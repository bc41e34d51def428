"""The smooth warp as a detector: what is left of a scan when the smooth variation of good parts is taken out.

Registration, the robust polynomial warp onto the common surface of the good scans, the distance to that surface divided
by what good scans show at the same place, and the gap term. Closed form; see `docs/method.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from dusnet import ops
from dusnet.detectors.peers.surface_distance import SurfaceDistance, SurfaceScores
from dusnet.geometry.coverage import Coverage
from dusnet.registration.good_surface import GoodSurface


class WarpDistance(SurfaceDistance):
    """The good surface is that of all training scans without their smooth variation, with a tolerance and a gap."""

    name: ClassVar[str] = "warp"
    good_spread: ClassVar[float] = 0.15
    settings_sections: ClassVar[frozenset[str]] = SurfaceDistance.settings_sections | {"warp", "scoring.gap"}

    def _learn_surface(self, clouds: Sequence[Tensor]) -> None:
        chosen = self.settings.warp
        self._surface = GoodSurface.learn(clouds, chosen, seed=self.seed, tolerance=chosen.tolerance)

    def _measure(self, cloud: Tensor) -> SurfaceScores:
        found, surface = self._surface.compare(cloud), self._surface
        distances, gap = found.distance.abs(), None
        scores = None if surface.tolerance is None else surface.tolerance.normalise(distances, found.shaped)
        if self.settings.scoring.gap:
            # Points off the surface cover the place below them: what is displaced is not missing.
            gap = Coverage.from_index(ops.PointIndex(found.foot[None]), surface.places).gap
        return SurfaceScores(distances, scores, gap, found)

    def _tensors(self) -> dict[str, Tensor]:
        return self._surface.tensors()

    def _metadata(self) -> dict[str, Any]:
        return self._surface.metadata()

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self._surface = GoodSurface.restore(metadata, tensors, self.settings.warp, seed=self.seed)
