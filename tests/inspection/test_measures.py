"""Measures of defects beside worked examples: a plane with a dent in the shape of a spherical cap, and holes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dusnet.detectors.base import Scores
from dusnet.inspection.defects import find_defects
from dusnet.inspection.own_limits import OwnLimits
from dusnet.inspection.regions import DefectKind, Region

LENGTH = 100.0
"""What a point score of 1 stands for."""
NOISE = 0.03
DEPTH, RADIUS = 1.5, 10.0
"""Of the dent of the examples: 1.5 mm deep and 20 mm wide."""
CENTER = np.array([32.0, 27.0, 0.0])


def plane(count: int = 12_000, seed: int = 0) -> np.ndarray:
    """A plane of 60 x 60 mm, scattered points, half a millimetre apart."""
    return np.column_stack([np.random.default_rng(seed).uniform(0, 60, (count, 2)), np.zeros(count)])


def cap(points: np.ndarray, depth: float = DEPTH) -> np.ndarray:
    """Depth of the dent below each point of the plane: a sphere dips `depth` below it."""
    sphere = (RADIUS**2 + depth**2) / (2 * depth)
    across = np.linalg.norm((points - CENTER)[:, :2], axis=1)
    return np.where(across < RADIUS, np.sqrt(np.maximum(sphere**2 - across**2, 0.0)) - (sphere - depth), 0.0)


def cap_volume(depth: float = DEPTH) -> float:
    return np.pi * depth * (3 * RADIUS**2 + depth**2) / 6


def visible_area(depth: float = DEPTH) -> float:
    """Area of the plane where the dent is deeper than a tenth of its depth."""
    sphere = (RADIUS**2 + depth**2) / (2 * depth)
    return np.pi * (sphere**2 - (sphere - 0.9 * depth) ** 2)


def answer(points: np.ndarray, deviation: np.ndarray, **changes) -> tuple[np.ndarray, Scores]:
    """A scan with a deviation upwards, and what a detector says of it; scores are those of the neighbourhood."""
    scores = np.abs(deviation) / LENGTH
    moved = points + deviation[:, None] * (0.0, 0.0, 1.0)
    known = Scores(
        scores.astype(np.float32),
        float(scores.max()),
        deviation=deviation.astype(np.float32),
        feet=points,
        score_length=LENGTH,
        point_threshold=0.003,
        is_anomalous=True,
    )
    return moved, replace(known, **changes)


def worst(points: np.ndarray, scores: Scores) -> Region:
    return find_defects(points, scores)[0]


def noisy(points: np.ndarray, sign: float, seed: int = 3) -> np.ndarray:
    return sign * cap(points) + np.random.default_rng(seed).normal(scale=NOISE, size=len(points))


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("count", [1500, 12_000, 40_000])
def test_a_cap_has_its_depth_area_volume_and_place_at_every_density(sign: float, count: int) -> None:
    points = plane(count)
    defect = worst(*answer(points, noisy(points, sign)))
    assert defect.kind is (DefectKind.PROTRUSION if sign > 0 else DefectKind.DEPRESSION)
    assert defect.peak_deviation == pytest.approx(sign * DEPTH, rel=0.05)
    assert defect.area == pytest.approx(visible_area(), rel=0.12 if count == 1500 else 0.06)
    assert defect.volume == pytest.approx(sign * cap_volume(), rel=0.06)
    spacing = 60.0 / np.sqrt(count)
    np.testing.assert_allclose(defect.center[:2], CENTER[:2], atol=0.5 * spacing)
    np.testing.assert_allclose(defect.size[:2], 2 * RADIUS, atol=1.5 + 2 * spacing)


def test_a_stray_point_decides_nothing() -> None:
    points = plane()
    deviation = noisy(points, -1.0)
    before = worst(*answer(points, deviation))
    deviation[np.argmax(cap(points))] = -4.7
    with_stray = worst(*answer(points, deviation))
    assert with_stray.peak_deviation == pytest.approx(before.peak_deviation, rel=0.01)
    assert with_stray.area == pytest.approx(before.area, rel=0.01)


def test_area_and_volume_are_those_of_the_good_surface_whatever_the_scores_reach() -> None:
    """Scores that are smoothed reach past the dent; those of another detector only its middle."""
    points = plane()
    deviation = noisy(points, -1.0)
    across = np.linalg.norm((points - CENTER)[:, :2], axis=1)
    for reach in (0.6 * RADIUS, 1.5 * RADIUS):
        scores = np.where(across < reach, 0.01, 0.0).astype(np.float32)
        defect = worst(*answer(points, deviation, point_scores=scores, object_score=0.01))
        assert defect.area == pytest.approx(visible_area(), rel=0.08)
        assert defect.peak_deviation == pytest.approx(-DEPTH, rel=0.05)
        assert defect.point_count == np.count_nonzero(scores)


def test_what_a_good_part_is_off_around_the_defect_is_no_part_of_its_depth() -> None:
    points = plane()
    off = 0.1 * np.exp(-np.square(np.linalg.norm(points - CENTER, axis=1) / 25.0))
    defect = worst(*answer(points, noisy(points, -1.0) - off))
    assert defect.peak_deviation == pytest.approx(-DEPTH, rel=0.05)
    assert defect.area == pytest.approx(visible_area(), rel=0.1)


def test_a_steep_bulge_covers_the_good_surface_below_it() -> None:
    """Its own surface is 1.6 times as large."""
    points = plane()
    across = np.linalg.norm((points - CENTER)[:, :2], axis=1)
    deviation = 12.0 * np.square(np.maximum(1 - np.square(across / RADIUS), 0.0))
    defect = worst(*answer(points, deviation))
    assert defect.area == pytest.approx(np.pi * RADIUS**2 * (1 - np.sqrt(0.1)), rel=0.05)
    assert defect.volume == pytest.approx(np.pi * RADIUS**2 * 12.0 / 3, rel=0.05)


def test_pieces_of_one_dent_are_one_defect() -> None:
    points = plane()
    deviation = noisy(points, -1.0)
    seen = np.abs(points[:, 0] - CENTER[0]) > 2.0
    scores = np.where((cap(points) > 0.5) & seen, 0.02, 0.0).astype(np.float32)
    found = find_defects(*answer(points, deviation, point_scores=scores, object_score=0.02))
    assert [region.point_count for region in found] == [np.count_nonzero(scores)]
    assert found[0].area == pytest.approx(visible_area(), rel=0.08)


def test_a_deformation_counts_both_sides() -> None:
    points = plane()
    across = np.linalg.norm((points - CENTER)[:, :2], axis=1)
    wave = np.where(across < RADIUS, np.where(points[:, 0] > CENTER[0], 1.0, -1.0), 0.0)
    defect = worst(*answer(points, wave))
    assert defect.kind is DefectKind.DEFORMATION
    assert defect.area == pytest.approx(np.pi * RADIUS**2, rel=0.05)
    assert abs(defect.peak_deviation) == pytest.approx(1.0, rel=0.02)
    assert defect.volume == pytest.approx(0.0, abs=0.05 * np.pi * RADIUS**2)


@pytest.mark.parametrize("even", [False, True])
def test_a_hole_has_the_area_of_the_surface_that_is_gone(even: bool) -> None:
    points = plane(6000)
    if even:
        x, y = np.meshgrid(np.arange(0, 60, 0.8), np.arange(0, 60, 0.8), indexing="ij")
        points = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])
    good = plane(24_000, seed=9)
    across = np.linalg.norm((points - CENTER)[:, :2], axis=1)
    scan = points[across > RADIUS]
    rim = np.where(across[across > RADIUS] < RADIUS + 2.0, 0.05, 0.0).astype(np.float32)
    missing = good[np.linalg.norm((good - CENTER)[:, :2], axis=1) < RADIUS - 1.5]
    scores = answer(scan, np.zeros(len(scan)), point_scores=rim, object_score=0.05, missing=missing, places=good)[1]
    defect = worst(scan, scores)
    assert defect.kind is DefectKind.MISSING_MATERIAL
    assert defect.area == pytest.approx(np.pi * RADIUS**2, rel=0.08)
    assert defect.gap == pytest.approx(RADIUS, rel=0.06)
    assert (defect.peak_deviation, defect.volume) == (None, None)
    np.testing.assert_allclose(defect.center[:2], CENTER[:2], atol=0.4)


def test_a_limit_of_the_users_own_holds_for_the_measured_depth() -> None:
    points = plane()
    moved, scores = answer(points, noisy(points, -1.0), is_anomalous=False, point_threshold=1.0)
    (defect,) = find_defects(moved, scores, OwnLimits(deviation=0.8))
    assert defect.peak_deviation == pytest.approx(-DEPTH, rel=0.05)
    assert defect.area == pytest.approx(visible_area(), rel=0.08)
    assert find_defects(moved, scores, OwnLimits(deviation=1.1 * DEPTH)) == []
