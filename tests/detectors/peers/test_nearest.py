"""The trivial reference, recomputed with SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial import cKDTree
from small_parts import part, tiny

from dusnet.cloud import PointCloud
from dusnet.detectors import Detector, create


def test_scores_are_smoothed_distances_to_the_training_points(nearest: Detector, good: list[PointCloud]) -> None:
    cloud = part(9, dent=6)
    memory = np.concatenate([one.points for one in good])
    middle = (memory.min(axis=0) + memory.max(axis=0)) / 2
    scale = np.linalg.norm(memory - middle, axis=1).max()
    distances = cKDTree(memory).query(cloud.points)[0]
    _, around = cKDTree(cloud.points).query(cloud.points, k=8)
    expected = (distances / scale)[around].mean(axis=1)
    scores = nearest.score(cloud)
    np.testing.assert_allclose(scores.point_scores, expected, rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(scores.distances, distances, rtol=2e-4, atol=1e-4)
    top = np.sort(expected)[-math.ceil(0.002 * len(expected)) :]
    assert scores.object_score == pytest.approx(top.mean(), rel=1e-4)
    assert scores.reconstruction is None


def test_permuted_points_get_permuted_scores(nearest: Detector) -> None:
    cloud = part(9, dent=6)
    order = np.random.default_rng(0).permutation(len(cloud))
    straight, permuted = nearest.score(cloud), nearest.score(cloud.select(order))
    np.testing.assert_array_equal(permuted.point_scores, straight.point_scores[order])
    assert permuted.object_score == pytest.approx(straight.object_score, rel=1e-6)


def test_a_training_scan_scores_zero(good: list[PointCloud]) -> None:
    detector = create("nearest", tiny("nearest"))
    detector.fit(good)
    assert detector.score(good[1]).object_score == 0


def test_smoothing_one_and_pooling_max_are_the_bare_distances(good: list[PointCloud]) -> None:
    detector = create("nearest", tiny("nearest", scoring={"smoothing": 1, "pooling": "max"}))
    detector.fit(good)
    scores = detector.score(part(9))
    assert scores.object_score == pytest.approx(float(scores.point_scores.max()))
    assert scores.distances is not None
    ratio = scores.distances / scores.point_scores
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


def test_a_tiny_scan_is_smoothed_over_what_there_is(nearest: Detector) -> None:
    scores = nearest.score(part(9, points=16))
    assert scores.point_scores.shape == (16,)
