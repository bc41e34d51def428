"""Bodies of a mesh told apart and united, beside what their union measures."""

from __future__ import annotations

import numpy as np
import pytest
from body_parts import (
    BOSS,
    PLATE,
    RIB,
    Box,
    as_stl,
    box_mesh,
    edges_are_paired,
    inverted,
    together,
    turned,
    union_of,
    volume_and_area,
)

from dusnet.errors import BadInput
from dusnet.geometry.bodies import split_bodies
from dusnet.geometry.outer_surface import closing_distance, outer_surface, winding_numbers
from dusnet.io import Mesh

SUNK: list[Box] = [PLATE, ((-55, -35, 2), (-45, 20, 22)), ((20, 5, 2), (35, 15, 25))]
TOUCHING: list[Box] = [PLATE, RIB, BOSS]


def assert_measures(mesh: Mesh, boxes: list[Box], rel: float = 1e-5) -> None:
    assert edges_are_paired(mesh)
    assert volume_and_area(mesh) == pytest.approx(union_of(boxes), rel=rel)


def many(boxes: list[Box]) -> Mesh:
    return together(*(box_mesh(box) for box in boxes))


@pytest.mark.parametrize("boxes", [TOUCHING, SUNK], ids=["touching", "overlapping"])
@pytest.mark.parametrize("read", [lambda mesh: mesh, as_stl], ids=["indexed", "STL"])
def test_bodies_that_touch_or_overlap_become_one(boxes, read):
    found = outer_surface(read(many(boxes)))
    assert union_of(TOUCHING) == (104850, 25510)
    assert_measures(found.mesh, TOUCHING)
    assert (found.bodies, found.united, found.left_out, found.not_united) == (3, 3, 0, 0)


def test_random_boxes_measure_what_their_cells_do():
    generator = np.random.default_rng(4)
    for _ in range(15):
        low = generator.integers(0, 5, size=(generator.integers(2, 7), 3)).astype(float)
        high = low + generator.integers(1, 4, size=low.shape)
        boxes: list[Box] = [(tuple(a), tuple(b)) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
        for mesh in (many(boxes), as_stl(many(boxes))):
            assert_measures(outer_surface(mesh).mesh, boxes)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1 / 25.4], ids=["mm", "m", "in"])
@pytest.mark.parametrize("write", ["float32", "%.9e", "%g", "%.6f"])
def test_gaps_of_rounding_are_closed(write, scale):
    generator = np.random.default_rng(8)
    for _ in range(3):
        mesh = turned(many(TOUCHING), generator)
        mesh = Mesh(mesh.vertices * scale, mesh.faces)
        if write == "float32":
            mesh = as_stl(mesh, np.float32)
        else:
            mesh = Mesh(np.array([[float(write % x) for x in row] for row in mesh.vertices]), mesh.faces)
        found = outer_surface(mesh)
        assert found.united == 3
        volume, area = volume_and_area(found.mesh)
        assert (volume / scale**3, area / scale**2) == pytest.approx(union_of(TOUCHING), rel=3e-4)


def test_vertices_of_the_file_stay_to_the_bit():
    mesh = as_stl(turned(many(TOUCHING), np.random.default_rng(2)), np.float32)
    given = {tuple(row) for row in mesh.vertices.tolist()}
    found = {tuple(row) for row in outer_surface(mesh).mesh.vertices.tolist()}
    assert len(given & found) == 16  # all but the four of each of the two feet, which lie inside


def test_cylinders_and_boxes():
    def prism(corners: int, radius: float, low: float, high: float) -> Mesh:
        angle = 2 * np.pi * np.arange(corners) / corners
        ring = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
        points = np.vstack([np.column_stack([ring, np.full(corners, z)]) for z in (low, high)])
        near, far = np.arange(corners), (np.arange(corners) + 1) % corners
        sides = [np.column_stack([near, far, far + corners]), np.column_stack([near, far + corners, near + corners])]
        fan = np.array([[0, k, k + 1] for k in range(1, corners - 1)])
        return Mesh(points, np.vstack([*sides, fan[:, ::-1], fan + corners]))

    pin, neck = prism(60, 8.0, 10.0, 30.0), prism(12, 3.0, 5.0, 40.0)
    foot, thin = 30 * 64 * np.sin(np.pi / 30), 6 * 9 * np.sin(np.pi / 6)
    volume = 120 * 80 * 10 + foot * 20 + thin * 10
    area = 2 * (120 * 80 + 1200 + 800) + 60 * 16 * np.sin(np.pi / 60) * 20 + 12 * 6 * np.sin(np.pi / 12) * 10
    for mesh in (together(box_mesh(PLATE), pin, neck), together(neck, inverted(pin), box_mesh(PLATE))):
        found = outer_surface(as_stl(turned(mesh, np.random.default_rng(1)), np.float32))
        assert found.united == 3
        assert volume_and_area(found.mesh) == pytest.approx((volume, area), rel=1e-5)


