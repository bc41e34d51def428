"""What good parts do, place by place, against brute force and worked numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from dusnet.registration.tolerance import ToleranceField


def cloud(count: int, seed: int) -> Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sheet(count: int, seed: int) -> Tensor:
    """Points of the plane z = 0 with edges of 1."""
    points = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    points[:, 2] = 0
    return points


class TestTolerance:
    def test_worked_example_with_few_places(self) -> None:
        """With no more places than are pooled every place gets the root mean square of all."""
        made = ToleranceField.of(cloud(4, 0), torch.tensor([1.0, 1, 1, 3], dtype=torch.float64))
        assert made.level == pytest.approx(3**0.5)
        torch.testing.assert_close(made.values, torch.full((4,), 3**0.5, dtype=torch.float64))

    def test_is_the_root_mean_square_over_the_nearest_places(self) -> None:
        places, distances = cloud(200, 0), cloud(200, 1)[:, 0].abs()
        near = np.argsort(cdist(places, places), axis=1)[:, : ToleranceField.NEIGHBORS]
        expected = np.sqrt((distances.numpy()[near] ** 2).mean(axis=1))
        made = ToleranceField.of(places, distances)
        np.testing.assert_allclose(made.values.numpy(), expected, rtol=1e-12)
        assert made.level == pytest.approx(float(np.sqrt((distances.numpy() ** 2).mean())))

    def test_where_good_parts_are_all_alike_distances_stay_what_they_are(self) -> None:
        made = ToleranceField.of(cloud(200, 0), torch.full((200,), 0.02, dtype=torch.float64))
        distances = cloud(30, 2)[:, 0].abs()
        torch.testing.assert_close(made.normalise(distances, cloud(30, 3)), distances)

    @staticmethod
    def two_halves() -> ToleranceField:
        """Good parts vary ten times as much on the right as on the left."""
        places = sheet(2000, 0)
        return ToleranceField.of(places, torch.where(places[:, 0] > 0.5, 0.1, 0.01).double())

    def test_a_distance_counts_less_where_good_parts_vary(self) -> None:
        made = self.two_halves()
        left, right = torch.tensor([[0.2, 0.5, 0.0], [0.8, 0.5, 0.0]], dtype=torch.float64)
        scores = made.normalise(torch.full((2,), 0.05, dtype=torch.float64), torch.stack([left, right]))
        level = math.sqrt(
            (0.1**2 * (sheet(2000, 0)[:, 0] > 0.5).sum() + 0.01**2 * (sheet(2000, 0)[:, 0] <= 0.5).sum()) / 2000
        )
        floor = ToleranceField.FLOOR
        for score, value in zip(scores.tolist(), (0.01, 0.1), strict=True):
            assert score == pytest.approx(0.05 * (1 + floor) * level / (value + floor * level), rel=1e-6)
        assert scores[0] > 2 * scores[1]

    def test_the_floor_bounds_what_a_perfect_place_can_do(self) -> None:
        places = sheet(2000, 0)
        made = ToleranceField.of(places, torch.where(places[:, 0] > 0.5, 0.1, 0.0).double())
        score = made.normalise(torch.ones(1, dtype=torch.float64), torch.tensor([[0.1, 0.5, 0.0]], dtype=torch.float64))
        assert float(score) == pytest.approx((1 + ToleranceField.FLOOR) / ToleranceField.FLOOR, rel=1e-6)

    def test_training_clouds_that_are_met_exactly_give_finite_scores(self) -> None:
        """An untrained offset head moves nothing at all."""
        made = ToleranceField.of(cloud(100, 0), torch.zeros(100, dtype=torch.float64))
        assert bool(torch.isfinite(made.normalise(torch.tensor([0.0, 0.1]).double(), cloud(2, 1))).all())

    def test_the_unit_goes_through(self) -> None:
        """Scores stay lengths: ten times the part, ten times the score."""
        places, distances = cloud(100, 0), cloud(100, 1)[:, 0].abs()
        small, big = (ToleranceField.of(places * unit, distances * unit) for unit in (1.0, 10.0))
        values, where = cloud(20, 2)[:, 0].abs(), cloud(20, 3)
        torch.testing.assert_close(big.normalise(values * 10, where * 10), 10 * small.normalise(values, where))
