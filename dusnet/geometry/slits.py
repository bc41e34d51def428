"""Slits: long, thin and nearly straight places without points, too narrow for `coverage` to call them missing.

A scan of random points is full of small accidental voids. What tells a crack is that many of them lie in a row: the
longest nearly straight path through empty places is found, as path openings find cracks in images (Talbot and
Appleton, "Efficient complete and incomplete path openings and closings", Image and Vision Computing 25, 2007), here on
a graph of places of the good surface. In units of the points' own distances the longest accidental path hardly
depends on the part, so that one limit serves all.

All lengths are in the frame of the class; all functions take and return torch tensors on the CPU.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from dusnet.geometry.coverage import Coverage
from dusnet.geometry.neighbors import Neighbors
from dusnet.geometry.sampling import cell_keys

EMPTY_SHARE = 0.106
"""Share of the places that are empty where nothing is missing: those whose nearest point is far for this scan's voids.
Of points strewn at random their nearest point is 1.8 times as far as is usual around them."""
STEP = (1.7, 3.4)
"""Bounds of a path's steps, in usual distances."""
LARGEST_TURN = np.deg2rad(20.0)  # between two steps of a path that is nearly straight
ACCIDENTAL = 13.0
"""Usual distances: with random points 3 of 88 good scans of eight parts had a longer path, of wide flat sheets one in
three has; even points have shorter ones."""
MOST_BEYOND = 3.0
"""Usual distances beyond that count: how long a slit is says little about how bad it is."""
MOST_STEPS = 40  # of a path: longer ones count as so long
CELL = 1.1  # usual distances: edge of the cells that keep one place each
SIDES = 12  # points around a place that tell whether it lies between them
ONE_SIDED = 0.65  # length of the mean direction to these from which on they lie on one side only
LEAST_USUAL = 1e-9
"""Of the frame: where all places are points of the scan, none is usual."""

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def slits(beside: Coverage) -> Tensor:
    """How much longer than any accidental one the slits beside the points of a scan are.

    Returns:
        (N,), zero away from slits, at both sides of a slit as `Coverage.gap` is at the rim of a hole. Zero all over
        where the scan leaves out a side: what the part hides from the scanner is long and thin, too.
    """
    if beside.unseen_share:
        return torch.zeros(beside.scan.points.shape[1])
    index, length, usual = empty_paths(beside)
    long = length > ACCIDENTAL
    beyond = torch.from_numpy(np.minimum(length[long] - ACCIDENTAL, MOST_BEYOND) * usual[long]).float()
    return beside.at_rim(torch.from_numpy(index[long]), beyond)


def empty_paths(beside: Coverage) -> tuple[Indices, Floats, Floats]:
    """Places between the points of a scan that are empty, and how long the paths through them are.

    Returns:
        Index of some of the places of `beside`, (E,) int64; length of the longest nearly straight empty path through
        each, in usual distances, (E,); and the distance to the nearest point that is usual there, (E,).
    """
    places, distance = beside.part.coordinates, beside.distance.double().numpy()
    index = _thinned(places, CELL * beside.usual)
    usual = np.maximum(beside.part.median_around(distance, places[index]), LEAST_USUAL)
    if beside.part.openness is not None:
        usual *= beside.part.openness.clamp_min(1.0).double().numpy()[index]
    clearance = beside.voids.factor(EMPTY_SHARE)
    empty = (distance[index] > clearance * usual) & ~beside.excused.numpy()[index]
    index, usual = index[empty], usual[empty]
    cloud = Neighbors(beside.scan.points[0].double().numpy())
    inside = _between_points(cloud, places[index])
    index, usual = index[inside], usual[inside]
    return index, longest_paths(cloud, places[index], usual, clearance), usual


def longest_paths(cloud: Neighbors, places: Floats, usual: Floats, clearance: float) -> Floats:
    """Length of the longest nearly straight path through each of some empty places, in usual distances.

    Args:
        cloud: of the scan's points; the middle of a step is as empty as its ends.
        places: (M, 3).
        usual: distance to the nearest point that is usual around each, (M,).
        clearance: usual distances from which on a place is empty.

    Returns:
        (M,), zero for a place without a neighbour.
    """
    found = np.zeros(len(places))
    start, end = _steps(cloud, places, usual, clearance)
    if not len(start):
        return found
    along = places[end] - places[start]
    size = np.linalg.norm(along, axis=1)
    along /= size[:, None]
    size /= 0.5 * (usual[start] + usual[end])
    before, after = _continuations(start, end, along)
    ahead = size.copy()
    for _ in range(MOST_STEPS):
        best = np.zeros(len(size))
        np.maximum.at(best, before, ahead[after])
        if np.array_equal(longer := size + best, ahead):
            break
        ahead = longer
    # What lies behind a step lies ahead of its reverse.
    keys = start * len(places) + end
    order = np.argsort(keys)
    reverse = order[np.searchsorted(keys[order], end * len(places) + start)]
    np.maximum.at(found, start, ahead + ahead[reverse] - size)
    return found


def _steps(cloud: Neighbors, places: Floats, usual: Floats, clearance: float) -> tuple[Indices, Indices]:
    """Pairs of places that a path may go between, in both directions, sorted by the first."""
    if len(places) < 2:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    low, high = STEP
    pairs = cKDTree(places).query_pairs(high * float(usual.max()), output_type="ndarray")
    first, second = pairs[:, 0], pairs[:, 1]
    mean = 0.5 * (usual[first] + usual[second])
    size = np.linalg.norm(places[first] - places[second], axis=1) / mean
    kept = (size > low) & (size < high)
    first, second, mean = first[kept], second[kept], mean[kept]
    middle = cloud.nearest(0.5 * (places[first] + places[second]))[0]
    kept = middle > clearance * mean
    start = np.concatenate([first[kept], second[kept]])
    end = np.concatenate([second[kept], first[kept]])
    order = np.lexsort((end, start))
    return start[order], end[order]


def _continuations(start: Indices, end: Indices, along: Floats) -> tuple[Indices, Indices]:
    """Which step may follow which without too sharp a turn; the steps are sorted by `start`."""
    begin = np.searchsorted(start, np.arange(int(max(start.max(), end.max())) + 2))
    count = begin[end + 1] - begin[end]
    before = np.repeat(np.arange(len(start)), count)
    after = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count) + begin[end[before]]
    straight = np.einsum("ij,ij->i", along[before], along[after]) > np.cos(LARGEST_TURN)
    return before[straight], after[straight]


def _thinned(places: Floats, cell: float) -> Indices:
    """One place per cubic cell, ascending."""
    cells = np.floor(places / cell)
    _, index = np.unique(cell_keys(cells - cells.min(axis=0)), return_index=True)
    return np.sort(index)


def _between_points(cloud: Neighbors, places: Floats) -> NDArray[np.bool_]:
    """Which places have points on all sides, as those beyond the edge of what was seen have not."""
    if not len(places):
        return np.zeros(0, dtype=bool)
    _, near = cloud.knn(places, min(SIDES, len(cloud)))
    towards = cloud.points[near] - places[:, None]
    towards /= np.maximum(np.linalg.norm(towards, axis=2, keepdims=True), 1e-12)
    between: NDArray[np.bool_] = np.linalg.norm(towards.mean(axis=1), axis=1) < ONE_SIDED
    return between
