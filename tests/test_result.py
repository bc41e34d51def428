from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from written_results import written_result

from dusnet.cloud import PointCloud
from dusnet.colors.color_maps import heat_colors
from dusnet.detectors.base import Scores
from dusnet.detectors.calibration import Calibration, GoodScores
from dusnet.errors import BadInput
from dusnet.inspection.result_files import RECONSTRUCTION, SCORED, result_stems
from dusnet.inspection.result_parts import ThresholdCalibrated
from dusnet.inspection.verdict import Reason, Status, Verdict
from dusnet.io import file_sha256, read_cloud, write_cloud
from dusnet.registration import Alignment
from dusnet.result import COLUMNS, SCHEMA_VERSION, Result
from dusnet.summary import write_summary


def part(tmp_path: Path) -> PointCloud:
    """A 30 x 20 mm plate far from the origin, read back from a file."""
    x, y = np.meshgrid(np.arange(31.0), np.arange(21.0), indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], axis=1) + np.array([1000.0, -500.0, 20.0])
    path = tmp_path / "scans" / "part.ply"
    write_cloud(path, PointCloud(points))
    return read_cloud(path)


def answer(cloud: PointCloud, **changes) -> Scores:
    """A dent of 5 x 5 points around (1010, -490)."""
    dent = (np.abs(cloud.points[:, :2] - (1010, -490)) <= 2).all(axis=1)
    given = Scores(
        np.where(dent, 3.0, 0.25).astype(np.float32),
        3.0,
        deviation=np.where(dent, -0.75, 0.0).astype(np.float32),
        distances=np.where(dent, 0.75, 0.01).astype(np.float32),
        reconstruction=cloud.points[::2] + 0.001,
        threshold=1.5,
        point_threshold=1.0,
        is_anomalous=True,
        alignment=Alignment(np.eye(4), 0.004, 0.98, "icp"),
        timings={"align": 0.25, "score": 0.5},
        warnings=("G was lowered.",),
    )
    return replace(given, **changes)


def ply(path: Path):
    """Header and vertices of a binary PLY, decoded here."""
    data = path.read_bytes()
    end = data.index(b"end_header\n") + len(b"end_header\n")
    header = data[:end].decode().splitlines()
    kinds = {"float": "<f4", "double": "<f8", "uchar": "u1", "int": "<i4"}
    fields = [(words[2], kinds[words[1]]) for words in map(str.split, header) if words[0] == "property"]
    return header, np.frombuffer(data[end:], dtype=fields)


def test_the_scored_cloud_holds_the_input_in_order_with_scores_and_colours(tmp_path):
    cloud = part(tmp_path)
    scores = answer(cloud)
    result = written_result(tmp_path / "out", cloud, scores, unit="mm")
    assert result.scored_path == tmp_path / "out" / "part.scored.ply"
    header, vertices = ply(result.scored_path)
    assert header[:2] == ["ply", "format binary_little_endian 1.0"]
    assert "property float anomaly_score" in header
    np.testing.assert_allclose(np.stack([vertices[a] for a in "xyz"], axis=1), cloud.points, atol=1e-4)
    np.testing.assert_array_equal(vertices["anomaly_score"], scores.point_scores)
    np.testing.assert_array_equal(vertices["distance"], scores.distances)
    colors = np.stack([vertices[name] for name in ("red", "green", "blue")], axis=1)
    np.testing.assert_array_equal(colors, heat_colors(scores.point_scores, 0.0, 2.0))
    assert len(np.unique(colors, axis=0)) == 2


