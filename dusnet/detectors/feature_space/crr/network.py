"""The networks of CRR: a decoder that repairs features, and a head that sees what it had to change.

"Collaborative Reconstruction and Repair for Multi-class Industrial Anomaly Detection" (arXiv 2512.11401).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dusnet.detectors.feature_space.crr.settings import CRRSettings
from dusnet.nn.blocks import FourierFeatures, mlp, transformer_blocks
from dusnet.nn.losses import Loss


class CRRNetwork(nn.Module):
    """Decoder and segmentation head.

    Args:
        settings: widths and depth.
        size: channels of a feature.
    """

    def __init__(self, settings: CRRSettings, size: int) -> None:
        super().__init__()
        width = settings.width
        self.fourier = FourierFeatures(octaves=4)
        self.place = mlp((self.fourier.width, width, width))
        self.join = nn.Linear(size, width)
        self.mask = nn.Parameter(torch.zeros(width))
        self.blocks = transformer_blocks(settings)
        self.norm = nn.LayerNorm(width)
        self.out = mlp((width, width, size))
        self.segment = mlp((2 * size, width, width, 1))

    def repair(self, features: Tensor, positions: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Features as a good part would have them.

        Args:
            features: of the encoder, (B, P, C).
            positions: of their places in the frame, (B, P, 3).
            hidden: places whose features the decoder does not get to see, (B, P) bool; None for none.

        Returns:
            (B, P, C).
        """
        tokens = self.join(features)
        if hidden is not None:
            tokens = torch.where(hidden.unsqueeze(-1), self.mask.to(tokens.dtype), tokens)
        tokens = self.blocks(tokens + self.place(self.fourier(positions)))
        repaired: Tensor = self.out(self.norm(tokens))
        return repaired

    def anomalous(self, features: Tensor, repaired: Tensor) -> Tensor:
        """The logit of every place being anomalous, from what was repaired, (B, P, C), (B, P, C) -> (B, P).

        No gradient goes back to the decoder, which learns from the repair loss alone.
        """
        difference = (features - repaired).detach()
        logits: Tensor = self.segment(torch.cat([difference, difference.abs()], dim=-1))[..., 0]
        return logits

    def forward(self, features: Tensor, positions: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Repaired features, (B, P, C), and logits, (B, P); arguments as for `repair`."""
        repaired = self.repair(features, positions, hidden)
        return repaired, self.anomalous(features, repaired)


def dice_loss(logits: Tensor, wrong: Tensor) -> Tensor:
    """1 - the Dice coefficient of the probabilities and the mask, smoothed by 1, the mean over scans, (B, P) each."""
    probability, mask = logits.sigmoid(), wrong.to(logits.dtype)
    overlap, total = (probability * mask).sum(dim=1), probability.sum(dim=1) + mask.sum(dim=1)
    return (1 - (2 * overlap + 1) / (total + 1)).mean()


def repair_loss(repaired: Tensor, logits: Tensor, clean: Tensor, wrong: Tensor) -> Loss:
    """Smooth absolute error of the repaired features, cross entropy and Dice loss of the mask.

    Args:
        repaired: (B, P, C).
        logits: (B, P).
        clean: what they should be, (B, P, C).
        wrong: which places a defect touches, (B, P) bool.
    """
    terms = {
        "repair": functional.smooth_l1_loss(repaired, clean),
        "cross_entropy": functional.binary_cross_entropy_with_logits(logits, wrong.to(logits.dtype)),
        "dice": dice_loss(logits, wrong),
    }
    return Loss(torch.stack(list(terms.values())).sum(), {name: term.detach() for name, term in terms.items()})
