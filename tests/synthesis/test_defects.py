from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.spatial import cKDTree

from dusnet.cloud import Frame
from dusnet.errors import BadInput
from dusnet.io import Mesh, sample_mesh
from dusnet.synthesis.defects import KINDS, apply_defect
from dusnet.synthesis.fractures import SOLID_KINDS, damage_solid, surface_area
from dusnet.synthesis.shapes import make_part
from dusnet.synthesis.solids import as_solid
from dusnet.synthesis.surface import LabelledSurface, geodesic_distances

PARTS = ("bowl", "bracket", "gear", "hook")
REMOVING = ("hole", "crack", "broken", "cut")


@cache
def mesh_of(name: str) -> Mesh:
    return make_part(name, np.random.default_rng(0), 0.0)


@cache
def surface_of(name: str, count: int = 12_000) -> LabelledSurface:
    return LabelledSurface.clean(*sample_mesh(mesh_of(name), count, np.random.default_rng(1)))


@cache
def sphere(count: int = 20_000, radius: float = 50.0) -> LabelledSurface:
    normals = np.random.default_rng(0).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return LabelledSurface.clean(radius * normals, normals)


def defect(
    kind: str, surface: LabelledSurface, seed: int = 0, amplitude: tuple[float, float] = (0.03, 0.10)
) -> LabelledSurface:
    radius = Frame.of(surface.points).scale
    return apply_defect(kind, surface, np.random.default_rng(seed), radius=radius, amplitude=amplitude)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PARTS)
def test_share_of_ground_truth(kind: str, name: str) -> None:
    surface = surface_of(name)
    for seed in range(2):
        share = defect(kind, surface, seed).labels.mean()
        assert 0.005 <= share <= (0.12 if kind in ("bending", "broken") else 0.07)


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in REMOVING])
def test_ground_truth_is_where_the_surface_moved(kind: str) -> None:
    surface = surface_of("bowl")
    radius = Frame.of(surface.points).scale
    damaged = defect(kind, surface, 2)
    assert len(damaged) == len(surface)
    moved = np.linalg.norm(damaged.points - surface.points, axis=1)
    largest = moved.max()
    assert 0.01 * radius < largest <= 0.10 * radius + 1e-9
    threshold = 0.25 if kind == "bending" else 0.1
    assert moved[damaged.labels].min() > 0.99 * threshold * largest
    assert moved[~damaged.labels].max() < 1.02 * threshold * largest


@pytest.mark.parametrize(("kind", "sign"), [("bulge", 1), ("sink", -1), ("concavity", -1)])
def test_sphere_is_pushed_along_its_normal_by_the_stated_amplitude(kind: str, sign: int) -> None:
    surface = sphere()
    damaged = defect(kind, surface, 1, (0.06, 0.06))
    change = np.linalg.norm(damaged.points, axis=1) - 50.0
    peak = change[np.argmax(np.abs(change))]
    assert np.sign(peak) == sign
    expected = 0.06 * 50.0
    assert abs(peak) == pytest.approx(expected, rel=0.05)
    # Falls to nothing at the rim: no step next to untouched points.
    untouched = change == 0.0
    distance = cKDTree(damaged.points[~untouched]).query(damaged.points[untouched])[0]
    border = cKDTree(damaged.points[untouched][distance < 1.5]).query(damaged.points[~untouched])[0] < 0.5
    assert np.abs(change[~untouched][border]).max() < 0.25 * expected


def test_scratch_is_a_long_groove() -> None:
    surface = sphere()
    damaged = defect("scratch", surface, 1)
    change = np.linalg.norm(damaged.points, axis=1) - 50.0
    assert change.max() < 0.05 * 50.0 * 0.1
    assert -0.10 * 50.0 <= change.min() < -0.02 * 50.0
    spread = np.linalg.svd(surface.points[damaged.labels] - surface.points[damaged.labels].mean(axis=0))[1]
    assert spread[0] > 4.0 * spread[1]  # 5.2 times, deviation .45 over five seeds


