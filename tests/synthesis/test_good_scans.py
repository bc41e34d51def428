"""Simulated good scans against the surface, and the measured difference of parts against known displacements."""

from __future__ import annotations

import numpy as np
import pytest
from egg_parts import egg
from scipy.spatial import cKDTree

from dusnet.cloud import PointCloud
from dusnet.synthesis import good_scans
from dusnet.synthesis.good_scans import normal_variation, simulated_scan


def wavy(seed, amplitude, noise=1e-3, count=3000):
    """The unit square lifted by a sine of x."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, 3))
    points[:, 2] = amplitude * np.sin(2 * np.pi * points[:, 0]) + rng.normal(scale=noise, size=count)
    return points


class TestSimulatedScan:
    @pytest.mark.parametrize("noise", [0.0, 0.1])
    def test_holds_no_point_of_the_training_scan(self, rng, noise):
        cloud = egg(0, noise=noise)
        made = simulated_scan(cloud, 0.0, rng)
        assert cKDTree(cloud.points).query(made.points)[0].min() > 0

    def test_lies_on_the_same_surface(self, rng):
        """Chords of neighbours 3 mm apart on an egg of 40 mm leave it by a few hundredths."""
        made = simulated_scan(egg(0, 4000, noise=0.0), 0.0, rng)
        assert cKDTree(egg(1, 60_000, noise=0.0).points).query(made.points)[0].mean() < 0.55  # .45, deviation .014
        spacing = cKDTree(egg(0, 4000).points).query(egg(2, 4000).points)[0].mean()
        assert cKDTree(egg(0, 4000).points).query(made.points)[0].mean() > 0.3 * spacing

    def test_keeps_at_least_seven_tenths_of_the_points(self, rng):
        sizes = [len(simulated_scan(egg(0), 0.0, rng)) for _ in range(20)]
        assert 840 <= min(sizes) < max(sizes) <= 1200

    def test_coinciding_points_and_few_points_do_not_stop_it(self, rng):
        few = simulated_scan(egg(0, 16), 0.0, rng)
        assert len(few) == 16
        double = egg(0, 200).points.repeat(10, axis=0)
        assert np.isfinite(simulated_scan(PointCloud(double), 0.1, rng).points).all()


class TestNormalVariation:
    def test_scans_of_one_surface_differ_less_than_their_noise(self):
        assert 0 < normal_variation([wavy(seed, 0.03) for seed in range(3)]) < 1e-3

    def test_one_scan_and_copies_of_it_differ_by_nothing(self):
        assert normal_variation([wavy(0, 0.03)]) == 0
        assert normal_variation([wavy(0, 0.03)] * 3) == 0

    def test_is_the_displacement_that_nineteen_twentieths_stay_below(self):
        """|sin| exceeds 0.997 on a twentieth of its period; averaging over the surroundings takes a little off."""
        found = []
        for amplitude in (0.01, 0.02, 0.04):
            found.append(normal_variation([wavy(1, 0.0), wavy(2, amplitude)]))
            assert found[-1] == pytest.approx(0.997 * amplitude, rel=0.08)
        assert found[0] < found[1] < found[2]

    def test_the_usual_pair_counts(self):
        """Of six ordered pairs the four with the displaced scan decide the median."""
        assert normal_variation([wavy(1, 0.0), wavy(2, 0.0), wavy(3, 0.02)]) == pytest.approx(0.02, rel=0.1)

    @pytest.mark.parametrize("count", [2, 5, 7, 9, 10, 12, 20, 41, 60])
    def test_many_scans_are_compared_in_few_pairs(self, count, monkeypatch):
        """Every scan is looked at until there are more scans than pairs."""
        compared = []
        measure = good_scans._smooth_difference

        def counted(one, other):
            compared.append((round(one[0, 0]), round(other[0, 0])))
            return measure(one, other)

        monkeypatch.setattr(good_scans, "_smooth_difference", counted)
        normal_variation([wavy(seed, 0.0, count=20) * [0, 1, 1] + [seed, 0, 0] for seed in range(count)])
        assert len(set(compared)) == len(compared) <= 80
        assert len(compared) >= min(40, count * (count - 1))
        assert all(one != other for one, other in compared)
        assert len({one for one, _ in compared}) >= min(count, 40)
