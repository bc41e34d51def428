"""What a scan leaves out of a good part, by whole distance matrices in float64."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.stats import weibull_min
from torch import Tensor

from dusnet.geometry.coverage import RIM_POINTS, RIM_WIDTH, UNSEEN_REACH, UNSEEN_SHARE

Array = NDArray[np.float64]


class BruteForce:
    """A scan of all sides beside places of a good part, (N, 3) and (M, 3).

    Args:
        openness, voids: of the good scans at each place, (M,), as in a model file; None where nobody compared them.
    """

    def __init__(
        self, points: Tensor, places: Tensor, openness: Tensor | None = None, voids: Tensor | None = None
    ) -> None:
        scan, part = points.double().numpy(), places.double().numpy()
        self.distances = cdist(part, scan)
        self.distance = self.distances.min(axis=1)
        between = cdist(part, part)
        np.fill_diagonal(between, np.inf)
        spacing = between.min(axis=1).mean()
        self.usual = max(math.sqrt(math.log(0.5) / math.log(0.9)) * np.quantile(self.distance, 0.1), spacing)
        self._law(scan, spacing)
        largest = self.law.isf(math.exp(-1) / len(scan)) / self.median
        local = self._local(part, scan, largest)
        if openness is None or voids is None:
            # Nobody says where voids are larger than elsewhere: only rarer ones count.
            self.limit = self.law.isf(math.exp(-5) / len(scan)) / self.median * np.maximum(local, spacing)
        else:
            usual_there = local * np.maximum(openness.double().numpy(), 1)
            self.limit = np.maximum(largest * usual_there, voids.double().numpy() * local)
        self.empty = self.distance > self.limit
        self.pieces = self._pieces(between <= UNSEEN_REACH * spacing)
        self.lost = [i for piece in self.pieces if len(piece) <= UNSEEN_SHARE * len(part) for i in piece]

    def _law(self, scan: Array, spacing: float) -> None:
        """Median and Weibull law of the voids of a scan, from how near its points are to each other."""
        apart = np.sort(cdist(scan, scan), axis=1)
        evenness = np.clip((np.median(apart[:, 1] / apart[:, 4]) - 0.53) / (0.68 - 0.53), 0, 1)
        exponent = 2 + 0.65 * evenness
        own = 0.25 * spacing
        tenth = (np.quantile(self.distance[self.distance > own], 0.1) ** exponent - own**exponent) ** (1 / exponent)
        known = math.sqrt(math.log(0.5) / math.log(0.9))
        self.median = (known + evenness * (2.24 - known)) * tenth
        self.law = weibull_min(exponent, scale=self.median / math.log(2) ** (1 / exponent))

    def _local(self, part: Array, scan: Array, largest: float) -> Array:
        """Median around each place's nearest point, or rather around the place nearest to that; voids are as usual."""
        told = np.where(self.distance > largest * self.median, self.median, self.distance)
        tree = cKDTree(part)
        anchor = tree.query(scan[self.distances.argmin(axis=1)])[1]
        around = tree.query(part[anchor], k=75)[1]
        return np.clip(np.median(told[around], axis=1), self.median, 2 * self.median)

    def _pieces(self, touching: NDArray[np.bool_]) -> list[list[int]]:
        left, pieces = set(np.flatnonzero(self.empty).tolist()), []
        while left:
            piece = [left.pop()]
            for i in piece:
                near = [j for j in left if touching[i, j]]
                left.difference_update(near)
                piece.extend(near)
            pieces.append(piece)
        return pieces

    def carried(self, lost: list[int]) -> Array:
        """At every point of the scan the largest excess of the lost places around it."""
        rim = np.zeros(self.distances.shape[1])
        for i in lost:
            nearest = np.argsort(self.distances[i])[:RIM_POINTS]
            around = nearest[self.distances[i, nearest] <= self.distance[i] + RIM_WIDTH * self.usual]
            rim[around] = np.maximum(rim[around], self.distance[i] - self.limit[i])
        return rim
