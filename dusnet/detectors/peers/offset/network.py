"""A network that predicts, for the centre of every group, the offset back to where a good part would have it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dusnet.detectors.peers.offset.settings import OffsetSettings
from dusnet.nn.blocks import FourierFeatures, MiniPointNet, TransformerBlock, mlp
from dusnet.nn.losses import Loss

SHORTEST = 1e-3
"""Offsets shorter than this fraction of the frame have no direction that counts."""


class OffsetNet(nn.Module):
    """Offsets of group centres, as PO3AD (CVPR 2025) regresses them for points.

    PO3AD's backbone is a sparse convolutional U-Net; here a patch encoder sees the neighbourhood, Fourier features of
    the place in the frame of the class tell what belongs there, and a transformer compares the groups.

    Args:
        settings: widths and depth.
        patch_radius: mean distance of a neighbour to its centre, in the frame; patches are divided by it.
    """

    SCALE = 0.25
    patch_radius: Tensor

    def __init__(self, settings: OffsetSettings, *, patch_radius: float) -> None:
        super().__init__()
        width = settings.width
        self.register_buffer("patch_radius", torch.tensor(patch_radius))
        self.patch_encoder = MiniPointNet(settings.patch_widths)
        self.fourier = FourierFeatures(settings.fourier_octaves)
        self.center_encoder = mlp((self.fourier.width, 2 * width, 2 * width))
        self.join = nn.Linear(settings.patch_widths[-1] + 2 * width, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, settings.heads) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(width)
        self.head = mlp((width, width, 3))

    def forward(self, centers: Tensor, neighbors: Tensor) -> Tensor:
        """Offsets from the centres to where they would lie on a good part.

        Args:
            centers: (B, G, 3) in the frame.
            neighbors: (B, G, K, 3) in the frame.

        Returns:
            (B, G, 3), float32, fractions of the frame.
        """
        batch, groups = centers.shape[:2]
        patches = torch.cat([centers.unsqueeze(2), neighbors], dim=2) - centers.unsqueeze(2)
        embedded = self.patch_encoder(patches.flatten(0, 1) / self.patch_radius).view(batch, groups, -1)
        tokens = self.join(torch.cat([embedded, self.center_encoder(self.fourier(centers))], dim=-1))
        for block in self.blocks:
            tokens = block(tokens)
        offsets: Tensor = self.SCALE * self.head(self.norm(tokens))
        return offsets


def offset_loss(predicted: Tensor, target: Tensor, *, unit: float) -> Loss:
    """PO3AD's loss: mean absolute error of the offsets, and how far their directions are apart.

    Args:
        predicted: (B, G, 3).
        target: (B, G, 3); zero for groups that no defect has moved, which have no direction.
        unit: length that distances are measured in, fraction of the frame; PO3AD's is the radius of the part, with
            which the directions outweigh the distances.

    Returns:
        The sum of `distance`, the mean over the groups of the sum of absolute errors, and `direction`, the mean over
        the groups of 1 - cos where the target is `SHORTEST` or longer, else 0 (PO3AD counts the others as 1, which
        changes no gradient).
    """
    distance = (predicted - target).abs().sum(dim=-1).mean() / unit
    moved = target.norm(dim=-1) >= SHORTEST
    # Below this length a prediction has no stable direction, and its gradient would drown that of the distance.
    cosine = functional.cosine_similarity(predicted, target, dim=-1, eps=SHORTEST**2)
    direction = ((1 - cosine) * moved).mean()
    return Loss(distance + direction, {"distance": distance.detach(), "direction": direction.detach()})
