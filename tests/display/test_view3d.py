"""What is shown, against brute force: scales, thinning, counts, boxes, cameras, pictures."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image
from report_parts import CENTERS, ellipsoid, scored

from dusnet.cloud import PointCloud
from dusnet.colors.color_maps import NEUTRAL, srgb_to_lab
from dusnet.colors.deviation_bands import COLORS, DeviationBands
from dusnet.display.camera import SIDES
from dusnet.display.report.charts import TrendPoint, color_bar, counts_in, object_chart, point_chart, trend_chart
from dusnet.display.report.stills import Callout, draw_stills
from dusnet.display.report.view3d import view_data
from dusnet.display.scales import (
    ColorScale,
    PointField,
    ScaleMark,
    banded_scale,
    heat_scale,
    round_below,
    round_limit,
    round_numbers,
    signed_scale,
)
from dusnet.display.thinning import evenly, shown_points
from dusnet.inspection.regions import DefectKind
from dusnet.inspection.result_parts import Bounds, Defect


def moved(bounds: Bounds, offset: np.ndarray) -> Bounds:
    low, high = ((np.array(corner) + offset).tolist() for corner in (bounds.low, bounds.high))
    return Bounds(low=low, high=high)


def without_points(defect: Defect, *, low: tuple[float, ...], high: tuple[float, ...]) -> Defect:
    """Missing material in a box along the coordinate axes."""
    changes = {"axes": np.eye(3).tolist(), "size": (10.0, 6.0, 2.0), "bounds": Bounds(low=low, high=high)}
    made = defect.model_copy(update=changes | {"kind": DefectKind.MISSING_MATERIAL})
    made._indices = np.empty(0, dtype=np.intp)
    return made


def unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=f"<{kind}")


def test_a_small_scan_is_shown_whole():
    points = ellipsoid(500)
    np.testing.assert_array_equal(shown_points(points, np.arange(500) == 3, 500, 100), np.arange(500))


def test_thinning_keeps_every_point_of_the_defects(rng):
    points = ellipsoid(20_000)
    regions = [np.sort(rng.choice(20_000, 300, replace=False)) for _ in range(3)]
    flagged = np.isin(np.arange(20_000), np.concatenate(regions))
    index = shown_points(points, flagged, 2000, 1000)
    assert set(np.concatenate(regions)) <= set(index)
    assert len(index) <= 2000
    assert (np.diff(index) > 0).all()
    # evenly: no point of the scan is far from a shown one
    far = max(np.linalg.norm(points[index] - point, axis=1).min() for point in points[::97])
    assert far < 8.0


def test_a_stray_point_does_not_make_the_thinning_coarse():
    points = np.vstack([ellipsoid(20_000), [[1e5, 0.0, 0.0]]])
    with_stray, without = evenly(points, 2000), evenly(points[:-1], 2000)
    np.testing.assert_array_equal(with_stray, without)
    assert len(without) > 1900
    np.testing.assert_array_equal(evenly(points, 30_000), np.arange(20_001))


def test_regions_above_their_share_are_thinned_too():
    points = ellipsoid(20_000)
    index = shown_points(points, np.arange(20_000) < 10_000, 2000, 500)
    assert 300 < (index < 10_000).sum() <= 500
    assert len(index) <= 2000


def test_counts_agree_with_brute_force_and_lose_nothing(rng):
    values = np.concatenate([rng.normal(size=1000), [np.nan, np.inf, -np.inf, -9.0, 9.0, 0.5]])
    edges = np.linspace(-1.0, 1.0, 9)
    counts = counts_in(values, edges)
    finite = values[np.isfinite(values)]
    assert counts.sum() == len(finite)
    for place in range(8):
        low = -np.inf if place == 0 else edges[place]
        high = np.inf if place == 7 else edges[place + 1]
        assert counts[place] == ((finite >= low) & (finite < high)).sum()


def test_a_banded_scale_paints_each_band_its_own_color():
    scale = ColorScale(
        np.array([-1.0, -0.1, 0.1, 1.0]), np.array([[0, 0, 255], [0, 200, 0], [255, 0, 0]], np.uint8), banded=True
    )
    colors = scale.paint([-5.0, -0.5, -0.1, 0.0, 0.1, 7.0, np.nan])
    expected = [scale.colors[place].tolist() for place in (0, 0, 1, 1, 2, 2)] + [list(NEUTRAL)]
    assert colors.tolist() == expected
    assert scale.ticks() == [-1.0, -0.1, 0.1, 1.0]


@pytest.mark.parametrize("edges", [[0.0, 0.0], [1.0, 0.0], [0.0, np.nan], [0.0, 1.0, 2.0]])
def test_a_scale_that_makes_no_sense_is_refused(edges):
    with pytest.raises(ValueError):
        ColorScale(np.array(edges), np.zeros((1, 3), np.uint8))


def test_heat_grows_darker_and_signed_colors_are_told_apart_by_blue():
    lightness = srgb_to_lab(heat_scale(0.0, 1.0).colors)[:, 0]
    assert (np.diff(lightness) < 0).all()
    signed = signed_scale(1.0)
    low, high = signed.paint([-0.5, 0.5])
    assert int(low[2]) - int(low[0]) > 60
    assert int(high[0]) - int(high[2]) > 60


def test_edges_of_bands_are_written_where_no_mark_stands():
    scale = banded_scale(DeviationBands(0.2, 0.2))
    assert scale.ticks() == pytest.approx([-0.8, -0.6, -0.4, -0.2, 0.2, 0.4, 0.6, 0.8])
    assert scale.paint([-1.0, 0.0, 1.0]).tolist() == [list(COLORS[0]), list(COLORS[4]), list(COLORS[8])]


def on_every_edge() -> tuple[DeviationBands, np.ndarray]:
    """Bands whose edges single precision holds exactly, and deviations on, just inside and just outside of each."""
    bands = DeviationBands(0.5, 0.25)
    on = np.array([*bands.edges, 0.0], np.float32)
    beside = [np.nextafter(on, np.float32(end)) for end in (-np.inf, np.inf)]
    return bands, np.concatenate([on, *beside, [np.nan, np.inf, -np.inf]]).astype(np.float32)


def test_bands_on_a_page_are_painted_as_in_the_scored_cloud():
    bands, deviation = on_every_edge()
    scale = banded_scale(bands)
    np.testing.assert_array_equal(scale.paint(deviation), bands.colors(deviation))
    within = [(np.array(color) == scale.paint([0.5, -0.25])).all(axis=1).any() for color in COLORS]
    assert within == [False] * 3 + [True, False, True] + [False] * 3


def test_bars_of_bands_count_what_is_painted_so():
    bands, deviation = on_every_edge()
    finite = deviation[np.isfinite(deviation)]
    chart = point_chart(PointField("Deviation", deviation, banded_scale(bands), "mm"))
    assert chart is not None
    decades, tall = 1, 220 - 38 - 30 - 8  # no bar holds more than ten points
    for place, color in enumerate(COLORS):
        count = int((bands.colors(finite) == np.array(color)).all(axis=1).sum())
        red, green, blue = color
        bar = next(part for part in chart.split("<rect ") if f"#{red:02x}{green:02x}{blue:02x}" in part)
        height = float(bar.split('height="')[1].split('"')[0])
        assert height == pytest.approx(tall * (0.25 + np.log10(count)) / (decades + 0.25), abs=0.01), place


def test_a_scale_bar_is_the_longest_round_length_that_fits():
    values = (45.0, 20.0, 19.99, 0.00731, 1.0, 9999.0)
    assert [round_below(value) for value in values] == pytest.approx([20.0, 20.0, 10.0, 0.005, 1.0, 5000.0])


def test_round_numbers_lie_inside_and_are_round():
    assert round_numbers(0.0, 0.0165, 5) == [0.0, 0.005, 0.01, 0.015]
    assert round_numbers(-1.0, 1.0, 4) == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert round_numbers(3.0, 3.0, 4) == [3.0]
    assert round_limit(np.array([0.0, -0.31, 0.2], np.float32)) == pytest.approx(0.5)
    assert round_limit(np.array([np.nan], np.float32)) == 1.0


def test_the_scene_carries_exact_values_of_the_points_it_shows(tmp_path):
    result, cloud, scores = scored(tmp_path)
    offset = np.array([250_000.0, -4_000.0, 12.0])
    index = np.arange(0, len(cloud), 2)
    field = PointField("Anomaly score", scores.point_scores, heat_scale(0.0, 0.016))
    defects = [defect.model_copy(update={"bounds": moved(defect.bounds, offset)}) for defect in result.defects]
    scene = view_data(PointCloud(cloud.points + offset), index, [field], defects)
    np.testing.assert_array_equal(unpacked(scene["fields"][0]["values"], "f4"), scores.point_scores[index])
    np.testing.assert_array_equal(unpacked(scene["points"]["index"], "u4"), index)
    local = np.stack([unpacked(scene["points"][axis], "f4") for axis in "xyz"], axis=1)
    np.testing.assert_allclose(local + np.array(scene["origin"]), cloud.points[index] + offset, atol=1e-5)
    colors = unpacked(scene["fields"][0]["color"], "u2")
    assert colors.max() < len(scene["fields"][0]["palette"])
    brightest = [scene["fields"][0]["palette"][at // 8 * 8 + 7] for at in colors[:20]]
    expected = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in field.scale.paint(scores.point_scores[index][:20]).tolist()]
    assert brightest == expected


def test_a_stray_point_shrinks_nothing(tmp_path):
    result, cloud, scores = scored(tmp_path)
    strayed = np.vstack([cloud.points, [[3e4, -2e4, 1e4]]])
    values = np.append(scores.point_scores, np.float32(0.0))
    scenes = [
        view_data(
            PointCloud(points),
            np.arange(len(points)),
            [PointField("Anomaly score", values[: len(points)], heat_scale(0.0, 0.016))],
            result.defects,
            reconstruction=scores.reconstruction,
        )
        for points in (cloud.points, strayed)
    ]
    assert [scene["outside"] for scene in scenes] == [0, 1]
    for name in ("origin", "axes", "sides", "size", "defects"):
        assert scenes[0][name] == scenes[1][name], name
    eyes = [np.array([scene["camera"]["eye"][axis] for axis in "xyz"]) for scene in scenes]
    np.testing.assert_allclose(eyes[0], eyes[1], atol=0.02)
    reach = np.array([axis["range"] for axis in scenes[0]["axes"]])
    extremes = np.abs(cloud.points - scenes[0]["origin"]).max(axis=0)  # no point of a part without strays is cut off
    assert (reach[:, 1] > extremes).all()
    assert (reach[:, 1] < 1.15 * extremes).all()


def test_a_defect_far_from_the_part_is_in_the_view(tmp_path):
    result, cloud, _ = scored(tmp_path, defects=1)
    far = without_points(result.defects[0], low=(200.0, 0.0, 0.0), high=(202.0, 1.0, 1.0))
    scene = view_data(cloud, np.arange(len(cloud)), [], [far])
    low, high = (scene["axes"][0]["range"][end] + scene["origin"][0] for end in (0, 1))
    assert low < -60.0
    assert high > 202.0


def test_boxes_hold_their_defects_and_cameras_look_at_them_from_outside(tmp_path):
    result, cloud, scores = scored(tmp_path)
    field = PointField("Anomaly score", scores.point_scores, heat_scale(0.0, 0.016))
    scene = view_data(cloud, np.arange(len(cloud)), [field], result.defects)
    assert [defect["name"] for defect in scene["defects"]] == ["1", "2", "3"]
    for defect, region in zip(scene["defects"], result.defects, strict=True):
        corners = np.array(defect["lines"]) + scene["origin"]
        mine = cloud.points[region.indices]
        assert (corners.min(axis=0) < mine.min(axis=0)).all()
        assert (corners.max(axis=0) > mine.max(axis=0)).all()
        center, eye = (np.array([defect["camera"][name][axis] for axis in "xyz"]) for name in ("center", "eye"))
        outward = CENTERS[np.linalg.norm(CENTERS - region.center, axis=1).argmin()]
        assert (eye - center) @ outward / np.linalg.norm(eye - center) / np.linalg.norm(outward) > 0.9


def test_a_box_with_axes_of_its_own_is_turned_and_one_without_points_is_drawn(tmp_path):
    result, cloud, _ = scored(tmp_path, defects=1)
    defect = result.defects[0]
    turned = np.array([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    lacking = without_points(defect, low=(0.0, 0.0, -30.0), high=(10.0, 6.0, -20.0))
    own = defect.model_copy(update={"axes": turned.tolist(), "id": 7})
    first, second = view_data(cloud, np.arange(len(cloud)), [], [own, lacking])["defects"]
    edges = np.array(first["lines"]).reshape(12, 2, 3)
    directions = (edges[:, 1] - edges[:, 0]) / np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1, keepdims=True)
    assert np.abs(directions @ turned.T).max(axis=1) == pytest.approx(np.ones(12))
    assert first["name"] == "7"
    assert np.isfinite(second["lines"]).all()
    assert np.isfinite([second["camera"]["eye"][axis] for axis in "xyz"]).all()


def test_six_sides_show_what_faces_them():
    points = ellipsoid(6000)
    weight = (points[:, 0] > 55.0).astype(float)
    colors = np.where(weight[:, None] > 0, [200, 0, 0], [180, 190, 200]).astype(np.uint8)
    stills = draw_stills(points, colors, weight, [Callout(1, "1: -0.8 mm", np.array([60.0, 0.0, 0.0]))], "mm")
    for side in SIDES:
        right, up, toward = np.array(side.axes)
        np.testing.assert_array_equal(np.cross(right, up), toward)
    shown = {still.side.name: still.shown for still in stills.sides}
    assert shown["right"] == (1,)
    assert shown["left"] == ()
    red = {}
    for still in stills.sides:
        pixels = np.asarray(Image.open(io.BytesIO(still.jpeg)).convert("RGB")).astype(int)
        red[still.side.name] = int((pixels[..., 0] - pixels[..., 2] > 80).sum())
    assert max(red, key=red.__getitem__) == "right"
    assert red["left"] == 0
    thumbnail = np.asarray(Image.open(io.BytesIO(stills.thumbnail)).convert("RGB")).astype(int)
    assert (thumbnail[..., 0] - thumbnail[..., 2] > 80).any()
    assert len(stills.thumbnail) < 8000


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_handful_of_points_is_drawn(count):
    points = ellipsoid(count)
    assert len(draw_stills(points, np.zeros((count, 3), np.uint8), np.zeros(count), [], "").sides) == 6


def test_the_trend_does_not_hide_its_links_in_an_image():
    chart = trend_chart([TrendPoint("a", 0.3, 0.5, "OK", "./a.report.html")])
    assert chart is not None
    assert '<a href="./a.report.html"' in chart
    start = chart.split(">")[0]
    assert 'role="group"' in start
    assert 'aria-label="Scores of 1 scan ' in start
    assert 'role="img"' in (object_chart([0.1], 0.3, 0.5) or "")


def test_the_trend_keeps_the_order_of_the_batch():
    scans = [TrendPoint(f"s{place}", score, 0.5, "OK") for place, score in enumerate([0.3, 0.1, 0.2])]
    chart = trend_chart(scans)
    assert chart is not None
    places = [chart.index(f"s{place}: OK") for place in range(3)]
    assert places == sorted(places)
    heights = [float(part.split('"')[0]) for part in chart.split('cy="')[1:]]
    assert heights[0] < heights[2] < heights[1]  # higher scores are nearer to the upper edge


@pytest.mark.parametrize("scores", [[0.001, 5.0], [0.0, 0.0], [-1.0, 2.0], [float("nan"), 1.0]])
def test_charts_of_odd_numbers_hold_no_nan(scores):
    charts = [
        trend_chart([TrendPoint("a", score, None, "RECHECK") for score in scores]),
        object_chart(scores, scores[0], None),
        object_chart([], scores[1], 0.5),
        point_chart(PointField("x", np.array(scores, np.float32), heat_scale(0.0, 1.0, (ScaleMark(0.5, "limit"),)))),
    ]
    for chart in charts:
        assert chart is None or "nan" not in chart


def test_there_is_no_chart_without_anything_to_show():
    assert trend_chart([TrendPoint("a", float("nan"), 1.0, "RECHECK")]) is None
    assert object_chart([], 0.3, None) is None
    assert point_chart(PointField("x", np.array([np.nan], np.float32), heat_scale(0.0, 1.0))) is None


def test_the_colour_bar_names_marks_and_escapes():
    field = PointField("<b>", np.zeros(1, np.float32), heat_scale(0.0, 1.0, (ScaleMark(0.5, "limit <"),)), "mm")
    bar = color_bar(field)
    assert "limit &lt; 0.5" in bar
    assert "<b>" not in bar
