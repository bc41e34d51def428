"""The networks of CRAS: an adapter, and a discriminator that sees a feature beside its distance from the centre.

Q. Chen et al., "Center-aware Residual Anomaly Synthesis for Multi-class Industrial Anomaly Detection", IEEE TII 2025
(arXiv 2505.17551).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dusnet.detectors.feature_space.center_maps import nearest_center
from dusnet.detectors.feature_space.feature_heads import Discriminator, linear_layers
from dusnet.detectors.feature_space.feature_synthesis import distance_guided
from dusnet.detectors.feature_space.settings import CRASSettings


class ResidualDiscrimination(nn.Module):
    """Adapter A and discriminator D.

    Args:
        settings: depths and what D sees.
        size: channels of a feature.
    """

    def __init__(self, settings: CRASSettings, size: int) -> None:
        super().__init__()
        self.settings = settings
        self.adapter = linear_layers(size, settings.adapter_layers)
        seen = 2 * size if settings.inputs == "both" else size
        self.discriminator = Discriminator(seen, layers=settings.discriminator_layers, hidden=settings.hidden)

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
        both = torch.cat([self._seen(normal, center), self._seen(anomalous, center)])
        logits = self.discriminator(both)
        return logits[: len(normal)], logits[len(normal) :]

    @torch.inference_mode()
    def judge(self, features: Tensor, centers: Tensor) -> Tensor:
        """The logit of every feature being anomalous (Eq. 9).

        Args:
            features: of a scan, (G, C), before the adapter.
            centers: the map that they are searched in, (K, C), before the adapter.

        Returns:
            (G,).
        """
        adapted = self.adapter(features)
        center = self._centers(adapted, self.adapter(centers))
        logits: Tensor = self.discriminator(self._seen(adapted, center))
        return logits

    def _centers(self, features: Tensor, centers: Tensor) -> Tensor:
        """The centre of every feature: that of its own place, or the nearest of a map (Eq. 3)."""
        return centers if self.settings.search == "place" else nearest_center(features, centers)

    def _seen(self, features: Tensor, centers: Tensor) -> Tensor:
        """What the discriminator is shown: [u | u - p], or one of the two."""
        inputs = self.settings.inputs
        if inputs == "raw":
            return features
        residual = features - centers
        return residual if inputs == "residual" else torch.cat([features, residual], dim=-1)
