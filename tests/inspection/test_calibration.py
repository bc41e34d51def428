"""Thresholds of simulated good scans against fresh ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
from egg_parts import egg

from dusnet.config import Settings
from dusnet.detectors import create
from dusnet.detectors.base import Calibration, Scores
from dusnet.inspection.calibration import calibrate


def tiny(detector, replicas):
    stage = {"steps": 1, "batch": 1}
    return Settings.model_validate(
        {
            "detector": detector,
            "registration": {"method": "none"},
            "guide": {"enabled": False},
            "grouping": {"groups": 32, "neighbors": 16, "stride": 2},
            "down_net": {"patch_widths": (16, 16, 16), "width": 16, "layers": 0, "heads": 2, "fourier_octaves": 2},
            "up_net": {"gamma": 2, "neighbors": 4, "widths": (16, 16)},
            "training": {"down": stage, "up": stage, "points": 600},
            "scoring": {"smoothing": 8},
            "calibration": {"replicas": replicas},
        }
    )


class TestCalibrate:
    def test_one_training_scan_is_enough_for_scores_like_those_of_fresh_scans(self):
        training = egg(0)
        detector = create("dusnet", tiny("dusnet", 4))
        detector.fit([training])
        made = calibrate(detector, [training])
        fresh = [detector.score(egg(seed)).object_score for seed in range(20, 24)]
        assert len(made.object_scores) == 4
        assert "shape variation 0" in made.source
        assert 0.5 < np.median(made.object_scores) / np.median(fresh) < 2
        assert max(fresh) / 2 < min(made.object_scores)
        assert max(made.object_scores) < 2 * min(fresh)

    def test_points_of_the_training_scan_score_zero_and_simulated_ones_do_not(self):
        """The reference detector measures the distance to the training points themselves."""
        training = egg(0)
        detector = create("nearest", tiny("nearest", 3))
        detector.fit([training])
        assert detector.score(training).object_score == 0
        fresh = detector.score(egg(20)).object_score
        assert min(calibrate(detector, [training]).object_scores) > 0.3 * fresh

    def test_the_seed_decides(self):
        detector = create("nearest", tiny("nearest", 2))
        detector.fit([egg(0), egg(1)])
        one, same, other = (calibrate(detector, [egg(0), egg(1)], seed=seed) for seed in (0, 0, 1))
        assert one == same != other
        assert one.object_scores == tuple(sorted(one.object_scores))
        assert len(one.object_scores) == 4

    def test_every_training_scan_is_scored_by_a_detector_of_the_others(self):
        clouds = [egg(seed) for seed in range(4)]
        detector = create("nearest", tiny("nearest", 2))
        detector.fit(clouds)
        made = calibrate(detector, clouds)
        expected = []
        for left in range(4):
            other = create("nearest", tiny("nearest", 2))
            other.fit([cloud for index, cloud in enumerate(clouds) if index != left])
            expected.append(other.score(clouds[left]).object_score)
        assert made.left_out == pytest.approx(sorted(expected), rel=1e-3)
        assert len(made.object_scores) == 8 + 4
        assert "4 training scans" in made.source
        simulated = sorted(set(made.object_scores) - set(made.left_out))
        assert np.median(simulated) == pytest.approx(max(made.left_out)), "real scans tell how high scores are"
        assert min(made.left_out) > 0, "a detector of all of them finds every point of theirs"

    def test_slow_detectors_and_few_scans_are_only_simulated(self):
        for name, count in (("dusnet", 3), ("nearest", 2)):
            clouds = [egg(seed) for seed in range(count)]
            detector = create(name, tiny(name, 1))
            detector.fit(clouds)
            made = calibrate(detector, clouds)
            assert (len(made.object_scores), made.left_out) == (count, ())

    def test_what_other_training_scans_leave_out_is_left_out_of_simulated_ones(self):
        """Of three scans two show the right half only: of twelve simulated scans of the whole one some do, too."""
        right = [cloud.select(cloud.points[:, 0] > 0) for cloud in (egg(1), egg(2))]
        lowest = []

        class Watched:
            name, settings, seed, device, frames = "nearest", tiny("nearest", 12), 0, "cpu", None
            fits_in_seconds = False

            def score(self, cloud, *, explain):
                assert not explain
                lowest.append(float(cloud.points[:, 0].min()))
                return Scores(np.zeros(len(cloud), np.float32), 0.0)

        calibrate(Watched(), [egg(0), *right])
        of_the_whole = np.array(lowest[3:15])  # the first three are the alignment of the training scans
        assert 1 <= (of_the_whole < -25).sum() < 12
        assert ((of_the_whole < -25) | (of_the_whole > -15)).all()


class TestAddedScans:
    def test_they_decide_alone_once_they_are_enough(self):
        made = Calibration((1.0, 2.0, 3.0), (0.1, 0.2, 0.3), "simulated")
        few = made.with_scans([answer(9.0)], "one")
        assert (few.threshold(0.3), few.basis(0.3)) == (9.0, (1.0, 2.0, 3.0, 9.0))
        enough = few.with_scans([answer(5.0), answer(7.0)], "two")
        assert enough.basis(0.3) == enough.added == (5.0, 7.0, 9.0)
        assert enough.threshold(0.3) == 9.0
        assert enough.threshold(0.5) == 7.0
        assert enough.source == "simulated; one; two"
        assert enough.provenance(0.5)["good_scans"] == {"simulated": 0, "left_out": 0, "added": 3}
        assert few.provenance(0.3)["good_scans"] == {"simulated": 3, "left_out": 0, "added": 1}
        assert Calibration.from_json(json.loads(json.dumps(enough.to_json()))) == enough


def answer(score):
    return Scores(np.linspace(0, score, 1001, dtype=np.float32), score)
