"""Scans with repeated and stray points get the scores of the scans without them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_parts import part, tiny
from written_results import written_result

from dusnet.cloud import PointCloud
from dusnet.detectors import Detector, create
from dusnet.detectors.settings import Settings
from dusnet.inspection.calibration import calibrate
from dusnet.io import read_scalars

FAR = np.array([[500.0, -80.0, 30.0], [-40.0, 900.0, 3.0]])


@pytest.fixture(scope="module")
def guided(good: list[PointCloud]) -> Detector:
    detector = create("dusnet", Settings.model_validate({"registration": {"method": "icp"}}))
    detector.fit(good)
    return detector


@pytest.mark.parametrize("kind", ["nearest", "guided"])
def test_a_doubled_scan_has_the_scores_of_the_scan(kind: str, request: pytest.FixtureRequest) -> None:
    detector = request.getfixturevalue(kind)
    scan = part(9, dent=6)
    once = detector.score(scan)
    twice = detector.score(PointCloud(np.repeat(scan.points, 2, axis=0)))
    assert twice.object_score == once.object_score
    np.testing.assert_array_equal(twice.point_scores, np.repeat(once.point_scores, 2))
    np.testing.assert_array_equal(twice.deviation, np.repeat(once.deviation, 2))
    assert twice.stray is None
    assert "1200 points repeat another point and are left out." in twice.warnings


@pytest.mark.parametrize("kind", ["nearest", "guided"])
def test_stray_points_change_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    detector = request.getfixturevalue(kind)
    scan = part(9)
    without = detector.score(scan)
    scores = detector.score(PointCloud(np.insert(scan.points, [0, 700], FAR, axis=0)))
    assert scores.object_score == without.object_score
    assert np.flatnonzero(scores.stray).tolist() == [0, 701]
    np.testing.assert_array_equal(scores.point_scores[~scores.stray], without.point_scores)
    assert (scores.point_scores[scores.stray] == 0).all()
    assert not any("unit" in warning for warning in scores.warnings)
    np.testing.assert_array_equal(scores.reconstruction, without.reconstruction)


def test_a_model_of_doubled_scans_with_stray_points_is_the_model_of_the_scans(good: list[PointCloud]) -> None:
    odd = [PointCloud(np.concatenate([np.repeat(one.points, 2, axis=0), FAR])) for one in good]
    clean, dirty = create("nearest", tiny("nearest")), create("nearest", tiny("nearest"))
    clean.fit(good)
    dirty.fit(odd)
    scan = part(9, dent=6)
    np.testing.assert_array_equal(dirty.score(scan).point_scores, clean.score(scan).point_scores)
    assert calibrate(dirty, odd).good == calibrate(clean, good).good


def test_a_scan_of_thousands_of_points_of_which_few_differ_ends(guided: Detector) -> None:
    few = part(9, points=1500).points
    for points in (np.concatenate([few, np.tile(few[:1], (9000, 1))]), np.tile(few, (7, 1))):
        scores = guided.score(PointCloud(points))
        assert np.isfinite(scores.point_scores).all()
        assert scores.object_score == guided.score(PointCloud(few)).object_score


def test_result_files_show_stray_points(nearest: Detector, tmp_path: Path) -> None:
    scan = PointCloud(np.concatenate([part(9).points, FAR]))
    scores = nearest.score(scan)
    result = written_result(tmp_path, scan, scores, sha256="0" * 64, unit="mm", stem="part")
    record = json.loads(result.json_path.read_text())
    assert record["stray_points"] == 2
    assert any(text.startswith("2 stray points lie far") for text in record["warnings"])
    cloud, scalars = read_scalars(result.scored_path)
    assert np.flatnonzero(scalars["stray"]).tolist() == [1200, 1201]
    assert (cloud.colors[-2:] == 128).all()
    assert len(cloud) == len(scan)
