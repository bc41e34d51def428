"""Hand-made local features of a scan, and how values get from a few of its points to all of them.

FPFH: R. B. Rusu, N. Blodow, M. Beetz, "Fast Point Feature Histograms (FPFH) for 3D Registration", ICRA 2009, as Open3D
computes it: three histograms of 11 bins each over the angles between the normals of a point and of its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import ops
from dusnet.geometry.sampling import cell_for, thin
from dusnet.geometry.visibility import visible
from dusnet.open3d_import import open3d
from dusnet.registration import estimate_normals

FPFH_SIZE = 33
NORMAL_NEIGHBORS = 10
"""Nearest points that a normal is estimated from, as in Simple3D."""
MOST_FACTOR = 1.5
"""A scan that keeps more points than this many times the wanted number at the density of the training scans is thinned
further: it shows more than the part, or has another unit."""
DENSITY_SHARE = 0.6
"""Share of the points of the sparsest training scan that thinning keeps. The cells that keep 0.6 of points strewn at
random are mostly filled, so that no denser scan keeps more than about twice as many."""


@dataclass(frozen=True)
class Thinned:
    """A scan at the density of the training scans, in an order that does not depend on the order of its points.

    Attributes:
        ordered: all points, (N, 3) float64, ascending by x, then y, then z.
        all_points: all points in the order of the scan, relative to the centroid, (N, 3) float32.
        points: the kept points relative to the centroid, (n, 3) float64, in the order of `ordered`.
        centroid: mean of the kept points, (3,) float64.
    """

    ordered: NDArray[np.float64]
    all_points: Tensor
    points: NDArray[np.float64]
    centroid: NDArray[np.float64]

    @classmethod
    def of(cls, points: NDArray[np.float64], cell: float, most: int | None, *, seed: int) -> Thinned:
        """Thin a scan to one point per cell of a cubic grid.

        Args:
            points: (N, 3) float64, any unit.
            cell: edge of a cell, the same unit.
            most: wanted number of points; a scan that keeps more than 1.5 times as many gets bigger cells. None for any
                number.
            seed: of the grid and of the choice within a cell.
        """
        ordered = points[np.lexsort(points.T[::-1])]
        rng = np.random.default_rng(seed)
        kept = thin(ordered, cell, rng)
        if most is not None and len(kept) > MOST_FACTOR * most:
            kept = thin(ordered, cell_for(ordered, most, rng), rng)
        # Far from the origin float32 would not resolve the distances between neighbours.
        centroid = ordered[kept].mean(axis=0)
        return cls(ordered, torch.from_numpy(points - centroid).float(), ordered[kept] - centroid, centroid)

    def seen_from(self, direction: NDArray[np.float64]) -> Thinned:
        """What a scanner far away in this direction sees of the kept points, a scan of its own.

        Args:
            direction: from the part to the scanner, a unit vector, (3,).
        """
        kept = self.points[visible(self.points, direction)] + self.centroid
        centroid = kept.mean(axis=0)
        return Thinned(kept, torch.from_numpy(kept - centroid).float(), kept - centroid, centroid)

    @cached_property
    def tensor(self) -> Tensor:
        """The kept points relative to the centroid, (n, 3) float32."""
        return torch.from_numpy(self.points).float()

    @cached_property
    def index(self) -> ops.PointIndex:
        """`tensor`, prepared for searches."""
        return ops.PointIndex(self.tensor.unsqueeze(0))

    def in_frame(self, places: Tensor) -> Tensor:
        """Places relative to the centroid as places of the frame, (M, 3) float32 -> (M, 3) float32."""
        return (places.double() + torch.from_numpy(self.centroid)).float()

    def to_all(self, values: Tensor) -> Tensor:
        """Values of the kept points at all points of the scan: inverse-distance mean of the nearest, (n,) -> (N,)."""
        weights, index = self.index.three_nn(self.all_points.unsqueeze(0))
        found: Tensor = ops.three_interpolate(values.reshape(1, -1, 1), index, weights)
        return found[0, :, 0]


def density_cell(clouds: Sequence[NDArray[np.float64]], most: int | None, *, seed: int) -> float:
    """Edge of the cells that bring all training scans to one density, which the sparsest of them can follow.

    Args:
        clouds: (N, 3) float64 each.
        most: wanted number of points; 0.6 times those of the sparsest scan where that is fewer, or where it is None.
        seed: of the grids that are tried.
    """
    rng = np.random.default_rng(seed)
    wanted = int(DENSITY_SHARE * min(len(cloud) for cloud in clouds))
    if most is not None:
        wanted = min(most, wanted)
    return float(np.median([cell_for(cloud, wanted, rng) for cloud in clouds]))


def fpfh(
    points: NDArray[np.float64],
    *,
    neighbors: Sequence[int],
    radius: float | None = None,
    away_from: NDArray[np.float64] | None = None,
) -> Tensor:
    """One FPFH feature per point and support, joined.

    The sign of a normal decides the sign of two of the three angles, so all normals point away from one place.

    Args:
        points: (N, 3) float64, any unit, N >= 3.
        neighbors: the numbers of nearest points, the point itself included, that span the supports.
        radius: in the same unit; the supports end there as well. None: nearest points alone.
        away_from: (3,) the place that the normals point away from; None for the mean of the points.

    Returns:
        (N, 33 * len(neighbors)) float32; each histogram of 11 bins sums to 100 up to the weight that Open3D gives the
        point itself, or to 0 where a point has no neighbour. The same input gives the same bits. A rigid motion
        changes rounding alone, which can turn a pair of equal normals round and so move it to another bin.

    Raises:
        MissingDependency: Open3D is absent.
    """
    place = points.mean(axis=0) if away_from is None else away_from
    normals = estimate_normals(points, NORMAL_NEIGHBORS)
    inward = ((points - place) * normals).sum(axis=1) < 0
    o3d = open3d()
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    cloud.normals = o3d.utility.Vector3dVector(np.where(inward[:, None], -normals, normals))
    made = []
    for count in neighbors:
        if radius is None:
            search = o3d.geometry.KDTreeSearchParamKNN(min(count, len(points)))
        else:
            search = o3d.geometry.KDTreeSearchParamHybrid(radius, min(count, len(points)))
        made.append(np.asarray(o3d.pipelines.registration.compute_fpfh_feature(cloud, search).data).T)
    return torch.from_numpy(np.hstack(made)).float()


def local_mean(features: Tensor, points: Tensor | ops.PointIndex, centers: Tensor, neighbors: int) -> Tensor:
    """Mean feature of the points nearest to each centre.

    Args:
        features: (N, C).
        points: where they belong, (N, 3) float32, or the same prepared for searches.
        centers: (M, 3) float32.
        neighbors: points to average over, at most all.

    Returns:
        (M, C).
    """
    search = points if isinstance(points, ops.PointIndex) else ops.PointIndex(points.unsqueeze(0))
    _, index = search.knn(centers.unsqueeze(0), min(neighbors, len(features)))
    return indexed_mean(features, index[0])


def indexed_mean(features: Tensor, index: Tensor) -> Tensor:
    """Mean of the features that each row names, (N, C), (M, k) int64 -> (M, C)."""
    # A block at a time: all neighbours' features at once would be k times the size of the result.
    return torch.cat([features[block].mean(dim=1) for block in index.split(256)])


def farthest(points: Tensor, count: int) -> Tensor:
    """Indices of at most `count` farthest points, (N, 3) float32 -> (M,) int64."""
    return ops.farthest_point_sample(points.unsqueeze(0), min(count, len(points)))[0]
