"""Chamfer and earth mover's distance against SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import ops_clouds
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from dusnet import ops


def test_chamfer_against_scipy() -> None:
    x, y = ops_clouds.tensor("random"), ops_clouds.tensor("random").flip(0)[:, :200] * 1.1
    loss, matches = ops.chamfer_distance(x, y, return_matches=True)
    expected = []
    for b in range(2):
        forward, forward_index = cKDTree(y[b].double()).query(x[b].double())
        backward, backward_index = cKDTree(x[b].double()).query(y[b].double())
        expected.append((forward**2).mean() + (backward**2).mean())
        assert matches.x_idx[b].tolist() == forward_index.tolist()
        assert matches.y_idx[b].tolist() == backward_index.tolist()
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-6)


def test_chamfer_of_ragged_clouds_is_the_mean_of_the_clouds() -> None:
    x, y = ops_clouds.tensor("random").double(), ops_clouds.tensor("random").double() + 0.2
    sizes = torch.tensor([40, 331]), torch.tensor([100, 7])
    whole = ops.chamfer_distance(x, y, x_lengths=sizes[0], y_lengths=sizes[1])
    alone = [ops.chamfer_distance(x[b : b + 1, : sizes[0][b]], y[b : b + 1, : sizes[1][b]]) for b in range(2)]
    torch.testing.assert_close(whole, torch.stack(alone).mean())


def test_chamfer_gradient_ignores_padding() -> None:
    x = ops_clouds.tensor("random").requires_grad_()
    ops.chamfer_distance(x, x.detach() + 0.1, x_lengths=torch.tensor([30, 331])).backward()
    assert torch.isfinite(x.grad).all()
    assert (x.grad[0, 30:] == 0).all()
    assert (x.grad[0, :30] != 0).any()


def _pair(kind: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    x, y = torch.rand(2, count, 3, generator=generator), torch.rand(2, count, 3, generator=generator)
    if kind == "shifted":
        y = x.flip(1) + 0.01 * y + 0.5
    if kind == "duplicates":
        y = y[:, : max(1, count // 8)].repeat(1, 8, 1)[:, :count]
        x = x[:, : y.shape[1]]
    if kind == "clusters":
        y[:, : count // 2] = y[:, : count // 2] * 0.01 + 3.0
    return x, y


def _check_match(x: torch.Tensor, y: torch.Tensor, assignment: torch.Tensor, eps: float) -> None:
    for b in range(len(x)):
        assert sorted(assignment[b].tolist()) == list(range(x.shape[1]))
        cost = np.sqrt(ops_clouds.squared(x[b], y[b]))
        best = cost[linear_sum_assignment(cost)].mean()
        ours = cost[np.arange(len(cost)), assignment[b].numpy()].mean()
        assert best - 1e-9 <= ours <= best + eps


@pytest.mark.parametrize("kind", ["uniform", "shifted", "duplicates", "clusters"])
@pytest.mark.parametrize("count", [1, 2, 3, 64, 200])
def test_match_is_within_eps_of_the_optimum(implementation: Any, kind: str, count: int) -> None:
    x, y = _pair(kind, count)
    eps = 1e-3
    assignment, converged = implementation.earth_movers_match(x, y, eps, 10_000, None)
    assert converged.all()
    _check_match(x, y, assignment, eps)


@pytest.mark.parametrize("eps", [1e-2, 1e-5])
def test_larger_match_of_the_compiled_op(native: Any, eps: float) -> None:
    x, y = _pair("uniform", 1024)
    _check_match(x[:1], y[:1], native.earth_movers_match(x[:1], y[:1], eps, 10_000, None)[0], eps)


def test_cost_is_the_mean_length_of_the_match() -> None:
    x, y = _pair("shifted", 50)
    cost, assignment = ops.earth_movers_distance(x, y)
    for b in range(2):
        expected = np.linalg.norm(x[b].numpy() - y[b].numpy()[assignment[b].numpy()], axis=1).mean()
        assert cost[b].item() == pytest.approx(expected, rel=1e-5)


def test_identical_clouds_cost_nothing_and_have_a_finite_gradient() -> None:
    x = ops_clouds.tensor("random")[:, :60].clone().requires_grad_()
    cost, _ = ops.earth_movers_distance(x, x.detach().flip(1), eps=1e-5)
    cost.sum().backward()
    assert cost.max() < 1e-5
    assert torch.isfinite(x.grad).all()


def test_ragged_match_leaves_padding_alone(implementation: Any) -> None:
    x, y = _pair("uniform", 64)
    assignment, _ = implementation.earth_movers_match(x, y, 1e-3, 10_000, torch.tensor([20, 64]))
    assert sorted(assignment[0, :20].tolist()) == list(range(20))
    assert (assignment[0, 20:] == -1).all()
    cost, _ = ops.earth_movers_distance(x, y, lengths=torch.tensor([20, 64]))
    alone, _ = ops.earth_movers_distance(x[:1, :20], y[:1, :20])
    assert cost[0].item() == pytest.approx(alone[0].item(), abs=1e-3)


def test_too_few_bids_still_give_a_bijection_and_say_so() -> None:
    x, y = _pair("clusters", 128)
    with pytest.warns(UserWarning, match="used up its 1 bids per point"):
        _, assignment = ops.earth_movers_distance(x, y, eps=1e-4, max_iter=1)
    assert sorted(assignment[0].tolist()) == list(range(128))


def test_a_match_of_points_too_far_apart_for_their_squares() -> None:
    x = torch.tensor([[[0.0, 0, 0], [1, 0, 0]]], dtype=torch.float64)
    y = torch.tensor([[[1e200, 0, 0], [2e200, 0, 0]]], dtype=torch.float64)
    with pytest.warns(UserWarning, match="is not optimal"):
        _, partner = ops.earth_movers_distance(x, y)
    assert sorted(partner[0].tolist()) == [0, 1]
