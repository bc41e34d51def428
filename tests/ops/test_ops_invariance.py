"""What must not matter does not: the order of the points, mirror images, and where and how a cloud lies."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation
from torch import Tensor

from dusnet import ops

SEEDS = st.integers(0, 2**32 - 1)
MODEST = settings(max_examples=30, deadline=None)


def _cloud(seed: int, count: int = 257) -> Tensor:
    """Points in general position: no two distances are equal but by chance of 2^-53."""
    return torch.tensor(np.random.default_rng(seed).normal(size=(1, count, 3)))


@MODEST
@given(seed=SEEDS, k=st.integers(1, 40))
def test_another_order_of_the_points_renames_the_neighbours(seed: int, k: int) -> None:
    points, query = _cloud(seed), _cloud(seed ^ 1, 31)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(points.shape[1]))
    distance, index = ops.knn(query, points, k)
    mixed_distance, mixed_index = ops.knn(query, points[:, order], k)
    assert torch.equal(mixed_distance, distance)
    assert torch.equal(order[mixed_index], index)


@MODEST
@given(seed=SEEDS, k=st.integers(1, 100))
def test_another_order_of_the_points_chooses_the_same_farthest(seed: int, k: int) -> None:
    points = _cloud(seed)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(points.shape[1]))
    start = int((order == 5).nonzero())
    chosen = ops.farthest_point_sample(points, k, start=5)
    mixed = ops.farthest_point_sample(points[:, order], k, start=start)
    assert torch.equal(order[mixed], chosen)


@MODEST
@given(seed=SEEDS)
def test_another_order_of_the_points_keeps_chamfer_and_the_match(seed: int) -> None:
    x, y = _cloud(seed, 60), _cloud(seed ^ 1, 60)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(60))
    assert torch.allclose(ops.chamfer_distance(x[:, order], y), ops.chamfer_distance(x, y), rtol=1e-12)
    exact, mixed = (ops.earth_movers_distance(cloud, y, eps=1e-6)[0] for cloud in (x, x[:, order]))
    assert torch.allclose(exact, mixed, atol=2e-6)


@MODEST
@given(seed=SEEDS, signs=arrays(float, 3, elements=st.sampled_from([-1.0, 1.0])), power=st.integers(-20, 20))
def test_mirror_images_and_powers_of_two_change_no_bit(seed: int, signs: np.ndarray, power: int) -> None:
    """Both are exact in floating point, so everything must follow exactly."""
    points, query = _cloud(seed), _cloud(seed ^ 1, 31)
    factor = torch.tensor(signs) * 2.0**power
    distance, index = ops.knn(query, points, 20)
    moved_distance, moved_index = ops.knn(query * factor, points * factor, 20)
    assert torch.equal(moved_index, index)
    assert torch.equal(moved_distance, distance * 4.0**power)
    assert torch.equal(ops.farthest_point_sample(points * factor, 50), ops.farthest_point_sample(points, 50))


@MODEST
@given(seed=SEEDS, far=st.floats(-1e3, 1e3))
def test_a_rigid_motion_keeps_neighbours_and_distances(seed: int, far: float) -> None:
    """Up to the rounding of the moved coordinates, which decides nothing for points in general position."""
    points, query = _cloud(seed), _cloud(seed ^ 1, 31)
    turn = torch.tensor(Rotation.random(random_state=seed % 2**31).as_matrix())
    distance, index = ops.knn(query, points, 12)
    moved_distance, moved_index = ops.knn(query @ turn.T + far, points @ turn.T + far, 12)
    torch.testing.assert_close(moved_distance, distance, rtol=1e-8, atol=1e-9)
    assert (moved_index == index).double().mean() > 0.999
