"""The guided Down-Net: anomaly-free centres from what a scan shows beside the good surface of its class.

It differs from the paper's Down-Net in what it starts from. The paper's has to keep the part in its weights; this one
is given the good surface, warped to the scan, and decides which groups to trust: a trusted group stays where it is,
another one goes to the good surface, and a learned correction is added to both. The weights know no part, so one set of
them serves all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dusnet.detectors.dusnet.groups import CENTER_CHANNELS, HEIGHT, PLACE_CHANNELS, SCAN_CHANNELS
from dusnet.detectors.dusnet.settings import GuideSettings
from dusnet.nn.blocks import FourierFeatures, fits_cache_better, in_blocks, maximum, mlp, transformer_blocks, zeroed

AT_ONCE = 256  # groups


class PatchPool(nn.Module):
    """Per-point MLP, then maximum and mean over the patch: what stands out, and what is usual."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.width = 2 * width
        self.local = nn.Sequential(nn.Linear(channels, width // 2), nn.ReLU(), nn.Linear(width // 2, width))

    def forward(self, patches: Tensor) -> Tensor:
        """(..., G, P, channels) -> (..., G, 2 width)."""
        if not fits_cache_better(patches):
            return self._pooled(patches)
        pooled = in_blocks(self._pooled, patches.flatten(0, -3), AT_ONCE, self.width)
        return pooled.view(*patches.shape[:-2], self.width)

    def _pooled(self, patches: Tensor) -> Tensor:
        local = self.local(patches)
        # The gradient of a sum is a view, that of a mean a copy of all.
        return torch.cat([maximum(local), local.sum(dim=-2) / local.shape[-2]], dim=-1)


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
        self.blocks = transformer_blocks(settings)
        self.norm = nn.LayerNorm(width)
        self.head = zeroed(mlp((width, width, 4)))

    def patches(self, scan: Tensor, places: Tensor, about: Tensor) -> Tensor:
        """What groups show on their own, each for itself; arguments as in `forward`.

        Returns:
            (B, G, 4 patch_width + CENTER_CHANNELS).
        """
        return torch.cat([self.scan(scan), self.places(places), about], dim=-1)

    def judge(self, centers: Tensor, displacement: Tensor, axes: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """The rest of `forward`, from what `patches` gave; here groups attend to each other."""
        tokens = self.blocks(self.join(torch.cat([patches, self.fourier(centers)], dim=-1)))
        said = self.head(self.norm(tokens))
        logits = said[..., 0]
        correction = HEIGHT * torch.einsum("bgij,bgi->bgj", axes, said[..., 1:])
        return centers + torch.sigmoid(logits).unsqueeze(-1) * displacement + correction, logits

    def forward(
        self, centers: Tensor, displacement: Tensor, axes: Tensor, scan: Tensor, places: Tensor, about: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Anomaly-free centres (in the place of Eq. 4); the arguments are the parts of `GuidedGroups`.

        Args:
            centers: (B, G, 3) in the reference shape.
            displacement: vectors to the good surface, (B, G, 3).
            axes: local axes as rows, (B, G, 3, 3).
            scan: (B, G, K, SCAN_CHANNELS).
            places: (B, G, K', PLACE_CHANNELS).
            about: (B, G, CENTER_CHANNELS).

        Returns:
            Anomaly-free centres in the reference shape, (B, G, 3), and the logit of every group belonging to a defect,
            (B, G).
        """
        return self.judge(centers, displacement, axes, self.patches(scan, places, about))
