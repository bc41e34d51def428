"""Groups: centres and the neighbourhoods around them, at one density for every scan of a class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dusnet import geometry, ops
from dusnet.config import GroupingSettings


@dataclass(frozen=True)
class Support:
    """A thinned cloud with everything that groups are cut from.

    Attributes:
        points: (N, 3) float32 in the frame.
        neighbors: indices of the neighbours of every point, itself excluded, (N, K') int64.
        normals: unit normals of either sign, (N, 3).
    """

    points: Tensor
    neighbors: Tensor
    normals: Tensor

    @classmethod
    def of(cls, points: Tensor, settings: GroupingSettings) -> Support:
        """Find neighbours and normals once, for many groups."""
        return cls(points, neighbor_index(points, points, settings), geometry.normals(points, points))

    @property
    def patch_radius(self) -> float:
        """Mean distance of a neighbour to its centre, in the frame."""
        return float((self.points[self.neighbors] - self.points.unsqueeze(1)).norm(dim=-1).mean())


def neighbor_index(centers: Tensor, support: Tensor, settings: GroupingSettings) -> Tensor:
    """The neighbours that span the patch of each centre: every `stride`-th of the K nearest, the centre excluded.

    Args:
        centers: (M, 3).
        support: (N, 3); a centre may be one of its points.
        settings: K and stride. K is capped at N - 1.

    Returns:
        (M, ceil(K / stride)) int64 indices into `support`, nearest first.
    """
    count = min(settings.neighbors, len(support) - 1)
    squared, index = ops.knn(centers.unsqueeze(0), support.unsqueeze(0), count + 1)
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


def random_chunks(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Disjoint random chunks that cover 0..count-1; the last one is filled up from the beginning.

    Returns:
        (ceil(count / size), min(size, count)) int64.
    """
    size = min(size, count)
    order = torch.randperm(count, generator=generator)
    chunks = -(-count // size)
    return torch.cat([order, order[: chunks * size - count]]).view(chunks, size)
