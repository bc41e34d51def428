"""A scan in the frame: what is measured of it once, on a sphere, where all of it is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.detectors.placed_scan import PlacedScan
from dusnet.geometry.part_places import PartPlaces
from dusnet.registration import Alignment

ROUND = 20_000


def on_sphere(count: int, seed: int = 0) -> NDArray[np.float64]:
    direction = np.random.default_rng(seed).normal(size=(count, 3))
    return direction / np.linalg.norm(direction, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def part() -> PartPlaces:
    return PartPlaces(torch.from_numpy(on_sphere(ROUND)).float())


def placed(points: NDArray[np.float64], part: PartPlaces) -> PlacedScan:
    return PlacedScan(points, Alignment(np.eye(4), 0.0, 1.0, "none"), part)


def test_deviation_and_offsets_are_positive_for_excess_material(part: PartPlaces) -> None:
    direction = on_sphere(200, seed=5)
    for radius in (0.95, 1.0, 1.08):
        found = placed(radius * direction, part).deviation().numpy()
        np.testing.assert_allclose(found, radius - 1.0, atol=2e-3)
    along = placed(direction, part).deviation(torch.from_numpy(-0.03 * direction).float()).numpy()
    np.testing.assert_allclose(along, -0.03, atol=1e-3)


def test_distances_and_means_are_those_of_a_tree(part: PartPlaces) -> None:
    points = 1.05 * on_sphere(300, seed=6)
    scan = placed(points, part)
    expected = cKDTree(part.points.double().numpy()).query(points)[0]
    np.testing.assert_allclose(scan.distances.numpy(), expected, rtol=1e-5)
    values = np.random.default_rng(7).uniform(size=300)
    means = values[cKDTree(points).query(points, k=5)[1]].mean(axis=1)
    np.testing.assert_allclose(scan.smoothed(torch.from_numpy(values), 5).numpy(), means, rtol=1e-9)


def test_the_coverage_is_that_of_the_part_and_is_computed_once(part: PartPlaces) -> None:
    points = on_sphere(8000, seed=8)
    scan = placed(points[points[:, 2] < 0.95], part)
    assert scan.coverage is scan.coverage
    assert scan.coverage.scan is scan.search
    assert bool(scan.coverage.missing.any())
    assert float(part.points[scan.coverage.missing][:, 2].min()) > 0.95
