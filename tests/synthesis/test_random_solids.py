from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from dusnet.io import Mesh
from dusnet.synthesis.draws import Draws, random_turn
from dusnet.synthesis.random_families import FAMILIES, clear
from dusnet.synthesis.random_solids import RADIUS, random_solid, similar_solid
from dusnet.synthesis.shapes import PARTS, make_part

SEEDS = range(60)


@cache
def drawn(seed: int) -> Mesh:
    return random_solid(np.random.default_rng(seed))


def as_trimesh(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def shape_statistics(mesh: Mesh) -> NDArray[np.float64]:
    """Numbers that stay the same under a motion and a change of size but differ between shapes."""
    solid = as_trimesh(mesh)
    size = float(solid.area) ** 0.5
    inertia = np.sort(np.linalg.eigvalsh(solid.moment_inertia)) / solid.volume / size**2
    return np.array([*np.sqrt(inertia), solid.volume ** (1 / 3) / size])


@pytest.mark.parametrize("seed", SEEDS)
def test_every_draw_is_one_closed_solid_of_the_promised_size(seed: int) -> None:
    mesh = drawn(seed)
    solid = as_trimesh(mesh)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.volume > 0.0
    assert solid.body_count == 1
    middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2.0
    np.testing.assert_allclose(middle, 0.0, atol=1e-9)
    assert RADIUS[0] <= np.linalg.norm(mesh.vertices, axis=1).max() <= RADIUS[1]
    extents = np.sort(solid.bounding_box_oriented.primitive.extents)
    assert extents[0] > 0.02 * extents[2]
    assert extents[1] > 0.1 * extents[2]


def winding_numbers(mesh: Mesh, places: NDArray[np.float64]) -> NDArray[np.int64]:
    """How often the surface encloses each place: the solid angles of all faces (Van Oosterom and Strackee, 1983)."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]][None] - places[:, None] for corner in range(3))
    la, lb, lc = (np.linalg.norm(side, axis=2) for side in (a, b, c))
    below = la * lb * lc + (a * b).sum(axis=2) * lc + (b * c).sum(axis=2) * la + (c * a).sum(axis=2) * lb
    angles = 2.0 * np.arctan2((a * np.cross(b, c)).sum(axis=2), below)
    return np.round(angles.sum(axis=1) / (4.0 * np.pi)).astype(np.int64)


@pytest.mark.parametrize("seed", [*range(0, 60, 3), 60])
def test_no_face_lies_inside_of_the_material(seed: int) -> None:
    mesh = drawn(seed)
    places, faces = trimesh.sample.sample_surface(as_trimesh(mesh), 40, seed=seed)
    a, b, c = (mesh.vertices[mesh.faces[faces, corner]] for corner in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    assert (winding_numbers(mesh, places - 1e-4 * normals) == 1).all()
    assert (winding_numbers(mesh, places + 1e-4 * normals) == 0).all()


def test_a_seed_always_gives_the_same_solid_and_the_next_draw_another() -> None:
    generator = np.random.default_rng(5)
    first, second = random_solid(generator), random_solid(generator)
    again = random_solid(np.random.default_rng(5))
    np.testing.assert_array_equal(first.vertices, again.vertices)
    np.testing.assert_array_equal(first.faces, again.faces)
    assert np.abs(shape_statistics(first) - shape_statistics(second)).max() > 1e-3


def test_no_two_draws_have_the_same_shape_and_none_is_a_part_of_the_benchmark() -> None:
    parts = [make_part(name, np.random.default_rng(0), 0.0) for name in sorted(PARTS)]
    table = np.array([shape_statistics(mesh) for mesh in [*map(drawn, SEEDS), *parts]])
    apart = np.abs(table[:, None] - table[None]).max(axis=2)
    np.fill_diagonal(apart, np.inf)
    assert apart[: len(SEEDS)].min() > 1e-3
    assert np.ptp(table[: len(SEEDS), 3]) > 0.15


def test_shape_statistics_do_not_depend_on_pose_and_size() -> None:
    mesh = drawn(1)
    turned = Mesh(3.0 * mesh.vertices @ random_turn(np.random.default_rng(0)).T + 7.0, mesh.faces)
    np.testing.assert_allclose(shape_statistics(turned), shape_statistics(mesh), rtol=1e-6)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_most_draws_of_a_family_have_material(family: str) -> None:
    maker, share = FAMILIES[family]
    solids = [maker(Draws(np.random.default_rng(seed))) for seed in range(8)]
    assert share > 0.0
    assert sum(not solid.is_empty() and solid.volume() > 0.0 for solid in solids) >= 6


def test_random_turns_are_proper_rotations_in_all_directions() -> None:
    generator = np.random.default_rng(2)
    turns = np.array([random_turn(generator) for _ in range(400)])
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1.0)
    np.testing.assert_allclose(turns.mean(axis=0), 0.0, atol=0.15)


def test_a_tube_is_clear_when_its_bend_is_wider_than_it_is_thick_and_its_ends_are_apart() -> None:
    angles = np.linspace(0.0, np.pi, 40)
    half_circle = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(40)])
    assert clear(half_circle, 0.85)
    assert not clear(half_circle, 0.95)
    angles = np.linspace(0.0, 1.95 * np.pi, 80)
    assert not clear(np.column_stack([np.cos(angles), np.sin(angles), np.zeros(80)]), 0.2)
    assert not clear(np.array([[0.0, 0, 0], [1, 0, 0], [0.1, 0.1, 0]]), 0.1)


@pytest.mark.parametrize("seed", [1, 4, 7])
def test_a_similar_solid_differs_by_its_sizes_and_by_little(seed: int) -> None:
    nominal = random_solid(np.random.default_rng(seed))
    first, second = (similar_solid(seed, nominal, np.random.default_rng(other), 0.02) for other in (1, 2))
    again = similar_solid(seed, nominal, np.random.default_rng(1), 0.02)
    np.testing.assert_array_equal(first.vertices, again.vertices)
    for mesh in (first, second):
        assert as_trimesh(mesh).is_watertight
        assert 1e-4 < np.abs(shape_statistics(mesh) - shape_statistics(nominal)).max() < 0.03
    assert np.abs(shape_statistics(first) - shape_statistics(second)).max() > 1e-4


def test_without_jitter_a_similar_solid_is_the_solid() -> None:
    nominal = random_solid(np.random.default_rng(4))
    same = similar_solid(4, nominal, np.random.default_rng(0), 0.0)
    np.testing.assert_array_equal(same.vertices, nominal.vertices)


def test_a_solid_that_became_another_one_is_not_taken() -> None:
    """Sizes that are half of what was drawn, or half as much again: whatever comes out is no specimen."""
    nominal = random_solid(np.random.default_rng(4))
    assert similar_solid(4, nominal, np.random.default_rng(0), 0.7) is nominal


def test_changed_sizes_leave_the_other_numbers_as_they_are() -> None:
    plain, changed = Draws(np.random.default_rng(3)), Draws(np.random.default_rng(3), lambda: 1.5)
    assert changed.size(1.0, 2.0) == 1.5 * plain.size(1.0, 2.0)
    np.testing.assert_array_equal(changed.sizes(0.0, 1.0, 4), 1.5 * plain.sizes(0.0, 1.0, 4))
    np.testing.assert_array_equal(changed.changes(2), 1.5 * plain.changes(2))
    assert changed.chance(0.5) == plain.chance(0.5)
    assert changed.uniform() == plain.uniform()
