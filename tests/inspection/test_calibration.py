"""Thresholds of simulated good scans against fresh ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from egg_parts import egg
from good_scores import limit_of
from scipy.spatial import cKDTree

from dusnet.cloud import Frame, PointCloud
from dusnet.detectors import create
from dusnet.detectors.base import Scores
from dusnet.detectors.settings import Settings
from dusnet.errors import BadInput
from dusnet.inspection.calibration import calibrate
from dusnet.inspection.small_defects import score_small_defects, with_small_defect
from dusnet.progress import Silent


def tiny(detector, replicas):
    stage = {"steps": 1, "batch": 1}
    return Settings.model_validate(
        {
            "detector": detector,
            "registration": {"method": "none"},
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
        detector = create("dusnet_paper", tiny("dusnet_paper", 4))
        detector.fit([training])
        made = calibrate(detector, [training])
        fresh = [detector.score(egg(seed), explain=False).object_score for seed in range(20, 24)]
        assert len(made.good.objects) == 4
        assert "shape variation 0" in made.source
        # .99, deviation .01 over five seeds and two kernels; of single scans .9 (.13) and 1.1 (.27).
        assert 0.8 < np.median(made.good.objects) / np.median(fresh) < 1.25
        assert max(fresh) / 3 < min(made.good.objects)
        assert max(made.good.objects) < 3 * min(fresh)

    def test_halves_of_a_single_scan_score_like_fresh_scans_at_half_the_density(self):
        training = egg(0)
        detector = create("nearest", tiny("nearest", 3))
        detector.fit([training])
        assert detector.score(training, explain=False).object_score == 0, "it finds its own points"
        made = calibrate(detector, [training])
        half = create("nearest", tiny("nearest", 3))
        half.fit([training.select(np.arange(len(training)) % 2 == 0)])
        fresh = [half.score(egg(seed, len(training) // 2), explain=False).object_score for seed in range(20, 25)]
        assert len(made.left_out) == 5
        assert "5 halves of the training scan" in made.source
        # .91 to 1.09 over four seeds
        assert 0.5 < np.median(made.left_out.objects) / np.median(fresh) < 2.0

    def test_halves_of_two_scans_score_like_fresh_scans_that_both_are_known_beside(self):
        """A model of one of them scores the other one half as high again."""
        clouds = [egg(0), egg(1)]
        detector = create("nearest", tiny("nearest", 3))
        detector.fit(clouds)
        made = calibrate(detector, clouds)
        fresh = [detector.score(egg(seed), explain=False).object_score for seed in range(20, 25)]
        assert len(made.left_out) == 6
        assert made.source == "6 halves of 2 training scans, each scored by a model of everything else"
        # .80 to 1.17 over six seeds
        assert 0.65 < np.median(made.left_out.objects) / np.median(fresh) < 1.35
        alone = create("nearest", tiny("nearest", 3))
        alone.fit(clouds[:1])
        # .58 to .76
        assert np.median(made.left_out.objects) < 0.85 * alone.score(clouds[1], explain=False).object_score

    def test_the_seed_decides(self):
        detector = create("dusnet_paper", tiny("dusnet_paper", 2))
        detector.fit([egg(0), egg(1)])
        one, same, other = (calibrate(detector, [egg(0), egg(1)], seed=seed) for seed in (0, 0, 1))
        assert one == same != other
        assert one.simulated.objects == tuple(sorted(one.simulated.objects))
        assert len(one.simulated) == 4

    def test_every_training_scan_is_scored_by_a_detector_of_the_others(self):
        clouds = [egg(seed) for seed in range(4)]
        detector = create("nearest", tiny("nearest", 2))
        detector.fit(clouds)
        made = calibrate(detector, clouds)
        expected = []
        for left in range(4):
            other = create("nearest", tiny("nearest", 2))
            other.fit([cloud for index, cloud in enumerate(clouds) if index != left])
            expected.append(other.score(clouds[left], explain=False).object_score)
        assert made.left_out.objects == pytest.approx(sorted(expected), rel=1e-3)
        assert made.simulated.objects == ()
        assert "4 training scans" in made.source
        assert min(made.left_out.objects) > 0, "a detector of all of them finds every point of theirs"

    def test_slow_detectors_are_only_simulated(self):
        clouds = [egg(seed) for seed in range(3)]
        detector = create("dusnet_paper", tiny("dusnet_paper", 1))
        detector.fit(clouds)
        made = calibrate(detector, clouds)
        assert (len(made.simulated), made.left_out.objects) == (3, ())

    def test_what_other_training_scans_leave_out_is_left_out_of_simulated_ones(self):
        """Of three scans two show the right half only: of thirty simulated scans of the whole one some do, too."""
        right = [cloud.select(cloud.points[:, 0] > 0) for cloud in (egg(1), egg(2))]
        lowest = []

        class Watched:
            name, settings, seed, device, frames = "nearest", tiny("nearest", 30), 0, "cpu", None
            fits_in_seconds = False

            def score(self, cloud, *, explain):
                assert not explain
                lowest.append(float(cloud.points[:, 0].min()))
                return Scores(np.zeros(len(cloud), np.float32), 0.0)

        calibrate(Watched(), [egg(0), *right])
        of_the_whole = np.array(lowest[3:33])  # the first three are the alignment of the training scans
        assert 1 <= (of_the_whole < -25).sum() < 30  # 10.6, deviation 1.7 over five seeds
        assert ((of_the_whole < -25) | (of_the_whole > -15)).all()


class TestOddScan:
    def test_a_scan_that_the_others_do_not_explain_is_named(self):
        clouds = [egg(0), egg(1), PointCloud(egg(2).points * [1, 1, 1.8], path=Path("odd.ply")), egg(3)]
        said = []

        class Listener(Silent):
            def log(self, message):
                said.append(message)

        detector = create("nearest", tiny("nearest", 1))
        detector.fit(clouds)
        calibrate(detector, clouds, progress=Listener())
        (line,) = [line for line in said if "differs" in line]
        assert line.startswith("odd.ply differs from the other training scans")
        said.clear()
        clouds = [egg(seed) for seed in range(4)]
        detector.fit(clouds)
        calibrate(detector, clouds, progress=Listener())
        assert said == []

    def test_a_scan_that_connects_the_others_can_not_be_left_out(self, monkeypatch):
        """Training goes on where the others do not fit each other without it."""
        clouds = [egg(seed) for seed in range(3)]
        detector = create("nearest", tiny("nearest", 1))
        detector.fit(clouds)
        fit = type(detector).fit

        def refusing(self, given, **more):
            if given[0] is not clouds[0] and len(given) == 2:
                raise BadInput("they do not fit")
            return fit(self, given, **more)

        monkeypatch.setattr(type(detector), "fit", refusing)
        monkeypatch.setattr("dusnet.inspection.calibration._aligned", lambda cloud, _: cloud)
        made = calibrate(detector, clouds)
        assert (len(made.left_out), len(made.simulated)) == (2, 0)


class Judge:
    """A detector whose score is how far the farthest patch is from an egg's surface, times a factor, and a rest."""

    name, seed, device, frames, fits_in_seconds = "judge", 0, "cpu", None, False

    def __init__(self, factor, rest):
        self.settings, self.factor, self.rest, self.asked = tiny("nearest", 8), factor, rest, 0

    def score(self, cloud, *, explain):
        assert not explain
        x, y, z = (cloud.points / [40.0, 32.0, 24.0]).T
        radius = np.linalg.norm([x, y, z], axis=0)
        x, y, z = x / radius, y / radius, z / radius
        off = radius / (1 + 0.25 * x + 0.15 * x * y + 0.1 * y * z) - 1
        self.asked += 1
        _, around = cKDTree(cloud.points).query(cloud.points, 40)  # the simulated noise must not decide
        score = self.factor * float(np.abs(off[around].mean(axis=1)).max()) + self.rest
        return Scores(np.zeros(len(cloud), np.float32), score)


