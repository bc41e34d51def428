"""Anchors of a scan, what each costs beside a template, and scores between the anchors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dusnet.detectors.peers.georeg.settings import GeoRegSettings
from dusnet.geometry.neighbors import Neighbors
from dusnet.geometry.normals import estimate_normals
from dusnet.geometry.sampling import cell_means

Floats = NDArray[np.float64]

NORMAL_NEIGHBORS = 32
"""Anchors that a normal is estimated from (public code of GEOREG-AD)."""
LEAST_DISTANCE = 1e-8
"""Distance, in the frame, below which inverse distances do not grow any more (the same)."""


@dataclass(frozen=True)
class Anchors:
    """Means of the points in the cells of a grid.

    Attributes:
        points: (M, 3) float64 in the frame.
        normals: unit normals of either sign, (M, 3).
    """

    points: Floats
    normals: Floats

    @classmethod
    def of(cls, cloud: Floats, voxel: float) -> Anchors:
        """Anchors of a scan in the frame, (N, 3), whatever the order of its points: three at least, or all points.

        Args:
            cloud: the scan.
            voxel: edge of a cell; halved as often as a small scan needs.
        """
        ordered = cloud[np.lexsort(cloud.T[::-1])]
        points = cell_means(ordered, voxel)
        while len(points) < min(3, len(ordered)):
            voxel /= 2
            points = cell_means(ordered, voxel)
        return cls(points, estimate_normals(points, NORMAL_NEIGHBORS))

    @property
    def spacing(self) -> float:
        """Median distance of an anchor to the nearest other one."""
        return float(np.median(Neighbors(self.points).knn(self.points, 2)[0][:, 1]))


def candidate_costs(scan: Anchors, template: Anchors, spacing: float, settings: GeoRegSettings) -> Floats:
    """What each anchor of a scan costs beside each of its nearest template points.

    The cost is `d + plane * |n' . (p - q)| / h + normal * (1 - |n . n'|)` with d the distance in spacings h.

    Args:
        scan: p and n.
        template: q and n'.
        spacing: h, of the template.
        settings: number of candidates, their reach, and the weights.

    Returns:
        (M, K) float64, infinite where a template point is out of reach.
    """
    count = min(settings.candidates, len(template.points))
    distance, near = Neighbors(template.points).knn(scan.points, count)
    across = scan.points[:, None] - template.points[near]
    plane = np.abs(np.einsum("nki,nki->nk", across, template.normals[near])) / spacing
    turned = 1 - np.abs(np.einsum("ni,nki->nk", scan.normals, template.normals[near]))
    costs = distance / spacing + settings.plane * plane + settings.normal * turned
    return np.where(distance < settings.radius * spacing, costs, np.inf)


def anchor_scores(scan: Anchors, template: Anchors, spacing: float, settings: GeoRegSettings) -> Floats:
    """The least of the candidates' costs of each anchor, or `settings.penalty` where none is in reach, (M,)."""
    least = candidate_costs(scan, template, spacing, settings).min(axis=1)
    return np.where(np.isfinite(least), least, settings.penalty)


def spread(points: Floats, anchors: Floats, values: Floats, settings: GeoRegSettings) -> Floats:
    """Values of anchors at the points of a scan: the mean over the nearest anchors, weighed or not.

    Args:
        points: (N, 3).
        anchors: (M, 3).
        values: (M,).
        settings: number of anchors, and whether the inverse distance weighs them.

    Returns:
        (N,).
    """
    distance, near = Neighbors(anchors).knn(points, min(settings.neighbors, len(anchors)))
    weights = 1 / np.maximum(distance, LEAST_DISTANCE) if settings.power else np.ones_like(distance)
    found: Floats = (values[near] * weights).sum(axis=1) / weights.sum(axis=1)
    return found
