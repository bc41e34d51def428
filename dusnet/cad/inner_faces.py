"""Faces of a CAD model that no scanner sees although they count as surface: inside of the material, or in a gap."""

from __future__ import annotations

from typing import Any

import numpy as np

from dusnet.cloud import Frame
from dusnet.geometry.bodies import Faces, Floats, areas
from dusnet.geometry.outer_surface import OuterSurface
from dusnet.io import Mesh, sample_mesh
from dusnet.open3d_import import open3d

_PLACES = 6000  # of the surface that are looked at
_STEP = 2e-5  # of the radius: how far before the surface one looks
_DIRECTIONS = 3  # rays that vote on how often a place is enclosed
_CLEAR = 2.5  # closing distances beyond which two faces are apart for certain
_NARROW = 5e-3  # of the radius: no scanner looks into a gap that is not wider
_FACING = -0.9  # product of the normals of two faces that leave a gap
_SOME = 2e-3  # share of the surface that is worth a word


def warnings_of(outer: OuterSurface, name: str) -> tuple[str, ...]:
    """What uniting the bodies of a model could not mend.

    Args:
        outer: the model, as it will be compared with.
        name: of the file.

    Raises:
        MissingDependency: Open3D or one of its system libraries is absent.
    """
    found = list(outer.notes(name))
    if outer.skin is None:
        return tuple(found)
    narrow = gap_share(outer.solids, outer.reach) if len(outer.solids) > 1 else 0.0
    if narrow > _SOME:
        found.append(
            f"{narrow:.1%} of the surface of {name} faces another body across a gap that is too narrow for a scanner: "
            "that counts as surface, so that a missing body may not show; close the gaps in the CAD program."
        )
    buried = buried_share(outer.skin, outer.reach)
    if buried > narrow + _SOME:
        found.append(
            f"{buried:.1%} of the surface of {name} lies inside of its material, because a body runs through itself: "
            "that counts as surface, so that a missing piece may not show; unite it in the CAD program."
        )
    return tuple(found)


def buried_share(skin: Mesh, reach: float) -> float:
    """The share of a closed surface that has material on both sides.

    Args:
        skin: closed, faces looking out of the material.
        reach: how far off its places may be, in its unit.
    """
    generator = np.random.default_rng(0)
    frame = Frame.of(skin.vertices)
    scene = _Scene(skin, frame)
    points, normals = sample_mesh(skin, _PLACES, generator)
    places = (points + frame.translation) / frame.scale + max(_STEP, _CLEAR * reach / frame.scale) * normals
    directions = generator.normal(size=(_DIRECTIONS, 3))
    votes = [scene.enclosed(places, direction / np.linalg.norm(direction)) > 0.5 for direction in directions]
    return float((np.sum(votes, axis=0) > _DIRECTIONS / 2).mean())


def gap_share(solids: tuple[Mesh, ...], reach: float) -> float:
    """The share of the surfaces of bodies that faces another body across a gap that is narrow.

    Args:
        solids: at least one, each closed, faces looking out of the material.
        reach: bodies that are no farther apart than twice this count as touching, in their unit.
    """
    generator = np.random.default_rng(0)
    size = np.array([areas(solid.vertices, solid.faces).sum() for solid in solids])
    counts = np.ceil(_PLACES * size / size.sum()).astype(np.int64)
    samples = [sample_mesh(solid, int(count), generator) for solid, count in zip(solids, counts, strict=True)]
    points, normals = (np.vstack([sample[part] for sample in samples]) for part in (0, 1))
    starts = np.cumsum([0, *(len(solid.vertices) for solid in solids)])
    faces = np.vstack([solid.faces + start for solid, start in zip(solids, starts, strict=False)])
    whole = Mesh(np.vstack([solid.vertices for solid in solids]), faces)
    owner = np.repeat(np.arange(len(solids)), [len(solid.faces) for solid in solids])
    frame = Frame.of(whole.vertices)
    scene = _Scene(whole, frame)
    places = (points + frame.translation) / frame.scale
    ray, triangle, away = scene.hits(places - _STEP * normals, normals)
    least = _STEP + _CLEAR * reach / frame.scale
    other = (owner[triangle] != np.repeat(np.arange(len(solids)), counts)[ray]) & (away > least)
    ray, triangle, away = ray[other], triangle[other], away[other]
    order = np.lexsort((away, ray))
    ray, first = np.unique(ray[order], return_index=True)
    triangle, away = triangle[order][first], away[order][first]
    facing = np.einsum("ni,ni->n", scene.normals[triangle], normals[ray]) < _FACING
    return float((facing & (away < _STEP + _NARROW)).sum() / len(places))


class _Scene:
    """Rays among triangles, in radii about the middle.

    Args:
        mesh: the triangles.
        frame: of the whole.

    Attributes:
        normals: unit, (F, 3).
    """

    def __init__(self, mesh: Mesh, frame: Frame) -> None:
        vertices = ((mesh.vertices + frame.translation) / frame.scale).astype(np.float32)
        corners = mesh.vertices[mesh.faces]
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        self.normals = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-300)
        o3d = open3d()
        self._tensor: Any = o3d.core.Tensor
        self._scene: Any = o3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(self._tensor(vertices), self._tensor(mesh.faces.astype(np.uint32)))

    def hits(self, places: Floats, directions: Floats) -> tuple[Faces, Faces, Floats]:
        """All triangles that rays meet: number of the ray, of the triangle, and how far along, (H,) each."""
        answer = self._scene.list_intersections(self._tensor(np.hstack([places, directions]).astype(np.float32)))
        ray, triangle = (answer[name].numpy().astype(np.int64) for name in ("ray_ids", "primitive_ids"))
        return ray, triangle, answer["t_hit"].numpy().astype(np.float64)

    def enclosed(self, places: Floats, direction: Floats) -> Floats:
        """How often the surface goes around places, by the triangles that a ray meets, (N,)."""
        ray, triangle, _ = self.hits(places, np.broadcast_to(direction, places.shape))
        turns = np.bincount(ray, weights=np.sign(self.normals[triangle] @ direction), minlength=len(places))
        return np.asarray(turns, dtype=np.float64)
