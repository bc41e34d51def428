"""Gradients, dispatcher rules and the compiler, for whatever implementation is registered."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dusnet import ops


def _double(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def test_knn_gradient() -> None:
    query, points = _double(2, 7, 3), _double(2, 9, 3, seed=1)
    lengths = torch.tensor([3, 9])

    def distances(a: Tensor, b: Tensor) -> Tensor:
        found = ops.knn(a, b, 4, lengths=lengths)[0]
        return found[torch.isfinite(found)]

    assert gradcheck(distances, (query, points))
    assert gradgradcheck(lambda a, b: ops.knn(a, b, 4)[0], (query, points))


def test_chamfer_and_interpolation_and_scatter_gradients() -> None:
    x, y = _double(2, 6, 3), _double(2, 5, 3, seed=1)
    assert gradcheck(ops.chamfer_distance, (x, y))
    weights, index = ops.three_nn(x, y)
    features = _double(2, 5, 4, seed=2)
    assert gradcheck(lambda f, w: ops.three_interpolate(f, index, w), (features, weights.requires_grad_()))
    assert gradgradcheck(lambda f, w: ops.three_interpolate(f, index, w), (features, weights))
    rows = torch.tensor([[0, 2, -1, 2, 1, 0], [3, 3, 3, -1, -1, 0]])
    assert gradcheck(lambda v: torch.ops.dusnet.scatter_sum(v, rows, 4), (_double(2, 6, 2),))


def test_earth_movers_gradient_points_along_the_match() -> None:
    x, y = _double(1, 8, 3), _double(1, 8, 3, seed=1)
    assert gradcheck(lambda a, b: ops.earth_movers_distance(a, b, eps=1e-6)[0], (x, y))


def test_gather_gradient() -> None:
    index = torch.tensor([[[0, -1], [2, 2]]])
    assert gradcheck(lambda p: ops.gather_points(p, index), (_double(1, 3, 3),))


def _samples(requires_grad: bool) -> dict[str, tuple[Any, ...]]:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2, 30, 3, generator=generator)
    query = torch.randn(2, 11, 3, generator=generator).requires_grad_(requires_grad)
    index = torch.randint(-1, 30, (2, 11, 3), generator=generator)
    lengths = torch.tensor([12, 30])
    weights = torch.rand(2, 11, 3, generator=generator).requires_grad_(requires_grad)
    return {
        "farthest_point_sample": (points, 5, 0, lengths),
        "build_index": (points.detach(), lengths),
        "knn": (query, points.requires_grad_(requires_grad), 4, None, None, None),
        "ball_query": (query.detach(), points.detach(), 0.5, 4, None, lengths, None),
        "three_interpolate": (points, index, weights),
        "scatter_sum": (weights, index[..., 0], 30),
        "earth_movers_match": (points.detach(), points.detach().flip(1), 1e-2, 100, None),
    }


@pytest.mark.parametrize("name", list(_samples(requires_grad=False)))
def test_dispatcher_rules(name: str) -> None:
    operator = getattr(torch.ops.dusnet, name).default
    results = torch.library.opcheck(operator, _samples(requires_grad=True)[name])
    assert set(results.values()) == {"SUCCESS"}


def test_compiles_without_a_graph_break() -> None:
    def everything(x: Tensor, y: Tensor) -> Tensor:
        centers = ops.gather_points(x, ops.farthest_point_sample(x, 8))
        near = ops.knn(centers, y, 4)[0].mean() + ops.ball_query(centers, y, 0.7, 4)[1].sum()
        weights, index = ops.three_nn(x, centers)
        features = ops.three_interpolate(centers, index, weights).sum()
        cost = ops.earth_movers_distance(x, y, eps=1e-2)[0].sum()
        return near + features + cost + ops.chamfer_distance(x, y)

    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 40, 3, generator=generator), torch.rand(2, 40, 3, generator=generator)
    compiled = torch.compile(everything, fullgraph=True, backend="aot_eager")
    first, second = x.clone().requires_grad_(), x.clone().requires_grad_()
    compiled(first, y).backward()
    everything(second, y).backward()
    torch.testing.assert_close(compiled(x, y), everything(x, y))
    torch.testing.assert_close(first.grad, second.grad)
