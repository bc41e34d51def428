"""Meshes of several boxes, and what their union measures, counted in the cells of a grid."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dusnet.io import Mesh

Box = tuple[tuple[float, float, float], tuple[float, float, float]]

PLATE: Box = ((-60, -40, 0), (60, 40, 10))
RIB: Box = ((-55, -35, 10), (-45, 20, 22))
BOSS: Box = ((20, 5, 10), (35, 15, 25))
_QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
_FACES = np.array([face for a, b, c, d in _QUADS for face in ((a, b, c), (a, c, d))])


def box_mesh(box: Box) -> Mesh:
    """A closed box, faces outwards."""
    low, high = np.array(box, dtype=float)
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (high - low) + low
    return Mesh(corners, _FACES)


def inverted(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices, mesh.faces[:, ::-1])


def together(*meshes: Mesh) -> Mesh:
    """One mesh of several, as an indexed file holds them."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]
    return Mesh(np.vstack([mesh.vertices for mesh in meshes]), np.vstack(faces))


def as_stl(mesh: Mesh, kind: type = np.float64) -> Mesh:
    """The mesh as STL keeps it: no indices, so that bodies share the vertices at one place; `kind` rounds."""
    soup = mesh.vertices[mesh.faces].reshape(-1, 3).astype(kind).astype(np.float64)
    vertices, back = np.unique(soup, axis=0, return_inverse=True)
    return Mesh(vertices, back.reshape(-1, 3))


def turned(mesh: Mesh, generator: np.random.Generator, shift: float = 50.0) -> Mesh:
    """In a random pose."""
    rotation = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    return Mesh(mesh.vertices @ rotation.T + generator.normal(size=3) * shift, mesh.faces)


def volume_and_area(mesh: Mesh) -> tuple[float, float]:
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces] - mesh.vertices.mean(axis=0), 1, 0)
    return float(np.einsum("fi,fi->", a, np.cross(b, c))) / 6, float(
        np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()
    ) / 2


def union_of(boxes: list[Box]) -> tuple[float, float]:
    """Volume and area of a union of boxes: full cells of the grid of all their faces, and faces beside empty ones."""
    grid = [np.unique([corner[axis] for box in boxes for corner in box]) for axis in range(3)]
    full = np.zeros([len(line) - 1 for line in grid], dtype=bool)
    for low, high in boxes:
        full[tuple(slice(*np.searchsorted(line, (a, b))) for line, a, b in zip(grid, low, high, strict=True))] = True
    steps = [np.diff(line) for line in grid]
    volume = float(np.einsum("xyz,x,y,z->", full, *steps))
    area = 0.0
    for axis in range(3):
        edge = np.diff(np.pad(full, 1).astype(int), axis=axis) != 0
        inner = tuple(slice(None) if other == axis else slice(1, -1) for other in range(3))
        others = [steps[other] for other in range(3) if other != axis]
        area += float(np.einsum("ab,a,b->", edge[inner].sum(axis=axis), *others))
    return volume, area


def edges_are_paired(mesh: Mesh) -> bool:
    """Whether every edge is used as often in one direction as in the other, counted one by one."""
    vertices, back = np.unique(mesh.vertices, axis=0, return_inverse=True)
    net: dict[tuple[int, int], int] = {}
    for a, b, c in back.reshape(-1)[mesh.faces].tolist():
        for start, end in pairwise((a, b, c, a)):
            if start != end:
                key = min(start, end), max(start, end)
                net[key] = net.get(key, 0) + (1 if start < end else -1)
    return len(vertices) > 0 and not any(net.values())
