"""Shape distributions: worked distances, what a motion does to them, and parts told apart by what is seen of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dusnet.geometry.visibility import visible
from dusnet.registration.shape_distribution import ShapeDistribution, ShapeViews, distances_in

Array = NDArray[np.float64]


def cylinder(seed: int, height: float, count: int = 4000) -> Array:
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, count)
    return np.column_stack([np.cos(angle), np.sin(angle), rng.uniform(-height / 2, height / 2, count)])


def box(seed: int, size: tuple[float, float, float], count: int = 4000) -> Array:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1, 1, (count, 3))
    face = np.arange(count) % 3
    points[np.arange(count), face] = np.sign(points[np.arange(count), face])
    return points * size


def moved(points: Array, seed: int) -> Array:
    return points @ Rotation.random(random_state=seed).as_matrix().T + [5.0, -3.0, 100.0]


def test_distances_between_points_of_a_circle_are_chords() -> None:
    """The chord over a random angle a is 2 sin(a / 2), so that the quantile q of all chords is 2 sin(pi q / 2)."""
    angle = 2 * np.pi * np.arange(1000) / 1000
    found = distances_in(np.column_stack([np.cos(angle), np.sin(angle), np.zeros(1000)]))
    levels = (np.arange(64) + 0.5) / 64
    np.testing.assert_allclose(found, 2 * np.sin(np.pi * levels / 2), atol=0.02)


def test_neither_a_motion_nor_the_density_changes_them() -> None:
    points = cylinder(0, 3.0)
    distances = distances_in(points)
    np.testing.assert_allclose(distances_in(moved(points, 1)), distances, atol=0.05)
    # The largest of 64 differences .017, deviation .011 over three seeds; the mean of the other shape's .071 (.004).
    np.testing.assert_allclose(distances_in(cylinder(1, 3.0, 20_000)), distances, atol=0.06)
    assert np.abs(distances_in(cylinder(0, 3.3)) - distances).mean() > 0.05


@pytest.fixture(scope="module")
def parts() -> dict[str, ShapeViews]:
    shapes = {
        "long": cylinder(0, 4.0),
        "short": cylinder(0, 3.0),
        "cube": box(0, (1.0, 1.0, 1.0)),
        "plate": box(0, (2.0, 1.5, 0.1)),
    }
    return {name: ShapeViews.of(points) for name, points in shapes.items()}


@pytest.mark.parametrize("one_sided", [False, True])
def test_parts_are_told_apart_from_all_sides_and_from_one(parts: dict[str, ShapeViews], one_sided: bool) -> None:
    scans = {
        "long": cylinder(5, 4.0),
        "short": cylinder(5, 3.0),
        "cube": box(5, (1.0, 1.0, 1.0)),
        "plate": box(5, (2.0, 1.5, 0.1)),
    }
    for seed, (name, points) in enumerate(scans.items()):
        direction = np.array([0.6, -0.48, 0.64])
        shown = points[visible(points, direction)] if one_sided else points
        scan = ShapeDistribution.of(moved(shown, seed))
        assert scan.one_sided or not one_sided
        difference = {other: one.difference(scan) for other, one in parts.items()}
        assert min(difference, key=difference.__getitem__) == name, difference


def test_a_solid_is_seen_to_be_scanned_from_all_sides() -> None:
    assert not ShapeDistribution.of(box(5, (1.0, 1.0, 1.0))).one_sided


def test_a_scan_from_all_sides_is_not_taken_for_a_view_of_another_part(parts: dict[str, ShapeViews]) -> None:
    cube = parts["cube"]
    scan = ShapeDistribution(cube.views[7], one_sided=False)
    assert cube.difference(scan) == pytest.approx(np.abs(cube.whole - cube.views[7]).mean())
    assert cube.difference(ShapeDistribution(cube.views[7], one_sided=True)) == 0


def test_a_model_file_keeps_them(parts: dict[str, ShapeViews]) -> None:
    tensors = parts["plate"].tensors()
    assert all(isinstance(value, torch.Tensor) for value in tensors.values())
    again = ShapeViews.restore(tensors)
    np.testing.assert_array_equal(again.whole, parts["plate"].whole)
    np.testing.assert_array_equal(again.views, parts["plate"].views)


def test_a_cloud_of_hardly_any_points_has_no_views() -> None:
    few = ShapeViews.of(box(0, (1.0, 1.0, 1.0), 18))
    assert few.views.shape == (0, 64)
    assert np.isfinite(few.difference(ShapeDistribution(few.whole, one_sided=True)))
