"""Colours, counts and marks of each layer, against loops over points."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from view_results import THRESHOLD, scores_of, sphere, write_result

from dusnet.cloud import PointCloud
from dusnet.colors.color_maps import ANCHORS, BESIDE_DEFECT, DEFECT, NEUTRAL, STRAY, heat_colors
from dusnet.display.camera import brightness
from dusnet.display.loaded_result import LoadedResult, read_loaded_result
from dusnet.display.scene import Layer, Scene, defect_boxes
from dusnet.display.thinning import drawn_lots, highest, shown_points, spacing
from dusnet.display.wording import coverage
from dusnet.errors import BadInput
from dusnet.inspection.regions import find_regions
from dusnet.words import counted


@pytest.fixture
def loaded(tmp_path) -> LoadedResult:
    return read_loaded_result(write_result(tmp_path))


def test_a_result_is_read_whole(loaded):
    assert (loaded.name, loaded.verdict, loaded.unit) == ("part", "NG", "mm")
    assert loaded.reasons == ("The score 2.5 is above <1>.",)
    assert (loaded.object_score, loaded.threshold, loaded.point_threshold) == (2.5, 1.0, THRESHOLD)
    assert loaded.cloud.colors is None  # those of the file are heat
    assert loaded.reconstruction is not None
    assert loaded.defects is not None
    assert len(loaded.defects) == loaded.defect_count == 1
    assert loaded.finding is not None
    assert loaded.finding.startswith("NG: defect, ")
    assert Scene(loaded).verdict_line == f"{loaded.finding} 1,500 points"


def test_a_record_that_cannot_be_read_is_one_sentence(tmp_path, monkeypatch):
    path = write_result(tmp_path)

    read = type(path).read_bytes

    def refused(file: Path) -> bytes:  # whoever runs the tests may be allowed to read everything
        if file.suffix == ".json":
            raise PermissionError(13, "Permission denied")
        return read(file)

    monkeypatch.setattr(type(path), "read_bytes", refused)
    with pytest.raises(BadInput, match=r"part\.json cannot be read \(Permission denied\); check its permissions\.$"):
        read_loaded_result(path)


@pytest.mark.parametrize("data", [b"{", b"[" * 100_000, b"\xff\xfe"])
def test_a_record_that_is_no_json_is_one_sentence(tmp_path, data):
    path = write_result(tmp_path)
    (tmp_path / "part.json").write_bytes(data)
    with pytest.raises(BadInput, match=r"part\.json is no valid JSON"):
        read_loaded_result(path)


@pytest.mark.parametrize(
    "changes",
    [{"regions": [{"id": 7, "center": [0, 0, 1], "size": [3, 2, 1]}]}, {"regions": None}, {"unit": 3}, {"more": {}}],
)
def test_a_record_of_another_version_is_one_sentence(tmp_path, changes):
    with pytest.raises(BadInput, match=r"part\.json is a damaged result or one of another version; score the scan"):
        read_loaded_result(write_result(tmp_path, **changes))


def test_layers_that_there_are(loaded, tmp_path):
    assert Scene(loaded).layers == (Layer.HEAT, Layer.DEFECTS, Layer.INPUT, Layer.RECONSTRUCTION)
    assert Scene(read_loaded_result(tmp_path / "part.scored.ply", reconstruction=False)).layers[-1] is Layer.INPUT
    plain = Scene(LoadedResult("scan", PointCloud(sphere(9), labels=np.arange(9) > 4)))
    assert plain.layers == (Layer.INPUT, Layer.TRUTH)
    assert len(Scene(loaded).cloud(Layer.RECONSTRUCTION)) == 500
    with pytest.raises(ValueError, match="no reconstruction"):
        plain.cloud(Layer.RECONSTRUCTION)
    with pytest.raises(ValueError, match="no scores"):
        plain.colors(Layer.HEAT)


@pytest.mark.parametrize("threshold", [None, -1.0, 0.2, 0.5, THRESHOLD, 2.7, 99.0])
def test_defects_are_the_points_above(loaded, threshold):
    scores = loaded.scores.copy()
    scores[[3, 4, 5]] = np.nan, np.inf, -np.inf
    changed = Scene(replace(loaded, scores=scores))
    colors = changed.colors(Layer.DEFECTS, threshold)
    count = 0
    for color, score in zip(colors, scores, strict=True):
        marked = threshold is not None and score > threshold
        count += marked
        assert tuple(color) == (DEFECT if marked else BESIDE_DEFECT)
    if threshold is not None:
        assert changed.count_line(threshold).startswith(f"{count:,} of 1,500 points above")


def test_the_other_layers_do_not_depend_on_the_threshold(loaded):
    scene = Scene(loaded)
    np.testing.assert_array_equal(scene.colors(Layer.HEAT, 0.1), heat_colors(loaded.scores, 0.0, 2 * THRESHOLD))
    assert (scene.colors(Layer.INPUT, 0.1) == NEUTRAL).all()
    assert scene.colors(Layer.RECONSTRUCTION, 0.1).shape == (500, 3)
    own = np.arange(27, dtype=np.uint8).reshape(9, 3)
    plain = Scene(LoadedResult("scan", PointCloud(sphere(9), colors=own, labels=np.arange(9) > 4)))
    np.testing.assert_array_equal(plain.colors(Layer.INPUT), own)
    np.testing.assert_array_equal(plain.colors(Layer.TRUTH)[5:], np.tile(ANCHORS[3], (4, 1)))


def test_defects_of_the_result_at_its_threshold_and_found_anew_at_others(loaded):
    scene = Scene(loaded)
    assert scene.defects(THRESHOLD) is loaded.defects
    assert scene.defects(None) == ()
    for threshold in (0.5, 2.7):
        regions = find_regions(loaded.cloud.points, loaded.scores, threshold)
        found = scene.defects(threshold)
        assert [defect.point_count for defect in found] == [region.point_count for region in regions]
        assert scene.defect_count(threshold, found) == len(regions) == 1
    many = Scene(replace(loaded, defect_count=70))
    assert many.defect_count(THRESHOLD, loaded.defects) == 70
    assert many.defect_count(0.5, loaded.defects) == 1
    holed = replace(loaded, scores=np.where(np.arange(1500) == 2, np.nan, loaded.scores))
    assert len(Scene(holed).defects(0.5)) == 1


def test_boxes_hold_their_points_and_have_twelve_edges(loaded):
    edges = defect_boxes(loaded.defects * 2)
    assert edges.shape == (24, 2, 3)
    inside = loaded.cloud.points[loaded.scores > THRESHOLD]
    np.testing.assert_allclose(edges.reshape(-1, 3).min(axis=0), inside.min(axis=0))
    np.testing.assert_allclose(edges.reshape(-1, 3).max(axis=0), inside.max(axis=0))
    assert ((edges[:, 0] != edges[:, 1]).sum(axis=1) == 1).all()  # along one axis each
    assert len({edge.tobytes() for edge in edges[:12]}) == 12
    assert defect_boxes(()).shape == (0, 2, 3)


def test_thresholds_to_choose_from(loaded):
    assert Scene(loaded).threshold == THRESHOLD
    assert Scene(loaded).threshold_range == (0.0, pytest.approx(loaded.scores.max()))
    high = replace(loaded, scores=loaded.scores * 100)
    assert Scene(high).threshold_range == (0.0, pytest.approx(10 * THRESHOLD))
    unsaid = replace(loaded, point_threshold=None, color_range=None)
    assert Scene(unsaid).threshold == Scene(unsaid).heat_limits[1] == pytest.approx(np.quantile(loaded.scores, 0.998))
    below = replace(unsaid, scores=loaded.scores - 5)
    assert Scene(below).threshold_range[0] == pytest.approx(-4.8)
    for scores in (np.zeros(1500), np.full(1500, np.nan)):
        scene = Scene(replace(unsaid, scores=scores))
        low, top = scene.threshold_range
        assert low <= scene.threshold <= top
        assert low < top
    plain = Scene(LoadedResult("scan", loaded.cloud))
    assert plain.threshold is None
    assert plain.count_line(None) == "not scored"


def test_big_scans_are_thinned_without_losing_what_matters():
    points = sphere(5000)
    scores = scores_of(points)
    scores[7] = np.nan
    mask = highest(scores, 5000, 250)
    assert set(np.flatnonzero(mask)) == set(np.argsort(-np.nan_to_num(scores, nan=-1))[:250])
    assert not highest(None, 5000, 250).any()
    np.testing.assert_array_equal(shown_points(points[:10], mask[:10], 10, 2), np.arange(10))
    for select, least in ((drawn_lots, 1000), (None, 900)):
        shown = shown_points(points, mask, 1000, 250, select=select)
        assert least <= len(shown) == len(set(shown)) <= 1000
        assert (np.diff(shown) > 0).all()
        np.testing.assert_array_equal(shown, shown_points(points, mask, 1000, 250, select=select))
        assert set(np.flatnonzero(mask)) <= set(shown)
        others = shown_points(points, np.zeros(5000, bool), 1000, 250, select=select)
        assert least <= len(others) <= 1000
        assert abs(points[others].mean()) < 0.05


def test_a_layer_is_drawn_as_its_camera_sees_it(loaded):
    scene = Scene(loaded)
    drawn = scene.drawn(Layer.HEAT, 1000)
    assert len(drawn.index) == len(drawn.points) == len(drawn.shade) <= 1000
    turned = (loaded.cloud.points[drawn.index] - scene.camera.center) / scene.camera.radius @ scene.camera.axes.T
    np.testing.assert_allclose(drawn.points, turned)
    cap = drawn.points[loaded.scores[drawn.index] > THRESHOLD]
    assert cap.mean(axis=0)[2] > 0.5  # the defect faces the viewer
    colors = scene.colors(Layer.HEAT)[drawn.index]
    assert (drawn.lit(colors) <= colors).all()
    few = Scene(LoadedResult("scan", PointCloud(sphere(2)))).drawn(Layer.INPUT, 9)
    np.testing.assert_array_equal(few.shade, [1.0, 1.0])


def test_stray_points_of_a_result_are_grey(tmp_path):
    from dusnet.io import write_cloud

    path, points = write_result(tmp_path), sphere()
    stray = np.arange(1500) < 3
    scalars = {"anomaly_score": scores_of(points), "stray": stray.astype(np.uint8)}
    write_cloud(path, PointCloud(points), scalars=scalars)
    colors = Scene(read_loaded_result(path)).colors(Layer.HEAT)
    assert (colors[stray] == STRAY).all()
    np.testing.assert_array_equal(colors[~stray], heat_colors(scores_of(points)[~stray], 0.0, 2 * THRESHOLD))


def test_counts_agree_with_their_nouns_and_full_coverage_is_exact():
    assert [counted(count, "defect") for count in (0, 1, 2, 1200)] == [
        "0 defects",
        "1 defect",
        "2 defects",
        "1,200 defects",
    ]
    shares = (0.0, 1e-9, 0.0004, 0.1, 0.3, 0.9, 1.0)
    assert [coverage(share) for share in shares] == ["100 %", "99.9 %", "99.9 %", "90.0 %", "70.0 %", "10.0 %", "0.0 %"]


def test_light_only_darkens_and_ignores_the_sign_of_normals():
    normals = sphere(200)
    bright = brightness(normals)
    np.testing.assert_allclose(bright, brightness(-normals))
    assert 0.55 <= bright.min() < 0.6
    assert 0.95 < bright.max() <= 1.0


def test_spacing_is_the_distance_between_points():
    grid = np.stack(np.meshgrid(np.arange(40.0), np.arange(40.0), [0.0]), axis=-1).reshape(-1, 3)
    assert spacing(grid * 0.3) == pytest.approx(0.3)
    assert spacing(np.zeros((5, 3))) > 0


def test_ground_truth_of_a_scored_scan(tmp_path):
    path = write_result(tmp_path)
    from dusnet.io import write_cloud

    points = sphere()
    label = (points[:, 0] > 0.9).astype(np.uint8)
    write_cloud(path, PointCloud(points), scalars={"anomaly_score": scores_of(points), "label": label})
    loaded = read_loaded_result(path)
    assert Scene(loaded).layers[-1] is Layer.TRUTH
    marked = (Scene(loaded).colors(Layer.TRUTH) == ANCHORS[3]).all(axis=1)
    np.testing.assert_array_equal(marked, label > 0)
    assert json.loads((tmp_path / "part.json").read_text())["unit"] == loaded.unit
