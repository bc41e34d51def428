"""A method in feature space: networks that learn from feature maps and say how anomalous other maps are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from dusnet.detectors.feature_space.feature_maps import FeatureMaps
from dusnet.detectors.settings import Settings
from dusnet.io import stored
from dusnet.training.loop import Run


class FeatureMethod(ABC):
    """Networks that learn from the feature maps of good parts, one part or many, and score other maps.

    Args:
        settings: what it computes.
        size: channels of a feature.
        seed: of the initial weights, and of the random choices in scoring.

    Attributes:
        networks: what is trained.
        for_many: whether its networks can learn many parts together.
        uses_residuals: whether features of registered parts are given as differences from the mean of their place.
        uses_damaged: whether it learns from `DamagedMaps`.
        scales_image_features: whether the features of an image network are brought to one spread, too, as those of
            scans always are.
    """

    name: ClassVar[str]
    for_many: ClassVar[bool] = True
    uses_residuals: ClassVar[bool] = False
    uses_damaged: ClassVar[bool] = False
    scales_image_features: ClassVar[bool] = False

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

    def require_part_state(self, part_state: Mapping[str, Tensor], size: int) -> None:
        """Check a part state that comes from a file.

        Args:
            part_state: as `learn` returns it for a part.
            size: channels of a feature.

        Raises:
            KeyError, Unusable: it is none.
        """
        del part_state, size

    @property
    def spread(self) -> float:
        """The spread about their centre that normal features are brought to."""
        return self.settings.features.scale

    @abstractmethod
    def learn(self, maps: Sequence[FeatureMaps], run: Run) -> list[dict[str, Tensor]]:
        """Train the networks.

        Args:
            maps: the training maps of every part.
            run: device, seed, checkpoints.

        Returns:
            The part state of each: what `values` needs to know of the part.
        """

    @abstractmethod
    def values(self, features: Tensor, positions: Tensor, part_state: Mapping[str, Tensor]) -> Tensor:
        """How anomalous the features of a map are.

        Args:
            features: (G, C).
            positions: of the places, (G, 3).
            part_state: of the part, as `learn` returned it.

        Returns:
            (G,), 0 upwards.
        """

    @abstractmethod
    def _build(self, size: int) -> nn.Module:
        """New networks for features of so many channels."""
