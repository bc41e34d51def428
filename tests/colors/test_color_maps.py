"""The heat map is ordered, clipped, and readable without hue."""

from __future__ import annotations

import numpy as np
import pytest

from dusnet.colors.color_maps import ANCHORS, NEUTRAL, heat_colors, heat_table, lab_to_srgb, label_colors, srgb_to_lab

# Machado, Oliveira and Fernandes 2009, severity 1.0, applied to linear RGB
BLINDNESS = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def luminance(colors: np.ndarray) -> np.ndarray:
    """Relative luminance (WCAG), written out independently of the module."""
    value = colors / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def seen_by(colors: np.ndarray, kind: str) -> np.ndarray:
    value = colors / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    changed = np.clip(linear @ np.array(BLINDNESS[kind]).T, 0, 1)
    return 255.0 * np.where(changed <= 0.0031308, 12.92 * changed, 1.055 * changed ** (1 / 2.4) - 0.055)


def test_lightness_falls_evenly():
    lightness = srgb_to_lab(heat_table())[:, 0]
    steps = -np.diff(lightness)
    assert (np.diff(luminance(heat_table())) <= 0).all()
    assert lightness[0] - lightness[-1] > 60
    expected = np.linspace(lightness[0], lightness[-1], 256)
    assert np.abs(lightness - expected).max() < 1.0  # rounding to 8 bits only
    assert steps[::1].min() > -0.2


@pytest.mark.parametrize("kind", BLINDNESS)
def test_order_survives_colour_blindness(kind):
    seen = luminance(seen_by(heat_table(), kind))[::8]
    assert (np.diff(seen) < 0).all()


def test_ends_and_clipping():
    colors = heat_colors([-5.0, 0.0, 10.0, 99.0, np.inf, -np.inf, np.nan], 0.0, 10.0)
    assert colors.dtype == np.uint8
    np.testing.assert_array_equal(colors[[0, 1, 5]], np.tile(ANCHORS[0], (3, 1)))
    np.testing.assert_array_equal(colors[[2, 3, 4]], np.tile(ANCHORS[-1], (3, 1)))
    np.testing.assert_array_equal(colors[6], NEUTRAL)


def test_a_range_of_no_width_splits_at_its_value():
    colors = heat_colors([1.0, 2.0, 3.0], 2.0, 2.0)
    np.testing.assert_array_equal(colors, [ANCHORS[0], ANCHORS[0], ANCHORS[-1]])


def test_shape_of_no_points_and_of_float32():
    assert heat_colors(np.zeros(0), 0.0, 1.0).shape == (0, 3)
    np.testing.assert_array_equal(
        heat_colors(np.float32([0.25, 0.5]), 0.0, 1.0), heat_colors(np.array([0.25, 0.5]), 0.0, 1.0)
    )


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (np.nan, 1.0), (0.0, np.inf)])
def test_an_impossible_range_is_refused(low, high):
    with pytest.raises(ValueError, match="range of a heat map"):
        heat_colors(np.zeros(3), low, high)


def test_lab_by_known_values_and_round_trip(rng):
    # Bruce Lindbloom's calculator, sRGB under D65
    np.testing.assert_allclose(srgb_to_lab([255, 0, 0]), [53.24, 80.09, 67.20], atol=0.05)
    np.testing.assert_allclose(srgb_to_lab([255, 255, 255]), [100.0, 0.0, 0.0], atol=0.05)
    colors = rng.integers(0, 256, (200, 3))
    np.testing.assert_array_equal(lab_to_srgb(srgb_to_lab(colors)), colors)


def test_labels_have_two_colours():
    np.testing.assert_array_equal(label_colors(np.array([True, False])), [ANCHORS[3], NEUTRAL])
