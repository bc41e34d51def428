"""The networks of PBAS: a projector that draws features to their centre, and a discriminator at the boundary.

Q. Chen et al., "Progressive Boundary Guided Anomaly Synthesis for Industrial Anomaly Detection", IEEE TCSVT 2024
(arXiv 2412.17458).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dusnet.detectors.feature_space.center_maps import nearest_center
from dusnet.detectors.feature_space.feature_heads import Discriminator, linear_layers
from dusnet.detectors.feature_space.feature_synthesis import boundary_guided, residual_norm, undirected
from dusnet.detectors.feature_space.settings import PBASSettings


class Boundary(nn.Module):
    """Projector and discriminator.

    Args:
        settings: depths and how anomalies are made.
        size: channels of a feature.
    """

    def __init__(self, settings: PBASSettings, size: int) -> None:
        super().__init__()
        self.settings = settings
        self.projector = linear_layers(size, settings.projector_layers)
        self.discriminator = Discriminator(size, layers=settings.discriminator_layers, hidden=settings.hidden)

    def forward(self, features: Tensor, center: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Eq. 6-8.

        Args:
            features: normal ones, (M, C), before the projector.
            center: the centre map, (K, C), or the centre of each feature, (M, C), after the projector as it was at
                first.
            noise: standard normal, (M, C); read only where anomalies are not on the rays from the centre.

        Returns:
            L_c, the mean distance of features to their centre, and the logits of the features and of the anomalies that
            are made of them, (M,) each.
        """
        projected = self.projector(features)
        with torch.no_grad():
            nearest = center if self.settings.search == "place" else nearest_center(projected, center)
        radius = residual_norm(projected, nearest).mean()
        alpha, direction = self.settings.alpha, self.settings.direction
        if direction == "center":
            anomalous = boundary_guided(projected, nearest, radius, alpha=alpha)
        else:
            anomalous = undirected(projected, noise, radius, alpha=alpha, form=direction)
        logits = self.discriminator(torch.cat([projected, anomalous]))
        return radius, logits[: len(projected)], logits[len(projected) :]

    @torch.inference_mode()
    def judge(self, features: Tensor) -> Tensor:
        """The logit of every feature being anomalous, (G, C) -> (G,)."""
        logits: Tensor = self.discriminator(self.projector(features))
        return logits
