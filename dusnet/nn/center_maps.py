"""Centre maps: what the features of good parts look like, place by place, and how features find their centre.

A map has one feature per place of a part, so that rows of two maps belong together. Equations of CRAS are those of
arXiv 2505.17551 (Chen et al., IEEE TII 2025), those of PBAS of arXiv 2412.17458 (Chen et al., IEEE TCSVT 2024).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

EMA = 0.1  # weight of a new map in a centre that follows (PBAS Algorithm 1)
_CLUSTERINGS = 3


def mean_center(maps: Tensor) -> Tensor:
    """Mean of the features at corresponding places (CRAS Eq. 1), (B, G, C) -> (G, C)."""
    return maps.mean(dim=0)


def iterative_center(maps: Tensor) -> Tensor:
    """A centre that follows one map after another at corresponding places, (B, G, C) -> (G, C).

    The first map, then `0.9 center + 0.1 map`, in the order of the maps (PBAS Table VI, "iterative").
    """
    center = maps[0].clone()
    for features in maps[1:]:
        center.lerp_(features, EMA)
    return center


def aligned_center(maps: Tensor) -> Tensor:
    """A centre that follows every feature with the centre vector most like it, (B, G, C) -> (G, C).

    PBAS Algorithm 1: the first map is the centre; every feature of each later map, in order, moves the centre vector
    with the highest cosine similarity by `EMA` towards itself. The similarities of a map are taken before it moves
    anything.
    """
    center = maps[0].clone()
    for features in maps[1:]:
        nearest = most_alike(features, center)
        # Features that move the same vector do so one after another: `rank` is which of them each is.
        order = torch.argsort(nearest, stable=True)
        ordered = nearest[order]
        starts = torch.searchsorted(ordered, ordered)
        rank = torch.arange(len(order)) - starts
        for step in range(int(rank.max()) + 1):
            now = order[rank == step]
            center[nearest[now]] = torch.lerp(center[nearest[now]], features[now], EMA)
    return center


def clustered_center(maps: Tensor, count: int, *, seed: int) -> Tensor:
    """Means of k-means clusters of all features, wherever they lie, (B, G, C) -> (min(count, B G), C)."""
    from sklearn.cluster import KMeans

    features = maps.flatten(0, 1)
    clusters = KMeans(min(count, len(features)), n_init=_CLUSTERINGS, random_state=seed).fit(features.double().numpy())
    return torch.from_numpy(clusters.cluster_centers_).to(maps.dtype)


def most_alike(features: Tensor, center: Tensor) -> Tensor:
    """Index of the centre vector of highest cosine similarity, (..., M, C), (..., K, C) -> (..., M) int64."""
    similarity = functional.normalize(features, dim=-1) @ functional.normalize(center, dim=-1).transpose(-1, -2)
    return similarity.argmax(dim=-1)


def nearest_center(features: Tensor, center: Tensor) -> Tensor:
    """The nearest centre vector of each feature (CRAS Eq. 3, PBAS Eq. 6).

    Args:
        features: (..., M, C).
        center: the map of the feature's class, (..., K, C).

    Returns:
        (..., M, C), rows of `center`.
    """
    index = torch.cdist(features, center).argmin(dim=-1)
    return center.gather(-2, index.unsqueeze(-1).expand(*index.shape, center.shape[-1]))


def map_similarity(features: Tensor, center: Tensor, seen: Tensor) -> float:
    """Cosine similarity of a feature map and a centre map, each flattened to one vector (CRAS Eq. 2).

    Args:
        features: (G, C).
        center: (G, C).
        seen: places that the scan shows, (G,) bool; the others do not count.

    Returns:
        -1 to 1; -1 where the scan shows nothing.
    """
    if not bool(seen.any()):
        return -1.0
    one, other = features[seen].flatten().double(), center[seen].flatten().double()
    return float(functional.cosine_similarity(one, other, dim=0))
