"""Poses of nearly equal fit: a part that a quarter turn nearly keeps has four of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dusnet.config import RegistrationSettings
from dusnet.registration import Aligner

ANYWHERE = np.eye(4)
ANYWHERE[:3, :3] = Rotation.from_euler("xyz", [140, -35, 70], degrees=True).as_matrix()
ANYWHERE[:3, 3] = [3.0, -1.0, 12.0]


def cross(seed: int, *, longer: float = 0.0, points: int = 3000) -> NDArray[np.float64]:
    """Points on a cross of four arms on a short post; one arm is longer by a fraction of the others."""
    rng = np.random.default_rng(seed)
    arm = rng.integers(5, size=points)
    along, around = rng.uniform(0.1, 1.0, size=points), rng.uniform(0, 2 * np.pi, size=points)
    along *= np.where(arm == 0, 1 + longer, 1)
    bar = np.column_stack([along, 0.1 * np.cos(around), 0.1 * np.sin(around)])
    turned = Rotation.from_euler("z", 90.0 * arm[:, None], degrees=True).apply(bar)
    post = np.column_stack([0.1 * np.cos(around), 0.1 * np.sin(around), 0.6 * along])
    return np.where((arm == 4)[:, None], post, turned) + rng.normal(scale=0.002, size=(points, 3))


def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points @ ANYWHERE[:3, :3].T + ANYWHERE[:3, 3]


def turns(found: list, apart: float = 90.0) -> list[int]:
    """By how many quarters each pose turns the scan away from where it was made, and that it turns about z alone."""
    left = [one.matrix[:3, :3] @ ANYWHERE[:3, :3] for one in found]
    np.testing.assert_allclose([one[:, 2] for one in left], [[0, 0, 1]] * len(left), atol=0.05)
    angles = np.degrees([np.arctan2(one[1, 0], one[0, 0]) for one in left])
    np.testing.assert_allclose(angles / apart, np.round(angles / apart), atol=0.03)
    return sorted(int(one) for one in np.round(angles / apart) % 4)


@pytest.fixture(scope="module")
def aligner() -> Aligner:
    return Aligner(cross(0), RegistrationSettings(), scale=1.0, seed=0)


def test_all_turns_of_a_symmetric_part_are_found(aligner: Aligner) -> None:
    found = aligner.candidates(moved(cross(1)), 8)
    assert turns(found) == [0, 1, 2, 3]
    costs = [one.cost for one in found]
    assert costs[1:] == sorted(costs[1:])
    assert max(costs) <= 1.25 * costs[0]


def test_the_first_is_what_align_answers_to_the_bit(aligner: Aligner) -> None:
    scan = moved(cross(2))
    before = aligner.align(scan)
    for count in (1, 3):
        found = aligner.candidates(scan, count)
        assert len(found) == count
        np.testing.assert_array_equal(found[0].matrix, before.matrix)
        assert (found[0].cost, found[0].residual, found[0].margin) == (before.cost, before.residual, before.margin)
    after = aligner.align(scan)
    np.testing.assert_array_equal(after.matrix, before.matrix)


def test_what_fits_worse_is_no_candidate() -> None:
    """With one arm half as long again."""
    aligner = Aligner(cross(0, longer=0.5), RegistrationSettings(), scale=1.0, seed=0)
    scan = moved(cross(1, longer=0.5))
    assert turns(aligner.candidates(scan, 8)) == [0]
    assert turns(aligner.candidates(scan, 4, 20.0)) == [0, 1, 2, 3]


def test_without_a_search_there_is_one_pose() -> None:
    scan = cross(1)
    for method in ("none", "icp"):
        settings = RegistrationSettings.model_validate({"method": method})
        assert len(Aligner(cross(0), settings, scale=1.0, seed=0).candidates(scan, 8)) == 1
