"""Other good scans of parts that a few scans are known of: sampled elsewhere, noisy, and varied as the parts vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import Frame, PointCloud
from dusnet.geometry.neighbors import Neighbors
from dusnet.geometry.normals import planes
from dusnet.synthesis.variation import smooth_field

SAMPLE = 4000  # points of a scan that variation and roughness are measured with
# Largest displacement of a smooth field over the 95th percentile of what two such fields make of the surface distance;
# the fields of `smooth_field` on six parts gave 1.1 to 2.1.
LARGEST_SHARE = 1.8


def normal_variation(clouds: Sequence[NDArray[np.float64]]) -> float:
    """How far the surface of a good part lies from that of another one, in the unit of the clouds.

    The distance of every point to the tangent planes of each other cloud, averaged over its surroundings so that noise
    and sampling cancel; the 95th percentile over points, the median over pairs of clouds.

    Args:
        clouds: aligned scans of one class, (N, 3) each.
    """
    samples = [_sample(cloud) for cloud in clouds]
    pairs = list(permutations(range(len(samples)), 2))
    # Evenly spread over all pairs, so that no scan is left out before others are looked at twice.
    pairs = pairs[:: max(1, len(pairs) // 40)]
    differences = [_smooth_difference(samples[one], samples[other]) for one, other in pairs]
    return float(np.median(differences)) if differences else 0.0


def simulated_scan(cloud: PointCloud, variation: float, rng: np.random.Generator) -> PointCloud:
    """Another scan of a part like the one in `cloud`.

    Args:
        cloud: a good scan.
        variation: distance of the surfaces of good parts from each other, in the unit of the cloud.
        rng: the only source of randomness.
    """
    count = len(cloud)
    kept = np.sort(rng.choice(count, max(16, int(count * rng.uniform(0.7, 1.0))), replace=False))
    points = _elsewhere(cloud.points, kept, rng)
    largest = LARGEST_SHARE * variation * rng.uniform(0.75, 1.25)
    points = points + smooth_field(rng, points, largest).displacement(points)
    points = points + rng.normal(scale=_roughness(cloud.points), size=points.shape)
    return replace(cloud, points=points, normals=None, colors=None, labels=None, path=None)


def _elsewhere(points: NDArray[np.float64], kept: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.float64]:
    """Other points of the same surface: between the kept ones and one of their neighbours each."""
    count = min(6, len(points) - 1)
    _, index = Neighbors(points).knn(points[kept], count + 1)
    neighbors = points[index[np.arange(len(kept)), rng.integers(1, count + 1, len(kept))]]
    return points[kept] + rng.random((len(kept), 1)) * (neighbors - points[kept])


def _sample(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points[:: max(1, len(points) // SAMPLE)]


def _roughness(points: NDArray[np.float64]) -> float:
    """Noise of the scanner: standard deviation of points about the planes of their neighbours.

    A low quantile, since where the surface curves the distance to the plane is not noise.
    """
    _, distance = planes(_sample(points), points)
    # The same quantile of the absolute value of a standard normal variable.
    return float(np.quantile(distance, 0.1)) / 0.1257


def _smooth_difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    normals, _ = planes(other, other)
    _, nearest = Neighbors(other).nearest(one)
    across = ((one - other[nearest]) * normals[nearest]).sum(axis=1)
    # A point that is farther from the other scan has no counterpart there.
    far = np.linalg.norm(one - other[nearest], axis=1) > 0.1 * Frame.of(one).scale
    _, index = Neighbors(one).knn(one, min(60, len(one)))
    # Normals have either sign; the sign of the first neighbour decides for all.
    signs = np.sign((normals[nearest][index] * normals[nearest][index[:, :1]]).sum(axis=2))
    smoothed = np.abs((across[index] * signs).mean(axis=1))[~far]
    return float(np.quantile(smoothed, 0.95)) if len(smoothed) else 0.0
