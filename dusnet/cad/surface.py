"""The surface of a CAD model: nearest places on it, and signed distances to it (positive = excess material)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.cad.thin_triangles import ThinTriangles
from dusnet.cloud import Frame
from dusnet.errors import BadInput
from dusnet.io import Mesh
from dusnet.open3d_import import open3d

Floats = NDArray[np.float64]

_RAYS = 5  # that vote on inside or outside: a single one may run along an edge
_CORNER = 1e-4  # a barycentric coordinate below this lies on the opposite edge
_TOUCHING = 1e-6  # of the radius: single precision knows no direction from nearer than this
_NO_AREA = 1e-9  # of the squared radius


@dataclass(frozen=True)
class NearestPlaces:
    """The places of a surface that are nearest to N points.

    Attributes:
        feet: the places, (N, 3) float64.
        directions: unit vectors along the distance; where a point touches the surface, the normal there, (N, 3).
        distances: not signed, (N,) float64.
    """

    feet: Floats
    directions: Floats
    distances: Floats


class CadSurface:
    """A triangle mesh that distances are measured to, with Open3D's ray-casting scene.

    Computed in single precision about the middle of the part: distances are right to about 2e-7 of its radius, whatever
    the place of its origin; beside thin triangles to about 5e-4 of it.

    Args:
        mesh: vertices in the unit that distances shall have; vertices at equal places are taken as one.
        exact: look for the nearest place around thin triangles in double precision, in `signed_distance`: right to 1e-6
            of the radius there too. Uniting bodies makes such triangles.

    Attributes:
        mesh: as given, without triangles of no area.
        center: middle of the bounding box, (3,) float64.
        radius: of the bounding sphere about it.
        watertight: whether the mesh has an inside: every edge belongs to an even number of triangles.

    Raises:
        BadInput: the mesh has no triangle with an area, or coordinates that are not finite.
        MissingDependency: Open3D or one of its system libraries is absent.
    """

    def __init__(self, mesh: Mesh, *, exact: bool = False) -> None:
        self._exact = exact
        name = str(mesh.path) if mesh.path is not None else "the mesh"
        corners = mesh.vertices[mesh.faces]
        if not np.isfinite(corners).all():
            raise BadInput(f"{name} has vertices with NaN or infinite coordinates; export it again.")
        if not len(corners) or not np.ptp(corners.reshape(-1, 3), axis=0).max() > 0.0:
            raise BadInput(f"{name} has no surface: it holds no triangle with an area; export it again.")
        frame = Frame.of(corners.reshape(-1, 3))
        self.center, self.radius = -frame.translation, frame.scale
        vertices, faces = _joined(mesh)
        corners = vertices[faces]
        doubled = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        if not doubled.sum() > _NO_AREA * self.radius**2:
            raise BadInput(f"{name} has no surface: it holds no triangle with an area; export it again.")
        self.watertight = _is_closed(faces)
        self.mesh = Mesh(vertices, faces, mesh.path)
        self._normals = _Normals.of(vertices, faces)
        o3d = open3d()
        self._tensor: Any = o3d.core.Tensor
        self._scene: Any = o3d.t.geometry.RaycastingScene()
        local = ((vertices - self.center) / self.radius).astype(np.float32)
        self._scene.add_triangles(self._tensor(local), self._tensor(faces.astype(np.uint32)))

    @cached_property
    def _thin(self) -> ThinTriangles:
        return ThinTriangles(self.mesh.vertices, self.mesh.faces)

    def nearest(self, points: Floats) -> NearestPlaces:
        """The nearest places of the surface; beside thin triangles not as exact as `signed_distance`.

        Args:
            points: (N, 3) float64, the unit of the mesh.
        """
        return self._look_up(points)[0]

    def signed_distance(self, points: Floats) -> Floats:
        """Distance to the surface: positive outside of the material, negative inside, (N,) float64.

        Of a watertight mesh the side is found by counting how often rays cross it, so that the orientation of its
        triangles does not matter. Of an open one it is the side that the normal shows to at the nearest place; on edges
        and at corners that is the angle-weighted mean of the normals around, with which the sign is right wherever the
        triangles are oriented alike (Baerentzen and Aanaes, "Signed distance computation using the angle weighted
        pseudonormal", 2005).

        Args:
            points: (N, 3) float64, the unit of the mesh.
        """
        found, face, weights = self._look_up(points)
        if self._exact:
            number, triangle, exact = self._thin.nearer(points, face, found.distances, _TOUCHING * self.radius)
            face[number], weights[number] = triangle, exact
            found.feet[number] = np.einsum("nk,nki->ni", exact, self.mesh.vertices[self.mesh.faces[triangle]])
            found.distances[number] = np.linalg.norm(points[number] - found.feet[number], axis=1)
        if self.watertight:
            inside = self._scene.compute_occupancy(self._tensor(self._local(points)), nsamples=_RAYS).numpy() > 0.5
        else:
            normals = self._normals.at(self.mesh.faces, face, weights)
            inside = np.einsum("ni,ni->n", points - found.feet, normals) < 0.0
        return np.where(inside, -found.distances, found.distances)

    def _local(self, points: Floats) -> NDArray[np.float32]:
        return np.ascontiguousarray((points - self.center) / self.radius, dtype=np.float32)

    def _look_up(self, points: Floats) -> tuple[NearestPlaces, NDArray[np.intp], Floats]:
        """The nearest places, their triangles (N,) and their barycentric coordinates there (N, 3)."""
        answer = self._scene.compute_closest_points(self._tensor(self._local(points)))
        feet = answer["points"].numpy().astype(np.float64) * self.radius + self.center
        face = answer["primitive_ids"].numpy().astype(np.intp)
        uv = answer["primitive_uvs"].numpy().astype(np.float64)
        away = points - feet
        distances = np.linalg.norm(away, axis=1)
        touching = distances < _TOUCHING * self.radius
        directions = np.where(
            touching[:, None], self._normals.faces[face], away / np.where(touching, 1.0, distances)[:, None]
        )
        return NearestPlaces(feet, directions, distances), face, np.column_stack([1.0 - uv.sum(axis=1), uv])


@dataclass(frozen=True)
class _Normals:
    """Normals of a mesh; those of edges and vertices have any length.

    Attributes:
        faces: unit, (F, 3).
        edges: per triangle the sum of the normals at the edge opposite to each corner, (F, 3, 3).
        vertices: angle-weighted sums, (V, 3).
    """

    faces: Floats
    edges: Floats
    vertices: Floats

    @classmethod
    def of(cls, vertices: Floats, faces: NDArray[np.int64]) -> _Normals:
        corners = vertices[faces]
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-300)
        around = np.zeros_like(vertices)
        for corner in range(3):
            first, second = (corners[:, (corner + step) % 3] - corners[:, corner] for step in (1, 2))
            height = np.linalg.norm(np.cross(first, second), axis=1)
            angle = np.arctan2(height, np.einsum("fi,fi->f", first, second))
            np.add.at(around, faces[:, corner], angle[:, None] * normals)
        edges = np.stack([faces[:, [1, 2]], faces[:, [2, 0]], faces[:, [0, 1]]], axis=1)
        _, number = np.unique(np.sort(edges, axis=2).reshape(-1, 2), axis=0, return_inverse=True)
        number = number.reshape(-1)
        sums = np.zeros((int(number.max()) + 1, 3))
        np.add.at(sums, number, np.repeat(normals, 3, axis=0))
        return cls(normals, sums[number].reshape(-1, 3, 3), around)

    def at(self, faces: NDArray[np.int64], face: NDArray[np.intp], weights: Floats) -> Floats:
        """The normal at places given by their triangle (N,) and barycentric coordinates (N, 3)."""
        small = weights < _CORNER
        count = small.sum(axis=1)
        chosen = self.faces[face].copy()
        edge, corner = count == 1, count == 2
        chosen[edge] = self.edges[face[edge], small[edge].argmax(axis=1)]
        chosen[corner] = self.vertices[faces[face[corner], weights[corner].argmax(axis=1)]]
        return chosen


def _joined(mesh: Mesh) -> tuple[Floats, NDArray[np.int64]]:
    """Vertices and faces with equal vertices made one, and without triangles that have two equal corners."""
    vertices, back = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = back.reshape(-1).astype(np.int64)[mesh.faces]
    proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return vertices, faces[proper]


def _is_closed(faces: NDArray[np.int64]) -> bool:
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    return bool((counts % 2 == 0).all())
