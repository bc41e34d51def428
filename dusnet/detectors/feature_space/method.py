"""What a method in feature space is to those who make feature maps: networks that learn from them and judge them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from dusnet.detectors.feature_space.feature_maps import LocalFeatures
from dusnet.detectors.settings import Settings
from dusnet.io import stored
from dusnet.training.loop import Run


class FeatureMethod(ABC):
    """Networks that learn from the feature maps of good parts, one part or many, and judge maps of others.

    Args:
        settings: what it computes.
        size: channels of a feature.
        seed: of the networks as they are at first, and of whatever is random in judging.

    Attributes:
        networks: what is trained.
        settings_sections: the sections of the settings that decide what it computes.
        for_many: whether its networks can learn many parts together.
        wants_residuals: whether features of registered parts are given as differences from the mean of their place.
        wants_damaged: whether it learns from `DamagedFeatures`.
        wants_spread: whether features of any kind must be brought to one spread; without it, those that an image
            network makes are left as they are.
    """

    name: ClassVar[str]
    settings_sections: ClassVar[frozenset[str]]
    for_many: ClassVar[bool] = True
    wants_residuals: ClassVar[bool] = False
    wants_damaged: ClassVar[bool] = False
    wants_spread: ClassVar[bool] = False

    networks: nn.Module

    def __init__(self, settings: Settings, size: int, *, seed: int) -> None:
        self.settings, self.seed = settings, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.networks = self._build(size)

    @classmethod
    def restored(cls, settings: Settings, size: int, state: Mapping[str, Tensor], *, seed: int) -> Self:
        """The method with networks that were trained before.

        Args:
            settings: what it computes.
            size: channels of a feature.
            state: of its networks.
            seed: as for the method.

        Raises:
            Unusable: these are no networks of these settings.
        """
        stored.require_network(lambda: cls(settings, size, seed=seed).networks, state, f"{cls.name} network")
        made = cls(settings, size, seed=seed)
        made.networks.load_state_dict(dict(state))
        made.networks.eval()
        return made

    def require_kept(self, kept: Mapping[str, Tensor], size: int) -> None:
        """Check what `learn` answered for a part when it comes from a file.

        Args:
            kept: by name.
            size: channels of a feature.

        Raises:
            KeyError, Unusable: it is not that.
        """
        del kept, size

    @property
    def spread(self) -> float:
        """What the spread of normal features about their centre should be."""
        return self.settings.features.scale

    @abstractmethod
    def learn(self, lessons: Sequence[LocalFeatures], run: Run) -> list[dict[str, Tensor]]:
        """Train the networks on the maps of every part.

        Returns:
            What `values` needs to know of each part.
        """

    @abstractmethod
    def values(self, features: Tensor, positions: Tensor, kept: Mapping[str, Tensor]) -> Tensor:
        """How anomalous the features of a map are.

        Args:
            features: (G, C).
            positions: of the places, (G, 3).
            kept: what `learn` answered for the part.

        Returns:
            (G,), 0 upwards.
        """

    @abstractmethod
    def _build(self, size: int) -> nn.Module:
        """New networks for features of so many channels."""
