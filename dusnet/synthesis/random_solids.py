"""An endless supply of different closed solids, for training that must not know the parts it will inspect."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from manifold3d import Manifold

from dusnet.geometry.neighbors import Neighbors
from dusnet.io import Mesh, sample_mesh
from dusnet.synthesis.draws import MOST_DRAWS, Draws, moved, random_turn
from dusnet.synthesis.random_families import FAMILIES, cross_hole
from dusnet.synthesis.solids import as_mesh
from dusnet.synthesis.surface import Floats, random_direction

RADIUS = (42.0, 58.0)
"""Bounds of the bounding radius, mm: largest distance of a vertex from the middle of the bounding box."""
_LEAST_EXTENT = 0.03  # of the longest side of the tightest box along the principal axes: no foils
_LEAST_WALL = 0.02  # mean wall (twice volume over area) in bounding radii
_MOST_FACES = 40_000  # of a solid; more are another draw
_TRIES = 4  # draws of a changed size before the nominal solid is taken
_MOST_APART = 0.1  # radii: what lies farther off is another solid
_LOST = 0.15  # share of the volume that may lie in loose pieces, which are thrown away


def random_solid(generator: np.random.Generator, change: Callable[[], float] | None = None) -> Mesh:
    """Draw one closed, connected solid; none is a part of the embedded benchmark.

    A family (joined primitives, turned bodies, thin-walled vessels, toothed prisms, plates, enclosures, blobs,
    figures, tubes, wheels) is drawn first, then its proportions and features; some are stretched, drilled, cut or
    twisted afterwards. A draw that falls apart or is too thin is thrown away and the next one is made from the same
    generator, so that a seed always gives the same solid.

    Args:
        generator: source of all randomness; left behind the last draw.
        change: gives the factor of the next size, so that the same seed draws specimens of one solid that differ.

    Returns:
        Vertices in mm, float64, with the middle of the bounding box at the origin, turned at random, bounding radius
        within `RADIUS`; faces counter-clockwise seen from outside. No faces inside of the material.
    """
    draws = Draws(generator, change)
    makers = [maker for maker, _ in FAMILIES.values()]
    shares = np.array([share for _, share in FAMILIES.values()])
    for _ in range(MOST_DRAWS):
        maker = makers[int(draws.choice(len(makers), p=shares / shares.sum()))]
        solid = _sound(_altered(maker(draws), draws))
        if solid is not None:
            return _placed(solid, draws)
    raise RuntimeError(f"none of {MOST_DRAWS} draws gave a sound solid")


def similar_solid(seed: int, nominal: Mesh, generator: np.random.Generator, jitter: float) -> Mesh:
    """A specimen of a random solid whose sizes are not quite those of the drawing.

    Args:
        seed: that `np.random.default_rng(seed)` drew `nominal` with.
        nominal: what `random_solid` made of it.
        generator: source of the changes.
        jitter: every size is its drawn value times a factor from 1 - jitter to 1 + jitter.

    Returns:
        A mesh as from `random_solid`. A changed size can turn a draw into another solid (a bend that became too tight
        is drawn again); such a solid is not taken; after a few of them `nominal` is returned.
    """
    for _ in range(_TRIES):
        mesh = random_solid(np.random.default_rng(seed), lambda: 1.0 + jitter * float(generator.uniform(-1.0, 1.0)))
        if _apart(mesh, nominal) <= _MOST_APART and _apart(nominal, mesh) <= _MOST_APART:
            return mesh
    return nominal


def _apart(mesh: Mesh, other: Mesh) -> float:
    """How far nearly all of a surface lies from another one, in bounding radii."""
    generator = np.random.default_rng(0)
    few, many = sample_mesh(mesh, 600, generator)[0], sample_mesh(other, 6000, generator)[0]
    return float(np.quantile(Neighbors(many).nearest(few)[0], 0.98)) / RADIUS[0]


def _altered(solid: Manifold, generator: Draws) -> Manifold:
    """The solid as drawn, or stretched, drilled, cut off or twisted."""
    if solid.is_empty():
        return solid
    if generator.random() < 0.4:
        solid = solid.scale(tuple(np.exp(generator.uniform(-0.4, 0.4, 3)).tolist()))
    if generator.random() < 0.15:
        turn = random_turn(generator)
        solid = moved(solid, turn, np.zeros(3))
        solid = solid - cross_hole(generator, solid)
    if generator.random() < 0.12:
        solid = _cut(solid, generator)
    if generator.random() < 0.15 and solid.num_tri() < 6000:
        solid = _twisted(solid, generator)
    return solid


def _cut(solid: Manifold, generator: np.random.Generator) -> Manifold:
    """One side cut off by a plane, at least half of the width stays."""
    normal = random_direction(generator)
    heights = solid.to_mesh64().vert_properties[:, :3] @ normal
    share = generator.uniform(0.1, 0.45)
    low, high = float(heights.min()), float(heights.max())
    return solid.trim_by_plane(tuple(normal.tolist()), low + share * (high - low))


def _twisted(solid: Manifold, generator: np.random.Generator) -> Manifold:
    """Twisted and tapered about a random axis, gently enough that no wall meets another."""
    solid = moved(solid, random_turn(generator), np.zeros(3))
    box = np.asarray(solid.bounding_box(), dtype=np.float64)
    middle, length = (box[:3] + box[3:]) / 2.0, float((box[3:] - box[:3]).max())
    twist, taper = generator.uniform(-1.2, 1.2), generator.uniform(-0.4, 0.4)

    def warp(points: Floats) -> Floats:
        offset = points - middle
        along = offset[:, 2] / length
        cosine, sine, width = np.cos(twist * along), np.sin(twist * along), 1.0 + taper * along
        x, y = width * offset[:, 0], width * offset[:, 1]
        return np.column_stack([cosine * x - sine * y, sine * x + cosine * y, offset[:, 2]])

    return solid.refine_to_length(length / 12.0).warp_batch(warp)


def _sound(solid: Manifold) -> Manifold | None:
    """The largest piece of a solid without its enclosed cavities; None where that is not a usable part."""
    if solid.is_empty():
        return None
    pieces = sorted(solid.decompose(), key=lambda piece: piece.volume())
    largest = pieces[-1]
    if not largest.volume() > 0.0 or largest.num_tri() > _MOST_FACES:
        return None
    if sum(piece.volume() for piece in pieces[:-1] if piece.volume() > 0.0) > _LOST * largest.volume():
        return None
    vertices = largest.to_mesh64().vert_properties[:, :3]
    centred = vertices - vertices.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    extents = np.ptp(centred @ axes.T, axis=0)
    radius = float(np.linalg.norm(extents)) / 2.0
    if extents.min() < _LEAST_EXTENT * extents.max() or np.median(extents) < 0.15 * extents.max():
        return None
    return largest if 2.0 * largest.volume() / largest.surface_area() >= _LEAST_WALL * radius else None


def _placed(solid: Manifold, generator: np.random.Generator) -> Mesh:
    """The surface turned at random, centred, and brought to a bounding radius within `RADIUS`."""
    mesh = as_mesh(solid)
    vertices = mesh.vertices @ random_turn(generator).T
    vertices -= (vertices.min(axis=0) + vertices.max(axis=0)) / 2.0
    radius = float(np.linalg.norm(vertices, axis=1).max())
    return Mesh(vertices * (generator.uniform(*RADIUS) / radius), mesh.faces)
