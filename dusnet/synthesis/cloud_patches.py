"""Patches of a cloud of points: the surface around one of them, with coordinates and normals of one sign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from dusnet.geometry.neighbors import Neighbors
from dusnet.synthesis.surface import Floats, Indices, perpendicular

Bools = NDArray[np.bool_]
Range = tuple[float, float]

_EDGES = 10  # neighbours that a point is joined to
_LARGEST_SLOPE = 0.35  # sine between an edge and the tangent plane: steeper ones lead to another sheet
_SMALLEST_AGREEMENT = 0.5  # cosine between normals at the ends of an edge


@dataclass(frozen=True)
class CloudSurface:
    """A cloud with what patches are cut from it by.

    Attributes:
        points: (N, 3) float64.
        normals: unit normals of either sign, (N, 3) float64.
        search: the points, prepared for searches.
        middle: mean of the points, (3,).
        spacing: of the points along the surface.
    """

    points: Floats
    normals: Floats
    search: Neighbors
    middle: Floats
    spacing: float

    @classmethod
    def of(cls, points: Floats, normals: Floats) -> CloudSurface:
        """Measure a cloud."""
        points = np.ascontiguousarray(points, dtype=np.float64)
        search = Neighbors(points)
        # In a random sample of a surface the third neighbour is one mean spacing away.
        spacing = float(np.median(search.knn(points[:: max(1, len(points) // 400)], 4)[0][:, 3]))
        return cls(points, normals, search, points.mean(axis=0), spacing)


@dataclass(frozen=True)
class Patch:
    """The surface around a seed: only what can be reached without crossing a wall or a sharp edge.

    Attributes:
        index: points of the patch, (M,).
        along, across: coordinates in the tangent plane along two random orthogonal directions, stretched so that the
            distance to the seed is the straight one, (M,) each.
        normals: outward unit normals, (M, 3).
        middle: mean outward normal near the seed, (3,).
        axis: unit vector of `along`, (3,).
        gate: 1 where the normal agrees with that of the seed, smoothly 0 where it turns away, (M,).
        room: distances to the next sheet outwards and inwards.
    """

    index: Indices
    along: Floats
    across: Floats
    normals: Floats
    middle: Floats
    axis: Floats
    gate: Floats
    room: Range


def random_patch(cloud: CloudSurface, generator: np.random.Generator, reach: float) -> Patch:
    """The patch around a random point of the cloud that ends `reach` away from it."""
    seed = int(generator.integers(len(cloud.points)))
    turn = generator.uniform(0.0, 2.0 * np.pi)
    start = cloud.points[seed]
    ball = np.flatnonzero(((cloud.points - start) ** 2).sum(axis=1) <= reach**2)
    reached, sign = _connected(cloud, ball, seed)
    index, normals = ball[reached], cloud.normals[ball[reached]] * sign[reached, None]
    offset = cloud.points[index] - start
    distance = np.linalg.norm(offset, axis=1)
    middle = normals[distance <= max(2.0 * cloud.spacing, 0.3 * reach)].sum(axis=0)
    middle /= np.linalg.norm(middle)
    room = _room(cloud, ball[~reached], index, normals)
    if _points_inwards(room, middle, start - cloud.middle):
        normals, middle, room = -normals, -middle, room[::-1]
    first = perpendicular(middle)
    axis = np.cos(turn) * first + np.sin(turn) * np.cross(middle, first)
    along, across = offset @ axis, offset @ np.cross(middle, axis)
    stretch = distance / np.maximum(np.hypot(along, across), 1e-6 * reach)
    agreement = np.clip((normals @ middle - 0.25) / 0.35, 0.0, 1.0)
    gate = agreement**2 * (3.0 - 2.0 * agreement)
    return Patch(index, along * stretch, across * stretch, normals, middle, axis, gate, (room[0], room[1]))


def _connected(cloud: CloudSurface, ball: Indices, seed: int) -> tuple[Bools, Floats]:
    """Which points of `ball` the seed reaches along the surface, and the signs that make their normals agree.

    Args:
        cloud: everything.
        ball: indices, ascending, the seed among them, (M,).
        seed: index of the start.

    Returns:
        (M,) bool, and (M,) +1 or -1 (of no meaning where not reached).
    """
    _, target = cloud.search.knn(cloud.points[ball], min(_EDGES + 1, len(cloud.points)))
    row = np.full(len(cloud.points), -1)
    row[ball] = np.arange(len(ball))
    source, target = np.repeat(np.arange(len(ball)), target.shape[1]), row[target.ravel()]
    inside = (target >= 0) & (target != source)
    source, target = source[inside], target[inside]
    points, normals = cloud.points[ball], cloud.normals[ball]
    edge = points[target] - points[source]
    length = np.maximum(np.linalg.norm(edge, axis=1), 1e-12)
    slope = np.maximum(*(np.abs(np.einsum("ij,ij->i", edge, normals[end])) for end in (source, target)))
    agreement = np.abs(np.einsum("ij,ij->i", normals[source], normals[target]))
    # An edge that leaves the tangent plane leads to another sheet, whatever the signs of the normals say.
    kept = (slope <= _LARGEST_SLOPE * length) & (agreement >= _SMALLEST_AGREEMENT)
    graph = csr_matrix((length[kept], (source[kept], target[kept])), shape=(len(ball), len(ball)))
    start = int(row[seed])
    path, previous = dijkstra(graph, directed=False, indices=start, return_predecessors=True)
    reached = np.isfinite(path)
    previous = np.where(previous >= 0, previous, np.arange(len(ball)))
    sign = np.where(np.einsum("ij,ij->i", normals, normals[previous]) < 0.0, -1.0, 1.0)
    while (previous != previous[previous]).any():
        sign, previous = sign * sign[previous], previous[previous]
    return reached, sign


def _room(cloud: CloudSurface, others: Indices, index: Indices, normals: Floats) -> Range:
    """Distance from a patch to the next sheet of the surface along its normals, and against them.

    Args:
        cloud: everything.
        others: points nearby that are not of the patch.
        index: points of the patch, (M,).
        normals: their normals of equal sign, (M, 3).
    """
    if not len(others):
        return np.inf, np.inf
    distance, nearest = Neighbors(cloud.points[index]).nearest(cloud.points[others])
    normal = normals[nearest]
    height = np.einsum("ij,ij->i", cloud.points[others] - cloud.points[index[nearest]], normal)
    parallel = np.abs(np.einsum("ij,ij->i", cloud.normals[others], normal)) > 0.7
    facing = parallel & (np.abs(height) > 0.8 * distance)
    sides = (height[facing & (height > 0)], -height[facing & (height < 0)])
    front, back = (float(np.quantile(side, 0.05)) if len(side) >= 3 else np.inf for side in sides)
    return front, back


def _points_inwards(room: Range, normal: Floats, from_middle: Floats) -> bool:
    """Whether a normal points into the material: to the nearer sheet, or else to the middle of the cloud."""
    if np.isfinite(room).any():
        return room[0] < room[1]
    return bool(normal @ from_middle < 0.0)
