"""PointIndex gives what the functions give, with and without something prepared."""

from __future__ import annotations

import copy
import pickle

import ops_clouds
import pytest
import torch
from scipy.spatial import cKDTree

from dusnet import ops
from dusnet.ops.derivatives import index_bytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ops_clouds.NAMES)
def test_searches_equal_the_functions(name: str, dtype: torch.dtype) -> None:
    points = ops_clouds.tensor(name, dtype)
    size = points.shape[1]
    query = points.flip(1)[:, :50] + 0.2
    lengths = torch.tensor([max(1, size // 2)] + [size] * (len(points) - 1))
    for used in (None, lengths):
        index = ops.PointIndex(points, lengths=used)
        for k in sorted({1, min(3, size), min(20, size)}):
            found, expected = index.knn(query, k), ops.knn(query, points, k, lengths=used)
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        found, expected = index.ball(query, 0.7, 9), ops.ball_query(query, points, 0.7, 9, lengths=used)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        found, expected = index.three_nn(query), ops.three_nn(query, points, lengths=used)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_nearest_of_a_surface_against_scipy() -> None:
    points = torch.tensor(ops_clouds.cloud("random"))[:1]
    query = points.flip(1) * 1.1
    distance, index = ops.PointIndex(points).nearest(query)
    expected, rows = cKDTree(points[0].numpy()).query(query[0].numpy())
    assert torch.allclose(distance[0].sqrt(), torch.tensor(expected), rtol=1e-12)
    assert index[0].tolist() == rows.tolist()


def test_gradients_reach_both_clouds() -> None:
    points = ops_clouds.tensor("random", torch.float64).requires_grad_()
    query = (ops_clouds.tensor("random", torch.float64)[:, :20] * 0.9).requires_grad_()
    ops.PointIndex(points).knn(query, 4)[0].sum().backward()
    with_index = points.grad, query.grad
    points.grad = query.grad = None
    ops.knn(query, points, 4)[0].sum().backward()
    assert torch.equal(with_index[0], points.grad)
    assert torch.equal(with_index[1], query.grad)


def test_points_that_change_are_noticed() -> None:
    points = ops_clouds.tensor("random")
    index = ops.PointIndex(points)
    points += 1.0
    with pytest.raises(ValueError, match="points of this PointIndex were changed in place; build a new one"):
        index.knn(points, 1)


def test_lengths_that_change_do_not_matter() -> None:
    points = torch.rand(1, 3000, 3, generator=torch.Generator().manual_seed(4))
    lengths = torch.tensor([1000])
    index = ops.PointIndex(points, lengths=lengths)
    expected = index.knn(points[:, :64], 3)[1]
    lengths[0] = 3000
    assert torch.equal(index.knn(points[:, :64], 3)[1], expected)


def test_copies_can_be_searched() -> None:
    points = ops_clouds.tensor("random")
    points += 1.0
    index = ops.PointIndex(points, lengths=torch.tensor([100, 331]))
    for copied in (copy.deepcopy(index), pickle.loads(pickle.dumps(index))):  # noqa: S301 -- our own bytes
        assert torch.equal(copied.knn(points, 4)[1], index.knn(points, 4)[1])


def test_inference_tensors_can_be_searched() -> None:
    with torch.inference_mode():
        points = ops_clouds.tensor("random")
        assert ops.PointIndex(points).nearest(points)[1][0].tolist() == list(range(331))


def test_wrong_queries_are_refused() -> None:
    index = ops.PointIndex(ops_clouds.tensor("random"))
    with pytest.raises(ValueError, match="same number of clouds, got 1 and 2"):
        index.knn(torch.zeros(1, 4, 3), 1)
    with pytest.raises(
        ValueError, match=r"query must be torch.float32 as the points of the PointIndex, got torch.float64"
    ):
        index.nearest(torch.zeros(2, 4, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="k must lie between 1 and 331"):
        index.knn(torch.zeros(2, 4, 3), 332)
    with pytest.raises(ValueError, match="radius must be a positive number"):
        index.ball(torch.zeros(2, 4, 3), 0.0, 1)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("count", [1, 16, 17, 256, 257, 5000])
def test_shape_for_the_compiler_is_the_real_one(count: int) -> None:
    for dtype in (torch.float32, torch.float64):
        points = torch.rand(2, count, 3, dtype=dtype)
        assert torch.ops.dusnet.build_index(points, None).shape == (2, index_bytes(points))


@pytest.mark.usefixtures("native")
def test_an_index_of_other_points_is_refused() -> None:
    points = ops_clouds.tensor("random")
    other = torch.ops.dusnet.build_index(points[:, :40].contiguous(), None)
    with pytest.raises(RuntimeError, match="the index was not built from these points"):
        torch.ops.dusnet.knn(points, points, 1, None, None, other)
