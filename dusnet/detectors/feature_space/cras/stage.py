"""Training of CRAS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from dusnet.config import StageSettings
from dusnet.detectors.feature_space.cras.network import CRASNetwork
from dusnet.detectors.feature_space.cras.settings import CRASSettings
from dusnet.detectors.feature_space.training_maps import CenteredMaps, constant_rate, map_source, separation_loss
from dusnet.nn.losses import Loss


class CRASStage:
    """Adapter and discriminator learn together to tell normal features from distance-guided noise."""

    name = "cras"

    def __init__(self, model: CRASNetwork, parts: Sequence[CenteredMaps], settings: CRASSettings) -> None:
        self.model: nn.Module = model
        self._networks, self._settings = model, settings
        self._source = map_source(parts, settings)

    @property
    def stage(self) -> StageSettings:
        """Steps and rates."""
        return constant_rate(self._settings, self._source, self._settings.adapter_rate)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The adapter at the stage's rate, the discriminator at its own."""
        ratio = self._settings.discriminator_rate / self._settings.adapter_rate
        adapter, discriminator = self._networks.adapter, self._networks.discriminator
        groups = [{"params": list(discriminator.parameters()), "rate": ratio}]
        return groups + ([{"params": list(adapter.parameters()), "rate": 1.0}] if len(adapter) else [])

    def loss(self, model: nn.Module, generator: torch.Generator) -> Loss:
        """Loss of one random batch."""
        features, centers = self._source.draw(generator)
        noise = self._settings.noise * torch.randn(features.shape, generator=generator)
        device = next(model.parameters()).device
        moved = {id(center): center.to(device) for center in centers}
        return separation_loss(*model(features.to(device), [moved[id(one)] for one in centers], noise.to(device)))
