from __future__ import annotations

import numpy as np
import pytest

from dusnet.synthesis.surface import LabelledSurface
from dusnet.synthesis.variation import smooth_field


def sphere(count: int = 4000, radius: float = 50.0, seed: int = 0) -> LabelledSurface:
    normals = np.random.default_rng(seed).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return LabelledSurface.clean(radius * normals + [7.0, -3.0, 11.0], normals)


@pytest.mark.parametrize("amplitude", [0.5, 1.0])
def test_largest_displacement_is_as_stated(amplitude: float) -> None:
    surface = sphere()
    field = smooth_field(np.random.default_rng(1), surface.points, amplitude)
    moved = np.linalg.norm(field.apply(surface).points - surface.points, axis=1)
    assert moved.max() == pytest.approx(amplitude, rel=1e-9)
    np.testing.assert_allclose(field.apply(surface).points - surface.points, field.displacement(surface.points))


def test_zero_is_the_identity() -> None:
    surface = sphere()
    field = smooth_field(np.random.default_rng(1), surface.points, 0.0)
    assert field.apply(surface) is surface


def test_no_rigid_motion_is_left_that_registration_could_take_away() -> None:
    surface = sphere()
    move = smooth_field(np.random.default_rng(2), surface.points, 1.0).displacement(surface.points)
    # Independent check: least squares of translation and small rotation through numpy's general solver.
    x, y, z = (surface.points - surface.points.mean(axis=0)).T
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows = np.stack(
        [
            np.stack([one, zero, zero, zero, z, -y], 1),
            np.stack([zero, one, zero, -z, zero, x], 1),
            np.stack([zero, zero, one, y, -x, zero], 1),
        ],
        axis=1,
    ).reshape(-1, 6)
    motion = np.linalg.lstsq(rows, move.reshape(-1), rcond=None)[0]
    np.testing.assert_allclose(motion, 0.0, atol=1e-9)
    assert np.abs(move).mean() > 0.1


def test_field_is_smooth() -> None:
    surface = sphere()
    field = smooth_field(np.random.default_rng(3), surface.points, 1.0)
    step = np.random.default_rng(4).normal(size=surface.points.shape)
    step *= 2.0 / np.linalg.norm(step, axis=1, keepdims=True)
    change = np.linalg.norm(field.displacement(surface.points + step) - field.displacement(surface.points), axis=1)
    # 2 mm are 1/25 of the radius; the shortest wave is two radii long.
    assert change.max() < 0.3


def test_normals_turn_with_the_surface() -> None:
    surface = sphere()
    field = smooth_field(np.random.default_rng(5), surface.points, 2.5)
    bent = field.apply(surface)
    helper = np.cross(surface.normals, [0.3, -0.8, 0.5])
    for tangent in (helper, np.cross(surface.normals, helper)):
        tangent = 1e-4 * tangent / np.linalg.norm(tangent, axis=1, keepdims=True)
        carried = (tangent + field.displacement(surface.points + tangent) - field.displacement(surface.points)) / 1e-4
        np.testing.assert_allclose(np.einsum("ij,ij->i", carried, bent.normals), 0.0, atol=1e-4)
    assert np.abs(bent.normals - surface.normals).max() > 0.02


def test_every_generator_state_gives_another_field() -> None:
    surface = sphere()
    generator = np.random.default_rng(6)
    first, second = (smooth_field(generator, surface.points, 1.0).displacement(surface.points) for _ in range(2))
    assert np.linalg.norm(first - second, axis=1).max() > 0.3
