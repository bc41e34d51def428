from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dusnet.cloud import PointCloud
from dusnet.errors import BadInput
from dusnet.geometry.clean_scan import CleanScan, clean_clouds, stray_points
from dusnet.geometry.sampling import thin_to

SPHERE_RADIUS = 50.0


def sphere(count=2000, seed=0):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return SPHERE_RADIUS * points / np.linalg.norm(points, axis=1, keepdims=True) + 7.0


def of(points):
    return CleanScan.of(PointCloud(points))


def test_a_scan_with_nothing_to_leave_out_is_the_scan_itself():
    cloud = PointCloud(sphere())
    clean = CleanScan.of(cloud)
    assert clean.cloud is cloud
    assert clean.source is None
    assert clean.notes == ()


@pytest.mark.parametrize("copies", [2, 3])
@pytest.mark.parametrize("shift", [0.0, 1e-9])
def test_repeated_points_are_measured_once_and_keep_their_order(copies, shift):
    points = sphere()
    rng = np.random.default_rng(1)
    order = np.concatenate([np.arange(len(points)), rng.permutation(np.repeat(np.arange(len(points)), copies - 1))])
    clean = of(points[order] + shift * SPHERE_RADIUS * rng.uniform(-1, 1, (len(order), 3)))
    # A pair on both sides of a border of the grid stays two points; that is rare.
    assert len(points) <= len(clean.cloud) <= 1.02 * len(points)
    if shift == 0.0:
        assert (clean.cloud.points == points).all()
        assert (clean.source == order).all()
        assert clean.repeated == (copies - 1) * len(points)
    values = np.arange(len(clean.cloud), dtype=np.float32)
    assert (clean.spread(values) == values[clean.source]).all()


def test_doubled_points_in_coordinates_far_from_the_origin_are_found():
    points = (sphere() + np.array([4e5, 5e6, 100.0])).astype(np.float64)
    clean = of(np.repeat(points, 2, axis=0))
    assert (clean.cloud.points == points).all()


@pytest.mark.parametrize("radii", [0.5, 1.5, 3.0, 100.0, 1e7])
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("together", [True, False])
def test_stray_points_are_set_aside(radii, count, together):
    points = sphere()
    rng = np.random.default_rng(3)
    away = rng.normal(size=(1 if together else count, 3))
    away = away / np.linalg.norm(away, axis=1, keepdims=True) * (1.0 + radii) * SPHERE_RADIUS + 7.0
    strays = np.broadcast_to(away, (count, 3)) + rng.normal(size=(count, 3))
    place = rng.permutation(len(points) + count)
    clean = of(np.concatenate([points, strays])[place])
    expected = np.arange(len(points) + count)[place] >= len(points)
    assert (clean.stray_mask == expected).all()
    assert clean.stray == count
    assert (clean.cloud.points == np.concatenate([points, strays])[place][~expected]).all()
    scores = clean.spread(np.ones(len(clean.cloud), dtype=np.float32))
    assert (scores == np.where(expected, 0.0, 1.0)).all()


def test_a_part_that_is_scanned_sparsely_in_places_keeps_its_points():
    rng = np.random.default_rng(4)
    dense = np.c_[rng.uniform(0, 50, (8000, 2)), np.zeros(8000)]
    sparse = np.c_[rng.uniform(50, 100, 80), rng.uniform(0, 50, 80), np.zeros(80)]
    assert not stray_points(np.concatenate([dense, sparse])).any()


def test_a_line_of_points_and_a_small_loose_piece_are_no_stray_points():
    rng = np.random.default_rng(5)
    wire = np.c_[np.linspace(60, 100, 30), np.zeros((30, 2))]
    piece = np.array([0.0, 0.0, 90.0]) + rng.normal(size=(12, 3))
    assert not stray_points(np.concatenate([sphere(4000), wire, piece])).any()


def test_what_is_left_out_is_said_in_numbers():
    points = sphere()
    clean = of(np.concatenate([points, points[:1], [[1e4, 0.0, 0.0]]]))
    assert clean.notes == (
        "1 point repeats another point and is left out.",
        "1 stray point lies far from all others and is left out.",
    )
    said = []

    class Log:
        def log(self, text):
            said.append(text)

    assert len(clean_clouds([PointCloud(np.repeat(points, 2, axis=0))], progress=Log())[0]) == len(points)
    assert said == ["the point cloud: 2000 points repeat another point and are left out."]


def test_hardly_any_different_points_are_refused():
    few = np.tile(sphere(9), (1000, 1))
    with pytest.raises(BadInput, match="9000 points but only 9 different ones"):
        of(few)
    with pytest.raises(BadInput, match="identical"):
        of(np.ones((5000, 3)))
    with pytest.raises(BadInput, match="straight line"):
        of(np.outer(np.linspace(0, 1, 3000), [1.0, 2.0, 3.0]))


def odd_clouds(rng, count):
    """Clouds that searches for a cell size have not ended on."""
    plain = rng.normal(size=(count, 3))
    half = plain.copy()
    half[: count // 2] = 0.0
    few = np.tile(plain[:1], (count, 1))
    few[: min(count, 7)] = plain[: min(count, 7)]
    huge = plain.copy()
    huge[0] = 1e12
    tiny = plain[0] + 1e-13 * plain
    return {
        "doubled": np.repeat(plain[: count // 2 + 1], 2, axis=0),
        "half at zero": half,
        "all equal but a few": few,
        "a line": np.outer(rng.normal(size=count), [1.0, 2.0, -1.0]),
        "a plane": plain * [1.0, 1.0, 0.0],
        "a point far away": huge,
        "two heaps": np.concatenate([tiny, tiny + 1.0]),
        "all equal": np.ones((count, 3)),
    }


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), count=st.integers(20, 400), wanted=st.integers(8, 500))
def test_searches_for_a_cell_size_end(seed, count, wanted):
    for points in odd_clouds(np.random.default_rng(seed), count).values():
        kept = thin_to(points, wanted, np.random.default_rng(seed))
        assert 1 <= len(kept) <= max(wanted, 8)
        assert (np.diff(kept) > 0).all()
        kept = thin_to(points, wanted)
        assert 1 <= len(kept) <= wanted
