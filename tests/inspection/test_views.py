"""Scans of one side of parts that were learned whole."""

from __future__ import annotations

import numpy as np
import pytest
from egg_parts import egg

from dusnet.cloud import PointCloud
from dusnet.detectors import create
from dusnet.detectors.settings import Settings
from dusnet.geometry.sides import looks_away
from dusnet.inspection.calibration import calibrate
from dusnet.inspection.expected import expectations
from dusnet.inspection.verdict import Status, decide

SETTINGS = Settings.model_validate(
    {"detector": "nearest", "registration": {"method": "none"}, "scoring": {"smoothing": 8}}
)


def block(seed: int, count: int = 3000) -> PointCloud:
    """A block of 60 x 40 x 20."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, 3))
    sides = rng.choice(3, count, p=np.array([800, 1200, 2400]) / 4400)
    points[np.arange(count), sides] = rng.integers(0, 2, count)
    return PointCloud(points * [60.0, 40.0, 20.0])


def learned(clouds: list[PointCloud]):
    detector = create("nearest", SETTINGS)
    detector.fit(clouds)
    detector.set_calibration(calibrate(detector, clouds))
    return detector


@pytest.fixture(scope="module")
def eggs():
    return learned([egg(seed) for seed in range(3)])


def verdict_on(detector, cloud: PointCloud):
    scores = detector.score(cloud)
    return scores, decide(scores, cloud.points, expected=expectations(detector))


def test_a_good_side_is_ok(eggs):
    scores, verdict = verdict_on(eggs, egg(9).select(egg(9).points[:, 2] > 0))
    assert scores.view
    assert verdict.status is Status.OK
    assert f"{scores.unseen:.0%} of the part is not in it" in scores.warnings[-1]


def test_a_dented_side_is_ng(eggs):
    cloud = egg(9).select(egg(9).points[:, 2] > 0)
    points = cloud.points.copy()
    top = np.linalg.norm(points - points[points[:, 2].argmax()], axis=1) < 12
    points[top, 2] -= 6
    scores, verdict = verdict_on(eggs, PointCloud(points))
    assert (scores.view, verdict.status) == (True, Status.NG)


def test_a_whole_scan_is_no_view(eggs):
    scores, verdict = verdict_on(eggs, egg(9))
    assert not scores.view
    assert verdict.status is Status.OK


def test_less_than_a_model_of_one_side_shows_is_no_view():
    sides = learned([egg(seed).select(egg(seed).points[:, 2] > 0) for seed in range(3)])
    cloud = egg(9)
    scores, verdict = verdict_on(sides, cloud.select((cloud.points[:, 2] > 0) & (cloud.points[:, 0] > 0)))
    assert (scores.view, verdict.status) == (False, Status.RECHECK)


def test_a_side_that_shows_less_than_views_do_is_rechecked(eggs):
    cloud = egg(9, 4000)
    _, verdict = verdict_on(eggs, cloud.select(cloud.points[:, 2] > 14))
    assert verdict.status is Status.RECHECK
    assert "part_not_seen" in verdict.codes


@pytest.mark.parametrize("end", [38.0, 42.0, 45.0])
def test_a_block_whose_end_is_gone_is_no_view_of_it(end):
    """Three of its sides go on where the scan stops."""
    blocks = learned([block(seed) for seed in range(3)])
    cloud = block(9)
    scores, verdict = verdict_on(blocks, cloud.select(cloud.points[:, 0] < end))
    assert scores.unseen > 0.2
    assert (scores.view, verdict.status) == (False, Status.RECHECK)


def test_the_far_side_of_a_block_looks_away_and_a_missing_end_does_not():
    blocks = learned([block(seed) for seed in range(3)])
    cloud = block(9)
    whole = blocks.place(cloud).coverage
    assert whole.hidden_share == 0.0
    top = blocks.place(cloud.select(cloud.points[:, 2] > 12)).coverage
    assert looks_away(top._part).mean() > 0.55  # .66 to .68 over five seeds
    gone = blocks.place(cloud.select(cloud.points[:, 0] < 40)).coverage
    assert looks_away(gone._part).mean() < 0.4  # .30


def test_a_side_without_a_piece_is_rechecked(eggs):
    """The scanner saw the upper half of the egg, and a third of that is not there."""
    cloud = egg(9, 4000)
    scores, verdict = verdict_on(eggs, cloud.select((cloud.points[:, 2] > 0) & (cloud.points[:, 0] < 8)))
    assert scores.view
    assert verdict.status is Status.RECHECK
    assert verdict.codes[0] == "part_not_seen"
    assert "shows one side" in verdict.reasons[0].text


def test_what_is_hidden_is_no_more_than_what_is_left_out(eggs):
    cloud = egg(9)
    scores, _ = verdict_on(eggs, cloud.select(cloud.points[:, 2] > 0))
    assert 0.3 < scores.unseen < 0.6
    assert scores.hidden == pytest.approx(scores.unseen, abs=0.03)