def test_bulge_keeps_to_its_side_of_a_thin_wall() -> None:
    generator = np.random.default_rng(3)
    top = np.column_stack([generator.uniform(-50, 50, (10_000, 2)), np.full(10_000, 0.5)])
    up = np.tile([0.0, 0.0, 1.0], (10_000, 1))
    plate = LabelledSurface.clean(np.vstack([top, top * [1, 1, -1]]), np.vstack([up, -up]))
    upper = np.arange(10_000)
    damaged = apply_defect("bulge", plate, np.random.default_rng(0), radius=70.0, allowed=upper)
    assert damaged.labels[:10_000].any()
    assert not damaged.labels[10_000:].any()
    np.testing.assert_array_equal(damaged.points[10_000:], plate.points[10_000:])
    # A dent deeper than the wall takes the far side along instead of passing through it.
    dented = apply_defect("sink", plate, np.random.default_rng(0), radius=70.0, allowed=upper)
    deepest = int(np.argmin(dented.points[:10_000, 2]))
    below = int(np.argmin(np.linalg.norm(plate.points[10_000:, :2] - plate.points[deepest, :2], axis=1)))
    assert dented.points[10_000 + below, 2] < dented.points[deepest, 2]
    assert dented.labels[10_000 + below]
    # A hole goes through.
    holed = apply_defect("hole", plate, np.random.default_rng(0), radius=70.0, allowed=upper)
    gone = cKDTree(holed.points).query(plate.points)[0] > 0.0
    assert gone[:10_000].sum() == pytest.approx(gone[10_000:].sum(), rel=0.15)


def test_geodesic_distance_on_a_sphere_is_the_arc() -> None:
    surface = sphere()
    region, distance = geodesic_distances(surface, 0, 30.0)
    arc = 50.0 * np.arccos(np.clip(surface.normals[region] @ surface.normals[0], -1.0, 1.0))
    far = arc > 5.0
    ratio = distance[far] / arc[far]
    assert ratio.min() > 0.99
    assert ratio.max() < 1.25
    assert ratio.mean() < 1.08
    assert (np.diff(distance) >= 0.0).all()


@pytest.mark.parametrize("kind", ["hole", "crack"])
def test_rim_of_what_is_gone_is_ground_truth(kind: str) -> None:
    surface = sphere()
    damaged = defect(kind, surface, 4)
    gone = surface.points[cKDTree(damaged.points).query(surface.points)[0] > 0.0]
    # Over ten seeds: crack 41 points (a factor of 1.3), hole 220 (deviation 90).
    assert 10 < len(gone) < 0.03 * len(surface)
    to_gone = cKDTree(gone).query(damaged.points)[0]
    spacing = np.sqrt(4 * np.pi * 50.0**2 / len(surface))
    assert damaged.labels[to_gone < 0.6 * spacing].all()
    assert (to_gone < 0.6 * spacing).any()
    assert to_gone[damaged.labels].max() < 0.25 * 50.0  # hole 4.8 (deviation .8), crack 6.6 (1.2)


def test_bend_leaves_one_side_of_a_plane_alone() -> None:
    surface = surface_of("hook")
    damaged = defect("bending", surface, 1)
    moved = np.linalg.norm(damaged.points - surface.points, axis=1) > 0.0
    assert 0.05 < moved.mean() < 0.6
    assert damaged.labels[moved].mean() < 1.0
    assert not damaged.labels[~moved].any()
    # Moved and unmoved points are separated by a plane: a linear classifier along one direction splits them.
    move = (damaged.points - surface.points)[moved]
    assert np.linalg.matrix_rank(move / np.linalg.norm(move, axis=1, keepdims=True), tol=1e-6) == 1


@pytest.mark.parametrize("kind", SOLID_KINDS)
@pytest.mark.parametrize("name", ["bracket", "bowl"])
def test_fresh_material_of_a_damaged_solid_is_ground_truth(kind: str, name: str) -> None:
    mesh = mesh_of(name)
    solid = as_solid(mesh)
    assert solid is not None
    clean = surface_of(name, 15_000)
    radius = Frame.of(clean.points).scale
    density = len(clean) / surface_area(mesh)
    damaged = damage_solid(
        kind, solid, clean, np.random.default_rng(5), radius=radius, depth=0.06 * radius, density=density
    )
    assert 0.006 <= damaged.labels.mean() <= 0.07
    dense = cKDTree(sample_mesh(mesh, 200_000, np.random.default_rng(9))[0])
    off = dense.query(damaged.points)[0] > 1.5
    assert damaged.labels[off].all()
    assert off.any()
    fresh = cKDTree(damaged.points[damaged.labels])
    missing = cKDTree(damaged.points).query(clean.points)[0] > 0.06 * radius
    assert missing.any() or kind == "cut"
    assert fresh.query(damaged.points[~damaged.labels])[0].min() < 0.05 * radius


@pytest.mark.parametrize("kind", KINDS)
def test_same_generator_gives_the_same_defect(kind: str) -> None:
    surface = surface_of("bracket", 10_000)
    first, second, other = defect(kind, surface, 7), defect(kind, surface, 7), defect(kind, surface, 8)
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert first.points.shape != other.points.shape or not np.array_equal(first.points, other.points)


def test_open_mesh_is_no_solid() -> None:
    mesh = mesh_of("bracket")
    assert as_solid(Mesh(mesh.vertices, mesh.faces[5:])) is None


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(BadInput, match="no kind of defect named 'dent'"):
        defect("dent", sphere(1000))
