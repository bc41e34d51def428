"""Accidental voids: the law of distances against its closed form, SciPy, and simulated scans."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import weibull_min

from dusnet import ops
from dusnet.geometry.coverage import Coverage
from dusnet.geometry.part_places import PartPlaces
from dusnet.geometry.quantiles import quantile
from dusnet.geometry.voids import Voids
from dusnet.synthesis.scanner import thin_out

SPACING = 1e-6


def flat(points: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(np.column_stack([points, np.zeros(len(points))])).float()


def random_points(count: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).random((count, 2))


def even_points(count: int, seed: int) -> NDArray[np.float64]:
    """One point at random in each cell of a grid."""
    side = math.isqrt(count)
    cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    return (cells + np.random.default_rng(seed).random(cells.shape)) / side


def distances(scan: NDArray[np.float64], places: NDArray[np.float64]) -> torch.Tensor:
    """To the nearest point of the scan on a square without edges."""
    return torch.from_numpy(cKDTree(scan % 1.0, boxsize=1.0).query(places)[0]).float()


class TestLaw:
    @pytest.mark.parametrize("exponent", [1.7, 2.0, 3.0])
    def test_shares_and_the_largest_are_those_of_scipy(self, exponent: float) -> None:
        law = weibull_min(exponent, scale=0.1)
        found = Voids(float(law.median()), exponent)
        for share in (0.5, 0.1, 1e-4):
            assert found.factor(share) == pytest.approx(law.isf(share) / law.median())
        assert found.largest(5000) == pytest.approx(law.isf(math.exp(-1) / 5000) / law.median())
        assert found.largest(5000, 3.0) == pytest.approx(law.isf(math.exp(-3) / 5000) / law.median())


def law_of(scan: NDArray[np.float64], places: NDArray[np.float64]) -> Voids:
    return Voids.of(distances(scan, places), ops.PointIndex(flat(scan)[None]), SPACING)


class TestScans:
    @pytest.mark.parametrize("seed", range(3))
    def test_random_points_have_the_exponent_two(self, seed: int) -> None:
        """And the median sqrt(ln 2 / (pi density))."""
        found = law_of(random_points(4000, seed), random_points(20_000, 100 + seed))
        assert found.exponent == pytest.approx(2.0, abs=0.1)
        assert found.median == pytest.approx(math.sqrt(math.log(2) / (math.pi * 4000)), rel=0.08)

    @pytest.mark.parametrize("seed", range(3))
    def test_blue_noise_has_a_larger_one_and_its_quantiles_follow(self, seed: int) -> None:
        many = flat(random_points(60_000, seed)).double().numpy()
        scan = many[thin_out(many, 4000, np.random.default_rng(seed), even=True)][:, :2]
        far = distances(scan, random_points(20_000, 100 + seed))
        found = Voids.of(far, ops.PointIndex(flat(scan)[None]), SPACING)
        assert 2.4 < found.exponent <= 2.65
        for share, deviation in ((0.5, 0.05), (0.1, 0.06), (0.01, 0.08)):
            assert found.median * found.factor(share) == pytest.approx(np.quantile(far, 1 - share), rel=deviation)

    @pytest.mark.parametrize("make", [random_points, even_points])
    def test_the_largest_void_of_simulated_scans_is_hardly_larger(self, make) -> None:
        """Of random points it is .9 to 1.35 times as large; of even points the law says more than there is."""
        beyond = []
        for seed in range(20):
            scan, places = make(1500, seed), random_points(30_000, 100 + seed)
            found = law_of(scan, places)
            beyond.append(float(distances(scan, places).max()) / (found.largest(1500) * found.median))
        assert max(beyond) < 1.5
        assert np.median(beyond) > 0.6

    @pytest.mark.parametrize("share", [0.2, 0.45, 0.7])
    def test_what_a_scan_does_not_cover_hardly_enters(self, share: float) -> None:
        """The tenth that tells the density is then a tenth of more than there is."""
        scan, places = random_points(8000, 0), random_points(20_000, 1)
        whole, part = law_of(scan, places), law_of(scan[scan[:, 0] > share], places)
        assert part.exponent == pytest.approx(whole.exponent, abs=0.1)
        assert part.median <= 1.05 * whole.median * math.sqrt(math.log(1 - 0.1 / (1 - share)) / math.log(0.9))

    def test_places_that_are_points_of_the_scan_have_their_spacing(self) -> None:
        scan = random_points(2000, 0)
        assert Voids.of(torch.zeros(2000), ops.PointIndex(flat(scan)[None]), 0.03) == Voids(0.03, 2.0)


class TestPlaces:
    """What good scans show at each place of a part."""

    def beside(self, **known: torch.Tensor) -> Coverage:
        scan = random_points(4000, 0)
        scan = scan[np.linalg.norm(scan - 0.5, axis=1) > 0.1]
        return Coverage.of(flat(scan), PartPlaces(flat(random_points(4000, 1)), **known))

    def test_a_void_that_good_scans_have_too_is_not_empty(self) -> None:
        before = self.beside()
        assert before.empty.any()
        wide = torch.where((before.places[:, :2] - 0.5).norm(dim=1) < 0.2, 20.0, 0.0)
        beside = self.beside(voids=wide, openness=torch.ones(4000))
        assert not beside.empty[wide > 0].any()
        assert beside.empty[(wide == 0) & before.empty].all()

    def test_openness_widens_the_limit_and_never_narrows_it(self) -> None:
        plain = self.beside()
        openness = torch.where(plain.places[:, 0] < 0.5, 1.5, 0.5)
        found = self.beside(openness=openness, voids=torch.zeros(4000))
        law = plain.voids
        np.testing.assert_allclose(
            found.limit, plain.local * law.largest(plain.scan.points.shape[1]) * openness.clamp_min(1.0), rtol=1e-6
        )
        np.testing.assert_allclose(found.usual_there, plain.local * openness.clamp_min(1.0), rtol=1e-6)

    def test_the_size_of_a_void_is_in_units_of_what_is_usual_there(self) -> None:
        beside = self.beside()
        np.testing.assert_allclose(beside.void_size * beside.local, beside.distance, rtol=1e-6)
        assert float(beside.void_size.median()) == pytest.approx(1.0, abs=0.1)

    def test_where_a_scan_is_sparse_more_is_usual_but_not_in_a_hole(self) -> None:
        """Half of the density makes distances sqrt 2 times as large."""
        scan, rng = random_points(8000, 0), np.random.default_rng(5)
        hole = np.linalg.norm(scan - [0.75, 0.5], axis=1) < 0.1
        scan = scan[~hole & ((scan[:, 0] > 0.5) | (rng.random(8000) < 0.5))]
        beside = Coverage.of(flat(scan), flat(random_points(8000, 1)))
        x, to_hole = beside.places[:, 0], (beside.places[:, :2] - torch.tensor([0.75, 0.5])).norm(dim=1)
        dense = beside.local[(x > 0.55) & (to_hole > 0.2)].median()
        assert float(beside.local[x < 0.45].median() / dense) == pytest.approx(math.sqrt(2), abs=0.25)
        assert float(beside.local[to_hole < 0.08].median() / dense) < 1.35


def test_a_quantile_of_more_values_than_torch_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    from dusnet.geometry import quantiles

    values = torch.rand(5000, generator=torch.Generator().manual_seed(0))
    assert quantile(values, 0.3) == pytest.approx(np.quantile(values.numpy(), 0.3), abs=1e-6)
    monkeypatch.setattr(quantiles, "LIMIT", 1000)
    assert quantile(values, 0.3) == pytest.approx(0.3, abs=0.05)
    with pytest.raises(RuntimeError, match="too large"):
        torch.zeros(2**24 + 1).quantile(0.1)
