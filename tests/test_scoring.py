"""Distances, weights, pooling and tolerance against brute force and worked numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from dusnet import scoring
from dusnet.config import ScoringSettings
from dusnet.scoring import Tolerance


def cloud(count: int, seed: int) -> Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sheet(count: int, seed: int) -> Tensor:
    """Points of the plane z = 0 with edges of 1."""
    points = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    points[:, 2] = 0
    return points


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
    def test_is_the_mean_over_the_named_points(self) -> None:
        values = torch.tensor([0.0, 1, 10])
        neighbors = torch.tensor([[0, 1], [1, 2], [2, 0]])
        assert scoring.smooth(values, neighbors).tolist() == [0.5, 5.5, 5.0]

    def test_one_neighbour_changes_nothing(self) -> None:
        values = torch.rand(9)
        assert torch.equal(scoring.smooth(values, torch.arange(9).unsqueeze(1)), values)


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


class TestTolerance:
    def test_worked_example_with_few_places(self) -> None:
        """With no more places than are pooled every place gets the root mean square of all."""
        made = Tolerance.of(cloud(4, 0), torch.tensor([1.0, 1, 1, 3], dtype=torch.float64))
        assert made.level == pytest.approx(3**0.5)
        torch.testing.assert_close(made.values, torch.full((4,), 3**0.5, dtype=torch.float64))

    def test_is_the_root_mean_square_over_the_nearest_places(self) -> None:
        places, distances = cloud(200, 0), cloud(200, 1)[:, 0].abs()
        near = np.argsort(cdist(places, places), axis=1)[:, : Tolerance.NEIGHBORS]
        expected = np.sqrt((distances.numpy()[near] ** 2).mean(axis=1))
        made = Tolerance.of(places, distances)
        np.testing.assert_allclose(made.values.numpy(), expected, rtol=1e-12)
        assert made.level == pytest.approx(float(np.sqrt((distances.numpy() ** 2).mean())))

    def test_where_good_parts_are_all_alike_distances_stay_what_they_are(self) -> None:
        made = Tolerance.of(cloud(200, 0), torch.full((200,), 0.02, dtype=torch.float64))
        distances = cloud(30, 2)[:, 0].abs()
        torch.testing.assert_close(made.normalise(distances, cloud(30, 3)), distances)

    @staticmethod
    def two_halves() -> Tolerance:
        """Good parts vary ten times as much on the right as on the left."""
        places = sheet(2000, 0)
        return Tolerance.of(places, torch.where(places[:, 0] > 0.5, 0.1, 0.01).double())

    def test_a_distance_counts_less_where_good_parts_vary(self) -> None:
        made = self.two_halves()
        left, right = torch.tensor([[0.2, 0.5, 0.0], [0.8, 0.5, 0.0]], dtype=torch.float64)
        scores = made.normalise(torch.full((2,), 0.05, dtype=torch.float64), torch.stack([left, right]))
        level = math.sqrt(
            (0.1**2 * (sheet(2000, 0)[:, 0] > 0.5).sum() + 0.01**2 * (sheet(2000, 0)[:, 0] <= 0.5).sum()) / 2000
        )
        floor = Tolerance.FLOOR
        for score, value in zip(scores.tolist(), (0.01, 0.1), strict=True):
            assert score == pytest.approx(0.05 * (1 + floor) * level / (value + floor * level), rel=1e-6)
        assert scores[0] > 2 * scores[1]

    def test_the_floor_bounds_what_a_perfect_place_can_do(self) -> None:
        places = sheet(2000, 0)
        made = Tolerance.of(places, torch.where(places[:, 0] > 0.5, 0.1, 0.0).double())
        score = made.normalise(torch.ones(1, dtype=torch.float64), torch.tensor([[0.1, 0.5, 0.0]], dtype=torch.float64))
        assert float(score) == pytest.approx((1 + Tolerance.FLOOR) / Tolerance.FLOOR, rel=1e-6)

    def test_training_clouds_that_are_met_exactly_give_finite_scores(self) -> None:
        """An untrained offset head moves nothing at all."""
        made = Tolerance.of(cloud(100, 0), torch.zeros(100, dtype=torch.float64))
        assert bool(torch.isfinite(made.normalise(torch.tensor([0.0, 0.1]).double(), cloud(2, 1))).all())

    def test_the_unit_goes_through(self) -> None:
        """Scores stay lengths: ten times the part, ten times the score."""
        places, distances = cloud(100, 0), cloud(100, 1)[:, 0].abs()
        small, big = (Tolerance.of(places * unit, distances * unit) for unit in (1.0, 10.0))
        values, where = cloud(20, 2)[:, 0].abs(), cloud(20, 3)
        torch.testing.assert_close(big.normalise(values * 10, where * 10), 10 * small.normalise(values, where))
