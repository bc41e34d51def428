"""What the two stages of the guided networks learn from damaged scans."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from dusnet.config import LossSettings, StageSettings
from dusnet.detectors.dusnet.down_net import GuidedDownNet
from dusnet.detectors.dusnet.groups import HEIGHT, GuidedGroups
from dusnet.detectors.dusnet.simulated_scans import DamagedScan
from dusnet.geometry.spacing import neighbor_spacing
from dusnet.nn.grouping import draw_centers
from dusnet.nn.losses import Loss, up_loss
from dusnet.nn.up_net import UpNet

DEFECT_WEIGHT = 4.0
"""How much more a group of a defect counts than a good one: there are few of them."""

CENTER_NOISE = 0.05
"""Noise of the centres that the Up-Net starts from, in units of their spacing."""


class GuidedStage:
    """Stage 1: say which groups belong to a defect, and where a good part would have them.

    Every step shows groups of random scans in random poses.

    Args:
        model: the guided Down-Net.
        scans: damaged ones with their answers.
        settings: scans per step.
        groups: G, groups per scan and step.
    """

    name = "guided-down-net"

    def __init__(
        self, model: GuidedDownNet, scans: Sequence[DamagedScan], settings: StageSettings, *, groups: int
    ) -> None:
        self.model: nn.Module = model
        self._scans, self._batch = scans, settings.batch
        self._groups = min(groups, *(len(one.wrong) for one in scans))

    def loss(self, model: nn.Module, generator: torch.Generator) -> Loss:
        """Loss of one random batch."""
        groups, targets, wrong = self.draw(generator)
        device = next(model.parameters()).device
        centers, logits = model(*groups.tensors(device))
        return guided_loss(centers.float(), logits.float(), targets.to(device), wrong.to(device))

    def draw(self, generator: torch.Generator) -> tuple[GuidedGroups, Tensor, Tensor]:
        """Groups, true centres (B, G, 3) and which belong to a defect (B, G), on the CPU."""
        drawn, targets, wrong = [], [], []
        for _ in range(self._batch):
            one = self._scans[int(torch.randint(len(self._scans), (), generator=generator))]
            index = torch.randperm(len(one.wrong), generator=generator)[: self._groups]
            turns = 2 * torch.pi * torch.rand(len(index), generator=generator)
            rotation = _random_rotation(generator)
            drawn.append(turned(one.seen.groups(index, turns), rotation))
            targets.append(one.clean[index] @ rotation.T)
            wrong.append(one.wrong[index])
        return GuidedGroups.stack(drawn), torch.stack(targets), torch.stack(wrong)


def turned(groups: GuidedGroups, rotation: Tensor) -> GuidedGroups:
    """The same groups of a turned part; what is local stays.

    Args:
        groups: of any scans.
        rotation: (3, 3).
    """
    return GuidedGroups(
        groups.centers @ rotation.T,
        groups.displacement @ rotation.T,
        groups.axes @ rotation.T,
        groups.scan,
        groups.places,
        groups.about,
    )


def guided_loss(centers: Tensor, logits: Tensor, targets: Tensor, wrong: Tensor) -> Loss:
    """Distance of the centres to where they lay, and cross-entropy of the defect probability.

    Args:
        centers: predicted, (B, G, 3).
        logits: of belonging to a defect, (B, G).
        targets: true centres, (B, G, 3).
        wrong: which groups belong to a defect, (B, G) bool.
    """
    weight = torch.where(wrong, DEFECT_WEIGHT, 1.0)
    off = functional.smooth_l1_loss(centers / HEIGHT, targets / HEIGHT, reduction="none", beta=0.5).sum(dim=-1)
    terms = {
        "centers": (weight * off).sum() / weight.sum(),
        "defect": functional.binary_cross_entropy_with_logits(logits, wrong.to(logits.dtype), weight=weight),
    }
    return Loss(torch.stack(list(terms.values())).sum(), {name: value.detach() for name, value in terms.items()})


def _random_rotation(generator: torch.Generator) -> Tensor:
    quaternion = functional.normalize(torch.randn(4, generator=generator), dim=0)
    w, x, y, z = quaternion
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)]),
        torch.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)]),
        torch.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]),
    ]
    return torch.stack(rows)


class GuidedUpStage:
    """Stage 2: rebuild the dense cloud of a scan from few of its points (Eq. 14), each in units of their spacing.

    Args:
        model: the Up-Net, with unit spacing.
        scans: damaged ones with their answers.
        settings: scans per step.
        loss: weights of the terms.
        groups: G, centres per scan and step.
    """

    name = "guided-up-net"

    def __init__(
        self, model: UpNet, scans: Sequence[DamagedScan], settings: StageSettings, loss: LossSettings, *, groups: int
    ) -> None:
        self.model: nn.Module = model
        # A scan without as many points as are rebuilt has no dense cloud to show.
        self._scans = [one for one in scans if len(one.clean) >= groups * model.gamma]
        self._batch, self._groups, self._dense, self._loss = settings.batch, groups, groups * model.gamma, loss

    def loss(self, model: nn.Module, generator: torch.Generator) -> Loss:
        """Loss of one random batch."""
        centers, targets = [], []
        for _ in range(self._batch):
            one = self._scans[int(torch.randint(len(self._scans), (), generator=generator))]
            cloud = one.clean @ _random_rotation(generator).T
            picked = cloud[draw_centers(cloud, self._groups, generator)]
            middle, unit = picked.mean(dim=0), neighbor_spacing(picked)
            jitter = CENTER_NOISE * torch.randn(picked.shape, generator=generator)
            dense = cloud[torch.randperm(len(cloud), generator=generator)[: self._dense]]
            centers.append((picked - middle) / unit + jitter)
            targets.append((dense - middle) / unit)
        device = next(model.parameters()).device
        rebuilt = model(torch.stack(centers).to(device)).float()
        return up_loss(rebuilt, torch.stack(targets).to(device), self._loss)
