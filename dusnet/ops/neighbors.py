"""Sampling and neighbourhoods: farthest points, nearest neighbours, balls, inverse-distance interpolation."""

from __future__ import annotations

import torch
from torch import Tensor

from dusnet.ops import checks, native

ops = torch.ops.dusnet
CUDA_MOST_NEIGHBORS = 2048


def farthest_point_sample(points: Tensor, k: int, *, start: int = 0, lengths: Tensor | None = None) -> Tensor:
    """Choose k points, each the farthest from all chosen before it; equally far ones by the lower index.

    No point is chosen twice, also where points coincide.

    Args:
        points: (B, N, 3) float, any unit.
        k: how many to choose, from 1 to N.
        start: index of the first choice, below every length.
        lengths: (B,) integers, how many leading points of each cloud count; None for all.

    Returns:
        (B, k) int64 indices; -1 beyond the number of points of a ragged cloud.

    Raises:
        ValueError: an argument has the wrong shape, type or range.

    Examples:
        >>> line = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [4, 0, 0]]])
        >>> farthest_point_sample(line, 3)
        tensor([[0, 2, 1]])
    """
    points = checks.cloud("points", points)
    lengths = checks.lengths("lengths", lengths, points)
    checks.between("k", k, 1, points.shape[1], "the number of points")
    least = points.shape[1] if lengths is None or torch.compiler.is_compiling() else int(lengths.min())
    checks.between("start", start, 0, least - 1, "the last index of the shortest cloud")
    chosen: Tensor = ops.farthest_point_sample(points.detach(), k, start, lengths)
    return chosen


def check_k(k: int, points: Tensor, count: bool = True) -> None:
    """Refuse a number of neighbours that cannot be had; with `count` it may not exceed the number of points."""
    if count:
        checks.between("k", k, 1, points.shape[1], "the number of points")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    if points.is_cuda and native.BACKEND == "cuda" and k > CUDA_MOST_NEIGHBORS:
        raise ValueError(f"k must be at most {CUDA_MOST_NEIGHBORS} on CUDA, got {k}; use fewer or move to the CPU.")


def knn(
    query: Tensor, points: Tensor, k: int, *, query_lengths: Tensor | None = None, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The k nearest points of each query point, nearest first, equally near ones by the lower index.

    Distances are differentiable with respect to both clouds; the choice of the neighbours is held fixed.

    Args:
        query: (B, M, 3) float, any unit.
        points: (B, N, 3) float, the same unit.
        k: from 1 to N.
        query_lengths: (B,) integers, how many leading query points of each cloud count; None for all.
        lengths: (B,) integers, likewise for `points`.

    Returns:
        Squared distances (B, M, k) in the squared unit and indices (B, M, k) int64. Padding (query rows beyond their
        length, neighbours beyond the length of a ragged cloud) has distance infinity, index -1 and no gradient.

    Raises:
        ValueError: an argument has the wrong shape, type or range.

    Examples:
        >>> line = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [4, 0, 0]]])
        >>> knn(line, line, 2)[1]
        tensor([[[0, 1],
                 [1, 0],
                 [2, 1]]])
    """
    query, points = checks.pair("query", query, "points", points)
    query_lengths = checks.lengths("query_lengths", query_lengths, query)
    lengths = checks.lengths("lengths", lengths, points)
    check_k(k, points)
    distance, index = ops.knn(query, points, k, query_lengths, lengths, None)
    return distance, index


def ball_query(
    query: Tensor,
    points: Tensor,
    radius: float,
    k: int,
    *,
    query_lengths: Tensor | None = None,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The at most k nearest points within `radius` of each query point, nearest first, border included.

    Args:
        query: (B, M, 3) float, any unit.
        points: (B, N, 3) float, the same unit.
        radius: in the same unit, positive.
        k: the most neighbours to return, at least 1; may exceed N.
        query_lengths: (B,) integers, how many leading query points of each cloud count; None for all.
        lengths: (B,) integers, likewise for `points`.

    Returns:
        Indices (B, M, k) int64 padded with -1, and how many there are (B, M) int64.

    Raises:
        ValueError: an argument has the wrong shape, type or range.
    """
    query, points = checks.pair("query", query, "points", points)
    query_lengths = checks.lengths("query_lengths", query_lengths, query)
    lengths = checks.lengths("lengths", lengths, points)
    checks.positive("radius", radius)
    check_k(k, points, count=False)
    index, count = ops.ball_query(query.detach(), points.detach(), float(radius), k, query_lengths, lengths, None)
    return index, count


