"""Local features and interpolation against their definitions, written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from small_parts import part

from dusnet.detectors.descriptors import Thinned, density_cell, farthest, fpfh, local_mean
from dusnet.registration import estimate_normals

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def points() -> Array:
    """600 points of the egg, about 1 in size."""
    return part(3, points=600).points / 50


def pair_angles(p1: Array, n1: Array, p2: Array, n2: Array) -> tuple[float, float, float]:
    """The three angles of a pair as PFH defines them; the source is the point whose normal is nearer to the line."""
    line = p2 - p1
    line = line / np.linalg.norm(line)
    if np.arccos(abs(n1 @ line)) > np.arccos(abs(n2 @ line)):
        n1, n2, line = n2, n1, -line
    v = np.cross(line, n1)
    v = v / np.linalg.norm(v)
    w = np.cross(n1, v)
    return float(np.arctan2(w @ n2, n1 @ n2)), float(v @ n2), float(n1 @ line)


def fpfh_by_hand(points: Array, normals: Array, k: int) -> Array:
    """Simplified histograms of every point and their mean over neighbours, weighted by the squared distance."""
    squared, index = cKDTree(points).query(points, k)
    squared = squared**2
    simple = np.zeros((len(points), 3, 11))
    for i in range(len(points)):
        for j in index[i, 1:]:
            theta, alpha, phi = pair_angles(points[i], normals[i], points[j], normals[j])
            for row, share in enumerate(((theta + np.pi) / (2 * np.pi), (alpha + 1) / 2, (phi + 1) / 2)):
                simple[i, row, min(10, int(np.floor(11 * share)))] += 100 / (k - 1)
    result = np.zeros_like(simple)
    for i in range(len(points)):
        for j, weight in zip(index[i, 1:], squared[i, 1:], strict=True):
            result[i] += simple[j] / weight
        total = result[i].sum(axis=1, keepdims=True)
        result[i] = 100 * result[i] / total + simple[i]
    return result.reshape(len(points), 33)


class TestFPFH:
    def test_is_what_the_definition_says(self, points: Array) -> None:
        few = points[:150]
        normals = estimate_normals(few, 10)
        normals *= np.where(((few - few.mean(axis=0)) * normals).sum(axis=1) < 0, -1.0, 1.0)[:, None]
        expected = fpfh_by_hand(few, normals, 12)
        found = fpfh(few, neighbors=(12,)).numpy()
        # Two points with the same neighbours have equal normals, and rounding decides which of them is the source.
        same = np.abs(found - expected) < 1e-2
        assert same[:, :22].all()
        assert same.mean() > 0.97  # .989, deviation .004 over five seeds and three kernels

    def test_supports_are_joined_in_the_given_order(self, points: Array) -> None:
        both = fpfh(points, neighbors=(30, 10))
        assert both.shape == (600, 66)
        assert both.dtype == torch.float32
        assert torch.equal(both[:, :33], fpfh(points, neighbors=(30,)))
        assert torch.equal(both[:, 33:], fpfh(points, neighbors=(10,)))

    def test_rigid_motions_change_nothing(self, points: Array) -> None:
        turned = points @ Rotation.from_rotvec([0.3, -1.1, 2.0]).as_matrix().T + [5.0, -3.0, 2.0]
        here, there = fpfh(points, neighbors=(20,)), fpfh(turned, neighbors=(20,))
        # .966, deviation .005 over five seeds and three kernels.
        assert ((here - there).abs() < 1e-3).double().mean() > 0.94
        assert (here - there).norm(dim=1).mean() < 0.05 * torch.pdist(here).mean()

    def test_a_mirror_image_is_another_shape(self, points: Array) -> None:
        here, mirrored = fpfh(points, neighbors=(20,)), fpfh(points * [-1.0, 1.0, 1.0], neighbors=(20,))
        assert (here - mirrored).norm(dim=1).mean() > 0.1 * torch.pdist(here).mean()

    def test_the_same_input_gives_the_same_bits(self, points: Array) -> None:
        assert torch.equal(fpfh(points, neighbors=(20,)), fpfh(points.copy(), neighbors=(20,)))

    def test_the_radius_ends_the_support(self, points: Array) -> None:
        far = np.concatenate([points, points + np.array([50.0, 0, 0])])
        alone = fpfh(points, neighbors=(50,), radius=0.2, away_from=np.zeros(3))
        beside = fpfh(far, neighbors=(50,), radius=0.2, away_from=np.zeros(3))[: len(points)]
        assert ((alone - beside).abs() < 1e-3).double().mean() > 0.99  # 1, but for pairs that rounding turns about
        wide = fpfh(points, neighbors=(50,), radius=100.0)
        assert torch.equal(wide, fpfh(points, neighbors=(50,)))
        assert not torch.equal(fpfh(points, neighbors=(50,), radius=0.2), wide)

    def test_fewer_neighbours_within_the_radius_than_allowed(self, points: Array) -> None:
        assert torch.equal(fpfh(points, neighbors=(600,), radius=0.15), fpfh(points, neighbors=(10_000,), radius=0.15))

    def test_normals_point_away_from_the_given_place(self, points: Array) -> None:
        """A place far below makes one side of the shape look like the inside."""
        inside, below = fpfh(points, neighbors=(20,)), fpfh(points, neighbors=(20,), away_from=np.array([0, 0, -100.0]))
        changed = (inside - below).norm(dim=1)
        assert changed[points[:, 2] > 0.3].mean() < 0.3 * changed[points[:, 2] < -0.3].mean()

    def test_a_tiny_cloud_has_finite_features(self, points: Array) -> None:
        found = fpfh(points[:5], neighbors=(120,))
        assert found.shape == (5, 33)
        assert torch.isfinite(found).all()


class TestLocalMean:
    def test_is_the_mean_over_the_nearest_points(self, points: Array) -> None:
        rng = np.random.default_rng(0)
        features, centers = rng.normal(size=(600, 7)), points[::3] + 0.01
        _, index = cKDTree(points).query(centers, 9)
        found = local_mean(*(torch.from_numpy(x).float() for x in (features, points, centers)), 9)
        np.testing.assert_allclose(found, features[index].mean(axis=1), atol=1e-5)

    def test_more_neighbours_than_points_are_all_points(self, points: Array) -> None:
        cloud = torch.from_numpy(points).float()
        found = local_mean(cloud, cloud, cloud[:2], 10_000)
        np.testing.assert_allclose(found, np.tile(points.mean(axis=0), (2, 1)), atol=1e-5)


class TestFarthest:
    def test_no_more_than_there_are(self, points: Array) -> None:
        cloud = torch.from_numpy(points).float()
        assert sorted(farthest(cloud, 10_000).tolist()) == list(range(600))
        assert len(farthest(cloud, 7)) == 7


class TestThinned:
    def test_the_order_of_the_points_does_not_matter(self, points: Array) -> None:
        order = np.random.default_rng(2).permutation(len(points))
        straight = Thinned.of(points, 0.1, 1000, seed=4)
        permuted = Thinned.of(points[order], 0.1, 1000, seed=4)
        np.testing.assert_array_equal(permuted.points, straight.points)
        assert torch.equal(permuted.all_points, straight.all_points[order])
        np.testing.assert_array_equal(permuted.ordered, straight.ordered)
        assert (np.diff(straight.ordered[:, 0]) >= 0).all()
        assert 50 < len(straight.points) < 600

    def test_keeps_points_of_the_scan_one_per_cell(self, points: Array) -> None:
        thinned = Thinned.of(points, 0.2, 1000, seed=4)
        kept = thinned.points + thinned.centroid
        assert cKDTree(points).query(kept)[0].max() < 1e-12
        assert np.linalg.norm(thinned.points.mean(axis=0)) < 1e-12
        np.testing.assert_allclose(thinned.in_frame(thinned.tensor), kept, atol=1e-6)
        corners = np.unique(np.floor(points / 0.2), axis=0)
        assert 0.6 * len(corners) < len(kept) < 1.4 * len(corners)  # the two grids are shifted

    def test_values_of_the_kept_points_come_back(self, points: Array) -> None:
        thinned = Thinned.of(points, 1e-9, 1000, seed=0)
        height = torch.from_numpy(thinned.points[:, 2]).float()
        np.testing.assert_allclose(thinned.to_all(height), thinned.all_points[:, 2], atol=1e-6)

    def test_a_scan_of_too_many_points_is_thinned_further(self) -> None:
        cloud = part(0, points=20_000).points / 50
        assert len(Thinned.of(cloud, 1e-9, 2000, seed=0).points) == pytest.approx(2000, rel=0.1)
        assert len(Thinned.of(cloud, 1e-9, 15_000, seed=0).points) == 20_000

    def test_far_from_the_origin_nothing_is_lost(self, points: Array) -> None:
        near, far = Thinned.of(points, 0.1, 1000, seed=0), Thinned.of(points + 1e6, 0.1, 1000, seed=0)
        distance = cKDTree(far.all_points.numpy()).query(far.points.astype(np.float32))[0]
        assert distance.max() == 0
        assert len(np.unique(far.all_points, axis=0)) == 600
        assert len(far.points) == pytest.approx(len(near.points), rel=0.1)


class TestDensityCell:
    def test_training_scans_keep_the_wanted_number(self) -> None:
        clouds = [part(seed, points=5000).points / 50 for seed in range(3)]
        cell = density_cell(clouds, 1000, seed=0)
        assert [len(Thinned.of(cloud, cell, 1000, seed=1).points) for cloud in clouds] == pytest.approx(
            [1000] * 3, rel=0.1
        )

    def test_dense_scans_come_down_to_sparse_ones(self) -> None:
        cell = density_cell([part(seed, points=1000).points / 50 for seed in range(3)], 6000, seed=0)
        assert len(Thinned.of(part(5, points=20_000).points / 50, cell, 6000, seed=0).points) < 2.2 * 600
