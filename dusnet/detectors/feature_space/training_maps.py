"""Training maps beside their centre maps, and the batches that are drawn from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from dusnet.config import StageSettings
from dusnet.detectors.feature_space.cras.settings import CRASSettings
from dusnet.detectors.feature_space.feature_maps import DamagedMaps
from dusnet.detectors.feature_space.pbas.settings import PBASSettings
from dusnet.nn.losses import Loss

_Maps = TypeVar("_Maps", "CenteredMaps", DamagedMaps)


@dataclass(frozen=True)
class CenteredMaps:
    """The training maps of a part.

    Attributes:
        features: (B, G, C).
        shown: which places each map shows, (B, G) bool.
        center: the map that features are searched in, (K, C).
    """

    features: Tensor
    shown: Tensor
    center: Tensor


def shown_maps(parts: Sequence[_Maps]) -> list[tuple[_Maps, int, Tensor]]:
    """Every map that shows anything: its part, its row there, and the places that it shows."""
    found = [(part, row, part.shown[row].nonzero()[:, 0]) for part in parts for row in range(len(part.features))]
    return [one for one in found if len(one[2])]


class MapSource:
    """Draws features of random maps, all maps being equally likely.

    Args:
        parts: the training maps of every part.
        batch: maps per draw.
        places: features per map, drawn with repetition among the places that it shows.
        by_place: row k of a centre map is the centre of every feature at place k.
    """

    def __init__(self, parts: Sequence[CenteredMaps], *, batch: int, places: int, by_place: bool = False) -> None:
        self._batch, self._places, self._by_place = batch, places, by_place
        self._maps = shown_maps(parts)

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


def separation_loss(normal: Tensor, anomalous: Tensor) -> Loss:
    """Binary cross entropy of logits, the mean over normal and over anomalous features (CRAS Eq. 8, PBAS Eq. 9)."""
    on_normal = functional.binary_cross_entropy_with_logits(normal, torch.zeros_like(normal))
    on_anomalous = functional.binary_cross_entropy_with_logits(anomalous, torch.ones_like(anomalous))
    return Loss(on_normal + on_anomalous, {"normal": on_normal.detach(), "anomalous": on_anomalous.detach()})


def map_source(parts: Sequence[CenteredMaps], settings: CRASSettings | PBASSettings) -> MapSource:
    """The batches that CRAS and PBAS learn from."""
    return MapSource(parts, batch=settings.batch, places=settings.places, by_place=settings.search == "place")


def constant_rate(settings: CRASSettings | PBASSettings, source: MapSource, rate: float) -> StageSettings:
    """The number of epochs that is set, at one rate from the first step to the last."""
    steps = settings.epochs * source.steps
    return StageSettings(steps=steps, batch=settings.batch, learning_rate=rate, warmup=0.0, schedule="constant")
