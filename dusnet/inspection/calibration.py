"""Limits from good parts alone: what good scans score that the detector has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from dusnet import ops
from dusnet.cloud import PointCloud
from dusnet.detectors.base import Detector, Scores
from dusnet.detectors.calibration import LEAST_RATE, USUAL_SPREAD, Calibration, GoodScores
from dusnet.detectors.training_scans import scan_names
from dusnet.errors import BadInput
from dusnet.geometry.clean_scan import clean_clouds
from dusnet.geometry.coverage import Coverage
from dusnet.inspection.small_defects import score_small_defects
from dusnet.progress import Progress, Silent
from dusnet.synthesis.good_scans import normal_variation, simulated_scan
from dusnet.words import counted

LEAST_COMPARED = 3
"""Training scans from which on one of them can be odd."""
HALVES = {1: 5, 2: 3}
"""Ways in which each training scan is divided, by the number of training scans. A model of one scan alone scores good
scans two to eight times as high as one of two scans: it does not know how parts vary."""
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

    Where fitting is quick, every training cloud is scored by a detector of the others. Everything about it is real:
    sampling, noise, shape. One or two training clouds are divided at random, and a half of the points scored by a
    detector of the other half and of the other cloud.

    Elsewhere, every training cloud is scanned again `settings.calibration.replicas` times: the surface is sampled
    elsewhere, some points are lost, the rest are shifted by noise of the size of the scanner's own, the shape changes
    smoothly by as much as the training parts differ from each other, and what another training cloud leaves out is left
    out. With a single training cloud there is no difference to measure and none is simulated.

    Training clouds are scored once more with a small defect, so that the calibration knows limits that such defects do
    not reach.

    Args:
        detector: fitted on `clouds`.
        clouds: the defect-free clouds, in any pose.
        seed: of the simulation, and of how a single scan is divided.
        progress: where to report.

    Returns:
        The calibration; the caller decides whether the detector keeps it.
    """
    rng = np.random.default_rng(seed)
    voice = progress or Silent()
    clouds = clean_clouds(clouds)
    known = [detector.score(cloud, explain=False) for cloud in clouds]
    clouds = [_aligned(cloud, scores) for cloud, scores in zip(clouds, known, strict=True)]
    left_out: list[Scores] = []
    if detector.fits_in_seconds:
        left_out = _left_out(detector, _divisions(clouds, rng), voice)
        remark = _odd_scan(clouds, [one.object_score for one in left_out])
        if remark is not None:
            voice.log(remark)
    simulated: list[Scores] = []
    if left_out and len(clouds) in HALVES:
        scans = "the training scan" if len(clouds) == 1 else f"{len(clouds)} training scans"
        source = f"{len(left_out)} halves of {scans}, each scored by a model of everything else"
    elif left_out:
        source = f"{counted(len(left_out), 'training scan')}, each scored by a model of the others"
    else:
        variation = normal_variation([cloud.points for cloud in clouds])
        simulated = _simulated(detector, clouds, variation, rng, voice)
        source = f"{len(simulated)} simulated scans of {len(clouds)} training scans, shape variation {variation:.4g}"
    made = Calibration(
        left_out=GoodScores.of(left_out),
        simulated=GoodScores.of(simulated),
        source=source,
        spread=getattr(detector, "good_spread", USUAL_SPREAD),
    )
    training = [(cloud, one.object_score) for cloud, one in zip(clouds, known, strict=True)]
    enough = made.threshold(min(LEAST_RATE, detector.settings.calibration.false_alarm))
    small = score_small_defects(detector, training, enough, np.random.default_rng([seed, 1]))
    return replace(made, small_defects=small)


Division = tuple[list[PointCloud], PointCloud]
"""Scans to learn from, and one to score."""


def _divisions(clouds: Sequence[PointCloud], rng: np.random.Generator) -> list[Division]:
    """Every scan beside the others; of one or two, halves of their points beside all other points."""
    beside = [[*clouds[:number], *clouds[number + 1 :]] for number in range(len(clouds))]
    ways = HALVES.get(len(clouds))
    if ways is None:
        return list(zip(beside, clouds, strict=True))
    parted = []
    for others, cloud in zip(beside, clouds, strict=True):
        for _ in range(ways):
            first = rng.permutation(len(cloud)) < len(cloud) // 2
            parted.append(([cloud.select(first), *others], cloud.select(~first)))
    return parted


def _left_out(detector: Detector, divisions: Sequence[Division], progress: Progress) -> list[Scores]:
    """What scans score that the model does not know; without those that connect the ones that it knows."""
    from dusnet.detectors import create

    found: list[Scores] = []
    with progress.task("Calibrating the limit", len(divisions)) as task:
        for others, cloud in divisions:
            model = create(detector.name, detector.settings, seed=detector.seed, device=str(detector.device))
            model.share_poses(detector.pose_cache)
            try:
                model.fit(others)
                found.append(model.score(cloud, explain=False))
            except BadInput as error:  # this scan shows what connects the others
                progress.log(f"A training scan could not be left out for the limit: {error}")
            task.advance()
    return found


def _simulated(
    detector: Detector,
    clouds: Sequence[PointCloud],
    variation: float,
    rng: np.random.Generator,
    progress: Progress,
) -> list[Scores]:
    """What simulated scans of aligned training clouds score that differ by `variation`, the unit of the clouds."""
    replicas = detector.settings.calibration.replicas
    views = [ops.PointIndex(torch.from_numpy(_centered(cloud, clouds[0])).float()[None]) for cloud in clouds]
    scored = []
    with progress.task("Calibrating the limit", replicas * len(clouds)) as task:
        for cloud in clouds:
            for _ in range(replicas):
                seen = _as_seen_by(views[rng.integers(len(views))], cloud, clouds[0])
                scored.append(detector.score(simulated_scan(seen, variation, rng), explain=False))
                task.advance()
    return scored


def _odd_scan(clouds: Sequence[PointCloud], left_out: Sequence[float]) -> str | None:
    """What to say of the training scan that scores far more than all others where it is left out, if there is one.

    Args:
        clouds: the training scans.
        left_out: their scores, or fewer where one of them could not be left out.
    """
    if len(left_out) < len(clouds) or len(clouds) < LEAST_COMPARED:
        return None
    second, highest = sorted(left_out)[-2:]
    if highest <= max(ODD_SCORE, ODD_FACTOR * second):
        return None
    return (
        f"{scan_names(clouds)[int(np.argmax(left_out))]} differs from the other training scans: a model of them gives "
        f"it the score {highest:.4g}, and the others reach {second:.4g} in the same way. Check that it is the same "
        "part, not mirrored, not damaged and scanned whole."
    )


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
