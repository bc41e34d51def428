"""Bands of colour at fixed multiples of the tolerance."""

from __future__ import annotations

import numpy as np
import pytest

from dusnet.colors.color_maps import NEUTRAL, srgb_to_lab
from dusnet.colors.deviation_bands import COLORS, DeviationBands

BANDS = DeviationBands(plus=0.2, minus=0.1)


@pytest.mark.parametrize(
    ("deviation", "band"),
    [
        (0.0, 4),
        (0.1, 4),
        (0.11, 5),
        (0.2, 5),
        (0.2001, 6),
        (0.41, 7),
        (0.7, 8),
        (np.inf, 8),
        (-0.05, 4),
        (-0.06, 3),
        (-0.1, 3),
        (-0.15, 2),
        (-0.25, 1),
        (-0.4, 0),
        (-np.inf, 0),
    ],
)
def test_band_of_a_deviation(deviation, band):
    assert tuple(BANDS.colors([deviation])[0]) == COLORS[band]


def test_what_is_no_number_is_grey():
    assert tuple(BANDS.colors([np.nan])[0]) == NEUTRAL


def test_record_says_every_limit_and_covers_everything():
    record = BANDS.record()
    assert [entry["color"] for entry in record] == [list(color) for color in COLORS]
    assert record[0]["above"] is None
    assert record[-1]["up_to"] is None
    assert [entry["up_to"] for entry in record[:-1]] == [entry["above"] for entry in record[1:]]
    assert [entry["up_to"] for entry in record[:-1]] == pytest.approx([-0.3, -0.2, -0.1, -0.05, 0.1, 0.2, 0.4, 0.6])


def test_both_sides_grow_darker_and_differ_by_hue():
    lab = srgb_to_lab(COLORS)
    assert (np.diff(lab[:5, 0]) > 0).all()
    assert (np.diff(lab[4:, 0]) < 0).all()
    assert (lab[:4, 2] < lab[5:, 2][::-1]).all()  # blue against yellow, which every kind of colour blindness keeps
