"""Up-Net (Eq. 9-11): a PointNet++ network that rebuilds a dense anomaly-free cloud from the centres."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dusnet import ops
from dusnet.config import UpNetSettings
from dusnet.nn.blocks import in_full_precision, maximum, mlp


class SetAbstraction(nn.Module):
    """Fewer points with wider features: FPS, KNN, MLP on [relative xyz; feature], max-pool (PointNet++)."""

    def __init__(self, width_in: int, width: int, *, share: int, neighbors: int) -> None:
        super().__init__()
        self.share, self.neighbors = share, neighbors
        self.mlp = mlp((3 + width_in, width, width))

    def forward(self, points: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, 3), (B, N, C) -> (B, N / share, 3), (B, N / share, width)."""
        count = max(1, points.shape[1] // self.share)
        centers = ops.gather_points(points, ops.farthest_point_sample(points.detach(), count))
        _, index = ops.knn(centers.detach(), points.detach(), min(self.neighbors, points.shape[1]))
        relative = ops.gather_points(points, index) - centers.unsqueeze(2)
        grouped = torch.cat([relative, ops.gather_points(features, index)], dim=-1)
        return centers, maximum(self.mlp(grouped))


class UpNet(nn.Module):
    """Rebuilds gamma points around every centre.

    Two set abstractions to G/2 and G/4; both scales are carried back to all G centres by inverse-distance interpolation
    over three neighbours; three 1x1 convolutions per scale, neighbouring scales joined and halved, joined again, and a
    head that gives gamma points per centre.

    Args:
        settings: gamma, widths, kind of head.
        spacing: mean distance of a centre to its nearest other, in the frame; the unit of the offsets.
    """

    spacing: Tensor

    def __init__(self, settings: UpNetSettings, *, spacing: float) -> None:
        super().__init__()
        fine, coarse = settings.widths
        self.gamma = settings.gamma
        self.offset = settings.head == "offset"
        self.register_buffer("spacing", torch.tensor(spacing))
        self.stem = mlp((3, fine, fine))
        self.to_half = SetAbstraction(fine, fine, share=2, neighbors=settings.neighbors)
        self.to_quarter = SetAbstraction(fine, coarse, share=2, neighbors=settings.neighbors)
        self.branches = nn.ModuleList(mlp((3 + width, fine, fine, fine)) for width in (fine, fine, coarse))
        self.halve = nn.ModuleList(nn.Linear(2 * fine, fine) for _ in range(2))
        self.head = mlp((2 * fine, 2 * fine, 3 * settings.gamma))

    def forward(self, centers: Tensor) -> Tensor:
        """Dense reconstruction.

        Args:
            centers: (B, G, 3) in the frame, G >= 4.

        Returns:
            (B, G gamma, 3) in the frame; point g gamma + i belongs to centre g.
        """
        batch, groups, _ = centers.shape
        features = in_full_precision(self.stem, centers)
        half_points, half = self.to_half(centers / self.spacing, features)
        quarter_points, quarter = self.to_quarter(half_points, half)
        scales = [
            features,
            self._carry_back(centers, half_points * self.spacing, half),
            self._carry_back(centers, quarter_points * self.spacing, quarter),
        ]
        fine, middle, coarse = (
            branch(torch.cat([centers, scale], dim=-1)) for branch, scale in zip(self.branches, scales, strict=True)
        )
        joined = [
            halve(torch.cat(pair, dim=-1))
            for halve, pair in zip(self.halve, ((fine, middle), (middle, coarse)), strict=True)
        ]
        points = in_full_precision(self.head, torch.cat(joined, dim=-1)).view(batch, groups, self.gamma, 3)
        if self.offset:
            points = centers.unsqueeze(2) + self.spacing * points
        return points.flatten(1, 2)

    @staticmethod
    def _carry_back(centers: Tensor, points: Tensor, features: Tensor) -> Tensor:
        weights, index = ops.three_nn(centers, points)
        return ops.three_interpolate(features, index, weights)
