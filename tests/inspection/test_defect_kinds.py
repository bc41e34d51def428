"""What defects look like, on a plate whose bumps, dents, holes and breaks are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dusnet.detectors.base import Scores
from dusnet.inspection.defects import find_defects, pieces
from dusnet.inspection.regions import DefectKind

STEP = 0.5
LENGTH = 100.0
"""What a point score of 1 stands for."""


def plate() -> np.ndarray:
    """A plate of 60 x 40 mm, points every half millimetre."""
    x, y = np.meshgrid(np.arange(0, 60, STEP), np.arange(0, 40, STEP), indexing="ij")
    return np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])


def near(points: np.ndarray, center: tuple[float, float], radius: float) -> np.ndarray:
    return np.linalg.norm(points[:, :2] - center, axis=1) <= radius


def answer(deviation: np.ndarray, scores: np.ndarray | None = None, **changes) -> Scores:
    values = np.abs(deviation) / LENGTH if scores is None else scores
    return replace(
        Scores(
            values.astype(np.float32),
            float(values.max()),
            deviation=deviation.astype(np.float32),
            score_length=LENGTH,
            point_threshold=0.004,
        ),
        **changes,
    )


@pytest.mark.parametrize(("height", "kind"), [(1.5, DefectKind.PROTRUSION), (-1.5, DefectKind.DEPRESSION)])
def test_a_bump_is_a_protrusion_and_a_dent_a_depression(height: float, kind: DefectKind) -> None:
    points = plate()
    inside = near(points, (20, 15), 4)
    (defect,) = find_defects(points, answer(np.where(inside, height, 0.0)))
    assert defect.kind is kind
    assert defect.peak_deviation == pytest.approx(height)
    assert defect.mean_deviation == pytest.approx(height)
    np.testing.assert_allclose(defect.center, (20, 15, 0), atol=0.3)
    np.testing.assert_allclose(defect.size[:2], 8, atol=0.6)


def test_a_wave_is_a_deformation_and_so_is_what_reaches_over_half_of_the_part() -> None:
    points = plate()
    inside = near(points, (30, 20), 8)
    wave = np.where(inside, np.where(points[:, 0] > 30, 1.0, -1.0), 0.0)
    (waved,) = find_defects(points, answer(wave))
    assert waved.kind is DefectKind.DEFORMATION
    (bent,) = find_defects(points, answer(np.where(points[:, 0] > 10, 1.0, 0.0)))
    assert bent.kind is DefectKind.DEFORMATION


def test_a_hole_is_reported_where_the_material_is_missing() -> None:
    """The points around a hole of 6 mm lie where they should; places farther than 1 mm from any point are missing."""
    whole = plate()
    hole = near(whole, (30, 20), 6)
    points, missing = whole[~hole], whole[near(whole, (30, 20), 5)]
    rim = near(points, (30, 20), 8)
    scores = np.where(rim, 0.05, 0.0)
    (defect,) = find_defects(points, answer(np.zeros(len(points)), scores, missing=missing, places=whole))
    assert defect.kind is DefectKind.MISSING_MATERIAL
    np.testing.assert_allclose(defect.center, (30, 20, 0), atol=0.1)
    np.testing.assert_allclose(defect.size[:2], 12, atol=2 * STEP)
    assert defect.area == pytest.approx(np.pi * 36, rel=0.1)
    assert defect.gap == pytest.approx(6, abs=0.6)
    assert (defect.peak_deviation, defect.mean_deviation) == (None, None)
    assert defect.point_count == rim.sum()


@pytest.mark.parametrize(("one", "other"), [(8, 8), (6, 12)])
def test_holes_with_one_rim_between_them_are_two(one: float, other: float) -> None:
    whole = plate()
    holes = [((17, 20), one), ((17 + one + other + 4, 20), other)]
    gone = np.any([near(whole, center, radius) for center, radius in holes], axis=0)
    missing = whole[np.any([near(whole, center, radius - 1) for center, radius in holes], axis=0)]
    points = whole[~gone]
    rim = np.any([near(points, center, radius + 3) for center, radius in holes], axis=0)
    scores = answer(np.zeros(len(points)), np.where(rim, 0.05, 0.0), missing=missing, places=whole)
    found = find_defects(points, scores)
    assert [defect.kind for defect in found] == [DefectKind.MISSING_MATERIAL] * 2
    by_place = sorted(found, key=lambda defect: defect.center[0])
    for defect, (center, radius) in zip(by_place, holes, strict=True):
        np.testing.assert_allclose(defect.center, (*center, 0), atol=0.1)
        np.testing.assert_allclose(defect.size[:2], 2 * radius, atol=2 * STEP)
        assert defect.area == pytest.approx(np.pi * radius**2, rel=0.1)
    assert sum(defect.point_count for defect in found) == rim.sum()


def test_bare_places_under_a_bump_or_at_the_bottom_of_a_dent_are_not_missing() -> None:
    points = plate()
    inside, bare = near(points, (20, 20), 6), points[near(points, (20, 20), 2)]
    for height, kind in ((4.0, DefectKind.PROTRUSION), (-4.0, DefectKind.DEPRESSION)):
        moved = points + np.where(inside[:, None], (0, 0, height), 0.0)
        (defect,) = find_defects(moved, answer(np.where(inside, height, 0.0), missing=bare))
        assert defect.kind is kind


def test_a_break_that_bares_most_of_its_surroundings_is_missing_material() -> None:
    points = plate()
    depth = np.clip(points[:, 0] - 48, 0, None)
    moved = points - depth[:, None] * (0, 0, 1)
    scores = answer(-depth, missing=points[depth > 2])
    (defect,) = find_defects(moved, scores)
    assert defect.kind is DefectKind.MISSING_MATERIAL


def test_a_slit_without_missing_places_is_told_by_points_that_did_not_move() -> None:
    points = plate()
    beside = np.abs(points[:, 1] - 20) < 1
    (defect,) = find_defects(points, answer(np.zeros(len(points)), np.where(beside, 0.02, 0.0)))
    assert defect.kind is DefectKind.MISSING_MATERIAL


def test_missing_places_that_no_score_speaks_for_are_not_listed() -> None:
    points = plate()
    assert find_defects(points, answer(np.zeros(len(points)), missing=np.add(points[:50], (0, 0, 30)))) == []


def test_the_worst_comes_first_and_without_deviations_there_is_no_kind() -> None:
    points = plate()
    deviation = np.where(near(points, (10, 10), 3), 1.0, 0.0) + np.where(near(points, (45, 30), 5), -2.0, 0.0)
    first, second = find_defects(points, answer(deviation))
    assert (first.kind, second.kind) == (DefectKind.DEPRESSION, DefectKind.PROTRUSION)
    assert first.severity > second.severity
    unknown = find_defects(points, replace(answer(deviation), deviation=None))
    assert [one.kind for one in unknown] == [None, None]


def test_pieces_that_lie_apart_are_apart_and_specks_are_dropped() -> None:
    points = plate()
    one, other, speck = points[:40], np.add(points[:60], (0, 0, 40)), np.array([[200.0, 0, 0], [200.5, 0, 0]])
    found = pieces(np.concatenate([one, other, speck]))
    assert sorted(len(piece) for piece in found) == [40, 60]
    assert pieces(None) == pieces(np.zeros((0, 3))) == []


def test_axes_are_those_of_the_size() -> None:
    """A bar of 20 x 4 mm, turned by 30 degrees in the plane."""
    points = plate()
    along = np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)])
    place = points[:, :2] - (30, 20)
    bar = (np.abs(place @ along) <= 10) & (np.abs(place @ [-along[1], along[0]]) <= 2)
    (defect,) = find_defects(points, answer(np.where(bar, 1.0, 0.0)))
    np.testing.assert_allclose(np.abs(defect.axes[0] @ [*along, 0.0]), 1.0, atol=1e-3)
    np.testing.assert_allclose(defect.size, (20, 4, 0), atol=0.8)
    np.testing.assert_allclose(defect.axes @ defect.axes.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(defect.axes) == pytest.approx(1.0)
