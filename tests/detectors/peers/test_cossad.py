"""Cohen's d place by place, recomputed by hand in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from peer_checks import check_finds_the_dent, check_permutation, check_round_trip, fitted
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist, cosine, pdist
from small_parts import part

from dusnet.cloud import PointCloud
from dusnet.detectors import Detector
from dusnet.detectors.peers.cossad.effects import LEAST_SPREAD, PlaceBank, carried, cohens_d


@pytest.fixture(scope="module")
def cossad(good: list[PointCloud]) -> Detector:
    return fitted("cossad", good)


def test_cohens_d_of_a_worked_example() -> None:
    """Means 2 and 6, squared deviations 2 and 8, and 3 + 3 - 2 = 4 degrees of freedom."""
    one, other = torch.tensor([[1.0, 2.0, 3.0]]).double(), torch.tensor([[4.0, 6.0, 8.0]]).double()
    expected = 4 / np.sqrt(10 / 4)
    assert float(cohens_d(one, other)) == pytest.approx(expected, rel=1e-12)
    assert float(cohens_d(other, one)) == pytest.approx(expected, rel=1e-12)
    assert float(cohens_d(one + 7, other + 7)) == pytest.approx(expected, rel=1e-12)


def test_equal_distances_have_a_least_spread() -> None:
    one, other = torch.full((1, 3), 0.25).double(), torch.full((1, 4), 0.75).double()
    assert float(cohens_d(one, other)) == pytest.approx(0.5 / LEAST_SPREAD, rel=1e-12)


@pytest.mark.parametrize(("templates", "neighbors"), [(4, 1), (4, 5), (2, 3)])
def test_effects_with_scipy(templates: int, neighbors: int) -> None:
    rng = np.random.default_rng(0)
    bank, scan, places = rng.random((templates, 30, 7)), rng.random((30, 7)), rng.random((30, 3))
    bank, scan, places = (one.astype(np.float32).astype(float) for one in (bank, scan, places))
    tensors = (torch.from_numpy(one).float() for one in (bank, places))
    found = PlaceBank(*tensors, neighbors).effects(torch.from_numpy(scan).float())
    near = np.argsort(cdist(places, places), axis=1)[:, :neighbors]
    for place, around in enumerate(near):
        apart = np.concatenate([pdist(bank[:, one], "cosine") for one in around])
        away = np.array([cosine(bank[t, one], scan[one]) for one in around for t in range(templates)])
        squares = ((apart - apart.mean()) ** 2).sum() + ((away - away.mean()) ** 2).sum()
        pooled = np.sqrt(squares / (len(apart) + len(away) - 2))
        assert float(found[place]) == pytest.approx(abs(apart.mean() - away.mean()) / pooled, rel=1e-6)


def test_points_have_the_gaussian_mean_of_the_places() -> None:
    rng = np.random.default_rng(1)
    points, places, values = rng.random((40, 3)), rng.random((9, 3)), rng.random(9)
    found = carried(*(torch.from_numpy(one) for one in (points, places, values)), 0.3)
    weights = np.exp(-cdist(points, places, "sqeuclidean") / (2 * 0.3**2))
    np.testing.assert_allclose(found, weights @ values / weights.sum(axis=1), rtol=1e-10)
    far = carried(torch.tensor([[900.0, 0.0, 0.0]]), torch.from_numpy(places), torch.from_numpy(values), 0.01)
    assert float(far) == pytest.approx(values[places[:, 0].argmax()])


def test_the_object_score_is_the_largest_effect(cossad: Detector) -> None:
    cloud = part(9, dent=6)
    scores = cossad.score(cloud)
    assert scores.object_score >= scores.point_scores.max()
    placed = cossad.place(cloud)  # type: ignore[attr-defined]
    bank = cossad._bank  # type: ignore[attr-defined]
    features, _ = cossad._features(cossad._thin(placed.points), bank.places)  # type: ignore[attr-defined]
    assert scores.object_score == float(bank.effects(features).max())
    assert scores.score_length is None


def test_permuted_points_get_permuted_scores(cossad: Detector) -> None:
    check_permutation(cossad)


def test_a_loaded_model_gives_the_same_scores(cossad: Detector, tmp_path) -> None:
    check_round_trip(cossad, tmp_path)


def test_the_dent_is_where_the_scores_are_high() -> None:
    check_finds_the_dent("cossad", 0.97)  # the lowest .997, deviation .001 over four seeds


def test_one_scan_is_dealt_out_into_two(good: list[PointCloud], tmp_path) -> None:
    detector = fitted("cossad", good[:1])
    assert len(detector._tensors()["features"]) == 2  # type: ignore[attr-defined]
    check_round_trip(detector, tmp_path)


def test_a_view_is_judged_where_its_patches_are_full(good: list[PointCloud]) -> None:
    cloud = part(9)
    view = PointCloud(cloud.points[cloud.points[:, 2] > 0])
    every, full = (fitted("cossad", good, cossad={"full_patches": full}) for full in (False, True))
    whole = every.score(cloud).object_score
    assert every.score(view).object_score > 2 * whole  # places below have the rim; 12 times, deviation 2
    assert full.score(view).object_score < 0.5 * every.score(view).object_score  # .20, deviation .02
    scan = full._thin(full.place(view).points)  # type: ignore[attr-defined]
    places = full._bank.places  # type: ignore[attr-defined]
    _, counted = full._features(scan, places)  # type: ignore[attr-defined]
    radius = max(0.12, 4 * full._cell)  # type: ignore[attr-defined]
    tree = cKDTree(scan.points + scan.centroid)
    held = np.array([len(one) for one in tree.query_ball_point(places.double().numpy(), radius)])
    np.testing.assert_array_equal(counted.numpy(), held >= held[held > 0].mean())