def test_orientation_of_the_file_does_not_matter():
    mesh = many(SUNK)
    wild = mesh.faces.copy()
    chosen = np.random.default_rng(0).random(len(wild)) < 0.4
    wild[chosen] = wild[chosen][:, ::-1]
    one = together(box_mesh(SUNK[0]), inverted(box_mesh(SUNK[1])), box_mesh(SUNK[2]))
    for other in (inverted(mesh), one, Mesh(mesh.vertices, wild)):
        assert_measures(outer_surface(other).mesh, TOUCHING)


@pytest.mark.parametrize("again", [PLATE, ((0, 0, 2), (5, 5, 5)), ((0, 0, 0), (5, 5, 10))])
def test_bodies_inside_of_material_and_copies_are_left_out(again):
    for mesh in (many([PLATE, again]), as_stl(many([again, PLATE]))):
        found = outer_surface(mesh)
        assert_measures(found.mesh, [PLATE])
        assert (found.bodies, found.united, found.left_out) == (2, 0, 1)
        (note,) = found.notes("part.stl")
        assert note.startswith("1 piece was left out of part.stl")


def test_bodies_in_bodies_in_bodies():
    nested: list[Box] = [((-k, -k, -k), (k, k, k)) for k in (1, 2, 4, 9)]
    found = outer_surface(many([*nested, ((8, 0, 0), (12, 1, 1))]))
    assert_measures(found.mesh, [nested[-1], ((8, 0, 0), (12, 1, 1))])
    assert found.left_out == 3


def test_a_closed_cavity_stays_surface():
    hole = inverted(box_mesh(((0, 0, 2), (5, 5, 5))))
    loose = box_mesh(((1, 1, 3), (2, 2, 4)))
    for mesh in (together(box_mesh(PLATE), hole), together(hole, loose, box_mesh(PLATE))):
        for given in (mesh, inverted(mesh)):
            found = outer_surface(given)
            assert found.mesh is given
            assert found.notes("x") == ()
    found = outer_surface(together(box_mesh(PLATE), hole, box_mesh(BOSS)))
    volume, area = union_of([PLATE, BOSS])
    assert volume_and_area(found.mesh) == pytest.approx((volume - 75, area + 110), rel=1e-5)


def test_what_is_clean_is_returned_as_it_is():
    alone, apart = box_mesh(PLATE), many([PLATE, ((0, 0, 30), (5, 5, 40))])
    edge = many([PLATE, ((60, -40, 10), (70, 40, 20))])
    for mesh in (alone, as_stl(alone), inverted(alone), apart, edge, Mesh(alone.vertices, alone.faces[2:])):
        found = outer_surface(mesh)
        assert found.mesh is mesh
        assert (found.united, found.left_out, found.notes("x"), found.summary("x")) == (0, 0, (), "")


def test_walls_inside_and_doubled_faces_are_left_out():
    wall = box_mesh(((0, 0, 2), (5, 5, 8)))
    plate = box_mesh(PLATE)
    inner = together(plate, Mesh(wall.vertices, wall.faces[:2]))
    twice = Mesh(plate.vertices, np.vstack([plate.faces, plate.faces[3:6]]))
    for mesh in (inner, twice):
        assert_measures(outer_surface(mesh).mesh, [PLATE])
    # Two bodies with a whole face in common, their triangles in no order.
    above = box_mesh(((-60, -40, 10), (60, 40, 20)))
    stacked = as_stl(together(plate, above))
    for seed in range(4):
        mixed = Mesh(stacked.vertices, stacked.faces[np.random.default_rng(seed).permutation(24)])
        assert_measures(outer_surface(mixed).mesh, [((-60, -40, 0), (60, 40, 20))])


