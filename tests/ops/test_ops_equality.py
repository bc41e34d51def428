"""The compiled ops and the plain-torch ones agree to the bit, and do not depend on the number of threads."""

from __future__ import annotations

from typing import Any

import ops_clouds
import pytest
import torch

from dusnet.ops import reference


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ops_clouds.NAMES)
def test_neighbors_and_samples(native: Any, name: str, dtype: torch.dtype) -> None:
    points = ops_clouds.tensor(name, dtype)
    size = points.shape[1]
    query = points.flip(1)[:, : max(1, size // 2)] + 0.37
    ragged = torch.tensor([max(1, size // 3)] + [size] * (len(points) - 1))
    for lengths in (None, ragged):
        for k in sorted({1, min(4, size), min(8, size), min(9, size), min(100, size), size}):
            ours, plain = (f.knn(query, points, k, None, lengths, None) for f in (native, reference))
            assert torch.equal(ours[0], plain[0])
            assert torch.equal(ours[1], plain[1])
            ours, plain = (f.ball_query(query, points, 0.6, k, None, lengths, None) for f in (native, reference))
            assert torch.equal(ours[0], plain[0])
            assert torch.equal(ours[1], plain[1])
            ours, plain = (f.farthest_point_sample(points, k, 0, lengths) for f in (native, reference))
            assert torch.equal(ours, plain)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_interpolation_and_scatter(native: Any, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(5)
    features = torch.randn(3, 40, 7, generator=generator, dtype=dtype)
    index = torch.randint(-1, 40, (3, 60, 3), generator=generator)
    weights = torch.rand(3, 60, 3, generator=generator, dtype=dtype)
    assert torch.equal(
        native.three_interpolate(features, index, weights), reference.three_interpolate(features, index, weights)
    )
    values, flat = torch.randn(3, 180, 7, generator=generator, dtype=dtype), index.flatten(1)
    assert torch.equal(native.scatter_sum(values, flat, 40), reference.scatter_sum(values, flat, 40))


def test_threads_do_not_change_the_result(native: Any) -> None:
    generator = torch.Generator().manual_seed(6)
    points = torch.rand(2, 5000, 3, generator=generator)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            match = native.earth_movers_match(points[:, :300], points[:, 300:600], 1e-3, 10_000, None)[0]
            results.append((*native.knn(points, points, 12, None, None, None), match))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_values_that_are_no_numbers_do_not_crash(native: Any) -> None:
    points = ops_clouds.tensor("random").clone()
    points[0, 4, 1] = float("nan")
    points[1, 9] = float("inf")
    assert native.knn(points, points, 5, None, None, None)[1].max() < 331
    assert native.farthest_point_sample(points, 331, 0, None).min() >= 0
    match, converged = native.earth_movers_match(points, points, 1e-3, 10, None)
    assert match.sort(dim=1).values.tolist() == [list(range(331))] * 2
    assert not converged.any()
