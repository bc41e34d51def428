"""A transformer over groups: what a patch shows and where it lies, and how the groups of a chunk compare."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dusnet.config.section import GroupTransformerSettings
from dusnet.nn.blocks import FourierFeatures, MiniPointNet, in_full_precision, mlp, transformer_blocks


class GroupTransformer(nn.Module):
    """Three numbers per group, from its patch and its place (Eq. 2-4).

    Args:
        settings: widths and depth.
        patch_radius: mean distance of a neighbour to its centre, in the frame; patches are divided by it.
    """

    SCALE = 0.25
    """Unit of the numbers where they are offsets, in the frame."""
    patch_radius: Tensor

    def __init__(self, settings: GroupTransformerSettings, *, patch_radius: float) -> None:
        super().__init__()
        width = settings.width
        self.register_buffer("patch_radius", torch.tensor(patch_radius))
        self.patch_encoder = MiniPointNet(settings.patch_widths)
        self.fourier = FourierFeatures(settings.fourier_octaves)
        self.center_encoder = mlp((self.fourier.width, 2 * width, 2 * width))
        self.join = nn.Linear(settings.patch_widths[-1] + 2 * width, width)
        self.blocks = transformer_blocks(settings)
        self.norm = nn.LayerNorm(width)
        self.head = mlp((width, width, 3))

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
        tokens: Tensor = self.blocks(self.join(torch.cat([embedded, places], dim=-1)))
        return tokens

    def predict(self, centers: Tensor, neighbors: Tensor) -> Tensor:
        """The three numbers, (B, G, 3); arguments as for `embed`."""
        return in_full_precision(self.head, self.norm(self.embed(centers, neighbors)))
