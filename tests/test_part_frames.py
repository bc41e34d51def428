"""Places in the frame of the part: those of the first training scan, in whatever pose a scan was taken."""

from __future__ import annotations

import json

import numpy as np
import pytest
from frame_parts import SPACING, bumped_block, moved, pose, scan, stepped_block
from written_results import result_of

import dusnet
from dusnet.cloud import PointCloud
from dusnet.detectors import create_for_parts
from dusnet.detectors.base import Scores
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig, BadInput
from dusnet.inspection.result_parts import PartFrame
from dusnet.model import Model
from dusnet.result import Result

SETTINGS = {"registration.points": 1500, "calibration.replicas": 1}
HOME = pose(77)
"""Of the first training scan."""
POSES = (21, 22, 23)
LONG = np.array([1.6, 1.0, 0.6])
"""Of the block: another part."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    """Read from its file. The training scans lie in three poses."""
    scans = [scan(stepped_block(seed), HOME if seed == 0 else pose(seed)) for seed in range(3)]
    path = tmp_path_factory.mktemp("model") / "block.safetensors"
    dusnet.fit(scans, detector="nearest", settings=SETTINGS).save(path)
    return dusnet.load(path)


@pytest.fixture(scope="module")
def damaged() -> tuple[np.ndarray, np.ndarray]:
    """A damaged part in coordinates of its own, and the middle of its bump in those of the first training scan."""
    points, middle = bumped_block(9)
    return points, moved(middle, HOME)


def worst_place(result: Result) -> np.ndarray:
    return np.array(result.defects[0].center_in_part)


def test_a_place_is_the_same_in_every_pose_and_that_of_the_first_training_scan(model, damaged):
    points, truth = damaged
    results = [model.score(scan(points, pose(seed))) for seed in POSES]
    for result, seed in zip(results, POSES, strict=True):
        worst, frame = result.defects[0], result.part_frame
        assert np.linalg.norm(worst_place(result) - truth) < 2 * SPACING
        assert frame.of == "first training scan"
        # From the scan's own pose, which is known, back to the part and on to the first training scan.
        known = HOME @ np.linalg.inv(pose(seed))
        assert np.linalg.norm(moved(np.array(worst.center), known) - worst_place(result)) < SPACING
        peak = np.array(worst.peak_point_in_part)
        assert np.linalg.norm(moved(np.array(worst.peak_point), known) - peak) < SPACING
        np.testing.assert_allclose(
            moved(np.array(worst.center), np.array(frame.matrix)), worst_place(result), atol=1e-9
        )
    own = np.array([result.defects[0].center for result in results])
    assert np.linalg.norm(own[1:] - own[0], axis=1).min() > 20 * SPACING, "the poses differ"


def test_a_scan_in_metres_has_its_place_in_metres(model, damaged):
    points, truth = damaged
    posed = scan(points, pose(21))
    metres = model.score(PointCloud(posed.points / 1000.0), unit="m")
    rotation = np.array(metres.part_frame.matrix)[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.norm(worst_place(metres) * 1000.0 - truth) < 2 * SPACING
    np.testing.assert_allclose(worst_place(metres) * 1000.0, worst_place(model.score(posed, unit="mm")), atol=1e-6)


def test_a_frame_of_ones_own_starts_from_that_of_the_part_in_the_unit_of_the_model(model, damaged):
    points, truth = damaged
    posed, own = scan(points, pose(22)), pose(5)
    plain, given = model.score(posed), model.score(posed, frame=own)
    assert given.part_frame.of == "given"
    assert np.linalg.norm(worst_place(given) - moved(truth, own)) < 2 * SPACING
    np.testing.assert_allclose(worst_place(given), moved(worst_place(plain), own), atol=1e-9)
    assert given.defects[0].center == plain.defects[0].center
    metres = model.score(PointCloud(posed.points / 1000.0), unit="m", frame=own.tolist())
    np.testing.assert_allclose(worst_place(metres) * 1000.0, worst_place(given), atol=1e-6)


def test_files_and_summary_have_both_places(model, damaged, tmp_path):
    result = model.score(scan(damaged[0], pose(23)), stem="part")
    record = json.loads(result.write(tmp_path).read_text())
    region, row = record["regions"][0], result.row()
    assert np.shape(record["part_frame"]["matrix"]) == (4, 4)
    for place, axis in enumerate("xyz"):
        assert row[f"worst_{axis}"] == region["center"][place]
        assert row[f"worst_part_{axis}"] == region["center_in_part"][place]
    assert Result.read(tmp_path / "part.json") == result
    older = {key: value for key, value in record.items() if key != "part_frame"}
    new = ("center_in_part", "peak_point_in_part")
    older["regions"] = [{key: value for key, value in one.items() if key not in new} for one in record["regions"]]
    (tmp_path / "part.json").write_text(json.dumps(older))
    read = Result.read(tmp_path / "part.json")
    assert (read.part_frame, read.defects[0].center_in_part, read.row()["worst_part_x"]) == (None, None, None)
    assert read.record == older


def test_a_result_whose_matrix_is_not_rigid_is_refused(model, damaged, tmp_path):
    path = model.score(scan(damaged[0], pose(23)), stem="part").write(tmp_path)
    record = json.loads(path.read_text())
    record["part_frame"]["matrix"][0] = [0.0, 0.0, 0.0, 0.0]
    path.write_text(json.dumps(record))
    with pytest.raises(BadInput, match="damaged result"):
        Result.read(path)


def test_without_registration_there_is_no_frame(damaged):
    scans = [PointCloud(stepped_block(seed)) for seed in range(2)]
    fixed = dusnet.fit(scans, detector="nearest", settings=SETTINGS | {"registration.method": "none"})
    result = fixed.score(PointCloud(damaged[0]))
    assert result.record["part_frame"] is None
    assert [region["center_in_part"] for region in result.record["regions"]] == [None] * len(result.defects)
    assert len(result.defects) > 0
    with pytest.raises(BadConfig, match="does not register scans"):
        fixed.score(PointCloud(damaged[0]), frame=np.eye(4))
    plain = Scores(np.zeros(20, np.float32), 0.0, point_threshold=1.0)
    assert result_of(PointCloud(np.random.default_rng(0).normal(size=(20, 3))), plain).part_frame is None


def test_what_is_no_rigid_motion_is_refused(model, damaged):
    with pytest.raises(BadInput, match="the frame is no rigid motion"):
        model.score(PointCloud(damaged[0]), frame=np.diag([2.0, 2.0, 2.0, 1.0]))


@pytest.mark.parametrize("factor", [1.0, 1e-3, 25.4])
def test_the_frame_of_an_alignment_that_scales_does_not_scale(factor):
    """Worked: the scan's (1, 2, 3) is the model's (1, 2, 3) * factor, turned by a right angle about z and shifted."""
    alignment = np.array([[0.0, -1, 0, 10], [1, 0, 0, 20], [0, 0, 1, 30], [0, 0, 0, 1]]) @ np.diag([factor] * 3 + [1.0])
    frame = PartFrame.behind(alignment, "CAD model")
    expected = np.array([-2.0, 1.0, 3.0]) + np.array([10.0, 20.0, 30.0]) / factor
    np.testing.assert_allclose(frame.places(np.array([1.0, 2.0, 3.0])), expected, rtol=1e-12)
    own = np.array([[1.0, 0, 0, 5], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # (x, y, z) -> (x + 5, -z, y)
    x, y, z = expected
    found = PartFrame.behind(alignment, "CAD model", given=own)
    np.testing.assert_allclose(found.places(np.array([1.0, 2.0, 3.0])), [x + 5.0 / factor, -z, y], rtol=1e-12)
    assert (frame.of, found.of) == ("CAD model", "given")


@pytest.fixture(scope="module")
def two_parts() -> Model:
    """A block and a bar in one model."""
    small = {"points": 600, "places": 64, "replicas": 0}
    settings = Settings.model_validate(
        {
            "detector": "cras",
            "registration": {"points": 800},
            "features": small,
            "cras": {"epochs": 2, "batch": 4, "places": 32},
        }
    )
    made = create_for_parts("cras", settings, seed=0)
    blocks = [scan(stepped_block(seed, 2500), pose(seed + 60)) for seed in range(2)]
    bars = [scan(stepped_block(seed, 2500) * LONG, pose(seed + 40)) for seed in range(2)]
    made.fit({"block": blocks, "bar": bars})
    return Model(made)


def test_every_part_of_a_model_has_the_frame_of_its_own_first_scan(two_parts):
    block, bar = stepped_block(8, 2500), stepped_block(9, 2500) * LONG
    for name, points, home in (("block", block, pose(60)), ("bar", bar, pose(40))):
        result = two_parts.score(scan(points, pose(3)))
        assert result.part.name == name
        assert result.part_frame.of == "first training scan"
        found = moved(moved(points, pose(3)), np.array(result.part_frame.matrix))
        assert np.linalg.norm(found - moved(points, home), axis=1).max() < SPACING


def test_one_frame_for_several_parts_is_refused(two_parts):
    with pytest.raises(BadConfig, match="knows 2 parts, and each has a frame of its own"):
        two_parts.score(PointCloud(stepped_block(8)), frame=np.eye(4))
