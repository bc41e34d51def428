"""Down-Net (Eq. 2-4): a transformer that moves the centres of groups to where a good part would have them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dusnet.detectors.dusnet_paper.settings import DownNetSettings
from dusnet.nn.blocks import FourierFeatures, MiniPointNet, TransformerBlock, in_full_precision, mlp


class DownNet(nn.Module):
    """Predicts anomaly-free group centres from noisy groups.

    Args:
        settings: widths, depth, kind of head.
        patch_radius: mean distance of a neighbour to its centre, in the frame; patches are divided by it.
    """

    OFFSET_SCALE = 0.25
    patch_radius: Tensor

    def __init__(self, settings: DownNetSettings, *, patch_radius: float) -> None:
        super().__init__()
        width = settings.width
        self.offset = settings.head == "offset"
        self.register_buffer("patch_radius", torch.tensor(patch_radius))
        self.patch_encoder = MiniPointNet(settings.patch_widths)
        self.fourier = FourierFeatures(settings.fourier_octaves)
        self.center_encoder = mlp((self.fourier.width, 2 * width, 2 * width))
        self.join = nn.Linear(settings.patch_widths[-1] + 2 * width, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, settings.heads) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(width)
        self.head = mlp((width, width, 3))
        if self.offset:
            last = self.head[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def embed(self, centers: Tensor, neighbors: Tensor) -> Tensor:
        """Tokens E = [E_p; E_c] of Eq. 2-3, after the transformer.

        Args:
            centers: (B, G, 3) in the frame.
            neighbors: (B, G, K, 3) in the frame.

        Returns:
            (B, G, width).
        """
        batch, groups = centers.shape[:2]
        patches = torch.cat([centers.unsqueeze(2), neighbors], dim=2) - centers.unsqueeze(2)
        embedded = self.patch_encoder(patches.flatten(0, 1) / self.patch_radius).view(batch, groups, -1)
        places = in_full_precision(self.center_encoder, self.fourier(centers))
        tokens: Tensor = self.join(torch.cat([embedded, places], dim=-1))
        for block in self.blocks:
            tokens = block(tokens)
        return tokens

    def forward(self, centers: Tensor, neighbors: Tensor) -> Tensor:
        """Anomaly-free centres (Eq. 4).

        Args:
            centers: noisy centres, (B, G, 3) in the frame.
            neighbors: their neighbours, (B, G, K, 3) in the frame.

        Returns:
            (B, G, 3) in the frame.
        """
        predicted = in_full_precision(self.head, self.norm(self.embed(centers, neighbors)))
        return centers + self.OFFSET_SCALE * predicted if self.offset else predicted