def test_the_record_is_complete_and_right(tmp_path):
    cloud = replace(part(tmp_path), notes=("2 rows dropped.",))
    result = written_result(
        tmp_path / "out",
        cloud,
        answer(cloud),
        model="plate.safetensors",
        sha256="ab" * 32,
        unit="mm",
        training_residual=0.003,
        warnings=("Late.",),
        metadata={"station": 7, "where": Path("a/b"), "odd": np.float32("nan")},
    )
    record = json.loads(result.json_path.read_text())
    assert record == result.record
    assert record["schema_version"] == 2
    assert (record["object_score"], record["threshold"], record["is_anomalous"]) == (3.0, 1.5, True)
    assert record["verdict"]["status"] == "NG"
    assert (record["unit"], record["points"], record["region_count"]) == ("mm", 651, 1)
    (region,) = record["regions"]
    np.testing.assert_allclose(region["center"], (1010, -490, 20), atol=1e-4)
    np.testing.assert_allclose(region["size"], (4, 4, 0), atol=1e-3)
    assert (region["point_count"], region["peak_score"], region["peak_deviation"]) == (25, 3.0, -0.75)
    assert (region["area"], region["volume"]) == (pytest.approx(25.0, rel=0.02), pytest.approx(-18.75, rel=0.02))
    assert record["alignment"] == {
        "method": "icp",
        "residual": 0.004,
        "training_residual": 0.003,
        "fitness": 0.98,
        "symmetric": False,
        "margin": None,
        "matrix": np.eye(4).tolist(),
    }
    assert record["model"] == {"id": "plate.safetensors", "sha256": "ab" * 32}
    digest = hashlib.sha256((tmp_path / "scans/part.ply").read_bytes()).hexdigest()
    assert record["scan"] == {"file": "part.ply", "sha256": digest}
    assert record["files"] == {"scored": "part.scored.ply", "reconstruction": "part.reconstruction.ply"}
    assert record["color_range"] == {"low": 0.0, "high": 2.0, "source": "point_threshold"}
    assert {"dusnet", "torch", "numpy", "python"} <= set(record["versions"])
    assert record["timings"] == {"align": 0.25, "score": 0.5}
    assert record["warnings"] == ["2 rows dropped.", "G was lowered.", "Late."]
    assert record["metadata"] == {"station": 7, "where": "a/b", "odd": None}
    assert record["distances"]["max"] == 0.75
    assert record["point_scores"]["median"] == 0.25


def test_the_summary_has_area_and_volume_and_results_of_before_have_no_volume(tmp_path):
    cloud = part(tmp_path)
    result = written_result(tmp_path / "out", cloud, answer(cloud))
    (region,) = result.record["regions"]
    assert (result.row()["worst_area"], result.row()["worst_volume"]) == (region["area"], region["volume"])
    older = {**result.record, "regions": [{key: value for key, value in region.items() if key != "volume"}]}
    result.json_path.write_text(json.dumps(older))
    read = Result.read(result.json_path)
    assert (read.defects[0].volume, read.row()["worst_volume"]) == (None, None)
    assert read.record == older


def test_the_time_of_now_has_a_zone(tmp_path):
    cloud = part(tmp_path)
    stamp = written_result(tmp_path, cloud, answer(cloud)).record["timestamp"]
    assert datetime.fromisoformat(stamp).tzinfo is not None


def test_the_reconstruction_comes_and_goes_with_the_scores(tmp_path):
    cloud = part(tmp_path)
    scores = answer(cloud)
    result = written_result(tmp_path, cloud, scores)
    again = read_cloud(result.reconstruction_path)
    np.testing.assert_array_equal(Result.read(result.json_path).reconstruction, again.points)
    np.testing.assert_allclose(again.points, scores.reconstruction, atol=1e-3)
    without = written_result(tmp_path, cloud, answer(cloud, reconstruction=None))
    assert without.reconstruction_path is None
    assert without.record["files"]["reconstruction"] is None
    assert not (tmp_path / f"part{RECONSTRUCTION}").exists(), "a file of the earlier result must not lie about this one"


def test_an_uncalibrated_detector_gets_a_result_too(tmp_path):
    cloud = part(tmp_path)
    bare = answer(cloud, threshold=None, point_threshold=None, is_anomalous=None, alignment=None, distances=None)
    record = written_result(tmp_path, cloud, bare).record
    assert record["verdict"]["status"] == "RECHECK"
    assert record["is_anomalous"] is None
    assert record["alignment"] is None
    assert record["unit"] is None
    assert record["regions"] == []
    assert "no limit for points" in record["warnings"][-1]
    assert record["color_range"] == {"low": 0.25, "high": 3.0, "source": "scan"}


