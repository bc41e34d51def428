"""One row of a benchmark: train on a class, score its test scans, measure."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dusnet.detectors.frame_cache import FrameCache
from dusnet.errors import BadInput, DusnetError
from dusnet.evaluation import metrics
from dusnet.evaluation.corruption import Corruption, corrupt
from dusnet.evaluation.kinds import measure_kinds
from dusnet.evaluation.memory import PeakMeter
from dusnet.evaluation.plan import Contender, Plan, Unit
from dusnet.evaluation.rows import Row, ScanScore, fingerprint, load_row, relative, row_name
from dusnet.inspection.regions import components
from dusnet.io import write_json

if TYPE_CHECKING:
    from dusnet.cloud import PointCloud
    from dusnet.data import Sample
    from dusnet.detectors.base import Detector, Scores


@dataclass(frozen=True)
class _Trained:
    """A detector that has learned a class, and what that took."""

    contender: Contender
    detector: Detector
    scans: int
    train_seconds: float
    resumed: bool
    calibrate_seconds: float | None


class Shared:
    """What the contenders of one class and seed have in common.

    Attributes:
        frames: their registrations.
        trained: the detector that learned last; a contender that differs in nothing but the corruption of its test
            scans need not learn again.
    """

    def __init__(self) -> None:
        self.frames = FrameCache()
        self.trained: _Trained | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a row: the row, or why there is none."""

    name: str
    unit: Unit
    row: Row | None
    failure: str | None = None


def outcome_of(plan: Plan, name: str, unit: Unit, shared: Shared) -> Outcome:
    """Take a row from disk, or compute and save it.

    Args:
        plan: what all rows have in common.
        name: of the contender.
        unit: class and seed.
        shared: what the contenders of this unit have in common; takes in what this one computes.
    """
    try:
        return Outcome(name, unit, finished_row(plan, name, unit) or _new_row(plan, name, unit, shared))
    except DusnetError as error:
        return Outcome(name, unit, None, str(error))


def finished_row(plan: Plan, name: str, unit: Unit) -> Row | None:
    """The row as an earlier call left it on disk, or None when it has to be computed.

    Raises:
        BadInput: a file of the class cannot be read.
    """
    return load_row(_target(plan, name, unit), _mark(plan, name, unit)) if plan.resume else None


def _target(plan: Plan, name: str, unit: Unit) -> Path:
    return plan.out / "rows" / f"{row_name(name, unit.class_name, unit.seed)}.json"


def _mark(plan: Plan, name: str, unit: Unit) -> str:
    return fingerprint(
        plan.dataset,
        unit.class_name,
        plan.contenders[name],
        seed=unit.seed,
        device=plan.device,
        calibrate=plan.calibrate,
    )


def _new_row(plan: Plan, name: str, unit: Unit, shared: Shared) -> Row:
    mark, target = _mark(plan, name, unit), _target(plan, name, unit)
    workdir = plan.out / "work" / f"{target.stem}--{mark[:12]}"
    if not plan.resume and workdir.exists():
        shutil.rmtree(workdir)
    row = _compute(plan, plan.contenders[name], unit, mark, workdir, shared)
    write_json(target, row.record())
    shutil.rmtree(workdir, ignore_errors=True)
    return row


def _compute(plan: Plan, contender: Contender, unit: Unit, mark: str, workdir: Path, shared: Shared) -> Row:
    meter = PeakMeter(plan.device)
    trained = _trained(plan, contender, unit, workdir, shared)
    tests = plan.dataset.test(unit.class_name)
    scored = _score_all(plan, trained.detector, contender.corruption, tests, unit.seed, shared.frames)
    memory = meter.read()
    measured = scored.measure()
    seconds = [scan.seconds for scan in scored.scans]
    return Row(
        detector=contender.name,
        class_name=unit.class_name,
        seed=unit.seed,
        metrics=measured.values,
        reasons=measured.reasons,
        kinds=measure_kinds(scored.scans, scored.points, scored.labels),
        train_scans=trained.scans,
        test_scans=len(tests),
        test_points=sum(scan.points for scan in scored.scans),
        train_seconds=trained.train_seconds,
        train_resumed=trained.resumed,
        calibrate_seconds=trained.calibrate_seconds,
        score_seconds=median(seconds),
        scans_per_second=len(seconds) / max(sum(seconds), 1e-9),
        peak_memory_mib=memory.mib,
        peak_memory_scope=memory.scope,
        peak_gpu_mib=memory.gpu_mib,
        false_alarms=_above_threshold(scored.scans, anomalous=False),
        found=_above_threshold(scored.scans, anomalous=True),
        device=plan.device,
        scans=tuple(scored.scans),
        fingerprint=mark,
    )


