"""How far a part reaches, with points that stray from it and without."""

from __future__ import annotations

import numpy as np
import pytest
from view_results import sphere

from dusnet.display.camera import look_at
from dusnet.display.extent import extent, within_extent

STRAYS = np.array([[-900.0, 0.0, 0.0], [900.0, 800.0, 0.0]])


def ellipsoid(count: int) -> np.ndarray:
    return sphere(count) * [60.0, 40.0, 25.0]


@pytest.mark.parametrize("count", [1, 2, 98, 99, 100, 5000])
@pytest.mark.parametrize("strays", [0, 1, 2])
def test_the_extent_of_a_part_leaves_out_what_strays(count, strays):
    points = ellipsoid(count)
    scan = np.vstack([points, STRAYS[:strays]])
    part = points if len(scan) >= 100 else scan  # among a few points none can be told to stray
    np.testing.assert_array_equal(extent(scan), (part.min(axis=0), part.max(axis=0)))
    assert within_extent(scan).tolist() == [True] * len(part) + [False] * (len(scan) - len(part))


def test_a_thin_tip_belongs_to_the_part():
    tip = np.column_stack([np.linspace(60.0, 100.0, 30), np.zeros(30), np.zeros(30)])
    assert extent(np.vstack([ellipsoid(10_000), tip]))[1][0] == 100.0


def test_strays_turn_no_camera_and_move_it_not_away():
    points = ellipsoid(3000)
    scan = np.vstack([points, STRAYS])
    weight = np.maximum(points[:, 2] - 20.0, 0.0)
    for toward in (None, weight):
        with_strays = None if toward is None else np.append(toward, [9e9, 9e9])  # far away scores high
        one, other = look_at(points, toward=toward), look_at(scan, toward=with_strays)
        np.testing.assert_array_equal(one.center, other.center)
        np.testing.assert_array_equal(one.axes, other.axes)
        assert one.radius == other.radius
