"""A network that predicts, for the centre of every group, the offset back to where a good part would have it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from dusnet.nn.group_transformer import GroupTransformer
from dusnet.nn.losses import Loss

SHORTEST = 1e-3
"""Offsets shorter than this fraction of the frame have no direction that counts."""


class OffsetNet(GroupTransformer):
    """Offsets of group centres, as PO3AD (CVPR 2025) regresses them for points.

    PO3AD's backbone is a sparse convolutional U-Net; here a patch encoder sees the neighbourhood, Fourier features of
    the place in the frame of the class tell what belongs there, and a transformer compares the groups.
    """

    def forward(self, centers: Tensor, neighbors: Tensor) -> Tensor:
        """Offsets from the centres to where they would lie on a good part.

        Args:
            centers: (B, G, 3) in the frame.
            neighbors: (B, G, K, 3) in the frame.

        Returns:
            (B, G, 3), float32, fractions of the frame.
        """
        return self.SCALE * self.predict(centers, neighbors)


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
