"""Descriptions of a scan around places: against brute force in float64, and what does not matter to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dusnet.detectors.feature_space.extractors import Descriptors, Deviations, Heights
from dusnet.detectors.feature_space.settings import FeatureSettings
from dusnet.registration.warp import TangentPlanes

SETTINGS = FeatureSettings(heights=(2, 9))
Array = NDArray[np.float64]


def flat(seed: int, noise: float, count: int = 3000) -> Array:
    """Noisy points of the square from -0.7 to 0.7."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(-0.7, 0.7, (count, 2)), rng.normal(scale=noise, size=count)])


def ball(seed: int, radius: float, count: int = 4000) -> Array:
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return radius * points / np.linalg.norm(points, axis=1, keepdims=True)


def nearest(points: Array, places: Array, count: int) -> NDArray[np.intp]:
    return np.argsort(np.linalg.norm(points[None] - places[:, None], axis=2), axis=1)[:, :count]


@pytest.fixture(scope="module")
def places() -> tuple[torch.Tensor, torch.Tensor]:
    """Places of the square whose normals lean over, some of them upside down."""
    rng = np.random.default_rng(3)
    at = np.column_stack([rng.uniform(-0.6, 0.6, (50, 2)), np.zeros(50)])
    normals = rng.normal(scale=0.2, size=(50, 3)) + np.array([0, 0, 1])
    normals *= np.sign(rng.normal(size=(50, 1))) / np.linalg.norm(normals, axis=1, keepdims=True)
    return torch.from_numpy(at).float(), torch.from_numpy(normals).float()


def test_heights_against_brute_force(places: tuple[torch.Tensor, torch.Tensor]) -> None:
    points = flat(5, 0.02)
    found = Heights(SETTINGS)(points, *places).double().numpy()
    at, normals = (one.double().numpy() for one in places)
    for column, count in enumerate((2, 9)):
        near = points[nearest(points, at, count)] - at[:, None]
        np.testing.assert_allclose(found[:, column], (near * normals[:, None]).sum(axis=2).mean(axis=1), atol=1e-6)


def test_deviations_of_a_plane_are_the_heights_of_its_points_along_the_normals_of_the_places(
    places: tuple[torch.Tensor, torch.Tensor],
) -> None:
    """The square is its own tangent plane everywhere, so that the distance of a point is its z."""
    points, surface = flat(6, 0.02), torch.from_numpy(flat(7, 0.0)).float()
    found = Deviations(SETTINGS, TangentPlanes(surface))(points, *places)
    at, normals = (one.double().numpy() for one in places)
    for column, count in enumerate((2, 9)):
        heights = points[nearest(points, at, count)][..., 2]
        np.testing.assert_allclose(found[:, column].numpy(), heights.mean(axis=1) * normals[:, 2], atol=1e-5)
    assert torch.equal(found[:, 2:], Heights(SETTINGS)(points, *places))


def test_deviations_do_not_bend_with_the_surface_where_points_are_few() -> None:
    """A ball that is 0.02 too big, scanned densely and sparsely: its heights differ, its deviations do not."""
    settings = FeatureSettings(heights=(64,))
    surface = torch.from_numpy(ball(1, 1.0, 20_000)).float()
    normals = torch.nn.functional.normalize(surface[:100], dim=1)
    extractor = Deviations(settings, TangentPlanes(surface))
    dense, sparse = (extractor(ball(2, 1.02, count), surface[:100], normals) for count in (8000, 800))
    np.testing.assert_allclose(dense[:, 0].numpy(), 0.02, atol=2e-3)
    np.testing.assert_allclose(sparse[:, 0].numpy(), 0.02, atol=5e-3)
    assert float((dense[:, 1] - sparse[:, 1]).min()) > 0.03


def test_fpfh_is_averaged_around_each_place(places: tuple[torch.Tensor, torch.Tensor]) -> None:
    settings = FeatureSettings(neighbors=(10, 20), aggregate=5)
    found = Descriptors(settings)(flat(6, 0.0, 800), *places)
    assert found.shape == (50, 66)
    # Three histograms of a plane, each of 100 %, less where the feature of the point itself weighs in.
    assert float(found.sum(dim=1).min()) > 590
