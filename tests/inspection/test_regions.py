from __future__ import annotations

import numpy as np
import pytest

from dusnet.inspection.regions import components, find_regions, minimum_region


def plate(step=1.0, width=40, height=30):
    """A flat grid of points in z = 0, `step` apart."""
    x, y = np.meshgrid(np.arange(width) * step, np.arange(height) * step, indexing="ij")
    return np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)


def inside(points, low, high):
    return ((points[:, :2] >= low) & (points[:, :2] <= high)).all(axis=1)


def partition(numbers):
    """The groups as a set of sets of indices, whatever they are called."""
    return {frozenset(np.flatnonzero(numbers == number)) for number in set(numbers[numbers >= 0])}


def flood(points, mask, reach):
    """Groups of marked points that steps of at most `reach` connect: a graph search over all pairs, O(n^2)."""
    left, groups = set(np.flatnonzero(mask)), set()
    while left:
        queue = [left.pop()]
        group = set(queue)
        while queue:
            here = queue.pop()
            near = {one for one in left if np.linalg.norm(points[one] - points[here]) <= reach}
            left -= near
            group |= near
            queue += near
        groups.add(frozenset(group))
    return groups


def test_two_patches_of_a_plate_are_two_regions_with_hand_worked_numbers():
    points = plate()
    long_patch, square = inside(points, (3, 3), (12, 6)), inside(points, (25, 15), (29, 19))
    scores = np.full(len(points), 0.5)
    scores[long_patch], scores[square] = 3.0, 2.0
    peak = np.flatnonzero((points[:, 0] == 5) & (points[:, 1] == 4))[0]
    scores[peak] = 7.0
    displacement = np.where(square, -0.25, 0.1)
    first, second = find_regions(points, scores, 1.0, deviation=displacement)

    assert first.point_count == 40
    np.testing.assert_allclose(first.center, (7.5, 4.5, 0.0), atol=1e-12)
    np.testing.assert_allclose(first.size, (9.0, 3.0, 0.0), atol=1e-9)
    np.testing.assert_array_equal(first.low, (3, 3, 0))
    np.testing.assert_array_equal(first.high, (12, 6, 0))
    assert first.peak_score == 7.0
    np.testing.assert_array_equal(first.peak_point, (5, 4, 0))
    assert first.mean_score == pytest.approx((39 * 3 + 7) / 40)
    np.testing.assert_array_equal(first.indices, np.flatnonzero(long_patch))
    # The 6th neighbour on a grid is a diagonal one: sqrt(2) away, so every point stands for pi * 2 / 6.
    assert first.area == pytest.approx(40 * np.pi / 3)
    assert first.severity == pytest.approx((39 * 2 + 6) * np.pi / 3)

    assert second.point_count == 25
    assert second.peak_deviation == -0.25
    assert second.mean_deviation == pytest.approx(-0.25)
    assert second.severity < first.severity


def test_a_diagonal_patch_has_its_own_extents_not_those_of_the_axes():
    flat = plate(0.5, 61, 61)
    scores = inside(flat, (5, 12), (25, 18)).astype(float)
    angle = np.deg2rad(30)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    (region,) = find_regions(flat @ turn.T + (100, -50, 7), scores, 0.5)
    np.testing.assert_allclose(region.size, (20.0, 6.0, 0.0), atol=1e-6)
    np.testing.assert_allclose(region.center, turn @ (15, 15, 0) + (100, -50, 7), atol=1e-6)


def test_area_of_a_randomly_scanned_patch_is_about_right(rng):
    points = np.concatenate([rng.random((20000, 2)) * 100, np.zeros((20000, 1))], axis=1)
    (region,) = find_regions(points, inside(points, (20, 20), (60, 45)).astype(float), 0.5)
    assert region.area == pytest.approx(40 * 25, rel=0.1)


def test_components_match_a_flood_fill(rng):
    points = np.concatenate([rng.random((600, 2)) * 20, np.zeros((600, 1))], axis=1)
    spacing = np.sort(np.linalg.norm(points[:, None] - points[None], axis=2), axis=1)[:, 6]
    # Even density: the local spacing hardly differs, so marks far enough apart and close enough together are clear.
    mask = np.zeros(600, dtype=bool)
    for center in ((4, 4), (15, 5), (10, 16)):
        mask |= np.linalg.norm(points[:, :2] - center, axis=1) < 2.5
    found = components(points, mask)
    assert partition(found) == flood(points, mask, 2 * float(np.median(spacing)))
    assert len(partition(found)) == 3
    np.testing.assert_array_equal(found >= 0, mask)
    firsts = [np.flatnonzero(found == number)[0] for number in range(3)]
    assert firsts == sorted(firsts)


