"""Thresholds from good parts alone: what good scans score that the detector has not seen, simulated and real ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dusnet import ops
from dusnet.cloud import PointCloud
from dusnet.detectors.base import Calibration, Detector, Scores
from dusnet.detectors.training_scans import scan_names
from dusnet.errors import BadInput
from dusnet.geometry.clean_scan import clean_clouds
from dusnet.geometry.coverage import Coverage
from dusnet.inspection.small_defects import score_small_defects
from dusnet.progress import Progress, Silent
from dusnet.synthesis.good_scans import normal_variation, simulated_scan

LEAST_LEFT_OUT = 3
"""Training scans from which on the model of the others is worth asking."""
LEAST_SEEN = 0.3
"""A view that shares less than this with a training scan tells nothing about how it could look."""
ODD_SCORE = 0.05
"""Score of a left-out training scan up to which it is not odd, whatever the others have."""
ODD_FACTOR = 4.0
"""Times the second highest left-out score that an odd one exceeds."""


def calibrate(
    detector: Detector, clouds: Sequence[PointCloud], *, seed: int = 0, progress: Progress | None = None
) -> Calibration:
    """Score good scans that the detector has not seen and keep what they score.

    Every training cloud is scanned again `settings.calibration.replicas` times: the surface is sampled elsewhere, some
    points are lost, the rest are shifted by noise of the size of the scanner's own, the shape changes smoothly by as
    much as the training parts differ from each other, and what another training cloud leaves out is left out. With a
    single training cloud there is no difference to measure and none is simulated. Where fitting is quick, every
    training cloud is also scored by a detector of the others; where these do not fit each other it is not.

    Training clouds are scored once more with a small defect, so that the calibration knows thresholds that such defects
    do not reach.

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
    clouds = clean_clouds(clouds)
    known = [detector.score(cloud, explain=False) for cloud in clouds]
    clouds = [_aligned(cloud, scores) for cloud, scores in zip(clouds, known, strict=True)]
    variation = normal_variation([cloud.points for cloud in clouds])
    views = [ops.PointIndex(torch.from_numpy(_centered(cloud, clouds[0])).float()[None]) for cloud in clouds]
    alone = detector.fits_in_seconds and len(clouds) >= LEAST_LEFT_OUT
    scored: list[Scores] = []
    left_out: list[Scores] = []
    steps = (replicas + alone) * len(clouds)
    with (progress or Silent()).task("Calibrating the threshold", steps) as task:
        for cloud in clouds:
            for _ in range(replicas):
                seen = _as_seen_by(views[rng.integers(len(views))], cloud, clouds[0])
                scored.append(detector.score(simulated_scan(seen, variation, rng), explain=False))
                task.advance()
        for number in range(len(clouds) if alone else 0):
            left_out += _left_out(detector, clouds, number)
            task.advance()
    remark = _odd_scan(clouds, [one.object_score for one in left_out])
    if remark is not None and progress is not None:
        progress.log(remark)
    source = f"{len(scored)} simulated scans of {len(clouds)} training scans, shape variation {variation:.4g}"
    if left_out:
        source += f"; {len(left_out)} training scans, each scored by a model of the others"
    objects, real_objects = ([one.object_score for one in scores] for scores in (scored, left_out))
    points, real_points = ([one.high_point for one in scores] for scores in (scored, left_out))
    level = _level(objects, real_objects)
    if level != 1.0:
        source += f"; simulated scores times {level:.2g}, to the level of these"
    training = [(cloud, one.object_score) for cloud, one in zip(clouds, known, strict=True)]
    all_objects = tuple(sorted([*(level * score for score in objects), *real_objects]))
    return Calibration(
        all_objects,
        tuple(sorted([*(_level(points, real_points) * score for score in points), *real_points])),
        source,
        tuple(sorted(real_objects)),
        small_defects=score_small_defects(detector, training, all_objects[-1], np.random.default_rng([seed, 1])),
    )


def _odd_scan(clouds: Sequence[PointCloud], left_out: Sequence[float]) -> str | None:
    """What to say of the training scan that scores far more than all others where it is left out, if there is one.

    Args:
        clouds: the training scans.
        left_out: their scores, or fewer where one of them could not be left out.
    """
    if len(left_out) < max(LEAST_LEFT_OUT, len(clouds)):
        return None
    second, highest = sorted(left_out)[-2:]
    if highest <= max(ODD_SCORE, ODD_FACTOR * second):
        return None
    return (
        f"{scan_names(clouds)[int(np.argmax(left_out))]} differs from the other training scans: a model of them gives "
        f"it the score {highest:.4g}, and the others reach {second:.4g} in the same way. Check that it is the same "
        "part, not mirrored, not damaged and scanned whole."
    )


def _level(simulated: Sequence[float], real: Sequence[float]) -> float:
    """What simulated scores are multiplied with: they tell how scores spread, and real scans how high they are.

    The highest real score becomes the middle simulated one: the middle of so few real ones is too uncertain for a
    promise.
    """
    if not real or not min(*simulated, *real) > 0.0:
        return 1.0
    return float(np.max(real) / np.median(simulated))


def _left_out(detector: Detector, clouds: Sequence[PointCloud], number: int) -> list[Scores]:
    """What a training cloud scores when only the others are known; nothing where these do not fit each other."""
    from dusnet.detectors import create

    other = create(detector.name, detector.settings, seed=detector.seed, device=str(detector.device))
    other.share_poses(detector.pose_cache)
    try:
        other.fit([cloud for index, cloud in enumerate(clouds) if index != number])
    except BadInput:  # this scan shows what connects the others
        return []
    return [other.score(clouds[number], explain=False)]


def _centered(cloud: PointCloud, first: PointCloud) -> NDArray[np.float64]:
    """Points about the first one of a cloud: coordinates far from the origin would lose their digits in float32."""
    return cloud.points - first.points[0]


def _as_seen_by(view: ops.PointIndex, cloud: PointCloud, first: PointCloud) -> PointCloud:
    """A training cloud without what another one leaves out: the next scan need not show what this one does."""
    beside = Coverage.from_index(view, torch.from_numpy(_centered(cloud, first)).float())
    kept = ~beside.empty.numpy()
    return cloud.select(kept) if kept.mean() >= LEAST_SEEN else cloud


def _aligned(cloud: PointCloud, scores: Scores) -> PointCloud:
    return cloud if scores.alignment is None else cloud.transformed(scores.alignment.matrix)
