"""Signed distances to a mesh, beside what geometry says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cad_parts import BOX, box, brute_force, motion, moved, sphere, stepped_box

from dusnet.cad.surface import CadSurface
from dusnet.errors import BadInput, MissingDependency
from dusnet.io import Mesh

ULP = 3e-7  # of the radius: single precision


def box_distance(points: np.ndarray) -> np.ndarray:
    """Signed distance to `box()`, in closed form."""
    off = np.abs(points - BOX / 2) - BOX / 2
    return np.linalg.norm(np.maximum(off, 0), axis=1) + np.minimum(off.max(axis=1), 0)


def test_box_everywhere(rng):
    surface = CadSurface(box())
    points = rng.uniform(-0.5, 1.5, (5000, 3)) * BOX
    assert surface.watertight
    assert surface.radius == pytest.approx(np.linalg.norm(BOX) / 2)
    np.testing.assert_allclose(surface.signed_distance(points), box_distance(points), atol=ULP * surface.radius)


def test_points_on_a_grid_through_edges_and_corners_have_the_right_sign():
    axes = [np.linspace(-0.5, 1.5, 33) * length for length in BOX]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    surface = CadSurface(box())
    np.testing.assert_allclose(surface.signed_distance(points), box_distance(points), atol=ULP * surface.radius)


@pytest.mark.parametrize("watertight", [True, False])
def test_random_mesh_beside_brute_force(rng, watertight):
    mesh = stepped_box()
    mesh = replace(mesh, vertices=moved(mesh.vertices, motion(rng, 100.0)))
    if not watertight:
        mesh = replace(mesh, faces=mesh.faces[3:])
    surface = CadSurface(mesh)
    assert surface.watertight is watertight
    points = rng.uniform(mesh.vertices.min(axis=0) - 10, mesh.vertices.max(axis=0) + 10, (2000, 3))
    found = surface.signed_distance(points)
    np.testing.assert_allclose(np.abs(found), brute_force(points, mesh), atol=ULP * surface.radius)


def test_soup_of_random_triangles_beside_brute_force(rng):
    mesh = Mesh(rng.normal(size=(60, 3)), np.arange(60).reshape(20, 3))
    points = rng.normal(size=(1000, 3)) * 1.5
    surface = CadSurface(mesh)
    assert not surface.watertight
    np.testing.assert_allclose(np.abs(surface.signed_distance(points)), brute_force(points, mesh), atol=1e-6)


@pytest.mark.parametrize("width", [0.01, 0.1, 0.5])
def test_beside_thin_triangles_distances_are_as_exact_as_elsewhere(rng, width):
    corners = np.array([[0.0, 0, 0], [120, 0, 0], [120, 80, 0], [0, 80, 0], [0, width, 0]])
    sheet = Mesh(corners, np.array([[0, 1, 2], [0, 2, 4], [4, 2, 3]]))
    pose = motion(rng, 20.0)
    along = rng.uniform(0.02, 0.98, (20_000, 1)) * corners[2]
    points = along + rng.normal(size=along.shape) * [0.1, 0.1, 0.0]
    points[:, :2] = np.clip(points[:, :2], 0, [120, 80])
    surface = CadSurface(Mesh(moved(corners, pose), sheet.faces), exact=True)
    found = surface.signed_distance(moved(points, pose))
    np.testing.assert_allclose(found, 0.0, atol=2e-6 * surface.radius)  # in single precision up to 1e-4 of it


def test_far_from_the_origin_nothing_is_lost(rng):
    far = np.array([4.3e6, 5.2e5, 1e3])
    points = rng.uniform(-0.2, 1.2, (500, 3)) * BOX
    surface = CadSurface(replace(box(), vertices=box().vertices + far))
    np.testing.assert_allclose(surface.signed_distance(points + far), box_distance(points), atol=1e-4)


@pytest.mark.parametrize(("factor", "sign"), [(1.01, 1), (0.99, -1)])
def test_scaled_sphere_is_off_by_the_same_everywhere(factor, sign):
    mesh = sphere(50.0)
    found = CadSurface(mesh).signed_distance(mesh.vertices * factor)
    np.testing.assert_allclose(found, sign * 0.5, atol=2e-3)  # facets are 0.05 % flatter than the sphere


def test_orientation_of_a_closed_mesh_does_not_matter(rng):
    points = rng.uniform(-0.5, 1.5, (500, 3)) * BOX
    inverted = replace(box(), faces=box().faces[:, ::-1])
    np.testing.assert_allclose(CadSurface(inverted).signed_distance(points), box_distance(points), atol=1e-5)


def test_open_mesh_takes_the_sign_of_its_normals(rng):
    lid = replace(box(), faces=box().faces[-2:])  # z = 20, looking up
    points = rng.uniform(0.1, 0.9, (200, 3)) * BOX * [1, 1, 2]
    surface = CadSurface(lid)
    assert not surface.watertight
    np.testing.assert_allclose(surface.signed_distance(points), points[:, 2] - 20, atol=1e-5)
    inverted = CadSurface(replace(lid, faces=lid.faces[:, ::-1]))
    np.testing.assert_allclose(inverted.signed_distance(points), 20 - points[:, 2], atol=1e-5)


def test_open_mesh_has_the_right_sign_beside_its_edges_and_corners(rng):
    opened = replace(box(), faces=box().faces[2:])  # without the side x = 0
    points = np.array([1.0, 0.5, 0.5]) * BOX + rng.uniform(-0.4, 0.4, (3000, 3)) * BOX
    found = CadSurface(opened).signed_distance(points)
    np.testing.assert_allclose(found, box_distance(points), atol=1e-4)


def test_vertices_at_one_place_are_one():
    soup = box()
    soup = Mesh(soup.vertices[soup.faces].reshape(-1, 3), np.arange(36).reshape(12, 3))
    assert CadSurface(soup).watertight


@pytest.mark.parametrize(
    "vertices",
    [np.zeros((3, 3)), np.arange(9.0).reshape(3, 3), np.full((3, 3), np.nan)],
    ids=["a place", "a line", "NaN"],
)
def test_no_surface_is_refused(vertices):
    with pytest.raises(BadInput, match="mesh"):
        CadSurface(Mesh(vertices, np.array([[0, 1, 2]])))


def test_no_faces_are_refused():
    with pytest.raises(BadInput, match="no surface"):
        CadSurface(Mesh(np.eye(3), np.zeros((0, 3), dtype=np.int64)))


def test_missing_open3d_is_said(monkeypatch):
    import dusnet.open3d_import as door

    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(door.importlib, "import_module", absent)
    with pytest.raises(MissingDependency, match="pip install open3d"):
        CadSurface(box())