def test_groups_do_not_depend_on_unit_pose_or_order(rng):
    points = rng.random((800, 3)) * (30, 20, 0.5)
    mask = rng.random(800) < 0.35
    groups = partition(components(points, mask))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert partition(components((points @ turn.T) * 1000 + 5e4, mask)) == groups
    order = rng.permutation(800)
    shuffled = partition(components(points[order], mask[order]))
    assert {frozenset(order[list(group)]) for group in shuffled} == groups


@pytest.mark.parametrize(("gap", "groups"), [(1, 1), (2, 1), (3, 2), (5, 2)])
def test_gaps_of_up_to_two_spacings_are_bridged(gap, groups):
    # On a grid of step 1 the spacing is sqrt(2), so points up to 2.83 apart belong together.
    points = plate()
    mask = inside(points, (5, 5), (9, 9)) | inside(points, (9 + gap, 5), (13 + gap, 9))
    assert len(partition(components(points, mask))) == groups


def test_copies_of_one_place_do_not_cut_a_region_apart():
    once = plate(1.0, 12, 12)
    points = np.repeat(once, 20, axis=0)
    mask = inside(points, (2, 2), (8, 8))
    assert partition(components(points, mask)) == {frozenset(np.flatnonzero(mask))}
    (alone,) = find_regions(once, inside(once, (2, 2), (8, 8)).astype(float), 0.5)
    (copied,) = find_regions(points, mask.astype(float), 0.5)
    assert copied.point_count == 20 * alone.point_count
    assert copied.area == pytest.approx(alone.area)


def test_a_sparsely_scanned_side_holds_together_and_outliers_bridge_nothing():
    dense = plate(0.5, 80, 40)
    sparse = plate(1.5, 12, 12) + np.array([60.0, 0.0, 0.0])
    stray = np.array([[20.0, 10.0, 40.0], [20.0, 10.0, 80.0]])
    points = np.concatenate([dense, sparse, stray])
    flagged = np.zeros(len(points), dtype=bool)
    flagged[: len(dense)] = inside(dense, (2, 2), (6, 6))
    flagged[len(dense) :] = True
    groups = partition(components(points, flagged))
    assert frozenset(range(len(dense), len(dense) + len(sparse))) in groups
    assert len(groups) == 4


def test_specks_are_dropped_by_the_stated_rule():
    assert [minimum_region(count) for count in (10, 50_000, 50_001, 1_000_000)] == [5, 5, 6, 100]
    points = plate()
    scores = np.zeros(len(points))
    scores[:4] = 9.0  # four points in a row
    assert find_regions(points, scores, 1.0) == []
    assert [region.point_count for region in find_regions(points, scores, 1.0, min_points=4)] == [4]
    scores[4] = 9.0
    assert [region.point_count for region in find_regions(points, scores, 1.0)] == [5]


def test_limit_keeps_the_worst_and_the_threshold_is_exclusive():
    points = plate()
    scores = np.zeros(len(points))
    for number, corner in enumerate(((0, 0), (10, 10), (20, 20))):
        scores[inside(points, corner, np.add(corner, 3))] = number + 2.0
    every = find_regions(points, scores, 1.0)
    assert [region.peak_score for region in every] == [4.0, 3.0, 2.0]
    assert [region.peak_score for region in find_regions(points, scores, 1.0, limit=2)] == [4.0, 3.0]
    assert [region.peak_score for region in find_regions(points, scores, 2.0)] == [4.0, 3.0]
    assert find_regions(points, scores, 4.0) == []
    assert find_regions(points, scores, 1.0, limit=0) == []


@pytest.mark.parametrize("count", [0, 1, 2, 6])
def test_tiny_and_degenerate_clouds(count):
    same = np.ones((count, 3))
    numbers = components(same, np.ones(count, dtype=bool))
    assert numbers.tolist() == [0] * count
    found = find_regions(same, np.ones(count), 0.5, min_points=1)
    assert [region.point_count for region in found] == ([count] if count else [])
    for region in found:
        np.testing.assert_allclose(region.size, 0.0)
        assert region.severity == 0.0


def test_mistakes_are_named():
    points = plate()
    with pytest.raises(ValueError, match=r"\(1200,\)"):
        find_regions(points, np.zeros(3), 0.0)
    with pytest.raises(ValueError, match="NaN"):
        find_regions(points, np.full(len(points), np.nan), 0.0)
    with pytest.raises(ValueError, match="limit"):
        find_regions(points, np.zeros(len(points)), 0.0, limit=-1)
    with pytest.raises(ValueError, match="mask"):
        components(points, np.ones(3, dtype=bool))
