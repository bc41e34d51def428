from __future__ import annotations

import numpy as np
import pytest

from dusnet.io import Mesh
from dusnet.synthesis.level_sets import surface_net
from dusnet.synthesis.shapes import make_part
from dusnet.synthesis.turntable import TurntablePart

BOX = np.array([20.0, 12.0, 5.0])


def ellipsoid() -> Mesh:
    axes = np.array([12.0, 10.0, 6.0])
    return surface_net(lambda p: 6.0 * (np.linalg.norm(p / axes, axis=1) - 1.0), -axes, axes, 0.5)


def box() -> Mesh:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * BOX / 2.0
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]
    return Mesh(corners, np.array(faces))


def test_part_rests_on_its_broad_sides() -> None:
    part = TurntablePart.of(ellipsoid())
    assert np.abs(part.up) == pytest.approx(np.array([[0, 0, 1], [0, 0, 1]]))
    assert (part.up[0] == -part.up[1]).all()


def test_exposure_of_a_convex_body_is_the_angle_to_the_nearest_camera() -> None:
    part = TurntablePart.of(ellipsoid())
    points, normals = part.corners.reshape(-1, 3), part.normals.reshape(-1, 3)
    best = np.zeros(len(points))
    for turn in 2.0 * np.pi * np.arange(16) / 16:
        level, up = np.cos(np.deg2rad(35.0)), np.sin(np.deg2rad(35.0))
        camera = 8.0 * part.radius * np.array([level * np.cos(turn), level * np.sin(turn), up])
        ray = camera - points
        best = np.maximum(best, np.einsum("ij,ij->i", ray, normals) / np.linalg.norm(ray, axis=1))
    # Every place of a convex body that faces a camera is seen by it.
    assert np.abs(part.exposure[0].ravel() - best).max() < 0.03


def test_normals_are_smooth_on_a_round_body_and_sharp_at_a_crease() -> None:
    part = TurntablePart.of(ellipsoid())
    truth = part.corners.reshape(-1, 3) / np.array([12.0, 10.0, 6.0]) ** 2
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    assert np.einsum("ij,ij->i", truth, part.normals.reshape(-1, 3)).min() > 0.99
    flat = TurntablePart.of(box())
    assert np.abs(flat.normals).max(axis=2) == pytest.approx(1.0)
    assert np.linalg.norm(flat.corners - np.roll(flat.corners, 1, axis=1), axis=2).max() <= 0.04 * flat.radius
    assert flat.areas().sum() == pytest.approx(2.0 * (20 * 12 + 20 * 5 + 12 * 5))


def test_underside_is_hidden_and_the_top_seen_as_the_ring_looks_down() -> None:
    part = TurntablePart.of(box())
    normal = part.normals.mean(axis=1)
    top, below = normal @ part.up[0] > 0.9, normal @ part.up[1] > 0.9
    assert part.exposure[0][top].min() > 0.5  # sine of 35 degrees, less for a camera that is not infinitely far
    assert part.exposure[0][top].max() < 0.65
    assert (part.exposure[0][below] == 0.0).all()
    assert (part.exposure[1][top] == 0.0).all()
    assert set(part.seen_faces((0,), 0.26)) == set(np.flatnonzero(~below))


def test_wall_hides_what_lies_behind_it() -> None:
    # The bottom of a cup that stands upright is seen by no camera of a ring that looks down at 35 degrees.
    mesh = make_part("cup", np.random.default_rng(0), 0.0)
    part = TurntablePart.of(mesh)
    axis = int(np.abs(part.up[0]).argmax())
    assert axis in (0, 1, 2)
    inside = part.exposure.max(axis=0) == 0.0
    assert inside.mean() > 0.02
