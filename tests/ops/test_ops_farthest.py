"""Farthest point sampling against its definition."""

from __future__ import annotations

from typing import Any

import ops_clouds
import pytest
import torch


@pytest.mark.parametrize("name", ops_clouds.NAMES)
@pytest.mark.parametrize("start", [0, 5])
def test_equals_the_definition(implementation: Any, name: str, start: int) -> None:
    points = ops_clouds.tensor(name, torch.float64)
    size = points.shape[1]
    start = min(start, size - 1)
    for k in sorted({1, min(20, size), size}):
        index = implementation.farthest_point_sample(points, k, start, None)
        for b in range(len(points)):
            chosen = index[b].tolist()
            assert len(set(chosen)) == k
            assert chosen == ops_clouds.farthest(points[b], k, start)


@pytest.mark.parametrize("name", ops_clouds.EXACT)
def test_float32_ties_go_to_the_lower_index(implementation: Any, name: str) -> None:
    points = ops_clouds.tensor(name)
    index = implementation.farthest_point_sample(points, 40, 2, None)
    assert index[0].tolist() == ops_clouds.farthest(points[0], 40, 2)


def test_ragged_clouds_are_sampled_alone_and_padded(implementation: Any) -> None:
    points = ops_clouds.tensor("random")
    index = implementation.farthest_point_sample(points, 50, 3, torch.tensor([31, 331]))
    alone = implementation.farthest_point_sample(points[:1, :31], 31, 3, None)
    assert index[0, :31].tolist() == alone[0].tolist()
    assert (index[0, 31:] == -1).all()
    assert index[1].tolist() == implementation.farthest_point_sample(points[1:], 50, 3, None)[0].tolist()


def test_many_buckets_against_the_plain_loop(native: Any) -> None:
    generator = torch.Generator().manual_seed(3)
    for points in (
        torch.randn(1, 20_000, 3, generator=generator),
        torch.randint(0, 20, (1, 9000, 3), generator=generator).float(),
        torch.cat([torch.rand(1, 5000, 3, generator=generator), torch.full((1, 1, 3), 1e7)], dim=1),
    ):
        cloud, reach, chosen = points[0], torch.full((points.shape[1],), float("inf")), [0]
        for _ in range(199):
            delta = cloud - cloud[chosen[-1]]
            square = delta * delta
            reach = torch.minimum(reach, square[:, 0] + square[:, 1] + square[:, 2])
            reach[chosen[-1]] = -1
            chosen.append(int(reach.argmax()))
        assert native.farthest_point_sample(points, 200, 0, None)[0].tolist() == chosen


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_too_far_apart_for_their_squares_are_chosen_once(implementation: Any, dtype: torch.dtype) -> None:
    points = torch.zeros(1, 300, 3, dtype=dtype)
    points[0, 150:, 0] = 1e20 if dtype == torch.float32 else 1e200
    points[0, :, 1] = torch.arange(300)
    chosen = implementation.farthest_point_sample(points, 300, 0, None)[0].tolist()
    assert sorted(chosen) == list(range(300))
    assert chosen[:2] == [0, 150]
