"""Pictures: the right thing in the right place, never blank, never cut off."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dusnet.colors.color_maps import ANCHORS, BACKGROUND, STRAY, heat_colors
from dusnet.colors.deviation_bands import DeviationBands
from dusnet.display.camera import Camera, Crop, look_at, look_at_highest, toward_defect
from dusnet.display.panels import Panel, camera_of, heat_limits
from dusnet.display.picture import draw_picture
from dusnet.display.raster import draw_points

FRONT = Camera(np.zeros(3), 1.0, np.eye(3))
WHOLE = Crop((0.0, 0.0), 40.0)


def sphere(generator: np.random.Generator, count: int = 4000) -> np.ndarray:
    points = generator.normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def drawn(image: np.ndarray) -> np.ndarray:
    return (image != np.array(BACKGROUND)).any(axis=-1)


def redness(image: np.ndarray) -> np.ndarray:
    return image[..., 0].astype(int) - image[..., 2].astype(int)


def test_a_sphere_is_a_closed_disc_of_the_right_size(rng):
    points = sphere(rng)
    image = draw_points(points, np.full((len(points), 3), 180, np.uint8), FRONT, WHOLE, (100, 100))
    assert image.shape == (100, 100, 3)
    y, x = np.mgrid[:100, :100] - 49.5
    # the outline of a unit sphere seen from 5 radii is a circle of radius 5 / sqrt(24) in its middle plane
    distance = np.hypot(x, y) / 40.0 / (5.0 / np.sqrt(24.0))
    assert drawn(image)[distance < 0.97].all()
    assert not drawn(image)[distance > 1.06].any()


def test_the_nearer_surface_hides_the_farther_one(rng):
    plane = np.column_stack([rng.random((3000, 2)) * 1.6 - 0.8, np.zeros(3000)])
    shift = np.array([0.0, 0.0, 0.3])
    points = np.concatenate([plane - shift, plane + shift])
    colors = np.repeat(np.array([[0, 0, 200], [200, 0, 0]], np.uint8), 3000, axis=0)
    front = draw_points(points, colors, FRONT, WHOLE, (80, 80))[20:60, 20:60]
    assert (redness(front) > 0).all()
    turned = Camera(np.zeros(3), 1.0, np.diag([-1.0, 1.0, -1.0]))
    assert (redness(draw_points(points, colors, turned, WHOLE, (80, 80))[20:60, 20:60]) < 0).all()


def test_right_is_right_and_up_is_up():
    points = np.array([[0.8, 0.0, 0.0], [0.0, 0.8, 0.0]])
    colors = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)
    image = draw_points(points, colors, FRONT, WHOLE, (100, 100)).astype(int)
    red, blue = np.argwhere(redness(image) > 50), np.argwhere(redness(image) < -50)
    np.testing.assert_allclose(red.mean(axis=0), [49.5, 81.5], atol=1.5)
    np.testing.assert_allclose(blue.mean(axis=0), [17.5, 49.5], atol=1.5)


def test_the_picture_does_not_depend_on_the_order_of_points(rng):
    points = sphere(rng, 1500)
    colors = rng.integers(0, 255, (1500, 3)).astype(np.uint8)
    order = rng.permutation(1500)
    first = draw_points(points, colors, FRONT, WHOLE, (64, 64), points)
    second = draw_points(points[order], colors[order], FRONT, WHOLE, (64, 64), points[order])
    assert (first != second).any(axis=-1).mean() < 0.01  # equal depths may swap owners


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_handful_of_points_is_drawn(rng, count):
    assert drawn(
        draw_points(rng.random((count, 3)) - 0.5, np.zeros((count, 3), np.uint8), FRONT, WHOLE, (60, 60))
    ).any()


def test_the_camera_faces_what_matters(rng):
    points = sphere(rng)
    for target in (np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, -1.0])):
        weight = np.maximum(points @ target - 0.9, 0.0)
        camera = look_at(points, toward=weight)
        assert camera.axes[2] @ target > 0.4
        np.testing.assert_allclose(camera.axes @ camera.axes.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(camera.axes) > 0


def test_a_scan_of_one_side_is_seen_from_that_side(rng):
    points = sphere(rng)
    points = points[points @ np.array([0.6, 0.0, 0.8]) > 0.2]
    points = np.concatenate([points, rng.normal(size=(400, 3)) * [0.01, 0.01, 0.01] + [0.3, 0.0, 0.4]])
    assert look_at(points).axes[2] @ [0.6, 0.0, 0.8] > 0.6


def test_a_defect_is_looked_at_from_outside_whatever_the_sign_of_its_normal(rng):
    points = sphere(rng)
    for axis in (np.array([0.0, 0.6, 0.8]), np.array([-1.0, 0.0, 0.0])):
        members = points[points @ axis > 0.95]
        for normal in (None, axis, -axis):
            direction = toward_defect(points, members, axis, np.zeros(3), 1.0, normal)
            assert direction @ axis > 0.95
            assert np.linalg.norm(direction) == pytest.approx(1.0)
    lonely = toward_defect(points, np.zeros((0, 3)), np.array([0.0, 2.0, 0.0]), np.zeros(3), 1.0)
    np.testing.assert_allclose(lonely, [0.0, 1.0, 0.0])


def test_large_coordinates_draw_the_same_picture(tmp_path, rng):
    points = np.round(sphere(rng, 800) * 4096) / 4096 * [3.0, 2.0, 1.0]
    offset = np.array([2.0**19, 2.0**22, 256.0])
    draw_picture(tmp_path / "a.png", [[Panel("a", points)]], width=200)
    draw_picture(tmp_path / "b.png", [[Panel("a", points + offset)]], width=200)
    first, second = (np.asarray(Image.open(tmp_path / name)).astype(int) for name in ("a.png", "b.png"))
    assert first.shape == second.shape
    assert (np.abs(first - second).max(axis=-1) > 8).mean() < 0.01


def test_picture_of_panels(tmp_path, rng):
    points = sphere(rng)
    values = np.where(points[:, 0] > 0.8, 0.7, 0.0)
    target = tmp_path / "deep" / "picture.png"
    panels = [Panel("scan", points, values=values, caption="score 1"), Panel("surface", points[::2])]
    draw_picture(target, [panels], width=900, title="sphere", threshold=0.5)
    image = np.asarray(Image.open(target)).astype(int)
    assert image.shape[1] == 900
    assert image.std() > 20
    ink = drawn(image)
    assert not ink[:, :3].any()
    assert not ink[:, -3:].any()
    assert not ink[:3].any()
    assert not ink[-3:].any()
    bar = image[-60:]
    assert (redness(image[:-80, :450]) > 60).sum() > 100  # the hot cap is turned to the camera
    assert (redness(image[:-80, 450:]) > 60).sum() == 0  # and only the scan is painted
    assert (np.abs(bar - np.array(ANCHORS[-1])).sum(axis=-1) < 12).any()
    assert list(tmp_path.rglob("*")) == [tmp_path / "deep", target]


def test_every_panel_keeps_inside_its_frame(tmp_path, rng):
    tall = sphere(rng) * [0.2, 0.2, 3.0]
    flat = sphere(rng) * [3.0, 2.0, 0.01]
    rows = [[Panel("tall", tall), Panel("flat", flat, scene=1)], [Panel("alone", flat)]]
    draw_picture(tmp_path / "p.png", rows, width=600)
    ink = drawn(np.asarray(Image.open(tmp_path / "p.png")))
    assert not ink[:, [0, 1, 299, 300, 598, 599]].any()
    assert ink[:, :290].any()
    assert ink[:, 310:].any()


def test_long_words_are_shortened_not_cut(tmp_path, rng):
    panel = Panel("a very long file name indeed, " * 9, sphere(rng, 500), caption="ever so many words " * 20)
    draw_picture(tmp_path / "p.png", [[panel, panel]], width=500, title="title " * 60)
    ink = drawn(np.asarray(Image.open(tmp_path / "p.png")))
    assert not ink[:, [0, 1, 498, 499]].any()
    assert not ink[45:, 249:251].any()  # below the title, panels keep to themselves


def test_range_of_the_heat_map():
    points = np.zeros((1000, 3))
    values = np.linspace(0.0, 1.0, 1000)
    assert heat_limits([Panel("a", points, values=values)]) == (0.0, pytest.approx(0.998))
    assert heat_limits([Panel("a", points, values=values)], 0.3) == (0.0, 0.6)
    assert heat_limits([Panel("a", points, values=np.zeros(1000))]) == (0.0, 1.0)
    assert heat_limits([Panel("a", points)]) == (0.0, 1.0)
    low, _ = heat_limits([Panel("a", points, values=values - 2.0)])
    assert low == -2.0
    assert heat_limits([Panel("a", points, values=np.full(1000, np.nan))]) == (0.0, 1.0)


def test_panels_are_painted_by_values_then_colours_then_grey(rng):
    points, colors = rng.random((3, 3)), np.array([[1, 2, 3]] * 3, np.uint8)
    values = np.array([0.0, 0.5, 1.0])
    np.testing.assert_array_equal(
        Panel("a", points, values=values, colors=colors).painted((0.0, 1.0)), heat_colors(values, 0.0, 1.0)
    )
    np.testing.assert_array_equal(Panel("a", points, colors=colors).painted((0.0, 1.0)), colors)
    assert len({tuple(color) for color in Panel("a", points).painted((0.0, 1.0))}) == 1


def test_infinite_scores_do_not_break_the_camera(rng):
    values = np.zeros(1000)
    values[3], values[4] = np.inf, np.nan
    points = sphere(rng, 1000)
    camera = camera_of([Panel("a", points, values=values)])
    assert np.isfinite(camera.axes).all()
    values = np.where(points[:, 0] > 0.9, np.inf, 0.1)
    assert look_at_highest(points, np.append(values[:-1], 0.2)).axes[2] @ [1.0, 0.0, 0.0] > 0.4


def test_stray_points_are_grey_in_heat_and_bands(rng):
    points, stray = rng.random((3, 3)), np.array([False, True, False])
    values = np.array([0.0, 0.5, 1.0])
    for bands in (None, DeviationBands(0.5, 0.5)):
        plain = Panel("a", points, values=values, bands=bands).painted((0.0, 1.0))
        grey = Panel("a", points, values=values, bands=bands, stray=stray).painted((0.0, 1.0))
        np.testing.assert_array_equal(grey[~stray], plain[~stray])
        assert tuple(grey[1]) == STRAY


def test_no_panels_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one panel"):
        draw_picture(tmp_path / "p.png", [[]])
    with pytest.raises(ValueError, match="no panel may be empty"):
        draw_picture(tmp_path / "p.png", [[Panel("a", np.zeros((0, 3)))]])