def test_scores_that_are_no_numbers_become_null_not_broken_json(tmp_path):
    cloud = part(tmp_path)
    values = np.full(len(cloud), 0.5, np.float32)
    values[3] = np.nan
    broken = answer(cloud, point_scores=values, object_score=float("nan"))
    result = written_result(tmp_path, cloud, broken)
    record = json.loads(result.json_path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert record["object_score"] is None
    assert record["verdict"]["reasons"][0]["code"] == "score_not_finite"
    assert record["color_range"]["source"] == "point_threshold"


def test_an_anomaly_of_specks_only_lists_the_worst(tmp_path):
    cloud = part(tmp_path)
    values = np.full(len(cloud), 0.5, np.float32)
    values[[5, 300]] = 9.0
    record = written_result(tmp_path, cloud, answer(cloud, point_scores=values)).record
    (region,) = record["regions"]
    assert region["point_count"] == 1
    nothing = written_result(tmp_path, cloud, answer(cloud, point_scores=np.zeros(len(cloud), np.float32))).record
    assert nothing["regions"] == []
    assert "No point stands out" in nothing["warnings"][-1]


def test_a_defect_below_the_point_limit_is_listed_whole_with_its_kind(tmp_path):
    cloud = part(tmp_path)
    dent = (np.abs(cloud.points[:, :2] - (1010, -490)) <= 2).all(axis=1)
    values = np.where(dent, 0.8, 0.25).astype(np.float32)
    (region,) = written_result(tmp_path, cloud, answer(cloud, point_scores=values)).record["regions"]
    assert (region["point_count"], region["kind"]) == (dent.sum(), "depression")
    negative = written_result(tmp_path, cloud, answer(cloud, point_scores=values - 5)).record
    assert [one["point_count"] for one in negative["regions"]] == [dent.sum()]


def test_an_ok_lists_nothing(tmp_path):
    cloud = part(tmp_path)
    values = np.full(len(cloud), 0.5, np.float32)
    values[:50] = 9.0
    assert written_result(tmp_path, cloud, answer(cloud, point_scores=values)).record["region_count"] > 0
    good = written_result(tmp_path, cloud, answer(cloud, point_scores=values, is_anomalous=False)).record
    assert (good["regions"], good["region_count"]) == ([], 0)


def test_a_cloud_from_memory_is_called_scan_or_as_the_caller_says(tmp_path):
    cloud = PointCloud(part(tmp_path).points)
    assert written_result(tmp_path, cloud, answer(cloud)).scored_path.name == f"scan{SCORED}"
    result = written_result(tmp_path, cloud, answer(cloud), stem="belt 7.a")
    assert result.scored_path.name == f"belt 7.a{SCORED}"
    assert result.record["scan"] == {"file": None, "sha256": None}
    with pytest.raises(ValueError, match="650"):
        written_result(tmp_path, cloud, answer(cloud, point_scores=np.zeros(650, np.float32)), stem="x")


def test_a_folder_that_cannot_be_written_is_an_error_without_leftovers(tmp_path):
    cloud = part(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="file"):
        written_result(tmp_path / "file", cloud, answer(cloud))
    (tmp_path / "out" / "part.json").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"part\.json"):
        written_result(tmp_path / "out", cloud, answer(cloud))
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    with pytest.raises(BadInput, match="nothing here"):
        file_sha256(tmp_path / "nothing here")


def test_the_summary_has_one_line_per_scan(tmp_path):
    cloud = part(tmp_path)
    bad = written_result(tmp_path, cloud, answer(cloud), model="m, n", unit="mm", stem="bad")
    fine = answer(cloud, point_scores=np.zeros(len(cloud), np.float32), object_score=0.5, is_anomalous=False)
    good = written_result(tmp_path, cloud, replace(fine, alignment=None, timings={}), stem="good")
    doubt = Verdict(Status.RECHECK, (Reason("too_few_points", "Few."), Reason("unit_doubtful", "Odd.")))
    timed = replace(fine, timings={"align": 1.0, "total": 1.5})
    odd = written_result(tmp_path, cloud, timed, stem="odd", verdict=doubt)
    target = write_summary(tmp_path, [bad, good, odd])
    assert target == tmp_path / "summary.csv"
    with target.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == tuple(COLUMNS)
    assert [line["verdict"] for line in lines] == ["NG", "OK", "RECHECK"]
    assert lines[0]["model"] == "m, n"
    assert [float(lines[0][key]) for key in ("worst_x", "worst_y", "worst_z")] == pytest.approx((1010, -490, 20))
    assert float(lines[0]["worst_length"]) == pytest.approx(4, abs=1e-3)
    assert (lines[0]["regions"], lines[0]["is_anomalous"], lines[0]["seconds"]) == ("1", "true", "0.75")
    assert (lines[1]["worst_x"], lines[1]["alignment_residual"], lines[1]["seconds"]) == ("", "", "")
    assert lines[2]["seconds"] == "1.5", "the total already holds its parts"
    assert lines[2]["reasons"] == "too_few_points unit_doubtful"
    write_summary(tmp_path, [])
    assert (tmp_path / "summary.csv").read_text().strip() == ",".join(COLUMNS)


