"""Detectors that share their registration answer with the same bits as detectors that do not, and report its time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_parts import motion, part, tiny

from dusnet.cloud import PointCloud
from dusnet.detectors import create
from dusnet.detectors.pose_cache import PoseCache
from dusnet.detectors.settings import Settings
from dusnet.inspection.calibration import calibrate
from dusnet.registration import Aligner

SETTINGS = tiny(registration={"method": "icp", "points": 500}, calibration={"replicas": 1})


@pytest.fixture
def alignments(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of points of the scans that an aligner has worked on; each takes at least 10 ms."""
    import time

    seen: list[int] = []
    honest = Aligner.align

    def align(self: Aligner, points: np.ndarray) -> object:
        seen.append(len(points))
        time.sleep(0.01)
        return honest(self, points)

    monkeypatch.setattr(Aligner, "align", align)
    return seen


def fitted(
    name: str, good: list[PointCloud], pose_cache: PoseCache | None, settings: Settings = SETTINGS, seed: int = 1
):
    detector = create(name, settings, seed=seed)
    detector.pose_cache = pose_cache
    detector.fit(good)
    return detector


@pytest.fixture
def turned(good: list[PointCloud]) -> list[PointCloud]:
    return [cloud.transformed(motion(4 * number, (number, 0, 0))) for number, cloud in enumerate(good)]


@pytest.mark.parametrize("name", ["nearest", "dusnet_paper"])
def test_the_second_detector_gives_the_same_bits_without_aligning(turned, alignments, tmp_path: Path, name: str):
    scan = part(9, dent=4.0).transformed(motion(5, (1.0, 2.0, 3.0)))
    alone = fitted(name, turned, None)
    alone.calibration = calibrate(alone, turned, seed=1)
    expected = alone.score(scan)
    pose_cache = PoseCache()
    first = fitted("nearest", turned, pose_cache)
    first.calibration = calibrate(first, turned, seed=1)
    first.score(scan)
    assert pose_cache.cached_seconds == 0.0
    alignments.clear()
    second = fitted(name, turned, pose_cache)
    second.calibration = calibrate(second, turned, seed=1)
    found = second.score(scan)
    # A slow detector is calibrated with simulated scans, which the other one has no use for.
    assert len(alignments) == (0 if second.fits_in_seconds else len(turned))
    np.testing.assert_array_equal(found.point_scores, expected.point_scores)
    np.testing.assert_array_equal(found.alignment.matrix, expected.alignment.matrix)
    assert found.object_score == expected.object_score
    assert found.unseen == expected.unseen
    assert found.warnings == expected.warnings
    assert second.calibration == alone.calibration
    alone.save(tmp_path / "alone.safetensors")
    second.save(tmp_path / "second.safetensors")
    assert json.dumps(alone.class_frame.metadata()) == json.dumps(second.class_frame.metadata())


def test_cached_seconds_time_is_reported_as_it_was_measured(turned, alignments):
    pose_cache = PoseCache()
    scan = part(9)
    first = fitted("nearest", turned, pose_cache).score(scan).timings
    # Three scans of 10 ms at least: two in training, and the test scan twice here.
    before = pose_cache.cached_seconds
    assert before == 0.0
    detector = fitted("nearest", turned, pose_cache)
    trained = pose_cache.cached_seconds
    assert trained >= 0.02
    again = detector.score(scan).timings
    assert pose_cache.cached_seconds - trained >= 0.01
    assert again["registration"] >= 0.01
    assert first["registration"] >= 0.01
    assert again["total"] >= again["registration"]
    assert alignments.count(len(scan)) >= 1


def test_other_settings_seeds_and_scans_are_not_mixed_up(turned, alignments):
    pose_cache = PoseCache()
    scan = part(9)
    fitted("nearest", turned, pose_cache).score(scan)
    for settings, seed, clouds in (
        (tiny(registration={"method": "none"}), 1, turned),
        (SETTINGS, 2, turned),
        (SETTINGS, 1, turned[::-1]),
    ):
        alignments.clear()
        fitted("nearest", clouds, pose_cache, settings, seed).score(scan)
        assert len(alignments) == 3
    assert pose_cache.cached_seconds == 0.0


def test_what_a_detector_does_to_its_clouds_stays_with_it(turned):
    pose_cache = PoseCache()
    _, clouds = pose_cache.learn(turned, SETTINGS.registration, seed=0, progress=_silent())
    before = clouds[0].copy()
    clouds[0][:] = 0.0
    _, again = pose_cache.learn(turned, SETTINGS.registration, seed=0, progress=_silent())
    np.testing.assert_array_equal(again[0], before)


def _silent():
    from dusnet.progress import Silent

    return Silent()
