from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import trimesh

from dusnet.errors import BadInput
from dusnet.io import Mesh
from dusnet.synthesis.shapes import PARTS, make_part


@cache
def part(name: str, jitter: float = 0.0, seed: int = 0) -> Mesh:
    return make_part(name, np.random.default_rng(seed), jitter)


@pytest.mark.parametrize("name", sorted(PARTS))
def test_every_part_is_one_closed_solid_of_realistic_size(name: str) -> None:
    mesh = part(name)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.volume > 0.0
    assert solid.body_count == 1
    assert 20.0 < np.ptp(mesh.vertices, axis=0).max() < 200.0


@pytest.mark.parametrize("name", sorted(PARTS))
def test_jitter_changes_sizes_by_at_most_its_share_and_stays_closed(name: str) -> None:
    nominal, other = part(name), part(name, 0.05, seed=3)
    solid = trimesh.Trimesh(other.vertices, other.faces, process=False)
    assert solid.is_watertight
    assert solid.body_count == 1
    ratio = np.ptp(other.vertices, axis=0) / np.ptp(nominal.vertices, axis=0)
    assert (np.abs(ratio - 1.0) < 0.12).all()
    assert (np.abs(ratio - 1.0) > 1e-4).any()


def test_same_generator_gives_the_same_part() -> None:
    first, second, third = (make_part("gear", np.random.default_rng(seed), 0.03) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.vertices, second.vertices)
    assert not np.array_equal(first.vertices, third.vertices)


def radii(mesh: Mesh, low: float, high: float) -> np.ndarray:
    chosen = (mesh.vertices[:, 2] >= low) & (mesh.vertices[:, 2] <= high)
    return np.linalg.norm(mesh.vertices[chosen, :2], axis=1)


def test_bottle_has_two_walls_and_a_neck() -> None:
    mesh = part("bottle")
    body = radii(mesh, 60.0, 95.0)
    outside, inside = body[body > 31.0], body[body <= 31.0]
    np.testing.assert_allclose(outside, 32.0, atol=0.2)
    np.testing.assert_allclose(inside, 32.0 - 2.2, atol=0.3)
    neck = radii(mesh, 170.0, 180.0)
    np.testing.assert_allclose([neck.max(), neck.min()], [13.0, 13.0 - 2.2], atol=0.15)
    assert mesh.vertices[:, 2].max() == pytest.approx(180.0)


def test_flange_matches_its_drawing() -> None:
    mesh = part("flange")
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert radii(mesh, -10, 100).min() == pytest.approx(27.0, rel=1e-9)
    assert radii(mesh, -10, 100).max() == pytest.approx(75.0, rel=1e-9)
    # Drawing, with circles as 96-gons: plate, raised face and tapered neck less bore and six holes of 16 mm.
    area = 96 / 2 * np.sin(2 * np.pi / 96)
    cone = 6.0 / 3.0 * (44.0**2 + 44.0 * 38.0 + 38.0**2) + 24.0 / 3.0 * (38.0**2 + 38.0 * 34.0 + 34.0**2)
    gross = 46.0**2 * 3.0 + 75.0**2 * 16.0 + cone
    expected = area * (gross - 27.0**2 * 49.0 - 6 * 8.0**2 * 16.0)
    # The holes also nick the raised face: 57 - 8 = 49 > 46, so they do not.
    assert solid.volume == pytest.approx(expected, rel=1e-6)
    assert solid.euler_number == 2 - 2 * 7


def test_gear_has_22_teeth_and_its_diameters() -> None:
    mesh = part("gear")
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    module = 4.2
    assert radii(mesh, -1, 30).max() == pytest.approx(22 * module / 2 + module)
    turn = np.linspace(0.0, 2 * np.pi, 4000, endpoint=False)
    pitch = 22 * module / 2
    section = solid.section(plane_origin=[0, 0, 10.0], plane_normal=[0, 0, 1])
    outline = max((section.vertices[entity.points, :2] for entity in section.entities), key=np.ptp)
    around = np.unwrap(np.arctan2(outline[:, 1], outline[:, 0]))
    order = np.argsort(around)
    profile = np.interp(turn, around[order] - around.min(), np.linalg.norm(outline, axis=1)[order])
    crossings = np.count_nonzero(np.diff((profile > pitch).astype(int), append=int(profile[0] > pitch)))
    assert crossings == 44


def test_cup_handle_does_not_reach_into_the_cup() -> None:
    mesh = part("cup")
    assert mesh.vertices[:, 0].max() > 41.0 + 25.0
    middle = (mesh.vertices[:, 2] > 15.0) & (mesh.vertices[:, 2] < 94.0)
    assert np.linalg.norm(mesh.vertices[middle, :2], axis=1).min() > 41.0 - 3.5 - 0.6


def test_unknown_part_names_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"no part named 'botle'; did you mean bottle"):
        part("botle")
    with pytest.raises(BadInput, match=r"choose from bolt, bottle"):
        part("zzzzzz")


def test_jitter_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="jitter"):
        part("cup", 0.5)