def test_triangles_without_area_do_no_harm():
    mesh = as_stl(many(SUNK))
    line = np.array([[-60.0, -40, 0], [-60, -40, 5], [-60, -40, 10]])
    broken = np.vstack([mesh.faces, [[0, 0, 1], [2, 2, 2], [3, 4, 4]], [len(mesh.vertices) + np.arange(3)]])
    assert_measures(outer_surface(Mesh(np.vstack([mesh.vertices, line]), broken)).mesh, TOUCHING)


def test_open_bodies_are_named_and_stay():
    boss = box_mesh(((20, 5, 8), (35, 15, 25)))
    mesh = together(box_mesh(PLATE), box_mesh(RIB), Mesh(boss.vertices, boss.faces[2:]))
    found = outer_surface(mesh)
    assert (found.bodies, found.united, found.not_united) == (3, 2, 1)
    (note,) = found.notes("part.stl")
    assert "1 of the 3 pieces of part.stl could not be united" in note
    assert len(found.mesh.faces) > 10
    sheet = Mesh(boss.vertices, boss.faces[:2])
    assert outer_surface(sheet).not_united == 0
    two = outer_surface(together(sheet, Mesh(boss.vertices + 50.0, boss.faces[:2])))
    assert two.not_united == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v, f: (v * 1e199, f), "coordinate of 6e"),
        (lambda v, f: (v * np.nan, f), "NaN"),
        (lambda v, f: (v * 1e-200, f), "across"),
        (lambda v, f: (v * 0.0, f), "no surface"),
        (lambda v, f: (v + 1e14, f), "across"),
        (lambda v, f: (v, f[:1]), "single triangle"),
        (lambda v, f: (v, f[:0]), "no faces"),
    ],
)
def test_what_cannot_be_measured_is_refused(change, words):
    plate = box_mesh(PLATE)
    with pytest.raises(BadInput, match=words):
        outer_surface(Mesh(*change(plate.vertices, plate.faces)))


def test_a_vertex_that_no_face_uses_does_not_matter():
    plate = box_mesh(PLATE)
    found = outer_surface(Mesh(np.vstack([plate.vertices, [[1e200] * 3]]), plate.faces))
    np.testing.assert_array_equal(found.mesh.vertices, plate.vertices)


def test_the_closing_distance_follows_the_file():
    rough = np.random.default_rng(0).normal(size=(500, 3)) * 30.0
    largest = np.abs(rough).max()
    assert closing_distance(rough) == pytest.approx(2e-7 * np.linalg.norm(np.ptp(rough, axis=0)))
    assert closing_distance(np.round(rough, 3)) == pytest.approx(1e-3 if largest > 10 else 1e-4)
    assert closing_distance(np.round(rough)) < 1e-4  # whole numbers are meant so
    far = (rough + 1e6).astype(np.float32).astype(np.float64)
    assert closing_distance(far) == pytest.approx(0.125)


def test_winding_numbers_of_a_box():
    plate = box_mesh(PLATE)
    found = winding_numbers(np.array([[0.0, 0, 5], [0, 0, 11], [59, 39, 9]]), plate.vertices, plate.faces)
    np.testing.assert_allclose(found, [1, 0, 1], atol=1e-9)


def test_many_loose_slivers_are_quick_and_left_out():
    plate = box_mesh(PLATE)
    count = 20_000
    start = np.random.default_rng(0).uniform(0, 10, size=(count, 1, 3))
    slivers = (start + np.array([[0.0], [0.25], [0.5]]) * [1.0, 0, 0]).reshape(-1, 3)
    mesh = together(plate, Mesh(slivers, np.arange(3 * count).reshape(-1, 3)))
    found = outer_surface(mesh)
    assert (found.bodies, len(found.mesh.faces)) == (1, 12)


def test_faces_stay_with_their_body():
    mesh = as_stl(many([PLATE, ((-60, -40, 10), (60, 40, 20))]))
    split = split_bodies(mesh.vertices, mesh.faces)
    assert [body.volume for body in split.bodies] == [96000, 96000]
    assert all(body.closed and body.trusted for body in split.bodies)
    assert [body.area for body in split.bodies] == [23200, 23200]
