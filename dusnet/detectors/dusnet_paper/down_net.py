"""Down-Net (Eq. 2-4): a transformer that moves the centres of groups to where a good part would have them."""

from __future__ import annotations

from torch import Tensor

from dusnet.detectors.dusnet_paper.settings import DownNetSettings
from dusnet.nn.blocks import zeroed
from dusnet.nn.group_transformer import GroupTransformer


class DownNet(GroupTransformer):
    """Predicts anomaly-free group centres from noisy groups.

    Args:
        settings: widths, depth, kind of head.
        patch_radius: mean distance of a neighbour to its centre, in the frame; patches are divided by it.
    """

    def __init__(self, settings: DownNetSettings, *, patch_radius: float) -> None:
        super().__init__(settings, patch_radius=patch_radius)
        self.offset = settings.head == "offset"
        if self.offset:
            zeroed(self.head)

    def forward(self, centers: Tensor, neighbors: Tensor) -> Tensor:
        """Anomaly-free centres (Eq. 4).

        Args:
            centers: noisy centres, (B, G, 3) in the frame.
            neighbors: their neighbours, (B, G, K, 3) in the frame.

        Returns:
            (B, G, 3) in the frame.
        """
        predicted = self.predict(centers, neighbors)
        return centers + self.SCALE * predicted if self.offset else predicted
