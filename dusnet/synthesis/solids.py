"""Building blocks of the procedural parts: solids that add, subtract and stay closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from manifold3d import CrossSection, JoinType, Manifold, Mesh64

from dusnet.io import Mesh
from dusnet.synthesis.surface import Floats, perpendicular

SEGMENTS = 96  # of a full circle
Polygon = Sequence[tuple[float, float]]


class Sizes:
    """Dimensions of one specimen: `sizes(40.0)` is 40 mm give or take `jitter`.

    Every call draws once, so that two parts with the same generator differ only by `jitter`.
    """

    def __init__(self, generator: np.random.Generator, jitter: float) -> None:
        if not 0.0 <= jitter <= 0.1:
            raise ValueError(f"jitter must lie between 0 and 0.1, got {jitter}")
        self._generator, self._jitter = generator, jitter

    def __call__(self, nominal: float) -> float:
        """`nominal` times a factor from 1 - jitter to 1 + jitter."""
        return nominal * (1.0 + self._jitter * float(self._generator.uniform(-1.0, 1.0)))


def as_mesh(solid: Manifold) -> Mesh:
    """The surface of a solid; vertices in mm, faces counter-clockwise from outside."""
    raw = solid.to_mesh64()
    return Mesh(np.asarray(raw.vert_properties[:, :3], dtype=np.float64), np.asarray(raw.tri_verts, dtype=np.int64))


def as_solid(mesh: Mesh) -> Manifold | None:
    """The solid that a mesh bounds, or None where the mesh is not closed."""
    vertices, index = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = index.reshape(-1)[mesh.faces]
    proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    solid = Manifold(Mesh64(np.ascontiguousarray(vertices), np.ascontiguousarray(faces[proper].astype(np.uint64))))
    if solid.is_empty() or not solid.volume() > 0.0:
        return None
    return solid


def revolve(profile: Polygon, *, segments: int = SEGMENTS) -> Manifold:
    """The solid of a closed (radius, height) polygon turned around the z axis."""
    return _section(profile).revolve(segments)


def extrude(outline: Polygon, height: float, *, rounded: float = 0.0) -> Manifold:
    """A closed (x, y) polygon raised from z = 0 to `height`; `rounded` is the radius of its outer corners."""
    section = _section(outline)
    if rounded > 0.0:
        section = section.offset(-rounded, JoinType.Round, circular_segments=48)
        section = section.offset(rounded, JoinType.Round, circular_segments=48)
    return section.extrude(height)


def _section(outline: Polygon) -> CrossSection:
    points = np.asarray(outline, dtype=np.float64)
    x, y = points.T
    if float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) < 0.0:
        points = points[::-1]
    return CrossSection([np.ascontiguousarray(points)])


def disc(
    radius: float,
    height: float,
    *,
    at: tuple[float, float, float] = (0.0, 0.0, 0.0),
    top: float = -1.0,
    segments: int = SEGMENTS,
) -> Manifold:
    """An upright cylinder (a cone where `top`, the upper radius, is given) standing on `at`."""
    return Manifold.cylinder(height, radius, top, segments).translate(at)


def block(x: float, y: float, z: float, *, at: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Manifold:
    """A box centred on `at` in x and y, standing on it in z."""
    return Manifold.cube((x, y, z), False).translate((at[0] - x / 2.0, at[1] - y / 2.0, at[2]))


def rectangle(x: float, y: float) -> list[tuple[float, float]]:
    """Corners of a rectangle around the origin."""
    return [(-x / 2, -y / 2), (x / 2, -y / 2), (x / 2, y / 2), (-x / 2, y / 2)]


def regular(sides: int, across_flats: float) -> list[tuple[float, float]]:
    """Corners of a regular polygon of a given width across its flats."""
    radius = across_flats / 2.0 / np.cos(np.pi / sides)
    angles = 2.0 * np.pi * (np.arange(sides) + 0.5) / sides
    return [(float(radius * np.cos(a)), float(radius * np.sin(a))) for a in angles]


def ring(solid: Manifold, count: int, *, start: float = 0.0) -> Manifold:
    """`count` copies of a solid turned evenly around the z axis; `start` in degrees."""
    copies = [solid.rotate((0.0, 0.0, start + 360.0 * i / count)) for i in range(count)]
    return union(copies)


def union(solids: Sequence[Manifold]) -> Manifold:
    """One solid of many."""
    total = solids[0]
    for solid in solids[1:]:
        total = total + solid
    return total


def smooth_curve(points: Sequence[tuple[float, ...]], *, steps: int = 12) -> Floats:
    """A Catmull-Rom curve through the points, `steps` pieces between two of them, ((K - 1) steps + 1, D)."""
    knots = np.asarray(points, dtype=np.float64)
    padded = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    t = np.arange(steps)[:, None] / steps
    pieces = []
    for i in range(len(knots) - 1):
        a, b, c, d = padded[i : i + 4]
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.vstack([*pieces, knots[-1:]])


def sweep(
    path: Floats,
    radius: float | Floats | Callable[[float], float],
    *,
    squash: tuple[float, float] = (1.0, 1.0),
    segments: int = 40,
) -> Manifold:
    """A tube with flat ends along a path.

    Args:
        path: (K, 3), mm.
        radius: one for all, one per path point, or a function of the position 0..1 along the path.
        squash: factors on the radius along the two axes of the cross-section (1, 1 is round).
        segments: corners of the cross-section.
    """
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    count = len(path)
    if callable(radius):
        radii = np.array([radius(i / (count - 1)) for i in range(count)])
    else:
        radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), (count,))
    side = perpendicular(tangents[0])
    angles = 2.0 * np.pi * np.arange(segments) / segments
    rows = []
    for tangent, point, r in zip(tangents, path, radii, strict=True):
        side = side - tangent * (side @ tangent)
        side /= np.linalg.norm(side)
        up = np.cross(tangent, side)
        rows.append(point + r * (squash[0] * np.cos(angles)[:, None] * side + squash[1] * np.sin(angles)[:, None] * up))
    return _tube(np.stack(rows))


def _tube(rows: Floats) -> Manifold:
    """The solid between closed rings of points, (K, S, 3), each counter-clockwise seen from the last; flat ends."""
    count, segments = rows.shape[:2]
    vertices = np.vstack([rows.reshape(-1, 3), rows[0].mean(axis=0), rows[-1].mean(axis=0)])
    a, b = np.arange(segments), (np.arange(segments) + 1) % segments
    faces = []
    for i in range(count - 1):
        low, high = i * segments, (i + 1) * segments
        faces += [np.stack([low + a, low + b, high + b], 1), np.stack([low + a, high + b, high + a], 1)]
    bottom, top, end = count * segments, count * segments + 1, (count - 1) * segments
    faces.append(np.stack([np.full(segments, bottom), b, a], 1))
    faces.append(np.stack([np.full(segments, top), end + a, end + b], 1))
    return Manifold(Mesh64(np.ascontiguousarray(vertices), np.ascontiguousarray(np.vstack(faces).astype(np.uint64))))


def shell(
    outline: Sequence[tuple[float, float]], wall: float, *, segments: int = SEGMENTS
) -> tuple[Manifold, Manifold]:
    """A thin-walled vessel, open at the top, and its cavity.

    Args:
        outline: (radius, height) of the outside from the middle of the bottom up to the rim.
        wall: thickness of wall and bottom, mm.
        segments: corners around.

    Returns:
        The vessel, and the solid that fills its inside and reaches out of the mouth.
    """
    (before, low), (rim, top) = outline[-2:]
    slope = (rim - before) / (top - low)
    raised = [*outline, (rim + 3.0 * wall * slope, top + 3.0 * wall)]
    full = _section([*raised, *((-r, z) for r, z in reversed(raised) if r > 0.0)])
    cavity = full.offset(-wall, JoinType.Round, circular_segments=48).revolve(segments)
    return (full.revolve(segments) - cavity).trim_by_plane((0.0, 0.0, -1.0), -top), cavity


def threaded(radius: float, depth: float, pitch: float, length: float) -> Manifold:
    """A rod from z = 0 to `length` with a single triangular thread; `radius` is its outer one."""
    around, per_turn = 64, 8
    rows = max(2, round(length / pitch * per_turn)) + 1
    heights = np.linspace(0.0, length, rows)
    angles = 2.0 * np.pi * np.arange(around) / around
    phase = heights[:, None] / pitch - angles[None, :] / (2.0 * np.pi)
    crest = 1.0 - np.abs(2.0 * (phase % 1.0) - 1.0)
    r = radius - depth + depth * np.clip(1.25 * crest, 0.0, 1.0)
    taper = np.clip((length - heights) / pitch, 0.0, 1.0)[:, None]
    r = np.minimum(r, radius - depth * (1.0 - taper))
    x, y = r * np.cos(angles), r * np.sin(angles)
    body = np.stack([x, y, np.broadcast_to(heights[:, None], r.shape)], axis=2)
    return _tube(body)
