"""Compute one row: train on a class or on all, score the test scans of one, measure."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dusnet.detectors.pose_cache import PoseCache
from dusnet.errors import DusnetError
from dusnet.evaluation import metrics
from dusnet.evaluation.corruption import corrupt
from dusnet.evaluation.kinds import measure_kinds
from dusnet.evaluation.learning import Clock, Trained, UnitCache, lacking, trained_for
from dusnet.evaluation.memory import PeakMemory, PeakMeter
from dusnet.evaluation.rows import Row, ScanScore
from dusnet.evaluation.setup import Evaluation, RowKey
from dusnet.evaluation.store import fingerprint, finished_row, relative, save_row

if TYPE_CHECKING:
    from dusnet.cloud import PointCloud
    from dusnet.data import Sample
    from dusnet.detectors.base import Scorer, Scores


@dataclass(frozen=True)
class RowOutcome:
    """The result for a row key: the row, or why there is none."""

    key: RowKey
    row: Row | None
    failure: str | None = None


def outcome_of(setup: Evaluation, key: RowKey, shared: UnitCache) -> RowOutcome:
    """Take a row from disk, or compute and save it.

    Args:
        setup: what all rows have in common.
        key: which row.
        shared: what the rows of its unit have in common; takes in what this one computes.
    """
    try:
        return RowOutcome(key, finished_row(setup, key) or _new_row(setup, key, shared))
    except DusnetError as error:
        return RowOutcome(key, None, str(error))


def _new_row(setup: Evaluation, key: RowKey, shared: UnitCache) -> Row:
    mark = fingerprint(setup, key)
    tests = setup.dataset.test(key.class_name)
    if not tests:
        raise lacking(setup, "test", key.class_name)
    meter = PeakMeter(setup.device)
    trained = trained_for(setup, key, shared)
    scored = _score_all(setup, key, trained.scorer, tests, shared.pose_cache)
    row = _measured(setup, key, mark, scored, trained, meter.read())
    if setup.on_scores is not None:
        setup.on_scores(key, tests, scored.points)
    save_row(setup, key, row)
    trained.waiting.discard(key)
    if not trained.waiting:
        shutil.rmtree(trained.workdir, ignore_errors=True)
    return row


def _measured(setup: Evaluation, key: RowKey, mark: str, scored: _Scored, trained: Trained, memory: PeakMemory) -> Row:
    measured = scored.measure()
    seconds = [scan.seconds for scan in scored.scans]
    together = setup.of(key).together
    return Row(
        detector=key.name,
        class_name=key.class_name,
        seed=key.seed,
        metrics=measured.values,
        reasons=measured.reasons,
        kinds=measure_kinds(scored.scans, scored.points, scored.labels),
        train_scans=trained.scans,
        test_scans=len(scored.scans),
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
        recognized=scored.parts.count(key.class_name) / len(scored.parts) if together else None,
        model_mb=trained.model_mb,
        device=setup.device,
        scans=tuple(scored.scans),
        fingerprint=mark,
    )


@dataclass(frozen=True)
class _Scored:
    """All test scans of a class with what the metrics need, and the parts that they were taken for.

    `labels` has None where a scan carries none, `parts` where the detector knows one part only.
    """

    scans: list[ScanScore]
    parts: list[str | None]
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
    setup: Evaluation, key: RowKey, scorer: Scorer, tests: Sequence[Sample], pose_cache: PoseCache
) -> _Scored:
    scored, corruption = _Scored([], [], [], [], []), setup.of(key).corruption
    with setup.progress.task(f"score {key.class_name}", total=len(tests)) as task:
        for sample in tests:
            anomalous = sample.anomalous
            file = relative(sample.path, setup.dataset.root)
            cloud = sample.load()
            if corruption is not None:
                cloud = corrupt(cloud, corruption, seed=key.seed, name=file)
            unlabelled = replace(cloud, labels=None)  # detectors never see labels
            clock = Clock(pose_cache)
            scores = scorer.score(unlabelled, explain=False)
            seconds = clock.read()
            _require_usable(scores, cloud, scorer)
            labels = cloud.labels if cloud.labels is not None or anomalous else np.zeros(len(cloud), dtype=np.bool_)
            threshold = None if scores.threshold is None else float(scores.threshold)
            scored.scans.append(
                ScanScore(file, sample.kind, anomalous, float(scores.object_score), threshold, len(cloud), seconds)
            )
            scored.parts.append(scores.part)
            scored.points.append(np.asarray(scores.point_scores, dtype=np.float32))
            scored.labels.append(labels)
            scored.regions.append(None if labels is None else setup.regions(cloud, labels).astype(np.int32))
            task.advance()
    return scored


def _require_usable(scores: Scores, cloud: PointCloud, scorer: Scorer) -> None:
    shape = np.shape(scores.point_scores)
    if shape != (len(cloud),):
        raise ValueError(f"{scorer.name} must give one score per point, got {shape} for {len(cloud)} points")
    wrong = int((~np.isfinite(scores.point_scores)).sum())
    if wrong or not math.isfinite(scores.object_score):
        raise DusnetError(
            f"{scorer.name} gave {wrong} NaN or infinite point scores and the object score {scores.object_score} for "
            f"{cloud.name}; training has diverged or the scan is degenerate, so lower the learning rate or check it."
        )


def _above_threshold(scans: Sequence[ScanScore], *, anomalous: bool) -> float | None:
    mine = [scan for scan in scans if scan.anomalous == anomalous]
    flags = [scan.object_score > scan.threshold for scan in mine if scan.threshold is not None]
    return sum(flags) / len(flags) if flags and len(flags) == len(mine) else None
