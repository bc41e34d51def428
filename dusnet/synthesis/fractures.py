"""Defects that expose fresh material: a piece broken off, a slot sawn in. They act on the solid, before sampling."""

from __future__ import annotations

import numpy as np
from manifold3d import Manifold
from numpy.typing import NDArray

from dusnet.geometry.neighbors import Neighbors
from dusnet.io import Mesh, sample_mesh
from dusnet.synthesis.defects import LARGEST_SHARE, SMALLEST_SHARE, within_share
from dusnet.synthesis.scanner import Reach
from dusnet.synthesis.surface import Floats, LabelledSurface, perpendicular, random_direction

SOLID_KINDS = ("broken", "cut")
_RIM = 0.02  # of the radius, around a new face, where the old surface counts as damaged, too


def damage_solid(
    kind: str,
    solid: Manifold,
    clean: LabelledSurface,
    generator: np.random.Generator,
    *,
    radius: float,
    depth: float,
    density: float,
    reach: Reach | None = None,
) -> LabelledSurface:
    """Break a piece off a solid, or saw a slot into it, and sample what is left.

    Ground truth is every point on fresh material, and the old surface within 2 % of the radius of it.

    Args:
        kind: one of `SOLID_KINDS`.
        solid: the undamaged part.
        clean: points of its visible surface; damage is placed among them.
        generator: source of randomness.
        radius: bounding radius, mm.
        depth: of a slot below the surface, mm; it is 3 % of the radius deeper.
        density: points per mm2 of the damaged surface.
        reach: what a scanner sees of the undamaged part; None is everything.

    Returns:
        The best of eight draws: the first whose ground truth is 0.6 to 7 % of the points, else the nearest to it.
    """

    def draw() -> LabelledSurface:
        tool = _piece(clean, generator, radius) if kind == "broken" else _slot(clean, generator, radius, depth)
        return _subtract(solid, tool, density, generator, _RIM * radius, reach)

    return within_share(draw, len(clean), SMALLEST_SHARE, LARGEST_SHARE[0])


def _subtract(
    solid: Manifold, tool: Manifold, density: float, generator: np.random.Generator, rim: float, reach: Reach | None
) -> LabelledSurface:
    """Sample `solid - tool`; faces that come from the tool, and the surface around them, are marked."""
    tool = tool.as_original()
    raw = (solid - tool).to_mesh64()
    vertices = np.asarray(raw.vert_properties[:, :3], dtype=np.float64)
    faces = np.asarray(raw.tri_verts, dtype=np.int64)
    starts = np.asarray(raw.run_index, dtype=np.int64)
    runs: NDArray[np.int64] = (starts[1:] - starts[:-1]) // 3
    fresh = np.repeat(np.asarray(raw.run_original_id) == tool.original_id(), runs)
    parts = []
    old_faces = Mesh(vertices, faces[~fresh])
    for chosen in (old_faces if reach is None else reach.visible_faces(old_faces), Mesh(vertices, faces[fresh])):
        wanted = round(density * surface_area(chosen))
        points, normals = sample_mesh(chosen, wanted, generator) if wanted else (np.zeros((0, 3)), np.zeros((0, 3)))
        parts.append(LabelledSurface.clean(points, normals))
    old, new = parts
    labels = np.concatenate([np.zeros(len(old), dtype=bool), np.ones(len(new), dtype=bool)])
    if len(new):
        labels[: len(old)] = Neighbors(new.points).nearest(old.points)[0] < rim
    return LabelledSurface(np.vstack([old.points, new.points]), np.vstack([old.normals, new.normals]), labels)


def surface_area(mesh: Mesh) -> float:
    """Area of all faces, mm2."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2.0)


def _frame(axis: Floats, origin: Floats, generator: np.random.Generator) -> Floats:
    """(3, 4) motion that brings the z axis to `axis` and the origin to `origin`, turned at random around it."""
    first = perpendicular(axis, generator)
    return np.column_stack([first, np.cross(axis, first), axis, origin])


def _piece(clean: LabelledSurface, generator: np.random.Generator, radius: float) -> Manifold:
    """What a rough fracture surface takes away: everything beyond it in a random direction."""
    axis = random_direction(generator)
    along = clean.points @ axis
    height = float(np.quantile(along, 1.0 - generator.uniform(0.02, 0.08)))
    middle = clean.points[along >= height].mean(axis=0)
    waves = generator.normal(size=(6, 2)) * 2.0 * np.pi / (radius * generator.uniform(0.25, 0.8, size=(6, 1)))
    phases = generator.uniform(0.0, 2.0 * np.pi, size=6)

    def rough(points: Floats) -> Floats:
        lift = 0.012 * radius * np.sin(points[:, :2] @ waves.T + phases).sum(axis=1) / np.sqrt(3.0)
        moved = points.copy()
        moved[:, 2] += np.where(points[:, 2] < radius, lift, 0.0)
        return moved

    size = 3.0 * radius
    slab = Manifold.cube((size, size, size), False).translate((-size / 2.0, -size / 2.0, 0.0)).refine(48)
    origin = middle + axis * (height - float(middle @ axis))
    return slab.warp_batch(rough).transform(_frame(axis, origin, generator))


def _slot(clean: LabelledSurface, generator: np.random.Generator, radius: float, depth: float) -> Manifold:
    """A saw cut with flat walls, perpendicular to the surface at a random point."""
    seed = int(generator.integers(len(clean)))
    length, width = radius * generator.uniform(0.5, 1.0), radius * generator.uniform(0.04, 0.07)
    blade = Manifold.cube((length, width, 2.0 * (depth + 0.03 * radius)), True)
    return blade.transform(_frame(clean.normals[seed], clean.points[seed], generator))