def _trained(plan: Plan, contender: Contender, unit: Unit, workdir: Path, shared: Shared) -> _Trained:
    """The contender's detector after training, the one before it where that is the same."""
    known = shared.trained
    if known is not None and replace(known.contender, name="", corruption=None) == replace(
        contender, name="", corruption=None
    ):
        return known
    shared.trained = known = None  # its memory is needed
    training = [sample.load() for sample in plan.dataset.train(unit.class_name)]
    if not training or not plan.dataset.test(unit.class_name):
        lacking = "train" if not training else "test"
        raise BadInput(
            f"{plan.dataset.root} has no {lacking} scans in class {unit.class_name}; add some or leave it out."
        )
    detector = plan.create(contender.detector, contender.settings, seed=unit.seed, device=plan.device)
    _share(detector, shared.frames)
    resumed = workdir.is_dir() and any(workdir.iterdir())
    workdir.mkdir(parents=True, exist_ok=True)
    clock = _Clock(shared.frames)
    detector.fit(training, progress=plan.progress, workdir=workdir, resume=resumed)
    train_seconds = clock.read()
    calibrate_seconds = _calibrate(plan, detector, training, unit.seed, shared.frames) if plan.calibrate else None
    shared.trained = _Trained(contender, detector, len(training), train_seconds, resumed, calibrate_seconds)
    return shared.trained


class _Clock:
    """Seconds since its creation, with what shared registrations took when they were computed."""

    def __init__(self, frames: FrameCache) -> None:
        self._frames, self._borrowed = frames, frames.borrowed
        self._start = time.perf_counter()

    def read(self) -> float:
        return time.perf_counter() - self._start + self._frames.borrowed - self._borrowed


def _share(detector: Detector, frames: FrameCache) -> None:
    from dusnet.detectors.registered import RegisteredDetector

    if isinstance(detector, RegisteredDetector):
        detector.frames = frames


def _calibrate(
    plan: Plan, detector: Detector, training: Sequence[PointCloud], seed: int, frames: FrameCache
) -> float | None:
    """Seconds that it took, None when the detector has a threshold from its training already."""
    if detector.calibration is not None:
        return None
    from dusnet.inspection.calibration import calibrate

    clock = _Clock(frames)
    detector.calibration = calibrate(detector, training, seed=seed, progress=plan.progress)
    return clock.read()


@dataclass(frozen=True)
class _Scored:
    """All test scans of a class with what the metrics need; `labels` has None where a scan carries none."""

    scans: list[ScanScore]
    points: list[NDArray[np.float32]]
    labels: list[NDArray[np.bool_] | None]
    regions: list[NDArray[np.intp] | None]

    def measure(self) -> metrics.ClassMetrics:
        labels = [one for one in self.labels if one is not None]
        regions = [one for one in self.regions if one is not None]
        complete = len(labels) == len(self.scans)
        return metrics.measure(
            [scan.object_score for scan in self.scans],
            [scan.anomalous for scan in self.scans],
            self.points,
            labels if complete else None,
            regions if complete else None,
        )


def _score_all(
    plan: Plan,
    detector: Detector,
    corruption: Corruption | None,
    tests: Sequence[Sample],
    seed: int,
    frames: FrameCache,
) -> _Scored:
    scored = _Scored([], [], [], [])
    with plan.progress.task(f"score {tests[0].class_name}", total=len(tests)) as task:
        for sample in tests:
            anomalous = sample.anomalous
            file = relative(sample.path, plan.dataset.root)
            cloud = sample.load()
            if corruption is not None:
                cloud = corrupt(cloud, corruption, seed=seed, name=file)
            unlabelled = replace(cloud, labels=None)  # no detector gets to see the answer
            clock = _Clock(frames)
            scores = detector.score(unlabelled, explain=False)
            seconds = clock.read()
            _require_usable(scores, cloud, detector)
            labels = cloud.labels if cloud.labels is not None or anomalous else np.zeros(len(cloud), dtype=np.bool_)
            scored.scans.append(
                ScanScore(
                    file=file,
                    kind=sample.kind,
                    anomalous=anomalous,
                    object_score=float(scores.object_score),
                    threshold=None if scores.threshold is None else float(scores.threshold),
                    points=len(cloud),
                    seconds=seconds,
                )
            )
            scored.points.append(np.asarray(scores.point_scores, dtype=np.float32))
            scored.labels.append(labels)
            scored.regions.append(None if labels is None else components(cloud.points, labels).astype(np.int32))
            task.advance()
    return scored


def _require_usable(scores: Scores, cloud: PointCloud, detector: Detector) -> None:
    shape = np.shape(scores.point_scores)
    if shape != (len(cloud),):
        raise ValueError(f"{detector.name} must give one score per point, got {shape} for {len(cloud)} points")
    wrong = int((~np.isfinite(scores.point_scores)).sum())
    if wrong or not math.isfinite(scores.object_score):
        raise DusnetError(
            f"{detector.name} gave {wrong} NaN or infinite point scores and the object score {scores.object_score} for "
            f"{cloud.name}; training has diverged or the scan is degenerate, so lower the learning rate or check it."
        )


def _above_threshold(scans: Sequence[ScanScore], *, anomalous: bool) -> float | None:
    mine = [scan for scan in scans if scan.anomalous == anomalous]
    flags = [scan.object_score > scan.threshold for scan in mine if scan.threshold is not None]
    return sum(flags) / len(flags) if flags and len(flags) == len(mine) else None
