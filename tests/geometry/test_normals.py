"""Normals against geometry and against the definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.geometry.normals import estimate_normals, planes, tensor_normals


def sphere(count: int, rng: np.random.Generator, radius: float = 1.0) -> NDArray[np.float64]:
    directions = rng.normal(size=(count, 3))
    return radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)


class TestNormals:
    def test_of_a_sphere_point_outward_or_inward(self, rng: np.random.Generator) -> None:
        points = torch.from_numpy(sphere(4000, rng)).float()
        query = torch.from_numpy(sphere(500, rng)).float()
        found = tensor_normals(query, points)
        assert found.shape == (500, 3)
        assert found.dtype == query.dtype
        torch.testing.assert_close(found.norm(dim=1), torch.ones(500), atol=1e-5, rtol=0)
        cosine = (found * query).sum(dim=1).abs()
        assert cosine.min() > 0.98
        assert cosine.mean() > 0.998

    def test_are_the_direction_of_least_spread_of_the_neighbours(self, rng: np.random.Generator) -> None:
        points = rng.normal(size=(80, 3))
        found = tensor_normals(torch.from_numpy(points), torch.from_numpy(points), neighbors=9).numpy()
        _, near = cKDTree(points).query(points, k=9)
        for row, index in zip(found, near, strict=True):
            around = points[index] - points[index].mean(axis=0)
            assert abs(row @ np.linalg.svd(around)[2][-1]) == pytest.approx(1.0, abs=1e-6)

    def test_fewer_points_than_neighbours_are_all_used(self) -> None:
        corner = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
        torch.testing.assert_close(tensor_normals(corner, corner)[:, 2].abs(), torch.ones(4))

    def test_more_queries_than_one_block_holds(self, rng: np.random.Generator) -> None:
        flat = torch.from_numpy(rng.random((50, 3)) * [1, 1, 0]).float()
        query = flat[torch.arange(70_000) % 50]
        torch.testing.assert_close(tensor_normals(query, flat)[:, 2].abs(), torch.ones(70_000))


def planes_one_by_one(query: NDArray[np.float64], points: NDArray[np.float64], count: int) -> list[NDArray[np.float64]]:
    """Middle and normal of the best plane through the nearest points, by singular values."""
    found = []
    for place in query:
        near = points[np.argsort(np.linalg.norm(points - place, axis=1), kind="stable")[:count]]
        found.append((near.mean(axis=0), np.linalg.svd(near - near.mean(axis=0))[2][-1]))
    return found


def test_planes_are_those_of_singular_values(rng: np.random.Generator) -> None:
    points = sphere(2000, rng)
    query = 1.1 * points[:40]
    normals, distance = planes(query, points, 12)
    for normal, away, place, (middle, expected) in zip(
        normals, distance, query, planes_one_by_one(query, points, 12), strict=True
    ):
        assert abs(normal @ expected) == pytest.approx(1.0, abs=1e-9)
        assert away == pytest.approx(abs((place - middle) @ expected), abs=1e-9)


def test_normals_of_all_points_are_those_of_their_planes(rng: np.random.Generator) -> None:
    points = sphere(900, rng)
    agree = np.einsum("ij,ij->i", estimate_normals(points, 16), planes(points, points, 16)[0])
    np.testing.assert_allclose(np.abs(agree), 1.0, atol=1e-9)


def test_three_points_have_a_normal() -> None:
    corner = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(np.abs(estimate_normals(corner)), [[0, 0, 1]] * 3, atol=1e-12)
