"""Train for the rows of a benchmark: a detector of one class, or one model of all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dusnet.detectors.pose_cache import PoseCache
from dusnet.errors import BadInput, DusnetError
from dusnet.evaluation.plan import Contender, Plan, RowKey
from dusnet.evaluation.saved import row_if_finished, workdir_of

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
        """Size of the model file in megabytes, measured once; ask after memory is read, since writing takes some."""
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


def trained_for(plan: Plan, wanted: RowKey, shared: UnitCache) -> Trained:
    """What learns for a row, trained and calibrated; what learned before it where that is the same.

    Args:
        plan: what all rows have in common.
        wanted: which row.
        shared: what the rows of its unit have in common; takes in what is trained.

    Raises:
        DusnetError: the training failed, now or for another row of the unit.
    """
    learning = plan.contenders[wanted.name].learning()
    if shared.trained is not None and shared.trained.learning == learning:
        return shared.trained
    if shared.failed is not None and shared.failed[0] == learning:
        raise DusnetError(shared.failed[1])
    shared.trained = None  # its memory is needed
    try:
        shared.trained = _train(plan, wanted, shared.pose_cache)
    except DusnetError as error:
        shared.failed = (learning, str(error))
        raise
    return shared.trained


def _train(plan: Plan, wanted: RowKey, pose_cache: PoseCache) -> Trained:
    contender, workdir = plan.contenders[wanted.name], workdir_of(plan, wanted)
    if not plan.resume and workdir.exists():
        shutil.rmtree(workdir)
    training = {name: [sample.load() for sample in plan.dataset.train(name)] for name in wanted.learned}
    for name, clouds in training.items():
        if not clouds:
            raise lacking(plan, "train", name)
    resumed = workdir.is_dir() and any(workdir.iterdir())
    workdir.mkdir(parents=True, exist_ok=True)
    scorer, parts, train_seconds = _fitted(plan, contender, wanted.seed, training, pose_cache, workdir, resume=resumed)
    return Trained(
        learning=contender.learning(),
        scorer=scorer,
        scans=sum(len(clouds) for clouds in training.values()),
        train_seconds=train_seconds,
        resumed=resumed,
        calibrate_seconds=_calibrate(plan, parts, wanted.seed, pose_cache) if plan.calibrate else None,
        workdir=workdir,
        waiting={one for one in wanted.of_one_model() if row_if_finished(plan, one) is None},
    )


_Parts = Sequence[tuple["Detector", Sequence["PointCloud"]]]


def _fitted(
    plan: Plan,
    contender: Contender,
    seed: int,
    training: Mapping[str, Sequence[PointCloud]],
    pose_cache: PoseCache,
    workdir: Path,
    *,
    resume: bool,
) -> tuple[Scorer, _Parts, float]:
    """What has learned the classes, the detector of each with its clouds, and the seconds that it took."""
    if contender.together:
        model = plan.create_for_parts(contender.detector, contender.settings, seed=seed, device=plan.device)
        clock = Clock(pose_cache)
        model.fit(training, progress=plan.progress, workdir=workdir, resume=resume)
        return model, [(part, training[name]) for name, part in model.parts.items()], clock.read()
    (clouds,) = training.values()
    detector = plan.create(contender.detector, contender.settings, seed=seed, device=plan.device)
    _share(detector, pose_cache)
    clock = Clock(pose_cache)
    detector.fit(clouds, progress=plan.progress, workdir=workdir, resume=resume)
    return detector, [(detector, clouds)], clock.read()


def _share(detector: Detector, pose_cache: PoseCache) -> None:
    from dusnet.detectors.registered import RegisteredDetector

    if isinstance(detector, RegisteredDetector):
        detector.share_poses(pose_cache)


def _calibrate(plan: Plan, parts: _Parts, seed: int, pose_cache: PoseCache) -> float | None:
    """Seconds that it took, None when all have a threshold from their training already."""
    bare = [(detector, clouds) for detector, clouds in parts if detector.calibration is None]
    if not bare:
        return None
    from dusnet.inspection.calibration import calibrate

    clock = Clock(pose_cache)
    for detector, clouds in bare:
        detector.set_calibration(calibrate(detector, clouds, seed=seed, progress=plan.progress))
    return clock.read()


def lacking(plan: Plan, scans: str, class_name: str) -> BadInput:
    """The error of a class without `train` or `test` scans."""
    return BadInput(f"{plan.dataset.root} has no {scans} scans in class {class_name}; add some or leave it out.")
