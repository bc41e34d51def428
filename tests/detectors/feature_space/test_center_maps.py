"""Centre maps against worked examples and loops in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dusnet.detectors.feature_space.center_maps import (
    EMA,
    aligned_center,
    clustered_center,
    first_center,
    iterative_center,
    map_similarity,
    mean_center,
    most_alike,
    nearest_center,
    residual_norm,
)


def shown(maps: torch.Tensor, seen: torch.Tensor | None = None) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Maps beside which of their places they show, all unless told."""
    seen = torch.ones(maps.shape[:2], dtype=torch.bool) if seen is None else seen
    return list(zip(maps, seen, strict=True))


def random_maps(scans: int = 4, places: int = 7, channels: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(scans, places, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_mean_is_taken_at_corresponding_places() -> None:
    maps = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[3.0, 6.0], [5.0, 0.0]]])
    assert mean_center(shown(maps)).tolist() == [[2.0, 4.0], [4.0, 2.0]]


def test_the_iterative_centre_follows_one_map_after_another() -> None:
    maps = torch.tensor([[[10.0]], [[20.0]], [[0.0]]])
    assert iterative_center(shown(maps))[0, 0] == pytest.approx(0.9 * (0.9 * 10 + 0.1 * 20))
    assert maps[0, 0, 0] == 10.0


def test_the_aligned_centre_against_a_loop() -> None:
    """Algorithm 1 of PBAS, feature by feature; two features may move the same vector, one after another."""
    maps = random_maps(places=6, channels=2)
    maps[1:, 1] = 2 * maps[1:, 0]  # of one direction: they move the same vector
    expected = maps[0].numpy().copy()
    for features in maps[1:].numpy():
        cosine = features @ expected.T / np.outer(np.linalg.norm(features, axis=1), np.linalg.norm(expected, axis=1))
        picked = cosine.argmax(axis=1)
        assert len(np.unique(picked)) < len(picked)
        for feature, index in zip(features, picked, strict=True):
            expected[index] = (1 - EMA) * expected[index] + EMA * feature
    np.testing.assert_allclose(aligned_center(shown(maps)).numpy(), expected, atol=1e-12)


def test_a_worked_step_of_the_aligned_centre() -> None:
    """(3, 1) points along x most, so it moves (1, 0) by a tenth; nothing moves (0, 1)."""
    maps = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[3.0, 1.0], [2.0, -1.0]]])
    first = np.array([0.9 * 1 + 0.1 * 3, 0.1 * 1])
    expected = [(0.9 * first + 0.1 * np.array([2.0, -1.0])).tolist(), [0.0, 1.0]]
    np.testing.assert_allclose(aligned_center(shown(maps)).numpy(), expected, atol=1e-6)


def test_clusters_are_means_of_what_lies_together() -> None:
    maps = torch.tensor([[[0.0], [10.0]], [[10.4], [0.2]]])
    center = clustered_center(shown(maps), seed=0)
    np.testing.assert_allclose(np.sort(center[:, 0].numpy()), [0.1, 10.2], atol=1e-6)
    assert torch.equal(center, clustered_center(shown(maps), seed=0))


def test_places_that_a_scan_does_not_show_decide_nothing() -> None:
    """Three scans of four places; what lies where nothing is shown is a million."""
    far = 1e6
    maps = torch.tensor([[1.0, 2.0, far, far], [3.0, far, 5.0, far], [far, 4.0, 15.0, far]]).unsqueeze(-1)
    seen = maps[..., 0] < far
    given = shown(maps, seen)
    assert mean_center(given)[:, 0].tolist() == [2.0, 3.0, 10.0, far]
    assert first_center(given)[:, 0].tolist() == [1.0, 2.0, 5.0, far]
    np.testing.assert_allclose(iterative_center(given)[:3, 0], [1.2, 2.2, 6.0], rtol=1e-6)
    assert float(aligned_center(given)[:3].max()) < 20
    assert float(clustered_center(given, seed=0).max()) == 15.0


def test_a_place_that_is_shown_late_begins_with_its_first_feature() -> None:
    maps = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.2], [0.0, 1.0]], [[2.0, 0.0], [0.0, 3.0]]])
    seen = torch.tensor([[True, False], [True, True], [True, True]])
    first = 0.9 * (0.9 * np.array([1.0, 0.0]) + 0.1 * np.array([1.0, 0.2])) + 0.1 * np.array([2.0, 0.0])
    expected = np.stack([first, 0.9 * np.array([0.0, 1.0]) + 0.1 * np.array([0.0, 3.0])])
    np.testing.assert_allclose(aligned_center(shown(maps, seen)), expected, atol=1e-6)


def test_most_alike_is_by_angle_and_nearest_by_distance() -> None:
    features, center = torch.tensor([[2.0, 0.1]]), torch.tensor([[100.0, 0.0], [2.0, 2.0]])
    assert most_alike(features, center).tolist() == [0]
    assert nearest_center(features, center).tolist() == [[2.0, 2.0]]


def test_nearest_centres_against_brute_force() -> None:
    features, center = random_maps(scans=3, places=20), random_maps(scans=3, places=9, seed=1)
    found = nearest_center(features, center)
    for one in range(3):
        distance = np.linalg.norm(features[one, :, None].numpy() - center[one, None].numpy(), axis=2)
        np.testing.assert_array_equal(found[one].numpy(), center[one][distance.argmin(axis=1)].numpy())


def test_similarity_is_that_of_the_flattened_maps_over_the_places_that_are_seen() -> None:
    features, center = (
        torch.tensor([[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]),
        torch.tensor([[1.0, 1.0], [0.0, 2.0], [-9, 9]]),
    )
    seen = torch.tensor([True, True, False])
    assert map_similarity(features, center, seen) == pytest.approx((1 + 4) / (5**0.5 * 6**0.5))
    assert map_similarity(features, center, torch.zeros(3, dtype=torch.bool)) == -1.0


def test_the_residual_is_the_distance_to_the_centre() -> None:
    assert residual_norm(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 0.0]])).tolist() == [[5.0]]
