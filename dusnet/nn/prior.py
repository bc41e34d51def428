"""What is known before any learning: the surface of the registered training clouds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dusnet import geometry, ops

NEIGHBORS = 6
NORMAL_NEIGHBORS = 24


@dataclass(frozen=True)
class SurfacePrior:
    """Where the nearest good surface lies.

    Attributes:
        points: (M, 3) float32 in the frame.
        normals: unit normals of either sign, (M, 3).
    """

    points: Tensor
    normals: Tensor

    @classmethod
    def of(cls, points: Tensor) -> SurfacePrior:
        """Estimate the normals of a surface, (M, 3)."""
        return cls(points, geometry.normals(points, points, NORMAL_NEIGHBORS))

    def displacement(self, points: Tensor) -> Tensor:
        """Vector from each point to the surface, along the normal of the nearest surface point.

        Its length is the mean distance to the tangent planes of the nearest surface points, so the spacing of the
        surface points does not enter.

        Args:
            points: (..., 3) in the frame.

        Returns:
            (..., 3).
        """
        query = points.reshape(1, -1, 3)
        _, index = ops.knn(query, self.points.unsqueeze(0), min(NEIGHBORS, len(self.points)))
        normals = self.normals[index[0]]
        nearest = normals[:, 0]
        sign = (normals * nearest.unsqueeze(1)).sum(dim=-1).sign()
        across = ((query[0].unsqueeze(1) - self.points[index[0]]) * normals).sum(dim=-1)
        distance = (across * sign).mean(dim=1, keepdim=True)
        return torch.reshape(-distance * nearest, points.shape)
