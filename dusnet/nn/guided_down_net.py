"""The guided Down-Net: anomaly-free centres from what a scan shows beside the good surface of its class.

It differs from the paper's Down-Net in what it starts from. The paper's has to keep the part in its weights; this one
is given the good surface, warped to the scan, and decides which groups to trust: a trusted group stays where it is,
another one goes to the good surface, and a learned correction is added to both. The weights know no part, so one set of
them serves all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dusnet.config import GuideSettings
from dusnet.nn.blocks import FourierFeatures, TransformerBlock, mlp
from dusnet.nn.guided_groups import CENTER_CHANNELS, HEIGHT, PLACE_CHANNELS, SCAN_CHANNELS, GuidedGroups


@dataclass(frozen=True)
class GuidedCenters:
    """What the guided Down-Net says.

    Attributes:
        centers: anomaly-free centres in the reference shape, (B, G, 3).
        doubt: logit of a group belonging to a defect, (B, G).
    """

    centers: Tensor
    doubt: Tensor


class PatchPool(nn.Module):
    """Per-point MLP, then maximum and mean over the patch: what stands out, and what is usual."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.local = mlp((channels, width // 2, width))

    def forward(self, patches: Tensor) -> Tensor:
        """(..., P, channels) -> (..., 2 width)."""
        local = self.local(patches)
        return torch.cat([local.amax(dim=-2), local.mean(dim=-2)], dim=-1)


class GuidedDownNet(nn.Module):
    """Decides which groups to trust and moves the others to where a good part would have them.

    Args:
        settings: widths and depth.
    """

    def __init__(self, settings: GuideSettings) -> None:
        super().__init__()
        width = settings.width
        self.scan = PatchPool(SCAN_CHANNELS, settings.patch_width)
        self.places = PatchPool(PLACE_CHANNELS, settings.patch_width)
        self.fourier = FourierFeatures(settings.fourier_octaves)
        self.join = mlp((4 * settings.patch_width + CENTER_CHANNELS + self.fourier.width, width, width))
        self.blocks = nn.ModuleList(TransformerBlock(width, settings.heads) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(width)
        self.head = mlp((width, width, 4))
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def embed(self, groups: GuidedGroups) -> Tensor:
        """Tokens after the transformer, (B, G, width)."""
        parts = [self.scan(groups.scan), self.places(groups.places), groups.about, self.fourier(groups.centers)]
        tokens: Tensor = self.join(torch.cat(parts, dim=-1))
        for block in self.blocks:
            tokens = block(tokens)
        return tokens

    def forward(self, groups: GuidedGroups) -> GuidedCenters:
        """Anomaly-free centres (in the place of Eq. 4)."""
        said = self.head(self.norm(self.embed(groups)))
        doubt = said[..., 0]
        correction = HEIGHT * torch.einsum("bgij,bgi->bgj", groups.axes, said[..., 1:])
        moved = groups.centers + torch.sigmoid(doubt).unsqueeze(-1) * groups.displacement + correction
        return GuidedCenters(moved, doubt)
