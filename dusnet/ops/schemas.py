"""The schemas of `torch.ops.dusnet`; `cuda_ops/bindings.cpp` holds the same text, which a test compares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dusnet.ops import auction, reference

SCHEMAS: dict[str, str] = {
    "farthest_point_sample": "(Tensor points, int k, int start, Tensor? lengths) -> Tensor",
    "build_index": "(Tensor points, Tensor? lengths) -> Tensor",
    "knn": "(Tensor query, Tensor points, int k, Tensor? query_lengths, Tensor? lengths, Tensor? index)"
    " -> (Tensor, Tensor)",
    "ball_query": "(Tensor query, Tensor points, float radius, int k, Tensor? query_lengths, Tensor? lengths,"
    " Tensor? index) -> (Tensor, Tensor)",
    "three_interpolate": "(Tensor features, Tensor index, Tensor weights) -> Tensor",
    "scatter_sum": "(Tensor values, Tensor index, int size) -> Tensor",
    "earth_movers_match": "(Tensor x, Tensor y, float eps, int max_iter, Tensor? lengths) -> (Tensor, Tensor)",
}

PLAIN_TORCH: dict[str, Callable[..., Any]] = {
    "farthest_point_sample": reference.farthest_point_sample,
    "build_index": reference.build_index,
    "knn": reference.knn,
    "ball_query": reference.ball_query,
    "three_interpolate": reference.three_interpolate,
    "scatter_sum": reference.scatter_sum,
    "earth_movers_match": auction.earth_movers_match,
}
