from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from dusnet.detectors.base import Scores
from dusnet.inspection.verdict import Expectations, Limits, Reason, Status, Verdict, decide, exit_code, scale_ratio
from dusnet.registration import Alignment

POINTS = np.random.default_rng(3).normal(size=(500, 3))
POINTS /= np.linalg.norm(POINTS, axis=1, keepdims=True)


def scored(object_score=1.0, threshold=2.0, residual=None, is_anomalous=None):
    alignment = None if residual is None else Alignment(np.eye(4), residual, 1.0, "icp")
    return Scores(
        np.zeros(500, np.float32),
        object_score,
        threshold=threshold,
        is_anomalous=is_anomalous if is_anomalous is not None or threshold is None else object_score > threshold,
        alignment=alignment,
    )


def test_ok_below_and_at_the_threshold_and_ng_above():
    assert decide(scored(1.0), POINTS) == Verdict(Status.OK)
    assert decide(scored(2.0), POINTS) == Verdict(Status.OK)
    above = decide(scored(2.5), POINTS)
    assert above.status is Status.NG
    assert above.codes == ("score_above_threshold",)
    assert "2.5" in above.reasons[0].text


def test_a_score_without_a_threshold_is_not_decided():
    assert decide(scored(threshold=None), POINTS).codes == ("no_threshold",)
    assert decide(scored(threshold=None, is_anomalous=True), POINTS).status is Status.NG


def test_below_a_threshold_that_is_too_high_is_no_ok_and_above_it_is_ng():
    blind = Expectations(limit_too_high=True)
    below = decide(scored(1.0), POINTS, expected=blind)
    assert (below.status, below.codes) == (Status.RECHECK, ("limit_too_high",))
    assert below.reasons[0].is_doubt
    assert "The limit 2 is too high" in below.reasons[0].text
    assert decide(scored(2.5), POINTS, expected=blind) == decide(scored(2.5), POINTS)
    assert decide(scored(np.nan), POINTS, expected=blind).codes == ("score_not_finite",)


