"""Scans that are not as large as the others, and what that looks like."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dusnet.geometry.scan_sizes import SPAN, size_groups, size_of, size_problem, unit_words
from dusnet.units import METRES
from dusnet.words import listed


def box(seed: int, count: int = 2000) -> np.ndarray:
    """Points on the surface of a box of 80 x 50 x 20."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, 3))
    side = rng.integers(0, 3, count)
    points[np.arange(count), side] = rng.integers(0, 2, count)
    return points * [80.0, 50.0, 20.0]


class TestSizeOf:
    def test_it_is_a_length(self) -> None:
        assert size_of(box(0) * 25.4) == pytest.approx(25.4 * size_of(box(0)), rel=1e-9)
        assert size_of(box(0)) == pytest.approx(np.linalg.norm([80, 50, 20]) / 2, rel=0.05)

    @pytest.mark.parametrize("seed", range(4))
    def test_neither_pose_nor_density_changes_it(self, seed: int) -> None:
        turn = Rotation.random(random_state=seed).as_matrix()
        assert size_of(box(seed + 1, 500) @ turn.T + 1e5) == pytest.approx(size_of(box(0, 5000)), rel=0.12)

    @pytest.mark.parametrize("share", [0.001, 0.005, 0.05])
    def test_stray_points_do_not_change_it(self, share: float) -> None:
        rng = np.random.default_rng(1)
        strays = 1e4 * rng.normal(size=(max(1, int(share * 2000)), 3))
        assert size_of(np.concatenate([box(0), strays])) == pytest.approx(size_of(box(0)), rel=0.02)

    @pytest.mark.parametrize("axis", range(3))
    @pytest.mark.parametrize("sign", [-1, 1])
    def test_a_view_of_one_side_is_not_taken_for_another_unit(self, axis: int, sign: int) -> None:
        points = box(0) - [40.0, 25.0, 10.0]
        assert SPAN > size_of(points) / size_of(points[sign * points[:, axis] > 0]) > 1 / SPAN


class TestGroups:
    def test_scans_of_like_size_are_one_group(self) -> None:
        assert [len(group) for group in size_groups([1.0, 0.5, 1.05, 0.46])] == [4]
        assert size_problem(list("abcd"), [1.0, 0.5, 1.05, 0.46]) is None
        assert size_problem(["a"], [1.0]) is None

    @pytest.mark.parametrize("one", METRES)
    @pytest.mark.parametrize("other", METRES)
    def test_two_units_are_two_groups_and_are_named(self, one: str, other: str) -> None:
        """Scans of one part, some of them views of one side; the sentence names the units that the files are in."""
        ratio = METRES[one] / METRES[other]
        # Numbers in a larger unit are smaller.
        sizes = [66.0, 60.0, 55.0, 64.0 / ratio]
        found = size_problem(["w.ply", "x.ply", "y.ply", "z.ply"], sizes)
        if one == other:
            assert found is None
            return
        assert found is not None
        assert found.startswith("z.ply is about")
        assert "than the other 3 scans" in found
        assert ("smaller than" if ratio > 1 else "larger than") in found
        if {one, other} not in ({"cm", "um"}, {"mm", "um"}, {"ft", "um"}):  # as m to cm, m to mm; rare
            assert f"smaller ones look like {max(one, other, key=METRES.get)}" in found
            assert f"larger ones like {min(one, other, key=METRES.get)}" in found

    def test_without_a_majority_both_groups_are_named(self) -> None:
        found = size_problem(["a", "b", "c", "d"], [66.0, 0.067, 67.0, 0.066])
        assert found is not None
        assert "a and c (size 66.5) and b and d (size 0.0665)" in found
        assert "look like m and the larger ones like mm" in found

    def test_of_three_sizes_the_most_frequent_one_counts(self) -> None:
        found = size_problem(list("abcdef"), [67, 66, 60, 3000, 0.066, 0.06])
        assert found is not None
        assert "e and f are about" in found
        assert "d is about 45 times larger than the other 3 scans" in found

    def test_a_ratio_that_no_units_have_names_none(self) -> None:
        assert unit_words(5.0) == unit_words(0.2) == ""


def test_many_names_are_counted() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a and b"
    assert listed(list("abcdefgh")) == f"{', '.join('abcde')} and 3 more"
