"""Thresholds from good parts alone: what good scans score that the detector has not seen, simulated and real ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dusnet import ops
from dusnet.clean_scan import clean_clouds
from dusnet.cloud import PointCloud
from dusnet.coverage import Coverage
from dusnet.data.synthetic.good_scans import normal_variation, simulated_scan
from dusnet.detectors.base import Calibration, Detector, Scores
from dusnet.progress import Progress, Silent

LEAST_LEFT_OUT = 3
"""Training scans from which on the model of the others is worth asking."""
LEAST_SEEN = 0.3
"""A view that shares less than this with a training scan tells nothing about how it could look."""


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
    clouds = [_aligned(detector, cloud) for cloud in clean_clouds(clouds)]
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


def _aligned(detector: Detector, cloud: PointCloud) -> PointCloud:
    alignment = detector.score(cloud, explain=False).alignment
    return cloud if alignment is None else cloud.transformed(alignment.matrix)
