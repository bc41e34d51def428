"""What the methods in feature space learn from: feature maps of the training scans of one part or of many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from dusnet.config import StageSettings
from dusnet.detectors.feature_space.boundary import Boundary
from dusnet.detectors.feature_space.feature_maps import DamagedFeatures
from dusnet.detectors.feature_space.repair import Repair, repair_loss
from dusnet.detectors.feature_space.residual_discrimination import ResidualDiscrimination
from dusnet.detectors.feature_space.settings import CRASSettings, CRRSettings, PBASSettings
from dusnet.nn.losses import Loss

_Maps = TypeVar("_Maps", "MapsOfPart", DamagedFeatures)


@dataclass(frozen=True)
class MapsOfPart:
    """The training maps of a part.

    Attributes:
        features: (B, G, C).
        seen: which places each map shows, (B, G) bool.
        center: the map that features are searched in, (K, C).
    """

    features: Tensor
    seen: Tensor
    center: Tensor


def _shown_maps(parts: Sequence[_Maps]) -> list[tuple[_Maps, int, Tensor]]:
    """Every map that shows anything: its part, its row there, and the places that it shows."""
    found = [(part, row, part.seen[row].nonzero()[:, 0]) for part in parts for row in range(len(part.features))]
    return [one for one in found if len(one[2])]


class MapSource:
    """Draws features of random maps, all maps being equally likely.

    Args:
        parts: the training maps of every part.
        batch: maps per draw.
        places: features per map, drawn with repetition among the places that it shows.
        by_place: row k of a centre map is the centre of every feature at place k.
    """

    def __init__(self, parts: Sequence[MapsOfPart], *, batch: int, places: int, by_place: bool = False) -> None:
        self._batch, self._places, self._by_place = batch, places, by_place
        self._maps = _shown_maps(parts)

    @property
    def steps(self) -> int:
        """Draws in which as many features come as there are."""
        return math.ceil(sum(len(shown) for _, _, shown in self._maps) / (self._batch * self._places))

    def draw(self, generator: torch.Generator) -> tuple[Tensor, list[Tensor]]:
        """Features (batch, places, C), and for each row its centre map, or the centre of each of its features."""
        features, centers = [], []
        for number in torch.randint(len(self._maps), (self._batch,), generator=generator).tolist():
            part, row, shown = self._maps[number]
            picked = shown[torch.randint(len(shown), (self._places,), generator=generator)]
            features.append(part.features[row, picked])
            centers.append(part.center[picked] if self._by_place else part.center)
        return torch.stack(features), centers


def told_apart(normal: Tensor, anomalous: Tensor) -> Loss:
    """Binary cross entropy of logits, the mean over normal and over anomalous features (CRAS Eq. 8, PBAS Eq. 9)."""
    on_normal = functional.binary_cross_entropy_with_logits(normal, torch.zeros_like(normal))
    on_anomalous = functional.binary_cross_entropy_with_logits(anomalous, torch.ones_like(anomalous))
    return Loss(on_normal + on_anomalous, {"normal": on_normal.detach(), "anomalous": on_anomalous.detach()})


def _source(parts: Sequence[MapsOfPart], settings: CRASSettings | PBASSettings) -> MapSource:
    return MapSource(parts, batch=settings.batch, places=settings.places, by_place=settings.search == "place")


def _constant_pace(settings: CRASSettings | PBASSettings, source: MapSource, rate: float) -> StageSettings:
    """As many epochs as wanted at one rate from the first step to the last."""
    steps = settings.epochs * source.steps
    return StageSettings(steps=steps, batch=settings.batch, learning_rate=rate, warmup=0.0, schedule="constant")


class CRASStage:
    """Adapter and discriminator learn together to tell normal features from distance-guided noise."""

    name = "cras"

    def __init__(self, model: ResidualDiscrimination, parts: Sequence[MapsOfPart], settings: CRASSettings) -> None:
        self.model: nn.Module = model
        self._networks, self._settings = model, settings
        self._source = _source(parts, settings)

    @property
    def stage(self) -> StageSettings:
        """Steps and rates."""
        return _constant_pace(self._settings, self._source, self._settings.adapter_rate)

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
        return told_apart(*model(features.to(device), [moved[id(one)] for one in centers], noise.to(device)))


class PBASStage:
    """Projector and discriminator learn together: a small radius, and what lies beyond it."""

    name = "pbas"

    def __init__(self, model: Boundary, part: MapsOfPart, settings: PBASSettings) -> None:
        self.model: nn.Module = model
        self._networks, self._settings = model, settings
        self._source = _source([part], settings)

    @property
    def stage(self) -> StageSettings:
        """Steps and rates."""
        return _constant_pace(self._settings, self._source, self._settings.projector_rate)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Projector and discriminator at their own rates and regularisation (Eq. 10)."""
        chosen = self._settings
        projector, discriminator = self._networks.projector, self._networks.discriminator
        return [
            {"params": list(projector.parameters()), "rate": 1.0, "weight_decay": chosen.projector_decay},
            {
                "params": list(discriminator.parameters()),
                "rate": chosen.discriminator_rate / chosen.projector_rate,
                "weight_decay": chosen.discriminator_decay,
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
        apart = told_apart(normal, anomalous)
        return Loss(radius + apart.total, {"radius": radius.detach(), **apart.terms})


class CRRStage:
    """The decoder learns to repair, the head to find what was repaired."""

    name = "crr"

    def __init__(self, model: Repair, parts: Sequence[DamagedFeatures], settings: CRRSettings) -> None:
        self.model: nn.Module = model
        self._settings = settings
        self._maps = _shown_maps(parts)

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
