"""The projection onto the training surface against planes, spheres and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from dusnet.nn.prior import NEIGHBORS, NORMAL_NEIGHBORS, SurfacePrior


def normal(count: int, seed: int) -> Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sheet(count: int, seed: int = 0) -> Tensor:
    points = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    points[:, 2] = 0
    return points


def test_of_a_plane_it_is_the_foot_of_the_perpendicular() -> None:
    prior = SurfacePrior.of(sheet(800))
    points = 0.1 + 0.8 * sheet(100, 1)
    points[:, 2] = torch.linspace(-0.3, 0.3, 100, dtype=torch.float64)
    expected = torch.zeros(100, 3, dtype=torch.float64)
    expected[:, 2] = -points[:, 2]
    torch.testing.assert_close(prior.displacement(points), expected, atol=1e-9, rtol=0)


def test_of_a_sphere_it_is_radial() -> None:
    prior = SurfacePrior.of(torch.nn.functional.normalize(normal(6000, 0), dim=1))
    directions = torch.nn.functional.normalize(normal(300, 1), dim=1)
    heights = torch.linspace(-0.1, 0.1, 300, dtype=torch.float64).unsqueeze(1)
    found = prior.displacement(directions * (1 + heights))
    torch.testing.assert_close(found, -heights * directions, atol=0.015, rtol=0)


def test_the_side_that_normals_point_to_does_not_matter() -> None:
    prior = SurfacePrior.of(torch.nn.functional.normalize(normal(2000, 0), dim=1))
    signs = torch.where(normal(2000, 2)[:, :1] > 0, 1.0, -1.0).double()
    flipped = SurfacePrior(prior.points, prior.normals * signs)
    points = normal(100, 1)
    torch.testing.assert_close(flipped.displacement(points), prior.displacement(points))


def test_against_numpy() -> None:
    surface, points = normal(200, 0), normal(40, 1)
    xyz, tree = surface.numpy(), cKDTree(surface.numpy())
    normals = []
    for near in tree.query(xyz, k=NORMAL_NEIGHBORS)[1]:
        around = xyz[near] - xyz[near].mean(axis=0)
        normals.append(np.linalg.svd(around)[2][-1])
    found = SurfacePrior.of(surface).displacement(points).numpy()
    for row, point, near in zip(found, points.numpy(), tree.query(points, k=NEIGHBORS)[1], strict=True):
        nearest = normals[near[0]]
        heights = [np.sign(normals[i] @ nearest) * (point - xyz[i]) @ normals[i] for i in near]
        np.testing.assert_allclose(row, -np.mean(heights) * nearest, atol=1e-9)


@pytest.mark.parametrize("shape", [(7,), (2, 5), (2, 3, 4)])
def test_any_shape_of_points(shape: tuple[int, ...]) -> None:
    prior = SurfacePrior.of(sheet(100))
    points = normal(int(np.prod(shape)), 3).view(*shape, 3)
    found = prior.displacement(points)
    assert found.shape == points.shape
    torch.testing.assert_close(found.reshape(-1, 3), prior.displacement(points.reshape(-1, 3)))


def test_a_surface_of_three_points() -> None:
    prior = SurfacePrior.of(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]))
    torch.testing.assert_close(prior.displacement(torch.tensor([[0.2, 0.2, 0.5]])), torch.tensor([[0.0, 0, -0.5]]))
