"""The bodies of a triangle mesh: its pieces that hang together, whether each is closed, and which way it faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]
Faces = NDArray[np.int64]

_FEW = 0.1  # share of wrongly oriented faces beside which the others say how a body is oriented
_ROUNDS = 64  # of joining pieces at edges that several bodies share; each round joins at least two


@dataclass(frozen=True)
class Body:
    """One piece of a mesh.

    Attributes:
        faces: indices of the vertices of the mesh, (K, 3); of a closed body all face to one side.
        closed: whether every edge is used as often in one direction as in the other.
        trusted: whether nearly all faces were oriented alike as given. If not, the sign of `volume` says nothing.
        volume: enclosed, positive where the faces look outwards; 0 of an open body.
        area: of all faces.
        low: corner of the bounding box, (3,).
        high: the other one, (3,).
    """

    faces: Faces
    closed: bool
    trusted: bool
    volume: float
    area: float
    low: Floats
    high: Floats


def join_vertices(vertices: Floats, faces: Faces) -> tuple[Floats, Faces, NDArray[np.bool_]]:
    """Make vertices at equal places one.

    Returns:
        vertices; faces without those that have two equal corners; and which faces were kept, (F,) bool.
    """
    joined, back = np.unique(vertices, axis=0, return_inverse=True)
    faces = back.reshape(-1).astype(np.int64)[faces]
    proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return joined, faces[proper], proper


@dataclass(frozen=True)
class Split:
    """A mesh in pieces.

    Attributes:
        bodies: in the order of their first faces; empty where there are more than was asked for.
        count: how many there are.
        no_area: open pieces that were left out because they have no area.
    """

    bodies: list[Body]
    count: int
    no_area: int


def split_bodies(
    vertices: Floats, faces: Faces, given: Faces | None = None, *, least_area: float = 0.0, most: int = 5000
) -> Split:
    """Split a mesh into bodies.

    Faces belong together across an edge that exactly two of them use. Where several bodies touch along an edge, more
    use it: each body has an even number of them, and what that leaves open is settled by the order in the file, where
    the faces of a body follow each other.

    Args:
        vertices: (V, 3), no two at one place.
        faces: (F, 3), no two corners alike.
        given: the same faces before vertices at one place were made one, which may tell touching bodies apart.
        least_area: open pieces with no more are left out, squared units of the vertices.
        most: bodies that are returned at most.
    """
    edges = _Edges.of(faces)
    label = _labels(edges, faces, given)
    closed, even = edges.closed(label)
    turned = _to_turn(edges, label, even & ~closed)
    if turned.any():
        faces = np.where(turned[:, None], faces[:, ::-1], faces)
        closed, _ = _Edges.of(faces).closed(label)
    kept = closed | (np.bincount(label, weights=areas(vertices, faces)) > least_area)
    count = int(kept.sum())
    if count > most:
        return Split([], count, len(kept) - count)
    order = np.argsort(label, kind="stable")
    order = order[kept[label[order]]]
    pieces = np.split(order, np.flatnonzero(np.diff(label[order])) + 1) if len(order) else []
    bodies = [
        _body(vertices, faces, piece, bool(closed[label[piece[0]]]), float(turned[piece].mean()) <= _FEW)
        for piece in sorted(pieces, key=lambda piece: int(piece[0]))
    ]
    return Split(bodies, count, len(kept) - count)


def areas(vertices: Floats, faces: Faces) -> Floats:
    """Of every triangle, (F,)."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2.0)


def _body(vertices: Floats, faces: Faces, piece: Faces, closed: bool, trusted: bool) -> Body:
    corners = vertices[faces[piece]]
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    a, b, c = np.moveaxis(corners - (low + high) / 2.0, 1, 0)
    volume = float(np.einsum("fi,fi->", a, np.cross(b - a, c - a))) / 6.0 if closed else 0.0
    return Body(faces[piece], closed, trusted, volume, float(areas(vertices, faces[piece]).sum()), low, high)


