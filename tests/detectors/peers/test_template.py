"""The template distance, recomputed with SciPy and NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from peer_checks import check_finds_the_dent, check_permutation, check_round_trip, fitted
from scipy.spatial import cKDTree
from small_parts import motion, part, tiny

from dusnet.cloud import PointCloud
from dusnet.detectors import Detector, create


@pytest.fixture(scope="module")
def template(good: list[PointCloud]) -> Detector:
    return fitted("template", good)


def test_scores_are_smoothed_distances_to_tangent_planes(template: Detector, good: list[PointCloud]) -> None:
    """Planes through 24 points by SVD, the mean over those of the six nearest that are of one face, all in float64."""
    cloud = part(9, dent=6)
    memory = np.concatenate([one.points for one in good])
    middle = (memory.min(axis=0) + memory.max(axis=0)) / 2
    scale = np.linalg.norm(memory - middle, axis=1).max()
    around = memory[cKDTree(memory).query(memory, k=24)[1]]
    normals = np.linalg.svd(around - around.mean(axis=1, keepdims=True))[2][:, 2]
    nearest = cKDTree(memory).query(cloud.points, k=6)[1]
    distances = np.empty(len(cloud))
    one_face = cKDTree(memory).query(memory[::2], k=2)[0][:, 1].mean()
    for row, index in enumerate(nearest):
        upright = [n if n @ normals[index[0]] > 0 else -n for n in normals[index]]
        across = np.array([(cloud.points[row] - p) @ n for p, n in zip(memory[index], upright, strict=True)])
        distances[row] = abs(across[np.abs(across - across[np.abs(across).argmin()]) < one_face].mean())
    expected = (distances / scale)[cKDTree(cloud.points).query(cloud.points, k=8)[1]].mean(axis=1)
    scores = template.score(cloud)
    np.testing.assert_allclose(scores.distances, distances, rtol=1e-3, atol=2e-3)  # mm
    np.testing.assert_allclose(scores.point_scores, expected, rtol=1e-3, atol=2e-5)
    top = np.sort(expected)[-math.ceil(0.002 * len(expected)) :]
    assert scores.object_score == pytest.approx(top.mean(), rel=1e-3)
    assert scores.reconstruction is None


def test_permuted_points_get_permuted_scores(template: Detector) -> None:
    check_permutation(template)


def test_a_loaded_model_gives_the_same_scores(template: Detector, tmp_path) -> None:
    check_round_trip(template, tmp_path)


def test_the_dent_is_where_the_scores_are_high() -> None:
    check_finds_the_dent("template", 0.95)


def test_smoothing_one_and_pooling_max_are_the_bare_distances(good: list[PointCloud]) -> None:
    detector = fitted("template", good, scoring={"smoothing": 1, "pooling": "max"})
    scores = detector.score(part(9, dent=3))
    assert scores.distances is not None
    assert scores.object_score == pytest.approx(float(scores.point_scores.max()))
    scale = detector.class_frame.frame.scale  # type: ignore[attr-defined]
    np.testing.assert_allclose(scores.distances, scores.point_scores * scale, rtol=1e-5)


def test_planes_do_not_depend_on_the_spacing_of_points_as_nearest_does(good: list[PointCloud]) -> None:
    template, nearest = (fitted(name, good).score(part(9)) for name in ("template", "nearest"))
    assert np.median(template.distances) < 0.4 * np.median(nearest.distances)


def test_registration_undoes_the_pose(good: list[PointCloud]) -> None:
    detector = create("template", tiny("template", registration={"method": "icp"}))
    detector.fit(good)
    here, there = detector.score(part(9)), detector.score(part(9).transformed(motion(4, (300.0, -20.0, 5.0))))
    assert there.object_score == pytest.approx(here.object_score, rel=0.15)
