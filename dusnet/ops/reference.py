"""Every op in plain torch: what the binary computes, to the bit, on any device and without a compiler.

The functions take and return exactly what the schemas in `dusnet.ops.schemas` say. Distances are looked at in blocks of
at most `BLOCK` elements, so that no call allocates memory proportional to the product of the two clouds' sizes.
Assignments of the earth mover's distance are the exception to bit equality: there is more than one within `eps`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 1 << 22


def squared_distances(query: Tensor, points: Tensor) -> Tensor:
    """dx*dx + dy*dy + dz*dz in that order, (M, 3) and (N, 3) -> (M, N), each product rounded on its own."""
    total = query[:, None, 0] - points[None, :, 0]
    total.mul_(total)
    for axis in (1, 2):
        delta = query[:, None, axis] - points[None, :, axis]
        total += delta.mul_(delta)
    return total


def _length(lengths: Tensor | None, batch: int, full: int) -> int:
    return full if lengths is None else max(0, min(full, int(lengths[batch])))


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    step = max(1, BLOCK // max(1, columns))
    for first in range(0, rows, step):
        yield slice(first, min(rows, first + step))


def farthest_point_sample(points: Tensor, k: int, start: int, lengths: Tensor | None) -> Tensor:
    """The point farthest from all chosen ones, k times; chosen points are never chosen again."""
    batch, count, _ = points.shape
    index = torch.full((batch, k), -1, dtype=torch.int64, device=points.device)
    for b in range(batch):
        size = _length(lengths, b, count)
        if size == 0:
            continue
        cloud = points[b, :size]
        nearest = torch.full((size,), math.inf, dtype=points.dtype, device=points.device)
        chosen = torch.tensor(min(start, size - 1), device=points.device)
        for i in range(min(k, size)):
            if i > 0:
                chosen = nearest.argmax()
            index[b, i] = chosen
            nearest = torch.minimum(nearest, squared_distances(cloud[chosen][None], cloud)[0])
            nearest[chosen] = -1.0
    return index


def _smallest(distances: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest of each row in ascending order, equal ones by index: (R, N) -> (R, k) twice."""
    if k == 1:
        index = distances.argmin(dim=1, keepdim=True)
        return distances.gather(1, index), index
    value, index = distances.topk(k, dim=1, largest=False)
    last = value[:, -1:]
    crowded = ((distances <= last).sum(dim=1) > k).nonzero()[:, 0]
    if len(crowded):
        rows, last = distances[crowded], last[crowded]
        below, equal = rows < last, rows == last
        room = k - below.sum(dim=1, keepdim=True)
        chosen = below | (equal & (equal.cumsum(dim=1) <= room))
        index[crowded] = chosen.nonzero()[:, 1].view(len(crowded), k)
    index = index.sort(dim=1).values
    value, order = distances.gather(1, index).sort(dim=1, stable=True)
    return value, index.gather(1, order)


def build_index(points: Tensor, lengths: Tensor | None) -> Tensor:  # noqa: ARG001 -- the signature of the schema
    """Nothing, (B, 0): plain torch looks at all distances."""
    return points.new_empty((points.shape[0], 0), dtype=torch.uint8)


def knn(
    query: Tensor,
    points: Tensor,
    k: int,
    query_lengths: Tensor | None,
    lengths: Tensor | None,
    index: Tensor | None,  # noqa: ARG001 -- the signature of the schema
) -> tuple[Tensor, Tensor]:
    """Squared distances and indices of the k nearest points, ascending."""
    batch, rows, _ = query.shape
    distance = query.new_full((batch, rows, k), math.inf)
    nearest = torch.full((batch, rows, k), -1, dtype=torch.int64, device=query.device)
    for b in range(batch):
        cloud = points[b, : _length(lengths, b, points.shape[1])]
        found = min(k, len(cloud))
        if found == 0:
            continue
        for block in _blocks(_length(query_lengths, b, rows), len(cloud)):
            near = _smallest(squared_distances(query[b, block], cloud), found)
            distance[b, block, :found], nearest[b, block, :found] = near
    return distance, nearest


def ball_query(
    query: Tensor,
    points: Tensor,
    radius: float,
    k: int,
    query_lengths: Tensor | None,
    lengths: Tensor | None,
    index: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Indices of the k nearest points within the radius (inclusive), and how many there are."""
    found = min(k, points.shape[1])
    distance, near = knn(query, points, found, query_lengths, lengths, index)
    limit = torch.tensor(radius * radius, dtype=query.dtype, device=query.device)
    near = near.masked_fill(distance > limit, -1)
    padded = near.new_full((*near.shape[:2], k), -1)
    padded[..., :found] = near
    return padded, (padded >= 0).sum(dim=-1)


def three_interpolate(features: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """weights[0] * f[i0] + weights[1] * f[i1] + weights[2] * f[i2], added in that order; index -1 adds nothing."""
    total = features.new_zeros((index.shape[0], index.shape[1], features.shape[2]))
    for j in range(index.shape[2]):
        at, weight = index[..., j, None], weights[..., j, None]
        rows = features.gather(1, at.clamp(min=0).expand(-1, -1, features.shape[2]))
        total += torch.where(at >= 0, rows * weight, 0.0)
    return total


def scatter_sum(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Row i of `values` added to row index[i] of the result, in the order of i; index -1 is left out."""
    batch, _, channels = values.shape
    total = values.new_zeros((batch, size, channels))
    for b in range(batch):
        kept = index[b] >= 0
        if values.is_cuda:  # index_add_ uses atomics there; accumulating index_put_ sorts and is deterministic
            total[b].index_put_((index[b][kept],), values[b][kept], accumulate=True)
        else:
            total[b].index_add_(0, index[b][kept], values[b][kept])
    return total
