"""Spacing, walls and values between points against trigonometry and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.geometry.normals import tensor_normals
from dusnet.geometry.spacing import interpolate, neighbor_spacing, wall_thickness


def sphere(count: int, rng: np.random.Generator, radius: float = 1.0) -> NDArray[np.float64]:
    directions = rng.normal(size=(count, 3))
    return radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def plate(count: int, thickness: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Both faces of a plate of edge 1; no rims."""
    points = rng.random((count, 3))
    points[:, 2] = thickness * rng.integers(0, 2, count)
    return points


def test_neighbor_spacing_is_the_mean_nearest_distance(rng: np.random.Generator) -> None:
    points = rng.random((300, 3))
    expected = cKDTree(points).query(points, k=2)[0][:, 1].mean()
    assert neighbor_spacing(torch.from_numpy(points)) == pytest.approx(expected, rel=1e-9)


class TestWallThickness:
    @staticmethod
    def measure(points: NDArray[np.float64], normals: NDArray[np.float64] | None = None) -> float:
        cloud = torch.from_numpy(points).float()
        directions = tensor_normals(cloud, cloud) if normals is None else torch.from_numpy(normals).float()
        return wall_thickness(cloud, directions)

    @pytest.mark.parametrize("thickness", [0.15, 0.3])
    def test_of_a_plate(self, rng: np.random.Generator, thickness: float) -> None:
        assert self.measure(plate(4000, thickness, rng)) == pytest.approx(thickness, rel=0.05)

    def test_of_a_spherical_shell(self, rng: np.random.Generator) -> None:
        points = np.concatenate([sphere(1500, rng, 1.0), sphere(1000, rng, 0.8)])[rng.permutation(2500)]
        assert self.measure(points) == pytest.approx(0.2, rel=0.1)

    def test_of_a_box_is_its_thinnest_side(self, rng: np.random.Generator) -> None:
        size = np.array([1.0, 0.8, 0.3])
        points, normals = [], []
        for axis, share in enumerate((600, 750, 2000)):
            face = rng.random((share, 3)) * size
            face[:, axis] = size[axis] * rng.integers(0, 2, share)
            points.append(face)
            normals.append(np.tile(np.eye(3)[axis], (share, 1)))
        order = rng.permutation(3350)
        measured = self.measure(np.concatenate(points)[order], np.concatenate(normals)[order])
        assert measured == pytest.approx(0.3, rel=0.05)

    def test_one_side_alone_has_no_wall(self, rng: np.random.Generator) -> None:
        points = rng.random((1500, 3)) * [1, 1, 0]
        extent = points.max(axis=0) - points.min(axis=0)
        assert self.measure(points) == pytest.approx(np.linalg.norm(extent), rel=1e-3)

    def test_scales_with_the_unit(self, rng: np.random.Generator) -> None:
        points = plate(3000, 0.2, rng)
        assert self.measure(points * 10) == pytest.approx(10 * self.measure(points), rel=1e-3)


class TestInterpolate:
    def test_is_the_inverse_distance_mean_of_three(self) -> None:
        rng = np.random.default_rng(1)
        places, points, values = rng.normal(size=(50, 3)), rng.normal(size=(70, 3)), rng.random((50, 2))
        distance, index = cKDTree(places).query(points, 3)
        weights = (1 / distance) / (1 / distance).sum(axis=1, keepdims=True)
        expected = (values[index] * weights[..., None]).sum(axis=1)
        given = [torch.from_numpy(x).float() for x in (values, places, points)]
        np.testing.assert_allclose(interpolate(*given), expected, rtol=1e-4)
        np.testing.assert_allclose(interpolate(given[0][:, 0], *given[1:]), expected[:, 0], rtol=1e-4)

    def test_places_keep_their_values(self) -> None:
        cloud, values = torch.rand(600, 3, generator=torch.Generator().manual_seed(0)), torch.arange(600.0)
        assert torch.equal(interpolate(values, cloud, cloud), values)

    @pytest.mark.parametrize("count", [1, 2])
    def test_fewer_than_three_places(self, count: int) -> None:
        cloud = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
        found = interpolate(torch.full((count,), 4.0), cloud[:count], cloud)
        np.testing.assert_allclose(found, 4.0, rtol=1e-6)
