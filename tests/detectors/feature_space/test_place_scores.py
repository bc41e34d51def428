"""Values at places become scores of points: between places, smoothed, and carried to the rim of what is missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from dusnet.detectors.feature_space.openings import Openings
from dusnet.detectors.feature_space.place_scores import BARE, LEAST_SHOWN, at_points
from dusnet.detectors.feature_space.places import RIM, View
from dusnet.geometry.coverage import Coverage
from dusnet.ops import PointIndex


def square(count: int, seed: int) -> np.ndarray:
    return np.column_stack([np.random.default_rng(seed).uniform(size=(count, 2)), np.zeros(count)])


def scored(
    values: np.ndarray,
    places: np.ndarray,
    cloud: np.ndarray,
    *,
    smoothing: int = 1,
    shown: torch.Tensor | None = None,
    whole: bool = True,
) -> np.ndarray:
    at = torch.from_numpy(places).float()
    points = torch.from_numpy(cloud).float()
    nowhere = torch.zeros(len(places), dtype=torch.bool)
    openings = Openings(cloud, Coverage.of(points, at), nowhere, torch.ones(len(places), 1))
    view = View(cloud, at, ~nowhere if shown is None else shown, whole, openings)
    around = torch.from_numpy(cKDTree(places).query(places, k=RIM)[1])
    found = at_points(torch.from_numpy(values).float(), at, around, view, PointIndex(points[None]), smoothing=smoothing)
    return found.double().numpy()


def test_against_loops_in_float64() -> None:
    places, cloud = square(150, 0), square(900, 1)
    cloud = cloud[np.linalg.norm(cloud[:, :2] - 0.5, axis=1) > 0.2]
    values = np.random.default_rng(2).uniform(size=150)
    near, index = cKDTree(places).query(cloud, k=3)
    weight = 1 / near
    between = (values[index] * weight).sum(axis=1) / weight.sum(axis=1)
    expected = between[cKDTree(cloud).query(cloud, k=5)[1]].mean(axis=1)
    distance, rim = cKDTree(cloud).query(places, k=RIM)
    carried = values[cKDTree(places).query(places, k=RIM)[1]].mean(axis=1)
    bare = distance[:, 0] > BARE * np.median(distance[:, 0])
    assert 10 < bare.sum() < 50
    for place in np.flatnonzero(bare):
        expected[rim[place]] = np.maximum(expected[rim[place]], carried[place])
    np.testing.assert_allclose(scored(values, places, cloud, smoothing=5), expected, rtol=2e-3)


def test_what_is_missing_marks_its_rim_and_nothing_else() -> None:
    places, cloud = square(400, 0), square(4000, 1)
    away = np.linalg.norm(cloud[:, :2] - 0.5, axis=1)
    cloud, away = cloud[away > 0.15], away[away > 0.15]
    values = (np.linalg.norm(places[:, :2] - 0.5, axis=1) < 0.1).astype(float)
    scores = scored(values, places, cloud)
    assert scores[away < 0.17].max() > 0.7  # .98, deviation .06 over five seeds
    assert (scores[away > 0.25] < 0.2).all()


def test_in_a_view_of_one_side_a_bare_place_is_only_hidden() -> None:
    places, cloud = square(400, 0), square(4000, 1)
    cloud = cloud[np.linalg.norm(cloud[:, :2] - 0.5, axis=1) > 0.15]
    values = (np.linalg.norm(places[:, :2] - 0.5, axis=1) < 0.05).astype(float)
    assert scored(values, places, cloud).max() > 0.3
    assert scored(values, places, cloud, whole=False).max() < 0.1


def test_places_that_are_not_shown_count_only_where_there_are_too_few_others() -> None:
    places, cloud = square(50, 0), square(500, 1)
    values = np.where(np.arange(50) < 40, 0.0, 7.0)
    shown = torch.arange(50) < 40
    assert scored(values, places, cloud, shown=shown, whole=False).max() == pytest.approx(0.0)
    few = torch.arange(50) < LEAST_SHOWN - 1
    np.testing.assert_array_equal(scored(values, places, cloud, shown=few), scored(values, places, cloud))
