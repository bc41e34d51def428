"""What the two stages learn from: groups of the training clouds, and the Down-Net's own predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dusnet import ops
from dusnet.config import GroupingSettings, LossSettings, StageSettings, TrainingSettings
from dusnet.detectors.dusnet_paper.down_net import DownNet
from dusnet.detectors.dusnet_paper.losses import down_loss
from dusnet.detectors.dusnet_paper.noise_gen import NoiseGen, NoisyGroups
from dusnet.nn.grouping import Support, draw_centers, rigid_jitter
from dusnet.nn.losses import Loss, up_loss
from dusnet.nn.up_net import UpNet


@dataclass(frozen=True)
class Groups:
    """Clean groups of one batch.

    Attributes:
        centers: (B, G, 3) in the frame.
        neighbors: (B, G, K, 3) in the frame.
        normals: unit normals at the centres, (B, G, 3).
        clouds: the whole thinned clouds in the same pose, B times (N, 3).
    """

    centers: Tensor
    neighbors: Tensor
    normals: Tensor
    clouds: tuple[Tensor, ...]


def move(down: nn.Module, noisy: NoisyGroups, device: torch.device) -> Tensor:
    """The Down-Net's prediction for noisy groups, (B, G, 3) float32 on `device`."""
    predicted: Tensor = down(noisy.centers.to(device), noisy.neighbors.to(device))
    return predicted.float()


class GroupSource:
    """Draws batches of groups from thinned training clouds, each in a slightly different pose.

    Args:
        supports: thinned clouds in the frame; all give the same number of groups.
        grouping: G and K.
        training: size of the random rigid jitter.
    """

    def __init__(self, supports: Sequence[Support], grouping: GroupingSettings, training: TrainingSettings) -> None:
        self.supports = supports
        self.groups = min(grouping.groups, *(len(support.points) for support in supports))
        self.neighbors = min(support.width for support in supports)
        self.jitter = training.rotation_deg, training.translation

    def draw(self, batch: int, groups: int, generator: torch.Generator) -> Groups:
        """Groups of `batch` random clouds, on the CPU.

        Args:
            batch: B.
            groups: at most the `groups` of this source.
            generator: the only source of randomness.
        """
        drawn = [self._one(groups, generator) for _ in range(batch)]
        centers, neighbors, normals, clouds = zip(*drawn, strict=True)
        return Groups(torch.stack(centers), torch.stack(neighbors), torch.stack(normals), clouds)

    def _one(self, groups: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        support = self.supports[int(torch.randint(len(self.supports), (), generator=generator))]
        picked = draw_centers(support.points, groups, generator)
        rotation, translation = rigid_jitter(*self.jitter, generator)
        cloud = support.points @ rotation.T + translation
        neighbors = cloud[support.around(picked)[:, : self.neighbors]]
        return cloud[picked], neighbors, support.normals[picked] @ rotation.T, cloud


class DownStage:
    """Stage 1: undo the noise of Noise-Gen (Eq. 8)."""

    name = "down-net"

    def __init__(
        self, model: DownNet, source: GroupSource, noise: NoiseGen, settings: StageSettings, loss: LossSettings
    ) -> None:
        self.model: nn.Module = model
        self._source, self._noise, self._settings, self._loss = source, noise, settings, loss

    def loss(self, model: nn.Module, generator: torch.Generator) -> Loss:
        """Loss of one random batch."""
        clean = self._source.draw(self._settings.batch, self._source.groups, generator)
        noisy = self._noise(clean.centers, clean.neighbors, clean.normals, generator)
        device = next(model.parameters()).device
        predicted = move(model, noisy, device)
        return down_loss(predicted, clean.centers.to(device), self._loss)


class UpStage:
    """Stage 2: rebuild the dense cloud from the frozen Down-Net's predictions (Eq. 14)."""

    name = "up-net"

    def __init__(
        self,
        model: UpNet,
        down: DownNet,
        source: GroupSource,
        noise: NoiseGen,
        settings: StageSettings,
        loss: LossSettings,
    ) -> None:
        self.model: nn.Module = model
        self._down = down.eval().requires_grad_(False)
        self._gamma = model.gamma
        self._source, self._noise, self._settings, self._loss = source, noise, settings, loss

    def loss(self, model: nn.Module, generator: torch.Generator) -> Loss:
        """Loss of one random batch."""
        device = next(model.parameters()).device
        self._down.to(device)
        centers, targets = [], []
        for _ in range(self._settings.batch):
            clean = self._source.draw(1, self._source.groups, generator)
            noisy = self._noise(clean.centers, clean.neighbors, clean.normals, generator)
            with torch.no_grad():
                centers.append(move(self._down, noisy, device))
            targets.append(self._target(clean, generator))
        return up_loss(model(torch.cat(centers)).float(), torch.cat(targets).to(device), self._loss)

    def _target(self, clean: Groups, generator: torch.Generator) -> Tensor:
        """The dense training cloud sampled to G gamma points, (1, G gamma, 3)."""
        (cloud,) = clean.clouds
        wanted = clean.centers.shape[1] * self._gamma
        # Which points come twice when there are too few must not depend on their order.
        shuffled = cloud[torch.randperm(len(cloud), generator=generator)]
        dense = shuffled.repeat(-(-wanted // len(cloud)), 1).unsqueeze(0)
        return ops.gather_points(dense, ops.farthest_point_sample(dense, wanted))
