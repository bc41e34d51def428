"""The side that a scan was taken from, on balls, where it is known what can be seen."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dusnet.geometry.sights import EYES, Sights
from dusnet.geometry.visibility import directions


@pytest.fixture(scope="module")
def ball() -> NDArray[np.float64]:
    return directions(4000)


@pytest.fixture(scope="module")
def sights(ball: NDArray[np.float64]) -> Sights:
    return Sights.of(ball)


def test_the_far_half_of_a_ball_is_hidden(ball, sights):
    height = ball[sights.places] @ directions(EYES).T
    hidden = sights.behind.T > 0.0
    clear = np.abs(height) > 0.25  # at six radii the eye sees a sixth less than half, and places are .08 apart
    np.testing.assert_array_equal(hidden[clear], height[clear] < 0.0)


def test_a_hidden_place_lies_as_far_behind_as_the_rim_of_what_is_seen(ball, sights):
    places = ball[sights.places]
    for eye, behind in zip(directions(EYES)[::40], sights.behind[::40], strict=True):
        seen = places[behind == 0.0]
        nearest = np.linalg.norm(places[:, None] - seen[None], axis=2).min(axis=1)
        np.testing.assert_allclose(behind, nearest, atol=1e-6)
        assert behind[(places @ eye).argmin()] == pytest.approx(np.sqrt(2.0), abs=0.2)  # the pole from the equator


@pytest.mark.parametrize("number", [0, 50, 127])
def test_a_view_is_explained_by_the_camera_that_took_it(ball, sights, number):
    eye = directions(EYES)[number]
    found = sights.best(ball @ eye < 0.0, 0.2)
    assert found.explains
    assert found.agreement > 0.95
    height = ball[sights.places] @ eye
    clear = np.abs(height) > 0.4  # the camera that is found is one of those within 20 degrees
    np.testing.assert_array_equal(found.hidden[clear], height[clear] < 0.0)


@pytest.mark.parametrize("cut", [0.55, 0.7, 0.9])
def test_a_ball_without_a_cap_is_explained_by_no_camera(ball, sights, cut):
    """Opposite the cap, six radii away, 7/12 of the ball are hidden and (1 - cut) / 2 are gone: the rest disagrees."""
    found = sights.best(ball[:, 2] > cut, 0.0)
    assert found.agreement == pytest.approx(5.0 / 12.0 + (1.0 - cut) / 2.0, abs=0.05)
    assert not found.explains


def test_what_lies_near_the_seen_face_can_go_either_way(ball, sights):
    """With a reach of more than the ball nothing hidden counts, and a whole scan agrees with every camera."""
    assert sights.best(np.zeros(len(ball), dtype=bool), 3.0).agreement == 1.0
    assert sights.best(np.zeros(len(ball), dtype=bool), 0.0).agreement < 0.6
