"""A part's surface as dense points with normals and ground truth: what variation and defects act on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from dusnet.geometry.neighbors import Neighbors
from dusnet.geometry.normals import estimate_normals

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledSurface:
    """Dense points on the outside of a part, before any scanner has seen it.

    Attributes:
        points: (N, 3) float64, mm.
        normals: unit, outward, (N, 3) float64.
        labels: True where the surface is defective, (N,) bool.
    """

    points: Floats
    normals: Floats
    labels: NDArray[np.bool_]

    @classmethod
    def clean(cls, points: Floats, normals: Floats) -> LabelledSurface:
        """A surface without defects."""
        return cls(points, normals, np.zeros(len(points), dtype=bool))

    def __len__(self) -> int:
        return len(self.points)

    def select(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> LabelledSurface:
        """The surface of the points that `index` picks."""
        return LabelledSurface(self.points[index], self.normals[index], self.labels[index])

    def moved(self, displacement: Floats) -> LabelledSurface:
        """The surface with every point moved by its row of `displacement`, (N, 3) mm."""
        return replace(self, points=self.points + displacement)

    def marked(self, labels: NDArray[np.bool_]) -> LabelledSurface:
        """The surface with `labels` added to its ground truth."""
        return replace(self, labels=self.labels | labels)


def log_uniform(generator: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is drawn evenly."""
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))


def random_direction(generator: np.random.Generator) -> Floats:
    """A unit vector drawn evenly from all, (3,)."""
    vector = generator.normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector))


def perpendicular(normal: Floats, generator: np.random.Generator | None = None) -> Floats:
    """A unit vector across `normal`, (3,); at random where there is a generator."""
    helper = np.eye(3)[int(np.abs(normal).argmin())] if generator is None else generator.normal(size=3)
    across = np.cross(normal, helper)
    return np.asarray(across / np.linalg.norm(across))


def bump(distance: Floats, power: float) -> Floats:
    """(1 - t^power)^2 of the distance t from the middle, 0 from 1 on; a higher power is flatter in the middle."""
    return np.asarray((1.0 - np.clip(distance, 0.0, 1.0) ** power) ** 2)


def geodesic_distances(surface: LabelledSurface, seed: int, limit: float) -> tuple[Indices, Floats]:
    """Distances along the surface from the point `seed` to all points nearer than `limit`.

    Shortest paths in the graph of nearest neighbours; edges between points whose normals oppose each other are left
    out, so that a path never crosses a thin wall.

    Args:
        surface: N points.
        seed: index of the point to start from.
        limit: greatest distance, mm.

    Returns:
        Indices of the reached points, (M,) int64, and their distances, (M,) float64 mm; both in ascending distance.
    """
    start = surface.points[seed]
    ball = np.flatnonzero(((surface.points - start) ** 2).sum(axis=1) <= limit**2)
    points, normals = surface.points[ball], surface.normals[ball]
    length, target = (found[:, 1:] for found in Neighbors(points).knn(points, min(11, len(ball))))
    source = np.repeat(np.arange(len(ball)), target.shape[1])
    target, length = target.ravel(), np.maximum(length.ravel(), 1e-12)
    same_side = np.einsum("ij,ij->i", normals[source], normals[target]) > -0.5
    graph = csr_matrix((length[same_side], (source[same_side], target[same_side])), shape=(len(ball), len(ball)))
    reached = dijkstra(graph, directed=False, indices=int(np.searchsorted(ball, seed)), limit=limit)
    order = np.argsort(reached, kind="stable")
    order = order[np.isfinite(reached[order])]
    return ball[order], reached[order]


def smooth_normals(surface: LabelledSurface, region: Indices, radius: float) -> Floats:
    """Normals of the points in `region`, each averaged over the region's points within about `radius` on its side.

    Args:
        surface: N points.
        region: indices, (M,) int64.
        radius: standard deviation of the Gaussian weights, mm.

    Returns:
        (M, 3) float64, unit.
    """
    points, normals = surface.points[region], surface.normals[region]
    picked = np.linspace(0, len(region) - 1, min(len(region), 400)).astype(np.int64)
    squared = ((points[:, None, :] - points[None, picked, :]) ** 2).sum(axis=2)
    weights = np.exp(-squared / (2.0 * radius**2)) * (normals @ normals[picked].T > -0.2)
    mean = weights @ normals[picked] + 1e-9 * normals
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def refit_normals(surface: LabelledSurface, region: Indices) -> LabelledSurface:
    """The surface with new normals in `region`, fitted to where its points are now.

    Args:
        surface: N points, moved; their normals are those from before.
        region: indices of points on one side of a wall, (M,) int64.
    """
    neighbors = 12  # points per fitted plane, all of them in the region
    if len(region) <= neighbors:
        return surface
    points = surface.points[region]
    fitted = estimate_normals(points, neighbors)
    fitted = fitted * np.where(np.einsum("ij,ij->i", fitted, surface.normals[region]) < 0.0, -1.0, 1.0)[:, None]
    normals = surface.normals.copy()
    normals[region] = fitted
    return replace(surface, normals=normals)
