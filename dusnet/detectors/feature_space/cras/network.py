"""The networks of CRAS, an adapter and a discriminator, and the anomalies that they learn from.

Q. Chen et al., "Center-aware Residual Anomaly Synthesis for Multi-class Industrial Anomaly Detection", IEEE TII 2025
(arXiv 2505.17551).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from dusnet.detectors.feature_space.center_maps import nearest_center, residual_norm
from dusnet.detectors.feature_space.cras.settings import CRASSettings
from dusnet.detectors.feature_space.feature_heads import Discriminator, linear_layers

Ratio = Literal["fixed", "residual", "noise"]

LEAST_RESIDUAL = 0.01
"""Of the mean residual: what a smaller one counts as, since a feature on its centre would be thrown to infinity."""


class CRASNetwork(nn.Module):
    """Adapter A and discriminator D.

    Args:
        settings: depths, and the input of D.
        size: channels of a feature.
    """

    def __init__(self, settings: CRASSettings, size: int) -> None:
        super().__init__()
        self.settings = settings
        self.adapter = linear_layers(size, settings.adapter_layers)
        inputs = 2 * size if settings.inputs == "both" else size
        self.discriminator = Discriminator(inputs, layers=settings.discriminator_layers, hidden=settings.hidden)

    def forward(self, features: Tensor, centers: Sequence[Tensor], noise: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of normal features and of the anomalies that are made of them (Eq. 3-7).

        Args:
            features: normal ones of several maps, (B, P, C), before the adapter.
            centers: the centre map that each of them is searched in, before the adapter, B times (K, C).
            noise: Gaussian, (B, P, C).

        Returns:
            (B P,) and (B P,). No gradient goes through the centres.
        """
        adapted = self.adapter(features)
        with torch.no_grad():
            # Rows of one part come with one and the same map.
            known = {id(map_): self.adapter(map_) for map_ in centers}
            found = [self._centers(one, known[id(map_)]) for one, map_ in zip(adapted, centers, strict=True)]
        center = torch.stack(found).flatten(0, 1)
        normal = adapted.flatten(0, 1)
        anomalous = distance_guided(
            normal, center, noise.flatten(0, 1), beta=self.settings.beta, form=self.settings.ratio
        )
        both = torch.cat([self._inputs(normal, center), self._inputs(anomalous, center)])
        logits = self.discriminator(both)
        return logits[: len(normal)], logits[len(normal) :]

    @torch.inference_mode()
    def logits(self, features: Tensor, centers: Tensor) -> Tensor:
        """The logit of every feature being anomalous (Eq. 9).

        Args:
            features: of a scan, (G, C), before the adapter.
            centers: the map that they are searched in, (K, C), before the adapter.

        Returns:
            (G,).
        """
        adapted = self.adapter(features)
        center = self._centers(adapted, self.adapter(centers))
        logits: Tensor = self.discriminator(self._inputs(adapted, center))
        return logits

    def _centers(self, features: Tensor, centers: Tensor) -> Tensor:
        """The centre of every feature: that of its own place, or the nearest of a map (Eq. 3)."""
        return centers if self.settings.search == "place" else nearest_center(features, centers)

    def _inputs(self, features: Tensor, centers: Tensor) -> Tensor:
        """The input of the discriminator: [u | u - p], or one of the two."""
        inputs = self.settings.inputs
        if inputs == "raw":
            return features
        residual = features - centers
        return residual if inputs == "residual" else torch.cat([features, residual], dim=-1)


def distance_ratio(residual: Tensor, noise: Tensor, *, beta: float, form: Ratio) -> Tensor:
    """How much noise each feature gets (CRAS Eq. 5).

    Args:
        residual: distances to the centre, (..., 1).
        noise: norms of the noise, (..., 1).
        beta: how strongly the ratio counts, 0 to 1.
        form: `noise` is Eq. 5, `beta (g / r * r' / g' - 1) + 1` with the means r' and g' of all norms; `residual` is
            the same without the noise, `beta (r' / r - 1) + 1`; `fixed` is 1, plain Gaussian noise.

    Returns:
        (..., 1): a feature near its centre gets more noise, one that already lies far off gets less.
    """
    if form == "fixed":
        return torch.ones_like(residual)
    mean = residual.mean()
    # Of a single map every feature is on its centre, and none is nearer than another.
    ratio = torch.where(mean > 0, mean / residual.clamp_min(LEAST_RESIDUAL * mean), torch.ones_like(residual))
    if form == "noise":
        ratio = ratio * noise / noise.mean()
    return beta * (ratio - 1) + 1


def distance_guided(features: Tensor, centers: Tensor, noise: Tensor, *, beta: float, form: Ratio) -> Tensor:
    """Anomalous features v = u + alpha g (CRAS Eq. 6).

    Args:
        features: normal ones, (..., C).
        centers: the centre vector of each, (..., C).
        noise: Gaussian, (..., C).
        beta: see `distance_ratio`.
        form: see `distance_ratio`.

    Returns:
        (..., C); the gradient goes through the features, not through the amount of noise.
    """
    norm = noise.norm(dim=-1, keepdim=True)
    alpha = distance_ratio(residual_norm(features, centers).detach(), norm, beta=beta, form=form)
    return features + alpha * noise
