"""Limits of the user's own, on a plate whose bumps and holes are known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from test_defect_kinds import answer, near, plate

from dusnet.cloud import PointCloud
from dusnet.errors import BadConfig
from dusnet.inspection.defects import find_defects
from dusnet.inspection.own_limits import NO_LIMITS, OwnLimits
from dusnet.inspection.regions import DefectKind
from dusnet.inspection.result_parts import ModelFile
from dusnet.inspection.verdict import Reason, Status, Verdict
from dusnet.result import Context, Result

POINTS = plate()
BUMP = near(POINTS, (20, 15), 4)
HEIGHTS = np.where(BUMP, 0.9, 0.0)


def good(deviation: np.ndarray, scores: np.ndarray | None = None, **changes):
    """Scores that stay below the limit for objects, whatever the deviation."""
    return answer(deviation, scores, threshold=1.0, is_anomalous=False, **changes)


def judged(scores, limits: OwnLimits, points: np.ndarray = POINTS, verdict: Verdict | None = None) -> Result:
    context = Context(ModelFile(id="plate", sha256=None), unit="mm", own_limits=limits)
    return Result.of(PointCloud(points), scores, context, verdict=verdict)


class TestDeviation:
    def test_a_bump_above_the_limit_is_ng_and_listed_whatever_its_score(self) -> None:
        """0.9 mm: the point limit of .004 stands for 0.4 mm."""
        result = judged(good(HEIGHTS), OwnLimits(deviation=0.8))
        assert result.verdict.status is Status.NG
        assert result.verdict.codes == ("deviation_above_limit",)
        assert result.verdict.reasons[0].text == "The deepest defect, +0.9 mm, exceeds the limit of 0.8 mm."
        (defect,) = result.defects
        assert defect.kind is DefectKind.PROTRUSION
        np.testing.assert_allclose(defect.center, (20, 15, 0), atol=0.3)
        assert result.is_anomalous is False, "the score is below its own limit"

    def test_a_bump_below_both_limits_is_ok_and_nothing_is_listed(self) -> None:
        result = judged(good(HEIGHTS), OwnLimits(deviation=1.0))
        assert (result.verdict, result.region_count) == (Verdict(Status.OK), 0)

    @pytest.mark.parametrize(("height", "kind"), [(0.3, DefectKind.PROTRUSION), (-0.3, DefectKind.DEPRESSION)])
    def test_what_is_below_the_point_limit_is_found_too(self, height: float, kind: DefectKind) -> None:
        scores = good(np.where(BUMP, height, 0.0))
        assert scores.point_scores.max() < scores.point_threshold
        (defect,) = find_defects(POINTS, scores, OwnLimits(deviation=0.25))
        assert defect.kind is kind
        assert defect.point_count == BUMP.sum()
        assert find_defects(POINTS, scores, OwnLimits(deviation=0.35)) == []

    def test_single_points_of_noise_do_not_pass_it(self) -> None:
        noise = np.zeros(len(POINTS))
        noise[[100, 3000, 7000]] = 2.0
        assert judged(good(noise), OwnLimits(deviation=0.5)).verdict.status is Status.OK

    def test_a_hole_counts_by_the_distance_that_it_leaves(self) -> None:
        hole = near(POINTS, (30, 20), 6)
        points, missing = POINTS[~hole], POINTS[near(POINTS, (30, 20), 5)]
        scores = good(np.zeros(len(points)), np.where(near(points, (30, 20), 8), 0.05, 0.0), missing=missing)
        assert judged(scores, OwnLimits(deviation=5.0), points).verdict.codes == ("deviation_above_limit",)
        assert judged(scores, OwnLimits(deviation=7.0), points).verdict.status is Status.OK

    def test_a_defect_is_listed_once_and_one_below_the_point_limit_beside_it(self) -> None:
        both = np.where(near(POINTS, (45, 25), 3), -0.3, HEIGHTS)
        scores = replace(good(both), is_anomalous=True)
        assert len(find_defects(POINTS, scores)) == 1
        found = find_defects(POINTS, scores, OwnLimits(deviation=0.2))
        assert [one.kind for one in found] == [DefectKind.PROTRUSION, DefectKind.DEPRESSION]


class TestArea:
    def test_a_defect_that_is_too_large_is_ng(self) -> None:
        """A disc of 4 mm has 50.3 mm²; its points stand for a little more."""
        assert judged(good(HEIGHTS), OwnLimits(area=70.0)).verdict.status is Status.OK
        result = judged(good(HEIGHTS), OwnLimits(area=40.0))
        assert result.verdict.codes == ("area_above_limit",)
        assert result.verdict.reasons[0].text.endswith("mm², exceeds the limit of 40 mm².")

    def test_both_limits_are_named_where_both_are_passed(self) -> None:
        codes = judged(good(HEIGHTS), OwnLimits(deviation=0.5, area=40.0)).verdict.codes
        assert codes == ("deviation_above_limit", "area_above_limit")


def test_without_limits_nothing_changes() -> None:
    result = judged(good(HEIGHTS), NO_LIMITS)
    assert (result.verdict.status, result.own_limits, result.region_count) == (Status.OK, None, 0)


def test_the_result_keeps_the_limits() -> None:
    record = judged(good(HEIGHTS), OwnLimits(deviation=0.8)).record
    assert record["own_limits"] == {"deviation": 0.8, "area": None}
    assert Result.model_validate(record).own_limits is not None


def test_a_doubtful_scan_stays_one() -> None:
    doubt = Verdict(Status.RECHECK, (Reason("too_few_points", "Few."),))
    result = judged(good(HEIGHTS), OwnLimits(deviation=0.5), verdict=doubt)
    assert result.verdict.status is Status.RECHECK
    assert result.verdict.codes == ("too_few_points", "deviation_above_limit")
    assert [reason.is_doubt for reason in result.verdict.reasons] == [True, False]


def test_limits_in_another_unit_are_the_same_lengths() -> None:
    assert OwnLimits(2.0, 30.0).scaled(0.5) == OwnLimits(1.0, 7.5)
    assert OwnLimits(None, 30.0).scaled(10.0) == OwnLimits(None, 3000.0)


def test_what_is_given_goes_before_what_is_usual() -> None:
    assert OwnLimits(2.0).over(OwnLimits(1.0, 30.0)) == OwnLimits(2.0, 30.0)
    assert NO_LIMITS.over(OwnLimits(1.0, 30.0)) == OwnLimits(1.0, 30.0)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_what_is_no_limit_is_refused(value: float) -> None:
    with pytest.raises(BadConfig, match=r"--limit .* is no limit; give a positive number"):
        OwnLimits(deviation=value)
    with pytest.raises(BadConfig, match="--max-area"):
        OwnLimits(area=value)


@pytest.mark.parametrize(
    "data", [3, {}, {"deviation": 1.0}, {"deviation": "1", "area": None}, {"deviation": -1, "area": 2}]
)
def test_what_a_model_cannot_hold_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match=r"its .*limits?|one of its limits"):
        OwnLimits.from_json(data)


def test_the_depth_of_a_region_without_deviation_is_unknown_and_passes_no_limit() -> None:
    region = SimpleNamespace(gap=None, peak_deviation=None, area=1.0)
    assert not OwnLimits(deviation=1e-9).passed_by(region)
