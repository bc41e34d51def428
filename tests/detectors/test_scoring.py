"""Distances, weights and pooling against brute force and worked numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from dusnet import ops
from dusnet.config import ScoringSettings
from dusnet.detectors import scoring


def cloud(count: int, seed: int) -> Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_nearest_distance_is_equation_15() -> None:
    points, surface = cloud(50, 0), cloud(80, 1)
    expected = cdist(points, surface).min(axis=1)
    np.testing.assert_allclose(scoring.nearest_distance(points, surface).numpy(), expected, rtol=1e-12)


class TestSoftmaxWeight:
    def test_worked_example(self) -> None:
        """Nearest three at 1, 2 and 3: the weight of the nearest is e / (e + e^2 + e^3)."""
        surface = torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, 0, 3], [0, 0, 9]], dtype=torch.float64)
        points = torch.zeros(1, 3, dtype=torch.float64)
        weight = math.e / (math.e + math.e**2 + math.e**3)
        found = scoring.softmax_weight(points, surface, torch.tensor([1.0], dtype=torch.float64))
        assert float(found) == pytest.approx((1 - weight) * 1.0, rel=1e-12)

    def test_three_equal_distances_leave_two_thirds(self) -> None:
        surface = torch.eye(3, dtype=torch.float64)
        points = torch.zeros(1, 3, dtype=torch.float64)
        found = scoring.softmax_weight(points, surface, torch.tensor([0.3], dtype=torch.float64))
        assert float(found) == pytest.approx(0.2, rel=1e-12)

    def test_against_numpy(self) -> None:
        points, surface = cloud(30, 0), cloud(50, 1)
        near = np.sort(cdist(points, surface), axis=1)[:, :3]
        weight = np.exp(near[:, 0]) / np.exp(near).sum(axis=1)
        found = scoring.softmax_weight(points, surface, scoring.nearest_distance(points, surface))
        np.testing.assert_allclose(found.numpy(), (1 - weight) * near[:, 0], rtol=1e-12)


class TestSmooth:
    def test_is_the_mean_over_the_nearest_points(self) -> None:
        line = ops.PointIndex(torch.tensor([[[0.0, 0, 0], [1, 0, 0], [3, 0, 0]]]))
        assert scoring.smooth_over(line, torch.tensor([0.0, 1, 10]), 2).tolist() == [0.5, 0.5, 5.5]

    def test_one_neighbour_changes_nothing(self) -> None:
        values = torch.rand(9)
        assert torch.equal(scoring.smooth_over(ops.PointIndex(torch.rand(1, 9, 3)), values, 1), values)


class TestPool:
    VALUES = torch.tensor([3.0, 1, 10, 2, 5, 4, 9, 8, 7, 6])

    @pytest.mark.parametrize(
        ("pooling", "fraction", "expected"),
        [
            ("max", 0.5, 10.0),
            ("top", 0.1, 10.0),
            ("top", 0.3, 9.0),
            ("top", 0.25, 9.0),  # rounded up to three points
            ("top", 1.0, 5.5),
            ("top", 0.0001, 10.0),
            ("quantile", 0.3, 8.0),
            ("quantile", 0.1, 10.0),
            ("quantile", 1.0, 1.0),
        ],
    )
    def test_worked_examples(self, pooling: str, fraction: float, expected: float) -> None:
        settings = ScoringSettings.model_validate({"pooling": pooling, "pooling_fraction": fraction})
        assert scoring.pool(self.VALUES, settings) == pytest.approx(expected)
        assert scoring.pool(self.VALUES.flip(0), settings) == pytest.approx(expected)

    def test_one_outlier_moves_the_maximum_only(self) -> None:
        values = torch.linspace(0, 1, 1000)
        spoiled = torch.cat([values, torch.tensor([100.0])])
        for pooling, largest in (("max", 101.0), ("quantile", 0.01)):
            settings = ScoringSettings.model_validate({"pooling": pooling, "pooling_fraction": 0.05})
            change = scoring.pool(spoiled, settings) - scoring.pool(values, settings)
            assert change <= largest
            assert (change > 90) == (pooling == "max")
