"""The reference that scans are brought to: points, normals, and the distance to the surface between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.neighbors import Neighbors
from dusnet.geometry.normals import estimate_normals

Array = NDArray[np.float64]

_CELLS = 50  # along the longest side of a table
_MARGIN = 0.25  # free space around the reference that a table covers, normalised unit
_DISC_NEIGHBOR = 6  # a disc reaches to its 6th nearest neighbour: discs of a random sampling then leave no gaps


class IcpReference(Protocol):
    """What ICP needs of a reference."""

    @property
    def points(self) -> Array:
        """(M, 3) float64 in the normalised frame."""

    @property
    def normals(self) -> Array:
        """(M, 3) float64 unit normals of arbitrary sign."""

    def nearest(self, points: Array, reach: float) -> tuple[Array, NDArray[np.intp]]:
        """Distance (N,) and index (N,) of the reference point nearest to each of `points`, (N, 3).

        Beyond `reach` the distance may be infinite and the index any.
        """


@dataclass(frozen=True)
class DiscSurface:
    """Points with normals; between the points the surface is taken to be a small disc around each of them.

    Attributes:
        points: (M, 3) float64 in the normalised frame.
        normals: (M, 3) float64 unit normals of arbitrary sign.
        radii: (M,) float64, radius of each disc.
        search: `points`, prepared for searches.
    """

    points: Array
    normals: Array
    radii: Array
    search: Neighbors

    @classmethod
    def of(cls, points: Array) -> DiscSurface:
        """The surface through `points`, (M, 3) float64."""
        search = Neighbors(points)
        nearest, _ = search.knn(points, min(_DISC_NEIGHBOR + 1, len(points)))
        return cls(points, estimate_normals(points), nearest[:, -1], search)

    def select(self, kept: NDArray[np.bool_]) -> DiscSurface:
        """The surface of some of the points, (M,), with the normals and discs of all."""
        points = self.points[kept]
        return DiscSurface(points, self.normals[kept], self.radii[kept], Neighbors(points))

    def nearest(self, points: Array, reach: float) -> tuple[Array, NDArray[np.intp]]:
        """As `IcpReference` says; exact."""
        gap, index = self.search.nearest(points)
        return np.where(gap < reach, gap, np.inf), index

    def distance(self, points: Array, reach: float = np.inf) -> Array:
        """Distance of `points` (N, 3) to the disc around the nearest reference point, (N,).

        The height above the disc's plane and the part of the lateral offset that lies beyond its rim are combined by
        Pythagoras, so that the value does not depend on how densely the reference was sampled. It is infinite where
        no reference point is within `reach`.
        """
        gap, index = self.nearest(points, reach)
        height = np.einsum("ni,ni->n", points - self.points[index], self.normals[index])
        lateral = np.sqrt(np.maximum(np.square(gap) - np.square(height), 0.0))
        return np.hypot(height, np.maximum(lateral - self.radii[index], 0.0))


@dataclass(frozen=True)
class Table:
    """The nearest reference point of every cell of a grid: many times as fast as the tree and as fine as the cells.

    Attributes:
        points: (M, 3) float64 in the normalised frame.
        normals: (M, 3) float64 unit normals of arbitrary sign.
        low: (3,) float64, corner of the grid.
        cell: edge of a cell.
        shape: (3,) int64, number of cells along the axes.
        index: reference point that is nearest to the middle of a cell, one per cell.
        gaps: its distance from there, float32.
    """

    points: Array
    normals: Array
    low: Array
    cell: float
    shape: NDArray[np.int64]
    index: NDArray[np.intp]
    gaps: NDArray[np.float32]

    @classmethod
    def of(cls, surface: DiscSurface) -> Table:
        """The table of `surface`, of about 100,000 cells."""
        low = surface.points.min(axis=0) - _MARGIN
        size = surface.points.max(axis=0) + _MARGIN - low
        cell = float(size.max()) / _CELLS
        shape = np.ceil(size / cell).astype(np.int64)
        axes = [low[axis] + cell * (np.arange(shape[axis]) + 0.5) for axis in range(3)]
        middles = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        gaps, index = surface.search.nearest(middles)
        return cls(surface.points, surface.normals, low, cell, shape, index, gaps.astype(np.float32))

    def nearest(self, points: Array, reach: float) -> tuple[Array, NDArray[np.intp]]:
        """As `IcpReference` says; points beyond the grid get what the border of the grid has nearest."""
        index = self.index[self._cells(points)]
        gap = np.linalg.norm(points - self.points[index], axis=1)
        return np.where(gap < reach, gap, np.inf), index

    def gap(self, points: Array) -> NDArray[np.float32]:
        """About the distance of `points` (N, 3) from the reference, (N,), to half a cell; too small off the grid."""
        return self.gaps[self._cells(points)]

    def _cells(self, points: Array) -> NDArray[np.int64]:
        at = ((points - self.low) / self.cell).astype(np.int64)
        at = np.clip(at, 0, self.shape - 1)
        return np.asarray((at[:, 0] * self.shape[1] + at[:, 1]) * self.shape[2] + at[:, 2])
