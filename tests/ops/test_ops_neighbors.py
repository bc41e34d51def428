"""knn, ball_query, three_nn and three_interpolate against brute force in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import ops_clouds
import pytest
import torch
from scipy.spatial import cKDTree

from dusnet import ops

INFINITY = float("inf")


def _query(points: torch.Tensor, exact: bool) -> torch.Tensor:
    order = torch.randperm(points.shape[1], generator=torch.Generator().manual_seed(1))
    query = points[:, order[: max(1, points.shape[1] // 3)]]
    return query if exact else query + 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ops_clouds.NAMES)
def test_knn_finds_the_nearest(implementation: Any, name: str, dtype: torch.dtype) -> None:
    points = ops_clouds.tensor(name, dtype)
    query = _query(points, name in ops_clouds.EXACT)
    size = points.shape[1]
    for k in sorted({1, min(2, size), min(9, size), min(70, size), size}):
        distance, index = implementation.knn(query, points, k, None, None, None)
        for b in range(len(points)):
            expected, order = ops_clouds.nearest(query[b], points[b], k)
            tolerance = 4 * torch.finfo(dtype).eps
            np.testing.assert_allclose(distance[b].double().numpy(), expected, rtol=tolerance, atol=1e-30)
            own = np.take_along_axis(ops_clouds.squared(query[b], points[b]), index[b].numpy(), axis=1)
            np.testing.assert_allclose(own, expected, rtol=tolerance, atol=1e-30)
            assert all(len(set(row)) == k for row in index[b].tolist())
            if name in ops_clouds.EXACT:
                np.testing.assert_array_equal(index[b].numpy(), order)


def test_ties_go_to_the_lower_index_across_the_border_of_k(implementation: Any) -> None:
    points = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, 0]]])
    distance, index = implementation.knn(torch.zeros(1, 1, 3), points, 4, None, None, None)
    assert index.tolist() == [[[5, 0, 1, 2]]]
    assert distance.tolist() == [[[0.0, 1.0, 1.0, 1.0]]]


@pytest.mark.parametrize("k", [1, 5, 40])
def test_knn_of_ragged_clouds_equals_the_clouds_alone(implementation: Any, k: int) -> None:
    points, query = ops_clouds.tensor("random"), ops_clouds.tensor("random")[:, :50] + 0.1
    lengths, rows = torch.tensor([23, 331]), torch.tensor([50, 7])
    distance, index = implementation.knn(query, points, k, rows, lengths, None)
    for b in range(2):
        size, count = int(lengths[b]), int(rows[b])
        found = min(k, size)
        alone = implementation.knn(query[b : b + 1, :count], points[b : b + 1, :size], found, None, None, None)
        assert torch.equal(distance[b, :count, :found], alone[0][0])
        assert torch.equal(index[b, :count, :found], alone[1][0])
        assert (index[b, count:] == -1).all()
        assert (distance[b, count:] == INFINITY).all()
        assert (index[b, :, found:] == -1).all()


def test_non_contiguous_and_half_inputs(implementation: Any) -> None:
    points = ops_clouds.tensor("random")
    strided = points.transpose(1, 2).contiguous().transpose(1, 2)
    assert not strided.is_contiguous()
    expected = implementation.knn(points, points, 3, None, None, None)
    for a, b in zip(implementation.knn(strided, strided, 3, None, None, None), expected, strict=True):
        assert torch.equal(a, b)
    halved = points.half()
    for a, b in zip(ops.knn(halved, halved, 3), ops.knn(halved.float(), halved.float(), 3), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["random", "grid", "utm", "one"])
@pytest.mark.parametrize("k", [3, 12, 400])
def test_ball_query_is_the_near_part_of_knn(implementation: Any, name: str, k: int) -> None:
    points = ops_clouds.tensor(name)
    query = _query(points, exact=True)
    radius = {"random": 0.8, "grid": 2.0, "utm": 9.0, "one": 0.5}[name]
    index, count = implementation.ball_query(query, points, radius, k, None, None, None)
    assert index.shape[2] == k
    for b in range(len(points)):
        distances = ops_clouds.squared(query[b], points[b]).astype(np.float32)
        inside = (distances <= np.float32(radius * radius)).sum(axis=1)
        np.testing.assert_array_equal(count[b].numpy(), np.minimum(inside, k))
        for row, (found, number) in enumerate(zip(index[b].tolist(), count[b].tolist(), strict=True)):
            assert found[number:] == [-1] * (k - number)
            assert found[:number] == np.argsort(distances[row], kind="stable")[:number].tolist()


def test_ball_border_is_inside(implementation: Any) -> None:
    points = torch.tensor([[[2.0, 0, 0], [2.5, 0, 0]]])
    index, count = implementation.ball_query(torch.zeros(1, 1, 3), points, 2.0, 2, None, None, None)
    assert (index.tolist(), count.tolist()) == ([[[0, -1]]], [[1]])


def test_three_nn_weights_by_hand() -> None:
    points = torch.tensor([[[1.0, 0, 0], [0, 2, 0], [0, 0, 4], [9, 9, 9]]])
    query = torch.tensor([[[0.0, 0, 0], [0, 2, 0]]])
    weights, index = ops.three_nn(query, points)
    assert index[0, 0].tolist() == [0, 1, 2]
    torch.testing.assert_close(weights[0, 0], torch.tensor([4.0, 2.0, 1.0]) / 7.0)
    assert index[0, 1, 0] == 1
    assert weights[0, 1].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("count", [1, 2])
def test_three_nn_of_fewer_than_three_points(count: int) -> None:
    points = ops_clouds.tensor("two")[:, :count]
    weights, index = ops.three_nn(points + 0.5, points)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, count))
    assert (index[..., count:] == -1).all()
    assert (weights[..., count:] == 0).all()


def test_interpolation_reproduces_a_constant_and_the_points() -> None:
    points = ops_clouds.tensor("random")
    features = torch.randn(2, 331, 6, generator=torch.Generator().manual_seed(0))
    weights, index = ops.three_nn(points, points)
    assert torch.equal(ops.three_interpolate(features, index, weights), features)
    weights, index = ops.three_nn(points + 0.05, points)
    constant = ops.three_interpolate(torch.full((2, 331, 1), 2.5), index, weights)
    torch.testing.assert_close(constant, torch.full((2, 331, 1), 2.5))


def test_interpolation_and_scatter_against_numpy(implementation: Any) -> None:
    rng = np.random.default_rng(4)
    features, weights = rng.normal(size=(2, 20, 5)), rng.random((2, 33, 3))
    index = rng.integers(-1, 20, size=(2, 33, 3))
    rows = np.stack([features[b][index[b]] for b in range(2)]) * (index >= 0)[..., None]
    expected = (rows * weights[..., None]).sum(axis=2)
    found = implementation.three_interpolate(*map(torch.tensor, (features, index, weights)))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    target = np.zeros((2, 20, 5))
    flat, values = index.reshape(2, -1), rng.normal(size=(2, 99, 5))
    for b in range(2):
        np.add.at(target[b], flat[b][flat[b] >= 0], values[b][flat[b] >= 0])
    np.testing.assert_allclose(
        implementation.scatter_sum(torch.tensor(values), torch.tensor(flat), 20).numpy(), target, rtol=1e-12
    )


def test_gather_points_pads_with_zeros_and_keeps_the_shape() -> None:
    points = torch.arange(12.0).view(1, 4, 3)
    rows = ops.gather_points(points, torch.tensor([[[2, -1], [0, 3]]]))
    assert rows.tolist() == [[[[6.0, 7, 8], [0, 0, 0]], [[0, 1, 2], [9, 10, 11]]]]


@pytest.mark.parametrize("k", [1, 5, 20])
def test_many_coinciding_points_and_a_far_outlier(k: int) -> None:
    """Clouds that fall into one cell of a grid, as a whole or in large part."""
    rng = np.random.default_rng(11)
    rest = rng.random((6000, 3))
    far = np.concatenate([rest, [[1e9, 0.0, 0.0]]])
    distance, index = ops.knn(torch.tensor(far[None, ::50]), torch.tensor(far[None]), k)
    expected, rows = cKDTree(far).query(far[::50], k=[*range(1, k + 1)])
    assert np.array_equal(index[0].numpy(), rows)
    np.testing.assert_allclose(distance[0].sqrt().numpy(), expected, rtol=1e-12)
    same = torch.full((1, 6000, 3), 0.7)
    distance, index = ops.knn(same[:, :300], same, k)
    assert not distance.any()
    assert (index == torch.arange(k)).all()


@pytest.mark.parametrize(
    ("dtype", "way", "place"), [(torch.float32, 2e-19, -2.5e-23), (torch.float64, 2.4e-154, -1.5e-162)]
)
def test_distances_too_small_for_their_squares_lose_no_neighbour(dtype: torch.dtype, way: float, place: float) -> None:
    points, query = torch.zeros(1, 16, 3, dtype=dtype), torch.zeros(1, 2, 3, dtype=dtype)
    points[..., 0] = place
    query[0, 1, 0] = way
    assert (ops.knn(query, points, 9)[1] == torch.arange(9)).all()


@pytest.mark.slow
def test_every_one_of_nine_million_points_is_a_neighbour() -> None:
    points = torch.rand(1, 9_000_000, 3, generator=torch.Generator().manual_seed(0))
    index = ops.knn(points[:, :1], points, points.shape[1])[1]
    assert torch.equal(index[0, 0].sort().values, torch.arange(points.shape[1]))
