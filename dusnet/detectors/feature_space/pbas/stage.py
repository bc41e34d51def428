"""Training of PBAS."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dusnet.config import StageSettings
from dusnet.detectors.feature_space.pbas.network import PBASNetwork
from dusnet.detectors.feature_space.pbas.settings import PBASSettings
from dusnet.detectors.feature_space.training_maps import CenteredMaps, constant_rate, map_source, separation_loss
from dusnet.nn.losses import Loss

PROJECTOR_DECAY, DISCRIMINATOR_DECAY = 1e-5, 1e-2
"""Weight decay: the regularisation of Eq. 10."""


class PBASStage:
    """Projector and discriminator learn together: a small radius, and what lies beyond it."""

    name = "pbas"

    def __init__(self, model: PBASNetwork, part: CenteredMaps, settings: PBASSettings) -> None:
        self.model: nn.Module = model
        self._networks, self._settings = model, settings
        self._source = map_source([part], settings)

    @property
    def stage(self) -> StageSettings:
        """Steps and rates."""
        return constant_rate(self._settings, self._source, self._settings.projector_rate)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Projector and discriminator at their own rates and regularisation (Eq. 10)."""
        chosen = self._settings
        projector, discriminator = self._networks.projector, self._networks.discriminator
        return [
            {"params": list(projector.parameters()), "rate": 1.0, "weight_decay": PROJECTOR_DECAY},
            {
                "params": list(discriminator.parameters()),
                "rate": chosen.discriminator_rate / chosen.projector_rate,
                "weight_decay": DISCRIMINATOR_DECAY,
            },
        ]

    def loss(self, model: nn.Module, generator: torch.Generator) -> Loss:
        """L_c and the cross entropy of one random batch (Eq. 6, 9 and 10)."""
        features, centers = self._source.draw(generator)
        features = features.flatten(0, 1)
        center = torch.cat(centers) if self._settings.search == "place" else centers[0]
        noise = torch.randn(features.shape, generator=generator)
        device = next(model.parameters()).device
        radius, normal, anomalous = model(features.to(device), center.to(device), noise.to(device))
        apart = separation_loss(normal, anomalous)
        return Loss(radius + apart.total, {"radius": radius.detach(), **apart.terms})