class TestSmallDefects:
    def test_a_small_defect_is_two_percent_of_the_radius_high(self):
        rng = np.random.default_rng(0)
        cloud = egg(0, noise=0.0)
        heights = []
        for _ in range(20):
            damaged = with_small_defect(cloud, rng)
            moved = np.linalg.norm(damaged.points - cloud.points, axis=1)
            assert (moved > 0.2).mean() < 0.1  # at most .033 in five times twenty draws
            heights.append(moved.max())
        radius = Frame.of(cloud.points).scale
        assert max(heights) == pytest.approx(0.02 * radius, rel=0.02)
        assert min(heights) > 0.01 * radius
        assert with_small_defect(egg(0, 100), rng) is None

    def test_one_that_exceeds_the_highest_threshold_is_enough(self):
        judge, cloud = Judge(1.0, 0.0), egg(0, 2000, noise=0.02)
        clean = judge.score(cloud, explain=False).object_score
        *lower, (before, reached) = score_small_defects(judge, [(cloud, clean)], 2 * clean, _rng())
        assert before == clean
        assert reached > 2 * clean
        assert all(damaged <= 2 * clean for _, damaged in lower)

    def test_where_scores_are_lengths_twice_the_height_is_never_too_high(self):
        judge = Judge(0.0, 0.001)
        judge.scores_are_lengths = True
        (pair,) = score_small_defects(judge, [(egg(0), 0.001)], 0.039, _rng())
        assert pair == (0.001, 0.04)
        found = score_small_defects(judge, [(egg(0), 0.001)], 0.041, _rng())
        assert found == ((0.001, 0.04),) * 8

    def test_all_are_tried_where_none_does(self):
        judge, clouds = Judge(1.0, 0.0), [egg(0), egg(1), egg(2)]
        found = score_small_defects(judge, [(cloud, 0.1 * i) for i, cloud in enumerate(clouds)], 9, _rng())
        assert [clean for clean, _ in found] == pytest.approx([0, 0.1, 0.2, 0, 0.1, 0.2, 0, 0.1])
        assert len({damaged for _, damaged in found}) == judge.asked == 8

    @pytest.mark.parametrize(("factor", "rest"), [(0.0, 0.1), (1e-3, 0.0)])
    def test_a_threshold_that_they_do_not_reach_is_found_out(self, factor, rest):
        """Of a detector that sees no defect, and of one whose good scans score more than its defects."""
        judge = Judge(factor, rest)
        made = calibrate(judge, [egg(0, 2000, noise=0.02)])
        highest = max(damaged for _, damaged in made.small_defects)
        assert made.misses_small_defects(2 * highest)
        if factor == 0:
            assert len(made.small_defects) == 8
            assert made.misses_small_defects(made.threshold(0.05))

    def test_scores_and_thresholds_do_not_depend_on_them(self, monkeypatch):
        clouds = [egg(0), egg(1)]
        detector = create("nearest", tiny("nearest", 2))
        detector.fit(clouds)
        made = calibrate(detector, clouds)
        monkeypatch.setattr("dusnet.inspection.calibration.score_small_defects", lambda *_: ())
        assert replace(made, small_defects=()) == calibrate(detector, clouds)

    @pytest.mark.parametrize(
        ("pairs", "misses"),
        [
            ((), False),
            (((0.01, 0.05),), True),
            (((0.01, 0.05), (0.02, 0.2)), False),
            (((0.15, 0.2),), False),  # such a scan is a false alarm with and without a defect
            (((0.01, 0.05), (0.15, 0.2)), True),
        ],
    )
    def test_worked_pairs_at_a_threshold_of_a_tenth(self, pairs, misses):
        made = limit_of(0.1, small_defects=pairs)
        assert made.misses_small_defects(0.1) == misses
        assert made.with_scans([answer(9.0)], "more").small_defects == pairs


def _rng():
    return np.random.default_rng(0)


def answer(score):
    return Scores(np.linspace(0, score, 1001, dtype=np.float32), score)
