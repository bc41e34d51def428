"""Shapes with known distances, and scans of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dusnet.io import Mesh

BOX = np.array([60.0, 40.0, 20.0])


def box(size: np.ndarray = BOX) -> Mesh:
    """A box from the origin to `size`, closed, normals outwards."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float) * size
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return Mesh(corners, np.array([face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]))


def stepped_box() -> Mesh:
    """Three boxes that share no face plane, cut from a grid of cells: closed, and like itself in no other pose."""
    xs, ys, zs = np.array([0.0, 20, 45, 60]), np.array([0.0, 15, 40]), np.array([0.0, 8, 20])
    full = np.ones((3, 2, 2), dtype=bool)
    full[2, :, 1] = full[0, 0, 1] = False
    padded = np.pad(full, 1)
    vertices, faces = [], []
    for index in np.argwhere(full):
        low = np.array([xs[index[0]], ys[index[1]], zs[index[2]]])
        size = np.array([np.diff(xs)[index[0]], np.diff(ys)[index[1]], np.diff(zs)[index[2]]])
        cell = box(size)
        for number, (axis, step) in enumerate([(0, -1), (0, 1), (1, -1), (1, 1), (2, -1), (2, 1)]):
            beside = index + 1
            beside[axis] += step
            if not padded[tuple(beside)]:
                faces += [corner + len(vertices) for corner in cell.faces[2 * number : 2 * number + 2]]
        vertices += list(cell.vertices + low)
    return Mesh(np.array(vertices), np.array(faces))


def sphere(radius: float, rings: int = 96) -> Mesh:
    """A closed sphere about the origin whose vertices lie on it."""
    polar = np.pi * np.arange(1, rings) / rings
    turn = 2 * np.pi * np.arange(2 * rings) / (2 * rings)
    grid = np.stack(
        [
            np.sin(polar)[:, None] * np.cos(turn),
            np.sin(polar)[:, None] * np.sin(turn),
            np.cos(polar)[:, None] * np.ones_like(turn),
        ],
        axis=2,
    )
    vertices = np.vstack([grid.reshape(-1, 3), [[0, 0, 1]], [[0, 0, -1]]]) * radius
    count, top, bottom = 2 * rings, len(vertices) - 2, len(vertices) - 1
    faces = []
    for column in range(count):
        after = (column + 1) % count
        for ring in range(rings - 2):
            a, b, c, d = ring * count + column, ring * count + after, (ring + 1) * count + column, 0
            d = (ring + 1) * count + after
            faces += [(a, c, d), (a, d, b)]
        faces += [(top, column, after), (bottom, (rings - 2) * count + after, (rings - 2) * count + column)]
    return Mesh(vertices, np.array(faces))


def brute_force(points: np.ndarray, mesh: Mesh) -> np.ndarray:
    """Distance of each point to the nearest triangle, float64, one pair at a time: the plane, else the three edges."""
    nearest = np.full(len(points), np.inf)
    for a, b, c in mesh.vertices[mesh.faces]:
        normal = np.cross(b - a, c - a)
        normal /= np.linalg.norm(normal)
        height = (points - a) @ normal
        foot = points - height[:, None] * normal
        inside = np.ones(len(points), dtype=bool)
        for start, end in ((a, b), (b, c), (c, a)):
            inside &= np.cross(end - start, foot - start) @ normal >= 0
            along = np.clip((points - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
            gap = np.linalg.norm(points - start - along[:, None] * (end - start), axis=1)
            nearest = np.minimum(nearest, gap)
        nearest = np.where(inside, np.minimum(nearest, np.abs(height)), nearest)
    return nearest


def write_stl(path: Path, mesh: Mesh) -> Path:
    """A text STL, written without the package."""
    rows = ["solid part"]
    for a, b, c in mesh.vertices[mesh.faces].tolist():
        rows += ["facet normal 0 0 0", "outer loop", *(f"vertex {x!r} {y!r} {z!r}" for x, y, z in (a, b, c))]
        rows += ["endloop", "endfacet"]
    path.write_text("\n".join([*rows, "endsolid part", ""]))
    return path


def motion(generator: np.random.Generator, shift: float) -> np.ndarray:
    """A random rigid (4, 4) motion."""
    rotation = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.sign(np.linalg.det(rotation))
    matrix[:3, 3] = generator.normal(size=3) * shift
    return matrix


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]
