"""Thinning against counting the cells."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.geometry.sampling import cell_for, cell_means, thin, thin_to


def sphere(count: int, rng: np.random.Generator, radius: float = 1.0) -> NDArray[np.float64]:
    directions = rng.normal(size=(count, 3))
    return radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)


class TestThin:
    CELL = 0.11

    def occupied(self, points: NDArray[np.float64], cell: float, seed: int) -> tuple[NDArray[np.int64], int]:
        """Cell of every point, with the shift that `thin` draws: a permutation first, then three numbers."""
        rng = np.random.default_rng(seed)
        rng.permutation(len(points))
        shift = rng.random(3) * cell
        cells = np.floor((points - points.min(axis=0) + shift) / cell).astype(np.int64)
        return cells, len({tuple(row) for row in cells})

    def test_exactly_one_point_of_every_occupied_cell_stays(self, rng: np.random.Generator) -> None:
        points = rng.normal(size=(2000, 3)) * [1.0, 0.3, 2.0] + 5.0
        kept = thin(points, self.CELL, np.random.default_rng(3))
        cells, count = self.occupied(points, self.CELL, 3)
        assert len(kept) == count < len(points)
        assert len({tuple(row) for row in cells[kept]}) == count

    def test_indices_rise_and_the_seed_decides(self, rng: np.random.Generator) -> None:
        points = rng.random((500, 3))
        first, again, other = (thin(points, 0.2, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert (np.diff(first) > 0).all()
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_every_point_of_a_cell_can_be_the_one_that_stays(self) -> None:
        points = np.random.default_rng(0).random((5, 3)) * 1e-3 + 10.0
        chosen = set()
        for seed in range(200):
            kept = thin(points, 1.0, np.random.default_rng(seed))
            if len(kept) == 1:
                chosen.add(int(kept[0]))
        assert chosen == {0, 1, 2, 3, 4}

    def test_coordinates_of_a_survey_do_not_matter(self, rng: np.random.Generator) -> None:
        """A quarter is exact at 5 million, so both clouds have the same grid."""
        points = np.round(rng.random((400, 3)) * 256) / 4
        near = thin(points, 7.0, np.random.default_rng(1))
        far = thin(points + np.array([500_000.0, 5_000_000.0, 100.0]), 7.0, np.random.default_rng(1))
        np.testing.assert_array_equal(near, far)

    @pytest.mark.parametrize("direction", [(1, 0, 0), (0, 1, 0), (0, 0, -1), (1, 1, 1), (-1, 1, -1)])
    @pytest.mark.parametrize("cell", [0.1, 1e-3, 1e-5])
    def test_a_stray_point_far_away_leaves_the_cells_alone(
        self, rng: np.random.Generator, direction: tuple[int, int, int], cell: float
    ) -> None:
        points = np.concatenate([rng.random((800, 3)), 1e6 * np.array([direction], dtype=float)])
        points = np.concatenate([points, points[:50] + cell / 50])  # some share a cell whatever its size
        kept = thin(points, cell, np.random.default_rng(3))
        cells, _ = self.occupied(points, cell, 3)
        members: dict[tuple[int, ...], list[int]] = {}
        for index, row in enumerate(cells.tolist()):
            members.setdefault(tuple(row), []).append(index)
        assert sorted(len(set(kept.tolist()) & set(group)) for group in members.values()) == [1] * len(members)
        assert len(kept) == len(members) < len(points)
        assert 800 in kept

    def test_cells_that_are_the_same_number_in_64_bits(self) -> None:
        """2^24 columns of 2^40 cells: the first point of column 2^24 would be number 2^64, which wraps to 0."""
        points = np.array([[0.0, 0, 0], [2.0**24, 0, 0], [0, 2.0**40 - 1, 0]])
        np.testing.assert_array_equal(thin(points, 1.0, np.random.default_rng(0)), [0, 1, 2])

    def test_coinciding_points_become_one(self) -> None:
        points = np.repeat(np.array([[0.0, 0, 0], [1, 1, 1]]), 10, axis=0)
        assert len(thin(points, 0.3, np.random.default_rng(0))) == 2


class TestCellFor:
    @pytest.mark.parametrize("count", [200, 1000, 3000])
    @pytest.mark.parametrize("shape", ["sphere", "strip", "volume"])
    def test_thinning_with_the_cell_keeps_about_the_wanted_number(
        self, rng: np.random.Generator, shape: str, count: int
    ) -> None:
        points = rng.random((6000, 3))
        if shape == "sphere":
            points = sphere(6000, rng)
        if shape == "strip":
            points *= [1.0, 0.05, 0.0]
        cell = cell_for(points, count, np.random.default_rng(1))
        # Up to 14 % off over the seeds tried, mostly below 3 %.
        assert len(thin(points, cell, np.random.default_rng(2))) == pytest.approx(count, rel=0.3)

    def test_a_cloud_with_fewer_points_keeps_nearly_all(self, rng: np.random.Generator) -> None:
        points = rng.random((300, 3))
        cell = cell_for(points, 10_000, np.random.default_rng(1))
        assert len(thin(points, cell, np.random.default_rng(2))) >= 299

    @pytest.mark.parametrize("away", [10.0, 1e4, 1e6])
    def test_a_stray_point_does_not_decide_how_fine_the_search_goes(
        self, rng: np.random.Generator, away: float
    ) -> None:
        bulk = sphere(4000, rng)
        points = np.concatenate([bulk, [[away, -away, away]]])
        cell = cell_for(points, 500, np.random.default_rng(1))
        assert len(thin(bulk, cell, np.random.default_rng(2))) == pytest.approx(500, rel=0.12)

    def test_a_scanner_that_writes_zeros_for_most_points(self, rng: np.random.Generator) -> None:
        points = np.concatenate([np.zeros((20_000, 3)), sphere(1000, rng)])
        cell = cell_for(points, 300, np.random.default_rng(1))
        assert len(thin(points, cell, np.random.default_rng(2))) == pytest.approx(300, rel=0.12)

    def test_the_unit_does_not_matter(self, rng: np.random.Generator) -> None:
        points = sphere(3000, rng)
        small, big = (cell_for(points * unit, 500, np.random.default_rng(1)) for unit in (1.0, 1000.0))
        assert big == pytest.approx(1000 * small, rel=0.03)


class TestThinTo:
    def sphere(self, count: int, seed: int = 0) -> np.ndarray:
        points = np.random.default_rng(seed).normal(size=(count, 3))
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    @pytest.mark.parametrize("count", [50, 1000, 9000])
    def test_keeps_hardly_fewer_than_asked_for_and_never_more(self, count: int) -> None:
        kept = thin_to(self.sphere(40_000), count, np.random.default_rng(1))
        assert 0.9 * count < len(kept) <= count
        assert (np.diff(kept) > 0).all()

    def test_what_is_kept_is_spread_evenly(self) -> None:
        """A sphere with ten times as many points on one half keeps as many on either."""
        points = self.sphere(40_000)
        points = points[(points[:, 2] > 0) | (np.arange(len(points)) % 10 == 0)]
        kept = points[thin_to(points, 1000, np.random.default_rng(1))]
        assert 0.4 < (kept[:, 2] > 0).mean() < 0.6
        nearest = cKDTree(kept).query(kept, 2)[0][:, 1]
        random = self.sphere(len(kept), 5)
        assert nearest.mean() > 1.05 * cKDTree(random).query(random, 2)[0][:, 1].mean()

    def test_few_points_all_stay(self) -> None:
        np.testing.assert_array_equal(thin_to(self.sphere(30), 30, np.random.default_rng(0)), np.arange(30))

    def test_equal_points_and_strays_end(self) -> None:
        same = np.zeros((500, 3))
        assert len(thin_to(np.vstack([same, self.sphere(500)]), 200, np.random.default_rng(0))) <= 200
        stray = np.vstack([self.sphere(5000), [[1e9, 0.0, 0.0]]])
        kept = thin_to(stray, 500, np.random.default_rng(0))
        assert 300 < len(kept) <= 500

    def test_a_generator_decides_which(self) -> None:
        points = self.sphere(5000)
        first, again, other = (thin_to(points, 500, np.random.default_rng(seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert len(np.intersect1d(first, other)) < 0.5 * len(first)


def test_thinning_keeps_one_point_per_cell(rng: np.random.Generator) -> None:
    points = rng.random((3000, 3))
    kept = thin(points, 0.25)
    cells = {tuple(cell) for cell in np.floor((points - points.min(0)) / 0.25).astype(int)}
    assert len(kept) == len(cells)
    assert 150 < len(thin_to(points, 300)) <= 300
    np.testing.assert_array_equal(thin_to(points, 5000), np.arange(3000))


def test_means_of_cells_in_a_plain_loop(rng: np.random.Generator) -> None:
    points = rng.normal(size=(500, 3)) * [1.0, 0.3, 2.0] + 5.0
    held: dict[tuple[int, ...], list[NDArray[np.float64]]] = {}
    for point in points:
        cell = tuple(int(one) for one in np.floor((point - points.min(axis=0)) / 0.4 + 0.5))
        held.setdefault(cell, []).append(point)
    expected = np.array([np.mean(held[cell], axis=0) for cell in sorted(held)])
    np.testing.assert_allclose(cell_means(points, 0.4), expected, rtol=1e-12)
