"""Centre maps: the normal features of a part, place by place, and the centre that each feature belongs to.

A map has one feature per place of a part, so that rows of two maps belong together. Equations of CRAS are those of
arXiv 2505.17551 (Chen et al., IEEE TII 2025), those of PBAS of arXiv 2412.17458 (Chen et al., IEEE TCSVT 2024).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

EMA = 0.1
"""Weight of a new map in a centre that follows the maps (PBAS Algorithm 1)."""
_CLUSTERINGS = 3
"""Starts of k-means; the best one is taken."""

ShownMap = tuple[Tensor, Tensor]
"""A map, (G, C), and which of its places it shows, (G,) bool."""


def mean_center(maps: Iterable[ShownMap]) -> Tensor:
    """Mean of the features at corresponding places over the maps that show them (CRAS Eq. 1), (G, C)."""
    total, weight, everywhere, count = torch.zeros(()), torch.zeros(()), torch.zeros(()), 0
    for features, shown in maps:
        counts = shown.unsqueeze(-1).to(features.dtype)
        total, weight = total + features * counts, weight + counts
        everywhere, count = everywhere + features, count + 1
    return torch.where(weight > 0, total / weight.clamp_min(1), everywhere / count)


def iterative_center(maps: Iterable[ShownMap]) -> Tensor:
    """A centre that follows one map after another at corresponding places, (G, C).

    The first map that shows a place, then `0.9 center + 0.1 map`, in the order of the maps ("iterative" of PBAS
    Table VI).
    """
    center, known = torch.empty(0), torch.empty(0)
    for number, (features, shown) in enumerate(maps):
        if number == 0:
            center, known = features.clone(), shown.clone()
            continue
        follows = shown & known
        center[follows] = torch.lerp(center[follows], features[follows], EMA)
        known = _begun(center, known, features, shown)
    return center


def aligned_center(maps: Iterable[ShownMap]) -> Tensor:
    """A centre that follows every feature with the centre vector most like it, (G, C).

    PBAS Algorithm 1: the first map is the centre; every feature of each later map, in order, moves the centre vector
    with the highest cosine similarity by `EMA` towards itself. The similarities of a map are taken before it moves
    anything. A place that no earlier map showed begins with the first feature that it gets, which moves nothing.
    """
    center, known = torch.empty(0), torch.empty(0)
    for number, (features, shown) in enumerate(maps):
        if number == 0:
            center, known = features.clone(), shown.clone()
            continue
        rows, moving = known.nonzero()[:, 0], features[shown & known]
        known = _begun(center, known, features, shown)
        if not len(rows):
            continue
        nearest = rows[most_alike(moving, center[rows])]
        # Features that move the same vector do so one after another: `rank` is which of them each is.
        order = torch.argsort(nearest, stable=True)
        ordered = nearest[order]
        starts = torch.searchsorted(ordered, ordered)
        rank = torch.arange(len(order)) - starts
        for step in range(int(rank.max()) + 1 if len(rank) else 0):
            now = order[rank == step]
            center[nearest[now]] = torch.lerp(center[nearest[now]], moving[now], EMA)
    return center


def clustered_center(maps: Iterable[ShownMap], *, seed: int) -> Tensor:
    """Means of k-means clusters of all features that are shown, as many as a map has places, (K, C)."""
    from sklearn.cluster import KMeans

    found = [(len(shown), features[shown]) for features, shown in maps]
    features = torch.cat([one for _, one in found])
    count = min(found[0][0], len(features))
    clusters = KMeans(count, n_init=_CLUSTERINGS, random_state=seed).fit(features.double().numpy())
    return torch.from_numpy(clusters.cluster_centers_).to(features.dtype)


def first_center(maps: Iterable[ShownMap]) -> Tensor:
    """The first feature that every place gets (CRAS Table V, a single sample), (G, C)."""
    center, known = torch.empty(0), torch.empty(0)
    for number, (features, shown) in enumerate(maps):
        if number == 0:
            center, known = features.clone(), shown.clone()
        else:
            known = _begun(center, known, features, shown)
    return center


def _begun(center: Tensor, known: Tensor, features: Tensor, shown: Tensor) -> Tensor:
    """Begin the places of a centre, in place, that are shown for the first time; the places that are known now."""
    fresh = shown & ~known
    center[fresh] = features[fresh]
    return known | shown


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


def residual_norm(features: Tensor, centers: Tensor) -> Tensor:
    """Distance of every feature to its centre vector (CRAS Eq. 4, PBAS Eq. 6), (..., C) -> (..., 1)."""
    return (features - centers).norm(dim=-1, keepdim=True)


def map_similarity(features: Tensor, center: Tensor, shown: Tensor) -> float:
    """Cosine similarity of a feature map and a centre map, each flattened to one vector (CRAS Eq. 2).

    Args:
        features: (G, C).
        center: (G, C).
        shown: places that the scan shows, (G,) bool; the others do not count.

    Returns:
        -1 to 1; -1 where the scan shows nothing.
    """
    if not bool(shown.any()):
        return -1.0
    one, other = features[shown].flatten().double(), center[shown].flatten().double()
    return float(functional.cosine_similarity(one, other, dim=0))
