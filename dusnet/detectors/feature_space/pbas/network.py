"""The networks of PBAS, a projector and a discriminator, and the anomalies that they learn from.

Q. Chen et al., "Progressive Boundary Guided Anomaly Synthesis for Industrial Anomaly Detection", IEEE TCSVT 2024
(arXiv 2412.17458).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from dusnet.detectors.feature_space.center_maps import nearest_center, residual_norm
from dusnet.detectors.feature_space.feature_heads import Discriminator, linear_layers
from dusnet.detectors.feature_space.pbas.settings import PBASSettings

Direction = Literal["center", "random", "gaussian"]


class PBASNetwork(nn.Module):
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
    def logits(self, features: Tensor) -> Tensor:
        """The logit of every feature being anomalous, (G, C) -> (G,)."""
        logits: Tensor = self.discriminator(self.projector(features))
        return logits


def boundary_guided(features: Tensor, centers: Tensor, radius: Tensor, *, alpha: float) -> Tensor:
    """Anomalous features on the rays from the centre, z = u + alpha L_c (u - c) / |u - c| (PBAS Eq. 7).

    Args:
        features: normal ones, (..., C).
        centers: the centre vector of each, (..., C).
        radius: L_c, the mean distance of features to their centre, a scalar.
        alpha: how far beyond the feature, in radii.

    Returns:
        (..., C); the gradient goes through the features, not through the step.
    """
    direction = functional.normalize(features - centers, dim=-1)
    return features + (alpha * radius * direction).detach()


def undirected(features: Tensor, noise: Tensor, radius: Tensor, *, alpha: float, form: Direction) -> Tensor:
    """What the ray of `boundary_guided` is compared with (PBAS Table V).

    Args:
        features: normal ones, (..., C).
        noise: standard normal, (..., C).
        radius: L_c, a scalar.
        alpha: as there.
        form: `random` steps as far in a random direction; `gaussian` adds noise of that length on average.

    Returns:
        (..., C).
    """
    if form == "random":
        return features + (alpha * radius * functional.normalize(noise, dim=-1)).detach()
    return features + (alpha * radius / features.shape[-1] ** 0.5 * noise).detach()
