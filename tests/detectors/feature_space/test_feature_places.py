"""Features at corresponding places: against brute force, and what does not matter to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.detectors.feature_space.extractors import Heights
from dusnet.detectors.feature_space.feature_maps import LEAST_SPREAD, FeatureMaps, Scaling
from dusnet.detectors.feature_space.openings import NEAREST
from dusnet.detectors.feature_space.places import Places
from dusnet.detectors.feature_space.settings import FeatureSettings
from dusnet.geometry.part_places import PartPlaces

SETTINGS = FeatureSettings(points=900, places=60, heights=(2, 9))


def plate(seed: int, height: float = 0.0, count: int = 3000) -> NDArray[np.float64]:
    """Points of the square from -0.7 to 0.7 at z = `height`."""
    points = np.random.default_rng(seed).uniform(-0.7, 0.7, (count, 3))
    points[:, 2] = height
    return points


@pytest.fixture(scope="module")
def places() -> Places:
    surface = torch.from_numpy(plate(9, count=4000)).float()
    return Places.spread([plate(0), plate(1)], PartPlaces(surface), SETTINGS, seed=0)


def where(points: NDArray[np.float64], positions: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
    """How many points of a scan lie within 0.2 of each place."""
    del normals
    return torch.tensor([[len(one)] for one in cKDTree(points).query_ball_point(positions.double().numpy(), 0.2)])


class TestPlaces:
    def test_they_are_spread_over_the_surface(self, places: Places) -> None:
        positions = places.positions.double().numpy()
        assert len(positions) == 60
        # Both .153, deviation .004 over five seeds.
        assert cKDTree(positions).query(places.part.points.double().numpy())[0].max() < 0.2
        assert cKDTree(positions).query(positions, 2)[0][:, 1].min() > 0.1
        np.testing.assert_allclose(np.abs(places.normals[:, 2].numpy()), 1, atol=1e-5)

    def test_the_order_of_the_points_does_not_matter(self, places: Places) -> None:
        scan = plate(2, 0.01)
        one, other = (places.describe(points, Heights(SETTINGS)) for points in (scan, scan[::-1]))
        assert torch.equal(one.features, other.features)
        assert one.features.shape == (1, 60, 4)

    def test_what_lies_around_a_place_is_the_mean_of_its_nearest_points(self, places: Places) -> None:
        found = places.describe(plate(2, 0.01), where)
        assert found.around.shape == (1, 60, 3)
        assert float((found.around[0] - places.positions).norm(dim=1).max()) < 0.1
        np.testing.assert_allclose(found.around[0, :, 2].numpy(), 0.01, atol=1e-6)
        assert NEAREST == 4

    def test_an_extractor_sees_the_scan_at_the_density_of_the_training_scans(self, places: Places) -> None:
        dense, sparse = (places.describe(plate(3, count=count), where) for count in (20_000, 4000))
        counts = [float(one.features[..., 0].mean()) for one in (dense, sparse)]
        assert counts[0] == pytest.approx(counts[1], rel=0.15)

    def test_openings_are_the_last_features_or_left_out(self, places: Places) -> None:
        scan = plate(2, 0.01)
        view = places.view(scan)
        features = places.features(view, where)
        assert torch.equal(features[:, 1:], view.openings.at(places.positions, whole=view.whole))
        alone = replace(places, settings=SETTINGS.model_copy(update={"openings": False}))
        assert torch.equal(alone.features(view, where), features[:, :1])

    def test_a_side_that_is_not_shown_is_not_seen_and_a_hole_is(self, places: Places) -> None:
        scan = plate(4, count=8000)
        half = places.describe(scan[scan[:, 0] > 0], where)
        shown = places.positions[:, 0] > 0
        assert half.shown[0][places.positions[:, 0] > 0.05].all()
        assert not half.shown[0][places.positions[:, 0] < -0.2].any()
        holed = places.describe(scan[np.linalg.norm(scan[:, :2] - 0.2, axis=1) > 0.15], where)
        assert holed.shown.all()
        assert shown.any()


class TestFeatureMaps:
    def test_the_mean_is_over_scans_that_show_the_place(self) -> None:
        features = torch.tensor([[[1.0], [5.0], [7.0]], [[3.0], [9.0], [9.0]]])
        seen = torch.tensor([[True, True, False], [True, False, False]])
        maps = FeatureMaps(features, torch.zeros(2, 3, 3), torch.zeros(3, 3), seen)
        assert maps.mean(features).tolist() == [[2.0], [5.0], [8.0]]

    def test_joined(self) -> None:
        one = FeatureMaps(torch.ones(1, 2, 3), torch.ones(1, 2, 3), torch.zeros(2, 3), torch.ones(1, 2).bool())
        both = FeatureMaps.joined([one, one])
        assert (both.features.shape, both.around.shape, both.shown.shape) == ((2, 2, 3), (2, 2, 3), (2, 2))


class TestScaling:
    def part(self) -> FeatureMaps:
        """Two channels of different spread, and a place that differs three times as much as the others."""
        rng = torch.Generator().manual_seed(0)
        residuals = torch.randn(400, 30, 2, generator=rng) * torch.tensor([2.0, 0.5])
        residuals[:, 7] *= 3
        features = 50 + 10 * torch.randn(1, 30, 2, generator=rng) + residuals
        return FeatureMaps(features, features[..., :1], torch.zeros(30, 3), torch.ones(400, 30).bool())

    def test_the_variance_of_a_place_is_half_its_own_and_half_that_of_all(self) -> None:
        part = self.part()
        scaled = Scaling.of(part, 0.03)(part.features)
        spread = (scaled - scaled.mean(dim=0)).square().mean(dim=0).sqrt() / 0.03
        everywhere = (29 + 9) / 30
        usual, varied = 1 / np.sqrt(0.5 * (1 + everywhere)), 3 / np.sqrt(0.5 * (9 + everywhere))
        others = torch.arange(30) != 7
        np.testing.assert_allclose(spread[others].numpy(), usual, rtol=0.12)
        np.testing.assert_allclose(spread[7].numpy(), varied, rtol=0.12)

    def test_only_places_that_are_seen_count(self) -> None:
        part = self.part()
        part.shown[0, :5] = False
        blinded = replace(part, features=part.features.clone())
        blinded.features[0, :5] = 1e6
        assert torch.equal(Scaling.of(part, 1.0).spread, Scaling.of(blinded, 1.0).spread)

    def test_channels_that_hardly_differ_from_the_centre_are_not_blown_up(self) -> None:
        features = torch.stack([torch.arange(10.0), torch.ones(10)], dim=1).unsqueeze(0)
        part = FeatureMaps(features, features[..., :1], torch.zeros(10, 3), torch.ones(1, 10).bool())
        scaling = Scaling.of(part, 1.0)
        np.testing.assert_allclose(scaling.spread[:, 0].numpy(), LEAST_SPREAD * np.arange(10).std(), rtol=1e-6)
        assert (scaling.spread[:, 1] == 1.0).all()
        assert scaling(features).isfinite().all()

    def test_residuals_are_differences_from_the_mean_of_their_place(self) -> None:
        part = self.part()
        part.shown[:100, 3] = False
        plain, residual = Scaling.of(part, 1.0), Scaling.of(part, 1.0, residuals=True)
        assert torch.equal(plain.spread, residual.spread)
        left = residual(part.features).double()
        np.testing.assert_allclose(left[100:, 3].mean(dim=0), 0, atol=1e-4)
        np.testing.assert_allclose(left[:, :3].mean(dim=0), 0, atol=1e-4)

    def test_over_all_places_every_channel_gets_mean_zero_and_one_spread(self) -> None:
        part = self.part()
        scaled = Scaling.of_channels(part, 2.0)(part.features).double().flatten(0, 1)
        np.testing.assert_allclose(scaled.mean(dim=0), 0, atol=1e-5)
        np.testing.assert_allclose(scaled.std(dim=0, correction=0), 2, rtol=1e-5)
        assert torch.equal(Scaling.none(2)(part.features), part.features)
