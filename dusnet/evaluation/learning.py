"""Train for rows: a detector of one class, or one model of all; what the rows of a unit share is kept in memory."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dusnet.detectors.pose_cache import PoseCache
from dusnet.detectors.registered import RegisteredDetector
from dusnet.errors import BadInput, DusnetError
from dusnet.evaluation.contender import Contender
from dusnet.evaluation.setup import Evaluation, RowKey
from dusnet.evaluation.store import finished_row, workdir_of
from dusnet.inspection.calibration import calibrate

if TYPE_CHECKING:
    from dusnet.cloud import PointCloud
    from dusnet.detectors.base import Detector, Scorer


class Clock:
    """Seconds since its creation, with what shared registrations took when they were computed."""

    def __init__(self, pose_cache: PoseCache) -> None:
        self._pose_cache, self._cached_seconds = pose_cache, pose_cache.cached_seconds
        self._start = time.perf_counter()

    def read(self) -> float:
        """The seconds."""
        return time.perf_counter() - self._start + self._pose_cache.cached_seconds - self._cached_seconds


@dataclass(frozen=True)
class Trained:
    """What has learned, and what that took.

    Attributes:
        learning: see `Contender.learning`.
        scorer: a detector of one class, or one model of all.
        scans: how many were learned from.
        train_seconds: time of `fit`.
        resumed: whether it went on from checkpoints.
        calibrate_seconds: time of finding thresholds, None when none was looked for.
        workdir: where the checkpoints are.
        waiting: rows of this model that are not there yet; the checkpoints are kept for them.
    """

    learning: Contender
    scorer: Scorer
    scans: int
    train_seconds: float
    resumed: bool
    calibrate_seconds: float | None
    workdir: Path
    waiting: set[RowKey]

    @cached_property
    def model_mb(self) -> float:
        """Size of the model file in megabytes, measured once; writing it takes memory, so read the peak first."""
        path = self.workdir / "model.safetensors"
        self.scorer.save(path)
        size = path.stat().st_size
        path.unlink()
        return size / 1e6


class UnitCache:
    """What the rows of one unit have in common.

    Attributes:
        pose_cache: registrations of the class.
        trained: what learned last; a row whose contender learns the same, and the other classes of one model, need
            not train again.
        failed: the contender whose training failed last (see `Contender.learning`), and why.
    """

    def __init__(self) -> None:
        self.pose_cache = PoseCache()
        self.trained: Trained | None = None
        self.failed: tuple[Contender, str] | None = None


def trained_for(setup: Evaluation, key: RowKey, shared: UnitCache) -> Trained:
    """What learns for a row, trained and calibrated; what learned before it where that is the same.

    Args:
        setup: what all rows have in common.
        key: which row.
        shared: what the rows of its unit have in common; takes in what is trained.

    Raises:
        DusnetError: the training failed, now or for another row of the unit.
    """
    learning = setup.of(key).learning()
    if shared.trained is not None and shared.trained.learning == learning:
        return shared.trained
    if shared.failed is not None and shared.failed[0] == learning:
        raise DusnetError(shared.failed[1])
    shared.trained = None  # its memory is needed
    try:
        shared.trained = _train(setup, key, shared.pose_cache)
    except DusnetError as error:
        shared.failed = (learning, str(error))
        raise
    return shared.trained


def _train(setup: Evaluation, key: RowKey, pose_cache: PoseCache) -> Trained:
    contender, workdir = setup.of(key), workdir_of(setup, key)
    if not setup.resume and workdir.exists():
        shutil.rmtree(workdir)
    training = {name: [sample.load() for sample in setup.dataset.train(name)] for name in key.learned}
    for name, clouds in training.items():
        if not clouds:
            raise lacking(setup, "train", name)
    resumed = workdir.is_dir() and any(workdir.iterdir())
    workdir.mkdir(parents=True, exist_ok=True)
    create: Any = setup.create_for_parts if contender.together else setup.create
    scorer = create(contender.detector, contender.settings, seed=key.seed, device=setup.device)
    if isinstance(scorer, RegisteredDetector):
        scorer.share_poses(pose_cache)
    clock = Clock(pose_cache)
    learned = training if contender.together else training[key.class_name]
    scorer.fit(learned, progress=setup.progress, workdir=workdir, resume=resumed)
    train_seconds = clock.read()
    calibrate_seconds = None
    if setup.calibrate:
        parts = scorer.parts if contender.together else {key.class_name: scorer}
        calibrate_seconds = _calibrate(setup, parts, training, key.seed, pose_cache)
    return Trained(
        learning=contender.learning(),
        scorer=scorer,
        scans=sum(len(clouds) for clouds in training.values()),
        train_seconds=train_seconds,
        resumed=resumed,
        calibrate_seconds=calibrate_seconds,
        workdir=workdir,
        waiting={one for one in key.of_one_model() if finished_row(setup, one) is None},
    )


def _calibrate(
    setup: Evaluation,
    parts: Mapping[str, Detector],
    training: Mapping[str, Sequence[PointCloud]],
    seed: int,
    pose_cache: PoseCache,
) -> float | None:
    """Seconds that it took, None when all have a threshold from their training already."""
    bare = {name: detector for name, detector in parts.items() if detector.calibration is None}
    if not bare:
        return None
    clock = Clock(pose_cache)
    for name, detector in bare.items():
        detector.set_calibration(calibrate(detector, training[name], seed=seed, progress=setup.progress))
    return clock.read()


def lacking(setup: Evaluation, scans: str, class_name: str) -> BadInput:
    """The error of a class without `train` or `test` scans."""
    return BadInput(f"{setup.dataset.root} has no {scans} scans in class {class_name}; add some or leave it out.")
