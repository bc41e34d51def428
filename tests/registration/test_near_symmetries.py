"""Motions that nearly keep a part, counted by hand on parts of known symmetry, and the poses that they tell apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from symmetric_parts import MARK, block, even, jar, lump

from dusnet.config import RegistrationSettings
from dusnet.registration import Aligner
from dusnet.registration.near_symmetries import NearSymmetries

Array = NDArray[np.float64]


def turned_by(motions: Array) -> Array:
    """Angle of each motion in degrees."""
    return np.rad2deg(Rotation.from_matrix(motions[:, :3, :3]).magnitude())


class TestMotions:
    @pytest.mark.parametrize("mark", [False, True])
    def test_a_turned_body_has_all_turns_about_its_axis(self, mark: bool) -> None:
        symmetries = NearSymmetries.of(even(jar(20_000, 0, mark=mark)))
        found = symmetries.motions
        assert len(found) == 71
        about = found[:, :3, :3] @ [0.0, 0.0, 1.0]
        np.testing.assert_allclose(about, np.tile([0.0, 0.0, 1.0], (71, 1)), atol=0.02)
        signed = np.rad2deg(np.arctan2(found[:, 1, 0], found[:, 0, 0])) % 360
        np.testing.assert_allclose(np.sort(signed), 5.0 * np.arange(1, 72), atol=0.5)
        assert np.linalg.norm(found[:, :2, 3], axis=1).max() < 0.03
        assert symmetries.axis is not None
        direction, through = symmetries.axis
        assert np.rad2deg(np.arccos(min(1.0, abs(direction[2])))) < 0.2
        assert np.linalg.norm(through[:2]) < 0.002

    def test_a_block_can_be_turned_over_about_three_axes(self) -> None:
        """And by a step more or less, which ICP undoes."""
        found = NearSymmetries.of(even(block(20_000, 0))).motions
        flips = [np.eye(3), *(np.diag(signs) for signs in ([1, -1, -1], [-1, 1, -1], [-1, -1, 1]))]
        between = np.array([found[:, :3, :3] @ flip for flip in flips])
        angles = np.array([np.rad2deg(Rotation.from_matrix(one).magnitude()) for one in between])
        assert angles[1:].min(axis=1).max() < 2
        assert angles.min(axis=0).max() < 8

    def test_an_irregular_part_has_none_that_icp_does_not_undo(self) -> None:
        assert (turned_by(NearSymmetries.of(even(lump(20_000, 0))).motions) < 15).all()

    @pytest.mark.parametrize("part", [block, lump])
    def test_no_axis_without_turns_by_any_angle(self, part: Callable[[int, int], Array]) -> None:
        assert NearSymmetries.of(even(part(20_000, 0))).axis is None

    def test_they_are_rigid(self) -> None:
        found = NearSymmetries.of(even(jar(20_000, 1))).motions[:, :3, :3]
        np.testing.assert_allclose(found @ found.transpose(0, 2, 1), np.tile(np.eye(3), (len(found), 1, 1)), atol=1e-9)
        np.testing.assert_allclose(np.linalg.det(found), 1)


class TestPoses:
    @pytest.mark.parametrize("seed", range(6))
    def test_a_small_mark_decides_between_the_turns_of_a_jar(self, seed: int) -> None:
        """In any pose; without a comparison of the turns noise decides."""
        aligner = Aligner(jar(12_000, 100), RegistrationSettings(), scale=0.9, seed=0)
        rng = np.random.default_rng(seed)
        scan = jar(5000, seed) + rng.normal(scale=0.001, size=(5125, 3))
        pose = Rotation.random(random_state=rng).as_matrix()
        found = aligner.align(scan @ pose.T + rng.normal(size=3)).matrix
        turned = found[:3, :3] @ pose
        assert np.linalg.norm(turned @ MARK - MARK) < 0.05

    def test_without_a_mark_a_turn_costs_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A plain jar: any turn about its axis is right, and the axis stays where the search found it."""
        scan = jar(4000, 3, mark=False)
        found = Aligner(jar(8000, 100, mark=False), RegistrationSettings(), scale=0.9, seed=0).align(scan)
        monkeypatch.setattr(NearSymmetries, "of", lambda _: NearSymmetries(np.zeros((0, 4, 4)), None))
        plain = Aligner(jar(8000, 100, mark=False), RegistrationSettings(), scale=0.9, seed=0).align(scan)
        assert found.cost <= plain.cost * (1 + 1e-9)
        axis = found.matrix[:3, 2] @ plain.matrix[:3, 2]
        assert np.rad2deg(np.arccos(min(1.0, axis))) < 0.5
        assert np.linalg.norm(found.matrix[:3, 3] - plain.matrix[:3, 3]) < 0.01
