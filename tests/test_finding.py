"""The sentence that a page and a line begin with: what was found, in the words and units of an inspector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from written_results import changed, result_of

from dusnet.cloud import PointCloud
from dusnet.detectors.base import Scores
from dusnet.inspection.own_limits import OwnLimits
from dusnet.inspection.regions import DefectKind
from dusnet.inspection.result_parts import AllowedDeviation, CadFile, Comparison, OutOfTolerance
from dusnet.inspection.verdict import Expectations, Reason, Status, Verdict, decide
from dusnet.result import Result, deciding_defect

SIDE, DEPTH = 100.0, 1.41


def cube() -> np.ndarray:
    """Points 2 apart on the six faces of a cube of 100."""
    line = np.arange(0.0, SIDE + 1.0, 2.0)
    u, v = (grid.ravel() for grid in np.meshgrid(line, line))
    faces = []
    for axis in range(3):
        for at in (0.0, SIDE):
            face = np.empty((len(u), 3))
            face[:, axis], face[:, axis - 2], face[:, axis - 1] = at, u, v
            faces.append(face)
    return np.unique(np.concatenate(faces), axis=0)


POINTS = cube()
DENT = (POINTS[:, 0] == 0.0) & (np.linalg.norm(POINTS[:, 1:] - 50.0, axis=1) <= 10.0)
"""A round place of 20 across on the left side, x = 0."""
BUMP = (POINTS[:, 2] == SIDE) & (np.abs(POINTS[:, :2] - 30.0).max(axis=1) <= 2.0)


def found(*, dent: float = -DEPTH, bump: float = 0.0, threshold: float = 1.0, **context) -> Result:
    """The result of a cube with a dent on its left and, where asked for, a small bump on top."""
    deviation = np.where(POINTS[:, 0] == SIDE, 0.01, 0.0).astype(np.float32)
    deviation[DENT], deviation[BUMP] = dent, bump
    values = np.where(np.abs(deviation) > 0.1, 10.0 * np.abs(deviation) / DEPTH, 0.1).astype(np.float32)
    values[DENT] *= 0.3
    score = float(values.max())
    scores = Scores(
        values, score, deviation=deviation, threshold=threshold, point_threshold=1.0, is_anomalous=score > threshold,
        score_length=0.2,
    )  # fmt: skip
    return result_of(PointCloud(POINTS), scores, **{"unit": "mm"} | context)


def compared(plus: float, minus: float) -> Comparison:
    return Comparison(
        cad=CadFile(file="a.stl", sha256="ab", unit="mm", triangles=12, watertight=True),
        tolerance=AllowedDeviation(plus=plus, minus=minus, default=False),
        rms=0.1,
        out_of_tolerance=OutOfTolerance(share=0.1, excess=0.0, missing=0.1),
        noise=0.01,
    )


def test_an_ng_names_the_defect_its_place_and_the_limit_of_the_users_own():
    result = found(own_limits=OwnLimits(deviation=0.5))
    assert result.finding == "NG: dent of -1.41 mm, 20 mm across, on the left side; limit 0.5 mm."


def test_without_a_limit_in_mm_the_score_is_set_beside_its_own():
    result = found()
    assert result.object_score == pytest.approx(3.0)
    assert result.finding == "NG: dent of -1.41 mm, 20 mm across, on the left side; score 3.0 times the limit."
    assert found(threshold=2.95).finding.endswith("; score just above the limit.")
    assert found(unit=None).finding.startswith("NG: dent of -1.41, 20 across, on the left side; ")


def test_the_deepest_defect_is_named_where_the_depth_decides_and_others_are_counted():
    result = found(bump=2.0, own_limits=OwnLimits(deviation=0.5))
    decides = deciding_defect(result)
    assert decides is not None
    assert decides.kind is DefectKind.PROTRUSION
    assert ", on the top side, and 1 more defect; limit 0.5 mm." in result.finding
    assert result.finding.startswith("NG: bump of +2 mm, ")


def test_an_area_beyond_the_limit_is_told_as_an_area():
    result = found(threshold=9.0, own_limits=OwnLimits(area=100.0))
    assert result.verdict.codes == ("area_above_limit",)
    area = result.defects[0].area
    assert result.finding.endswith(f"on the left side; area {area:.0f} mm², limit 100 mm².")


@pytest.mark.parametrize(("plus", "minus", "words"), [(0.4, 0.4, "limit ±0.4 mm"), (0.4, 0.2, "limit +0.4 / -0.2 mm")])
def test_a_comparison_tells_its_tolerance(plus, minus, words):
    result = found(comparison=compared(plus, minus))
    assert result.finding == f"NG: dent of -1.41 mm, 20 mm across, on the left side; {words}."


def test_an_ok_tells_the_largest_deviation():
    assert found(dent=0.07).finding == "OK: no defect; largest deviation +0.07 mm."
    limited = found(dent=0.07, own_limits=OwnLimits(deviation=0.5))
    assert limited.finding == "OK: no defect; largest deviation +0.07 mm, limit 0.5 mm."


def test_a_speck_beyond_the_limit_does_not_contradict_an_ok():
    good = found(dent=0.07, comparison=compared(0.4, 0.4))
    speck = changed(good, deviation=good.record["deviation"] | {"max": 0.9, "p1": -0.05, "p99": 0.06})
    assert speck.finding == "OK: no defect; 98 % of the points within -0.05 to +0.06 mm, limit ±0.4 mm."


def test_missing_material_and_defects_without_deviation_have_no_depth():
    regions = [dict(region) for region in found().record["regions"]]
    missing = changed(found(), regions=[regions[0] | {"kind": "missing_material", "gap": 6.0}])
    assert missing.finding.startswith("NG: missing material, 20 mm across, on the left side; ")
    unknown = changed(found(), regions=[regions[0] | {"kind": None, "peak_deviation": None, "side": None}])
    assert unknown.finding.startswith("NG: defect, 20 mm across; ")


def test_a_recheck_tells_the_first_doubt_and_not_the_score():
    lost = "41% of the part is not in the scan: it is missing or was not seen; look at the part."
    doubts = (Reason("too_few_points", "The scan has 5 points; re-scan it."), Reason("part_not_seen", lost))
    unseen = changed(found(verdict=Verdict(Status.RECHECK, doubts)), unseen_share=0.414)
    assert unseen.finding == "RECHECK: 41 % of the part is not in the scan."
    side = Reason("part_not_seen", "The scan shows one side, and 8% of the part is not in it there: look at the part.")
    view = changed(found(verdict=Verdict(Status.RECHECK, (side,))), unseen_share=0.5)
    assert view.finding == "RECHECK: the scan shows one side, and 8 % of the part is not in it there."
    few = found(verdict=Verdict(Status.RECHECK, doubts[:1]))
    assert few.finding == "RECHECK: the scan has 5 points."
    size = decide(few.scores, POINTS / 1000.0, expected=Expectations(scale=80.0, unit="mm"))
    assert found(verdict=size).finding == "RECHECK: the scan is about 1000 times smaller than the training scans."


@pytest.mark.parametrize(
    ("ratio", "cad_unit", "advice"),
    [
        (0.001, None, "metres? Try --unit m."),
        (1 / 25.4, None, "inches? Try --unit in."),
        (7.0, None, "check the unit of the file."),
        (25.4, "mm", "is that in inches? Try --cad-unit in."),
        (0.001, "mm", "metres? Try --unit m --cad-unit mm."),
    ],
)
def test_a_scan_of_another_size_is_told_the_unit_that_explains_it(ratio, cad_unit, advice):
    scale = float(np.linalg.norm(POINTS - 50.0, axis=1).max())
    expected = Expectations(scale=scale, unit="mm", cad_unit=cad_unit)
    reasons = decide(found().scores, POINTS * ratio, expected=expected).reasons
    assert reasons[0].code == "unit_doubtful"
    assert reasons[0].text.endswith(f": {advice}")


def test_a_result_of_before_there_were_sides_has_a_sentence(tmp_path: Path):
    result = found()
    result.write(tmp_path)
    path = tmp_path / "scan.json"
    text = path.read_text(encoding="utf-8")
    assert '"side": "left"' in text
    path.write_text(text.replace(',\n      "side": "left"', ""), encoding="utf-8")
    older = Result.read(path)
    assert older.defects[0].side is None
    assert older.finding == "NG: dent of -1.41 mm, 20 mm across; score 3.0 times the limit."
