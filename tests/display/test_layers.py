"""Colours, counts and marks of each layer, against loops over points."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from view_results import THRESHOLD, scores_of, sphere, write_result

from dusnet.cloud import PointCloud
from dusnet.display.color_maps import ANCHORS, NEUTRAL, heat_colors
from dusnet.display.layers import (
    DEFECT,
    PALE,
    Layer,
    State,
    box_edges,
    brightness,
    count_line,
    defect_count_at,
    defects_at,
    first_threshold,
    heat_span,
    layer_cloud,
    layer_colors,
    layers_of,
    shown_points,
    spacing,
    threshold_range,
    verdict_line,
)
from dusnet.display.loaded_result import LoadedResult, read_loaded_result
from dusnet.errors import BadInput
from dusnet.inspection.regions import find_regions


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
    assert verdict_line(loaded) == "NG, score 2.5, threshold 1, 1,500 points"


def test_a_record_that_cannot_be_read_is_one_sentence(tmp_path, monkeypatch):
    path = write_result(tmp_path)

    def refused(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", refused)  # whoever runs the tests may be allowed to read everything
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
    assert layers_of(loaded) == [Layer.HEAT, Layer.DEFECTS, Layer.INPUT, Layer.RECONSTRUCTION]
    assert layers_of(read_loaded_result(tmp_path / "part.scored.ply", reconstruction=False))[-1] is Layer.INPUT
    plain = LoadedResult("scan", PointCloud(sphere(9), labels=np.arange(9) > 4))
    assert layers_of(plain) == [Layer.INPUT, Layer.TRUTH]
    assert len(layer_cloud(loaded, Layer.RECONSTRUCTION)) == 500
    with pytest.raises(ValueError, match="no reconstruction"):
        layer_cloud(plain, Layer.RECONSTRUCTION)
    with pytest.raises(ValueError, match="no scores"):
        layer_colors(plain, Layer.HEAT, None)


@pytest.mark.parametrize("threshold", [None, -1.0, 0.2, 0.5, THRESHOLD, 2.7, 99.0])
def test_defects_are_the_points_above(loaded, threshold):
    scores = loaded.scores.copy()
    scores[[3, 4, 5]] = np.nan, np.inf, -np.inf
    changed = replace(loaded, scores=scores)
    colors = layer_colors(changed, Layer.DEFECTS, threshold)
    count = 0
    for color, score in zip(colors, scores, strict=True):
        marked = threshold is not None and score > threshold
        count += marked
        assert tuple(color) == (DEFECT if marked else PALE)
    if threshold is not None:
        assert count_line(changed, threshold).startswith(f"{count:,} of 1,500 points above")


def test_the_other_layers_do_not_depend_on_the_threshold(loaded):
    np.testing.assert_array_equal(layer_colors(loaded, Layer.HEAT, 0.1), heat_colors(loaded.scores, 0.0, 2 * THRESHOLD))
    assert (layer_colors(loaded, Layer.INPUT, 0.1) == NEUTRAL).all()
    assert layer_colors(loaded, Layer.RECONSTRUCTION, 0.1).shape == (500, 3)
    own = np.arange(27, dtype=np.uint8).reshape(9, 3)
    plain = LoadedResult("scan", PointCloud(sphere(9), colors=own, labels=np.arange(9) > 4))
    np.testing.assert_array_equal(layer_colors(plain, Layer.INPUT, None), own)
    np.testing.assert_array_equal(layer_colors(plain, Layer.TRUTH, None)[5:], np.tile(ANCHORS[3], (4, 1)))


def test_defects_of_the_result_at_its_threshold_and_found_anew_at_others(loaded):
    assert defects_at(loaded, THRESHOLD) is loaded.defects
    assert defects_at(loaded, None) == ()
    for threshold in (0.5, 2.7):
        regions = find_regions(loaded.cloud.points, loaded.scores, threshold)
        found = defects_at(loaded, threshold)
        assert [defect.point_count for defect in found] == [region.point_count for region in regions]
        assert defect_count_at(loaded, threshold, found) == len(regions) == 1
    many = replace(loaded, defect_count=70)
    assert defect_count_at(many, THRESHOLD, many.defects) == 70
    assert defect_count_at(many, 0.5, many.defects) == 1
    holed = replace(loaded, scores=np.where(np.arange(1500) == 2, np.nan, loaded.scores))
    assert len(defects_at(holed, 0.5)) == 1


def test_boxes_hold_their_points_and_have_twelve_edges(loaded):
    edges = box_edges(loaded.defects * 2)
    assert edges.shape == (24, 2, 3)
    inside = loaded.cloud.points[loaded.scores > THRESHOLD]
    np.testing.assert_allclose(edges.reshape(-1, 3).min(axis=0), inside.min(axis=0))
    np.testing.assert_allclose(edges.reshape(-1, 3).max(axis=0), inside.max(axis=0))
    assert ((edges[:, 0] != edges[:, 1]).sum(axis=1) == 1).all()  # along one axis each
    assert len({edge.tobytes() for edge in edges[:12]}) == 12
    assert box_edges(()).shape == (0, 2, 3)


def test_thresholds_to_choose_from(loaded):
    assert first_threshold(loaded) == THRESHOLD
    assert threshold_range(loaded) == (0.0, pytest.approx(loaded.scores.max()))
    high = replace(loaded, scores=loaded.scores * 100)
    assert threshold_range(high) == (0.0, pytest.approx(10 * THRESHOLD))
    unsaid = replace(loaded, point_threshold=None, color_range=None)
    assert first_threshold(unsaid) == heat_span(unsaid)[1] == pytest.approx(np.quantile(loaded.scores, 0.998))
    below = replace(unsaid, scores=loaded.scores - 5)
    assert threshold_range(below)[0] == pytest.approx(-4.8)
    for scores in (np.zeros(1500), np.full(1500, np.nan)):
        low, top = threshold_range(replace(unsaid, scores=scores))
        assert low <= first_threshold(replace(unsaid, scores=scores)) <= top
        assert low < top
    assert first_threshold(LoadedResult("scan", loaded.cloud)) is None
    assert count_line(LoadedResult("scan", loaded.cloud), None) == "not scored"


def test_big_scans_are_thinned_without_losing_what_matters():
    points = sphere(5000)
    scores = scores_of(points)
    scores[7] = np.nan
    np.testing.assert_array_equal(shown_points(10, None, 10), np.arange(10))
    shown = shown_points(5000, scores, 1000)
    assert len(shown) == len(set(shown)) == 1000
    assert (np.diff(shown) > 0).all()
    np.testing.assert_array_equal(shown, shown_points(5000, scores, 1000))
    assert set(np.argsort(-np.nan_to_num(scores, nan=-1))[:250]) <= set(shown)
    assert len(shown_points(5000, None, 1000)) == 1000
    assert abs(points[shown_points(5000, None, 1000)].mean()) < 0.05


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


def test_after_the_last_scan_comes_the_first():
    assert [State(scan).stepped(1, 3).scan for scan in range(3)] == [1, 2, 0]
    assert State(0, Layer.HEAT).stepped(-1, 3) == State(2, Layer.HEAT)


def test_ground_truth_of_a_scored_scan(tmp_path):
    path = write_result(tmp_path)
    from dusnet.io import write_cloud

    points = sphere()
    label = (points[:, 0] > 0.9).astype(np.uint8)
    write_cloud(path, PointCloud(points), scalars={"anomaly_score": scores_of(points), "label": label})
    loaded = read_loaded_result(path)
    assert layers_of(loaded)[-1] is Layer.TRUTH
    marked = (layer_colors(loaded, Layer.TRUTH, None) == ANCHORS[3]).all(axis=1)
    np.testing.assert_array_equal(marked, label > 0)
    assert json.loads((tmp_path / "part.json").read_text())["unit"] == loaded.unit