def three_nn(
    query: Tensor, points: Tensor, *, query_lengths: Tensor | None = None, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The three nearest points of each query point with inverse-distance weights that sum to one.

    The weight of a neighbour is 1/d over the sum of the three; a query point that coincides with a point takes its
    nearest one with weight 1. The weights carry no gradient. (C. R. Qi et al., "PointNet++", 2017, eq. 2 with p = 1.)

    Args:
        query: (B, M, 3) float, any unit.
        points: (B, N, 3) float, the same unit.
        query_lengths: (B,) integers, how many leading query points of each cloud count; None for all.
        lengths: (B,) integers, likewise for `points`.

    Returns:
        Weights (B, M, 3) and indices (B, M, 3) int64. With fewer than three points, and on padded query rows, the
        missing neighbours have weight 0 and index -1.

    Raises:
        ValueError: an argument has the wrong shape or type.
    """
    query, points = checks.pair("query", query.detach(), "points", points.detach())
    found = min(3, points.shape[1])
    distance, index = knn(query, points, found, query_lengths=query_lengths, lengths=lengths)
    return inverse_distance_weights(distance, index)


def inverse_distance_weights(distance: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """What `three_nn` returns, from the squared distances and indices (B, M, 1 to 3) of the nearest points."""
    found = index.shape[2]
    distance = torch.nn.functional.pad(distance, (0, 3 - found), value=float("inf"))
    index = torch.nn.functional.pad(index, (0, 3 - found), value=-1)
    inverse = distance.rsqrt()
    hit = torch.isinf(inverse[..., :1])
    first = torch.zeros_like(inverse)
    first[..., 0] = 1.0
    total = inverse.sum(dim=-1, keepdim=True)
    weights = torch.where(hit, first, inverse / torch.where(total > 0, total, 1.0))
    return weights, index


def three_interpolate(features: Tensor, idx: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of the three rows of `features` that `idx` names; differentiable in features and weights.

    Args:
        features: (B, N, C) float.
        idx: (B, M, 3) int64 from `three_nn`; -1 adds nothing.
        weights: (B, M, 3) float.

    Returns:
        (B, M, C) in the dtype of the features (float32 for half precision).

    Raises:
        ValueError: an argument has the wrong shape, type or range.
    """
    if features.dim() != 3:
        raise ValueError(f"features must be (B, N, C), got {tuple(features.shape)}.")
    expected = (features.shape[0], idx.shape[1] if idx.dim() > 1 else 0, 3)
    for name, value in (("idx", idx), ("weights", weights)):
        if tuple(value.shape) != expected:
            raise ValueError(f"{name} must be {expected}, got {tuple(value.shape)}.")
    checks.index("idx", idx, features.shape[1])
    features = checks.floating("features", features)
    result: Tensor = ops.three_interpolate(features, idx, checks.floating("weights", weights).to(features.dtype))
    return result


def gather_points(points: Tensor, idx: Tensor) -> Tensor:
    """Rows of `points` by index, differentiable; index -1 (padding) gives a row of zeros.

    Args:
        points: (B, N, C).
        idx: (B, ...) int64.

    Returns:
        (B, ..., C).

    Raises:
        ValueError: an argument has the wrong shape, type or range.
    """
    if points.dim() != 3:
        raise ValueError(f"points must be (B, N, C), got {tuple(points.shape)}.")
    if idx.dim() < 1 or idx.shape[0] != points.shape[0]:
        raise ValueError(f"idx must start with the batch size {points.shape[0]}, got {tuple(idx.shape)}.")
    checks.index("idx", idx, points.shape[1])
    flat = idx.reshape(idx.shape[0], -1, 1)
    rows = points.gather(1, flat.clamp(min=0).expand(-1, -1, points.shape[2]))
    zero = torch.zeros((), dtype=points.dtype, device=points.device)
    return torch.where(flat >= 0, rows, zero).reshape(*idx.shape, points.shape[2])
