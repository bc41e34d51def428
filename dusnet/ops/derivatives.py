# ruff: noqa: ARG001 -- the signatures are those of the schemas
"""Shapes for the compiler (fake kernels) and gradients of the ops, the same for every implementation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

ops = torch.ops.dusnet


CPU_FAN = 16  # points of a leaf and boxes of a group, of cuda_ops/cpu/tree.h
CUDA_FAN = 32  # those of cuda_ops/cuda/index_cuda.h


def index_bytes(points: Tensor) -> int:
    """How many bytes the compiled ops need for the index of one cloud of (B, N, 3) points; plain torch needs none."""
    device = points.device.type
    if device not in ("cpu", "cuda") or not _compiled_for(device.upper()):
        return 0
    if device == "cuda":
        return cuda_index_bytes(points.shape[1])
    return cpu_index_bytes(points.shape[1], points.element_size())


def _compiled_for(key: str) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key("dusnet::build_index", key)


def cpu_index_bytes(count: int, number: int) -> int:
    """Leaves, and levels of boxes above them up to a single one; `number` is the size of a coordinate in bytes."""
    below = (count + CPU_FAN - 1) // CPU_FAN
    total = below * CPU_FAN * (3 * number + 4)
    while below > 0:
        below = (below + CPU_FAN - 1) // CPU_FAN
        total += below * CPU_FAN * (6 * number + 4)
        if below == 1:
            break
    return total


def cuda_index_bytes(count: int) -> int:
    """Codes, coordinates and indices of the points, the boxes of leaves and of groups, and that of the cloud."""
    leaves = (count + CUDA_FAN - 1) // CUDA_FAN
    groups = (leaves + CUDA_FAN - 1) // CUDA_FAN
    boxes = 4 * (7 * (leaves + groups) + 6)
    return leaves * CUDA_FAN * 24 + (boxes + 7) // 8 * 8


def _fake_farthest_point_sample(points: Tensor, k: int, start: int, lengths: Tensor | None) -> Tensor:
    return points.new_empty((points.shape[0], k), dtype=torch.int64)


def _fake_build_index(points: Tensor, lengths: Tensor | None) -> Tensor:
    return points.new_empty((points.shape[0], index_bytes(points)), dtype=torch.uint8)


def _fake_knn(
    query: Tensor,
    points: Tensor,
    k: int,
    query_lengths: Tensor | None,
    lengths: Tensor | None,
    index: Tensor | None,
) -> tuple[Tensor, Tensor]:
    shape = (query.shape[0], query.shape[1], k)
    return query.new_empty(shape), query.new_empty(shape, dtype=torch.int64)


def _fake_ball_query(
    query: Tensor,
    points: Tensor,
    radius: float,
    k: int,
    query_lengths: Tensor | None,
    lengths: Tensor | None,
    index: Tensor | None,
) -> tuple[Tensor, Tensor]:
    shape = (query.shape[0], query.shape[1])
    return query.new_empty((*shape, k), dtype=torch.int64), query.new_empty(shape, dtype=torch.int64)


def _fake_three_interpolate(features: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    return features.new_empty((index.shape[0], index.shape[1], features.shape[2]))


def _fake_scatter_sum(values: Tensor, index: Tensor, size: int) -> Tensor:
    return values.new_empty((values.shape[0], size, values.shape[2]))


def _fake_earth_movers_match(
    x: Tensor, y: Tensor, eps: float, max_iter: int, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape[:2], dtype=torch.int64), x.new_empty(x.shape[:1], dtype=torch.bool)


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """values[b, index[b, i]], with a zero row where index is -1: (B, N, C) and (B, L) -> (B, L, C)."""
    rows = values.gather(1, index.clamp(min=0)[..., None].expand(-1, -1, values.shape[2]))
    return torch.where(index[..., None] >= 0, rows, 0.0)


def _remember_knn(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, points = inputs[:2]
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(query, points, output[1])


def _knn_backward(ctx: Any, grad_distance: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    query, points, index = ctx.saved_tensors
    flat = index.flatten(1)
    delta = query[:, :, None] - _rows(points, flat).unflatten(1, index.shape[1:])
    scaled = torch.where(index >= 0, 2.0 * grad_distance, 0.0)[..., None] * delta
    to_query = scaled.sum(dim=2) if ctx.needs_input_grad[0] else None
    to_points = None
    if ctx.needs_input_grad[1]:
        to_points = ops.scatter_sum(-scaled.flatten(1, 2), flat, points.shape[1])
    return to_query, to_points, None, None, None, None


def _remember_three_interpolate(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _three_interpolate_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
    features, index, weights = ctx.saved_tensors
    to_features = to_weights = None
    if ctx.needs_input_grad[0]:
        spread = (grad[:, :, None] * weights[..., None]).flatten(1, 2)
        to_features = ops.scatter_sum(spread, index.flatten(1), features.shape[1])
    if ctx.needs_input_grad[2]:
        columns = [(_rows(features, index[..., j]) * grad).sum(dim=-1) for j in range(index.shape[2])]
        to_weights = torch.stack(columns, dim=-1)
    return to_features, None, to_weights


def _remember_scatter_sum(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _scatter_sum_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    (index,) = ctx.saved_tensors
    return _rows(grad, index), None, None


def register(library: torch.library.Library) -> None:
    """Tell the dispatcher the shapes and gradients of ops that are already defined."""
    fakes: dict[str, Callable[..., Any]] = {
        "farthest_point_sample": _fake_farthest_point_sample,
        "build_index": _fake_build_index,
        "knn": _fake_knn,
        "ball_query": _fake_ball_query,
        "three_interpolate": _fake_three_interpolate,
        "scatter_sum": _fake_scatter_sum,
        "earth_movers_match": _fake_earth_movers_match,
    }
    for name, fake in fakes.items():
        torch.library.register_fake(f"dusnet::{name}", fake, lib=library)
    backwards: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        "knn": (_knn_backward, _remember_knn),
        "three_interpolate": (_three_interpolate_backward, _remember_three_interpolate),
        "scatter_sum": (_scatter_sum_backward, _remember_scatter_sum),
    }
    for name, (backward, remember) in backwards.items():
        torch.library.register_autograd(f"dusnet::{name}", backward, setup_context=remember, lib=library)
