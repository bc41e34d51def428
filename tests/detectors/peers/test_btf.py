"""BTF against brute force, and what its two kinds of memory can see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from peer_checks import check_finds_the_dent, check_permutation, check_round_trip, fitted
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from small_parts import motion, part, tiny

from dusnet.cloud import PointCloud
from dusnet.detectors import Detector, create

EVERYTHING = {"coreset": 1.0, "smoothing": 1}


@pytest.fixture(scope="module", params=["btf_raw", "btf_fpfh"])
def btf(request: pytest.FixtureRequest, good: list[PointCloud]) -> Detector:
    return fitted(request.param, good)


def test_permuted_points_get_permuted_scores(btf: Detector) -> None:
    check_permutation(btf)


def test_a_loaded_model_gives_the_same_scores(btf: Detector, tmp_path) -> None:
    check_round_trip(btf, tmp_path)


@pytest.mark.parametrize(("name", "least"), [("btf_raw", 0.75), ("btf_fpfh", 0.92)])
def test_the_dent_is_where_the_scores_are_high(name: str, least: float) -> None:
    check_finds_the_dent(name, least, objects=name == "btf_fpfh")


def test_raw_scores_are_distances_to_thinned_training_points(good: list[PointCloud]) -> None:
    """With all training points in the memory, recomputed with SciPy from what the model file holds."""
    detector = fitted("btf_raw", good, memory=EVERYTHING)
    tensors = {name: value.double().numpy() for name, value in detector._tensors().items()}  # type: ignore[attr-defined]
    np.testing.assert_array_equal(tensors["features"], tensors["places"])
    everything = np.concatenate([one.points for one in good])
    middle, radius = (everything.min(axis=0) + everything.max(axis=0)) / 2, 1.0
    radius = np.linalg.norm(everything - middle, axis=1).max()
    assert cKDTree((everything - middle) / radius).query(tensors["places"])[0].max() < 1e-6
    cloud = part(9, dent=6)
    expected = cKDTree(tensors["places"]).query((cloud.points - middle) / radius)[0]
    scores = detector.score(cloud)
    # Points that thinning keeps carry their own distance, the others a mean of distances nearby.
    own = np.isclose(scores.point_scores, expected, rtol=1e-3, atol=1e-6)
    assert 0.5 < own.mean() < 0.75
    assert scores.object_score == pytest.approx(expected[own].max(), rel=1e-4)
    assert np.abs(scores.point_scores - expected).mean() < 0.3 * expected.mean()


def test_fpfh_scores_are_feature_distances(good: list[PointCloud]) -> None:
    detector = fitted("btf_fpfh", good, memory=EVERYTHING)
    points = detector.class_frame.place(part(9, dent=6)).points  # type: ignore[attr-defined]
    described = detector._describe(detector._thin(points))  # type: ignore[attr-defined]
    memory = detector._tensors()["features"].double().numpy()  # type: ignore[attr-defined]
    expected = cdist(described.features.double().numpy(), memory).min(axis=1)
    scores = detector.score(part(9, dent=6))
    assert scores.object_score == pytest.approx(expected.max(), rel=1e-6)
    at_places = scores.point_scores[cKDTree(points).query(described.in_frame)[1]]
    np.testing.assert_allclose(at_places, expected, rtol=1e-4, atol=1e-3)


def test_a_coreset_of_coordinates_covers_the_part(good: list[PointCloud]) -> None:
    detector = fitted("btf_raw", good, memory={"coreset": 0.1})
    places = detector._tensors()["places"]  # type: ignore[attr-defined]
    whole = fitted("btf_raw", good, memory={"coreset": 1.0})._tensors()["places"]  # type: ignore[attr-defined]
    assert len(places) == int(np.ceil(0.1 * len(whole)))
    assert torch.cdist(whole, places).amin(dim=1).max() < 0.25


def test_raw_coordinates_need_registration_and_fpfh_does_not(good: list[PointCloud]) -> None:
    turned = part(9).transformed(motion(70, (0.0, 0.0, 0.0)))
    raw, shape = fitted("btf_raw", good), fitted("btf_fpfh", good)
    assert raw.score(turned).object_score > 2 * raw.score(part(9)).object_score
    assert shape.score(turned).point_scores.mean() < 1.3 * shape.score(part(9)).point_scores.mean()


def test_registration_undoes_the_pose(good: list[PointCloud]) -> None:
    detector = create("btf_raw", tiny("btf_raw", registration={"method": "icp"}))
    detector.fit(good)
    here, there = detector.score(part(9)), detector.score(part(9).transformed(motion(4, (300.0, -20.0, 5.0))))
    assert there.alignment is not None
    assert there.alignment.method == "icp"
    assert there.object_score == pytest.approx(here.object_score, rel=0.3)