@dataclass(frozen=True)
class _Edges:
    """The edges of a mesh as its faces use them.

    Attributes:
        number: which edge, (3 F,), face by face.
        forward: whether the face goes along it from the lower vertex to the higher, (3 F,).
        uses: how many faces use an edge, (E,).
    """

    number: Faces
    forward: NDArray[np.bool_]
    uses: Faces

    @classmethod
    def of(cls, faces: Faces) -> _Edges:
        start, end = faces[:, [0, 1, 2]].reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
        key = np.minimum(start, end) * (int(faces.max(initial=0)) + 1) + np.maximum(start, end)
        _, number, uses = np.unique(key, return_inverse=True, return_counts=True)
        return cls(number.reshape(-1).astype(np.int64), start < end, uses.astype(np.int64))

    def twins(self) -> tuple[Faces, NDArray[np.bool_]]:
        """Faces on both sides of the edges of two faces, (P, 2), and whether both go along it the same way."""
        places = np.flatnonzero(self.uses[self.number] == 2)
        pairs = places[np.argsort(self.number[places], kind="stable")].reshape(-1, 2)
        return pairs // 3, self.forward[pairs[:, 0]] == self.forward[pairs[:, 1]]

    def closed(self, label: Faces) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Per label whether its faces use every edge as often in one direction as in the other, and evenly often."""
        key = label[np.arange(len(self.number)) // 3] * len(self.uses) + self.number
        found, back = np.unique(key, return_inverse=True)
        back = back.reshape(-1)
        owner = found // max(len(self.uses), 1)
        net = np.bincount(back, weights=np.where(self.forward, 1.0, -1.0))
        balanced, even = np.ones((2, int(label.max(initial=-1)) + 1), dtype=np.bool_)
        balanced[owner[net != 0.0]] = False
        even[owner[np.bincount(back) % 2 == 1]] = False
        return balanced, even


def _labels(edges: _Edges, faces: Faces, given: Faces | None) -> Faces:
    """Which body every face belongs to, (F,)."""
    label = _across_edges(edges, len(faces), given)
    if int(edges.uses.max(initial=0)) <= 2:
        return label
    layer = _layers(faces, label, whole=bool(edges.closed(label)[0].all()))
    if not layer.any():
        return label
    # What is there twice, or is both sides of a wall inside of a body, is no part of that body.
    found = np.zeros_like(label)
    for number in range(int(layer.max()) + 1):
        chosen = np.flatnonzero(layer == number)
        rest = _across_edges(_Edges.of(faces[chosen]), len(chosen), None if given is None else given[chosen])
        found[chosen] = rest + int(found.max()) + 1
    return np.unique(found, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _layers(faces: Faces, label: Faces, *, whole: bool) -> Faces:
    """0 for a face that is there once, (F,); further copies have the next even numbers, faces back to back odd ones.

    Args:
        faces: (F, 3).
        label: of the body, (F,).
        whole: whether all bodies are closed as they are; then copies stay what they are, parts of other bodies.
    """
    first = np.argmin(faces, axis=1)
    turned = np.stack([faces[np.arange(len(faces)), (first + step) % 3] for step in range(3)], axis=1)
    ahead = turned[:, 1] < turned[:, 2]
    place = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    layer = np.zeros(len(faces), dtype=np.int64)
    if not whole:
        order = np.lexsort((ahead, place))
        start = np.r_[True, (np.diff(place[order]) != 0) | (np.diff(ahead[order].astype(np.int8)) != 0)]
        begin = np.flatnonzero(start)
        layer[order] = 2 * (np.arange(len(faces)) - begin[np.cumsum(start) - 1])
    both = [np.bincount(place[side & (layer == 0)], minlength=int(place.max()) + 1) == 1 for side in (ahead, ~ahead)]
    back_to_back = (both[0] & both[1])[place] & (layer == 0)
    number = np.flatnonzero(back_to_back)
    pairs = number[np.lexsort((ahead[number], place[number]))].reshape(-1, 2)
    alike = label[pairs[:, 0]] == label[pairs[:, 1]]
    layer[pairs[alike].reshape(-1)] = 1
    return layer


def _across_edges(edges: _Edges, count: int, given: Faces | None) -> Faces:
    links = [edges.twins()[0]]
    if given is not None:
        links.append(_Edges.of(given).twins()[0])
    label = _connected(np.vstack(links), count)
    shared = np.flatnonzero(edges.uses[edges.number] > 2)
    for _ in range(_ROUNDS if len(shared) else 0):
        joined = _open_at(edges.number[shared], label[shared // 3], shared // 3)
        if not len(joined):
            break
        label = _connected(joined, int(label.max()) + 1)[label]
    return label


def _open_at(edge: Faces, label: Faces, face: Faces) -> Faces:
    """Labels that should be one, (J, 2): each ends at the same edge, where it has an odd number of faces.

    Args:
        edge: number of the edge, (U,), ascending per face.
        label: of the face that uses it, (U,).
        face: its number, (U,).
    """
    order = np.lexsort((face, label, edge))
    edge, label, face = edge[order], label[order], face[order]
    first = np.r_[True, (np.diff(edge) != 0) | (np.diff(label) != 0)]
    start = np.flatnonzero(first)
    odd = np.diff(np.r_[start, len(edge)]) % 2 == 1
    edge, label, face = edge[start][odd], label[start][odd], face[start][odd]
    order = np.lexsort((face, edge))
    edge, label = edge[order], label[order]
    _, begin, many = np.unique(edge, return_index=True, return_counts=True)
    chosen = many == 2
    if not chosen.any():
        chosen = (many > 2) & (many % 2 == 0)
    if not chosen.any():
        return np.zeros((0, 2), dtype=np.int64)
    places = np.concatenate([np.arange(b, b + m) for b, m in zip(begin[chosen], many[chosen], strict=True)])
    return label[places].reshape(-1, 2)


def _connected(links: Faces, count: int) -> Faces:
    graph = coo_array((np.ones(len(links), dtype=np.int8), (links[:, 0], links[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _to_turn(edges: _Edges, label: Faces, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which faces of the `chosen` bodies to turn so that neighbours look to the same side, (F,)."""
    count = len(label)
    turned = np.zeros(count, dtype=np.bool_)
    if not chosen.any():
        return turned
    pairs, alike = edges.twins()
    left, right = pairs[:, 0], pairs[:, 1]
    same, other = np.where(alike, right + count, right), np.where(alike, right, right + count)
    sides = _connected(np.vstack([np.column_stack([left, same]), np.column_stack([left + count, other])]), 2 * count)
    for name in np.flatnonzero(chosen):
        piece = np.flatnonzero(label == name)
        flip = sides[piece] != sides[piece[0]]
        turned[piece] = flip if 2 * int(flip.sum()) <= len(piece) else ~flip
    return turned
