"""Closed bodies as solids: which are cavities of which, and solids united into one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from manifold3d import Manifold, Mesh64, OpType

from dusnet.geometry.bodies import Body, Faces, Floats
from dusnet.geometry.neighbors import Neighbors

_WHOLE = 1e-6  # share of a body that may lie outside of another one that contains it, by rounding
_LONGEST = 4.0  # steps: no vertex moves farther, or the tip of a needle would fly away
_DAMPING = 1e-9  # keeps the system of a vertex solvable whose faces are parallel
_RETURNED = 0.01  # of a step: a vertex this near to one that was moved is that one


class Solid:
    """A body with its cavities.

    Args:
        vertices: of the mesh, (V, 3).
        parts: faces of the body, looking outwards, and of its cavities, looking into them.
        reach: how far `grown` moves every face outwards.

    Attributes:
        faces: all of them, (F, 3).
        volume: of the material.
        reach: as given.
        low: corner of a box around the grown solid, (3,).
        high: the other one, (3,).
    """

    def __init__(self, vertices: Floats, parts: list[Faces], volume: float, reach: float) -> None:
        self.faces, self.volume, self.reach = np.vstack(parts), volume, reach
        used, back = np.unique(self.faces, return_inverse=True)
        self.vertices, self._local = vertices[used], back.reshape(-1, 3).astype(np.int64)
        self.low, self.high = self.vertices.min(axis=0) - 2.0 * reach, self.vertices.max(axis=0) + 2.0 * reach

    @cached_property
    def moved(self) -> Floats:
        """The vertices after every face moved outwards by `reach`, (V, 3)."""
        return self.vertices + self.reach * _outward_steps(self.vertices, self._local)

    @cached_property
    def grown(self) -> Manifold:
        """The solid with every face moved outwards by `reach`."""
        return _manifold(self.moved, self._local)


def unite(solids: list[Solid]) -> tuple[Floats, Faces]:
    """One surface around solids that touch or overlap.

    They are united as grown solids, so that faces that touch but for rounding do overlap; then every vertex goes back
    to where it was. Only the new ones, where two solids meet, stay where the grown faces cross: within twice the reach.

    Returns:
        vertices (V, 3) and faces (F, 3), looking outwards.
    """
    raw = Manifold.batch_boolean([solid.grown for solid in solids], OpType.Add).to_mesh64()
    vertices = np.array(raw.vert_properties[:, :3], dtype=np.float64)
    faces = np.array(raw.tri_verts, dtype=np.int64)
    given = np.vstack([solid.vertices for solid in solids])
    apart, nearest = Neighbors(np.vstack([solid.moved for solid in solids])).nearest(vertices)
    back = apart <= _RETURNED * solids[0].reach
    vertices[back] = given[nearest[back]]
    return vertices, faces


def solids_of(vertices: Floats, bodies: list[Body], reach: float) -> list[Solid]:
    """Closed bodies with their cavities.

    A body inside of another one that looks the other way is a cavity of it, and so is one whose own orientation says
    nothing. A body that looks inwards and lies in no other one was turned inside out, with all that it contains.

    Args:
        vertices: of the mesh, (V, 3).
        bodies: all closed, with a volume.
        reach: see `Solid`.

    Returns:
        In the order of `bodies`, without the cavities.
    """
    if all(body.volume > 0.0 and body.trusted for body in bodies):
        return [Solid(vertices, [body.faces], body.volume, reach) for body in bodies]
    order = sorted(range(len(bodies)), key=lambda number: -abs(bodies[number].volume))
    placed: dict[int, _Placed] = {}
    for number in order:
        body = bodies[number]
        shape = _Shape(vertices, body)
        around = next((other for other in reversed(placed.values()) if other.shape.contains(shape)), None)
        inverted = body.volume < 0.0
        if around is None or around.cavity is not None:
            placed[number] = _Placed(shape, None, inverted, body.trusted)
            continue
        sure = body.trusted and around.trusted
        hollow = (inverted != around.inverted) if sure else True
        placed[number] = _Placed(shape, around if hollow else None, around.inverted, sure)
    found = []
    for number in sorted(placed):
        one = placed[number]
        if one.cavity is None:
            holes = [other.shape for other in placed.values() if other.cavity is one]
            parts = [one.shape.faces, *(hole.faces[:, ::-1] for hole in holes)]
            volume = one.shape.volume - sum(hole.volume for hole in holes)
            found.append(Solid(vertices, parts, volume, reach))
    return found


class _Shape:
    """A body, its faces looking outwards, without its cavities."""

    def __init__(self, vertices: Floats, body: Body) -> None:
        self.faces = body.faces if body.volume > 0.0 else body.faces[:, ::-1]
        self.volume = abs(body.volume)
        self._vertices, self._low, self._high = vertices, body.low, body.high

    @cached_property
    def _manifold(self) -> Manifold:
        used, back = np.unique(self.faces, return_inverse=True)
        return _manifold(self._vertices[used], back.reshape(-1, 3))

    def contains(self, other: _Shape) -> bool:
        """Whether the other one lies in this one."""
        if (other._low < self._low).any() or (other._high > self._high).any():
            return False
        return float((self._manifold ^ other._manifold).volume()) >= (1.0 - _WHOLE) * other.volume


@dataclass(frozen=True, eq=False)
class _Placed:
    """What a body is.

    Attributes:
        shape: its own.
        cavity: the body that it is a cavity of, or None.
        inverted: whether a body here looks inwards in the file.
        trusted: whether the orientations that this rests on are known.
    """

    shape: _Shape
    cavity: _Placed | None
    inverted: bool
    trusted: bool


def _outward_steps(vertices: Floats, faces: Faces) -> Floats:
    """Per vertex the step that moves all faces around it outwards by one, as well as that goes, (V, 3)."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-300)
    square, total = np.zeros((len(vertices), 3, 3)), np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(square, faces[:, corner], normals[:, :, None] * normals[:, None, :])
        np.add.at(total, faces[:, corner], normals)
    # The least step that fits: nothing along directions in which no face looks.
    spread = np.trace(square, axis1=1, axis2=2)
    steps = np.linalg.solve(square + (_DAMPING * spread + 1e-30)[:, None, None] * np.eye(3), total[:, :, None])[:, :, 0]
    length = np.linalg.norm(steps, axis=1, keepdims=True)
    return np.asarray(steps * np.minimum(1.0, _LONGEST / np.maximum(length, 1e-300)))


def _manifold(vertices: Floats, faces: Faces) -> Manifold:
    return Manifold(Mesh64(np.ascontiguousarray(vertices), np.ascontiguousarray(faces.astype(np.uint64))))