@pytest.mark.parametrize("score", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_not_decided(score):
    verdict = decide(scored(score, is_anomalous=False), POINTS)
    assert verdict.status is Status.RECHECK
    assert verdict.codes == ("score_not_finite",)


@pytest.mark.parametrize(
    ("residual", "trained", "doubted"),
    [
        (0.015, 0.01, False),
        (0.0249, 0.01, False),
        (0.0251, 0.01, True),
        (0.0034, 0.0014, False),
        (0.0036, 0.0014, True),  # a thin wall that lies a little askew
        (0.0024, 0.001, False),  # below the floor
        (0.0026, 0.001, True),
        (0.0079, 0.0, False),  # nobody knows what good scans reach
        (0.0081, 0.0, True),
        (np.nan, 0.01, True),
        (5.0, None, False),  # nothing to compare with
        (None, 0.01, False),  # not aligned at all
    ],
)
def test_a_scan_that_does_not_fit_is_rechecked(residual, trained, doubted):
    verdict = decide(scored(residual=residual), POINTS, expected=Expectations(residual=trained))
    assert verdict.codes == (("alignment_residual_high",) if doubted else ())
    assert verdict.status is (Status.RECHECK if doubted else Status.OK)


@pytest.mark.parametrize(
    ("residual", "trained", "fitness", "doubted"),
    [
        (0.0115, 0.01, 0.8, False),  # many points lie off, the rest fits: a large defect
        (0.0125, 0.01, 0.8, True),  # many lie off and the rest fits worse than good scans do: a wrong pose
        (0.0125, 0.01, 0.93, False),
        (0.0059, 0.001, 0.8, False),  # below the floor
        (0.0061, 0.001, 0.8, True),
    ],
)
def test_a_nearly_fitting_pose_with_many_points_off_is_rechecked(residual, trained, fitness, doubted):
    scores = replace(scored(), alignment=Alignment(np.eye(4), residual, fitness, "global"))
    verdict = decide(scores, POINTS, expected=Expectations(residual=trained))
    assert verdict.codes == (("alignment_residual_high",) if doubted else ())


def test_too_few_points_by_number_and_by_share():
    assert decide(scored(), POINTS[:99]).codes == ("too_few_points",)
    assert decide(scored(), POINTS[:100]).status is Status.OK
    assert decide(scored(), POINTS, expected=Expectations(points=5000)).status is Status.OK
    assert decide(scored(), POINTS, expected=Expectations(points=5001)).codes == ("too_few_points",)
    assert decide(scored(), POINTS[:99], limits=Limits(minimum_points=10)).status is Status.OK


@pytest.mark.parametrize(
    ("factor", "doubted"), [(1.0, False), (0.4, False), (2.9, False), (0.3, True), (0.001, True), (25.4, True)]
)
def test_a_scan_of_another_size_has_a_doubtful_unit(factor, doubted):
    verdict = decide(scored(), POINTS * 50 * factor + 1e4, expected=Expectations(scale=50.0))
    assert verdict.codes == (("unit_doubtful",) if doubted else ())


def test_stray_points_do_not_make_the_unit_doubtful():
    with_stray = np.concatenate([POINTS, [[900.0, 0, 0], [0, -900.0, 0]]])
    assert scale_ratio(with_stray, 1.0) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize(
    ("unseen", "trained", "doubted"),
    [
        (0.3, 0.0, True),
        (0.06, 0.0, True),
        (0.05, 0.0, False),
        (0.3, 0.28, False),  # trained with views that leave out as much
        (0.5, 0.28, True),
        (1.0, None, False),  # nothing to compare with
        (None, 0.0, False),  # not measured
    ],
)
def test_a_scan_that_leaves_out_a_part_is_rechecked(unseen, trained, doubted):
    verdict = decide(replace(scored(), unseen=unseen), POINTS, expected=Expectations(unseen=trained))
    assert verdict.codes == (("part_not_seen",) if doubted else ())
    assert verdict.status is (Status.RECHECK if doubted else Status.OK)
    if doubted:
        assert f"{unseen:.0%}" in verdict.reasons[0].text
        high = decide(replace(scored(9.0), unseen=unseen), POINTS, expected=Expectations(unseen=trained))
        assert high.status is Status.RECHECK
        assert high.codes == ("part_not_seen", "score_above_threshold")


def test_doubt_outweighs_the_score_but_does_not_hide_it():
    verdict = decide(scored(9.0, residual=0.5), POINTS[:50], expected=Expectations(residual=0.01))
    assert verdict.status is Status.RECHECK
    assert verdict.codes == ("alignment_residual_high", "too_few_points", "score_above_threshold")


def test_exit_codes_of_every_mixture():
    every = {status: Verdict(status, (Reason("x", "X."),)) for status in Status}
    assert exit_code([]) == 2
    for size in (1, 2, 3):
        for mixture in product(Status, repeat=size):
            expected = 1 if Status.NG in mixture else 2 if Status.RECHECK in mixture else 0
            assert exit_code(every[status] for status in mixture) == expected


@pytest.mark.parametrize(("margin", "doubted"), [(1.04, True), (1.149, True), (1.15, False), (np.inf, False)])
def test_a_pose_that_is_not_the_only_one_is_rechecked(margin, doubted):
    scores = replace(scored(), alignment=Alignment(np.eye(4), 0.002, 1.0, "global", margin=margin))
    verdict = decide(scores, POINTS, expected=Expectations(residual=0.002))
    assert verdict.codes == (("alignment_ambiguous",) if doubted else ())
    assert verdict.status is (Status.RECHECK if doubted else Status.OK)


@pytest.mark.parametrize(("unseen", "asked", "doubted"), [(0.6, 0.4, False), (0.61, 0.4, True), (0.9, 0.0, False)])
def test_a_scan_that_shows_what_was_asked_for_is_judged_whatever_it_leaves_out(unseen, asked, doubted):
    scores = replace(scored(9.0), unseen=unseen)
    assert decide(scores, POINTS, expected=Expectations(unseen=0.0)).status is Status.RECHECK
    verdict = decide(scores, POINTS, expected=Expectations(unseen=0.0, coverage=asked))
    assert verdict.status is (Status.RECHECK if doubted else Status.NG)
    if doubted:
        assert (
            verdict.reasons[0].text == "The scan shows 39% of the part, less than the 40% asked for; scan more of it."
        )
