"""On which side of a part a place lies."""

from __future__ import annotations

import numpy as np
import pytest

from dusnet.display.camera import SIDES
from dusnet.inspection.sides import SIDE_NAMES, TOWARD_EYE, PartSides


def box(extents: tuple[float, float, float], count: int = 12_000) -> tuple[np.ndarray, np.ndarray]:
    """Points of a closed box around the origin, and the number of the face of each: 2 * axis + (1 on the high one)."""
    rng = np.random.default_rng(0)
    size = np.array(extents)
    across = np.array([size[1] * size[2], size[0] * size[2], size[0] * size[1]])
    axis = rng.choice(3, count, p=across / across.sum())
    high = rng.integers(0, 2, count)
    points = rng.random((count, 3)) - 0.5
    points[np.arange(count), axis] = high - 0.5
    return points * size, 2 * axis + high


def test_the_sides_are_those_of_the_pictures():
    assert {side.name: side.axes[2] for side in SIDES} == {
        name: tuple(direction) for name, direction in zip(SIDE_NAMES, TOWARD_EYE.astype(int).tolist(), strict=True)
    }


@pytest.mark.parametrize("extents", [(80.0, 50.0, 30.0), (80.0, 50.0, 1.0), (20.0, 20.0, 200.0)])
def test_a_place_on_a_face_of_a_box_is_on_that_side(extents):
    points, face = box(extents)
    names = ("left", "right", "front", "back", "bottom", "top")
    sides = PartSides(points + 1e3)
    rng = np.random.default_rng(1)
    for number, name in enumerate(names):
        mine = points[face == number]
        if extents[2] < 2.0 and number < 4:
            continue  # the narrow faces of a sheet are as wide as one cell
        for center in mine[rng.integers(0, len(mine), 6)] * 0.7:
            place = mine[np.argsort(((mine - center) ** 2).sum(axis=1))[:40]]
            assert sides.of(place + 1e3) == name


def test_the_bottom_of_a_pocket_is_seen_through_its_opening():
    """A block that is open towards the front: its floor lies in the back half and only the front shows it."""
    rng = np.random.default_rng(2)
    points, face = box((60.0, 60.0, 60.0), 30_000)
    inside = np.abs(points[:, [0, 2]]).max(axis=1) < 20.0
    kept = points[~((face == 2) & inside)]
    floor = np.column_stack([rng.uniform(-20, 20, 3000), np.full(3000, 20.0), rng.uniform(-20, 20, 3000)])
    sides = PartSides(np.concatenate([kept, floor]))
    assert sides.of(floor[np.abs(floor[:, [0, 2]]).max(axis=1) < 5.0]) == "front"
