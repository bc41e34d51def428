"""Areas that points stand for, beside lattices and shapes whose areas are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import ConvexHull, Voronoi

from dusnet.geometry.cells import cell_areas


def square(step: float) -> np.ndarray:
    x, y = np.meshgrid(np.arange(0, 10, step), np.arange(0, 10, step), indexing="ij")
    return np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])


def inner(points: np.ndarray) -> np.ndarray:
    return np.flatnonzero((np.abs(points[:, :2] - 5.0) < 3.0).all(axis=1))


def test_points_of_a_grid_stand_for_its_squares_and_of_a_hexagonal_one_for_its_hexagons() -> None:
    grid = square(0.5)
    np.testing.assert_allclose(cell_areas(grid, inner(grid)), 0.25, rtol=0.01)
    hexagonal = grid @ np.array([[1.0, 0.0, 0.0], [0.5, 0.5 * np.sqrt(3.0), 0.0], [0.0, 0.0, 1.0]])
    chosen = np.flatnonzero(np.linalg.norm(hexagonal - hexagonal.mean(axis=0), axis=1) < 3.0)
    np.testing.assert_allclose(cell_areas(hexagonal, chosen), 0.25 * 0.5 * np.sqrt(3.0), rtol=0.01)


def test_cells_of_scattered_points_are_those_of_their_voronoi_diagram() -> None:
    flat = np.random.default_rng(1).uniform(0, 10, (600, 2))
    points = np.column_stack([flat, np.zeros(600)])
    chosen = inner(points)
    diagram = Voronoi(flat)
    exact = [ConvexHull(diagram.vertices[diagram.regions[diagram.point_region[one]]]).volume for one in chosen]
    found = cell_areas(points, chosen)
    assert found.sum() == pytest.approx(np.sum(exact), rel=0.02)
    assert np.corrcoef(found, exact)[0, 1] > 0.98


def test_all_points_of_a_sphere_stand_for_its_area_and_copies_share_a_cell() -> None:
    points = np.random.default_rng(2).normal(size=(2000, 3))
    points *= 3.0 / np.linalg.norm(points, axis=1, keepdims=True)
    once = cell_areas(points, np.arange(2000))
    assert once.sum() == pytest.approx(36.0 * np.pi, rel=0.02)
    twice = cell_areas(np.repeat(points[:50], 2, axis=0), np.arange(100))
    np.testing.assert_allclose(twice[::2], twice[1::2])


def test_a_thin_wall_is_measured_on_each_face() -> None:
    """The faces are 0.4 apart, less than the points of one of them."""
    grid = square(0.5)
    wall = np.concatenate([grid, np.add(grid, (0.25, 0.25, 0.4))])
    np.testing.assert_allclose(cell_areas(wall, inner(grid)), 0.25, rtol=0.3)


def test_few_points_and_points_in_one_place_have_no_area() -> None:
    assert cell_areas(np.zeros((2, 3)), np.arange(2)).tolist() == [0.0, 0.0]
    assert cell_areas(np.zeros((30, 3)), np.arange(30)).tolist() == [0.0] * 30
    assert cell_areas(square(1.0), np.empty(0, dtype=np.intp)).shape == (0,)
