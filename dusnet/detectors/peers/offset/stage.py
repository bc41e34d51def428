"""What the offset network learns from: training clouds with pseudo-defects, made once before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn

from dusnet.config import GroupingSettings
from dusnet.detectors.peers.offset.network import OffsetNet, offset_loss
from dusnet.detectors.peers.offset.settings import OffsetSettings
from dusnet.nn.grouping import Support, draw_centers, neighbor_index, rigid_jitter
from dusnet.nn.losses import Loss
from dusnet.progress import Progress
from dusnet.synthesis.pseudo_defects import pseudo_defects

KINDS = ("bulge", "dent", "ridge", "trench", "shear", "step")
"""Pseudo-defects that move points; removed points have no offset to learn."""


@dataclass(frozen=True)
class DamagedCloud:
    """A thinned training cloud with pseudo-defects.

    Attributes:
        points: damaged points, (N, 3) float32 in the frame.
        offsets: from there back to where each of them lay, (N, 3).
        neighbors: indices of the damaged points around each, (N, K') int64.
        moved: indices of the points that belong to a defect, (M,) int64.
    """

    points: Tensor
    offsets: Tensor
    neighbors: Tensor
    moved: Tensor


def damaged_clouds(
    supports: Sequence[Support], settings: OffsetSettings, grouping: GroupingSettings, *, seed: int, progress: Progress
) -> list[DamagedCloud]:
    """`settings.clouds` clouds, dealt out over the supports, each with `settings.defects` pseudo-defects.

    Args:
        supports: thinned training clouds in the frame.
        settings: how many, how large.
        grouping: K and stride.
        seed: of places, kinds and sizes.
        progress: where to report.

    Raises:
        BadInput: a thinned cloud has too few points for pseudo-defects.
    """
    rng = np.random.default_rng(seed)
    trees: dict[int, cKDTree] = {}
    made = []
    with progress.task("Making pseudo-defects", settings.clouds) as task:
        for number in range(settings.clouds):
            chosen = number % len(supports)
            points = supports[chosen].points.double().numpy()
            if chosen not in trees:
                trees[chosen] = cKDTree(points)
            defect = pseudo_defects(
                points,
                supports[chosen].normals.double().numpy(),
                rng,
                count=settings.defects,
                kind=KINDS,
                radius=settings.radius,
                amplitude=settings.amplitude,
                tree=trees[chosen],
            )
            damaged = torch.from_numpy(defect.points).float()
            offsets = torch.from_numpy(defect.clean - defect.points).float()
            moved = torch.from_numpy(np.flatnonzero(defect.mask))
            made.append(DamagedCloud(damaged, offsets, neighbor_index(damaged, damaged, grouping), moved))
            task.advance()
    return made


class OffsetSource:
    """Draws groups of damaged clouds, each in a slightly different pose.

    Args:
        damaged: what `damaged_clouds` made.
        grouping: G and K.
        settings: size of the random rigid jitter.
    """

    FROM_DEFECTS = 0.5
    """Share of the groups that is drawn from the defects, which are a few percent of a cloud."""

    def __init__(
        self,
        damaged: Sequence[DamagedCloud],
        grouping: GroupingSettings,
        settings: OffsetSettings,
    ) -> None:
        self._jitter = settings.rotation_deg, settings.translation
        self._damaged = damaged
        self._neighbors = min(one.neighbors.shape[1] for one in damaged)
        self.groups = min(grouping.groups, *(len(one.points) for one in damaged))

    def draw(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Centres (B, G, 3), their neighbours (B, G, K, 3) and their offsets (B, G, 3), on the CPU."""
        drawn = [self._one(generator) for _ in range(batch)]
        centers, neighbors, offsets = (torch.stack(part) for part in zip(*drawn, strict=True))
        return centers, neighbors, offsets

    def _one(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        cloud = self._damaged[int(torch.randint(len(self._damaged), (), generator=generator))]
        shuffled = cloud.moved[torch.randperm(len(cloud.moved), generator=generator)]
        from_defects = shuffled[: round(self.FROM_DEFECTS * self.groups)]
        anywhere = draw_centers(cloud.points, self.groups - len(from_defects), generator)
        picked = torch.cat([from_defects, anywhere])
        rotation, translation = rigid_jitter(*self._jitter, generator)
        points = cloud.points @ rotation.T + translation
        neighbors = points[cloud.neighbors[picked, : self._neighbors]]
        return points[picked], neighbors, cloud.offsets[picked] @ rotation.T


class OffsetStage:
    """The one stage of the offset network."""

    name = "offset-net"

    def __init__(self, model: OffsetNet, source: OffsetSource, *, batch: int) -> None:
        self.model: nn.Module = model
        self._source, self._batch = source, batch
        self._unit = float(model.patch_radius)

    def loss(self, model: nn.Module, generator: torch.Generator) -> Loss:
        """Loss of one random batch."""
        centers, neighbors, offsets = self._source.draw(self._batch, generator)
        device = next(model.parameters()).device
        predicted = model(centers.to(device), neighbors.to(device)).float()
        return offset_loss(predicted, offsets.to(device), unit=self._unit)
