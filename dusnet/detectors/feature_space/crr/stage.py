"""Training of CRR."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dusnet.config import StageSettings
from dusnet.detectors.feature_space.crr.network import CRRNetwork, repair_loss
from dusnet.detectors.feature_space.crr.settings import CRRSettings
from dusnet.detectors.feature_space.feature_maps import DamagedMaps
from dusnet.detectors.feature_space.training_maps import shown_maps
from dusnet.nn.losses import Loss


class CRRStage:
    """The decoder learns to repair, the head to find what was repaired."""

    name = "crr"

    def __init__(self, model: CRRNetwork, parts: Sequence[DamagedMaps], settings: CRRSettings) -> None:
        self.model: nn.Module = model
        self._settings = settings
        self._maps = shown_maps(parts)

    @property
    def stage(self) -> StageSettings:
        """Steps and rate."""
        chosen = self._settings
        return StageSettings(steps=chosen.steps, batch=chosen.batch, learning_rate=chosen.learning_rate)

    def loss(self, model: nn.Module, generator: torch.Generator) -> Loss:
        """Loss of one random batch."""
        chosen = self._settings
        drawn = []
        for number in torch.randint(len(self._maps), (chosen.batch,), generator=generator).tolist():
            part, row, shown = self._maps[number]
            order = torch.randperm(len(shown), generator=generator)
            # A scan that shows few places shows some of them again.
            picked = shown[order.repeat(-(-chosen.places // len(order)))[: chosen.places]]
            drawn.append(
                (part.features[row, picked], part.positions[picked], part.clean[row, picked], part.wrong[row, picked])
            )
        features, positions, clean, wrong = (torch.stack(values) for values in zip(*drawn, strict=True))
        hidden = torch.rand(wrong.shape, generator=generator) < chosen.hidden
        device = next(model.parameters()).device
        repaired, logits = model(features.to(device), positions.to(device), hidden.to(device))
        return repair_loss(repaired.float(), logits.float(), clean.to(device), wrong.to(device))
