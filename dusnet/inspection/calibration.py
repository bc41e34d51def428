"""Thresholds from good parts alone: what good scans score that the detector has not seen, simulated and real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet import ops
from dusnet.cloud import Frame, PointCloud
from dusnet.coverage import Coverage
from dusnet.data.synthetic.variation import smooth_field
from dusnet.detectors.base import Calibration, Detector, Scores
from dusnet.progress import Progress, Silent

LEAST_LEFT_OUT = 3
"""Training scans from which on the model of the others is worth asking."""
LEAST_SEEN = 0.3
"""A view that shares less than this with a training scan tells nothing about how it could look."""
SAMPLE = 4000
KEPT = (0.7, 1.0)
SMOOTHED_OVER = 60
FAR = 0.1
RESAMPLED_AMONG = 6
MOST_PAIRS = 40
TENTH_OF_NORMAL = 0.1257
# Largest displacement of a smooth field over the 95th percentile of what two such fields make of the surface distance;
# the fields of `smooth_field` on six parts gave 1.1 to 2.1.
LARGEST_SHARE = 1.8


def calibrate(
    detector: Detector, clouds: Sequence[PointCloud], *, seed: int = 0, progress: Progress | None = None
) -> Calibration:
    """Score good scans that the detector has not seen and keep what they score.

    Every training cloud is scanned again `settings.calibration.replicas` times: the surface is sampled elsewhere, some
    points are lost, the rest are shifted by noise of the size of the scanner's own, the shape changes smoothly by as
    much as the training parts differ from each other, and what another training cloud leaves out is left out. With a
    single training cloud there is no difference to measure and none is simulated. Where fitting is quick, every
    training cloud is also scored by a detector of the others.

    Args:
        detector: fitted on `clouds`.
        clouds: the defect-free clouds, in any pose.
        seed: of the simulation.
        progress: where to report.

    Returns:
        The calibration; the caller decides whether the detector keeps it.
    """
    rng = np.random.default_rng(seed)
    replicas = detector.settings.calibration.replicas
    clouds = [_aligned(detector, cloud) for cloud in clouds]
    variation = normal_variation([cloud.points for cloud in clouds])
    views = [ops.PointIndex(torch.from_numpy(_centered(cloud, clouds[0])).float()[None]) for cloud in clouds]
    alone = detector.fits_in_seconds and len(clouds) >= LEAST_LEFT_OUT
    scored, left_out = [], []
    steps = (replicas + alone) * len(clouds)
    with (progress or Silent()).task("Calibrating the threshold", steps) as task:
        for cloud in clouds:
            for _ in range(replicas):
                seen = _as_seen_by(views[rng.integers(len(views))], cloud, clouds[0])
                scored.append(detector.score(simulated_scan(seen, variation, rng), explain=False))
                task.advance()
        for number in range(len(clouds) if alone else 0):
            left_out.append(_left_out(detector, clouds, number))
            task.advance()
    source = f"{len(scored)} simulated scans of {len(clouds)} training scans, shape variation {variation:.4g}"
    if left_out:
        source += f"; {len(left_out)} training scans, each scored by a model of the others"
    objects, real_objects = ([one.object_score for one in scores] for scores in (scored, left_out))
    points, real_points = ([one.high_point for one in scores] for scores in (scored, left_out))
    level = _level(objects, real_objects)
    if level != 1.0:
        source += f"; simulated scores times {level:.2g}, to the level of these"
    return Calibration(
        tuple(sorted([*(level * score for score in objects), *real_objects])),
        tuple(sorted([*(_level(points, real_points) * score for score in points), *real_points])),
        source,
        tuple(sorted(real_objects)),
    )


def _level(simulated: Sequence[float], real: Sequence[float]) -> float:
    """What simulated scores are multiplied with: they tell how scores spread, and real scans how high they are.

    The highest real score becomes the middle simulated one: the middle of so few real ones is too uncertain for a
    promise.
    """
    if not real or not min(*simulated, *real) > 0.0:
        return 1.0
    return float(np.max(real) / np.median(simulated))


def _left_out(detector: Detector, clouds: Sequence[PointCloud], number: int) -> Scores:
    """What a training cloud scores when only the others are known."""
    from dusnet.detectors import create

    other = create(detector.name, detector.settings, seed=detector.seed, device=str(detector.device))
    other.frames = detector.frames
    other.fit([cloud for index, cloud in enumerate(clouds) if index != number])
    return other.score(clouds[number], explain=False)


def _centered(cloud: PointCloud, first: PointCloud) -> NDArray[np.float64]:
    """Points about the first one of a cloud: coordinates far from the origin would lose their digits in float32."""
    return cloud.points - first.points[0]


def _as_seen_by(view: ops.PointIndex, cloud: PointCloud, first: PointCloud) -> PointCloud:
    """A training cloud without what another one leaves out: the next scan need not show what this one does."""
    beside = Coverage.beside(view, torch.from_numpy(_centered(cloud, first)).float())
    kept = ~beside.empty.numpy()
    return cloud.select(kept) if kept.mean() >= LEAST_SEEN else cloud


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
    pairs = pairs[:: max(1, len(pairs) // MOST_PAIRS)]
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
    kept = np.sort(rng.choice(count, max(16, int(count * rng.uniform(*KEPT))), replace=False))
    points = _elsewhere(cloud.points, kept, rng)
    largest = LARGEST_SHARE * variation * rng.uniform(0.75, 1.25)
    points = points + smooth_field(rng, points, largest).displacement(points)
    points = points + rng.normal(scale=_roughness(cloud.points), size=points.shape)
    return replace(cloud, points=points, normals=None, colors=None, labels=None, path=None)


def _elsewhere(points: NDArray[np.float64], kept: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.float64]:
    """Other points of the same surface: between the kept ones and one of their neighbours each."""
    count = min(RESAMPLED_AMONG, len(points) - 1)
    _, index = cKDTree(points).query(points[kept], k=count + 1)
    neighbors = points[index[np.arange(len(kept)), rng.integers(1, count + 1, len(kept))]]
    return points[kept] + rng.random((len(kept), 1)) * (neighbors - points[kept])


def _aligned(detector: Detector, cloud: PointCloud) -> PointCloud:
    alignment = detector.score(cloud, explain=False).alignment
    return cloud if alignment is None else cloud.transformed(alignment.matrix)


def _sample(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points[:: max(1, len(points) // SAMPLE)]


def _planes(
    query: NDArray[np.float64], points: NDArray[np.float64], neighbors: int = 16
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit normals and the distance of each query point to the plane through its neighbours, (M, 3) and (M,)."""
    _, index = cKDTree(points).query(query, k=min(neighbors, len(points)))
    around = points[index]
    centers = around.mean(axis=1)
    local = around - centers[:, None]
    _, vectors = np.linalg.eigh(local.transpose(0, 2, 1) @ local)
    normals = vectors[:, :, 0]
    return normals, np.abs(((query - centers) * normals).sum(axis=1))


def _roughness(points: NDArray[np.float64]) -> float:
    """Noise of the scanner: standard deviation of points about the planes of their neighbours.

    A low quantile, since where the surface curves the distance to the plane is not noise.
    """
    _, distance = _planes(_sample(points), points)
    return float(np.quantile(distance, 0.1)) / TENTH_OF_NORMAL


def _smooth_difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    normals, _ = _planes(other, other)
    _, nearest = cKDTree(other).query(one)
    across = ((one - other[nearest]) * normals[nearest]).sum(axis=1)
    radius = Frame.of(one).scale
    far = np.linalg.norm(one - other[nearest], axis=1) > FAR * radius
    _, index = cKDTree(one).query(one, k=min(SMOOTHED_OVER, len(one)))
    # Normals have either sign; the sign of the first neighbour decides for all.
    signs = np.sign((normals[nearest][index] * normals[nearest][index[:, :1]]).sum(axis=2))
    smoothed = np.abs((across[index] * signs).mean(axis=1))[~far]
    return float(np.quantile(smoothed, 0.95)) if len(smoothed) else 0.0
