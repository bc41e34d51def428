"""The template distance: registration, then the distance to the surface of the good scans, and no learning.

The strongest baseline for identical parts; "3D anomaly detection without learning" in many forms (Template3D-AD, IJCAI
2025, compares with one template after registration; here all aligned training scans are the template).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from dusnet.detectors.peers.surface_distance import SurfaceDistance, SurfaceScores
from dusnet.registration.good_surface import planes_of
from dusnet.registration.warp import TangentPlanes


class Template(SurfaceDistance):
    """The good surface is the tangent planes of the aligned training scans."""

    name: ClassVar[str] = "template"

    def _learn_surface(self, clouds: Sequence[Tensor]) -> None:
        self._planes = TangentPlanes(torch.cat(list(clouds)))

    def _measure(self, cloud: Tensor) -> SurfaceScores:
        return SurfaceScores(self._planes.signed_distance(cloud)[0].abs())

    def _tensors(self) -> dict[str, Tensor]:
        return {"points": self._planes.points, "normals": self._planes.normals}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        del metadata
        self._planes = planes_of(tensors, "points", "normals")