@pytest.mark.parametrize(
    ("paths", "stems"),
    [
        (["/a/x.ply", "/a/y.ply"], ["x", "y"]),
        (["/a/x.ply", "/a/x.pcd"], ["x_ply", "x_pcd"]),
        (["/a/x.ply", "/b/x.ply"], ["a__x", "b__x"]),
        (["/l1/a/x.ply", "/l2/a/x.ply", "/l2/b/x.ply", "/l2/y.ply"], ["l1__a__x", "l2__a__x", "l2__b__x", "y"]),
        (["/a/x.ply", "/b/x.ply", "/b/x.pcd"], ["a__x_ply", "b__x_ply", "b__x_pcd"]),
        (["/a/x.ply", "/a/x.ply"], ["x", "x~2"]),
        (["/a/Part.ply", "/b/part.ply"], ["a__Part", "b__part"]),
        (["/a/x.ply", "/b/x.ply", "/c/a__x.ply"], ["a__x", "b__x", "a__x~2"]),
        (["/x.ply", "/a/x.ply"], ["x", "a__x"]),
        ([], []),
    ],
)
def test_stems_tell_scans_apart(paths, stems):
    assert result_stems([Path(path) for path in paths]) == stems


def test_stems_of_a_large_random_batch_are_unique_and_stable(rng):
    paths = [
        Path("/", *rng.choice(["a", "b", "A"], rng.integers(1, 4)), f"{rng.choice(['x', 'X', 'y'])}.{end}")
        for end in ("ply", "pcd")
        for _ in range(20)
    ]
    paths = list(dict.fromkeys(paths))
    stems = result_stems(paths)
    assert len({stem.casefold() for stem in stems}) == len(paths)
    assert result_stems(paths) == stems


@pytest.mark.parametrize("known", ["everything", "the least"])
def test_results_keep_to_the_published_schema(tmp_path, known):
    cloud = part(tmp_path)
    scores = answer(cloud, missing=cloud.points[:0], score_length=40.0)
    if known == "the least":
        scores = Scores(scores.point_scores, float("nan"))
    calibration = Calibration(left_out=GoodScores((1.0, 2.0), (0.5, 0.6)), source="two good scans")
    found = ThresholdCalibrated(kind="calibration", **calibration.provenance(0.5))
    source = found if known == "everything" else None
    result = written_result(tmp_path / "out", cloud, scores, threshold_source=source)
    schema = Result.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(result.json_path.read_text()), schema, jsonschema.Draft202012Validator)
    assert schema["properties"]["schema_version"]["const"] == SCHEMA_VERSION


def test_scores_that_are_no_numbers_keep_to_the_schema_too(tmp_path):
    cloud = part(tmp_path)
    nowhere = np.full(len(cloud), np.nan, np.float32)
    scores = answer(cloud, point_scores=nowhere, distances=nowhere, deviation=nowhere)
    record = json.loads(written_result(tmp_path, cloud, scores).json_path.read_text())
    assert record["point_scores"]["max"] is None
    jsonschema.validate(record, Result.json_schema(), jsonschema.Draft202012Validator)


def test_an_old_record_does_not_stay_beside_new_clouds(tmp_path, monkeypatch):
    cloud = part(tmp_path)
    old = written_result(tmp_path / "out", cloud, answer(cloud), model="old")

    def no_room(path: Path, _: object) -> None:
        raise BadInput(f"{path} cannot be written")

    monkeypatch.setattr("dusnet.result.scan_result.write_json", no_room)
    with pytest.raises(BadInput):
        written_result(tmp_path / "out", cloud, answer(cloud), model="new")
    assert old.scored_path.exists()
    assert not old.json_path.exists()


def test_the_schema_refuses_what_is_not_documented(tmp_path):
    record = written_result(tmp_path / "out", part(tmp_path), answer(part(tmp_path))).record
    for wrong in ({"regions": [record["regions"][0] | {"kind": "odd"}]}, {"surprise": 1}, {"schema_version": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(record | wrong, Result.json_schema(), jsonschema.Draft202012Validator)
