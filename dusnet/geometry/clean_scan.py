"""A scan before anything is measured: every place once, and without stray points."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dusnet.cloud import PointCloud, Points
from dusnet.errors import BadInput
from dusnet.geometry.neighbors import Neighbors
from dusnet.progress import Progress, Silent
from dusnet.words import verb

Index = NDArray[np.intp]

STRAY_NEIGHBORS = 5
"""A point that belongs to the part is joined to more than so many others."""
STRAY_FACTOR = 3.0
"""Two points are joined when one is at most so many times as far from the other as that one's fifth neighbour.

Of 36 public scans four have stray points by this rule (1, 5, 61 and 108); by 2 in place of 3, eight have.
"""
LEAST_DIFFERENT = 16  # different points that a scan must hold: no registration works with fewer
_ROUNDING = 1e-9
"""Two ways to compute a distance differ by a millionth of this, relatively."""
_SQUARED_IS_EXACT = 1e-100
"""Squares of longer distances have all their digits."""
RESOLUTION = 2.0**-22
"""Points nearer to each other than this share of the part are one place: float32 cannot tell them apart."""


@dataclass(frozen=True)
class CleanScan:
    """The points of a scan that are measured, and what became of the others.

    Merged exports hold points twice, and some scanners write points far away from the part. Repeated points would make
    the part look more densely scanned than it is, and a stray point would count as excess material.

    Attributes:
        cloud: the different points without the stray ones, in the order of the scan; the scan itself where it has
            nothing to leave out.
        source: for every point of the scan its point in `cloud`, (N,), -1 for a stray one; None where all are there.
        repeated: points that repeat an earlier one.
        stray: points that are far from all others, alone or with at most four beside them.
    """

    cloud: PointCloud
    source: Index | None = None
    repeated: int = 0
    stray: int = 0

    @classmethod
    def of(cls, cloud: PointCloud) -> CleanScan:
        """Look for repeated and for stray points.

        Raises:
            BadInput: the scan cannot be used, or hardly any of its points differ.
        """
        cloud.require_usable()
        first, place = _distinct(cloud.points)
        different = cloud.points if first is None else cloud.points[first]
        if len(different) < min(LEAST_DIFFERENT, len(cloud)):
            raise BadInput(
                f"{cloud.name} holds {len(cloud)} points but only {len(different)} different ones; "
                "export the scan again."
            )
        kept = np.flatnonzero(~stray_points(different))
        if len(kept) == len(cloud):
            return cls(cloud)
        number = np.full(len(different), -1, dtype=np.intp)
        number[kept] = np.arange(len(kept))
        source = number if place is None else number[place]
        chosen = kept if first is None else first[kept]
        return cls(cloud.select(chosen), source, len(cloud) - len(different), int((source < 0).sum()))

    @property
    def stray_mask(self) -> NDArray[np.bool_] | None:
        """Which points of the scan are stray, (N,), or None where none is."""
        return self.source < 0 if self.source is not None and self.stray else None

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of the measured points for all points of the scan, (M, ...) -> (N, ...); zero at stray ones."""
        if self.source is None:
            return values
        found = values[self.source]
        found[self.source < 0] = 0
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, for the user."""
        found = []
        if self.repeated:
            found.append(f"{_count(self.repeated)} another point and {verb(self.repeated, 'is', 'are')} left out.")
        if self.stray:
            found.append(
                f"{self.stray} stray {verb(self.stray, 'point lies', 'points lie')} far from all others and "
                f"{verb(self.stray, 'is', 'are')} left out."
            )
        return tuple(found)


def clean_clouds(clouds: Sequence[PointCloud], *, progress: Progress | None = None) -> list[PointCloud]:
    """What is measured of several scans; what is left out of each is reported.

    Raises:
        BadInput: a scan cannot be used.
    """
    progress = progress or Silent()
    found = []
    for cloud in clouds:
        clean = CleanScan.of(cloud)
        for note in clean.notes:
            progress.log(f"{cloud.name}: {note}")
        found.append(clean.cloud)
    return found


def _count(number: int) -> str:
    return f"{number} {verb(number, 'point repeats', 'points repeat')}"


def stray_points(points: Points) -> NDArray[np.bool_]:
    """Which points no part of a surface is near, (N, 3) float64, all different -> (N,) bool.

    Every point is joined to its five nearest neighbours, except where such a neighbour is far away for the distances
    that are usual around that neighbour. What is then joined to fewer than five others is stray. The limit follows the
    distances at every place, so that a part that is scanned sparsely in places keeps these.
    """
    none = np.zeros(len(points), dtype=bool)
    if len(points) <= 2 * STRAY_NEIGHBORS:
        return none
    center = np.median(points, axis=0)
    size = float(np.abs(points - center).max())
    scaled = (points - center) / size
    # `dusnet check` would spend most of its time on loading torch.
    if "torch" not in sys.modules and _none_is_stray(scaled):
        return none
    import torch

    from dusnet import ops

    cloud = torch.from_numpy(scaled)[None]
    squared, index = ops.PointIndex(cloud).knn(cloud, STRAY_NEIGHBORS + 1)
    distance, near = squared[0, :, 1:].sqrt().numpy(), index[0, :, 1:].numpy()
    usual = distance[:, -1]
    joined = distance <= STRAY_FACTOR * usual[near]
    if joined.all():
        return none
    return _sizes_of_pieces(near, joined) <= STRAY_NEIGHBORS


def _none_is_stray(points: Points) -> bool:
    """Whether no point of a scan of about the size 1 can be stray, however neighbours at equal distances are chosen.

    Neighbours count when they are nearer than the sixth, and are joined when no rounding of a distance can part them.
    Joining more makes larger pieces, so that none is stray by the whole rule either. False says nothing.
    """
    distance, near = Neighbors(points).knn(points, STRAY_NEIGHBORS + 2)
    distance, near = distance[:, 1:], near[:, 1:]
    usual, sixth = distance[:, STRAY_NEIGHBORS - 1], distance[:, STRAY_NEIGHBORS:]
    if usual.min() <= _SQUARED_IS_EXACT:
        return False
    distance, near = distance[:, :STRAY_NEIGHBORS], near[:, :STRAY_NEIGHBORS]
    sure = (distance > _SQUARED_IS_EXACT) & (distance < sixth * (1.0 - _ROUNDING))
    sure &= distance <= STRAY_FACTOR * usual[near] * (1.0 - _ROUNDING)
    return bool((_sizes_of_pieces(near, sure) > STRAY_NEIGHBORS).all())


def _sizes_of_pieces(near: Index, joined: NDArray[np.bool_]) -> Index:
    """Of how many points the piece is that each point belongs to, (N,).

    Args:
        near: neighbours of every point, (N, K).
        joined: which of them it is joined to, (N, K).
    """
    count = len(near)
    start = np.repeat(np.arange(count), near.shape[1])[joined.ravel()]
    graph = coo_array((np.ones(len(start)), (start, near.ravel()[joined.ravel()])), shape=(count, count))
    number = connected_components(graph, directed=False)[1]
    return np.asarray(np.bincount(number)[number], dtype=np.intp)


def _distinct(points: Points) -> tuple[Index | None, Index | None]:
    """The first point of every place, ascending, and the place of every point; None where all points differ."""
    low, high = np.quantile(points, (0.05, 0.95), axis=0)
    cell = RESOLUTION * float((high - low).max())
    places = points if cell == 0.0 else np.round((points - low) / cell)
    key = places[:, 0] + 0.7548776662466927 * places[:, 1] + 0.5698402909980532 * places[:, 2]
    order = np.argsort(key, kind="stable")
    if (np.diff(key[order]) > 0.0).all():
        return None, None
    _, first, place = np.unique(places, axis=0, return_index=True, return_inverse=True)
    if len(first) == len(points):
        return None, None
    ascending = np.sort(first)
    return ascending, np.searchsorted(ascending, first[place.ravel()])
