"""A memory of normal features: which of them to keep, and the nearest of them.

Greedy k-center coreset and nearest memory: K. Roth et al., "Towards Total Recall in Industrial Anomaly Detection"
(PatchCore), CVPR 2022, sections 3.2 and 3.3. Sparse random projection: P. Li, T. Hastie, K. Church, "Very Sparse
Random Projections", KDD 2006.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from dusnet.io import stored

POOL = 60_000
"""Features that the coreset is chosen from: its cost is their number times the number of choices."""
_BLOCK = 2**22
"""Entries of a block of distances."""
_FEW = 16
"""A query that may be compared with less than this part of the memories is compared with each of them alone: measured
ten times as quick as all distances at rho 0.1 and 41,000 memories of 99 numbers."""


def sparse_projection(size: int, dimensions: int, generator: torch.Generator) -> Tensor:
    """A random matrix that keeps distances in expectation and is mostly zero, (size, dimensions) float32.

    Entries are 0 with probability 1 - 1/s, else +-sqrt(s / dimensions), with s = sqrt(size).

    Args:
        size: dimensions of the features.
        dimensions: to project to.
        generator: the only source of randomness.
    """
    density = 1 / math.sqrt(size)
    present = torch.rand(size, dimensions, generator=generator) < density
    sign = torch.randint(0, 2, (size, dimensions), generator=generator) * 2 - 1
    return present * sign / math.sqrt(density * dimensions)


def greedy_coreset(features: Tensor, count: int, start: int = 0) -> Tensor:
    """The greedy solution of the k-center problem: each choice is the feature farthest from all chosen before it.

    Args:
        features: (N, C) float, N >= 1.
        count: how many to choose, from 1 to N.
        start: index of the first choice.

    Returns:
        (count,) int64 in the order of choice; equally far ones by the lower index. No feature is chosen twice. The
        largest distance to the nearest chosen feature is at most twice that of the best possible choice.

    Raises:
        ValueError: `count` or `start` is out of range.
    """
    if not 1 <= count <= len(features) or not 0 <= start < len(features):
        raise ValueError(f"count {count} and start {start} do not fit {len(features)} features.")
    # Centred, the expansion of the squared distance below loses fewer digits.
    features = features.float() - features.float().mean(dim=0)
    squares = features.square().sum(dim=1)
    chosen = torch.empty(count, dtype=torch.int64)
    nearest = torch.full_like(squares, torch.inf)
    newest = start
    for step in range(count):
        chosen[step] = newest
        distance = torch.addmv(squares, features, features[newest], alpha=-2) + squares[newest]
        nearest = torch.minimum(nearest, distance.clamp_min_(0))
        nearest[newest] = -1
        newest = int(nearest.argmax())
    return chosen


def nearest(
    query: Tensor, memory: Tensor, allowed: tuple[Tensor, Tensor, float] | None = None
) -> tuple[Tensor, Tensor]:
    """Distance to the nearest memory of each feature, and which one it is, in bounded memory.

    Args:
        query: (M, C) float.
        memory: (K, C) float, K >= 1.
        allowed: places (M, 3) of the queries, places (K, 3) of the memories, and the distance between places up to
            which a memory may be compared with a query; a query that no memory may be compared with takes the nearest
            of all. None: all may.

    Returns:
        (M,) float64 and (M,) int64.
    """
    query, memory = query.double(), memory.double()
    found = torch.full((len(query),), -1, dtype=torch.int64)
    if allowed is not None:
        found = _nearest_of_few(query, memory, *allowed)
    left = (found < 0).nonzero()[:, 0]
    rows = max(1, _BLOCK // len(memory))
    for block in left.split(rows):
        distance = torch.cdist(query[block], memory, compute_mode="use_mm_for_euclid_dist")
        if allowed is not None:
            here, there, reach = allowed
            far = torch.cdist(here[block].double(), there.double()) > reach
            far[far.all(dim=1)] = False
            distance[far] = torch.inf
        found[block] = distance.argmin(dim=1)
    # The product form of the distance rounds; near zero that would show.
    return (query - memory[found]).norm(dim=1), found


def _nearest_of_few(query: Tensor, memory: Tensor, here: Tensor, there: Tensor, reach: float) -> Tensor:
    """The nearest memory of the queries that may be compared with few, (M,) int64; -1 for the others."""
    known, asked = memory.numpy(), query.numpy()
    places, tree = here.double().numpy(), cKDTree(there.double().numpy())
    counts = tree.query_ball_point(places, reach, return_length=True)
    found = np.full(len(asked), -1)
    for row in np.flatnonzero((counts > 0) & (_FEW * counts < len(known))):
        near = tree.query_ball_point(places[row], reach, return_sorted=True)
        found[row] = near[int(np.square(known[near] - asked[row]).sum(axis=1).argmin())]
    return torch.from_numpy(found)


@dataclass(frozen=True)
class MemoryBank:
    """Normal features and their places.

    Attributes:
        features: (K, C) float32.
        places: where each was computed, (K, 3) float32 in the frame.
    """

    features: Tensor
    places: Tensor

    @classmethod
    def of(
        cls,
        features: Tensor,
        places: Tensor,
        *,
        share: float,
        most: int | None,
        projection: int | None,
        seed: int,
    ) -> MemoryBank:
        """Remember a coreset of the features of all training scans.

        Args:
            features: (N, C), N >= 1.
            places: (N, 3).
            share: of the features that is remembered, 1 for all.
            most: upper limit of how many are remembered, None for no limit.
            projection: dimensions in which the coreset is chosen; None, or not fewer than C, for all of them.
            seed: of the projection, of the first choice, and of what is drawn from too many features.

        Returns:
            The memory, in the order of the features. More than 60,000 features are drawn down to that many before a
            coreset is chosen; with `share` 1 there is none, and what exceeds `most` is left to the draw.
        """
        generator = torch.Generator().manual_seed(seed)
        wanted = max(1, math.ceil(share * len(features)))
        if most is not None:
            wanted = min(most, wanted)
        pool = wanted if share == 1 else max(POOL, wanted if most is None else most)
        if len(features) > pool:
            drawn = torch.randperm(len(features), generator=generator)[:pool].sort().values
            features, places = features[drawn], places[drawn]
        if wanted < len(features):
            compared = features.float()
            if projection is not None and projection < features.shape[1]:
                compared = compared @ sparse_projection(features.shape[1], projection, generator)
            start = int(torch.randint(len(features), (1,), generator=generator))
            coreset = greedy_coreset(compared, wanted, start).sort().values
            features, places = features[coreset], places[coreset]
        return cls(features.float().contiguous(), places.float().contiguous())

    def nearest(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Distance to the nearest memory and which one it is, (M, C) -> (M,) float64 and (M,) int64."""
        return nearest(features, self.features)

    def nearest_around(self, features: Tensor, places: Tensor, reach: float | None) -> tuple[Tensor, Tensor]:
        """The same among the memories whose places are within `reach`, or among all where there is none.

        Args:
            features: (M, C).
            places: (M, 3) in the frame.
            reach: a distance in the frame; None for an infinite one.
        """
        return nearest(features, self.features, None if reach is None else (places, self.places, reach))

    def and_also(self, other: MemoryBank) -> MemoryBank:
        """Both together, this one first."""
        return MemoryBank(torch.cat([self.features, other.features]), torch.cat([self.places, other.places]))

    def tensors(self) -> dict[str, Tensor]:
        """What a model file stores."""
        return {"features": self.features, "places": self.places}

    @classmethod
    def restore(cls, tensors: dict[str, Tensor], channels: int | None = None) -> MemoryBank:
        """The inverse of `tensors`.

        Args:
            tensors: of a model file.
            channels: C, of the features that are looked up; None where any number is right.

        Raises:
            KeyError, Unusable: the two are not there or do not belong together.
        """
        features, places = tensors["features"], tensors["places"]
        if features.dim() != 2 or places.shape != (len(features), 3) or not len(features):
            raise stored.Unusable(f"features {tuple(features.shape)} and places {tuple(places.shape)} are no memory")
        wanted = features.shape[1] if channels is None else channels
        return cls(stored.tensor(tensors, "features", None, wanted), stored.tensor(tensors, "places", len(features), 3))
