"""Groups: centres and the neighbourhoods around them, at one density for every scan of a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dusnet import ops
from dusnet.config import GroupingSettings
from dusnet.geometry.normals import tensor_normals
from dusnet.geometry.sampling import cell_for, thin

THINNINGS = 4
"""Thinnings of every training cloud, so that the networks see more than one choice of its points."""
MEASURED = 8192
"""Points of a cloud that the patch radius is the mean of, at most."""


@dataclass(frozen=True)
class Support:
    """A thinned cloud with everything that groups are cut from.

    Neighbours are looked up where they are asked for: kept for all points they would be most of the memory of a
    training with the paper's 640 neighbours.

    Attributes:
        points: (N, 3) float32 in the frame.
        normals: unit normals of either sign, (N, 3).
        search: the points, prepared for searches.
        settings: K and stride.
    """

    points: Tensor
    normals: Tensor
    search: ops.PointIndex
    settings: GroupingSettings

    @classmethod
    def of(cls, points: Tensor, settings: GroupingSettings) -> Support:
        """Prepare a cloud once, for many groups."""
        return cls(points, tensor_normals(points, points), ops.PointIndex(points.unsqueeze(0)), settings)

    @property
    def width(self) -> int:
        """How many neighbours a group of this cloud has."""
        return -(-min(self.settings.neighbors, len(self.points) - 1) // self.settings.stride)

    def around(self, picked: Tensor) -> Tensor:
        """Indices of the neighbours of some points, the points themselves excluded, (M,) int64 -> (M, width) int64."""
        return neighbor_index(self.points[picked], self.search, self.settings)

    @property
    def patch_radius(self) -> float:
        """Mean distance of a neighbour to its centre, in the frame; of evenly taken points where there are many."""
        picked = torch.arange(0, len(self.points), -(-len(self.points) // MEASURED))
        return float((self.points[self.around(picked)] - self.points[picked].unsqueeze(1)).norm(dim=-1).mean())


def neighbor_index(centers: Tensor, support: Tensor | ops.PointIndex, settings: GroupingSettings) -> Tensor:
    """The neighbours that span the patch of each centre: every `stride`-th of the K nearest, the centre excluded.

    Args:
        centers: (M, 3).
        support: (N, 3), or the same prepared for searches; a centre may be one of its points.
        settings: K and stride. K is capped at N - 1.

    Returns:
        (M, ceil(K / stride)) int64 indices into `support`, nearest first.
    """
    search = support if isinstance(support, ops.PointIndex) else ops.PointIndex(support.unsqueeze(0))
    count = min(settings.neighbors, search.points.shape[1] - 1)
    squared, index = search.knn(centers.unsqueeze(0), count + 1)
    is_self = squared[0, :, :1] == 0
    others = torch.where(is_self, index[0, :, 1:], index[0, :, :-1])
    return others[:, :: settings.stride].contiguous()


def draw_centers(points: Tensor, groups: int, generator: torch.Generator) -> Tensor:
    """Indices of `groups` well spread points: farthest point sampling of a random half, from a random start.

    Sampling the whole cloud would pick the same rims and corners every time.

    Args:
        points: (N, 3).
        groups: G, capped at N.
        generator: the only source of randomness.

    Returns:
        (min(G, N),) int64.
    """
    pool = torch.randperm(len(points), generator=generator)[: max(min(groups, len(points)), len(points) // 2)]
    picked = ops.farthest_point_sample(points[pool].unsqueeze(0), min(groups, len(pool)))
    return pool[picked[0]]


def supports_of(
    clouds: Sequence[NDArray[np.float64]], grouping: GroupingSettings, points: int, *, seed: int
) -> tuple[list[Support], float]:
    """Several thinnings of every training cloud, all at one density, and the grid that makes it.

    Args:
        clouds: in the frame, (N, 3) each.
        grouping: K and stride.
        points: wanted number of points.
        seed: of the thinnings.
    """
    rng = np.random.default_rng(seed)
    cell = float(np.median([cell_for(cloud, points, rng) for cloud in clouds]))
    supports = []
    for cloud in clouds:
        for _ in range(THINNINGS):
            kept = torch.from_numpy(cloud[thin(cloud, cell, rng)]).float()
            supports.append(Support.of(kept, grouping))
    return supports, cell


def rigid_jitter(degrees: float, shift: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random rotation of at most `degrees` and a random translation of the deviation `shift`: (3, 3), (3,)."""
    axis = functional.normalize(torch.randn(3, generator=generator), dim=0)
    angle = degrees * torch.pi / 180 * torch.rand((), generator=generator)
    zero = torch.zeros(())
    skew = torch.stack([zero, -axis[2], axis[1], axis[2], zero, -axis[0], -axis[1], axis[0], zero]).view(3, 3)
    return torch.linalg.matrix_exp(angle * skew), shift * torch.randn(3, generator=generator)
